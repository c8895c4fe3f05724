"""Asks the kernel for the addresses of interfaces, and hears from it when they change, over rtnetlink."""

import asyncio
import errno
import itertools
import socket
from collections.abc import Callable
from contextlib import suppress

from ...values.addresses import Address
from .netlink import CHANGES, SOL_NETLINK, STRICT, Assigned, question, read

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


class Unanswered(Exception):
    """The kernel does not tell; the message is for the log."""


def stable_addresses(interface: str) -> list[Address]:
    """The addresses of an interface that are good for others to reach it. Raises Unanswered.

    The kernel answers at once: nothing waits.
    """
    try:
        index = socket.if_nametoindex(interface)
    except OSError:
        raise Unanswered(NO_INTERFACE) from None
    try:
        assigned = _ask_until_whole(index)
    except OSError as error:
        number = error.errno or 0
        raise Unanswered(HINTS.get(number, f"the kernel cannot be asked: {error.strerror or 'no answer'}")) from None
    return [one.address for one in assigned if one.interface == index and one.is_stable]


def _ask_until_whole(index: int) -> list[Assigned]:
    """Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
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


class Changes:
    """Hears from the kernel that links or addresses have changed. Made inside a running event loop. Raises OSError."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
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
