"""Reply → bytes. One request per connection, so every reply ends it."""

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from .request import Request

CACHED = 16  # heads of replies


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client gets: the status, the body as plain text, further headers."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


def render(reply: Reply, request: Request | None) -> bytes:
    """The octets of a reply to `request`, or to something that is none.

    Always with its length, never chunked, never kept alive: some routers' clients wait for the end
    of the connection, others cannot take chunks apart. HTTP/0.9 knows the body only.
    """
    body = reply.body.encode()
    if request and request.version == "HTTP/0.9":
        return body
    head = _head(reply, int(time()))
    return head if request and request.method == "HEAD" else head + body


@lru_cache(CACHED)
def _head(reply: Reply, second: int) -> bytes:
    """The head of a reply at a second since 1970; most replies of one second are alike."""
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Date: {formatdate(second, usegmt=True)}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(reply.body.encode())}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
