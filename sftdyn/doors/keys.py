"""Where may the key of a request be, and which door is it for? Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from ..values.outcome import Outcome
from ..values.specs import Client
from ..web.reply import Reply
from ..web.request import Request, basic, credentials
from . import challenges, dyndns2, secret_url
from .demand import Parameters, read_key
from .notes import Part
from .status.own_view import OwnView

# Where the key may come in Basic credentials, so that no proxy's log ever holds it, or as a parameter.
# Old FRITZ!Box firmware sends two update URLs as one path: the first one counts.
SECOND_URL = re.compile(b"(?: |%20)https?://")
BEHIND = b"/ "  # what some write behind the key; the request line is split at its last blank
OWN_VIEW = b"show"  # the path where a client sees how its names are
TOKENS = ("bearer", "token")
# What browsers ask for by themselves, beside the secret URL that their user opens.
BROWSERS = re.compile(rb"favicon\.ico|robots\.txt|apple-touch-icon[\w-]*\.png")


class Door(Protocol):
    """What the clients of one kind say and expect; each door is a module."""

    NAME: str  # as statistics call it

    def reply(self, parts: Sequence[Part], address: str = "") -> Reply:
        """What is said of each part; `address` for who asks only for that."""


SECRET_URL: Door = secret_url
DYNDNS2: Door = dyndns2
SHOW: Door = OwnView(None)


class Opened(NamedTuple):
    """Which doors the conf opens, besides the secret URL's."""

    dyndns2: bool
    acme: bool


class Way(NamedTuple):
    """One reading of a request: its door, what may be a client's key there, and the parameters beside it."""

    door: Door
    key: bytes
    query: bytes


def hosts(door: Door, client: Client, parameters: Parameters) -> Sequence[tuple[str, ...] | Outcome]:
    """The host names that are updated and answered together, or what is wrong with them, in order."""
    return dyndns2.hosts(client, parameters) if door is DYNDNS2 else [client.names]


def ways(request: Request, opened: Opened) -> Iterator[Way]:
    """All readings of a request; the first one whose key is a client's counts."""
    if opened.acme and (spoken := _spoken(request, opened)):
        yield from (Way(spoken, key, b"") for key in _spoken_keys(request) if key)
        return
    if request.target:
        yield Way(SECRET_URL, request.target, b"")
    path, query = split(request.target)
    if path and path != request.target:
        yield Way(SECRET_URL, path, query)
    if (bare := path.rstrip(BEHIND)) and bare != path:
        yield Way(SECRET_URL, bare, query)
    if path == OWN_VIEW and request.method == "GET":
        yield from (Way(SHOW, key, b"") for key in (basic(request)[1], _token(request)) if key)
    if door := _door_at(path, opened):
        query = _with_form(query, request.body)
        name, password = basic(request)
        given = read_key(query)
        # A blank may be sent as a plus.
        for key in dict.fromkeys((password or name, _token(request), given, given.replace(b"+", b" "))):
            if key:
                yield Way(door, key, query)


def takes_body(request: Request, opened: Opened) -> bool:
    """Whether one with POST may bring parameters as a form, as what was written for Google Domains does, or JSON."""
    path, _ = split(request.target)
    return (bool(path) and _door_at(path, opened) is not None) or (opened.acme and challenges.is_spoken(request, path))


def without_client(request: Request, opened: Opened) -> tuple[Door, Outcome]:
    """What a request is, and for which door, if none of its readings has a client's key.

    A user name alone that is nobody's key is no credentials: there are programs that send one to everybody.
    """
    if spoken := _spoken(request, opened):
        return spoken, Outcome.BADKEY if any(_spoken_keys(request)) else Outcome.CHALLENGE
    path, query = split(request.target)
    door = _door_at(path, opened)
    if door and not (basic(request)[1] or _token(request) or read_key(_with_form(query, request.body))):
        if door is DYNDNS2 or path:
            return door, Outcome.CHALLENGE
        if not request.target:
            return door, Outcome.ADDRESS
    if path == OWN_VIEW and not any(basic(request)) and not _token(request):
        return SECRET_URL, Outcome.CHALLENGE
    if BROWSERS.fullmatch(path):
        return SECRET_URL, Outcome.NOTHING
    return door or SECRET_URL, Outcome.BADKEY


def door_of(request: Request, opened: Opened) -> Door:
    """The door that a request without a known key came to."""
    path, _ = split(request.target)
    if opened.acme and challenges.is_registration(request, path):
        return challenges.REGISTRATION
    return _spoken(request, opened) or _door_at(path, opened) or SECRET_URL


def _spoken(request: Request, opened: Opened) -> challenges.Spoken | None:
    """The door of a request in JSON."""
    if not opened.acme or request.method != "POST":
        return None
    path, _ = split(request.target)
    return challenges.door_of(request, path) if challenges.is_spoken(request, path) else None


def _spoken_keys(request: Request) -> list[bytes]:
    """What may be the key of such a request: acme-dns has a header of its own for it."""
    if given := request.values(challenges.API_KEY):
        return [value.encode("latin-1").lstrip(b"/") for value in given[:1]]
    name, password = basic(request)
    return [password or name, _token(request)]


def _door_at(path: bytes, opened: Opened) -> Door | None:
    """The door whose clients send credentials or parameters to this path; None for all other paths."""
    if opened.dyndns2 and dyndns2.is_path(path):
        return DYNDNS2
    return SECRET_URL if path.rstrip(b"/") in (b"", challenges.UPDATE) else None


def _token(request: Request) -> bytes:
    """What `Bearer` (RFC 6750, 2.1) or `Token` stands before in Authorization; empty if there is none."""
    scheme, token = credentials(request)
    return token.encode("latin-1").lstrip(b"/") if scheme in TOKENS else b""


def _with_form(query: bytes, form: bytes) -> bytes:
    """Both in one query; what it names itself beats the form."""
    if not form:
        return query
    named = {_name(pair) for pair in query.split(b"&")}
    return b"&".join(filter(None, [query, *(pair for pair in form.split(b"&") if _name(pair) not in named)]))


def _name(pair: bytes) -> bytes:
    return unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).lower()


def split(target: bytes) -> tuple[bytes, bytes]:
    """The target's path and query."""
    path, _, query = SECOND_URL.split(target, 1)[0].partition(b"?")
    return path, query
