"""The conf's `own`: the clients that sftdyn publishes by itself. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..values.mistake import Mistake
from ..values.specs import Client, Cloudflare, Desec, Own
from . import sources
from .clients import make_client, settle
from .parsers import several
from .providers import Resolver

EVERY = 300  # seconds between two looks at a source
EXAMPLE = 'Client("home.dyn.example", address=Interface("ppp0"))'


def make_client_or_own(*names: object, address: object = None, every: object = None, **more: object) -> Client | Own:
    """`Client("home.dyn.example", …)` of the conf; with `address` one that is for `own`. Raises Mistake."""
    client = make_client(*names, **more)
    if address is not None:
        if client.prove:
            raise Mistake("prove: for clients only; what sftdyn finds by itself is not proven, so leave it out")
        return Own(client, sources.source(address), sources.every(EVERY if every is None else every))
    if every is not None:
        raise Mistake('every: how often own looks at an address; say at which: address=Interface("ppp0")')
    return client


def entries(value: object) -> tuple[Own, ...]:
    """What the conf writes behind `own`. Raises Mistake."""
    return tuple(_entry(number, item) for number, item in enumerate(several(value), 1))


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
        client = settle(own.client, resolver)
    except Mistake as mistake:
        raise Mistake(f"entry {number}: {mistake}") from None
    spec = client.provider or resolver.default
    if isinstance(spec, Cloudflare | Desec) and spec.passes_secret:
        raise Mistake(
            f"entry {number}: nobody calls with a token here, so the provider needs one of its own: "
            f'provider={type(spec).__name__}(token_file="{type(spec).__name__.lower()}.token")'
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
