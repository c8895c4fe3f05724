"""Messages of rtnetlink: the question for the addresses of an interface, and the kernel's answer. Pure.

Sources: netlink(7), rtnetlink(7), linux/if_addr.h. All numbers are in the machine's own order of octets.
"""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ...values.addresses import Address

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
NUMBER = struct.Struct("=I")
ERRNO = struct.Struct("=i")

# Types of messages.
ERROR, DONE, NEW_ADDRESS, GET_ADDRESS = 2, 3, 20, 22
# Flags of messages: a question; for all there are; what the answer tells has changed meanwhile.
REQUEST, DUMP, INTERRUPTED = 0x1, 0x300, 0x10
# Attributes of an address. On a point-to-point link the first is the other end's, and the second ours.
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
# Flags of an address. The first means something else with IPv4. One that somebody else has stays tentative.
TEMPORARY, DEPRECATED, TENTATIVE = 0x01, 0x20, 0x40
UNIVERSE = 0  # RT_SCOPE_UNIVERSE: neither of the link alone nor of this machine
# An option of the socket, and its level: the question may name an interface (NETLINK_GET_STRICT_CHK, Linux 4.20).
SOL_NETLINK, STRICT = 270, 12
# Groups that hear of changes: of links (RTMGRP_LINK), and of addresses (RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR).
CHANGES = 0x1 | 0x10 | 0x100

FAMILIES: dict[int, type[IPv4Address] | type[IPv6Address]] = {2: IPv4Address, 10: IPv6Address}  # AF_INET, AF_INET6


class Assigned(NamedTuple):
    """An address of an interface, known by its index."""

    interface: int
    address: Address
    scope: int
    flags: int

    @property
    def is_stable(self) -> bool:
        """Whether it is good for others to reach this machine, now and for longer (RFC 4862, 5.5; RFC 8981)."""
        bad = DEPRECATED | TENTATIVE | (TEMPORARY if self.address.version == 6 else 0)
        return self.scope == UNIVERSE and not self.flags & bad


class Part(NamedTuple):
    """What one datagram of an answer says."""

    assigned: list[Assigned]
    is_last: bool
    is_torn: bool  # addresses have changed since the first datagram: some may be missing


def question(sequence: int, interface: int) -> bytes:
    """What asks for all addresses of an interface; where the socket is not strict, for those of all interfaces."""
    header = HEADER.pack(HEADER.size + ADDRESS.size, GET_ADDRESS, REQUEST | DUMP, sequence, 0)
    return header + ADDRESS.pack(0, 0, 0, 0, interface)


def read(octets: bytes, sequence: int) -> Part:
    """A datagram of the answer to question number `sequence`. Raises OSError for the kernel's own error."""
    part = Part([], False, False)
    for kind, flags, number, body in _messages(octets):
        if number != sequence:
            continue
        if kind in (ERROR, DONE):
            _raise(body)
        if kind == NEW_ADDRESS and (assigned := _assigned(body)):
            part.assigned.append(assigned)
        part = part._replace(is_last=part.is_last or kind == DONE, is_torn=part.is_torn or bool(flags & INTERRUPTED))
    return part


def _messages(octets: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence and body of each."""
    while len(octets) >= HEADER.size:
        length, kind, flags, sequence, _ = HEADER.unpack_from(octets)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, octets[HEADER.size : length]
        octets = octets[_aligned(length) :]


def _raise(body: bytes) -> None:
    """Both an error and the end of an answer begin with an errno, negative, or 0."""
    if len(body) >= ERRNO.size and (number := -ERRNO.unpack_from(body)[0]):
        raise OSError(number, "the kernel refuses the question")


def _assigned(body: bytes) -> Assigned | None:
    """None for a family without addresses that we know."""
    if len(body) < ADDRESS.size:
        return None
    family, _, flags, scope, interface = ADDRESS.unpack_from(body)
    attributes = dict(_attributes(body[ADDRESS.size :]))
    octets = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
    if family not in FAMILIES or octets is None:
        return None
    if IFA_FLAGS in attributes:  # all of them: the field above has room for eight
        [flags] = NUMBER.unpack(attributes[IFA_FLAGS])
    return Assigned(interface, FAMILIES[family](octets), scope, flags)


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(octets)
        if length < ATTRIBUTE.size:
            return
        yield kind, octets[ATTRIBUTE.size : length]
        octets = octets[_aligned(length) :]


def _aligned(length: int) -> int:
    """To four octets."""
    return (length + 3) & ~3
