"""Sockets and their limits: the only room with sockets. asyncio carries the connections."""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Iterable
from typing import Protocol

from .config import Listener
from .reply import Reply, render
from .request import BadRequest, Request, parse, split_head
from .tls import TLSLayer

log = logging.getLogger(__name__)

BACKLOG = 1024  # connections that the kernel holds while we are busy
HEAD_DEADLINE = 10.0  # seconds from the connection to a complete request, TLS handshake included
LINGER = 2.0  # seconds in which a client may still send what we will not read
SWEEP = 0.5  # seconds between two looks at the deadlines
MAX_CONNECTIONS = 8192
SPARE_FILES = 64  # descriptors kept for everything but connections


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
        self.answering: set[Connection] = set()
        self._expected: dict[Connection, float] = {}  # without a complete request → its deadline, oldest first
        self._lingering: dict[Connection, float] = {}
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.get_running_loop()
        self._sweeper = asyncio.create_task(self._sweep())
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = min(MAX_CONNECTIONS, max(soft - SPARE_FILES, 16))

    async def start(self, listeners: Iterable[Listener], reuse_port: bool) -> list[str]:
        """Accept connections on all of them; the URLs of what was bound. Raises CannotListen."""
        bound = [(one, listener.tls) for listener in listeners for one in bind(listener, reuse_port)]
        return [await self._listen(one, tls) for one, tls in bound]

    async def adopt(self, passed: Iterable[tuple[socket.socket, str]], listeners: Iterable[Listener]) -> list[str]:
        """Accept connections on sockets that were opened for us; the URLs.

        TLS is for those with `https` in their name, or with the port of a listener with TLS.
        """
        tls_ports = {listener.port for listener in listeners if listener.tls}
        return [await self._listen(one, "https" in name or one.getsockname()[1] in tls_ports) for one, name in passed]

    async def _listen(self, bound: socket.socket, tls: bool) -> str:
        if tls and self.context is None:
            raise CannotListen("https is wanted of a passed socket, but the conf has no key and cert")
        accept = self._accept_tls if tls else self._accept
        self._servers.append(await self._loop.create_server(accept, sock=bound, backlog=BACKLOG))
        host, port = bound.getsockname()[:2]
        return str(Listener(host, port, tls))

    def _accept(self) -> "Connection":
        return Connection(self, None)

    def _accept_tls(self) -> "Connection":
        assert self.context
        return Connection(self, TLSLayer(self.context))

    async def stop(self) -> None:
        """Accept no more, drop who has asked nothing yet, and finish what is in flight."""
        for server in self._servers:
            server.close()
        for connection in [*self._expected, *self._lingering]:
            connection.drop()
        while tasks := [connection.task for connection in self.answering if connection.task]:
            await asyncio.wait(tasks)
        self._sweeper.cancel()

    def expect(self, connection: "Connection") -> None:
        """A new connection has until its deadline; if there are too many, the one that waits longest goes."""
        self._expected[connection] = self._loop.time() + HEAD_DEADLINE
        if len(self._expected) + len(self._lingering) + len(self.answering) > self._limit:
            next(iter(self._lingering or self._expected)).drop()

    def complete(self, connection: "Connection") -> None:
        """The request is there."""
        self._expected.pop(connection, None)
        self.answering.add(connection)

    def linger(self, connection: "Connection") -> None:
        """The reply is sent; what still comes is thrown away until the client ends the connection."""
        self.forget(connection)
        self._lingering[connection] = self._loop.time() + LINGER

    def forget(self, connection: "Connection") -> None:
        """It is closed."""
        self._expected.pop(connection, None)
        self._lingering.pop(connection, None)
        self.answering.discard(connection)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now = self._loop.time()
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


class Connection(asyncio.Protocol):
    """One client: bytes in until they are a request, the reply out, the end."""

    def __init__(self, server: Server, tls: TLSLayer | None) -> None:
        self._server = server
        self._tls = tls
        self._received = b""
        self._more = False  # the client sent more than its request
        self._replied = False
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else "?"
        self._server.expect(self)

    def data_received(self, data: bytes) -> None:
        if self._replied:
            return
        if self.task:
            self._more = True
            self._transport.pause_reading()
            return
        text = self._decrypt(data) if self._tls else data
        if text:
            self._read(text)

    def eof_received(self) -> bool:
        """A client may end its side and still wait for the reply."""
        if self.task is None or self._replied:
            self.drop()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.forget(self)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        self._server.forget(self)
        self._transport.abort()

    def _decrypt(self, data: bytes) -> bytes:
        assert self._tls
        try:
            text = self._tls.receive(data)
        except ssl.SSLError as error:
            log.info("TLS with %s failed: %s", self._peer, error.reason)
            if error.reason == "HTTP_REQUEST":
                self._tls = None
                self._reply(self._server.door.refuse(BadRequest(400, "plain HTTP at an https port"), self._peer), None)
            else:
                self._transport.write(self._tls.to_send())  # the alert
                self._server.forget(self)
                self._transport.close()
            return b""
        self._transport.write(self._tls.to_send())
        return text

    def _read(self, text: bytes) -> None:
        self._received = (self._received + text).lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request
        try:
            head = split_head(self._received)
            if head is None:
                return
            request = parse(head)
        except BadRequest as error:
            self._more = True
            self._reply(self._server.door.refuse(error, self._peer), None)
            return
        self._more = request.has_body or len(self._received) > len(head)
        self._server.complete(self)
        self.task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        self._reply(await self._server.door.answer(request, self._peer), request)

    def _reply(self, reply: Reply, request: Request | None) -> None:
        self._replied = True
        if self._transport.is_closing():
            return
        octets = render(reply, request)
        self._transport.write(self._tls.to_send(octets) + self._tls.close() if self._tls else octets)
        self._server.linger(self)
        if self._more:  # closing with unread octets would reset the connection, and the reply with it
            self._transport.resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()
