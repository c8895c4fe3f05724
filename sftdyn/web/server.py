"""Sockets and their limits: the only room with sockets that clients talk to.

asyncio's loop says when a socket is ready; its transports, made for long conversations, would cost more here than
all the rest: most requests are complete when the connection is accepted, and then take two system calls.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Iterable
from typing import Protocol

from ..values.specs import Listener
from .reply import Reply, render
from .request import MAX_HEAD, BadRequest, Request, parse, split_head
from .tls import TLSLayer

log = logging.getLogger(__name__)

BACKLOG = 1024  # connections that the kernel holds while we are busy
AT_ONCE = 64  # connections that are accepted before others get a turn
HEAD_DEADLINE = 10.0  # seconds from the connection to a complete request, TLS handshake included
LINGER = 2.0  # seconds in which the reply must be taken, and a client may still send what we will not read
GRACE = 0.3  # seconds for requests that are on their way when we stop
SWEEP = 0.5  # seconds between two looks at the deadlines
MAX_CONNECTIONS = 8192
SPARE_FILES = 64  # descriptors kept for everything but connections
REST = 0.2  # seconds without accepting, when there are no descriptors left


class Door(Protocol):
    """Turns requests into replies, and writes the log line about each."""

    async def answer(self, request: Request, peer: str) -> Reply: ...

    def refuse(self, error: BadRequest, peer: str) -> Reply: ...


class CannotListen(Exception):
    """An address cannot be listened on; the message says which, and why."""


class Server:
    """Listens, and gives each request to the door. `context` is for the listeners with TLS."""

    def __init__(self, door: Door, context: ssl.SSLContext | None) -> None:
        self.door = door
        self.context = context
        self.loop = asyncio.get_running_loop()
        self._listening: list[tuple[socket.socket, bool]] = []  # with TLS?
        self._expected: dict[Connection, float] = {}  # without a complete request → its deadline, oldest first
        self._answering: set[Connection] = set()
        self._lingering: dict[Connection, float] = {}  # with a reply under way → its deadline
        self._sweeper = self.loop.create_task(self._sweep())
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = min(MAX_CONNECTIONS, max(soft - SPARE_FILES, 16))

    def start(self, listeners: Iterable[Listener], reuse_port: bool) -> list[str]:
        """Accept connections on all of them; the URLs of what was bound. Raises CannotListen."""
        bound = [(one, listener.tls) for listener in listeners for one in bind(listener, reuse_port)]
        return [self._listen(one, tls) for one, tls in bound]

    def adopt(self, passed: Iterable[tuple[socket.socket, str]], listeners: Iterable[Listener]) -> list[str]:
        """Accept connections on sockets that were opened for us; the URLs.

        TLS is for those with `https` in their name, or with the port of a listener with TLS.
        """
        tls_ports = {listener.port for listener in listeners if listener.tls}
        return [self._listen(one, "https" in name or one.getsockname()[1] in tls_ports) for one, name in passed]

    def _listen(self, bound: socket.socket, tls: bool) -> str:
        if bound.family not in (socket.AF_INET, socket.AF_INET6):
            raise CannotListen("a passed socket is neither of IPv4 nor of IPv6")
        if tls and self.context is None:
            raise CannotListen("https is wanted of a passed socket, but the conf has no key and cert")
        bound.listen(BACKLOG)
        self._listening.append((bound, tls))
        self.loop.add_reader(bound, self._accept, bound, tls)
        host, port = bound.getsockname()[:2]
        return str(Listener(host, port, tls))

    async def stop(self) -> None:
        """Accept no more, drop who has asked nothing yet, and finish what is in flight."""
        listening, self._listening = self._listening, []
        for bound, tls in listening:
            self._accept(bound, tls)  # who is at the door already
            self.loop.remove_reader(bound)
            bound.close()
        if self._expected:
            await asyncio.sleep(GRACE)
        for connection in list(self._expected):
            connection.drop()
        while tasks := [c.task for c in self._answering if c.task and not c.task.done()]:
            await asyncio.wait(tasks)
        self._sweeper.cancel()

    def _accept(self, bound: socket.socket, tls: bool) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, address = bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(bound, tls, error)
                return
            accepted.setblocking(False)
            layer = TLSLayer(self.context) if tls and self.context else None
            connection = Connection(self, accepted, address[0], layer)
            connection.read()
            if len(self._expected) + len(self._answering) + len(self._lingering) > self._limit:
                self._drop_one()

    def _drop_one(self) -> None:
        """Too many connections: the one that waits longest for its client goes, not the newcomer."""
        if waiting := next(iter(self._lingering or self._expected), None):
            waiting.drop()

    def _rest(self, bound: socket.socket, tls: bool, error: OSError) -> None:
        """No descriptors left: make room, and accept no more for a moment."""
        log.error("cannot accept a connection: %s", error.strerror)
        self._drop_one()
        self.loop.remove_reader(bound)
        self.loop.call_later(REST, self._resume, bound, tls)

    def _resume(self, bound: socket.socket, tls: bool) -> None:
        if (bound, tls) in self._listening:
            self.loop.add_reader(bound, self._accept, bound, tls)

    def expect(self, connection: "Connection") -> None:
        """There is no complete request yet: its time runs."""
        self._expected.setdefault(connection, self.loop.time() + HEAD_DEADLINE)

    def answer(self, connection: "Connection") -> None:
        """The request is complete."""
        self._expected.pop(connection, None)
        self._answering.add(connection)

    def linger(self, connection: "Connection") -> None:
        """The reply is under way, and the client may take it, or send on, until the deadline."""
        self.forget(connection)
        self._lingering[connection] = self.loop.time() + LINGER

    def has_replied(self, connection: "Connection") -> bool:
        """Whether its reply is under way."""
        return connection in self._lingering

    def forget(self, connection: "Connection") -> None:
        """It is closed."""
        self._expected.pop(connection, None)
        self._answering.discard(connection)
        self._lingering.pop(connection, None)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now = self.loop.time()
            for table in (self._expected, self._lingering):
                for connection in [c for c, deadline in table.items() if deadline < now]:
                    connection.drop()


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


NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


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
        hint = {
            errno.EADDRINUSE: "another program has this port; stop it, or choose another",
            errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher one",
            errno.EADDRNOTAVAIL: "this machine does not have the address",
        }.get(error.errno or 0, error.strerror)
        raise CannotListen(f"cannot listen on {Listener(host, port, listener.tls)}: {hint}") from error
    return bound


class Connection:
    """One client: octets in until they are a request, the reply out, the end."""

    __slots__ = ("_outgoing", "_peer", "_received", "_server", "_socket", "_tls", "_watched", "task")

    def __init__(self, server: Server, accepted: socket.socket, peer: str, tls: TLSLayer | None) -> None:
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self._socket = accepted
        self._peer = peer
        self._tls = tls
        self._received = b""
        self._outgoing = b""
        self._watched = False  # whether the loop tells us of new octets

    def read(self) -> None:
        """Take what the client has sent."""
        try:
            octets = self._socket.recv(4 * MAX_HEAD)
        except (BlockingIOError, InterruptedError):
            self._watch(True)
            self._server.expect(self)
            return
        except OSError:
            octets = b""
        if not octets:  # it left, or says no more: an incomplete request stays so
            self.drop()
            return
        text = self._decrypt(octets) if self._tls else octets
        if text:
            self._take(text)
        elif self._socket.fileno() >= 0:
            self._watch(True)
            self._server.expect(self)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        self._server.forget(self)
        if self._socket.fileno() >= 0:
            self._watch(False)
            if self._outgoing:
                self._server.loop.remove_writer(self._socket)
            self._socket.close()

    def _watch(self, wanted: bool) -> None:
        if wanted and not self._watched:
            self._server.loop.add_reader(self._socket, self.read)
        elif self._watched and not wanted:
            self._server.loop.remove_reader(self._socket)
        self._watched = wanted

    def _decrypt(self, octets: bytes) -> bytes:
        assert self._tls
        try:
            text = self._tls.receive(octets)
            self._send(self._tls.to_send())
            return text
        except ssl.SSLError as error:
            log.debug("TLS with %s failed: %s", self._peer, error.reason)
            if error.reason == "HTTP_REQUEST":
                self._tls = None
                self._refuse(BadRequest(400, "plain HTTP at an https port"))
            else:
                self._send(self._tls.to_send())  # the alert
                self.drop()
        return b""

    def _take(self, text: bytes) -> None:
        self._received = (self._received + text).lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request
        try:
            head = split_head(self._received)
            if head is None:
                self._watch(True)
                self._server.expect(self)
                return
            request = parse(head)
        except BadRequest as error:
            self._refuse(error)
            return
        self._received = b""
        self._watch(False)
        self._server.answer(self)
        self.task = self._server.loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._server.door.answer(request, self._peer)
        except BaseException:
            self.drop()
            raise
        self._reply(reply, request)

    def _refuse(self, error: BadRequest) -> None:
        self._received = b""
        self._watch(False)
        self._reply(self._server.door.refuse(error, self._peer), None)

    def _reply(self, reply: Reply, request: Request | None) -> None:
        octets = render(reply, request)
        self._server.linger(self)
        self._send(self._tls.to_send(octets) + self._tls.close() if self._tls else octets)
        if not self._outgoing:
            self._part()

    def _send(self, octets: bytes) -> None:
        if not octets:
            return
        try:
            sent = 0 if self._outgoing else self._socket.send(octets)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.drop()
            return
        if sent < len(octets):
            self._outgoing += octets[sent:]
            self._server.loop.add_writer(self._socket, self._send_more)

    def _send_more(self) -> None:
        octets, self._outgoing = self._outgoing, b""
        self._server.loop.remove_writer(self._socket)
        self._send(octets)
        if not self._outgoing and self._server.has_replied(self):
            self._part()

    def _part(self) -> None:
        """Close; first take what the client still sends, or the kernel would reset the connection and the reply."""
        try:
            if self._socket.recv(4 * MAX_HEAD):
                self._socket.shutdown(socket.SHUT_WR)
                self._server.loop.add_reader(self._socket, self._throw_away)
                self._watched = True
                return
        except OSError:
            pass
        self.drop()

    def _throw_away(self) -> None:
        try:
            if self._socket.recv(4 * MAX_HEAD):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.drop()
