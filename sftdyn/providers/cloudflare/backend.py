"""One credential at Cloudflare's API, as the desk talks to it: a list of what there is, then batches of changes.

All that waits goes together. The list is the whole zone, page by page, or the records of each name, whichever takes
fewer requests. An update is never split across batches. If the API takes a batch not, it undoes all of it, and does not
say for which part: so it is halved until the part to blame stands alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ...fetch.route import Dialer
from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result
from ...values.specs import Cloudflare
from ...values.update import Key, Place, RRset, Update
from ..desk.backend import (
    Addresses,
    Fact,
    Fate,
    Health,
    Interrupted,
    Listing,
    Manner,
    Settlement,
    State,
    Unfound,
    in_parts,
)
from ..desk.backend import Verdict as Became
from .api import SENTENCES, Api, ApiError, Kind, Page, Zone
from .api import Manner as Way
from .budget import Budgets
from .plan import Making, Operations, Record, Verdict, absolute, joined, plan
from .zones import NO_ZONE, ZoneList, is_identity

# Seconds that an answer may take: a part of the timeout, so that there is time for another try.
SHARE_OF_TIMEOUT = 0.8
SHORTEST, LONGEST = 2.0, 8.0
BATCH = 200  # operations, the most that every plan takes
COMPARED = 100  # updates, some milliseconds of work
ABREAST = 3  # questions of one exchange at once; the others are for other zones
NAME_PAGES = 10  # of the records of one name
MANNER = Manner(
    called="the API",
    no_zone=Result(Outcome.NOZONE, NO_ZONE),
    at_once=(4, 4, 2),
    capacity=4000,
    is_exclusive=True,
    pauses=(0.25, 2.0),
    remembered=1800.0,
    lot=4000,
    missed=15.0,  # somebody may be about to add it
    watched=150.0,  # Cloudflare's own proxies give up on a request after 100
    rests=(1.0, 1.5, 30.0),
)
OUTSIDE = "the name is not in the zone with this id"
UNSENT = Settlement(Became.AGAIN, reason="its time was over before it was sent")
TOO_MANY = f"more than {BATCH} changes at once"
FAILURES = {
    Verdict.HIDDEN: (Became.HIDDEN, SENTENCES[Kind.HIDDEN]),
    Verdict.MISSING: (Became.REFUSED, "it has no record of this type; make it by hand once, or set create=True"),
    Verdict.KEPT: (Became.REFUSED, "records are removed with create=True only"),
}
MEANINGS = {
    Kind.CHANGED: Became.AGAIN,
    Kind.LIMITED: Became.AWAY,
    Kind.HIDDEN: Became.HIDDEN,
    Kind.BAD: Became.REFUSED,
    Kind.DENIED: Became.REFUSED,
    Kind.GONE: Became.ELSEWHERE,
}

Item = TypeVar("Item")
Found = TypeVar("Found")
Records = Mapping[str, Sequence[Record]]  # by name


class Change(NamedTuple):
    """An update by its number, its record sets, and what must be done for it."""

    number: int
    keys: frozenset[Key]
    operations: Operations


class CloudflareBackend:
    """The API as one credential sees it; made inside a running event loop."""

    manner = MANNER
    budgets = Budgets()  # of all providers: the API counts by credential, whatever else the conf says beside it

    def __init__(self, spec: Cloudflare, secret: str | None, timeout: float, exchanges: Exchanges) -> None:
        credential = secret or (f"{spec.email} {spec.key}" if spec.key else spec.token)
        budget = self.budgets.of(f"{spec.url} {credential}", asyncio.get_running_loop().time())
        self.api = Api(spec, secret, Dialer(spec.ca), budget, exchanges)
        self._making = Making(spec.create, spec.proxied)
        self._zones = ZoneList(self.api, spec.zone)
        self.given = (absolute(spec.zone),) if spec.zone and not is_identity(spec.zone) else ()
        self._pages: dict[str, int] = {}  # of each zone's list of records, the last time that it was seen
        self._conflicts: set[Key] = set()  # record sets that had changed meanwhile
        self.seconds = min(LONGEST, max(SHORTEST, SHARE_OF_TIMEOUT * timeout))  # for an answer

    def channel(self, asks: bool = False) -> "CloudflareBackend":
        return self

    def weigh(self, rrset: RRset, zone: str) -> int:
        return 1

    def wait(self, health: Health) -> float:
        return self.api.wait(health)

    async def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact | Listing]:
        """Raises Unfound."""
        try:
            async for fact in self._zones.apexes(places, Way(self.seconds / 2, Health.WELL)):
                yield fact
        except ApiError as error:
            again = error.kind in (Kind.AWAY, Kind.LIMITED)
            final = {Kind.GONE: Outcome.NOZONE, Kind.HIDDEN: Outcome.UNPUBLISHABLE}.get(error.kind, Outcome.REFUSED)
            raise Unfound(error.reason, error.wait, None if again else final) from None

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        return []

    def stop(self) -> None:
        self.api.close()

    async def close(self) -> None: ...

    async def settle(
        self, zone: State, updates: Sequence[Update], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """A list, and a batch or more."""
        was_known = self._zones.knows(zone.name)
        settlements = await Exchange(self, zone, is_wanted).settle(updates, ask_only)
        if any(settlement.moved for settlement in settlements):
            self._zones.forget()
            if self.given and was_known:  # it may have another id now
                return await Exchange(self, zone, is_wanted).settle(updates, ask_only)
        return settlements

    async def mend(
        self, zone: State, watched: Sequence[tuple[RRset, Collection[Addresses]]]
    ) -> list[tuple[Fate, Addresses]]:
        return await Exchange(self, zone).mend(watched)


class Exchange:
    """One exchange about one zone."""

    def __init__(
        self, backend: CloudflareBackend, zone: State, is_wanted: Callable[[int], bool] = lambda number: True
    ) -> None:
        self._is_wanted = is_wanted
        self._api = backend.api
        self._zone = Zone("", zone.name)
        self._zones = backend._zones
        self._pages = backend._pages
        self._conflicts = backend._conflicts
        self._making = backend._making
        self._asking = Way(backend.seconds if zone.pause else backend.seconds / 2, zone.health)
        self._changing = Way(backend.seconds, zone.health)
        self._settled: dict[int, Settlement] = {}

    async def settle(self, updates: Sequence[Update], ask_only: bool) -> list[Settlement]:
        """One settlement for each."""
        try:
            there = await self._look(list(dict.fromkeys(rrset.name for update in updates for rrset in update)))
        except ApiError as error:
            return [_failed(error, changes=False)] * len(updates)
        changes = []
        for number, update in enumerate(updates):
            if number % COMPARED == 0:
                await asyncio.sleep(0)
            if change := self._compare(number, update, there, ask_only):
                changes.append(change)
        await self._change(changes)
        return [self._settled[number] for number in range(len(updates))]

    async def mend(self, watched: Sequence[tuple[RRset, Collection[Addresses]]]) -> list[tuple[Fate, Addresses]]:
        """What came late is undone. Raises Interrupted."""
        try:
            there = await self._look(list(dict.fromkeys(rrset.name for rrset, _ in watched)))
        except ApiError as error:
            raise Interrupted(_failed(error, changes=False)) from None
        return [await self._mend(newest, late, there[newest.name]) for newest, late in watched]

    async def _mend(
        self, newest: RRset, late: Collection[Addresses], there: Sequence[Record]
    ) -> tuple[Fate, Addresses]:
        shown = {record.content for record in there if record.type == newest.type}
        if shown == set(newest.addresses):
            return Fate.RIGHT, ()
        more = shown - set(newest.addresses)
        came = next((one for one in late if shown == set(one) or (more and more <= set(one))), None)
        if came is None:
            return Fate.FOREIGN, ()
        try:
            operations = plan(newest, there, self._making._replace(create=True)).operations
            await self._api.batch(self._zone, operations, self._changing)
        except ApiError as error:  # the next look finds it again
            return (Fate.UNKNOWN if error.maybe_done else Fate.RIGHT), came
        return Fate.MENDED, came

    # The question

    async def _look(self, names: Sequence[str]) -> Records:
        """The records of these names. Raises ApiError."""
        self._zone = await self._zones.zone(self._zone.name or "", self._asking)
        records: list[Record] | None = None
        if len(names) > 1 and self._pages.get(self._zone.id, 0) <= len(names):
            records = await self._read_zone(len(names))
        if records is None:
            records = [record for found in await _all(self._read_name, names) for record in found]
        wanted: dict[str, list[Record]] = {name: [] for name in names}
        for record in records:
            if record.name in wanted:
                wanted[record.name].append(record)
        return wanted

    async def _read_zone(self, names: int) -> list[Record] | None:
        """All records, unless it takes fewer requests to ask for so many names. Raises ApiError."""
        first = await self._read_page(None, 1)
        self._pages[self._zone.id] = first.pages
        if first.pages - 1 > names:
            return None
        return await self._rest(first.items, first.pages, first.total, None)

    async def _read_name(self, name: str) -> list[Record]:
        """Raises ApiError."""
        first = await self._read_page(name, 1)
        return await self._rest(first.items, min(first.pages, NAME_PAGES), first.total, name)

    async def _read_page(self, name: str | None, page: int) -> Page[Record]:
        """Raises ApiError."""
        return await self._api.records(self._zone, name, page, self._asking)

    async def _rest(self, first: Sequence[Record], pages: int, total: int, name: str | None) -> list[Record]:
        """The whole list, if nothing has moved from page to page meanwhile. Raises ApiError."""
        others = await _all(lambda page: self._read_page(name, page), range(2, pages + 1))
        records = {record.id: record for page in (first, *(other.items for other in others)) for record in page}
        if others and ({other.total for other in others} != {total} or total not in (-1, len(records))):
            raise ApiError(Kind.CHANGED, SENTENCES[Kind.CHANGED])
        return list(records.values())

    def _compare(self, number: int, update: Update, there: Records, ask_only: bool) -> Change | None:
        """What is to be done for an update; None if it is settled."""
        plans = {rrset: plan(rrset, there[rrset.name], self._making) for rrset in update}
        operations = joined(plan.operations for plan in plans.values())
        for rrset, (verdict, _) in plans.items():
            if failure := FAILURES.get(verdict):
                which = f"{rrset.name.removesuffix('.')} {rrset.type}: " if len(plans) > 1 else ""
                self._settled[number] = Settlement(failure[0], reason=which + failure[1])
                return None
        if operations.size() > BATCH:
            self._settled[number] = Settlement(Became.REFUSED, reason=TOO_MANY)
        elif ask_only or not operations.size():
            self._settled[number] = Settlement(Became.DONE, operations.size() > 0)
        else:
            return Change(number, frozenset(rrset.key for rrset in update), operations)
        return None

    # The change

    async def _change(self, changes: Sequence[Change]) -> None:
        """Carry these out, as many at once as can be; where the API fails, no other batch would fare better."""
        failed: ApiError | None = None
        for batch in _batches(changes, alone=self._zone.name is None):
            late = [change for change in batch if not self._is_wanted(change.number)]
            self._settled.update((change.number, UNSENT) for change in late)
            batch = [change for change in batch if change not in late]
            if not batch:
                continue
            if failed:
                unsent = _failed(ApiError(failed.kind, failed.reason, failed.wait), changes=True)
                self._settled.update((change.number, unsent) for change in batch)
            else:
                failed = next(iter(await self._carry_out(batch, len(batch))), None)

    async def _carry_out(self, batch: Sequence[Change], whole: int) -> list[ApiError]:
        """The batch, or its halves; what keeps others from being carried out, too."""
        try:
            made = await self._api.batch(self._zone, joined(change.operations for change in batch), self._changing)
            await self._check(batch, made)
        except ApiError as error:
            if len(batch) > 1 and self._can_be_halved(error, batch):
                return await in_parts(batch, lambda part: self._carry_out(part, whole))
            for change in batch:
                costly = whole > 1 and error.kind in (Kind.BAD, Kind.HIDDEN)
                self._settled[change.number] = _failed(error, changes=True)._replace(costly=costly)
                if error.kind is Kind.CHANGED:
                    self._conflicts |= change.keys
            return [error] if error.kind in (Kind.AWAY, Kind.LIMITED, Kind.DENIED, Kind.GONE) else []
        for change in batch:
            self._conflicts -= change.keys
            self._settled[change.number] = Settlement(Became.DONE, changed=True)
        return []

    def _can_be_halved(self, error: ApiError, batch: Sequence[Change]) -> bool:
        """Whether a part of it may be to blame; where records have changed, they are looked at again first."""
        if error.kind is Kind.CHANGED:
            return any(self._conflicts & change.keys for change in batch)
        return error.kind in (Kind.BAD, Kind.HIDDEN)

    async def _check(self, batch: Sequence[Change], made: Sequence[Record]) -> None:
        """A zone whose name the token may not know takes any name for one below it: take that back. Raises ApiError."""
        names = {name for change in batch for name, _ in change.keys}
        astray = [record for record in made if record.name not in names]
        if astray and self._zone.name is None:
            undone = Operations(deletes=tuple({"id": record.id} for record in astray))
            await self._api.batch(self._zone, undone, self._changing)
            raise ApiError(Kind.BAD, OUTSIDE)


def _failed(error: ApiError, changes: bool) -> Settlement:
    """What a failure of the API means."""
    if error.kind is Kind.AWAY:
        verdict = Became.UNKNOWN if error.maybe_done or not changes else Became.AGAIN
        return Settlement(verdict, error.maybe_done, error.reason, error.wait)
    moved = error.kind in (Kind.DENIED, Kind.GONE)
    return Settlement(MEANINGS[error.kind], False, error.reason, error.wait, moved=moved)


def _batches(changes: Iterable[Change], alone: bool) -> Iterable[list[Change]]:
    """In this order, each as full as can be; where records are made in a zone without a name, one by one."""
    together: list[Change] = []
    size = 0
    for change in changes:
        if alone and change.operations.posts:
            yield [change]
            continue
        if size + change.operations.size() > BATCH:
            yield together
            together, size = [], 0
        together.append(change)
        size += change.operations.size()
    yield from [together] if together else []


async def _all(ask: Callable[[Item], Awaitable[Found]], items: Iterable[Item]) -> list[Found]:
    """The answers for all items, when all have come. Raises ApiError."""
    places = asyncio.Semaphore(ABREAST)

    async def ask_in_turn(item: Item) -> Found:
        async with places:
            return await ask(item)

    answers = await asyncio.gather(*map(ask_in_turn, items), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
