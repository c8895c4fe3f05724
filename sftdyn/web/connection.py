"""One client's connection: octets in until they are a request, the reply out, the end.

Rule 1. A connection is in one state, and goes through them in this order only, skipping what it does not need:

    READING    the request is incomplete, or the TLS handshake is
    ANSWERING  the request is with the door; nothing is read meanwhile
    CLOSING    the reply is under way, or the client still sends what nobody will read
    CLOSED     the socket is gone

Rule 2. Each state in which we wait for the client has a deadline; whoever misses it is dropped without a word.
In ANSWERING the client waits for us, and the door has a deadline of its own.

Rule 3. The loop calls `_ready` when the socket has octets or takes some; the state says what that means.

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

from .reply import Reply, render
from .request import MAX_HEAD, BadRequest, Request, parse, split_head, without_blank_lines
from .tls import TLSLayer, TooLong

log = logging.getLogger(__name__)

HEAD_DEADLINE = 10.0  # seconds from the connection to a complete request, TLS handshake included
LINGER = 2.0  # seconds in which the reply must be taken, and a client may still send what we will not read
SLOWEST = 10_000  # octets per second that a large reply must be taken with, besides
CHUNK = 4 * MAX_HEAD  # octets that are received at once

Respond: TypeAlias = Callable[[Reply], None]


class State(Enum):
    """Where a connection is on its way; see Rule 1."""

    READING = auto()
    ANSWERING = auto()
    CLOSING = auto()
    CLOSED = auto()


class Desk(Protocol):
    """What becomes of requests, and who keeps account of connections."""

    def request(self, request: Request, peer: str, respond: Respond) -> None:
        """Answer, now or later, by calling `respond` once."""

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to what is no request."""

    def moved(self, connection: "Connection") -> None:
        """The connection has another state."""


class Connection:
    """A client that was accepted. `tls` is None for plain HTTP."""

    __slots__ = (
        "_desk",
        "_loop",
        "_outgoing",
        "_peer",
        "_received",
        "_request",
        "_socket",
        "_tls",
        "_watched",
        "deadline",
        "state",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, accepted: socket.socket, peer: str, tls: TLSLayer | None, desk: Desk
    ) -> None:
        self.state = State.READING
        self.deadline = loop.time() + HEAD_DEADLINE
        self._loop = loop
        self._socket = accepted
        self._peer = peer
        self._tls = tls
        self._desk = desk
        self._request: Request | None = None
        self._received = b""
        self._outgoing = b""
        self._watched = False

    def start(self) -> None:
        """Read what is there already; wait for more if that is no request yet."""
        self._read()
        if self.state is State.READING:
            self._watch(True)
            self._desk.moved(self)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        if self.state is State.CLOSED:
            return
        self._watch(False)
        if self._outgoing:
            self._loop.remove_writer(self._socket)
        self._socket.close()
        self._move(State.CLOSED)

    def _watch(self, wanted: bool) -> None:
        """Whether the loop shall tell of new octets."""
        if wanted and not self._watched:
            self._loop.add_reader(self._socket, self._ready)
        elif self._watched and not wanted:
            self._loop.remove_reader(self._socket)
        self._watched = wanted

    def _move(self, state: State, deadline: float = float("inf")) -> None:
        self.state = state
        self.deadline = deadline
        self._desk.moved(self)

    def _ready(self) -> None:
        if self.state is State.READING:
            self._read()
        elif self.state is State.CLOSING:
            self._throw_away()

    def _read(self) -> None:
        try:
            octets = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            octets = b""
        if not octets:  # it left, or says no more: an incomplete request stays so
            self.drop()
        elif text := self._decrypt(octets) if self._tls else octets:
            self._understand(text)

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
        except TooLong:
            log.debug("TLS with %s failed: the handshake is too long", self._peer)
            self.drop()
        return b""

    def _understand(self, text: bytes) -> None:
        self._received += text
        try:
            head = split_head(self._received)
            if head is None:
                self._received = without_blank_lines(self._received)  # they could be endless
                return
            self._request = parse(head)
        except BadRequest as error:
            self._refuse(error)
            return
        self._stop_reading()
        self._desk.request(self._request, self._peer, self._respond)

    def _refuse(self, error: BadRequest) -> None:
        self._stop_reading()
        self._respond(self._desk.refuse(error, self._peer))

    def _stop_reading(self) -> None:
        self._received = b""
        self._watch(False)
        self._move(State.ANSWERING)

    def _respond(self, reply: Reply) -> None:
        if self.state is not State.ANSWERING:
            return
        octets = render(reply, self._request)
        try:
            octets = self._tls.to_send(octets) + self._tls.close() if self._tls else octets
        except ssl.SSLError as error:  # half of a message of its own stands behind the request: RFC 8446, 4.6.3
            log.debug("TLS with %s failed: %s", self._peer, error.reason)
            self.drop()
            return
        self.state = State.CLOSING
        self._send(octets)
        if not self._outgoing:
            self._part()
        else:
            self._linger()

    def _linger(self) -> None:
        self._move(State.CLOSING, self._loop.time() + LINGER + len(self._outgoing) / SLOWEST)

    def _send(self, octets: bytes) -> None:
        if not octets or self.state is State.CLOSED:
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
        if self.state is not State.CLOSING:
            return
        if not self._outgoing:
            self._part()
        elif len(self._outgoing) < len(octets):
            self._linger()

    def _part(self) -> None:
        """Close, unless the client still sends (Rule 5)."""
        if self.state is State.CLOSED:
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
