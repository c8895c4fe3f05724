"""Asks servers over HTTP(S): a deadline, a bound for everything, and nothing believed in advance.

Rule 1. A request has one deadline for all of it: its turn, the server's addresses, connection, TLS, what is sent, and
the last octet of the answer. It lives on the event loop, where giving up is a cancellation at any of these places. Only
what cannot be cancelled has daemon threads: the resolver, the reading of certificates, the computing of a handshake.

Rule 2. A failure says whether the server may have got the request. A connection that was kept alive may have been
closed meanwhile: if that is seen before anything is sent, or if the request is a question, a fresh one is used.

Rule 3. No redirect is followed, no proxy of the environment asked. Nothing of a request is in an exception.

Sources: RFC 9110, RFC 9112.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .. import __version__
from ..values.mistake import Mistake
from .answer import Answer, AnswerParser, Failed, Obstacle
from .route import Dialer
from .stream import Origin, Stream

USER_AGENT = f"sftdyn/{__version__}"
AT_ONCE = 4  # requests of one Fetcher
BODY = 1 << 20  # octets of an answer's body
IDLE = 30.0  # seconds that a connection is kept alive
PORTS = {"http": 80, "https": 443}
QUESTIONS = frozenset({"GET", "HEAD"})  # harmless to send twice (RFC 9110, 9.2.2)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, as it goes over the wire."""

    origin: Origin
    octets: bytes = field(repr=False)
    is_harmless: bool
    deadline: float  # event loop time


class Fetcher:
    """Asks servers, a few questions at once; what is more waits for its turn. It keeps its connections to itself.

    Made inside a running event loop. `limit`: octets of an answer's body.
    """

    def __init__(self, dialer: Dialer, limit: int = BODY, at_once: int = AT_ONCE) -> None:
        self._dialer = dialer
        self._limit = limit
        self._turns = asyncio.Semaphore(at_once)
        self._idle: list[Stream] = []
        self._is_closed = False

    async def fetch(
        self, method: str, url: str, seconds: float, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The answer to one request, within `seconds`. Raises Failed, and Mistake for what cannot be sent."""
        deadline = asyncio.get_running_loop().time() + seconds
        question = _question(method, url, headers or {}, body, deadline)
        sending = _Sending()
        try:
            async with asyncio.timeout_at(deadline), self._turns, self._dialer.turns:
                return await self._ask(question, sending)
        except TimeoutError:
            trouble = Obstacle.SILENT
        except OSError:  # ssl.SSLError is one
            trouble = Obstacle.CLOSED
        except Failed as failed:
            trouble = failed.trouble
        raise Failed(trouble, sending.has_begun)  # outside, where no other exception hangs on it

    def close(self) -> None:
        """End the connections; those in use when they have brought their answer."""
        self._is_closed = True
        for stream in self._idle:
            stream.close()
        self._idle.clear()

    async def _ask(self, question: Question, sending: "_Sending") -> Answer:
        """Raises Failed, OSError."""
        stream = await self._stream(question)
        try:
            return await self._converse(stream, question, sending)
        except (OSError, Failed):
            if not stream.is_used or not question.is_harmless or sending.is_answered:
                raise
        stream = await self._dialer.connect(question.origin, question.deadline)
        return await self._converse(stream, question, sending)

    async def _stream(self, question: Question) -> Stream:
        """One that was kept alive, or a new one. Raises Failed."""
        while known := [one for one in self._idle if one.origin == question.origin]:
            self._idle.remove(known[-1])
            if await known[-1].is_quiet():
                return known[-1]
        return await self._dialer.connect(question.origin, question.deadline)

    async def _converse(self, stream: Stream, question: Question, sending: "_Sending") -> Answer:
        """One question and its answer. Raises Failed, OSError."""
        parser = AnswerParser(self._limit)
        try:
            sending.has_begun = True
            await stream.send(question.octets)
            return await _read(stream, parser, sending)
        finally:
            if parser.stays and not self._is_closed:
                self._keep(stream)
            else:
                stream.close()

    def _keep(self, stream: Stream) -> None:
        stream.is_used = True
        if stream.idle:
            stream.idle.cancel()
        stream.idle = asyncio.get_running_loop().call_later(IDLE, self._drop, stream)
        self._idle.append(stream)

    def _drop(self, stream: Stream) -> None:
        if stream in self._idle:
            self._idle.remove(stream)
            stream.close()


@dataclass(slots=True)
class _Sending:
    """How far a request has come."""

    has_begun: bool = False  # the server may have got it
    is_answered: bool = False  # at least an octet of the answer is there


async def _read(stream: Stream, parser: AnswerParser, sending: _Sending) -> Answer:
    """Raises Failed, OSError."""
    while True:
        octets = await stream.receive()
        sending.is_answered |= bool(octets)
        if answer := parser.feed(octets) if octets else parser.end():
            return answer
        await asyncio.sleep(0)  # others have their turn, however much is there already


def _question(method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float) -> Question:
    """Raises Mistake."""
    origin, host, target = _split(url)
    fields = {"Host": host, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    if body or method not in QUESTIONS:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise Mistake("a header that cannot be sent")
    return Question(origin, "\r\n".join([*lines, "", ""]).encode() + body, method in QUESTIONS, deadline)


def _split(url: str) -> tuple[Origin, str, str]:
    """The server, its name in the Host header, and the target. Raises Mistake."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not port or parts.scheme not in PORTS or not parts.hostname or not re.fullmatch("[!-~]+", url):
        raise Mistake("not a URL; write it like https://www.example/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.hostname, port, parts.scheme == "https"), parts.netloc.rpartition("@")[2], target
