"""The API's requests, as one credential sends them: in turn, and within its budget."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ...fetch.answer import Answer, Failed
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...values.exchanges import Exchanges
from ...values.mistake import Mistake
from ...values.specs import Cloudflare
from ..desk.backend import Health
from .answers import SENTENCES, ApiError, ApiZone, Flaw, Page, read, read_items, read_page, read_zone
from .budget import Budget
from .plan import Listed, Operations, read_record

PER_PAGE = 100  # records; more is not sure to be taken
ZONES_PER_PAGE = 50  # the most that is documented
BODY = 2 << 20  # octets of an answer; a page of records with the longest comments has less
AT_ONCE = {Health.NEW: 4, Health.WELL: 4, Health.ILL: 2, Health.SILENT: 2}  # requests


class Pace(NamedTuple):
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
        return max(self.budget.refused_until - now, self.budget.wait(now, health))

    async def zones(self, name: str | None, page: int, pace: Pace) -> Page[ApiZone]:
        """The zones of this name, or a page of all; those that work come first. Raises ApiError."""
        query = {"name": name.removesuffix(".")} if name else {"page": page, "per_page": ZONES_PER_PAGE}
        said = await self._call("GET", f"/zones?{urlencode(query)}", pace, "Zone Read")
        items, pages, total = read_page(said, read_zone, page, ZONES_PER_PAGE)
        return Page([zone for zone, _ in sorted(items, key=lambda item: item[1] != "active")], pages, total)

    async def zone(self, identity: str, pace: Pace) -> ApiZone:
        """The zone of this id. Raises ApiError."""
        said = await self._call("GET", f"/zones/{identity}", pace, "Zone Read")
        [(zone, _)] = read_items([said.get("result")], read_zone)
        return zone

    async def records(self, zone: ApiZone, name: str | None, page: int, pace: Pace) -> Page[Listed]:
        """The records of a name, or a page of all. Raises ApiError."""
        which = {"name": name.removesuffix(".")} if name else {"order": "name"}
        query = urlencode({**which, "include_shadow_metadata": "true", "page": page, "per_page": PER_PAGE})
        said = await self._call("GET", f"/zones/{zone.id}/dns_records?{query}", pace, "DNS Edit")
        return read_page(said, read_record, page, PER_PAGE)

    async def is_shadowed(self, zone: ApiZone, name: str, pace: Pace) -> bool:
        """Whether NS records at the name or above it, below the apex, would hide a record. Raises ApiError."""
        query = urlencode({"shadowing_name": name.removesuffix("."), "per_page": PER_PAGE})
        said = await self._call("GET", f"/zones/{zone.id}/dns_records?{query}", pace, "DNS Edit")
        return bool(read_page(said, read_record, 1, PER_PAGE).items)

    async def batch(self, zone: ApiZone, operations: Operations, pace: Pace) -> list[Listed]:
        """Carry out all of it or nothing; the records that were made. Raises ApiError."""
        body = json.dumps(operations.json()).encode()
        said = await self._call("POST", f"/zones/{zone.id}/dns_records/batch", pace, "DNS Edit", body)
        result = said.get("result")
        made = result.get("posts") if isinstance(result, dict) else None
        return read_items(made or [], read_record, maybe_done=True)

    async def _call(self, method: str, path: str, pace: Pace, needs: str, body: bytes = b"") -> Mapping[str, Any]:
        """What the API said yes with. Raises ApiError."""
        content = {"Content-Type": "application/json"} if body else {}
        headers = {**self._headers, "Accept": "application/json", **content}
        async with self._turns[pace.health]:  # whose waiting is not of the request's time
            await self._wait_for_room(pace.health)
            try:
                fetching = self._fetchers[pace.health].fetch
                answer = await fetching(method, self._base + path, pace.seconds, headers, body)
            except Failed as failed:
                trouble, sent = failed.trouble, failed.sent
            except Mistake:
                raise ApiError(Flaw.DENIED, "the credentials hold what no header can") from None
            else:
                return self._judge(answer, method != "GET", needs)
        self._exchanges.note(answered=False)
        if not sent:
            self.budget.give_back()
        raise ApiError(Flaw.AWAY, f"no answer of the API: {trouble.value}", maybe_done=sent and method != "GET")

    async def _wait_for_room(self, health: Health) -> None:
        """Until the budget has room for one more. Raises ApiError while the API wants no requests."""
        while True:
            now = self._loop.time()
            if now < self.budget.refused_until:
                raise ApiError(Flaw.LIMITED, SENTENCES[Flaw.LIMITED], self.budget.refused_until - now)
            wait = self.budget.wait(now, health)
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        self.budget.take(now, health)

    def _judge(self, answer: Answer, changes: bool, needs: str) -> Mapping[str, Any]:
        """What an answer means; one that is not the API's own counts as none. Raises ApiError."""
        try:
            said = read(answer, changes, needs)
        except ApiError as error:
            self._exchanges.note(error.kind is not Flaw.AWAY)
            if error.kind is Flaw.LIMITED:
                self.budget.refuse(self._loop.time(), error.settlement.wait)
            raise
        self._exchanges.note(answered=True)
        return said


def _credentials(spec: Cloudflare, secret: str | None) -> Mapping[str, str]:
    """The headers that hold them."""
    if spec.key and not spec.passes_secret:
        return {"X-Auth-Email": spec.email or "", "X-Auth-Key": spec.key}
    return {"Authorization": f"Bearer {secret or spec.token}"}
