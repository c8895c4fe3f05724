"""When is a request complete? Its head, and where the path takes one, its body. Pure."""

import re
from collections.abc import Callable
from typing import TypeAlias

from .request import BadRequest, Request, parse

MAX_HEAD = 16 * 1024  # octets; the longest known of a router is under 2 KiB
MAX_BODY = 4 * 1024  # octets; forms of clients are under 1 KiB
BLANK_LINES = b"\r\n"  # that a client may send before its request, without end (RFC 9112, 2.2)
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # RFC 9110, 10.1.1

TakesBody: TypeAlias = Callable[[Request], bool]


class Reading:
    """Collects the octets of one connection until they are a request. Nothing behind it is kept."""

    __slots__ = ("_is_told", "_length", "_received", "_takes_body", "request")

    def __init__(self, takes_body: TakesBody) -> None:
        self.request: Request | None = None  # once its head is complete
        self._takes_body = takes_body
        self._received = b""  # of the head, and then of the body
        self._length = 0  # octets of the body
        self._is_told = False

    def feed(self, octets: bytes) -> Request | None:
        """The request, when `octets` complete it. Raises BadRequest."""
        if self.request is None:
            self._received = (self._received + octets).lstrip(BLANK_LINES)
            head = split_head(self._received)
            if head is None:
                return None
            self._received = self._received[len(head) :]
            self.request = parse(head)
            if self.request.method == "POST" and self._takes_body(self.request):
                self._length = body_length(self.request)
        else:
            self._received += octets
        if self._length and len(self._received) < self._length:
            return None
        self.request.body = self._received[: self._length]
        self._received = b""
        return self.request

    def to_send(self) -> bytes:
        """What a client wants to hear before it sends the body: curl waits a second for it, others for ever."""
        if self.request is None or self._is_told or self._received:
            return b""
        self._is_told = True
        wanted = [value.lower() for value in self.request.values("Expect")] == ["100-continue"]
        return CONTINUE if wanted and self.request.version != "HTTP/1.0" else b""


def body_length(request: Request) -> int:
    """Octets of the body (RFC 9112, 6.3). Raises BadRequest."""
    if request.values("Transfer-Encoding"):
        raise BadRequest(411, "a body without its length in front")
    lengths = {part.strip() for value in request.values("Content-Length") for part in value.split(",")}
    digits = lengths.pop() if lengths else "0"
    if lengths or not re.fullmatch("[0-9]+", digits):
        raise BadRequest(400, "a Content-Length that is none")
    if len(digits.lstrip("0")) > len(str(MAX_BODY)) or int(digits.lstrip("0") or "0") > MAX_BODY:
        raise BadRequest(413, f"a body of more than {MAX_BODY} octets")
    return int(digits.lstrip("0") or "0")


def split_head(received: bytes) -> bytes | None:
    """The head of the request that `received` begins with, or None while it is incomplete. Raises BadRequest."""
    received = received.lstrip(BLANK_LINES)
    if received and not received[:1].isalpha():
        raise BadRequest(400, "not HTTP")
    line, newline, _ = received.partition(b"\n")
    if newline and b" HTTP/" not in line:
        head = line + newline
    elif end := END_OF_HEAD.search(received):
        head = received[: end.end()]
    else:
        head = received
        newline = b""
    if len(head) > MAX_HEAD:
        raise BadRequest(431, f"a head of more than {MAX_HEAD} octets")
    return head if newline else None
