"""What `sftdyn --check` says of a conf: what it means, and what is dangerous about it."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

from ..values.names import listed
from ..values.specs import Bind, Interface, Listener, Own, Web
from .acme import Permit, of_client
from .config import Config
from .permissions import others_can_read

INTERFACES = Path("/sys/class/net")  # sysfs(5)
LISTED = 200  # clients, a line each
NARROW = {4: 8, 6: 7}  # IP version → bits that the prefix of a network of proxies has at least


def describe(config: Config) -> list[str]:
    """What the conf means, and what is dangerous about it, a line each; without any key."""
    clients = config.keyring.clients.values()
    listed_clients = [] if config.hooks.get_host else _each_with_its_names([client.names for client in clients])
    names = {name for client in clients for name in client.names}
    who = "get_host decides" if config.hooks.get_host else f"{len(clients)}, with {counted(len(names), 'host name')}"
    return [
        f"conf: {config.path}",
        *(f"listens on: {listener}" for listener in config.listeners),
        *(f"status: {listener}{_without_token(config)}" for listener in config.status),
        *_about_providers(config),
        f"clients: {who}",
        *listed_clients,
        *(f"own: {_described(own)}" for own in config.own),
        *_about_certificates(config),
        *(f"notify: {target}" for target in config.notify),
        *([f"heartbeat: {config.heartbeat}"] if config.heartbeat else []),
        *(f"warning: {warning}" for warning in warnings(config)),
    ]


def _each_with_its_names(clients: Sequence[Sequence[str]]) -> Iterator[str]:
    """By their names, in the conf's order. One without a dot may be a key in the wrong place: a warning is about it."""
    for names in clients[:LISTED]:
        yield f"client: {listed(name for name in names if '.' in name[:-1]) or 'a name without a dot'}"
    if len(clients) > LISTED:
        yield f"and {counted(len(clients) - LISTED, 'client')} more"


def _about_providers(config: Config) -> Iterator[str]:
    """Where names are published; where that is not the same for all, for how many clients."""
    used = config.providers
    for spec, clients in used.items():
        of = f" ({counted(clients, 'client')})" if len(used) > 1 else ""
        yield f"updates: {spec}{of}"
        if isinstance(spec, Bind):
            yield "zones: " + (", ".join(zone.rstrip(".") for zone in spec.zones) or "found by asking")


def _about_certificates(config: Config) -> Iterator[str]:
    """What keys are good for besides addresses."""
    if names := certified(config):
        yield f"certificates: with a key for {listed(names)}, each with its wildcard (all names one label below)"


def certified(config: Config) -> Permit:
    """The names whose certificates somebody may get, with what publishes their challenge."""
    permits = [*config.permits.by_key.values()]
    permits += [of_client(client, config.provider) for client in config.keyring.clients.values() if client.acme]
    return {name: spec for permit in permits for name, spec in permit.items()}


def counted(number: int, noun: str) -> str:
    """`1 client`, `2 clients`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _described(own: Own) -> str:
    names = ", ".join(name.rstrip(".") for name in own.client.names)
    return f"{names} from {own.source}, every {own.every:g} s"


def warnings(config: Config) -> list[str]:
    """What a careful person would not leave so."""
    found = [*others_can_read(config.path), *config.doubts]
    exposed = [listener for listener in config.listeners if not listener.tls and _is_public(listener)]
    found += [f"{url} is plain HTTP: whoever sees the traffic learns the keys; prefer https" for url in exposed]
    found += _about_acme(config, exposed)
    found += _about_proxies(config)
    found += _about_interfaces(config)
    if config.cert and not any(listener.tls for listener in config.listeners):
        found.append("cert and key are set, but https is not: nothing uses them")
    found += _about_status(config)
    if config.listeners and not (config.keyring.clients or config.permits.by_key or config.hooks.get_host):
        found.append("no clients: every request gets BADKEY")
    sources = [own.source for own in config.own]
    if any(url.startswith("http:") for source in sources if isinstance(source, Web) for url in source.urls):
        found.append("own asks over plain HTTP: whoever is on the way can choose the address; prefer https")
    return found


def _about_acme(config: Config, exposed: Sequence[Listener]) -> list[str]:
    """A certificate says of whoever has it that it is the host."""
    names, found = certified(config), []
    clients = [client for client in config.clients if client.prove]
    if proven := [name for client in clients for name in client.names if name.removeprefix("*.") in names]:
        found.append(
            f"acme: who has such a key can get the certificate that prove asks for: of {listed(proven)}; use a key of"
            " its own, and keep it where only the host reads it"
        )
    if names and exposed:
        found.append("acme over plain HTTP: whoever sees the traffic can get certificates; let these clients use https")
    return found


def _about_proxies(config: Config) -> list[str]:
    wide = [network for network in config.trusted_proxies if network.prefixlen < NARROW[network.version]]
    found = [
        f"trusted_proxies has {network}: whoever calls from there can choose addresses; name the proxy alone"
        for network in wide
    ]
    is_hidden = config.listeners and all(map(_is_loopback, config.listeners))
    if not config.trusted_proxies and not config.hooks.get_ip and is_hidden:
        found.append(
            "only this machine can call, and trusted_proxies is empty; if there is a proxy in front, name it: "
            'trusted_proxies = ["127.0.0.1", "::1"]'
        )
    return found


def _about_interfaces(config: Config) -> list[str]:
    """Those of own that this machine does not have: a typing mistake, or a line that is down."""
    there = sorted(path.name for path in INTERFACES.iterdir()) if INTERFACES.is_dir() else []
    missing = {own.source.name for own in config.own if isinstance(own.source, Interface)} - set(there)
    return (
        [f"own: there is no interface {name} now; there are: {', '.join(there)}" for name in missing] if there else []
    )


def _about_status(config: Config) -> list[str]:
    """The status listener speaks plain HTTP, and shows names to whoever has the token."""
    if not config.status:
        return ["status_token is set, but status is not: nothing uses it"] if config.status_token else []
    exposed = [listener for listener in config.status if config.status_token and not _is_loopback(listener)]
    return [f"status: {url} is plain HTTP: whoever sees the traffic learns status_token" for url in exposed]


def _without_token(config: Config) -> str:
    return "" if config.status_token else " (health alone: there is no status_token)"


def _is_loopback(listener: Listener) -> bool:
    return listener.host is not None and ip_address(listener.host).is_loopback


def _is_public(listener: Listener) -> bool:
    """Whether others than this machine and private networks reach it."""
    address = ip_address(listener.host or "0.0.0.0")
    return address.is_unspecified or not address.is_private
