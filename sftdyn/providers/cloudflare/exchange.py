"""One exchange about one zone: a list of what there is, then batches of changes.

All that waits goes together. The list is the whole zone, page by page, or the records of each name, whichever takes
fewer requests. An update is never split across batches. If the API takes a batch not, it undoes all of it, and does not
say for which part: so it is halved until the part to blame stands alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from ...values.names import is_within
from ...values.update import Key, Record
from ..desk.backend import Addresses, Fate, Settlement, Verdict, Watched, ZoneState, in_parts
from ..mending import mend
from .answers import SENTENCES, ApiError, ApiZone, Flaw, Page
from .api import Api, Pace
from .plan import FAMILIES, Hindrance, Listed, Making, Operations, joined, plan, shown
from .zones import ZoneList

BATCH = 200  # operations, the most that every plan takes
COMPARED = 100  # updates, some milliseconds of work
ABREAST = 3  # questions of one exchange at once; the others are for other zones
NAME_PAGES = 10  # of the records of one name
OUTSIDE = "the name is not in the zone with this id"
UNSENT = Settlement(Verdict.AGAIN, reason="its time was over before it was sent")
TOO_MANY = Settlement(Verdict.REFUSED, reason=f"more than {BATCH} changes at once")
SHADOWED = (
    "an NS record at the name, or above it, gives it to other name servers; publish it there, or choose another name"
)
OBSTACLES = {
    Hindrance.HIDDEN: (Verdict.HIDDEN, SENTENCES[Flaw.HIDDEN]),
    Hindrance.SHADOWED: (Verdict.HIDDEN, SHADOWED),
    Hindrance.MISSING: (Verdict.REFUSED, "it has no record of this type; make it by hand once, or set create=True"),
    Hindrance.KEPT: (Verdict.REFUSED, "records are removed with create=True only"),
}
UNWANTED = {
    kind: f"the name has an {other} record and no {kind} record; for both make one by hand, or set create=True"
    for kind, other in (FAMILIES, FAMILIES[::-1])
}
OF_ONE_CHANGE = (Flaw.BAD, Flaw.HIDDEN, Flaw.CHANGED)  # other failures are those of all

Item = TypeVar("Item")
Found = TypeVar("Found")
Records = Mapping[str, Sequence[Listed]]  # by name


@dataclass(slots=True)
class View:
    """What the exchanges of one credential share."""

    api: Api
    zones: ZoneList
    making: Making
    seconds: float  # that an answer may take
    pages: dict[str, int] = field(default_factory=dict)  # of each zone's list of records, as last seen
    conflicts: set[Key] = field(default_factory=set)  # record sets that had changed meanwhile


class Change(NamedTuple):
    """An update by its number, its record sets, and what must be done for it."""

    number: int
    keys: frozenset[Key]
    operations: Operations


class Exchange:
    """One exchange about one zone."""

    def __init__(self, sight: View, zone: ZoneState, is_wanted: Callable[[int], bool] = lambda number: True) -> None:
        self._sight = sight
        self._is_wanted = is_wanted
        self._zone = ApiZone("", zone.name)
        self._delegations: Collection[str] | None = None  # names with NS records, if all of the zone was read
        self._asking = Pace(sight.seconds if zone.pause else sight.seconds / 2, zone.health)
        self._changing = Pace(sight.seconds, zone.health)
        self._settled: dict[int, Settlement] = {}

    async def settle(self, updates: Sequence[Sequence[Record]], ask_only: bool) -> list[Settlement]:
        """One settlement for each."""
        try:
            there = await self._look(item.name for update in updates for item in update)
        except ApiError as error:
            return [error.settlement] * len(updates)
        changes, left_out = [], list[Mapping[Key, str]]()
        for number, update in enumerate(updates):
            if number % COMPARED == 0:
                await asyncio.sleep(0)
            planned = {item.key: plan(item, there[item.name], self._sight.making) for item in update}
            left_out.append({key: UNWANTED[key[1]] for key, one in planned.items() if one is Hindrance.UNWANTED})
            became = self._compare(planned)
            if isinstance(became, Settlement):
                self._settled[number] = became
            else:
                changes.append(Change(number, frozenset(item.key for item in update), became))
        served = await self._served(changes, there)
        if ask_only:
            self._settled.update((change.number, Settlement(Verdict.DONE, changed=True)) for change in served)
        else:
            await self._change(served)
        return [self._settled[number]._replace(left_out=left_out[number]) for number in range(len(updates))]

    async def mend(self, watched: Watched) -> list[tuple[Fate, Addresses]]:
        """What came late is undone. Raises Interrupted."""
        there = await self._look(item.name for item, _ in watched)

        async def mend_them(numbers: Sequence[int]) -> Mapping[int, Settlement]:
            plans = {n: plan(watched[n][0], there[watched[n][0].name], Making(create=True)) for n in numbers}
            hidden = Settlement(Verdict.HIDDEN)
            self._settled = {n: hidden for n, planned in plans.items() if isinstance(planned, Hindrance)}
            todo = [(n, planned) for n, planned in plans.items() if isinstance(planned, Operations)]
            await self._change([Change(n, frozenset({watched[n][0].key}), planned) for n, planned in todo])
            return self._settled

        stands = [{record.content for record in shown(item, there[item.name])} for item, _ in watched]
        return await mend(watched, stands, mend_them, is_mixed=True)

    # The question

    async def _look(self, wanted: Iterable[str]) -> Records:
        """The records of these names. Raises ApiError."""
        names = list(dict.fromkeys(wanted))
        self._zone = await self._sight.zones.zone(self._zone.name or "", self._asking)
        records: list[Listed] | None = None
        if len(names) > 1 and self._sight.pages.get(self._zone.id, 0) <= len(names):
            records = await self._read_zone(len(names))
            if records and self._zone.name:
                self._delegations = {r.name for r in records if r.type == "NS" and r.name != self._zone.name}
        if records is None:
            records = [record for found in await _all(self._read_name, names) for record in found]
        there: dict[str, list[Listed]] = {name: [] for name in names}
        for record in records:
            if record.name in there:
                there[record.name].append(record)
        return there

    async def _read_zone(self, names: int) -> list[Listed] | None:
        """All records, unless it takes fewer requests to ask for so many names. Raises ApiError."""
        first = await self._read_page(None, 1)
        self._sight.pages[self._zone.id] = first.pages
        return None if first.pages - 1 > names else await self._rest(first, first.pages, None)

    async def _read_name(self, name: str) -> list[Listed]:
        """Raises ApiError."""
        first = await self._read_page(name, 1)
        return await self._rest(first, min(first.pages, NAME_PAGES), name)

    async def _read_page(self, name: str | None, page: int) -> Page[Listed]:
        """Raises ApiError."""
        return await self._sight.api.records(self._zone, name, page, self._asking)

    async def _rest(self, first: Page[Listed], pages: int, name: str | None) -> list[Listed]:
        """The whole list, if nothing has moved from page to page meanwhile. Raises ApiError."""
        others = await _all(lambda page: self._read_page(name, page), range(2, pages + 1))
        records = {record.id: record for page in (first, *others) for record in page.items}
        if others and ({page.total for page in others} != {first.total} or first.total not in (-1, len(records))):
            raise ApiError(Flaw.CHANGED, SENTENCES[Flaw.CHANGED])
        return list(records.values())

    def _compare(self, planned: Mapping[Key, Operations | Hindrance]) -> Settlement | Operations:
        """What is to be done for an update, or what became of it."""
        parts = []
        for key, part in planned.items():
            if isinstance(part, Operations):
                parts.append(part)
            elif part is not Hindrance.UNWANTED:
                verdict, reason = OBSTACLES[part]
                which = f"{key[0].removesuffix('.')} {key[1]}: " if len(planned) > 1 else ""
                return Settlement(verdict, reason=which + reason)
        operations = joined(parts)
        if operations.size() > BATCH:
            return TOO_MANY
        return operations if operations.size() else Settlement(Verdict.DONE)

    async def _served(self, changes: Sequence[Change], there: Records) -> list[Change]:
        """Those that would be seen: where nothing is there yet that shows it, NS records above are asked for."""
        new = {change.number: {f"{post['name']}." for post in change.operations.posts} for change in changes}
        names = {name for of_one in new.values() for name in of_one if not any(r.type != "NS" for r in there[name])}
        try:
            shadowed = {name for name, is_so in zip(names, await _all(self._is_shadowed, names), strict=True) if is_so}
        except ApiError as error:
            self._settled.update((change.number, error.settlement) for change in changes)
            return []
        lost = {number for number, of_one in new.items() if of_one & shadowed}
        for number in lost:
            [name, *_] = sorted(new[number] & shadowed)
            which = f"{name.removesuffix('.')}: " if len(new[number]) > 1 else ""
            self._settled[number] = Settlement(Verdict.HIDDEN, reason=which + SHADOWED)
        return [change for change in changes if change.number not in lost]

    async def _is_shadowed(self, name: str) -> bool:
        """Raises ApiError."""
        if self._delegations is not None:
            return any(is_within(name, delegation) for delegation in self._delegations)
        if name == self._zone.name:
            return False
        try:
            return await self._sight.api.is_shadowed(self._zone, name, self._asking)
        except ApiError as error:
            if error.kind is not Flaw.BAD:
                raise
            return False  # of the apex it cannot be asked, and here its name is not known

    # The change

    async def _change(self, changes: Sequence[Change]) -> None:
        """Carry these out, as many at once as can be; where the API fails, no other batch would fare better."""
        failed: Settlement | None = None
        for batch in _batches(changes, alone=self._zone.name is None):
            wanted = [change for change in batch if self._is_wanted(change.number)]
            self._settled.update((change.number, UNSENT) for change in batch if change not in wanted)
            if wanted and failed:
                self._settled.update((change.number, failed) for change in wanted)
            elif wanted:
                failed = next(iter(await self._carry_out(wanted, len(wanted))), None)

    async def _carry_out(self, batch: Sequence[Change], whole: int) -> list[Settlement]:
        """The batch, or its halves; what becomes of all others, if they would fail, too."""
        try:
            operations = joined(change.operations for change in batch)
            await self._check(batch, await self._sight.api.batch(self._zone, operations, self._changing))
        except ApiError as error:
            if len(batch) > 1 and self._can_be_halved(error, batch):
                return await in_parts(batch, lambda part: self._carry_out(part, whole))
            costly = whole > 1 and error.kind in (Flaw.BAD, Flaw.HIDDEN)
            became = error.of_a_change()._replace(costly=costly)
            for change in batch:
                self._settled[change.number] = became
                if error.kind is Flaw.CHANGED:
                    self._sight.conflicts |= change.keys
            unsent = became._replace(verdict=Verdict.AGAIN, changed=False) if error.kind is Flaw.AWAY else became
            return [] if error.kind in OF_ONE_CHANGE else [unsent]
        for change in batch:
            self._sight.conflicts -= change.keys
            self._settled[change.number] = Settlement(Verdict.DONE, changed=True)
        return []

    def _can_be_halved(self, error: ApiError, batch: Sequence[Change]) -> bool:
        """Whether a part of it may be to blame; where records have changed, they are looked at again first."""
        if error.kind is Flaw.CHANGED:
            return any(self._sight.conflicts & change.keys for change in batch)
        return error.kind in OF_ONE_CHANGE

    async def _check(self, batch: Sequence[Change], made: Sequence[Listed]) -> None:
        """A zone whose name the token may not know takes any name for one below it: take that back. Raises ApiError."""
        names = {key[0] for change in batch for key in change.keys}
        astray = [record for record in made if record.name not in names]
        if astray and self._zone.name is None:
            undone = Operations(deletes=tuple({"id": record.id} for record in astray))
            await self._sight.api.batch(self._zone, undone, self._changing)
            raise ApiError(Flaw.BAD, OUTSIDE)


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
