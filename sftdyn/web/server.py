"""Accepts connections, bounds their number and their time, and hands each request to the door."""

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Protocol

from ..values.addresses import Network
from ..values.mistake import Mistake
from .connection import Connection, Respond, State
from .listen import BACKLOG, Listening
from .peer import Caller, Proxies, identify, without_mapping
from .reply import Reply
from .request import BadRequest, Request
from .tls import TLSLayer

log = logging.getLogger(__name__)

AT_ONCE = 64  # connections that are accepted before others get a turn
GRACE = 0.3  # seconds for requests that are on their way when we stop
SWEEP = 0.5  # seconds between two looks at the deadlines
MAX_CONNECTIONS = 8192
SPARE_FILES = 64  # descriptors kept for everything but connections
REST = 0.2  # seconds without accepting, when there are no descriptors left


class Door(Protocol):
    """Turns requests into replies, and writes the log line about each."""

    def answer(self, request: Request, caller: Caller, respond: Respond) -> None:
        """Call `respond` once, now or later."""

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to what is no request."""


class Server:
    """Listens, and gives each request to the door.

    `context`, for the listeners with TLS, and the proxies may be replaced at any time.
    """

    def __init__(self, door: Door, context: ssl.SSLContext | None, trusted_proxies: Sequence[Network]) -> None:
        self.context = context
        self.proxies = Proxies(trusted_proxies)
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._listening: list[Listening] = []
        self._waiting: dict[Connection, None] = {}  # for their client, the longest first
        self._answering: set[Connection] = set()
        self._all_answered = asyncio.Event()
        self._sweeper = self._loop.create_task(self._sweep())
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = min(MAX_CONNECTIONS, max(soft - SPARE_FILES, 16))

    def listen(self, sockets: Iterable[Listening]) -> list[str]:
        """Accept connections on these; their URLs, for the log. Raises Mistake."""
        for one in sockets:
            if one.tls and self.context is None:
                raise Mistake(
                    "a socket that systemd passed is for https by its name, but the conf has no certificate; "
                    'add key = "server.key" and cert = "server.crt"'
                )
            one.socket.listen(BACKLOG)
            self._listening.append(one)
            self._loop.add_reader(one.socket, self._accept, one)
        return [str(one) for one in self._listening]

    async def stop(self) -> None:
        """Accept no more, drop who has asked nothing yet, and finish what is in flight."""
        listening, self._listening = self._listening, []
        for one in listening:
            for _ in range(BACKLOG // AT_ONCE):
                self._accept(one)  # who is at the door already
            self._loop.remove_reader(one.socket)
            one.socket.close()
        if self._reading():
            await asyncio.sleep(GRACE)
        for connection in self._reading():
            connection.drop()
        while self._answering:
            self._all_answered.clear()
            await self._all_answered.wait()
        self._sweeper.cancel()

    def _reading(self) -> list[Connection]:
        return [connection for connection in self._waiting if connection.state is State.READING]

    def request(self, request: Request, peer: str, respond: Respond) -> None:
        """A connection has a complete request."""
        self._door.answer(request, identify(peer, request, self.proxies), respond)

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """A connection has something that is no request."""
        return self._door.refuse(error, peer)

    def moved(self, connection: Connection) -> None:
        """Keep account of the connection's new state."""
        self._waiting.pop(connection, None)
        if connection.state is State.ANSWERING:
            self._answering.add(connection)
            return
        self._answering.discard(connection)
        if connection.state is not State.CLOSED:
            self._waiting[connection] = None
        if not self._answering:
            self._all_answered.set()

    def _accept(self, one: Listening) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, address = one.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(one, error)
                return
            self._serve(accepted, without_mapping(address[0]), one.tls)
            if len(self._waiting) + len(self._answering) > self._limit:
                self._drop_one()

    def _serve(self, accepted: socket.socket, peer: str, tls: bool) -> None:
        accepted.setblocking(False)
        layer = TLSLayer(self.context) if tls and self.context else None
        Connection(self._loop, accepted, peer, layer, self).start()

    def _drop_one(self) -> None:
        """Too many connections: the one that waits longest for its client goes, not the newcomer."""
        if longest := next(iter(self._waiting), None):
            longest.drop()

    def _rest(self, one: Listening, error: OSError) -> None:
        """No descriptors left: make room, and accept no more for a moment."""
        log.error("cannot accept a connection: %s", error.strerror)
        self._drop_one()
        self._loop.remove_reader(one.socket)
        self._loop.call_later(REST, self._resume, one)

    def _resume(self, one: Listening) -> None:
        if one in self._listening:
            self._loop.add_reader(one.socket, self._accept, one)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now = self._loop.time()
            for connection in [one for one in self._waiting if one.deadline < now]:
                connection.drop()
