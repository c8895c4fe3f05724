"""One account at work at one place: its zones, and the lines in front of them.

Rule 1. There are three lanes. WELL is for zones in order. A zone that cannot be written (frozen, not loaded, refusing)
is served in ILL, with growing pauses, as is one that has not answered yet; one that is silent in SILENT, where each
try costs seconds. After one success it is in WELL. So a zone in trouble delays itself only.

Rule 2. A lane's workers serve its lines in turn, each turn one batch. So who asks never waits for all that change, one
zone never for all of another, and nothing is looked through to find what is ready.

Rule 3. A name that failed others with it is a suspect: it is settled singly in ILL, which rests as long as each of
them took, until it works again. So it costs its neighbours no halving.

Rule 4. If nobody answers at all, or the place wants to be left alone, all lanes pause: that is no zone's trouble.

Rule 5. What late writes could undo is looked after in time, whatever waits; between two looks there is a batch.
"""

import asyncio
import logging
import traceback
from collections.abc import Sequence
from typing import Protocol

from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result
from .backend import Addresses, Backend, Channel, Fate, Health, Interrupted, Settlement, Verdict
from .finder import Finder
from .lanes import Lane
from .late import Inspection
from .tickets import Account, Line, Share, Ticket, Zone
from .zones import Zones

log = logging.getLogger(__name__)

SHORT = 0.6  # seconds; a pause that everybody can wait for
WAITING = 4000  # updates that wait in one zone, or for its name: some 16 MiB with their connections
UNANSWERED = frozenset({Verdict.AWAY, Verdict.UNKNOWN})
LANES = (Health.WELL, Health.ILL, Health.SILENT)


class Clerk(Protocol):
    """Who has the tickets, and says what settlements mean."""

    def place(self, ticket: Ticket) -> None: ...

    def unfound(self, ticket: Ticket, name: str, error: Interrupted) -> None: ...

    def paused(self, session: "Session") -> None: ...

    def exchanged(self, session: "Session") -> None: ...

    def look(self, session: "Session", zone: Zone) -> Inspection | None: ...

    def looked(self, look: Inspection, fates: Sequence[tuple[Fate, Addresses]]) -> None: ...

    def judge(self, session: "Session", share: Share, settlement: Settlement, now: float) -> None: ...

    def defect(self, share: Share) -> None: ...


class Session:
    """One backend at work; made inside a running event loop."""

    def __init__(self, backend: Backend, account: Account, clerk: Clerk, exchanges: Exchanges) -> None:
        self.backend = backend
        self.account = account
        self.zones = Zones(backend.given, backend.manner)
        self.finder = Finder(backend, self.zones, self)
        self.tickets = 0  # that have come here and are not over, or have something under way
        self.exchanging = 0  # workers that wait for an answer
        self.paused_until = 0.0  # event loop time; all lanes
        self.is_retired = False  # nothing more comes
        self.is_temporary = account.secret is not None  # it ends when it has nothing to do
        self.suspects: set[str] = set()  # names
        self._clerk = clerk
        self.found, self.unfound = clerk.place, clerk.unfound
        self._exchanges = exchanges
        self._states: dict[str, Zone] = {}
        self._loop = asyncio.get_running_loop()
        self._full: set[str] = set()  # zones of which the log said so
        self._lanes = {health: Lane(health, n, self) for health, n in zip(LANES, backend.manner.at_once, strict=True)}

    # Zones and lines

    def zone(self, name: str) -> Zone:
        """The state of a zone. Most sessions have one only, whose first exchange is like all others."""
        zone = self._states.get(name)
        if zone is None:
            zone = self._states[name] = Zone(name, Health.NEW if self._states else Health.WELL)
        return zone

    def reload(self) -> None:
        """The conf is read again: what was learned of zones may be over."""
        self.zones.doubt()
        for zone in self._states.values():
            zone.reloads += 1

    def is_full(self, zone: str, waiting: int) -> bool:
        """Whether too many updates wait in a zone, or for one; the log says so once."""
        if waiting <= WAITING and not self._full:
            return False
        if waiting > WAITING and zone not in self._full:
            where = f"in {zone}" if zone else "for the zone of their name"
            called = self.backend.manner.called
            log.error("%d updates wait for %s %s: until it answers, newer ones get FAIL", WAITING, called, where)
            self._full.add(zone)
        elif waiting <= WAITING // 2:
            self._full.discard(zone)
        return waiting > WAITING

    def stand_in_line(self, share: Share) -> None:
        """Let it be served."""
        kind = share.ticket.ask_only, bool(self.suspects) and any(item.name in self.suspects for item in share.items)
        line = share.zone.lines.get(kind)
        if line is None:
            line = share.zone.lines[kind] = Line(share.zone, *kind)
            line.lane = self._lanes[line.health()]
        line.shares.append(share)
        line.lane.serve(line)

    def look_after(self, zone: str) -> None:
        """Inspection soon whether a late write undid something there."""
        state = self.zone(zone)
        self._lane_of(state).look_after(state)

    def knows(self, zone: str) -> bool:
        """Whether it has worked on this zone."""
        return zone in self._states

    def suffer(self, zone: Zone, settlement: Settlement, now: float) -> None:
        """A try has failed: of this zone, of the whole place, or (without a reason) of the channel."""
        zone.trouble = settlement.reason or zone.trouble
        if settlement.verdict is Verdict.AWAY:
            self._pause(settlement.wait, now)
        elif zone.not_before <= now:  # once for a whole batch
            first, longest = self.backend.manner.pauses
            zone.pause = min(max(2 * zone.pause, first), longest)
            zone.not_before = now + max(zone.pause, settlement.wait)
            if settlement.reason:
                self._serve(zone, Health.SILENT if settlement.verdict is Verdict.UNKNOWN else Health.ILL)

    def recover(self, zone: Zone, now: float) -> None:
        """The zone works."""
        zone.answered = now
        if zone.pause or zone.health is not Health.WELL:
            zone.pause = zone.not_before = 0.0
            zone.trouble = ""
            self._serve(zone, Health.WELL)

    def refusal(self, until: float) -> Result | None:
        """What becomes of who waits until then, where the place wants no question before."""
        seconds = self.paused_until - self._loop.time()
        if seconds <= SHORT or self.paused_until < until:
            return None
        wait = int(seconds) + 1
        reason = f"{self.backend.manner.called} takes no more requests for {wait} s (429)"
        return Result(Outcome.TIMEOUT, reason, wait)

    def is_alive(self) -> bool:
        """Whether what waits is worked on."""
        return all(lane.workers or not lane.lines for lane in self._lanes.values())

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.exchanging and (self.is_retired or not self.tickets)

    def retire(self) -> None:
        """Nothing more comes; what is under way comes to its end."""
        self.is_retired = self.is_temporary = True
        for lane in self._lanes.values():
            lane.lines.clear()
            lane.looks.clear()
        for zone in self._states.values():
            for line in zone.lines.values():
                line.shares.clear()

    def close(self) -> list[asyncio.Task[None]]:
        """End all work; what is still to be waited for."""
        tasks = [*self.finder.tasks.values(), *(task for lane in self._lanes.values() for task in lane.workers)]
        for task in tasks:
            task.cancel()
        self.backend.stop()
        return tasks

    def waits(self, ticket: Ticket) -> bool:
        """Whether it still waits here."""
        return ticket.session is self and not ticket.is_over

    def silent(self, error: Interrupted) -> None:
        """Nobody answered who was asked for zones."""
        if error.settlement.reason and not error.final:
            self._exchanges.note(answered=False)
        if error.settlement.wait > SHORT:
            self._pause(error.settlement.wait, self._loop.time())

    def _pause(self, seconds: float, now: float) -> None:
        self.paused_until = max(self.paused_until, now + seconds)
        if seconds > SHORT:
            self._clerk.paused(self)

    def _lane_of(self, zone: Zone) -> Lane:
        return self._lanes[Health.ILL if zone.health is Health.NEW else zone.health]

    def _serve(self, zone: Zone, health: Health) -> None:
        """Let the zone's lines be served by another lane."""
        before = self._lane_of(zone)
        zone.health = health
        if zone in before.looks and before is not self._lane_of(zone):
            del before.looks[zone]
            self._lane_of(zone).look_after(zone)
        for line in zone.lines.values():
            line.lane.lines.pop(line, None)
            line.lane = self._lanes[line.health()]
            if line.shares:
                line.lane.serve(line)

    # What the workers do

    def _next_batch(self, lane: Lane, line: Line) -> list[Share]:
        """The first shares of a line, as many as fit; a suspect alone."""
        batch: list[Share] = []
        size = 0
        capacity, weigh, name = self.backend.manner.capacity, self.backend.weigh, line.zone.name
        while line.shares:
            share = line.shares[0]
            if not (share.is_dropped or share.ticket.is_over):
                for item in share.items:
                    size += weigh(item, name)
                if batch and (size > capacity or line.suspects):
                    break
                share.under_way = True
                share.ticket.is_open = False
                batch.append(share)
            line.shares.popleft()
        if not line.shares:
            lane.lines.pop(line, None)
        return batch

    async def exchange(self, channel: Channel, lane: Lane, line: Line) -> None:
        """Settle one batch of a line."""
        batch = self._next_batch(lane, line)
        if not batch:
            return
        start = self._loop.time()
        try:
            self._begin(line.zone)
            wanted = lambda number: not batch[number].ticket.is_over  # noqa: E731
            settlements = await channel.settle(line.zone, [share.items for share in batch], line.ask_only, wanted)
        except Exception as error:
            _log_defect(error)
            settlements = []
        finally:
            self._free(line.zone)
        now = self._loop.time()
        if settlements and self._exchanges.are_kept:
            self._exchanges.note(any(s.verdict not in UNANSWERED for s in settlements), now - start, len(batch))
        if line.suspects:
            lane.rests_until = now + (now - start)
        for share, settlement in zip(batch, settlements, strict=bool(settlements)):
            share.under_way = False
            self._clerk.judge(self, share, settlement, now)
        for share in batch if not settlements else ():
            self._clerk.defect(share)
        self._clerk.exchanged(self)

    async def look(self, channel: Channel, zone: Zone) -> None:
        """What late writes could undo there; a zone that does not answer is asked again later."""
        look = self._clerk.look(self, zone)
        if not look:
            return
        fates: Sequence[tuple[Fate, Addresses]] = ()
        try:
            self._begin(zone)
            fates = await channel.mend(zone, look.watched)
        except Interrupted as interruption:
            self.suffer(zone, interruption.settlement, self._loop.time())
        except Exception as error:
            _log_defect(error)
            fates = [(Fate.UNKNOWN, ())] * len(look.watched)
        finally:
            self._free(zone)
            self._clerk.looked(look, fates)
        self._clerk.exchanged(self)

    def _begin(self, zone: Zone) -> None:
        zone.is_busy = True
        self.exchanging += 1

    def _free(self, zone: Zone) -> None:
        """An exchange has ended."""
        zone.is_busy = False
        self.exchanging -= 1
        for line in zone.lines.values() if self.backend.manner.is_exclusive else ():
            if line.shares:
                line.lane.call_worker()


def _log_defect(error: Exception) -> None:
    """Its type and place: the text could hold anything."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("defect: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
