"""Where may the key of a request be, and which door is it for? Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from ..values.outcome import Outcome
from ..values.specs import Client
from ..web.reply import Reply
from ..web.request import Request, basic
from . import dyndns2, secret_url
from .demand import Parameters, read_key
from .notes import Part

# Where the key may come in Basic credentials, so that no proxy's log ever holds it, or as a parameter.
UPDATE = b"update"
# Old FRITZ!Box firmware sends two update URLs as one path: the first one counts.
SECOND_URL = (b" http://", b" https://")
# What browsers ask for by themselves, beside the secret URL that their user opens.
BROWSERS = re.compile(rb"favicon\.ico|robots\.txt|apple-touch-icon[\w-]*\.png")


class Door(Protocol):
    """What the clients of one kind say and expect; each door is a module."""

    NAME: str  # as statistics call it

    def hosts(self, client: Client, parameters: Parameters) -> Sequence[tuple[str, ...] | Outcome]:
        """The host names that are updated and answered together, or what is wrong with them, in order."""

    def reply(self, parts: Sequence[Part], address: str = "") -> Reply:
        """What is said of each part; `address` for who asks only for that."""


SECRET_URL: Door = secret_url
DYNDNS2: Door = dyndns2


class Way(NamedTuple):
    """One reading of a request: its door, what may be a client's key there, and the parameters beside it."""

    door: Door
    key: bytes
    query: bytes


def ways(request: Request, with_dyndns2: bool) -> Iterator[Way]:
    """All readings of a request; the first one whose key is a client's counts."""
    if request.target:
        yield Way(SECRET_URL, request.target, b"")
    path, query = split(request.target)
    if path and path != request.target:
        yield Way(SECRET_URL, path, query)
    if door := _door_at(path, with_dyndns2):
        name, password = basic(request)
        given = read_key(query)
        for key in dict.fromkeys((password or name, given, given.replace(b"+", b" "))):  # a blank may be sent as a plus
            if key:
                yield Way(door, key, query)


def without_client(request: Request, with_dyndns2: bool) -> tuple[Door, Outcome]:
    """What a request is, and for which door, if none of its readings has a client's key.

    A user name alone that is nobody's key is no credentials: there are programs that send one to everybody.
    """
    path, query = split(request.target)
    door = _door_at(path, with_dyndns2)
    if door and not basic(request)[1] and not read_key(query):
        if door is DYNDNS2 or path:
            return door, Outcome.CHALLENGE
        if not request.target:
            return door, Outcome.ADDRESS
    if BROWSERS.fullmatch(path):
        return SECRET_URL, Outcome.NOTHING
    return door or SECRET_URL, Outcome.BADKEY


def door_of(request: Request, with_dyndns2: bool) -> Door:
    """The door that a request without a known key came to."""
    return _door_at(split(request.target)[0], with_dyndns2) or SECRET_URL


def _door_at(path: bytes, with_dyndns2: bool) -> Door | None:
    """The door whose clients send credentials or parameters to this path; None for all other paths."""
    if with_dyndns2 and dyndns2.is_path(path):
        return DYNDNS2
    return SECRET_URL if path.rstrip(b"/") in (b"", UPDATE) else None


def split(target: bytes) -> tuple[bytes, bytes]:
    """The target's path and query."""
    for mark in SECOND_URL:
        target = target.partition(mark)[0]
    path, _, query = target.partition(b"?")
    return path, query
