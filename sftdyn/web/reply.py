"""Reply → bytes. One request per connection, so every reply ends it."""

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from .request import Request

CACHED = 16  # heads of replies
UNCHANGED = 304  # the status that says so
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client gets: the status, the body, further headers, what the body is."""

    status: int
    body: str | bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = PLAIN


def render(reply: Reply, request: Request | None) -> bytes:
    """The octets of a reply to `request`, or to something that is none.

    Always with its length, never chunked, never kept alive: some routers' clients wait for the end
    of the connection, others cannot take chunks apart. HTTP/0.9 knows the body only.
    """
    body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    if request and request.version == "HTTP/0.9":
        return body
    head = _head(reply.status, reply.headers, reply.content_type, len(body), int(time()))
    return head if request and request.method == "HEAD" else head + body


@lru_cache(CACHED)
def _head(status: int, headers: tuple[tuple[str, str], ...], content_type: str, length: int, second: int) -> bytes:
    """The head of a reply at a second since 1970; most replies of one second are alike."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {formatdate(second, usegmt=True)}",
        # RFC 9110, 8.6: what has not changed has no length, or that of what would have been sent.
        *([] if status == UNCHANGED else [f"Content-Type: {content_type}", f"Content-Length: {length}"]),
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
