"""Reply → bytes. One request per connection, so every reply ends it."""

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from .request import Request


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
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return head if request and request.method == "HEAD" else head + body
