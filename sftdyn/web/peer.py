"""Whose request is it? The peer's, or what trusted proxies say of it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..values.addresses import Address, Network, is_in, parse_address
from ..values.mistake import Mistake
from .request import Request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the client's address as far as it is known, and how the log calls it.

    `doubt` says why the address may be another's than the client's.
    """

    address: Address
    shown: str
    doubt: str = ""


def identify(peer: str, request: Request, trusted: Sequence[Network]) -> Caller:
    """Who sent the request that came from a socket's `peer`; proxies in `trusted` are believed."""
    address = peer_address(peer)
    if not trusted or not is_in(address, trusted):
        return Caller(address, peer)
    try:
        client = client_address(address, request.values("X-Forwarded-For"), trusted)
    except Mistake as mistake:
        return Caller(address, peer, str(mistake))
    return Caller(client, f"{client} via {peer}")


def peer_address(host: str) -> Address:
    """The address of a socket's peer, whose zone index the kernel writes behind a `%`."""
    return parse_address(host.partition("%")[0])


def client_address(peer: Address, forwarded: Iterable[str], trusted: Sequence[Network]) -> Address:
    """The client's address as its peer, and the proxies behind it, give it.

    `forwarded` are the X-Forwarded-For headers. Believed only from a trusted peer, they are one list; from
    its end, the first that is not itself a trusted proxy counts, and if all are, the first of the list.
    Raises Mistake for an entry that is no address on the way there.
    """
    if not is_in(peer, trusted):
        return peer
    address = peer
    for entry in reversed([entry for header in forwarded for entry in header.split(",")]):
        address = _hop(entry.strip())
        if not is_in(address, trusted):
            break
    return address


def _hop(entry: str) -> Address:
    """`ADDRESS`, `IPV4:PORT`, `[IPV6]` or `[IPV6]:PORT`, as proxies write them."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    try:
        return parse_address(entry)
    except Mistake:
        raise Mistake("an entry of X-Forwarded-For is no address") from None
