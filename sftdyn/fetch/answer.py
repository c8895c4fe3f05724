"""What a server's octets say: HTTP/1.1 read piece by piece, with a bound for everything. Pure.

An answer is read by a generator, which takes what it needs of the octets that are there and stops where it needs more.
However they come in pieces, the same is made of them, and each octet is looked at a few times only.

Source: RFC 9112.
"""

import json
import re
from collections.abc import Generator, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

LINE = 16_384  # octets of a line
LINES = 100  # of a head, or of trailers
FRAMING = 1 << 18  # octets of all that is no body: heads, the lines in front of chunks and behind them, trailers
VALUES = 20_000  # of JSON, by their commas and brackets, also those in texts; 30 ms
DIGITS = 32  # of an integer of JSON: to read many of thousands of them takes the square of that
INTERIM = 8  # answers that announce another one (RFC 9110, 15.2)
WITHOUT_BODY = (204, 304)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LENGTH = re.compile("[0-9]{1,18}")
CHUNK_SIZE = re.compile(b"[0-9a-fA-F]{1,8}")


class Obstacle(Enum):
    """Why there is no answer, in words for the log."""

    NO_ADDRESS = "its name has no address"
    NO_LOOKUP = "its name was not looked up, as too many lookups are under way, or hang"
    NO_CONNECTION = "no connection"
    BAD_CA = "the certificates of ca cannot be read"
    OTHER_NAME = "its certificate is not valid for its name"
    EXPIRED = "its certificate has expired"
    NOT_YET = "its certificate is not valid yet, by the clock of this machine"
    UNKNOWN_ISSUER = "its certificate is of no authority that is believed here"
    BAD_CERTIFICATE = "its certificate is not valid"
    NO_TLS = "it does not speak TLS as it should"
    SILENT = "no answer in time"
    CLOSED = "it closed the connection"
    NO_HTTP = "what it answers is not HTTP"
    TOO_LARGE = "its answer is too large"


class Failed(Exception):
    """There is no answer. `sent`: the server may have got the request, and may still follow it."""

    def __init__(self, trouble: Obstacle, sent: bool = False) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.sent = sent


class Answer(NamedTuple):
    """What a server answered, whatever its status. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Steps: TypeAlias = Generator[None, None, None]  # stops where it needs more octets; all of them raise Failed


class AnswerParser:
    """Reads one answer with at most `limit` octets of a body."""

    def __init__(self, limit: int) -> None:
        self.stays = False  # whether the connection is good for more, once there is an answer
        self._limit = limit
        self._framing = FRAMING
        self._octets = bytearray()  # not yet taken
        self._body = bytearray()
        self._is_over = False  # no more octets will come
        self._steps = self._read()

    def feed(self, octets: bytes) -> Answer | None:
        """The answer, once it is whole. Raises Failed."""
        self._octets += octets
        return self._go_on()

    def end(self) -> Answer | None:
        """The answer that ends with the connection. Raises Failed where it is not whole."""
        self._is_over = True
        return self._go_on()

    def _go_on(self) -> Answer | None:
        try:
            next(self._steps)
        except StopIteration as ended:
            answer: Answer | None = ended.value
            return answer
        return None

    def _read(self) -> Generator[None, None, Answer]:
        for _ in range(INTERIM):
            version, status = _status(bytes((yield from self._line())))
            headers = yield from self._headers()
            if status >= 200:
                break
        else:
            raise Failed(Obstacle.NO_HTTP)
        coding = headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length")
        yield from self._frame(status, coding, length)
        said = headers.get("connection", "").lower()
        ends_itself = coding == "chunked" or length is not None or status in WITHOUT_BODY
        is_clear = version == 1 and "close" not in said and not (coding and length)
        self.stays = ends_itself and is_clear and not self._octets
        return Answer(status, headers, bytes(self._body))

    def _frame(self, status: int, coding: str, length: str | None) -> Steps:
        """The body, as it is framed (RFC 9112, 6.3)."""
        if coding not in ("", "chunked"):
            raise Failed(Obstacle.NO_HTTP)
        if coding:
            return self._chunks()
        if status in WITHOUT_BODY:
            return self._exactly(0)
        if length is None:
            return self._to_end()
        if not LENGTH.fullmatch(length):
            raise Failed(Obstacle.NO_HTTP)
        return self._exactly(int(length))

    def _chunks(self) -> Steps:
        """RFC 9112, 7.1."""
        while True:
            size = bytes((yield from self._line())).partition(b";")[0].strip()
            if not CHUNK_SIZE.fullmatch(size):
                raise Failed(Obstacle.NO_HTTP)
            if not int(size, 16):
                break
            yield from self._exactly(int(size, 16))
            if (yield from self._line()):
                raise Failed(Obstacle.NO_HTTP)
        yield from self._headers()  # trailers count for nothing

    def _exactly(self, length: int) -> Steps:
        """So many octets of the body."""
        if len(self._body) + length > self._limit:
            raise Failed(Obstacle.TOO_LARGE)
        while len(self._octets) < length:
            length -= len(self._octets)
            self._body += self._octets
            self._octets.clear()
            yield from self._more()
        self._body += self._octets[:length]
        del self._octets[:length]

    def _to_end(self) -> Steps:
        """All that comes until the connection ends."""
        while True:
            self._body += self._octets
            self._octets.clear()
            if len(self._body) > self._limit:
                raise Failed(Obstacle.TOO_LARGE)
            if self._is_over:
                return
            yield

    def _headers(self) -> Generator[None, None, dict[str, str]]:
        headers: dict[str, str] = {}
        for _ in range(LINES):
            line = (yield from self._line()).decode("latin-1")
            if not line:
                return headers
            name, colon, value = line.partition(":")
            if not colon or not NAME.fullmatch(name):
                raise Failed(Obstacle.NO_HTTP)
            name, value = name.lower(), value.strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raise Failed(Obstacle.NO_HTTP)

    def _line(self) -> Generator[None, None, bytearray]:
        """One line without its end."""
        looked_at = 0
        while (end := self._octets.find(b"\n", looked_at)) < 0 and len(self._octets) <= LINE:
            looked_at = len(self._octets)
            yield from self._more()
        self._framing -= end + 1
        if not 0 <= end <= LINE or self._framing < 0:
            raise Failed(Obstacle.NO_HTTP)
        line = self._octets[:end]
        del self._octets[: end + 1]
        return line.removesuffix(b"\r")

    def _more(self) -> Steps:
        if self._is_over:
            raise Failed(Obstacle.CLOSED)
        yield


def _status(line: bytes) -> tuple[int, int]:
    """The minor version, and the status. Raises Failed."""
    match = STATUS_LINE.fullmatch(line)
    if not match:
        raise Failed(Obstacle.NO_HTTP)
    return int(match[1]), int(match[2])


def read_json(body: bytes) -> Any:
    """What a body holds as JSON; at most VALUES of them, as they are made in one go. Raises ValueError."""
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES:
        raise ValueError("more values than anybody asked for")
    try:
        return json.loads(body, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _integer(digits: str) -> int:
    """Raises ValueError."""
    if len(digits) > DIGITS:
        raise ValueError("an integer that is too long")
    return int(digits)
