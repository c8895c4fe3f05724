"""What the conf writes as `notify` and `heartbeat`: who is told, and how. Pure, but for a password's file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..fetch.answer import NAME
from ..values.mistake import Mistake
from ..values.specs import LOOPBACK
from ..values.targets import Mail, Ping, Post, Target, Tell, Wishes
from . import own, parsers
from .constructors import Constructor, Parameter

EVENTS = ("away", "back", "failing", "recovered", "silent", "heard", "certificate", "badkey", "changed")
PORTS = {None: 25, "starttls": 587, "tls": 465}
UNSET = "unset"
EXAMPLES = 'Mail("me@example.org"), Post("https://ntfy.example/sftdyn"), or a function'


def targets(value: object) -> tuple[Target, ...]:
    """Who is told. Raises Mistake."""
    return tuple(map(_target, parsers.several(value)))


def ping(value: object) -> Ping:
    """What is asked for while all is well. Raises Mistake."""
    if not isinstance(value, Ping):
        raise Mistake('write Ping("https://hc.example/ping/…", every=60)')
    return value


def _target(value: object) -> Target:
    if isinstance(value, Mail | Post):
        return value
    if isinstance(value, Constructor):
        raise Mistake(f"the brackets are missing; write {EXAMPLES}")
    if callable(value):
        return Tell(value)
    raise Mistake(f"write {EXAMPLES}, in a list")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Mistake("write a text")
    return value


def _address(value: object) -> str:
    text = _text(value)
    if "@" not in text or not text.isprintable() or " " in text:
        raise Mistake('write an address like "me@example.org"')
    return text


def _tls(value: object) -> str | None:
    if value not in ("starttls", "tls"):
        raise Mistake('write "starttls", "tls", or None for a mail server of this machine')
    return str(value)


def _events(value: object) -> tuple[str, ...]:
    found = tuple(map(_text, parsers.several(value)))
    if unknown := [event for event in found if event not in EVENTS]:
        raise Mistake(f"there is no event {unknown[0]!r}; there are: {', '.join(EVENTS)}")
    return found


def _names(value: object) -> tuple[str, ...]:
    return tuple(_text(item).rstrip(".").lower() for item in parsers.several(value))


def _url(value: object) -> str:
    if not parsers.is_url(value, ("http", "https")):
        raise Mistake('write a whole URL like "https://ntfy.example/sftdyn"; a password goes into headers')
    return value


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise Mistake('write {"Authorization": "Bearer …"}')
    found = tuple((_text(name), _text(text)) for name, text in value.items())
    if not all(NAME.fullmatch(name) and text.isascii() and text.isprintable() for name, text in found):
        raise Mistake("a header is ASCII, in one line")
    return found


def _one_url(values: tuple[object, ...]) -> str:
    if len(values) != 1:
        raise Mistake("write one URL in front, the rest by name")
    return _url(values[0])


def _recipients(values: tuple[object, ...]) -> tuple[str, ...]:
    if not values:
        raise Mistake('write to whom: Mail("me@example.org")')
    return tuple(_address(item) for value in values for item in parsers.several(value))


def _mail(
    to: tuple[str, ...],
    *,
    server: str,
    port: int | None,
    tls: str | None,
    sender: str | None,
    password_file: Path | None,
    events: tuple[str, ...],
    names: tuple[str, ...],
    **given: Any,
) -> Mail:
    """Raises Mistake."""
    if tls == UNSET:
        tls = None if server in LOOPBACK else "starttls"
    if password_file:
        try:
            given["password"] = password_file.read_text("utf-8").strip()
        except (OSError, ValueError):
            raise Mistake("password_file: cannot read the file; write its whole path") from None
    if given["password"] and not given["user"]:
        raise Mistake("a password without user; add user=")
    if given["user"] and not tls and server not in LOOPBACK:
        raise Mistake('the password would go in clear; write tls="starttls" or tls="tls"')
    return Mail(to, server, port or PORTS[tls], sender or to[0], tls, wishes=Wishes(events, names), **given)


def _post(url: str, *, events: tuple[str, ...], names: tuple[str, ...], **given: Any) -> Post:
    return Post(url, wishes=Wishes(events, names), **given)


class _Tls(Parameter):
    """None may be written, and means: in clear."""

    def read(self, named: Mapping[str, object]) -> Any:
        return None if self.name in named and named[self.name] is None else super().read(named)


_WISHES = (Parameter("events", _events, ()), Parameter("names", _names, ()))
MAIL = Constructor(
    "Mail",
    '"me@example.org"',
    _mail,
    (
        Parameter("server", _text, "localhost"),
        Parameter("port", parsers.port),
        _Tls("tls", _tls, UNSET),
        Parameter("user", _text),
        Parameter("password", _text),
        Parameter("password_file", parsers.path),
        Parameter("sender", _address),
        Parameter("ca", parsers.path),
        *_WISHES,
    ),
    nameless=_recipients,
)
POST = Constructor(
    "Post",
    '"https://ntfy.example/sftdyn"',
    _post,
    (
        Parameter("body", _text, "{text}"),
        Parameter("json", lambda value: value),
        Parameter("headers", _headers, ()),
        *_WISHES,
    ),
    nameless=_one_url,
)
PING = Constructor(
    "Ping", '"https://hc.example/ping/…"', Ping, (Parameter("every", own.every, 60.0),), nameless=_one_url
)
