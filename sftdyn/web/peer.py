"""Whose request is it? The peer's, or what trusted proxies say of it. Pure.

Only X-Forwarded-For counts: a proxy appends to it whom it saw. `Forwarded` and X-Real-IP are never believed, since the
usual proxies pass on what a stranger wrote there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..values.addresses import Address, Network, is_in, parse_address
from ..values.mistake import Mistake
from .request import Request

CACHED = 4096  # peers and proxies; most come again every few minutes
FORWARDING = re.compile(rb"^(?:x-forwarded-for|forwarded|x-real-ip):", re.IGNORECASE | re.MULTILINE)

HOP = re.compile(r'\[([^\]]{1,45})\](?::\d+)?|([\d.]{7,15}):\d+|([^"\[]{2,45})')

NOBODY_TRUSTED = (
    "a proxy on this machine passed the request on, and trusted_proxies is empty: "
    'its own address is not the client\'s; set trusted_proxies = ["127.0.0.1", "::1"]'
)
NOBODY_NAMED = "the proxy, which is in trusted_proxies, names no client; let it send X-Forwarded-For"
ON_THIS_MACHINE = (
    "a request without an address came from this machine itself; if a proxy runs here, "
    "let it send X-Forwarded-For, and name it in trusted_proxies"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the client's address as far as it is known, and how the log calls it."""

    address: Address
    shown: str
    doubt: str = ""  # why the address is another's than the client's
    remark: str = ""  # what the log should say if the address is published all the same


def identify(peer: str, request: Request, trusted: "Proxies") -> Caller:
    """Who sent the request that came from a socket's `peer`."""
    caller = trusted.direct(peer)
    if caller.remark and FORWARDING.search(request.header_lines):
        return Caller(caller.address, peer, NOBODY_TRUSTED)
    if caller.shown:
        return caller
    elements = elements_of(request.values("X-Forwarded-For"))
    if not elements:
        return Caller(caller.address, peer, NOBODY_NAMED)
    try:
        client = trusted.client(elements)
    except Mistake as mistake:
        return Caller(caller.address, peer, str(mistake))
    return Caller(client, f"{client} via {peer}")


class Proxies:
    """The proxies whose word counts."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self.direct = lru_cache(CACHED)(self._direct)
        self._hop = lru_cache(CACHED)(self._read_hop)

    def client(self, elements: Sequence[str]) -> Address:
        """The client, as X-Forwarded-For names it: from the end, the first that is not itself a trusted proxy.

        If all are, the first of the list. Raises Mistake for an entry that is no address on the way there.
        """
        for element in reversed(elements):
            address, is_trusted = self._hop(element)
            if not is_trusted:
                break
        return address

    def _direct(self, peer: str) -> Caller:
        """The peer as the caller; without a name for the log if it is a trusted proxy."""
        address = peer_address(peer)
        if self._is_trusted(address):
            return Caller(address, "")
        is_here = not self._networks and address.is_loopback
        return Caller(address, peer, remark=ON_THIS_MACHINE if is_here else "")

    def _read_hop(self, element: str) -> tuple[Address, bool]:
        address = hop_address(element)
        return address, self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return is_in(address, self._networks)


def without_mapping(host: str) -> str:
    """A socket's peer; as IPv4 where inet_ntop(3) shows one of a socket for both families (RFC 4291, 2.5.5.2)."""
    return host.removeprefix("::ffff:") if "." in host else host


def peer_address(host: str) -> Address:
    """The address of a socket's peer, whose zone index the kernel writes behind a `%`."""
    return parse_address(host.partition("%")[0])


def elements_of(headers: Iterable[str]) -> list[str]:
    """The elements of a list that may be spread over several headers; empty ones do not count (RFC 9110, 5.6.1)."""
    elements = [element.strip() for header in headers for element in header.split(",")]
    return [element for element in elements if element]


def hop_address(element: str) -> Address:
    """`ADDRESS`, `IPV4:PORT`, `[IPV6]` or `[IPV6]:PORT`, in quotes or not, as proxies write them. Raises Mistake."""
    quoted = len(element) > 1 and element[0] == element[-1] == '"'
    form = HOP.fullmatch(element[1:-1] if quoted else element)
    try:
        return parse_address(form[1] or form[2] or form[3] if form else "")
    except Mistake:
        raise Mistake("an entry of X-Forwarded-For is no address") from None
