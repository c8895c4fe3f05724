"""The one outgoing HTTP(S) client: HTTP/1.1 with a deadline, a bound for everything, and nothing believed in advance.

Rule 1. A request has one deadline for all of it: its turn, the server's addresses, connection, TLS, what is sent, and
the last octet of the answer. It lives on the event loop, where giving up is a cancellation at any of these places. Only
what cannot be cancelled, the system's resolver and the reading of certificates, has daemon threads, and few of them.

Rule 2. A failure says whether the server may have got the request. A connection that was kept alive may have been
closed meanwhile: if that is seen before anything is sent, or if the request is a question, a fresh one is used.

Rule 3. No redirect is followed, no proxy of the environment asked. Nothing of a request is in an exception.

Sources: RFC 9110, RFC 9112; RFC 8305 for the order of addresses.
"""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from . import __version__
from .threads import Returned, in_thread
from .values.mistake import Mistake

USER_AGENT = f"sftdyn/{__version__}"
AT_ONCE = 4  # requests of one Fetcher
ALL_AT_ONCE = 128  # requests over one Route; 40 MiB while as many servers are silent
BODY = 1 << 20  # octets of an answer's body
LINE = 16_384  # octets of a line in front of it
LINES = 100
INTERIM = 8  # answers that announce another one (RFC 9110, 15.2)
IDLE = 30.0  # seconds that a connection is kept alive
LOOKUPS = 16  # threads that ask the system for addresses, all together
LOOKUP = 5.0  # seconds after which a lookup is not waited for by others any more
PORTS = {"http": 80, "https": 443}
QUESTIONS = frozenset({"GET", "HEAD"})  # harmless to send twice (RFC 9110, 9.2.2)
WITHOUT_BODY = (204, 304)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}

Family: TypeAlias = Literal[4, 6] | None  # of addresses; None: any


class Trouble(Enum):
    """Why there is no answer, in words for the log."""

    NO_ADDRESS = "its name has no address"
    NO_CONNECTION = "no connection"
    BAD_CA = "the certificates of ca cannot be read"
    BAD_CERTIFICATE = "its certificate is not valid for its name"
    NO_TLS = "it does not speak TLS as it should"
    SILENT = "no answer in time"
    CLOSED = "it closed the connection"
    NO_HTTP = "what it answers is not HTTP"
    TOO_LARGE = "its answer is too large"


class Failed(Exception):
    """There is no answer. `sent`: the server may have got the request, and may still follow it."""

    def __init__(self, trouble: Trouble, sent: bool = False) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.sent = sent


class Answer(NamedTuple):
    """What a server answered, whatever its status. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Server(NamedTuple):
    """Whom to ask."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A request, as it goes over the wire."""

    server: Server
    octets: bytes = field(repr=False)
    is_harmless: bool
    deadline: float  # event loop time


class Route:
    """How servers are reached: over which family, and whose certificates are believed (None: the system's).

    Several Fetchers may share one. Made and used inside one running event loop.
    """

    def __init__(self, ca: Path | None = None, family: Family = None) -> None:
        self.turns = asyncio.Semaphore(ALL_AT_ONCE)
        self._ca = ca
        self._family = family
        self._context: ssl.SSLContext | None = None
        self._reading = asyncio.Lock()  # of the certificates: MiBs, of which many threads would have one copy each
        self._lookups: dict[Server, Lookup] = {}
        self._worked: str | None = None  # the address of the last connection

    async def connect(self, server: Server, deadline: float) -> "Connection":
        """A connection by `deadline` (event loop time): each address gets its share of the time. Raises Failed."""
        loop = asyncio.get_running_loop()
        context = await self._tls() if server.tls else None
        addresses = sorted(await self._addresses(server), key=lambda address: address != self._worked)
        trouble = Trouble.NO_ADDRESS
        for tried, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - tried)
            attempt = await _attempt(server, address, context, share)
            if isinstance(attempt, Connection):
                self._worked = address
                return attempt
            trouble = attempt
        if trouble is Trouble.BAD_CERTIFICATE:
            self._context = None  # the next one reads the certificates again: they may have been renewed
        raise Failed(trouble)

    async def _tls(self) -> ssl.SSLContext:
        """Raises Failed."""
        async with self._reading:
            if self._context is None:
                ended = await in_thread(_tls_context, self._ca, late=lambda: None)
                if not isinstance(ended, Returned):
                    raise Failed(Trouble.BAD_CA)
                self._context = ended.value
            assert self._context
            return self._context

    async def _addresses(self, server: Server) -> list[str]:
        """Raises Failed."""
        if version := _version(server.host):
            return [server.host] if self._family in (None, version) else []
        now = asyncio.get_running_loop().time()
        lookup = self._lookups.get(server)
        if lookup is None or lookup.is_over(now):
            lookup = self._lookups[server] = Lookup(server, FAMILIES[self._family], now)
        return await lookup.addresses()


class Lookup:
    """A question to the system's resolver, which may take its time. All who want to know the same may wait for it."""

    places = threading.BoundedSemaphore(LOOKUPS)

    def __init__(self, server: Server, family: socket.AddressFamily, now: float) -> None:
        self._until = now + LOOKUP
        self._ends = None
        if self.places.acquire(blocking=False):
            try:
                self._ends = in_thread(self._run, server, family, late=lambda: None)
            except RuntimeError:  # no more threads
                self.places.release()

    def _run(self, server: Server, family: socket.AddressFamily) -> list[str]:
        """In its thread. Raises OSError and UnicodeError."""
        try:
            found = socket.getaddrinfo(server.host, server.port, family, socket.SOCK_STREAM)
        finally:
            self.places.release()
        return _in_turn([(kind, str(address[0])) for kind, *_, address in found])

    def is_over(self, now: float) -> bool:
        """Whether others had better ask anew."""
        return self._ends is None or self._ends.done() or self._until <= now

    async def addresses(self) -> list[str]:
        """Raises Failed."""
        if self._ends is None:
            raise Failed(Trouble.NO_ADDRESS)
        await asyncio.wait([self._ends])
        ended = self._ends.result()
        if not isinstance(ended, Returned) or not ended.value:
            raise Failed(Trouble.NO_ADDRESS)
        return list(ended.value)


class Connection:
    """One connection to a server."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.is_used = False  # it has brought an answer already
        self.idle: asyncio.TimerHandle | None = None
        self._writer = writer

    def close(self) -> None:
        """At once."""
        if self.idle:
            self.idle.cancel()
        self._writer.transport.abort()

    async def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer, so that the next one is ours. If not, it is closed."""
        is_quiet = False
        listening = asyncio.create_task(self.reader.read(1))
        try:
            await asyncio.sleep(0)
            silent = not listening.done()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            is_quiet = silent and not self._writer.is_closing()
        finally:
            if not is_quiet:
                self.close()
        return is_quiet

    async def send(self, octets: bytes) -> None:
        """Raises OSError."""
        self._writer.write(octets)
        await self._writer.drain()


class Fetcher:
    """Asks servers, a few questions at once; what is more waits for its turn. It keeps its connections to itself.

    Made inside a running event loop. `limit`: octets of an answer's body.
    """

    def __init__(self, route: Route, limit: int = BODY, at_once: int = AT_ONCE) -> None:
        self._route = route
        self._limit = limit
        self._turns = asyncio.Semaphore(at_once)
        self._idle: list[Connection] = []
        self._is_closed = False

    async def fetch(
        self, method: str, url: str, seconds: float, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The answer to one request, within `seconds`. Raises Failed, and Mistake for what cannot be sent."""
        deadline = asyncio.get_running_loop().time() + seconds
        question = _question(method, url, headers or {}, body, deadline)
        sending = _Sending()
        try:
            async with asyncio.timeout_at(deadline), self._turns, self._route.turns:
                return await self._ask(question, sending)
        except TimeoutError:
            trouble = Trouble.SILENT
        except (OSError, EOFError):  # ssl.SSLError is an OSError, asyncio.IncompleteReadError an EOFError
            trouble = Trouble.CLOSED
        except Failed as failed:
            trouble = failed.trouble
        raise Failed(trouble, sending.has_begun)  # outside, where no other exception hangs on it

    def close(self) -> None:
        """End the connections; those in use when they have brought their answer."""
        self._is_closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _ask(self, question: Question, sending: "_Sending") -> Answer:
        """Raises Failed, OSError, EOFError."""
        connection = await self._connection(question)
        try:
            return await self._converse(connection, question, sending)
        except (OSError, EOFError):
            if not connection.is_used or not question.is_harmless or sending.is_answered:
                raise
        connection = await self._route.connect(question.server, question.deadline)
        return await self._converse(connection, question, sending)

    async def _connection(self, question: Question) -> Connection:
        """One that was kept alive, or a new one. Raises Failed."""
        while known := [one for one in self._idle if one.server == question.server]:
            self._idle.remove(known[-1])
            if await known[-1].is_quiet():
                return known[-1]
        return await self._route.connect(question.server, question.deadline)

    async def _converse(self, connection: Connection, question: Question, sending: "_Sending") -> Answer:
        """One question and its answer. Raises Failed, OSError, EOFError."""
        stays = False
        try:
            sending.has_begun = True
            await connection.send(question.octets)
            answer, stays = await _read_answer(connection.reader, self._limit, sending)
            return answer
        finally:
            if stays and not self._is_closed:
                self._keep(connection)
            else:
                connection.close()

    def _keep(self, connection: Connection) -> None:
        connection.is_used = True
        if connection.idle:
            connection.idle.cancel()
        connection.idle = asyncio.get_running_loop().call_later(IDLE, self._drop, connection)
        self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            connection.close()


@dataclass(slots=True)
class _Sending:
    """How far a request has come."""

    has_begun: bool = False  # the server may have got it
    is_answered: bool = False  # at least an octet of the answer is there


# Out


def _question(method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: float) -> Question:
    """Raises Mistake."""
    server, host, target = _split(url)
    fields = {"Host": host, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    if body or method not in QUESTIONS:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise Mistake("a header that cannot be sent")
    return Question(server, "\r\n".join([*lines, "", ""]).encode() + body, method in QUESTIONS, deadline)


def _split(url: str) -> tuple[Server, str, str]:
    """The server, its name in the Host header, and the target. Raises Mistake."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        port = None
    if not port or parts.scheme not in PORTS or not parts.hostname or not re.fullmatch("[!-~]+", url):
        raise Mistake("not a URL; write it like https://www.example/path")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Server(parts.hostname, port, parts.scheme == "https"), parts.netloc.rpartition("@")[2], target


def _version(host: str) -> int | None:
    """Of an address; None for a name."""
    try:
        return ip_address(host).version
    except ValueError:
        return None


def _in_turn(found: Sequence[tuple[int, str]]) -> list[str]:
    """Addresses, each once, one family after the other (RFC 8305, 4): if one leads nowhere, the other is next."""
    first = [address for family, address in found if family == found[0][0]]
    second = [address for family, address in found if family != found[0][0]]
    return [address for address in dict.fromkeys(chain(*zip_longest(first, second))) if address]


def _tls_context(ca: Path | None) -> ssl.SSLContext:
    """Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # each certificate is believed, as from Python 3.13 on anyway
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _attempt(
    server: Server, address: str, context: ssl.SSLContext | None, seconds: float
) -> Connection | Trouble:
    """A connection to one address, or what is in the way."""
    try:
        async with asyncio.timeout(seconds):
            return await _open(server, address, context)
    except ssl.SSLCertVerificationError:
        return Trouble.BAD_CERTIFICATE
    except ssl.SSLError:
        return Trouble.NO_TLS
    except OSError:  # TimeoutError is one
        return Trouble.NO_CONNECTION


async def _open(server: Server, address: str, context: ssl.SSLContext | None) -> Connection:
    """In two steps: asyncio's own one would leave the socket open when it is given up between them. Raises OSError."""
    reader, writer = await asyncio.open_connection(address, server.port, limit=LINE)
    try:
        if context:
            await writer.start_tls(context, server_hostname=server.host)
    except BaseException:
        writer.transport.abort()
        raise
    return Connection(server, reader, writer)


# In


async def _read_answer(reader: asyncio.StreamReader, limit: int, sending: _Sending) -> tuple[Answer, bool]:
    """The answer, and whether the connection is good for more. Raises Failed, OSError, EOFError."""
    for _ in range(INTERIM):
        version, status = await _read_status(reader)
        sending.is_answered = True
        headers = await _read_headers(reader)
        if status >= 200:
            break
    else:
        raise Failed(Trouble.NO_HTTP)
    coding = headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length")
    ends_itself = coding == "chunked" or length is not None or status in WITHOUT_BODY
    pieces = _pieces(reader, status, coding, length, limit)
    answer = Answer(status, headers, b"".join([piece async for piece in pieces]))
    said = headers.get("connection", "").lower()
    return answer, ends_itself and version == 1 and "close" not in said and not (coding and length)


async def _read_status(reader: asyncio.StreamReader) -> tuple[int, int]:
    """The minor version, and the status. Raises Failed, OSError, EOFError."""
    match = STATUS_LINE.fullmatch(await _read_line(reader))
    if not match:
        raise Failed(Trouble.NO_HTTP)
    return int(match[1]), int(match[2])


async def _read_headers(reader: asyncio.StreamReader) -> Mapping[str, str]:
    """Raises Failed, OSError, EOFError."""
    headers: dict[str, str] = {}
    for _ in range(LINES):
        line = (await _read_line(reader)).decode("latin-1")
        if not line:
            return headers
        match = HEADER.fullmatch(line)
        if not match:
            raise Failed(Trouble.NO_HTTP)
        name = match[1].lower()
        headers[name] = f"{headers[name]}, {match[2]}" if name in headers else match[2]
    raise Failed(Trouble.NO_HTTP)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    """One line without its end. Raises Failed, OSError, EOFError."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        line = b""
    if not line:
        raise Failed(Trouble.NO_HTTP)
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _pieces(
    reader: asyncio.StreamReader, status: int, coding: str, length: str | None, limit: int
) -> AsyncIterator[bytes]:
    """The body, as it is framed (RFC 9112, 6.3). Raises Failed."""
    if coding not in ("", "chunked"):
        raise Failed(Trouble.NO_HTTP)
    if coding:
        return _read_chunks(reader, limit)
    if status in WITHOUT_BODY:
        return _read_exactly(reader, 0)
    if length is None:
        return _read_to_end(reader, limit)
    if not re.fullmatch("[0-9]{1,18}", length):
        raise Failed(Trouble.NO_HTTP)
    if int(length) > limit:
        raise Failed(Trouble.TOO_LARGE)
    return _read_exactly(reader, int(length))


async def _read_exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    yield await reader.readexactly(length)


async def _read_to_end(reader: asyncio.StreamReader, limit: int) -> AsyncIterator[bytes]:
    while piece := await reader.read(LINE):
        limit -= len(piece)
        if limit < 0:
            raise Failed(Trouble.TOO_LARGE)
        yield piece


async def _read_chunks(reader: asyncio.StreamReader, limit: int) -> AsyncIterator[bytes]:
    """RFC 9112, 7.1."""
    while True:
        size = (await _read_line(reader)).partition(b";")[0].strip()
        if not re.fullmatch(b"[0-9a-fA-F]{1,8}", size):
            raise Failed(Trouble.NO_HTTP)
        limit -= int(size, 16)
        if limit < 0:
            raise Failed(Trouble.TOO_LARGE)
        if not int(size, 16):
            break
        yield await reader.readexactly(int(size, 16))
        if await _read_line(reader):
            raise Failed(Trouble.NO_HTTP)
    await _read_headers(reader)  # trailers count for nothing
