"""One exchange with the API about one zone: a list of what there is, then batches of what is to be changed.

All that waits goes together. The list is the whole zone, page by page, or the records of each name, whichever takes
fewer requests. An update is never split across batches. If the API takes a batch not, it undoes all of it, and does not
say for which part: so it is halved until the part to blame stands alone, which from then on has batches of its own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from ...values.outcome import Outcome, Result
from ...values.update import Key, RRset
from .api import SENTENCES, Api, ApiError, Kind, Manner, Page
from .late import LateWrites
from .plan import Making, Operations, Plan, Record, Verdict, joined, plan
from .tickets import Lane, Share

log = logging.getLogger(__name__)

BATCH = 200  # operations, the most that every plan takes
OUTSIDE = "the name is not in the zone with this id"
FAILURES = {
    Verdict.HIDDEN: Result(Outcome.UNPUBLISHABLE, SENTENCES[Kind.HIDDEN]),
    Verdict.MISSING: Result(Outcome.REFUSED, "it has no record of this type; make it by hand once, or set create=True"),
    Verdict.KEPT: Result(Outcome.REFUSED, "records are removed with create=True only"),
}
UNSENT = ApiError(Kind.AWAY, "its time was over before it was sent")
COMPARED = 100  # updates, some milliseconds of work
ABREAST = 3  # questions of one exchange at once; the others are for other zones
NAME_PAGES = 10  # of the records of one name
TOO_MANY = Result(Outcome.REFUSED, f"more than {BATCH} changes at once")
ENDS = frozenset({Kind.AWAY, Kind.LIMITED, Kind.DENIED, Kind.GONE})  # no other batch would fare better

Item = TypeVar("Item")
Found = TypeVar("Found")
Records = Mapping[str, Sequence[Record]]  # by name


class Settlement(NamedTuple):
    """What became of a share: it failed for good, or the API failed, or it is as wanted (and was not so before)."""

    failure: Result | None = None
    error: ApiError | None = None
    changed: bool = False


Tell = Callable[[Share, Settlement], None]


class Change(NamedTuple):
    """A share, and what must be done for it."""

    share: Share
    operations: Operations


class Watch(NamedTuple):
    """What late writes could undo."""

    late: LateWrites
    watched: Sequence[RRset]  # what was acknowledged last
    is_free: Callable[[Key], bool]  # nobody wants to write this record set; else it is not touched


class Exchange:
    """The exchanges of one zone. `tell` is called once for each share."""

    def __init__(self, api: Api, lane: Lane, making: Making, seconds: float, tell: Tell) -> None:
        """`seconds`: how long a change may take; a question is given up earlier, as it can be repeated."""
        self._api = api
        self._lane = lane
        self._making = making
        self._tell = tell
        self._asking = Manner(seconds if lane.pause else seconds / 2, lane.health)
        self._changing = Manner(seconds, lane.health)

    async def run(self, shares: Sequence[Share], watch: Watch) -> ApiError | None:
        """Settle these, and look after what late writes could undo; what was in the way."""
        watched = watch.watched
        wanted = [rrset for share in shares for rrset in share.rrsets]
        try:
            there = await self._look(list(dict.fromkeys(rrset.name for rrset in (*wanted, *watched))))
        except ApiError as error:
            for share in shares:
                self._tell(share, Settlement(error=error))
            return error
        trouble = await self._change(await self._compare_all(shares, there))
        for newest in watched:
            await self._mend(newest, there[newest.name], watch)
        return trouble

    # The question

    async def _look(self, names: Sequence[str]) -> Records:
        """The records of these names. Raises ApiError."""
        lane = self._lane
        records: list[Record] | None = None
        if len(names) > 1 and (lane.pages or 0) <= len(names):
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
        self._lane.pages = first.pages
        if first.pages - 1 > names:
            return None
        return await self._rest(first.items, first.pages, first.total, None)

    async def _read_name(self, name: str) -> list[Record]:
        """Raises ApiError."""
        first = await self._read_page(name, 1)
        return await self._rest(first.items, min(first.pages, NAME_PAGES), first.total, name)

    async def _read_page(self, name: str | None, page: int) -> Page[Record]:
        """Raises ApiError."""
        return await self._api.records(self._lane.zone, name, page, self._asking)

    async def _rest(self, first: Sequence[Record], pages: int, total: int, name: str | None) -> list[Record]:
        """The whole list, if nothing has moved from page to page meanwhile. Raises ApiError."""
        others = await _all(lambda page: self._read_page(name, page), range(2, pages + 1))
        records = {record.id: record for page in (first, *(other.items for other in others)) for record in page}
        if others and ({other.total for other in others} != {total} or total not in (-1, len(records))):
            raise ApiError(Kind.CHANGED, SENTENCES[Kind.CHANGED])
        return list(records.values())

    async def _compare_all(self, shares: Sequence[Share], there: Records) -> list[Change]:
        """What is to be done; others have their turn meanwhile."""
        changes = []
        for number, share in enumerate(shares):
            if number % COMPARED == 0:
                await asyncio.sleep(0)
            if change := self._compare(share, there):
                changes.append(change)
        return changes

    def _compare(self, share: Share, there: Records) -> Change | None:
        """What is to be done for a share; None if it is settled."""
        plans = {rrset: plan(rrset, there[rrset.name], self._making) for rrset in share.rrsets}
        operations = joined(plan.operations for plan in plans.values())
        settlement = Settlement(_failure(plans, operations), changed=operations.size() > 0)
        if settlement.failure or share.ticket.ask_only or not settlement.changed:
            self._tell(share, settlement)
            return None
        return Change(share, operations)

    # The change

    async def _change(self, changes: Sequence[Change]) -> ApiError | None:
        """Carry these out, as many at once as can be; what was in the way."""
        batches = deque(_batches(changes, self._is_apart))
        trouble = None
        while batches:
            batch = self._still_wanted(batches.popleft())
            error = await self._send(batch) if batch else None
            if error and len(batch) > 1 and _can_be_halved(error, batch):
                middle = len(batch) // 2
                batches.extendleft([batch[middle:], batch[:middle]])
                continue
            for change in batch:
                self._settle(change, error)
            trouble = error if error and error.kind is not Kind.BAD else trouble
            if error and error.kind in ENDS:
                unsent = ApiError(error.kind, error.reason, error.wait)
                for change in (change for batch in batches for change in batch):
                    self._settle(change, unsent)
                break
        return trouble

    def _still_wanted(self, batch: Sequence[Change]) -> list[Change]:
        """Those of a batch for which somebody waits."""
        for change in batch:
            if change.share.ticket.is_over:
                self._settle(change, UNSENT)
        return [change for change in batch if not change.share.ticket.is_over]

    async def _send(self, batch: Sequence[Change]) -> ApiError | None:
        """Carry out a batch; what is in the way."""
        try:
            made = await self._api.batch(self._lane.zone, joined(change.operations for change in batch), self._changing)
            await self._check(batch, made)
        except ApiError as error:
            return error
        return None

    async def _check(self, batch: Sequence[Change], made: Sequence[Record]) -> None:
        """A zone whose name the token may not know takes any name for one below it: take that back. Raises ApiError."""
        names = {rrset.name for change in batch for rrset in change.share.rrsets}
        astray = [record for record in made if record.name not in names]
        if astray and self._lane.zone.name is None:
            undone = Operations(deletes=tuple({"id": record.id} for record in astray))
            await self._api.batch(self._lane.zone, undone, self._changing)
            raise ApiError(Kind.BAD, OUTSIDE)

    def _settle(self, change: Change, error: ApiError | None) -> None:
        keys = {rrset.key for rrset in change.share.rrsets}
        if error is None:
            self._lane.suspects -= keys
        elif error.kind in (Kind.BAD, Kind.HIDDEN):
            self._lane.suspects |= keys
        self._tell(change.share, Settlement(error=error, changed=True))

    def _is_apart(self, change: Change) -> bool:
        """Whether it has a batch of its own."""
        if self._lane.suspects and not self._lane.suspects.isdisjoint(rrset.key for rrset in change.share.rrsets):
            return True
        return bool(change.operations.posts) and self._lane.zone.name is None

    # Late writes

    async def _mend(self, newest: RRset, there: Sequence[Record], watch: Watch) -> None:
        """Undo what came late."""
        shown = [record.content for record in there if record.type == newest.type]
        late = watch.late.came_late(newest, shown) if watch.is_free(newest.key) else None
        if late is None:
            return
        try:
            operations = plan(newest, there, self._making._replace(create=True)).operations
            await self._api.batch(self._lane.zone, operations, self._changing)
        except ApiError as error:  # the next look finds it again
            if error.maybe_done:
                watch.late.unanswered(self._lane.zone, [newest], asyncio.get_running_loop().time())
            return
        watch.late.mended(newest, late)
        log.warning("%s %s: an update that the API applied late is mended", newest.name, newest.type)


def _failure(plans: Mapping[RRset, Plan], operations: Operations) -> Result | None:
    """Why an update cannot be, if so."""
    for rrset, (verdict, _) in plans.items():
        if failure := FAILURES.get(verdict):
            which = f"{rrset.name.removesuffix('.')} {rrset.type}: " if len(plans) > 1 else ""
            return failure._replace(reason=which + failure.reason)
    return TOO_MANY if operations.size() > BATCH else None


def _batches(changes: Iterable[Change], is_apart: Callable[[Change], bool]) -> Iterable[list[Change]]:
    """In this order, each as full as can be."""
    together: list[Change] = []
    apart: list[list[Change]] = []
    size = 0
    for change in changes:
        if is_apart(change):
            apart.append([change])
            continue
        if size + change.operations.size() > BATCH:
            yield together
            together, size = [], 0
        together.append(change)
        size += change.operations.size()
    yield from [together] if together else []
    yield from apart


def _can_be_halved(error: ApiError, batch: Sequence[Change]) -> bool:
    """Whether a part of it may be to blame; where records have changed, they are looked at again first."""
    if error.kind is Kind.CHANGED:
        return any(change.share.conflicts for change in batch)
    return error.kind in (Kind.BAD, Kind.HIDDEN)


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
