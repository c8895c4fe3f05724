"""One client's connection: octets in until they are a request, the reply out, the end.

Rule 1. A connection is in one phase, and goes through them in this order only, skipping what it does not need:

    READING    the request is incomplete, or the TLS handshake is, or waits for its turn
    ANSWERING  the request is with the door; nothing is read meanwhile
    CLOSING    the reply is under way, or the client still sends what nobody will read
    CLOSED     the socket is gone

Rule 2. Each phase in which we wait for the client has a deadline; whoever misses it is dropped without a word.
In ANSWERING the client waits for us, and the door has a deadline of its own.

Rule 3. The loop calls `_ready` when the socket has octets or takes some; the phase says what that means.

Rule 4. Most requests are complete when the connection is accepted. They take an accept, a receive, a send and a
close: asyncio's transports, made for long conversations, would cost more than all the rest.

Rule 5. A reply is lost if the kernel resets the connection, and it does so when a socket is closed with octets that
were not read. So what a client still sends is read and thrown away before the end.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, TypeAlias

from .reading import MAX_HEAD, Reading
from .reply import Reply, render
from .request import BadRequest, Request
from .tls import TLSLayer, TooLong

log = logging.getLogger(__name__)

HEAD_DEADLINE = 10.0  # seconds from the connection to a complete request, TLS handshake included
LINGER = 2.0  # seconds in which the reply must be taken, and a client may still send what we will not read
SLOWEST = 10_000  # octets per second that a large reply must be taken with, besides
CHUNK = 4 * MAX_HEAD  # octets that are received at once

Respond: TypeAlias = Callable[[Reply], None]


class Phase(Enum):
    """Where a connection is on its way; see Rule 1."""

    READING = auto()
    ANSWERING = auto()
    CLOSING = auto()
    CLOSED = auto()


class Handler(Protocol):
    """What becomes of requests, and who keeps account of connections."""

    def request(self, request: Request, peer: str, respond: Respond) -> None:
        """Answer, now or later, by calling `respond` once."""

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to what is no request."""

    def takes_body(self, request: Request, /) -> bool:
        """Whether the body of a request with this head, a POST, is wanted."""

    def take_turn(self, peer: str, work: Callable[[], None]) -> None:
        """Do a step of a handshake, now or later."""

    def moved(self, connection: "Connection") -> None:
        """The connection is in another phase."""


class Connection:
    """A client that was accepted. `tls` is None for plain HTTP."""

    __slots__ = (
        "_handler",
        "_loop",
        "_outgoing",
        "_peer",
        "_reading",
        "_socket",
        "_tls",
        "_watched",
        "deadline",
        "phase",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        accepted: socket.socket,
        peer: str,
        tls: TLSLayer | None,
        handler: Handler,
    ) -> None:
        self.phase = Phase.READING
        self.deadline = loop.time() + HEAD_DEADLINE
        self._loop = loop
        self._socket = accepted
        self._peer = peer
        self._tls = tls
        self._handler = handler
        self._reading = Reading(handler.takes_body)
        self._outgoing = b""
        self._watched = False

    def start(self) -> None:
        """Read what is there already; wait for more if that is no request yet."""
        self._read()
        if self.phase is Phase.READING:
            self._handler.moved(self)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        if self.phase is Phase.CLOSED:
            return
        if self._watched:
            self._watch(False)
        if self._outgoing:
            self._loop.remove_writer(self._socket)
        self._socket.close()
        self._move(Phase.CLOSED)

    def _watch(self, wanted: bool) -> None:
        """Whether the loop shall tell of new octets."""
        if wanted and not self._watched:
            self._loop.add_reader(self._socket, self._ready)
        elif self._watched and not wanted:
            self._loop.remove_reader(self._socket)
        self._watched = wanted

    def _move(self, phase: Phase, deadline: float = float("inf")) -> None:
        self.phase = phase
        self.deadline = deadline
        self._handler.moved(self)

    def _ready(self) -> None:
        if self.phase is Phase.READING:
            self._read()
        elif self.phase is Phase.CLOSING:
            self._throw_away()

    def _read(self) -> None:
        try:
            octets = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            self._watch(True)
            return
        except OSError:
            octets = b""
        if not octets:  # it left, or says no more: an incomplete request stays so
            self._leave()
            return
        if self._tls and not self._tls.established:
            if self._feed(self._tls, octets):
                self._watch(False)
                self._handler.take_turn(self._peer, self._shake_hands)
                return
        elif self._tls:
            self._tls.feed(octets)
            self._decrypt(self._tls)
        else:
            self._understand(octets)
        if self.phase is Phase.READING:
            self._watch(True)

    def _leave(self) -> None:
        """The client has; after our half of a handshake that is how many say that they want none of it."""
        if self._tls and self._tls.hello and not self._tls.established:
            self._tell_failure(self._tls, "the client left")
        self.drop()

    def _feed(self, tls: TLSLayer, octets: bytes) -> bool:
        try:
            return tls.feed(octets)
        except TooLong:
            self._give_up(tls, "too long")
            return False

    def _shake_hands(self) -> None:
        """It is our turn."""
        if self._tls and self.phase is Phase.READING:
            self._decrypt(self._tls)
        if self.phase is Phase.READING:
            self._watch(True)

    def _decrypt(self, tls: TLSLayer) -> None:
        try:
            text = tls.read()
            self._send(tls.to_send())
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._tls = None
                self._refuse(BadRequest(400, "plain HTTP at an https port"))
            else:
                self._send(tls.to_send())  # the alert
                self._give_up(tls, str(error.reason).lower().replace("_", " "))
        except TooLong:
            self._give_up(tls, "too long")
        else:
            if text and self.phase is Phase.READING:
                self._understand(text)

    def _give_up(self, tls: TLSLayer, reason: str) -> None:
        if not tls.established:
            self._tell_failure(tls, reason)
        self.drop()

    def _tell_failure(self, tls: TLSLayer, reason: str) -> None:
        """As of what is no request, but that nobody could read a reply."""
        offer = f" ({tls.hello})" if tls.hello else ""
        self._handler.refuse(BadRequest(400, f"no TLS handshake: {reason}{offer}"), self._peer)

    def _understand(self, text: bytes) -> None:
        try:
            request = self._reading.feed(text)
        except BadRequest as error:
            self._refuse(error)
            return
        if request:
            self._stop_reading()
            self._handler.request(request, self._peer, self._respond)
        elif invitation := self._reading.to_send():
            self._send(self._tls.to_send(invitation) if self._tls else invitation)

    def _refuse(self, error: BadRequest) -> None:
        self._stop_reading()
        self._respond(self._handler.refuse(error, self._peer))

    def _stop_reading(self) -> None:
        if self._watched:
            self._watch(False)
        self._move(Phase.ANSWERING)

    def _respond(self, reply: Reply) -> None:
        if self.phase is not Phase.ANSWERING:
            return
        octets = render(reply, self._reading.request)
        try:
            octets = self._tls.to_send(octets) + self._tls.close() if self._tls else octets
        except ssl.SSLError as error:  # half of a message of its own stands behind the request: RFC 8446, 4.6.3
            log.debug("TLS with %s failed: %s", self._peer, error.reason)
            self.drop()
            return
        self.phase = Phase.CLOSING
        self._send(octets)
        if not self._outgoing:
            self._part()
        else:
            self._linger()

    def _linger(self) -> None:
        self._move(Phase.CLOSING, self._loop.time() + LINGER + len(self._outgoing) / SLOWEST)

    def _send(self, octets: bytes) -> None:
        if not octets or self.phase is Phase.CLOSED:
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
            self._loop.add_writer(self._socket, self._send_more)

    def _send_more(self) -> None:
        octets, self._outgoing = self._outgoing, b""
        self._loop.remove_writer(self._socket)
        self._send(octets)
        if self.phase is not Phase.CLOSING:
            return
        if not self._outgoing:
            self._part()
        elif len(self._outgoing) < len(octets):
            self._linger()

    def _part(self) -> None:
        """Close, unless the client still sends (Rule 5)."""
        if self.phase is Phase.CLOSED:
            return
        try:
            if self._socket.recv(CHUNK):
                self._socket.shutdown(socket.SHUT_WR)
                self._watch(True)
                self._linger()
                return
        except OSError:
            pass
        self.drop()

    def _throw_away(self) -> None:
        try:
            if self._socket.recv(CHUNK):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.drop()
