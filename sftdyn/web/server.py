"""Accepts connections, bounds their number and their time, and hands each request to the application."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from ..values.addresses import Network
from ..values.mistake import Mistake
from .connection import Connection, Respond
from .crowd import Crowd
from .listen import BACKLOG, Listening
from .peer import Caller, Proxies, identify, without_mapping
from .reading import TakesBody
from .reply import Reply
from .request import BadRequest, Request
from .tls import TLSLayer
from .turns import Turns, network_of

log = logging.getLogger(__name__)

AT_ONCE = 64  # connections that are accepted before others get a turn
GRACE = 0.3  # seconds for requests that are on their way when we stop
SWEEP = 0.5  # seconds between two looks at the deadlines
REST = 0.2  # seconds without accepting, when there are no descriptors left


class Application(Protocol):
    """Turns requests into replies, and writes the log line about each."""

    def answer(self, request: Request, caller: Caller, respond: Respond) -> None:
        """Call `respond` once, now or later."""

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to what is no request."""


class Server:
    """Listens, and gives each request to the door.

    `context`, for the listeners with TLS, and the proxies may be replaced at any time. `limit`: connections at once.
    `takes_body`: whether the body of a request with this head is wanted.
    """

    def __init__(
        self,
        application: Application,
        context: ssl.SSLContext | None,
        trusted_proxies: Sequence[Network],
        limit: int,
        takes_body: TakesBody = lambda _: False,
    ) -> None:
        self.context = context
        self.proxies = Proxies(trusted_proxies)
        self._application = application
        self.takes_body = takes_body
        self._loop = asyncio.get_running_loop()
        self._listening: list[Listening] = []
        self._crowd = Crowd(limit)
        self.moved = self._crowd.moved
        self.take_turn = Turns().take
        self._sweeper = self._loop.create_task(self._sweep())

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
        if self._crowd.reading():
            await asyncio.sleep(GRACE)
        for connection in self._crowd.reading():
            connection.drop()
        while not self._crowd.is_answered:
            self._crowd.all_answered.clear()
            await self._crowd.all_answered.wait()
        self._sweeper.cancel()

    def request(self, request: Request, peer: str, respond: Respond) -> None:
        """A connection has a complete request."""
        caller = identify(peer, request, self.proxies)
        who = network_of(peer if caller.shown == peer else str(caller.address))
        if self._crowd.ask(who):
            self._application.answer(request, caller, partial(self._respond, who, respond))
        else:
            respond(self.refuse(BadRequest(503, "too many requests are under way"), caller.shown))

    def _respond(self, who: str, respond: Respond, reply: Reply) -> None:
        self._crowd.asked(who)
        respond(reply)

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """A connection has something that is no request."""
        return self._application.refuse(error, peer)

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
            if self._crowd.is_too_large:
                self._crowd.drop_one()

    def _serve(self, accepted: socket.socket, peer: str, tls: bool) -> None:
        accepted.setblocking(False)
        layer = TLSLayer(self.context) if tls and self.context else None
        Connection(self._loop, accepted, peer, layer, self).start()

    def _rest(self, one: Listening, error: OSError) -> None:
        """No descriptors left: make room, and accept no more for a moment."""
        log.error("cannot accept a connection: %s", error.strerror)
        self._crowd.drop_one()
        self._loop.remove_reader(one.socket)
        self._loop.call_later(REST, self._resume, one)

    def _resume(self, one: Listening) -> None:
        if one in self._listening:
            self._loop.add_reader(one.socket, self._accept, one)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now = self._loop.time()
            for connection in self._crowd.overdue(now):
                connection.drop()
