"""The doors of certificates: what ACME's clients send for the DNS-01 challenge (RFC 8555, 8.4), and expect. Pure.

Three ways in: a POST of lego's httpreq or of acmeproxy, one of acme-dns, and `txt=` beside a key. What they want is the
same: a TXT value added to a name, or removed.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from ..values.mistake import Mistake
from ..values.names import host_name
from ..values.outcome import SUCCESSES, Outcome
from ..values.update import CHALLENGE
from ..web.reply import Reply
from ..web.request import Request
from . import secret_url
from .demand import Parameters, read_hostnames
from .notes import Part

PRESENT, CLEANUP, REGISTER, UPDATE = b"present", b"cleanup", b"register", b"update"
API_KEY = "X-Api-Key"
TXT, CLEAR = "txt", "clear"  # parameters, as DuckDNS' clients send them
VALUE = re.compile("[A-Za-z0-9_-]{43}")  # SHA-256 in base64url, without padding
CONTENT = "application/json"

# What goes with another status, or with another word than that of a server's own trouble, where JSON is spoken.
FORBIDDEN, TROUBLE = "forbidden", "unavailable"
STATUSES = {Outcome.BADKEY: 401}
WORDS = {
    Outcome.BADKEY: FORBIDDEN,
    Outcome.CHALLENGE: FORBIDDEN,
    Outcome.FORBIDDEN: FORBIDDEN,
    Outcome.BADREQUEST: "bad_request",
    Outcome.BADMETHOD: "bad_method",
}
NO_JSON = "malformed_json_payload"  # acme-dns' words for what it cannot read
NO_NAME = "bad_subdomain"
NO_VALUE = "bad_txt"


class Unreadable(Mistake):
    """A request that wants nothing which could be done; `word` is acme-dns' for it. The message is for the log."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


class Stranger(Mistake):
    """A name that is none of the key's."""


class Challenge(NamedTuple):
    """What a request says, as it says it."""

    value: str
    is_there: bool = True  # added, not removed
    name: str | None = None  # None: not said
    is_whole: bool = True  # the name is no first label
    mistake: Unreadable | None = None  # what is wrong with all of it


@dataclass(frozen=True, slots=True)
class Spoken:
    """The door of a request in JSON: one for each, as the answer repeats what was sent."""

    challenge: Challenge
    success: str
    unknown: int = 403  # the status of a name that is not the key's
    wrong: str = NO_JSON  # the word for a request that cannot be read
    NAME = "acme"

    def reply(self, parts: Sequence[Part], address: str = "") -> Reply:
        """The reply that says what became of the value."""
        outcome = parts[0].whole.outcome
        said = secret_url.reply(parts)
        if outcome in SUCCESSES:
            return replace(said, body=self.success, content_type=CONTENT)
        word = WORDS.get(outcome, TROUBLE)
        status = STATUSES.get(outcome, said.status)
        if outcome is Outcome.FORBIDDEN:
            status = self.unknown
        if outcome is Outcome.BADADDRESS:
            word = self.wrong
        headers = (secret_url.CHALLENGE,) if status == 401 else said.headers
        return Reply(status, json.dumps({"error": word}), headers, CONTENT)


class Registration:
    """The door of who wants an account at acme-dns."""

    NAME = "acme"

    def reply(self, parts: Sequence[Part], address: str = "") -> Reply:
        """There are none: the key is the account."""
        return Reply(403, json.dumps({"error": FORBIDDEN}), (), CONTENT)


REGISTRATION = Registration()


def is_spoken(request: Request, path: bytes) -> bool:
    """Whether what is sent with POST to this path is a request in JSON, whose body is wanted."""
    place = path.rstrip(b"/")
    return place in (PRESENT, CLEANUP) or (place == UPDATE and bool(request.values(API_KEY)))


def is_registration(request: Request, path: bytes) -> bool:
    """Whether somebody wants an account."""
    return request.method == "POST" and path.rstrip(b"/") == REGISTER


def door_of(request: Request, path: bytes) -> Spoken:
    """What a request in JSON is."""
    place = path.rstrip(b"/")
    try:
        said = _object(request.body)
    except Unreadable as unreadable:
        return Spoken(Challenge("", mistake=unreadable), "")
    if place == UPDATE:
        name = said.get("subdomain") or None
        mistake = None if isinstance(name, str | None) else Unreadable(NO_NAME, "subdomain is no text")
        challenge = Challenge(_text(said, "txt"), name=None if mistake else name, is_whole=False, mistake=mistake)
        return Spoken(challenge, json.dumps({"txt": challenge.value}), unknown=401)
    return Spoken(_httpreq(said, place == PRESENT), request.body.decode())


def _httpreq(said: Mapping[str, Any], is_there: bool) -> Challenge:
    """lego's default, or its mode RAW, where the value is still to be computed (RFC 8555, 8.4)."""
    authorization = _text(said, "keyauth")
    if not authorization:
        name = _text(said, "fqdn").lower()
        return Challenge(_text(said, "value"), is_there, name if name.startswith(CHALLENGE) else "")
    value = urlsafe_b64encode(sha256(authorization.encode("utf-8", "replace")).digest()).decode().rstrip("=")
    return Challenge(value, is_there, CHALLENGE + _text(said, "domain"))


def _object(body: bytes) -> dict[str, Any]:
    """The object that a body holds, its keys in lower case. Raises Unreadable."""
    try:
        said = json.loads(body.decode())
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Unreadable(NO_JSON, "the body is no JSON object")
    return {name.lower(): value for name, value in said.items()}


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    return value if isinstance(value, str) else ""


def read_challenge(parameters: Parameters) -> Challenge | None:
    """What parameters want that are about a certificate; None: they are about addresses."""
    if not parameters:
        return None
    values = [value for name, value in parameters if name == TXT]
    is_cleared = any(name == CLEAR and value.strip().lower() == "true" for name, value in parameters)
    if not values and not is_cleared:
        return None
    names = list(dict.fromkeys(read_hostnames(parameters)))
    mistake = None
    if len(names) > 1 or len(set(values)) > 1:
        mistake = Unreadable(NO_VALUE, "more than one hostname or txt; send a request for each")
    return Challenge(values[0] if values else "", not is_cleared, names[0] if names else None, mistake=mistake)


def meant(challenge: Challenge, names: Collection[str]) -> str:
    """Which of the key's host names it is about. Raises Stranger, Unreadable."""
    if challenge.mistake:
        raise challenge.mistake
    if challenge.name is None:
        if len(names) > 1:
            raise Unreadable(NO_NAME, "it does not say which of the key's names it is about")
        return next(iter(names))
    bare = challenge.name.lower().removeprefix(CHALLENGE)
    found = [name for name in names if name == _absolute(bare)]
    if not found and not challenge.is_whole:
        found = [name for name in names if name.partition(".")[0] == bare]
    if len(found) > 1:
        raise Unreadable(NO_NAME, "several of the key's names begin with this label; write the whole name")
    if not found:
        raise Stranger("the request is for another name than this key's")
    return found[0]


def _absolute(name: str) -> str:
    try:
        return host_name(name)
    except Mistake:
        return ""


def checked_value(challenge: Challenge) -> str:
    """The value, which goes to the provider as it is. Raises Unreadable."""
    if not VALUE.fullmatch(challenge.value):
        raise Unreadable(NO_VALUE, "txt is not the value of a challenge: 43 letters, digits, hyphens and underscores")
    return challenge.value
