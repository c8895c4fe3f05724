"""One credential at work at one place: its zones, the lines in front of them, and the workers that serve these in turn.

Rule 1. There are three lanes. WELL is for zones in order. A zone that cannot be written (frozen, not loaded, refusing)
is served in ILL, with growing pauses, as is one that has not answered yet; one that is silent in SILENT, where each
try costs seconds. After one success it is in WELL. So a zone in trouble delays itself only.

Rule 2. A lane's workers, each with a channel of its own, serve its lines in turn, each turn one batch. So who asks
never waits for all that change, one zone never for all of another, and nothing is looked through to find what is ready.

Rule 3. A name that failed others with it is a suspect: it is settled singly in ILL, which rests as long as each of
them took, until it works again. So it costs its neighbours no halving.

Rule 4. If nobody answers at all, or the place wants to be left alone, all lanes pause: that is no zone's trouble.

Rule 5. What late writes could undo is looked after in time, whatever waits; between two looks there is a batch.
"""

import asyncio
import logging
import traceback
from typing import Protocol

from ...values.exchanges import Exchanges
from ...values.update import RRset
from .backend import Backend, Channel, Fate, Health, Interrupted, Settlement, Unfound, Verdict
from .finder import Finder
from .lanes import Lane
from .tickets import Line, Share, Ticket, Zone
from .zones import Zones

log = logging.getLogger(__name__)

SHORT = 0.6  # seconds; a pause that everybody can wait for
WAITING = 4000  # updates that wait in one zone, or for its name: some 16 MiB with their connections
UNANSWERED = frozenset({Verdict.AWAY, Verdict.UNKNOWN})
LANES = (Health.WELL, Health.ILL, Health.SILENT)


class Desk(Protocol):
    """Who has the tickets."""

    def place(self, ticket: Ticket) -> None: ...

    def unfound(self, ticket: Ticket, error: Unfound) -> None: ...

    def judge(self, session: "Session", share: Share, settlement: Settlement, now: float) -> None: ...

    def defect(self, share: Share) -> None: ...

    def paused(self, session: "Session") -> None: ...

    def drop_if_idle(self, session: "Session") -> None: ...

    def watched(self, zone: Zone) -> "Ticket | None": ...

    def looked(self, ticket: Ticket, rrset: RRset, fate: Fate, late: tuple[str, ...]) -> None: ...

    def look_ended(self, ticket: Ticket) -> None: ...


class Session:
    """One backend at work; made inside a running event loop."""

    def __init__(self, backend: Backend, secret: str | None, desk: Desk, exchanges: Exchanges) -> None:
        self.backend = backend
        self.secret = secret
        self.zones = Zones(backend.given, backend.manner)
        self.finder = Finder(backend, self.zones, desk.place, desk.unfound, self._silent)
        self.tickets = 0  # that have come here and are not over, or have something under way
        self.exchanging = 0  # workers that wait for an answer
        self.paused_until = 0.0  # event loop time; all lanes
        self.is_retired = False  # nothing more comes
        self.suspects: set[str] = set()  # names
        self._desk = desk
        self._manner = backend.manner
        self._exchanges = exchanges
        self._states: dict[str, Zone] = {}
        self._full: set[str] = set()  # zones of which the log said so
        self._loop = asyncio.get_running_loop()
        self._lanes = {health: Lane(health, count) for health, count in zip(LANES, self._manner.at_once, strict=True)}

    # Zones and lines

    def zone(self, name: str) -> Zone:
        """The state of a zone. Most sessions have one only, whose first exchange is like all others."""
        zone = self._states.get(name)
        if zone is None:
            zone = self._states[name] = Zone(name, Health.NEW if self._states else Health.WELL)
        return zone

    def is_full(self, zone: str, waiting: int) -> bool:
        """Whether too many updates wait in a zone, or for one; the log says so once."""
        if waiting <= WAITING and not self._full:
            return False
        if waiting > WAITING and zone not in self._full:
            where = f"in {zone}" if zone else "for the zone of their name"
            log.error(
                "%d updates wait for %s %s: until it answers, newer ones get FAIL", WAITING, self._manner.called, where
            )
            self._full.add(zone)
        elif waiting <= WAITING // 2:
            self._full.discard(zone)
        return waiting > WAITING

    def stand_in_line(self, share: Share) -> None:
        """Let it be served."""
        suspects = bool(self.suspects) and any(rrset.name in self.suspects for rrset in share.rrsets)
        lines = share.zone.lines
        line = lines.get((share.ticket.ask_only, suspects))
        if line is None:
            line = lines[share.ticket.ask_only, suspects] = Line(share.zone, share.ticket.ask_only, suspects)
        line.shares.append(share)
        self._serve_line(line)

    def look_after(self, zone: str) -> None:
        """Look soon whether a late write undid something there."""
        state = self.zone(zone)
        lane = self._lane_of(state)
        lane.looks[state] = None
        self._call_worker(lane)

    def knows(self, zone: str) -> bool:
        """Whether it has worked on this zone."""
        return zone in self._states

    def suffer(self, zone: Zone, settlement: Settlement, now: float) -> None:
        """A try has failed: of this zone, of the whole place, or (without a reason) of the channel."""
        zone.trouble = settlement.reason or zone.trouble
        if settlement.verdict is Verdict.AWAY:
            self._pause(settlement.wait, now)
        elif zone.not_before <= now:  # once for a whole batch
            first, longest = self._manner.pauses
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

    def is_alive(self) -> bool:
        """Whether what waits is worked on."""
        return all(lane.workers or not lane.lines for lane in self._lanes.values())

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.exchanging and (self.is_retired or not self.tickets)

    def retire(self) -> None:
        """Nothing more comes; what is under way comes to its end."""
        self.is_retired = True
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

    def _silent(self, error: Unfound) -> None:
        if error.reason and not error.final:
            self._exchanges.note(answered=False)
        if error.wait > SHORT:
            self._pause(error.wait, self._loop.time())

    def _pause(self, seconds: float, now: float) -> None:
        self.paused_until = max(self.paused_until, now + seconds)
        self._desk.paused(self)

    def _lane_of(self, zone: Zone) -> Lane:
        return self._lanes[Health.ILL if zone.health is Health.NEW else zone.health]

    def _serve(self, zone: Zone, health: Health) -> None:
        """Let the zone's lines be served by another lane."""
        before = self._lane_of(zone)
        zone.health = health
        if zone in before.looks and before is not self._lane_of(zone):
            del before.looks[zone]
            self._lane_of(zone).looks[zone] = None
            self._call_worker(self._lane_of(zone))
        for line in zone.lines.values():
            for lane in self._lanes.values():
                lane.lines.pop(line, None)
            if line.shares:
                self._serve_line(line)

    def _serve_line(self, line: Line) -> None:
        lane = self._lanes[line.health()]
        lane.lines.setdefault(line)
        self._call_worker(lane)

    # Workers

    def _call_worker(self, lane: Lane) -> None:
        if lane.resting:
            lane.wake.set()
        elif len(lane.workers) < lane.at_once and not self.is_retired:
            task = self._loop.create_task(self._work(lane))
            lane.workers.add(task)
            task.add_done_callback(lane.workers.discard)

    async def _work(self, lane: Lane) -> None:
        """One worker of a lane, until there has been nothing to do for a while."""
        channel = self.backend.channel()
        exclusive = self._manner.is_exclusive
        idle = float("inf") if lane.health is Health.WELL and self._manner.idle else self._manner.idle
        try:
            while True:
                now = self._loop.time()
                if now < self.paused_until or (wait := self.backend.wait(lane.health)) > 0:
                    seconds = self.paused_until - now if now < self.paused_until else wait
                    await self._rest(lane, seconds)
                elif zone := lane.next_look(exclusive):
                    lane.has_looked = True
                    await self._look(channel, zone)
                elif line := lane.next_line(now, exclusive):
                    lane.has_looked = False
                    await self._exchange(channel, lane, line)
                elif lane.has_looked and lane.looks:
                    lane.has_looked = False
                elif (due := min(lane.due(exclusive), default=float("inf"))) < float("inf"):
                    await self._rest(lane, due - now)
                elif not idle or not await self._rest(lane, idle):
                    return
        finally:
            await channel.close()

    async def _rest(self, lane: Lane, seconds: float) -> bool:
        """Until something arrives, which it tells, or for so long."""
        lane.wake.clear()
        lane.resting += 1
        try:
            async with asyncio.timeout(seconds if seconds < float("inf") else None):
                await lane.wake.wait()
        except TimeoutError:
            return False
        finally:
            lane.resting -= 1
        return True

    def next_batch(self, lane: Lane, line: Line) -> list[Share]:
        """The first shares of a line, as many as fit; a suspect alone."""
        batch: list[Share] = []
        size = 0
        capacity, weigh, name = self._manner.capacity, self.backend.weigh, line.zone.name
        while line.shares:
            share = line.shares[0]
            if not share.is_nobodys():
                size += sum([weigh(rrset, name) for rrset in share.rrsets])
                if batch and (size > capacity or line.suspects):
                    break
                share.under_way = True
                share.ticket.is_open = False
                batch.append(share)
            line.shares.popleft()
        if not line.shares:
            lane.lines.pop(line, None)
        return batch

    async def _exchange(self, channel: Channel, lane: Lane, line: Line) -> None:
        """One batch."""
        batch = self.next_batch(lane, line)
        if not batch:
            return
        start = self._loop.time()
        line.zone.is_busy = True
        self.exchanging += 1
        try:
            updates = [share.rrsets for share in batch]
            wanted = lambda number: not batch[number].ticket.is_over  # noqa: E731
            settlements = await channel.settle(line.zone, updates, line.ask_only, wanted)
        except Exception as error:
            _log_defect(error)
            for share in batch:
                self._desk.defect(share)
            return
        finally:
            self._free(line.zone)
            self.exchanging -= 1
        now = self._loop.time()
        if self._exchanges.are_kept:
            self._exchanges.note(any(s.verdict not in UNANSWERED for s in settlements), now - start, len(batch))
        if line.suspects:
            lane.rests_until = now + (now - start)
        for share, settlement in zip(batch, settlements, strict=True):
            share.under_way = False
            self._desk.judge(self, share, settlement, now)
        self._desk.drop_if_idle(self)

    async def _look(self, channel: Channel, zone: Zone) -> None:
        """What late writes could undo there; a zone that does not answer is asked again later, and elsewhere."""
        ticket = self._desk.watched(zone)
        if ticket is None:
            return
        zone.is_busy = True
        self.exchanging += 1
        try:
            watched = list(zip(ticket.update, ticket.late, strict=True))
            fates = await channel.mend(zone, watched)
            for (rrset, _), (fate, late) in zip(watched, fates, strict=True):
                self._desk.looked(ticket, rrset, fate, late)
        except Interrupted as interruption:
            self.suffer(zone, interruption.settlement, self._loop.time())
        except Exception as error:
            _log_defect(error)
        finally:
            self._free(zone)
            self.exchanging -= 1
            self._desk.look_ended(ticket)
        self._desk.drop_if_idle(self)

    def _free(self, zone: Zone) -> None:
        """An exchange has ended."""
        zone.is_busy = False
        for line in zone.lines.values() if self._manner.is_exclusive else ():
            if line.shares:
                self._call_worker(self._lanes[line.health()])


def _log_defect(error: Exception) -> None:
    """Its type and place: the text could hold anything."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("defect: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
