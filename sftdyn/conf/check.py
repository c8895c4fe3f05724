"""What `sftdyn --check` says of a conf: what it means, and what is dangerous about it."""

from ipaddress import ip_address

from ..values.specs import Listener
from .clients import SAFE_KEY
from .config import Config

SHOWN = 5  # names in a warning


def describe(config: Config) -> list[str]:
    """What the conf means, and what is dangerous about it, a line each; without any key."""
    clients = config.keyring.clients.values()
    names = {name for client in clients for name in client.names}
    zones = ", ".join(zone.rstrip(".") for zone in config.zones) or "found by asking"
    who = "get_host decides" if config.hooks.get_host else f"{len(clients)}, with {len(names)} host names"
    return [
        f"conf: {config.path}",
        *(f"listens on: {listener}" for listener in config.listeners),
        f"updates: {config.primary}",
        f"zones: {zones}",
        f"clients: {who}",
        *(f"warning: {warning}" for warning in warnings(config)),
    ]


def warnings(config: Config) -> list[str]:
    """What a careful person would not leave so."""
    found = []
    if config.path.stat().st_mode & 0o004:
        found.append(f"everyone on this machine can read {config.path}; chmod o-r it, and let its group read it")
    if config.weak:
        shown = ", ".join(config.weak[:SHOWN]) + (" and others" if len(config.weak) > SHOWN else "")
        found.append(f"keys shorter than {SAFE_KEY} characters can be guessed: those of {shown}")
    exposed = [listener for listener in config.listeners if not listener.tls and _is_public(listener)]
    found += [f"{url} is plain HTTP: whoever sees the traffic learns the keys; prefer https" for url in exposed]
    if config.cert and not any(listener.tls for listener in config.listeners):
        found.append("cert and key are set, but https is not: nothing uses them")
    if not config.keyring.clients and not config.hooks.get_host:
        found.append("no clients: every request gets BADKEY")
    return found


def _is_public(listener: Listener) -> bool:
    """Whether others than this machine and private networks reach it."""
    address = ip_address(listener.host or "0.0.0.0")
    return address.is_unspecified or not address.is_private
