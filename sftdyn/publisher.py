"""Updates in, results out: the queue in front of the primary, with its order, its patience and its bounds."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from .dialogue import Dialogue, Interrupted, Settlement
from .late import LateWrites
from .message import Verdict, diagnosis
from .names import is_within
from .nsupdate import Child, Primary, find_zones
from .outcome import Outcome, Result, worst
from .update import Key, RRset, Update

log = logging.getLogger(__name__)

BATCH = 256  # record sets in one message; more gain nothing, and delay the first
MESSAGE_SIZE = 60_000  # octets; 65 535 are the limit of DNS over TCP
WAITING = 10_000  # updates that wait for the primary: some 40 MiB with their connections
# Seconds until the next try after a failure. A wrong key costs two processes a try.
PAUSE = {Verdict.BAD_KEY: 0.5}
DEFAULT_PAUSE = 0.1
# Where a late write threatens, a change is looked at again before its OK, after the primary had this many
# seconds to work off what lay in its sockets when it woke up.
SECOND_LOOK = 0.25

FAILURES = {
    Verdict.HIDDEN: Result(Outcome.UNPUBLISHABLE, "a CNAME at the name, or a delegation or DNAME above it, hides it"),
    Verdict.REFUSED: Result(Outcome.REFUSED, "the name server's update-policy or allow-update refuses this name"),
}
NO_ZONE = Result(Outcome.NOZONE, "the name server is primary for no zone that contains the name")
FULL = Result(Outcome.OVERLOADED, "too many updates wait for the name server")
DEFECT = Result(Outcome.INTERNAL, "defect in the publisher")


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way to the primary."""

    update: Update
    done: "asyncio.Future[Result]"
    deadline: asyncio.TimerHandle | None = None
    not_before: float = 0.0  # event loop time
    trouble: str = "no answer from the name server"  # what was last in the way
    written: bool = False  # the primary may have it already, by our hand
    looked: bool = False  # it was looked at again after a write that a late one threatens
    moved: bool = False  # its zone turned out to be served elsewhere once
    settled: dict[str, Result] = field(default_factory=dict)  # zone → what became of the names there
    keys: frozenset[Key] = field(init=False)
    size: int = field(init=False)  # octets on the wire at most

    def __post_init__(self) -> None:
        self.keys = frozenset([rrset.key for rrset in self.update])
        self.size = sum([_size(rrset) for rrset in self.update])


def _size(rrset: RRset) -> int:
    """Octets: the name once, then pointers to it (RFC 1035, 4.1.4), and two guards for each label."""
    return len(rrset.name) + 24 * rrset.name.count(".") + 60 * (1 + len(rrset.addresses))


class BindPublisher:
    """Publishes through one nsupdate child at one primary. Use it as an async context manager.

    `zones` (absolute names) hold all names; without any, the primary is asked for each name's zone.
    After `timeout` seconds, an update that the primary did not settle has failed.
    """

    def __init__(self, primary: Primary, zones: Sequence[str], timeout: float) -> None:
        self._primary = primary
        self._given_zones = sorted(zones, key=len, reverse=True)
        self._timeout = timeout
        self._child = Child(primary)
        self._dialogue = Dialogue(self._child)
        self._late = LateWrites()
        self._zones: dict[str, str] = {}  # name → zone, as found
        self._waiting: dict[Ticket, None] = {}  # in the order of arrival
        self._paused: dict[str, float] = {}  # zone → event loop time of the next try
        self._finder: asyncio.Task[None] | None = None
        self._full = False

    async def __aenter__(self) -> "BindPublisher":
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let what waits come to its end, which the timeout bounds; then end the child."""
        while self._waiting:
            await asyncio.wait([ticket.done for ticket in self._waiting])
        tasks = [task for task in (self._worker, self._finder) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._child.stop()

    def publish(self, update: Update) -> "asyncio.Future[Result]":
        """Make the zone hold `update`: the result comes within the timeout."""
        ticket = Ticket(update, self._loop.create_future())
        if len(self._waiting) >= WAITING:
            if not self._full:
                log.error("%d updates wait for the name server: until it answers, newer ones get FAIL", WAITING)
            self._full = True
            ticket.done.set_result(FULL)
        else:
            ticket.deadline = self._loop.call_later(self._timeout, self._give_up, ticket)
            self._waiting[ticket] = None
            self._wake.set()
        return ticket.done

    def _give_up(self, ticket: Ticket) -> None:
        self._answer(ticket, Result(Outcome.TIMEOUT, f"not within {self._timeout:g} s: {ticket.trouble}"))

    def _answer(self, ticket: Ticket, result: Result) -> None:
        self._waiting.pop(ticket, None)
        self._full = self._full and len(self._waiting) > WAITING // 2
        if ticket.deadline:
            ticket.deadline.cancel()
        if not ticket.done.done():
            ticket.done.set_result(result)

    # The worker: one batch after the other.

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            zone, batch = self._next_batch()
            try:
                if zone:
                    await self._settle(zone, batch)
                elif self._late.next_look and self._late.next_look <= self._loop.time():
                    await self._late.look(self._dialogue, self._loop.time())
                else:
                    await self._sleep()
            except Interrupted:
                continue  # a later look will tell
            except Exception:
                log.exception("defect in the publisher")
                for ticket in batch:
                    self._answer(ticket, DEFECT)

    async def _sleep(self) -> None:
        """Until something arrives or falls due."""
        times = [*self._paused.values(), *[t.not_before for t in self._waiting], self._late.next_look or 0.0]
        due = min([time for time in times if time > self._loop.time()], default=None)
        timer = self._loop.call_at(due, self._wake.set) if due else None
        await self._wake.wait()
        if timer:
            timer.cancel()

    def _next_batch(self) -> tuple[str | None, list[Ticket]]:
        """The tickets of one zone that are ready, oldest first, no record set twice: its second request waits."""
        now = self._loop.time()
        self._paused = {zone: until for zone, until in self._paused.items() if until > now}
        batch: list[Ticket] = []
        chosen: str | None = None
        count = size = 0
        taken: set[Key] = set()
        for ticket in list(self._waiting):
            ready = ticket.not_before <= now and taken.isdisjoint(ticket.keys)
            taken |= ticket.keys
            zones = self._open_zones(ticket) if ready else []
            if chosen is None:
                chosen = next((zone for zone in zones if zone not in self._paused), None)
            if chosen not in zones:
                continue
            count += len(ticket.update)
            size += ticket.size
            if batch and (count > BATCH or size > MESSAGE_SIZE):
                break
            batch.append(ticket)
        return chosen, batch

    async def _settle(self, zone: str, batch: list[Ticket]) -> None:
        shares = [[r for r in ticket.update if self._zones[r.name] == zone] for ticket in batch]
        settlements = await self._dialogue.settle(zone, shares)
        for ticket, share, settlement in zip(batch, shares, settlements, strict=True):
            self._take(zone, ticket, share, settlement)

    def _take(self, zone: str, ticket: Ticket, share: Update, settlement: Settlement) -> None:
        """What one settlement means for its ticket: an answer, or another try."""
        verdict = settlement.verdict
        now = self._loop.time()
        if verdict is Verdict.DONE:
            ticket.written = ticket.written or settlement.changed
            if ticket.written and not ticket.looked and self._late.threaten(share):
                ticket.looked = True
                ticket.not_before = now + SECOND_LOOK
                return
            self._late.acknowledged(share)
            self._part_settled(zone, ticket, Result(Outcome.OK if ticket.written else Outcome.UPTODATE))
        elif verdict in FAILURES:
            self._part_settled(zone, ticket, FAILURES[verdict])
        elif verdict is Verdict.NOT_ITS_ZONE and (ticket.moved or self._given_zones):
            self._part_settled(zone, ticket, NO_ZONE)
        elif verdict is Verdict.NOT_ITS_ZONE:
            ticket.moved = True
            for rrset in share:
                self._zones.pop(rrset.name, None)
        else:
            if verdict is Verdict.UNKNOWN and settlement.changed:
                ticket.written = True
                self._late.unanswered(zone, share, now)
            ticket.trouble = settlement.reason or ticket.trouble
            self._paused[zone] = now + PAUSE.get(verdict, DEFAULT_PAUSE)

    def _part_settled(self, zone: str, ticket: Ticket, result: Result) -> None:
        ticket.settled[zone] = result
        if all(self._zones.get(rrset.name) in ticket.settled for rrset in ticket.update):
            self._answer(ticket, worst(list(ticket.settled.values())))

    # Zones: given, found earlier, or asked for in the background.

    def _open_zones(self, ticket: Ticket) -> list[str]:
        """The zones in which the ticket still has something to settle; none while one must be asked for."""
        zones: dict[str, None] = {}
        for rrset in ticket.update:
            zone = self._zones.get(rrset.name) or self._given_zone(rrset.name)
            if zone is None:
                self._find_zone(ticket)
                return []
            zones[zone] = None
        return [zone for zone in zones if zone not in ticket.settled]

    def _given_zone(self, name: str) -> str | None:
        zone = next((zone for zone in self._given_zones if is_within(name, zone)), None)
        if zone:
            self._zones[name] = zone
        return zone

    def _find_zone(self, ticket: Ticket) -> None:
        if self._given_zones:
            self._answer(ticket, NO_ZONE)
        elif self._finder is None:
            self._finder = asyncio.create_task(self._find_zones())

    async def _find_zones(self) -> None:
        family = "-4"
        while names := self._homeless():
            zones, last_words = await find_zones(self._primary, family, names[:BATCH])
            self._zones.update(zones)
            stopped_at = next((name for name in names if name not in zones), None)
            if stopped_at and "REFUSED" in last_words:
                for ticket in self._tickets_of(stopped_at):
                    self._answer(ticket, NO_ZONE)
            elif stopped_at and stopped_at not in names[BATCH:]:
                for ticket in self._tickets_of(stopped_at):
                    ticket.trouble = diagnosis(last_words) or ticket.trouble
                family = "-6" if family == "-4" else "-4"
                await asyncio.sleep(DEFAULT_PAUSE)
            self._wake.set()
        self._finder = None

    def _homeless(self) -> list[str]:
        """Names whose zone must be asked for, the oldest first."""
        names = {rrset.name: None for ticket in self._waiting for rrset in ticket.update}
        return [name for name in names if name not in self._zones]

    def _tickets_of(self, name: str) -> list[Ticket]:
        return [ticket for ticket in self._waiting if any(rrset.name == name for rrset in ticket.update)]
