"""The conf's `own`: the clients that sftdyn publishes by itself, and where their addresses come from. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from ..values.mistake import Mistake
from ..values.specs import AddressFunction, Client, Function, Interface, Own, Source, Web
from . import parsers
from .constructors import Constructor
from .providers import PROVIDERS, Resolver

EVERY = 300  # seconds between two looks at a source
NAME = re.compile(r"(?!\.{1,2}$)[^\s/:%@]{1,15}")  # as Linux has it: IFNAMSIZ is 16 with the null at the end
USUAL_PORTS = (80, 443)
MAX_URLS = 8  # that are asked at once
MAX_EVERY = 2**31 - 1  # seconds
EXAMPLE = 'Client("home.dyn.example", address=Interface("ppp0"))'


def source(value: object) -> Source:
    """What may stand for an address. Raises Mistake."""
    if isinstance(value, Source):
        return value
    if isinstance(value, Constructor):
        raise Mistake(f"the brackets are missing; write {EXAMPLES}")
    if callable(value):
        return AddressFunction(value)
    raise Mistake(f"write {EXAMPLES}")


def every(value: object) -> float:
    """Seconds between two looks at a source. Raises Mistake."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value <= MAX_EVERY:
        raise Mistake("write a number of seconds, 1 or more")
    return float(value)


def entries(value: object) -> tuple[Own, ...]:
    """What the conf writes behind `own`. Raises Mistake."""
    return tuple(_entry(number, item) for number, item in enumerate(parsers.several(value), 1))


def settle_own(own: Sequence[Own], clients: Iterable[Client], resolver: Resolver) -> tuple[Own, ...]:
    """The entries with their providers as they are meant, beside the conf's clients. Raises Mistake."""
    settled = tuple(_settled(number, entry, resolver) for number, entry in enumerate(own, 1))
    _look_for_others(settled, clients)
    _look_for_twins(settled)
    return settled


def _entry(number: int, value: object) -> Own:
    if isinstance(value, Client):
        raise Mistake(f"entry {number}: it does not say where its address comes from; write {EXAMPLE}")
    if not isinstance(value, Own):
        raise Mistake(f"entry {number}: no client, and no keys here; write own = [{EXAMPLE}]")
    return value


def _settled(number: int, own: Own, resolver: Resolver) -> Own:
    try:
        client = resolver.settle(own.client)
    except Mistake as mistake:
        raise Mistake(f"entry {number}: {mistake}") from None
    spec = client.provider or resolver.default
    if spec.passes_secret and not isinstance(spec, Function):
        raise Mistake(
            f"entry {number}: nobody calls with a token here, so the provider needs one of its own: "
            f"provider={PROVIDERS[type(spec).__name__]}"
        )
    return replace(own, client=client)


def _look_for_others(own: Sequence[Own], clients: Iterable[Client]) -> None:
    """Two who write one name would undo each other's work, again and again."""
    names = {name: number for number, entry in enumerate(own, 1) for name in _names(entry.client)}
    for client in clients if names else ():
        if met := names.keys() & set(_names(client)):
            number = min(names[name] for name in met)
            raise Mistake(f"entry {number}: a name that clients has, too; keep it in one of them")


def _look_for_twins(own: Sequence[Own]) -> None:
    met: set[tuple[str, int]] = set()
    for number, entry in enumerate(own, 1):
        sets = set(_record_sets(entry.client))
        if sets & met:
            raise Mistake(
                f"entry {number}: a name that an entry before it has, too; keep it in one of them, or give one "
                'networks=["0.0.0.0/0"], for IPv4 alone, and the other networks=["::/0"]'
            )
        met |= sets


def _names(client: Client) -> Iterator[str]:
    yield from client.names
    yield from (name for name, _ in client.lan)


def _record_sets(client: Client) -> Iterator[tuple[str, int]]:
    """The names with the versions of IP that may be published there."""
    versions = {network.version for network in client.networks} or {4, 6}
    yield from ((name, version) for name in client.names for version in versions)
    yield from ((name, 6) for name, _ in client.lan)


def _interface(names: tuple[object, ...]) -> str:
    [name] = names if len(names) == 1 else [None]
    front = name.partition("@")[0] if isinstance(name, str) and "@" in name else ""
    if NAME.fullmatch(front):
        raise Mistake(f'behind the @ is what it lies on; write the part in front of it: Interface("{front}")')
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Mistake(f"write the name of one interface, as `ip address` shows it: {INTERFACE}")
    return name


def _urls(urls: tuple[object, ...]) -> tuple[str, ...]:
    if not 1 <= len(urls) <= MAX_URLS:
        raise Mistake(f'write from 1 to {MAX_URLS} URLs: Web("https://ip.example/", "https://ip2.example/")')
    good = tuple(url for url in urls if parsers.is_url(url, ("http", "https")))
    if len(good) < len(urls):
        raise Mistake(f"write whole URLs, without user or fragment: {WEB}")
    if len(set(map(_server, good))) < len(good):
        raise Mistake("the same server twice, which always agrees with itself; name different ones")
    return good


def _server(url: str) -> tuple[str, int | None]:
    """Whom a URL asks, however it is written."""
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), None if parts.port in USUAL_PORTS else parts.port


INTERFACE = Constructor("Interface", '"ppp0"', Interface, nameless=_interface)
WEB = Constructor("Web", '"https://ip.example/"', Web, nameless=_urls)
EXAMPLES = f"{INTERFACE}, {WEB} or a function that returns addresses"
