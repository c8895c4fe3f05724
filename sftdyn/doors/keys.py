"""Where may the key of a request be, and which door is it for? Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..values.outcome import Outcome, Result
from ..values.specs import Client
from ..values.update import Update
from ..web.reply import Reply
from ..web.request import Request, password
from . import dyndns2, secret_url

# Where the key may come as the password of Basic credentials, so that no proxy's log ever holds it.
PASSWORD_PATHS = (b"", b"update")
# Old FRITZ!Box firmware sends two update URLs as one path: the first one counts.
SECOND_URL = (b" http://", b" https://")


class Door(Protocol):
    """What the clients of one kind say and expect; each door is a module."""

    def hosts(self, client: Client, query: bytes) -> Sequence[tuple[str, ...] | Outcome]:
        """The host names that are updated and answered together, or what is wrong with them, in order."""

    def reply(self, parts: Sequence[tuple[Result, Update]], address: str) -> Reply:
        """What is said of each part; `address` for who asks only for that."""


SECRET_URL: Door = secret_url
DYNDNS2: Door = dyndns2


@dataclass(frozen=True, slots=True)
class Way:
    """One reading of a request: its door, what may be a client's key there, and the parameters beside it."""

    door: Door
    key: bytes
    query: bytes


def ways(request: Request, with_dyndns2: bool) -> Iterator[Way]:
    """All readings of a request, the first one whose key is a client's counts."""
    if request.target:
        yield Way(SECRET_URL, request.target, b"")
    path, query = split(request.target)
    if path and path != request.target:
        yield Way(SECRET_URL, path, query)
    door = DYNDNS2 if with_dyndns2 and dyndns2.is_path(path) else SECRET_URL if path in PASSWORD_PATHS else None
    if door and (key := password(request)):
        yield Way(door, key, query)


def without_client(request: Request, with_dyndns2: bool) -> tuple[Door, Outcome]:
    """What a request is, and for which door, if none of its readings has a client's key."""
    door = door_of(request, with_dyndns2)
    if door is DYNDNS2:
        return door, Outcome.BADKEY if password(request) else Outcome.CHALLENGE
    if request.target or password(request):
        return door, Outcome.BADKEY
    return door, Outcome.ADDRESS


def door_of(request: Request, with_dyndns2: bool) -> Door:
    """The door that a request without a known key came to."""
    return DYNDNS2 if with_dyndns2 and dyndns2.is_path(split(request.target)[0]) else SECRET_URL


def split(target: bytes) -> tuple[bytes, bytes]:
    """The target's path and query."""
    for mark in SECOND_URL:
        target = target.partition(mark)[0]
    path, _, query = target.partition(b"?")
    return path, query
