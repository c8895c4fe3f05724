"""The API's requests and answers, turned into values: what Cloudflare calls them, and what its errors mean.

Whatever the API answers, in the log there are its status, its codes and sentences of our own, never its text.
Sources: Cloudflare's API reference, "Zones" and "DNS Records" (list, batch); the codes as clients have reported them.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from ...fetch.answer import Answer, Failed, read_json
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...values.exchanges import Exchanges
from ...values.mistake import Mistake
from ...values.specs import Cloudflare
from ..desk.backend import Health
from .budget import Budget
from .plan import Nonsense, Operations, Record, absolute, read_record

PER_PAGE = 100  # records; more is not sure to be taken
ZONES_PER_PAGE = 50  # the most that is documented
BODY = 2 << 20  # octets of an answer; a page of records with the longest comments has less
REFUSED = 30  # seconds without requests after a 429 that does not say how many
SHORTEST_REFUSAL, LONGEST_REFUSAL = 1, 600  # seconds; the API's own are five minutes
ILL = (Health.ILL, Health.SILENT)
IDENTITY = re.compile("[0-9A-Za-z_-]{1,64}")

Item = TypeVar("Item")


AT_ONCE = {Health.NEW: 4, Health.WELL: 4, Health.ILL: 2, Health.SILENT: 2}  # requests


class Kind(Enum):
    """What a failure means for those who wait."""

    AWAY = auto()  # no answer, or none of the API's own: again, later
    LIMITED = auto()  # no requests for a while
    CHANGED = auto()  # the records are not as they were seen: look again
    HIDDEN = auto()  # a CNAME is there
    BAD = auto()  # the API does not take this
    DENIED = auto()  # the credentials are not good for this
    GONE = auto()  # no such zone


CODES = {
    81057: Kind.CHANGED,  # identical record
    81058: Kind.CHANGED,
    81044: Kind.CHANGED,  # no such record
    81053: Kind.HIDDEN,
    81054: Kind.HIDDEN,
    1000: Kind.DENIED,
    6003: Kind.DENIED,  # malformed headers
    6103: Kind.DENIED,
    6111: Kind.DENIED,
    9103: Kind.DENIED,
    9106: Kind.DENIED,
    9109: Kind.DENIED,
    10000: Kind.DENIED,
    1001: Kind.GONE,
    7000: Kind.GONE,
    7003: Kind.GONE,
}
STATUSES = {401: Kind.DENIED, 403: Kind.DENIED, 404: Kind.GONE, 408: Kind.AWAY, 409: Kind.CHANGED}
MALFORMED = frozenset({6003, 6103, 6111})
SENTENCES = {
    Kind.AWAY: "the API has not heard all of it",
    Kind.LIMITED: "the API takes no more requests for now",
    Kind.CHANGED: "the records change while they are being changed",
    Kind.HIDDEN: "a CNAME at the name hides it; delete it, or choose another name",
    Kind.BAD: "the API does not take this change",
    Kind.DENIED: "the API does not let these credentials do this: they need {needs} for the zone, and may have expired",
    Kind.GONE: "the API knows no such zone",
}


class ApiError(Exception):
    """A request has failed. `maybe_done`: what it asked for may have happened, or may happen later."""

    def __init__(self, kind: Kind, reason: str, wait: float = 0.0, maybe_done: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.wait = wait  # seconds that the API wants to be left alone
        self.maybe_done = maybe_done


class Zone(NamedTuple):
    """A zone of the API. `name` is absolute; None if the token may not know it."""

    id: str
    name: str | None


class Page(NamedTuple, Generic[Item]):
    """A part of a list."""

    items: Sequence[Item]
    pages: int  # of the whole list
    total: int  # items of the whole list, as far as is known


class Manner(NamedTuple):
    """How a request is made."""

    seconds: float  # that it may take
    health: Health  # of the zone that it is for


class Api:
    """The API as one credential sees it; made inside a running event loop."""

    def __init__(
        self, spec: Cloudflare, secret: str | None, dialer: Dialer, budget: Budget, exchanges: Exchanges
    ) -> None:
        self.budget = budget
        self._exchanges = exchanges
        self._base = spec.url.rstrip("/")
        self._headers = _credentials(spec, secret)
        self._fetchers = {health: Fetcher(dialer, BODY, at_once) for health, at_once in AT_ONCE.items()}
        self._turns = {health: asyncio.Semaphore(at_once) for health, at_once in AT_ONCE.items()}
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End the connections."""
        for fetcher in self._fetchers.values():
            fetcher.close()

    def wait(self, health: Health) -> float:
        """Seconds until the next request may be sent."""
        now = self._loop.time()
        return max(self.budget.refused_until - now, self.budget.wait(now, health in ILL))

    async def zones(self, name: str | None, page: int, manner: Manner) -> Page[Zone]:
        """The zones of this name, or a page of all; those that work come first. Raises ApiError."""
        query = {"name": name.removesuffix(".")} if name else {"page": page, "per_page": ZONES_PER_PAGE}
        said = await self._call("GET", f"/zones?{urlencode(query)}", manner, "Zone Read")
        items, pages, total = _page(said, _read_zone, page, ZONES_PER_PAGE)
        return Page([zone for zone, _ in sorted(items, key=lambda item: item[1] != "active")], pages, total)

    async def zone(self, identity: str, manner: Manner) -> Zone:
        """The zone of this id. Raises ApiError."""
        said = await self._call("GET", f"/zones/{identity}", manner, "Zone Read")
        [(zone, _)] = _items([said.get("result")], _read_zone)
        return zone

    async def records(self, zone: Zone, name: str | None, page: int, manner: Manner) -> Page[Record]:
        """The records of a name, or a page of all. Raises ApiError."""
        which = {"name": name.removesuffix(".")} if name else {"order": "name"}
        query = urlencode({**which, "page": page, "per_page": PER_PAGE})
        said = await self._call("GET", f"/zones/{zone.id}/dns_records?{query}", manner, "DNS Edit")
        return _page(said, read_record, page, PER_PAGE)

    async def batch(self, zone: Zone, operations: Operations, manner: Manner) -> list[Record]:
        """Carry out all of it or nothing; the records that were made. Raises ApiError."""
        body = json.dumps(operations.json()).encode()
        said = await self._call("POST", f"/zones/{zone.id}/dns_records/batch", manner, "DNS Edit", body)
        result = said.get("result")
        made = result.get("posts") if isinstance(result, dict) else None
        return _items(made or [], read_record, maybe_done=True)

    async def _call(self, method: str, path: str, manner: Manner, needs: str, body: bytes = b"") -> Mapping[str, Any]:
        """What the API said yes with. Raises ApiError."""
        headers = {**self._headers, "Accept": "application/json"} | (
            {"Content-Type": "application/json"} if body else {}
        )
        async with self._turns[manner.health]:  # whose waiting is not of the request's time
            await self._wait_for_room(manner.health)
            try:
                fetching = self._fetchers[manner.health].fetch
                answer = await fetching(method, self._base + path, manner.seconds, headers, body)
            except Failed as failed:
                trouble, sent = failed.trouble, failed.sent
            except Mistake:
                raise ApiError(Kind.DENIED, "the credentials hold what no header can") from None
            else:
                return self._judge(answer, method != "GET", needs)
        self._exchanges.note(answered=False)
        if not sent:
            self.budget.give_back()
        raise ApiError(Kind.AWAY, f"no answer of the API: {trouble.value}", maybe_done=sent and method != "GET")

    async def _wait_for_room(self, health: Health) -> None:
        """Until the budget has room for one more. Raises ApiError while the API wants no requests."""
        while True:
            now = self._loop.time()
            if now < self.budget.refused_until:
                raise ApiError(Kind.LIMITED, SENTENCES[Kind.LIMITED], self.budget.refused_until - now)
            wait = self.budget.wait(now, health in ILL)
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        self.budget.take(now)

    def _judge(self, answer: Answer, changes: bool, needs: str) -> Mapping[str, Any]:
        """What an answer means; one that is not the API's own counts as none. Raises ApiError."""
        try:
            said = read(answer, changes, needs)
        except ApiError as error:
            self._exchanges.note(error.kind is not Kind.AWAY)
            if error.kind is Kind.LIMITED:
                self.budget.refuse(self._loop.time(), error.wait)
            raise
        self._exchanges.note(answered=True)
        return said


def _credentials(spec: Cloudflare, secret: str | None) -> Mapping[str, str]:
    """The headers that hold them."""
    if spec.key and not spec.passes_secret:
        return {"X-Auth-Email": spec.email or "", "X-Auth-Key": spec.key}
    return {"Authorization": f"Bearer {secret or spec.token}"}


# What an answer means. Pure.


def read(answer: Answer, changes: bool, needs: str) -> Mapping[str, Any]:
    """What the API said yes with. `changes`: it was asked for a change; `needs`: permissions. Raises ApiError."""
    status, wait = answer.status, retry_after(answer.headers.get("retry-after", ""))
    if status == 429:
        refused = min(max(REFUSED if wait is None else wait, SHORTEST_REFUSAL), LONGEST_REFUSAL)
        raise ApiError(Kind.LIMITED, SENTENCES[Kind.LIMITED], refused)
    if status >= 500:
        rest = min(wait or 0, LONGEST_REFUSAL)
        raise ApiError(Kind.AWAY, f"the API is in trouble (status {status})", rest, changes)
    if 300 <= status < 400:
        raise ApiError(Kind.AWAY, f"the API answers with a redirect (status {status}), which is not followed")
    said = _json(answer.body)
    if said is None:
        done = changes and status < 300
        raise ApiError(Kind.AWAY, f"the API's answer is not its own (status {status})", maybe_done=done)
    if status < 300 and said.get("success") is True:
        return said
    raise _refusal(status, _codes(said), needs)


def retry_after(text: str) -> int | None:
    """Seconds (RFC 9110, 10.2.3); None if it says nothing."""
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    try:
        at = parsedate_to_datetime(text[:40]).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0, round((at - datetime.now(UTC)).total_seconds()))


def _refusal(status: int, codes: Sequence[int], needs: str) -> ApiError:
    kinds = [CODES[code] for code in codes if code in CODES]
    kind = kinds[0] if kinds else STATUSES.get(status, Kind.BAD)
    sentence = SENTENCES[kind].format(needs=needs)
    if MALFORMED & set(codes):
        sentence = "the API cannot read the credentials: is the token complete?"
    shown = f", code {' '.join(map(str, codes))}" if codes else ""
    return ApiError(kind, f"{sentence} (status {status}{shown})")


def _json(body: bytes) -> Mapping[str, Any] | None:
    """An object; None for everything else."""
    try:
        said = read_json(body)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _codes(said: Mapping[str, Any]) -> list[int]:
    """Of the errors, and of what led to them."""
    found: list[int] = []
    errors = said.get("errors")
    for error in errors[:4] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            chain = error.get("error_chain")
            parts = [error, *(chain[:4] if isinstance(chain, list) else ())]
            found += [part["code"] for part in parts if isinstance(part, dict) and type(part.get("code")) is int]
    return [code for code in found if 0 <= code < 10_000_000]


def _page(said: Mapping[str, Any], read_item: Callable[[object], Item], page: int, per_page: int) -> Page[Item]:
    """Raises ApiError, also for more items than were asked for, as each takes its time."""
    result = said.get("result")
    items = _items(result[: per_page + 1] if isinstance(result, list) else result, read_item)
    if len(items) > per_page:
        raise ApiError(Kind.AWAY, "the API's answer is not as documented")
    info = said.get("result_info")
    counts = info if isinstance(info, dict) else {}
    pages, total = counts.get("total_pages"), counts.get("total_count")
    if not isinstance(pages, int):
        pages = page + (len(items) >= per_page)
    return Page(items, pages, total if isinstance(total, int) else -1)


def _items(result: object, read_item: Callable[[object], Item], maybe_done: bool = False) -> list[Item]:
    """Raises ApiError."""
    if isinstance(result, list):
        try:
            return [read_item(item) for item in result]
        except Nonsense:
            pass
    raise ApiError(Kind.AWAY, "the API's answer is not as documented", maybe_done=maybe_done)


def _read_zone(said: object) -> tuple[Zone, str]:
    """A zone, and its status: one that was moved may still be listed. Raises Nonsense."""
    fields = said if isinstance(said, dict) else {}
    identity, name, status = (fields.get(key) for key in ("id", "name", "status"))
    if not isinstance(identity, str) or not IDENTITY.fullmatch(identity) or not isinstance(name, str):
        raise Nonsense
    return Zone(identity, absolute(name)), str(status)
