"""Addresses: which text is one, and which can be published. Pure."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import TypeAlias

from .mistake import Mistake
from .update import RRType

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

CACHED = 4096  # addresses; many come again every few minutes

# What means something in private networks only, or on one machine (RFC 1918, 6598, 6890). Of IPv6, all but what is
# given out for the whole world (RFC 4291, 2.4).
PRIVATE = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8"),
        *("169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "240.0.0.0/4"),
    )
)
GLOBAL_UNICAST = IPv6Network("2000::/3")

BROADCAST = IPv4Address("255.255.255.255")


@lru_cache(CACHED)
def parse_address(text: str) -> Address:
    """The address that `text` is, rebuilt from its number; an IPv4-mapped one is IPv4. Raises Mistake.

    The ipaddress module takes any text behind a `%`, line ends included: here that is no address.
    """
    try:
        if "%" in text:
            raise ValueError
        address = ip_address(text)
    except ValueError:
        raise Mistake("not an address") from None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return IPv4Address(int(address))


@lru_cache(CACHED)
def as_record(address: Address) -> tuple[RRType, str]:
    """Type and text of the record that holds an address. Raises Mistake if it cannot be a host's own everywhere."""
    for is_so, kind in (
        (address.is_unspecified, "the unspecified address"),
        (address.is_multicast, "a multicast address"),
        (address.is_link_local, "a link-local address"),
        (address == BROADCAST, "the broadcast address"),
    ):
        if is_so:
            raise Mistake(f"{kind} cannot be published")
    return "A" if address.version == 4 else "AAAA", str(address)


def is_private(address: Address) -> bool:
    """Whether it means something in private networks only, or on this machine."""
    return address not in GLOBAL_UNICAST if isinstance(address, IPv6Address) else is_in(address, PRIVATE)


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of `networks` has the address."""
    return any(address in network for network in networks)
