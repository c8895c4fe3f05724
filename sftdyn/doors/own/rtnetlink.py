"""What the kernel says of interfaces, addresses and routes, over rtnetlink: asked for, and heard when it changes.

Sources: netlink(7), rtnetlink(7), linux/if_addr.h. All numbers are in the machine's own order of octets.
"""

import asyncio
import errno
import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ...values.addresses import Address

HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface
ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
NUMBER = struct.Struct("=I")
ERRNO = struct.Struct("=i")
ROUTE = struct.Struct("=8BI")  # rtmsg: family, prefix length, six more of which the last is the type, flags

# Types of messages.
ERROR, DONE, NEW_ADDRESS, GET_ADDRESS, NEW_ROUTE, GET_ROUTE = 2, 3, 20, 22, 24, 26
# Flags of messages: a question; for all there are; what the answer tells has changed meanwhile.
REQUEST, DUMP, INTERRUPTED = 0x1, 0x300, 0x10
# Attributes of an address. On a point-to-point link the first is the other end's, and the second ours.
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
RTA_DST, RTN_UNICAST = 1, 1  # an attribute, and a type, of a route: where to; to another host
# Flags of an address. The first means something else with IPv4. One that somebody else has stays tentative.
TEMPORARY, DEPRECATED, TENTATIVE = 0x01, 0x20, 0x40
UNIVERSE = 0  # RT_SCOPE_UNIVERSE: neither of the link alone nor of this machine
# An option of the socket, and its level: the question may name an interface (NETLINK_GET_STRICT_CHK, Linux 4.20).
SOL_NETLINK, STRICT = 270, 12
# Groups that hear of changes: of links (RTMGRP_LINK), and of addresses (RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR).
CHANGES = 0x1 | 0x10 | 0x100

FAMILIES: dict[int, type[IPv4Address] | type[IPv6Address]] = {
    socket.AF_INET: IPv4Address,
    socket.AF_INET6: IPv6Address,
}

DATAGRAM = 65536  # octets: twice what the kernel puts into one
PATIENCE = 1.0  # seconds for what the kernel does at once
TRIES = 8  # to ask while addresses change
AT_ONCE = 100  # messages that are taken before others get a turn

NO_INTERFACE = "there is no such interface"
HINTS = {
    errno.EAFNOSUPPORT: "the kernel cannot be asked; the unit's RestrictAddressFamilies must have AF_NETLINK",
    errno.EINTR: "its addresses change faster than they can be read",
}

_numbers = itertools.count(1)


class Untold(Exception):
    """The kernel does not tell; the message is for the log."""


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


class Datagram(NamedTuple):
    """What one of an answer says."""

    assigned: list[Assigned]
    is_last: bool
    is_torn: bool  # addresses have changed since the first datagram: some may be missing


# Messages. Pure.


def question(sequence: int, interface: int) -> bytes:
    """What asks for all addresses of an interface; where the socket is not strict, for those of all interfaces."""
    header = HEADER.pack(HEADER.size + ADDRESS.size, GET_ADDRESS, REQUEST | DUMP, sequence, 0)
    return header + ADDRESS.pack(0, 0, 0, 0, interface)


def read(octets: bytes, sequence: int) -> Datagram:
    """A datagram of the answer to question number `sequence`. Raises OSError for the kernel's own error."""
    part = Datagram([], False, False)
    for kind, flags, number, body in _messages(octets):
        if number != sequence:
            continue
        if kind in (ERROR, DONE):
            _raise(body)
        if kind == NEW_ADDRESS and (assigned := _assigned(body)):
            part.assigned.append(assigned)
        part = part._replace(is_last=part.is_last or kind == DONE, is_torn=part.is_torn or bool(flags & INTERRUPTED))
    return part


def route_question(address: Address) -> bytes:
    """What asks how the kernel would send to an address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    octets = address.packed
    body = ROUTE.pack(family, address.max_prefixlen, *[0] * 7) + ATTRIBUTE.pack(4 + len(octets), RTA_DST) + octets
    return HEADER.pack(HEADER.size + len(body), GET_ROUTE, REQUEST, 1, 0) + body


def leads_elsewhere(octets: bytes) -> bool:
    """Whether the answer to it says: to another host."""
    kind = HEADER.unpack_from(octets)[1]
    return bool(kind != NEW_ROUTE or ROUTE.unpack_from(octets, HEADER.size)[7] == RTN_UNICAST)


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


# The kernel.


def stable_addresses(interface: str) -> list[Address]:
    """The addresses of an interface that are good for others to reach it. Raises Untold.

    The kernel answers at once: nothing waits.
    """
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        raise Untold(NO_INTERFACE) from None
    try:
        assigned = _ask_until_whole(index)
    except OSError as error:
        number = error.errno or 0
        raise Untold(HINTS.get(number, f"the kernel cannot be asked: {error.strerror or 'no answer'}")) from None
    return [one.address for one in assigned if one.interface == index and one.is_stable]


def _ask_until_whole(index: int) -> list[Assigned]:
    """Raises OSError."""
    with _socket() as kernel:
        kernel.settimeout(PATIENCE)
        with suppress(OSError):  # an old kernel tells of all interfaces
            kernel.setsockopt(SOL_NETLINK, STRICT, 1)
        for _ in range(TRIES):
            answer = _ask(kernel, index)
            if answer is not None:
                return answer
    raise OSError(errno.EINTR, "interrupted")


def _ask(kernel: socket.socket, index: int) -> list[Assigned] | None:
    """The addresses of an interface, at least; None if some changed meanwhile. Raises OSError."""
    sequence = next(_numbers) & 0xFFFFFFFF
    kernel.sendto(question(sequence, index), (0, 0))
    assigned: list[Assigned] = []
    is_last = is_torn = False
    while not is_last:
        part = read(kernel.recv(DATAGRAM), sequence)
        assigned += part.assigned
        is_last, is_torn = part.is_last, is_torn or part.is_torn
    return None if is_torn else assigned


def is_own(address: Address) -> bool:
    """Whether the kernel would not send to another host what is for this address; also if it does not say."""
    try:
        with _socket() as kernel:
            kernel.send(route_question(address))
            return not leads_elsewhere(kernel.recv(DATAGRAM))
    except OSError:  # a sandbox without AF_NETLINK
        return True


class Changes:
    """Hears from the kernel that links or addresses have changed. Made inside a running event loop. Raises OSError."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._socket = _socket(socket.SOCK_NONBLOCK)
        try:
            self._socket.bind((0, CHANGES))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def close(self) -> None:
        """Hear no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        """What has changed is not read: it is asked for afterwards, as a whole."""
        try:
            for _ in range(AT_ONCE):
                self._socket.recv(DATAGRAM)
        except BlockingIOError:
            pass
        except OSError:
            pass  # ENOBUFS: more has changed than there was room for
        self._tell()


def _socket(more: int = 0) -> socket.socket:
    """Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | more, socket.NETLINK_ROUTE)
