"""Sockets to listen on: opened here, or passed by systemd."""

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from ..values.mistake import Mistake
from ..values.specs import Listener

BACKLOG = 4096  # connections that the kernel holds while we are busy; more than its somaxconn makes no difference
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
HINTS = {
    errno.EADDRINUSE: "another program has this port; stop it, or choose another",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one",
    errno.EADDRNOTAVAIL: "this machine does not have the address",
}


class CannotListen(Exception):
    """An address cannot be listened on; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A bound socket, and whether its clients speak TLS."""

    socket: socket.socket
    tls: bool
    reason: str = ""  # why it speaks TLS or does not, where systemd opened it

    def __str__(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"{Listener(host, port, self.tls)}{self.reason and f' ({self.reason})'}"


def open_sockets(listeners: Iterable[Listener], reuse_port: bool) -> list[Listening]:
    """Bound sockets for all listeners. Raises CannotListen."""
    return [Listening(bound, listener.tls) for listener in listeners for bound in bind(listener, reuse_port)]


def choose_tls(passed: Iterable[tuple[socket.socket, str]], listeners: Iterable[Listener]) -> list[Listening]:
    """Which of the sockets that were opened for us, with their names, speak TLS.

    It is for those with `https` in their name, or with the port of a listener with TLS. Raises Mistake if the conf
    wants TLS and none is such a one: keys would go in the clear over a port that everybody takes for HTTPS.
    """
    passed = list(passed)
    if any(one.family not in (socket.AF_INET, socket.AF_INET6) for one, _ in passed):
        raise Mistake("a socket that systemd passed is neither of IPv4 nor of IPv6; write ports as ListenStream=")
    tls_ports = {listener.port for listener in listeners if listener.tls}
    chosen = [_choose(one, name, tls_ports) for one, name in passed]
    if tls_ports and not any(one.tls for one in chosen):
        ports = ", ".join(str(one.getsockname()[1]) for one, _ in passed)
        raise Mistake(
            f"https: no socket that systemd passed (port {ports}) is for TLS; write one of these ports as https, "
            "the right one as ListenStream= in sftdyn.socket, or FileDescriptorName=https in a socket unit of its own"
        )
    return chosen


def _choose(passed: socket.socket, name: str, tls_ports: set[int]) -> Listening:
    if "https" in name:
        return Listening(passed, True, "passed by systemd, TLS by its name")
    if passed.getsockname()[1] in tls_ports:
        return Listening(passed, True, "passed by systemd, TLS by its port")
    return Listening(passed, False, "passed by systemd, no TLS")


def bind(listener: Listener, reuse_port: bool = False) -> list[socket.socket]:
    """Sockets for a listener: two for a bare port, or one where the machine has no IPv6. Raises CannotListen."""
    if listener.host:
        return [_bind(listener, listener.host, listener.port, reuse_port)]
    first = _bind(listener, "0.0.0.0", listener.port, reuse_port)
    try:
        return [first, _bind(listener, "::", first.getsockname()[1], reuse_port)]
    except CannotListen as problem:
        if isinstance(problem.__cause__, OSError) and problem.__cause__.errno in NO_IPV6:
            return [first]
        first.close()
        raise


def _bind(listener: Listener, host: str, port: int, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"cannot listen on {listener}: {error.strerror}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        hint = HINTS.get(error.errno or 0, error.strerror)
        raise CannotListen(f"cannot listen on {Listener(host, port, listener.tls)}: {hint}") from error
    return bound
