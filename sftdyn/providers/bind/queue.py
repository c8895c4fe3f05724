"""Updates in, results out: the queue in front of the primary, with its order, its patience and its bounds.

Rule 1. A ticket is one request's update. It has a share for each zone that it touches, and is answered when all of
them are settled, or when its time is over. What a ticket is batched with never changes where its shares belong.

Rule 2. Two tickets that want to write one record set are applied in the order of their arrival; so are two that
only ask about it, since one message cannot hold both questions. The later one waits outside (`Order`) and enters
a line, zone by zone, when nothing is in front of it. Whoever wants just what the last one wants joins it, and gets
its answer.

Rule 3. Ready shares stand in lines: one for each zone, for changing and for asking, for suspects and for the others.
A lane serves its lines in turn, each turn one batch. So who asks never waits for all that change, one zone never for
all of another, and nothing is looked through to find what is ready.

Rule 4. There are three lanes, each with a child of its own. WELL is for zones in order. A zone that cannot be
written (frozen, not loaded, refusing) is served in ILL, with growing pauses, as is one that has not answered yet; one
that is silent in SILENT, where each try costs seconds. After one success it is in WELL. So a zone in trouble delays
itself only.

Rule 5. A name that failed alone, hidden or refused, is a suspect: it is settled singly in ILL, which rests as long as
each of them took, until it works again. So it costs its neighbours no halving.

Rule 6. If nobody listens, or the key is not taken, all lanes pause: that is the primary's trouble and no zone's.

Rule 7. Another primary or other zones are used from the next batch on; what waits is placed anew.

Rule 8. What late writes could undo is looked after every second, whatever waits; between two looks there is a batch.
"""

import asyncio
import logging
from collections.abc import Sequence

from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result, worst
from ...values.specs import Primary
from ...values.update import Key, Promise, RRset, Update
from ..order import Order
from .dialogue import Interrupted, Settlement, Sight
from .finder import Finder
from .lanes import Lane, Line
from .late import LateWrites
from .message import NO_ANSWER, Verdict
from .nsupdate import Route
from .tickets import DROPPED, Health, Share, Ticket, Zone
from .zones import NOWHERE, Zones

log = logging.getLogger(__name__)

WAITING = 4000  # updates that wait in one zone, or for its name: some 16 MiB with their connections
SWEEP = 0.1  # seconds between two looks at the deadlines
IDLE_CHILD = 60.0  # seconds until a child is ended that only trouble needed
# Seconds until the next try: after a first failure of a zone, at most, and where all is in trouble. A wrong key costs
# two processes a try.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
PRIMARY_PAUSE = {Verdict.NOBODY: 0.1, Verdict.NOT_SENT: 0.5, Verdict.BAD_KEY: 0.5}
UNANSWERED = frozenset({*PRIMARY_PAUSE, Verdict.UNKNOWN})
# Where a late write threatens, a change is looked at again before its OK, after the primary had this many
# seconds to work off what lay in its sockets when it woke up.
SECOND_LOOK = 0.25

OK = Result(Outcome.OK)
UPTODATE = Result(Outcome.UPTODATE)
WOULD_CHANGE = Result(Outcome.WOULD_CHANGE)
NO_ZONE = Result(
    Outcome.NOZONE,
    "the name server is primary for no zone that contains the name, or takes no update from here at all,"
    " or (Knot) with this key",
)
FAILURES = {
    Verdict.NOT_ITS_ZONE: NO_ZONE,
    Verdict.HIDDEN: Result(Outcome.UNPUBLISHABLE, "a CNAME at the name, or a delegation or DNAME above it, hides it"),
    Verdict.TOO_LARGE: Result(Outcome.REFUSED, "its names together are too long for one message of 64 KiB"),
    Verdict.REFUSED: Result(Outcome.REFUSED, "the name server's update-policy or allow-update refuses this name"),
}
MOVED = frozenset({Verdict.HIDDEN, Verdict.NOT_ITS_ZONE})  # the name may be in another zone than it was
SUSPICIOUS = frozenset({Verdict.HIDDEN, Verdict.REFUSED})
FULL = Result(Outcome.OVERLOADED, "too many updates wait for the name server")
FINAL = frozenset({Outcome.INTERNAL})  # of one share, for the whole ticket
KINDS = tuple((ask_only, suspects) for ask_only in (False, True) for suspects in (False, True))  # of lines
DEFECT = Result(Outcome.INTERNAL, "defect in the queue of the name server")


class Queue:
    """Settles updates with one primary; made inside a running event loop.

    `zones` (absolute names) hold all names; without any, the primary is asked. After `timeout` seconds, an update
    that the primary did not settle has failed.
    """

    def __init__(self, route: Route, zones: Sequence[str], timeout: float) -> None:
        self.exchanges = Exchanges()
        self._route = route
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._zones = Zones(zones)
        self._finder = Finder(route, self._zones, self._found, self._not_found)
        self._sight = Sight()
        self._late = LateWrites()
        self._order: Order[Ticket] = Order(self._place)
        self._tickets: dict[Ticket, None] = {}  # all that are not answered
        self._homeless: dict[str, list[Ticket]] = {}  # by the name whose zone is asked for
        self._states: dict[str, Zone] = {}
        self._lines: dict[tuple[str, bool, bool], Line] = {}
        self._suspects: set[str] = set()  # names
        self._full: set[str] = set()  # zones of which the log said so
        self._paused_until = 0.0  # event loop time; all lanes
        self._epoch = 0  # how often the primary or the zones have changed
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        lanes = (Health.WELL, Health.ILL, Health.SILENT)
        self._lanes: dict[Health, Lane] = {health: Lane(route, self._sight) for health in lanes}
        self._tasks = [asyncio.create_task(self._work(lane)) for lane in self._lanes.values()]
        self._closing: set[asyncio.Task[None]] = set()

    def use(self, primary: Primary, zones: Sequence[str], timeout: float) -> None:
        """From the next batch on, this primary and these zones; what waits is placed anew (Rule 7)."""
        self._timeout = timeout
        if (primary, zones) == (self._route.primary, self._zones.given):
            return
        if primary != self._route.primary:
            self._sight.forget()
            for state in self._states.values():
                self._serve(state, Health.NEW)
        self._route.primary = primary
        closing = self._loop.create_task(self._finder.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._zones = Zones(zones)
        self._finder = Finder(self._route, self._zones, self._found, self._not_found)
        self._homeless.clear()
        self._suspects.clear()
        self._paused_until = 0.0
        self._epoch += 1
        for line in self._lines.values():
            line.shares.clear()
        for state in self._states.values():
            state.pause = state.not_before = 0.0
        for ticket in list(self._tickets):
            if not ticket.is_over:
                self._place_anew(ticket)

    def under_way(self) -> dict[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return {key: ticket.waiters[-1][1] for key, ticket in self._order.lasts() if ticket.waiters}

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return self._finder.is_alive() and not any(task.done() for task in self._tasks)

    def waiting(self) -> int:
        """How many updates are not answered."""
        return len(self._tickets)

    def mended(self) -> int:
        """How many late writes were undone."""
        return self._late.mended

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end the children."""
        while self._tickets:
            self._empty.clear()
            await self._empty.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._closing, return_exceptions=True)
        await self._finder.close()
        await asyncio.gather(*(lane.child.stop() for lane in self._lanes.values()))

    # In: tickets, their order, and the zones that they belong to.

    def publish(self, update: Update, ask_only: bool = False) -> Promise:
        """Make the zones hold `update`, or only ask whether they do: the result comes within the timeout."""
        promise: Promise = self._loop.create_future()
        waiter = (self._loop.time() + self._timeout, promise)
        last = self._order.last(update)
        if last and last.is_open and last.ask_only == ask_only and last.update == update:
            last.waiters.append(waiter)
            return promise
        ticket = Ticket(update, ask_only, [waiter])
        self._tickets[ticket] = None
        self._order.enter(ticket)
        if len(ticket.blocked) < len(update):
            self._place(ticket)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        return promise

    def _place(self, ticket: Ticket) -> None:
        """Let the shares of a ticket that have nothing in front of them stand in line."""
        placed = {rrset.key for share in ticket.shares for rrset in share.rrsets} if ticket.shares else ()
        parts: dict[str, list[RRset]] = {}
        now = self._loop.time()
        for rrset in ticket.update:
            if placed and rrset.key in placed:
                continue
            zone = self._zones.zone_of(rrset.name, now)
            if zone is None:
                self._look_for(ticket, rrset.name)
                return
            parts.setdefault(zone, []).append(rrset)
        if ticket.blocked:
            parts = {zone: part for zone, part in parts.items() if ticket.blocked.isdisjoint([r.key for r in part])}
        if NOWHERE in parts:
            for rrset in parts[NOWHERE]:
                self._zones.forget(rrset.name)  # somebody may add the zone at any time
            self._answer(ticket, NO_ZONE)
            return
        shares = [Share(ticket, self._state(zone), rrsets, self._epoch) for zone, rrsets in parts.items()]
        ticket.shares += shares
        full = False
        for share in shares:
            share.zone.waiting += 1
            full = self._is_full(share.zone.name, share.zone.waiting) or full
        if full:
            self._answer(ticket, FULL)
            return
        for share in shares:
            self._stand_in_line(share)

    def _look_for(self, ticket: Ticket, name: str) -> None:
        if name not in self._homeless and self._is_full(NOWHERE, len(self._homeless) + 1):
            self._answer(ticket, FULL)
            return
        self._homeless.setdefault(name, []).append(ticket)
        self._finder.want(name)

    def _found(self, name: str) -> None:
        for ticket in self._homeless.pop(name, []):
            if not ticket.is_over:
                self._place(ticket)

    def _not_found(self, name: str, trouble: str) -> None:
        if trouble:
            self.exchanges.note(answered=False)
        tickets = [ticket for ticket in self._homeless.get(name, []) if not ticket.is_over]
        for ticket in tickets:
            ticket.trouble = trouble or ticket.trouble
        if not tickets:
            self._homeless.pop(name, None)
            self._finder.forget(name)

    def _is_full(self, zone: str, waiting: int) -> bool:
        """Whether too many updates wait in a zone, or for one; the log says so once."""
        if waiting <= WAITING and not self._full:
            return False
        if waiting > WAITING and zone not in self._full:
            where = f"in {zone}" if zone else "for the zone of their name"
            log.error("%d updates wait for the name server %s: until it answers, newer ones get FAIL", WAITING, where)
            self._full.add(zone)
        elif waiting <= WAITING // 2:
            self._full.discard(zone)
        return waiting > WAITING

    def _state(self, zone: str) -> Zone:
        state = self._states.get(zone)
        if state is None:
            # The first one takes no second child: most have one zone only.
            state = self._states[zone] = Zone(zone, Health.NEW if self._states else Health.WELL)
        return state

    def _stand_in_line(self, share: Share) -> None:
        if share.ticket.is_over or share.epoch == DROPPED:
            return
        if share.epoch != self._epoch:
            self._place_anew(share.ticket)
            return
        suspects = bool(self._suspects) and any(rrset.name in self._suspects for rrset in share.rrsets)
        key = (share.zone.name, share.ticket.ask_only, suspects)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(share.zone, share.ticket.ask_only, suspects)
        line.shares.append(share)
        self._lanes[line.health()].add(line)

    def _place_anew(self, ticket: Ticket) -> None:
        """What of it is neither settled nor under way may belong elsewhere."""
        for share in ticket.shares:
            if share.is_waiting():
                share.zone.waiting -= 1
                share.epoch = DROPPED
        ticket.shares = [share for share in ticket.shares if share.epoch != DROPPED]
        self._place(ticket)

    # Through: lanes serve lines, one batch after the other.

    async def _work(self, lane: Lane) -> None:
        while True:
            lane.wake.clear()
            batch: list[Share] = []
            now = self._loop.time()
            try:
                if now < self._paused_until:
                    await self._rest(lane, now)
                elif not lane.has_looked and (zone := self._zone_to_look_after(lane, now)):
                    lane.has_looked = True
                    await self._look_after(lane, zone)
                elif line := lane.next_line(now):
                    lane.has_looked = False
                    batch = lane.next_batch(line, self._epoch)
                    await self._settle(lane, line, batch)
                elif lane.has_looked:
                    lane.has_looked = False
                else:
                    await self._rest(lane, now)
            except Exception:
                log.exception("defect in the queue")
                for share in batch:
                    self._end(share, DEFECT)

    async def _look_after(self, lane: Lane, zone: str) -> None:
        """What late writes could undo there; a zone that does not answer is asked again later, and elsewhere."""
        try:
            await self._late.look(zone, lane.dialogue, self._loop.time)
        except Interrupted as interruption:
            self._suffer(self._state(zone), interruption.settlement, self._loop.time())

    async def _rest(self, lane: Lane, now: float) -> None:
        """Until something arrives or falls due."""
        looks = [at for zone, at in self._late.next_looks().items() if self._lane_of(zone) is lane]
        due = [max(at, self._paused_until) for at in (*lane.due(), *looks)]
        idle = not due and lane.child.is_running() and lane is not self._lanes[Health.WELL]
        timer = self._loop.call_at(min(due, default=now + IDLE_CHILD), lane.wake.set) if due or idle else None
        await lane.wake.wait()
        if timer:
            timer.cancel()
            if idle and self._loop.time() >= now + IDLE_CHILD:
                await lane.child.stop()

    def _lane_of(self, zone: str) -> Lane:
        health = self._state(zone).health
        return self._lanes[Health.ILL if health is Health.NEW else health]

    def _zone_to_look_after(self, lane: Lane, now: float) -> str | None:
        looks = self._late.next_looks().items()
        return next((zone for zone, at in looks if at <= now and self._lane_of(zone) is lane), None)

    async def _settle(self, lane: Lane, line: Line, batch: list[Share]) -> None:
        if not batch:
            return
        start = self._loop.time()
        updates = [share.rrsets for share in batch]
        settlements = await lane.dialogue.settle(line.zone.name, updates, line.ask_only)
        now = self._loop.time()
        if self.exchanges.are_kept:
            self.exchanges.note(any(s.verdict not in UNANSWERED for s in settlements), now - start, len(batch))
        if line.suspects:
            lane.rests_until = now + (now - start)
        for share, settlement in zip(batch, settlements, strict=True):
            share.under_way = False
            self._judge(share, settlement, now)

    # Out: what a settlement means for its share.

    def _judge(self, share: Share, settlement: Settlement, now: float) -> None:
        """An answer, or another try."""
        verdict = settlement.verdict
        if verdict is Verdict.DONE:
            self._recover(share.zone, now)
            self._accept(share, settlement.changed)
        elif verdict in MOVED and not share.ticket.moved and not self._zones.are_given() and not share.ticket.is_over:
            share.ticket.moved = True  # perhaps to a zone that is new: ask once more
            for rrset in share.rrsets:
                self._zones.forget(rrset.name, below=share.zone.name if verdict is Verdict.HIDDEN else NOWHERE)
            self._place_anew(share.ticket)
        elif verdict in FAILURES:
            if verdict in SUSPICIOUS:
                self._recover(share.zone, now)
                self._suspects.update(rrset.name for rrset in share.rrsets)
            self._end(share, FAILURES[verdict])
        else:
            if verdict is Verdict.UNKNOWN and settlement.changed and not share.ticket.ask_only:
                share.ticket.written = True
                self._late.unanswered(share.zone.name, share.rrsets, now)
                self._lane_of(share.zone.name).wake.set()
            share.ticket.trouble = settlement.reason or share.ticket.trouble
            self._suffer(share.zone, settlement, now)
            self._try_again(share)

    def _accept(self, share: Share, changed: bool) -> None:
        """The primary has confirmed it."""
        ticket = share.ticket
        if self._suspects:
            self._suspects.difference_update(rrset.name for rrset in share.rrsets)
        if ticket.ask_only:
            self._end(share, WOULD_CHANGE if changed else UPTODATE)
            return
        ticket.written = ticket.written or changed
        self._late.acknowledged(share.rrsets)
        if ticket.written and not share.looked and self._late.threaten(share.rrsets):
            share.looked = True
            self._loop.call_later(SECOND_LOOK, self._try_again, share)
            return
        self._end(share, OK if ticket.written else UPTODATE)

    def _try_again(self, share: Share) -> None:
        if share.ticket.is_over:  # its time was over while it was under way
            self._order.leave(share.ticket, share.rrsets)
        else:
            self._stand_in_line(share)

    def _suffer(self, zone: Zone, settlement: Settlement, now: float) -> None:
        """A try has failed: of this zone, of the whole primary, or (without a word of nsupdate) of the child."""
        zone.trouble = settlement.reason or zone.trouble
        if settlement.verdict in PRIMARY_PAUSE:
            self._paused_until = now + PRIMARY_PAUSE[settlement.verdict]
        elif zone.not_before <= now:  # once for a whole batch
            zone.pause = min(max(2 * zone.pause, FIRST_PAUSE), LONGEST_PAUSE)
            zone.not_before = now + zone.pause
            if settlement.reason:
                self._serve(zone, Health.SILENT if settlement.verdict is Verdict.UNKNOWN else Health.ILL)

    def _recover(self, zone: Zone, now: float) -> None:
        """The zone works."""
        zone.answered = now
        if zone.pause or zone.health is not Health.WELL:
            zone.pause = zone.not_before = 0.0
            zone.trouble = ""
            self._serve(zone, Health.WELL)

    def _serve(self, zone: Zone, health: Health) -> None:
        """Let the zone's lines be served by another lane."""
        zone.health = health
        for kind in KINDS:
            line = self._lines.get((zone.name, *kind))
            if line:
                for lane in self._lanes.values():
                    lane.lines.pop(line, None)
                if line.shares:
                    self._lanes[line.health()].add(line)
        self._lane_of(zone.name).wake.set()  # it may have to look after late writes there

    def _end(self, share: Share, result: Result) -> None:
        """A share is settled; perhaps its ticket with it."""
        ticket = share.ticket
        share.under_way = False
        if share.result:
            return
        if ticket.is_over:
            self._order.leave(ticket, share.rrsets)
            return
        share.result = result
        share.zone.waiting -= 1
        if result.outcome in FINAL:
            self._answer(ticket, result)
            return
        if len(share.rrsets) == len(ticket.update):
            self._answer(ticket, result)
            return
        settled = [part for part in ticket.shares if part.result]
        if sum([len(part.rrsets) for part in settled]) == len(ticket.update):
            self._answer(ticket, worst(part.result for part in settled if part.result))
        else:
            self._order.leave(ticket, share.rrsets)

    def _answer(self, ticket: Ticket, result: Result) -> None:
        """Answer all who wait for a ticket; of those who wanted the same, the first one has changed it."""
        for _, promise in ticket.waiters:
            if not promise.done():
                promise.set_result(result)
            if result is OK:
                result = UPTODATE
        ticket.waiters.clear()
        self._dismiss(ticket)

    def _dismiss(self, ticket: Ticket) -> None:
        """Nobody waits for it any more. What is under way stays in front of others until it comes back."""
        if ticket.is_over:
            return
        ticket.is_over = True
        ticket.is_open = False
        self._tickets.pop(ticket, None)
        for share in ticket.shares:
            if not share.result:
                share.zone.waiting -= 1
        under_way = [rrset for share in ticket.shares if share.under_way for rrset in share.rrsets]
        self._order.leave(ticket, [r for r in ticket.update if r not in under_way] if under_way else ticket.update)
        if not self._tickets:
            self._empty.set()

    def _sweep(self) -> None:
        """Answer those whose time is over."""
        now = self._loop.time()
        try:
            for ticket in [ticket for ticket in self._tickets if ticket.waiters[0][0] <= now]:
                self._give_up(ticket, now)
        finally:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self._tickets else None

    def _give_up(self, ticket: Ticket, now: float) -> None:
        troubles = [ticket.trouble, *(share.zone.trouble for share in ticket.shares if not share.result), NO_ANSWER]
        reason = f"not within {self._timeout:g} s: {next(filter(None, troubles))}"
        for deadline, promise in ticket.waiters:
            if deadline <= now and not promise.done():
                promise.set_result(Result(Outcome.TIMEOUT, reason))
        ticket.waiters = [waiter for waiter in ticket.waiters if waiter[0] > now]
        if not ticket.waiters:
            self._dismiss(ticket)
