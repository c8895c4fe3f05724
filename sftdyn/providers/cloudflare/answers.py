"""What the API's answers mean: what Cloudflare calls it, and what becomes of those who wait. Pure.

Whatever the API answers, in the log there are its status, its codes and sentences of our own, never its text.
Sources: Cloudflare's API reference, "Zones" and "DNS Records" (list, batch); the codes as clients have reported them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

from ...fetch.answer import Answer, read_json
from ..desk.backend import Interrupted, Settlement, Verdict
from ..rest import retry_after
from .plan import Nonsense, absolute

REFUSED = 30  # seconds without requests after a 429 that does not say how many
SHORTEST_REFUSAL, LONGEST_REFUSAL = 1, 600  # seconds; the API's own are five minutes
IDENTITY = re.compile("[0-9A-Za-z_-]{1,64}")

Item = TypeVar("Item")


class Flaw(Enum):
    """What a failure is about."""

    AWAY = auto()  # no answer, or none of the API's own
    LIMITED = auto()  # no requests for a while
    CHANGED = auto()  # the records are not as they were seen
    HIDDEN = auto()  # a CNAME is there
    BAD = auto()  # the API does not take this
    DENIED = auto()  # the credentials are not good for this
    GONE = auto()  # no such zone


CODES = {
    81057: Flaw.CHANGED,  # identical record
    81058: Flaw.CHANGED,
    81044: Flaw.CHANGED,  # no such record
    81053: Flaw.HIDDEN,
    81054: Flaw.HIDDEN,
    **dict.fromkeys((1000, 6003, 6103, 6111, 9103, 9106, 9109, 10000), Flaw.DENIED),
    **dict.fromkeys((1001, 7000, 7003), Flaw.GONE),
}
STATUSES = {401: Flaw.DENIED, 403: Flaw.DENIED, 404: Flaw.GONE, 408: Flaw.AWAY, 409: Flaw.CHANGED}
MALFORMED = frozenset({6003, 6103, 6111})
UNKNOWN = MALFORMED | {1000, 9103, 9106}  # the credentials are good for nothing
ACCESS = 9109  # the token, its place or one resource: only the text tells
SENTENCES = {
    Flaw.AWAY: "the API has not heard all of it",
    Flaw.LIMITED: "the API takes no more requests for now",
    Flaw.CHANGED: "the records change while they are being changed",
    Flaw.HIDDEN: "a CNAME at the name hides it; delete it, or choose another name",
    Flaw.BAD: "the API does not take this change",
    Flaw.DENIED: "the API does not let these credentials do this: they need {needs} for the zone, and may have expired",
    Flaw.GONE: "the API knows no such zone",
}
MEANINGS = {
    Flaw.AWAY: Verdict.UNKNOWN,
    Flaw.LIMITED: Verdict.AWAY,
    Flaw.CHANGED: Verdict.AGAIN,
    Flaw.HIDDEN: Verdict.HIDDEN,
    Flaw.BAD: Verdict.REFUSED,
    Flaw.DENIED: Verdict.REFUSED,
    Flaw.GONE: Verdict.ELSEWHERE,
}


class ApiError(Interrupted):
    """A request has failed. `maybe_done`: what it asked for may have happened, or may happen later."""

    def __init__(
        self, kind: Flaw, reason: str, wait: float = 0.0, maybe_done: bool = False, of_one_zone: bool = False
    ) -> None:
        moved = kind in (Flaw.DENIED, Flaw.GONE)
        super().__init__(Settlement(MEANINGS[kind], maybe_done, reason, wait, moved=moved))
        self.kind = kind
        self.of_one_zone = of_one_zone  # another zone may be allowed

    def of_a_change(self) -> Settlement:
        """What became of the change that it was about."""
        is_unsent = self.kind is Flaw.AWAY and not self.settlement.changed
        return self.settlement._replace(verdict=Verdict.AGAIN) if is_unsent else self.settlement


class ApiZone(NamedTuple):
    """A zone of the API. `name` is absolute; None if the token may not know it."""

    id: str
    name: str | None


class Page(NamedTuple, Generic[Item]):
    """A part of a list."""

    items: Sequence[Item]
    pages: int  # of the whole list
    total: int  # items of the whole list, as far as is known


def read(answer: Answer, changes: bool, needs: str) -> Mapping[str, Any]:
    """What the API said yes with. `changes`: it was asked for a change; `needs`: permissions. Raises ApiError."""
    status, wait = answer.status, retry_after(answer.headers.get("retry-after", ""))
    if status == 429:
        refused = min(max(REFUSED if wait is None else wait, SHORTEST_REFUSAL), LONGEST_REFUSAL)
        raise ApiError(Flaw.LIMITED, SENTENCES[Flaw.LIMITED], refused)
    if status >= 500:
        rest = min(wait or 0, LONGEST_REFUSAL)
        raise ApiError(Flaw.AWAY, f"the API is in trouble (status {status})", rest, changes)
    if 300 <= status < 400:
        raise ApiError(Flaw.AWAY, f"the API answers with a redirect (status {status}), which is not followed")
    said = _object(answer.body)
    if said is None:
        done = changes and status < 300
        raise ApiError(Flaw.AWAY, f"the API's answer is not its own (status {status})", maybe_done=done)
    if status < 300 and said.get("success") is True:
        return said
    raise _refusal(status, _errors(said), needs)


def _refusal(status: int, errors: Sequence[tuple[int, str]], needs: str) -> ApiError:
    codes = [code for code, _ in errors]
    kinds = [CODES[code] for code in codes if code in CODES]
    kind = kinds[0] if kinds else STATUSES.get(status, Flaw.BAD)
    sentence = SENTENCES[kind].format(needs=needs)
    about = next((text.lower() for code, text in errors if code == ACCESS), "")
    if MALFORMED & set(codes):
        sentence = "the API cannot read the credentials: is the token complete?"
    elif "location" in about:
        sentence = "the token's own IP filter (Client IP Address Filtering) does not let this machine use it"
    is_of_all = UNKNOWN & set(codes) or "location" in about or about.startswith("invalid access token")
    shown = f", code {' '.join(map(str, codes))}" if codes else ""
    reason = f"{sentence} (status {status}{shown})"
    return ApiError(kind, reason, of_one_zone=kind in (Flaw.DENIED, Flaw.BAD) and not is_of_all)


def _object(body: bytes) -> Mapping[str, Any] | None:
    """None for everything else."""
    try:
        said = read_json(body)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _errors(said: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Code and text of the errors, and of what led to them."""
    found: list[tuple[int, str]] = []
    errors = said.get("errors")
    for error in errors[:4] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            chain = error.get("error_chain")
            parts = [error, *(chain[:4] if isinstance(chain, list) else ())]
            known = [part for part in parts if isinstance(part, dict) and type(part.get("code")) is int]
            found += [(part["code"], str(part.get("message", ""))[:100]) for part in known]
    return [(code, text) for code, text in found if 0 <= code < 10_000_000]


def read_page(said: Mapping[str, Any], read_item: Callable[[object], Item], page: int, per_page: int) -> Page[Item]:
    """Raises ApiError."""
    items = read_items(said.get("result"), read_item)
    info = said.get("result_info")
    counts = info if isinstance(info, dict) else {}
    pages, total = counts.get("total_pages"), counts.get("total_count")
    if not isinstance(pages, int):
        pages = page + (len(items) >= per_page)
    return Page(items, pages, total if isinstance(total, int) else -1)


def read_items(result: object, read_item: Callable[[object], Item], maybe_done: bool = False) -> list[Item]:
    """Raises ApiError."""
    if isinstance(result, list):
        try:
            return [read_item(item) for item in result]
        except ValueError:  # Nonsense, and what codecs do not take
            pass
    raise ApiError(Flaw.AWAY, "the API's answer is not as documented", maybe_done=maybe_done)


def read_zone(said: object) -> tuple[ApiZone, str]:
    """A zone, and its status: one that was moved may still be listed. Raises Nonsense."""
    fields = said if isinstance(said, dict) else {}
    identity, name, status = (fields.get(key) for key in ("id", "name", "status"))
    if not isinstance(identity, str) or not IDENTITY.fullmatch(identity) or not isinstance(name, str):
        raise Nonsense
    return ApiZone(identity, absolute(name)), str(status)
