"""Updates in, results out: the queue in front of the primary, with its order, its patience and its bounds."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...values.names import is_within
from ...values.outcome import Outcome, Result, worst
from ...values.specs import Primary
from ...values.update import Key, RRset, Update
from .dialogue import BATCH, Dialogue, Interrupted, Settlement
from .late import LateWrites
from .message import Verdict, diagnosis, verdict
from .nsupdate import Child, NotInstalled, find_zones, other_family

log = logging.getLogger(__name__)

MESSAGE_SIZE = 60_000  # octets; 65 535 are the limit of DNS over TCP
ZONES_REMEMBERED = 900.0  # seconds; then names are asked for again, since somebody may add a zone below another
FINDERS, FIND = 8, 16  # processes at once that ask for zones, and names for each
WAITING = 4000  # updates that wait for the primary: some 16 MiB with their connections
# Seconds until the next try after a failure. A wrong key costs two processes a try.
PAUSE = {Verdict.BAD_KEY: 0.5}
DEFAULT_PAUSE = 0.1
UNFOUND_PAUSE = 0.3  # for a name whose zone could not be found out
# Where a late write threatens, a change is looked at again before its OK, after the primary had this many
# seconds to work off what lay in its sockets when it woke up.
SECOND_LOOK = 0.25

NO_ZONE = Result(Outcome.NOZONE, "the name server is primary for no zone that contains the name")
FAILURES = {
    Verdict.NOT_ITS_ZONE: NO_ZONE,
    Verdict.HIDDEN: Result(Outcome.UNPUBLISHABLE, "a CNAME at the name, or a delegation or DNAME above it, hides it"),
    Verdict.BELIEF_WRONG: Result(Outcome.ABUSE, "there is something to change, but this client has changed too often"),
    Verdict.TOO_LARGE: Result(Outcome.REFUSED, "its names together are too long for one message of 64 KiB"),
    Verdict.REFUSED: Result(Outcome.REFUSED, "the name server's update-policy or allow-update refuses this name"),
}
# After these, the name may be in another zone than it was; after those, the primary is away with all its zones.
MOVED = frozenset({Verdict.HIDDEN, Verdict.NOT_ITS_ZONE})
ALL_ZONES = frozenset({Verdict.NOBODY, Verdict.BAD_KEY, Verdict.UNKNOWN})
PRIMARY = ""  # among the paused zones: all of them
FULL = Result(Outcome.OVERLOADED, "too many updates wait for the name server")
DEFECT = Result(Outcome.INTERNAL, "defect in the publisher")


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way to the primary."""

    update: Update
    done: "asyncio.Future[Result]"
    ask_only: bool = False
    deadline: asyncio.TimerHandle | None = None
    not_before: float = 0.0  # event loop time
    trouble: str = "no answer from the name server"  # what was last in the way
    written: bool = False  # the primary may have it already, by our hand
    looked: bool = False  # it was looked at again after a write that a late one threatens
    moved: bool = False  # its zone turned out to be served elsewhere once
    settled: dict[str, Result] = field(default_factory=dict)  # zone → what became of the names there
    keys: frozenset[Key] = field(init=False)  # of what is not settled yet

    def __post_init__(self) -> None:
        self.keys = frozenset([rrset.key for rrset in self.update])


def wire_size(rrset: RRset, zone: str) -> int:
    """The most octets that a record set adds to a message: its guards, what is believed of it, its change.

    Behind the first 16 KiB, names can only be shortened by the zone's (RFC 1035, 4.1.4).
    """
    name = max(len(rrset.name) - len(zone), 0) + 3
    guards = 2 * (rrset.name.count(".") - zone.count("."))
    return (name + 10) * (4 + guards) + (name + 26) * 2 * max(1, len(rrset.addresses))


class BindPublisher:
    """Publishes through one nsupdate child at one primary; made inside a running event loop.

    `zones` (absolute names) hold all names; without any, the primary is asked for each name's zone.
    After `timeout` seconds, an update that the primary did not settle has failed.
    """

    def __init__(self, primary: Primary, zones: Sequence[str], timeout: float) -> None:
        self._primary = primary
        self._given_zones = sorted(zones, key=len, reverse=True)
        self.timeout = timeout
        self._child = Child(primary)
        self._dialogue = Dialogue(self._child)
        self._late = LateWrites()
        self._zones: dict[str, str] = {}  # name → zone, as found
        self._zones_until = 0.0  # event loop time
        self._unfound: dict[str, float] = {}  # name → event loop time of the next question for its zone
        self._waiting: dict[Ticket, None] = {}  # in the order of arrival
        self._paused: dict[str, float] = {}  # zone → event loop time of the next try
        self._finder: asyncio.Task[None] | None = None
        self._full = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._worker = asyncio.create_task(self._work())

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return not self._worker.done()

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end the child."""
        while self._waiting:
            await asyncio.wait([ticket.done for ticket in self._waiting])
        tasks = [task for task in (self._worker, self._finder) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._child.stop()

    def publish(self, update: Update, ask_only: bool = False) -> "asyncio.Future[Result]":
        """Make the zone hold `update`, or only ask whether it does: the result comes within the timeout."""
        ticket = Ticket(update, self._loop.create_future(), ask_only)
        if len(self._waiting) >= WAITING:
            if not self._full:
                log.error("%d updates wait for the name server: until it answers, newer ones get FAIL", WAITING)
            self._full = True
            ticket.done.set_result(FULL)
        else:
            ticket.deadline = self._loop.call_later(self.timeout, self._give_up, ticket)
            self._waiting[ticket] = None
            self._wake.set()
        return ticket.done

    def _give_up(self, ticket: Ticket) -> None:
        self._answer(ticket, Result(Outcome.TIMEOUT, f"not within {self.timeout:g} s: {ticket.trouble}"))

    def _answer(self, ticket: Ticket, result: Result) -> None:
        self._waiting.pop(ticket, None)
        self._full = self._full and len(self._waiting) > WAITING // 2
        if ticket.deadline:
            ticket.deadline.cancel()
        if not ticket.done.done():
            ticket.done.set_result(result)

    # The worker: one batch after the other.

    async def _work(self) -> None:
        batch: list[Ticket] = []
        while True:
            self._wake.clear()
            try:
                zone, batch = self._next_batch()
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
        due = min([time for time in times if time > self._now], default=None)
        timer = self._loop.call_at(due, self._wake.set) if due else None
        await self._wake.wait()
        if timer:
            timer.cancel()

    def _next_batch(self) -> tuple[str | None, list[Ticket]]:
        """The tickets of one zone that are ready, oldest first, no record set twice: its second request waits."""
        self._now = now = self._loop.time()  # what falls due after it wakes the worker
        self._paused = {zone: until for zone, until in self._paused.items() if until > now}
        if now > self._zones_until and not any(ticket.settled for ticket in self._waiting):
            self._zones.clear()
            self._zones_until = now + ZONES_REMEMBERED
        if PRIMARY in self._paused:
            return None, []
        batch: list[Ticket] = []
        chosen: str | None = None
        count = size = 0
        taken: set[Key] = set()
        for ticket in list(self._waiting):
            ready = ticket.not_before <= now and taken.isdisjoint(ticket.keys)
            taken |= ticket.keys
            if batch and ticket.ask_only != batch[0].ask_only:
                continue
            zones = self._open_zones(ticket) if ready else []
            if chosen is None:
                chosen = next((zone for zone in zones if zone not in self._paused), None)
            if chosen is None or chosen not in zones:
                continue
            share = self._share(ticket, chosen)
            count += len(share)
            size += sum([wire_size(rrset, chosen) for rrset in share])
            if batch and (count > BATCH or size > MESSAGE_SIZE):
                break
            batch.append(ticket)
        return chosen, batch

    async def _settle(self, zone: str, batch: list[Ticket]) -> None:
        shares = [self._share(ticket, zone) for ticket in batch]
        settle = self._dialogue.confirm if batch[0].ask_only else self._dialogue.settle
        settlements = await settle(zone, shares)
        for ticket, share, settlement in zip(batch, shares, settlements, strict=True):
            self._take(zone, ticket, share, settlement)

    def _share(self, ticket: Ticket, zone: str) -> Update:
        return [rrset for rrset in ticket.update if self._zones.get(rrset.name) == zone]

    def _take(self, zone: str, ticket: Ticket, share: Update, settlement: Settlement) -> None:
        """What one settlement means for its ticket: an answer, or another try."""
        said = settlement.verdict
        now = self._loop.time()
        if said is Verdict.DONE:
            ticket.written = ticket.written or settlement.changed
            if ticket.written and not ticket.looked and self._late.threaten(share):
                ticket.looked = True
                ticket.not_before = now + SECOND_LOOK
                return
            self._late.acknowledged(share)
            self._part_settled(zone, ticket, Result(Outcome.OK if ticket.written else Outcome.UPTODATE))
        elif said in MOVED and not ticket.moved and not self._given_zones:
            ticket.moved = True  # perhaps to a zone that is new: ask once more
            for rrset in share:
                self._zones.pop(rrset.name, None)
        elif said in FAILURES:
            self._part_settled(zone, ticket, FAILURES[said])
        else:
            if said is Verdict.UNKNOWN and settlement.changed:
                ticket.written = True
                self._late.unanswered(zone, share, now)
            ticket.trouble = settlement.reason or ticket.trouble
            self._paused[PRIMARY if said in ALL_ZONES else zone] = now + PAUSE.get(said, DEFAULT_PAUSE)

    def _part_settled(self, zone: str, ticket: Ticket, result: Result) -> None:
        ticket.settled[zone] = result
        ticket.keys -= {rrset.key for rrset in self._share(ticket, zone)}
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
        """Ask for the zones of all names that want one; a name that gets no answer does not hold up the others."""
        family = "-4"
        try:
            while homeless := self._homeless():
                names = [name for name in homeless if self._unfound.get(name, 0.0) <= self._loop.time()]
                chunks = [names[start : start + FIND] for start in range(0, len(names), FIND)][:FINDERS]
                nobody = await asyncio.gather(*(self._find(family, chunk) for chunk in chunks))
                if any(nobody):
                    family = other_family(family)
                self._wake.set()
                if not names:
                    await asyncio.sleep(DEFAULT_PAUSE)
        finally:
            self._finder = None
            self._unfound.clear()

    async def _find(self, family: str, names: list[str]) -> bool:
        """Ask for the zones of a few names; whether nobody listened."""
        try:
            zones, said = await find_zones(self._primary, family, names)
        except (OSError, NotInstalled) as error:
            zones, said = {}, str(error)
        self._zones.update(zones)
        stopped_at = next((name for name in names if name not in zones), None)
        if stopped_at is None:
            return False
        self._unfound[stopped_at] = self._loop.time() + UNFOUND_PAUSE
        for ticket in [t for t in self._waiting if any(rrset.name == stopped_at for rrset in t.update)]:
            ticket.trouble = diagnosis(said) or ticket.trouble
            if "REFUSED" in said:
                self._answer(ticket, NO_ZONE)
        return verdict(said) is Verdict.NOBODY

    def _homeless(self) -> list[str]:
        """Names whose zone must be asked for, the oldest first."""
        names = {rrset.name: None for ticket in self._waiting for rrset in ticket.update}
        return [name for name in names if name not in self._zones]
