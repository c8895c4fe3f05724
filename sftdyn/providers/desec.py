"""deSEC as a provider: a list of record sets, then one PATCH of all that is wanted, which is all or nothing.

An error of it says which record set is to blame. All TXT values of a name are one record set: it is read, changed and
looked at again. Those who do so from here take turns, with whatever token; others can disturb it at the same time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from ..fetch.answer import Failed
from ..fetch.fetcher import Fetcher
from ..fetch.route import Dialer
from ..values.exchanges import Exchanges
from ..values.mistake import Mistake
from ..values.outcome import Outcome, Result
from ..values.specs import Desec
from ..values.update import TXT, Record, Text
from .desec_sets import (
    MINIMUM_TTL,
    Contents,
    Errors,
    Shown,
    Spot,
    as_shown,
    contents_of,
    facts,
    may_be_domain,
    merged,
    next_cursor,
    not_its_own,
    read,
    read_domains,
    read_rrsets,
    refusal,
    subname,
    unanswered,
)
from .desk.backend import (
    Addresses,
    Fact,
    Fate,
    Health,
    Interrupted,
    Listing,
    Maker,
    Manner,
    Settlement,
    Verdict,
    Watched,
    ZoneState,
)
from .mending import mend
from .rest import patience
from .texts import quoted

MANNER = Manner(
    called="deSEC",
    no_zone=Result(Outcome.NOZONE, "deSEC shows this token no domain that has the name"),
    at_once=(2, 1, 1),
    capacity=500,  # record sets; a page has no more of them
    is_exclusive=True,
    pauses=(0.5, 4.0),
    lot=4000,
    remembered=1800.0,
    missed=15.0,  # somebody may be about to add it
    watched=150.0,
    rests=(2.0, 2.0, 60.0),
    texts_together=True,
)
FEW, MANY = 3, 12  # names that are asked for one by one, with their parents; for more there is the list of domains
BODY = 4 << 20  # octets of an answer
PAGES = 40  # of 500 record sets
TOO_MANY = Settlement(Verdict.REFUSED, reason=f"the list is longer than {PAGES} pages")
UNSENT = Settlement(Verdict.AGAIN, reason="its time was over before it was sent")
OTHERS = Settlement(Verdict.UNKNOWN, True, "somebody else changes the TXT records of the name at the same time")
DONE = Settlement(Verdict.DONE, changed=True)


class DesecBackend:
    """deSEC as one token sees it; made inside a running event loop."""

    manner = MANNER
    given: Sequence[str] = ()
    turns: ClassVar[WeakValueDictionary[str, asyncio.Lock]] = WeakValueDictionary()  # by API and domain, of all tokens

    def __init__(self, spec: Desec, secret: str | None, timeout: float, exchanges: Exchanges) -> None:
        self._url = spec.url.rstrip("/")
        self._headers = {"Authorization": f"Token {secret or spec.token}", "Accept": "application/json"}
        self._seconds = patience(timeout)  # that an answer may take
        self._exchanges = exchanges
        self._fetcher = Fetcher(Dialer(spec.ca), BODY)
        self._ttls: dict[str, int] = {}  # the least of each domain
        self._asked = 0  # names, one by one, since the last list of domains
        self._pages: dict[str, int] = {}  # of each domain's list, as last seen

    def channel(self, asks: bool = False) -> "DesecBackend":
        return self

    def weigh(self, rrset: Record, zone: str) -> int:
        return 1

    def wait(self, health: Health) -> float:
        return 0.0

    def stop(self) -> None:
        self._fetcher.close()

    async def close(self) -> None: ...

    async def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact | Listing]:
        """Raises Interrupted."""
        names = [place for place in places if may_be_domain(place)]
        self._asked += 1
        which = f"owns_qname={quote(names[0].removesuffix('.'))}&" if names else ""
        if self._asked > FEW or len(names) > MANY:
            domains = await self._domains("")
            self._asked = 0
            yield Listing({domain: domain for domain in domains})
            return
        domains = await self._domains(which) if names else {}
        for fact in facts(places, names[0] if names else ".", next(iter(domains), None)):
            yield fact

    async def settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Record]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """A list, and a PATCH; without those that it does not take, another one."""
        async with self._turn(zone, [item for update in updates for item in update if not ask_only]):
            return await self._settle(zone, updates, ask_only, is_wanted)

    def _turn(self, zone: ZoneState, items: Sequence[Record]) -> asyncio.Lock | nullcontext[None]:
        """Held while TXT values are read, changed and looked at again."""
        if not any(isinstance(item, Text) for item in items):
            return nullcontext()
        return self.turns.setdefault(f"{self._url} {zone.name}", asyncio.Lock())

    async def _settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Record]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        try:
            there = await self._look(zone, (item.name for update in updates for item in update))
        except Interrupted as why:
            return [why.settlement] * len(updates)
        settled = {n: as_shown(update, there, ask_only) for n, update in enumerate(updates)}
        left = [n for n, settlement in settled.items() if settlement is None]
        changes = {n: updates[n] for n in left if is_wanted(n)}
        changed = await self._change(zone, changes, there, len(changes))
        return [settlement or changed.get(n, UNSENT) for n, settlement in settled.items()]

    async def mend(self, zone: ZoneState, watched: Watched) -> list[tuple[Fate, Addresses]]:
        """Raises Interrupted."""
        async with self._turn(zone, [item for item, _ in watched]):
            there = await self._look(zone, (item.name for item, _ in watched))

            async def mend_them(numbers: Sequence[int]) -> Mapping[int, Settlement]:
                return await self._change(zone, {n: [watched[n][0]] for n in numbers}, there, len(numbers))

            return await mend(watched, [contents_of(item, there) for item, _ in watched], mend_them)

    async def _domains(self, which: str) -> Mapping[str, int]:
        """The domain that has a name, or all, with their least ttl. Raises Interrupted."""
        domains: dict[str, int] = {}
        async for said in self._pages_of(f"/domains/?{which}", self._seconds / 2):
            domains |= read_domains(said)
        self._ttls |= domains
        return domains

    async def _look(self, zone: ZoneState, wanted: Iterable[str]) -> dict[Spot, Contents]:
        """The record sets of these names: of each, or all, whichever takes fewer requests. Raises Interrupted."""
        names = dict.fromkeys(wanted)
        seconds = self._seconds if zone.pause else self._seconds / 2
        shown: dict[Spot, Contents] = {}
        which = [f"subname={quote(subname(name, zone.name))}&" for name in names]
        if len(names) > self._pages.get(zone.name, 1):
            which = [""]
        for one in which:
            pages = 0
            async for said in self._pages_of(f"{_rrsets(zone)}?{one}", seconds):
                shown |= read_rrsets(said, maybe_done=False)
                pages += 1
            if not one:
                self._pages[zone.name] = pages
        return {spot: contents for spot, contents in shown.items() if spot[0] in names}

    async def _pages_of(self, path: str, seconds: float) -> AsyncIterator[Any]:
        """A list, page by page. Raises Interrupted."""
        cursor = ""
        for _ in range(PAGES):
            said, following = await self._ask("GET", f"{path}cursor={quote(cursor)}", seconds)
            yield said
            if following is None:
                return
            cursor = following
        raise Interrupted(TOO_MANY)

    async def _change(
        self, zone: ZoneState, updates: Mapping[int, Sequence[Record]], there: dict[Spot, Contents], whole: int
    ) -> dict[int, Settlement]:
        """Make these true; `there` is as it is afterwards. Of those that are refused, each fails alone."""
        if not updates:
            return {}
        items = [item for update in updates.values() for item in update]
        try:
            errors = await self._patch(zone, merged(items, there), {(item.name, item.type): item.ttl for item in items})
            if errors is None:
                there |= merged(items, there)
                return await self._looked_at_again(zone, updates)
        except Interrupted as why:
            return dict.fromkeys(updates, why.settlement)
        blamed = {n: u for n, u in updates.items() if not errors or any((i.name, i.type) in errors for i in u)}
        is_sure = len(blamed) == 1 or (errors and not any(kind == TXT for _, kind in errors))
        settled = await self._change(zone, {n: u for n, u in updates.items() if n not in blamed}, there, whole)
        if is_sure:
            refused = refusal(errors.values())._replace(costly=whole > 1)
            return settled | dict.fromkeys(blamed, refused)
        numbers = list(blamed)
        for part in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
            settled |= await self._change(zone, {n: updates[n] for n in part}, there, whole)
        return settled

    async def _patch(
        self, zone: ZoneState, sets: Shown, ttls: Mapping[Spot, int]
    ) -> Mapping[Spot, Sequence[str]] | None:
        """Make them so, all or none: None, or what is wrong with each that is to blame. Raises Interrupted."""
        least = self._ttls.get(zone.name, MINIMUM_TTL)
        items = [
            {
                "subname": subname(name, zone.name),
                "type": kind,
                "ttl": max(ttls[name, kind], least),
                "records": sorted(map(quoted, contents) if kind == TXT else contents),
            }
            for (name, kind), contents in sets.items()
        ]
        said, _ = await self._ask("PATCH", _rrsets(zone), self._seconds, items)
        if isinstance(said, Errors):
            return said.by_spot(list(sets))
        confirmed = read_rrsets(said, maybe_done=True)
        if any(confirmed.get(spot, frozenset()) != contents for spot, contents in sets.items()):
            raise not_its_own(maybe_done=True)
        return None

    async def _looked_at_again(self, zone: ZoneState, updates: Mapping[int, Sequence[Record]]) -> dict[int, Settlement]:
        """What is confirmed; TXT values once more, as somebody else may have read the set before we wrote it."""
        texts = [item for update in updates.values() for item in update if isinstance(item, Text)]
        try:
            there = await self._look(zone, (text.name for text in texts)) if texts else {}
        except Interrupted as why:
            return dict.fromkeys(updates, why.settlement._replace(verdict=Verdict.UNKNOWN, changed=True, moved=False))
        lost = {text.key for text in texts if contents_of(text, there) != set(text.addresses)}
        return {n: OTHERS if any(i.key in lost for i in update) else DONE for n, update in updates.items()}

    async def _ask(self, method: str, path: str, seconds: float, body: Any = None) -> tuple[Any, str | None]:
        """What deSEC says, and where the next page of it begins. Raises Interrupted."""
        octets = b"" if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if octets else {})
        changes = method != "GET"
        try:
            answer = await self._fetcher.fetch(method, self._url + path, seconds, headers, octets)
            said = read(answer, changes)
        except Mistake:
            raise Interrupted(Settlement(Verdict.REFUSED, reason="the token holds what no header can")) from None
        except Failed as failed:
            self._exchanges.note(answered=False)
            raise unanswered(f"no answer of deSEC: {failed.trouble.value}", changes, failed.sent) from None
        except Interrupted as why:
            is_its_own = why.settlement.wait or why.settlement.verdict not in (Verdict.UNKNOWN, Verdict.AGAIN)
            self._exchanges.note(bool(is_its_own))
            raise
        self._exchanges.note(answered=True)
        return said, next_cursor(answer.headers.get("link", ""))


def _rrsets(zone: ZoneState) -> str:
    return f"/domains/{zone.name.removesuffix('.')}/rrsets/"


MAKER = Maker(MANNER, DesecBackend)
