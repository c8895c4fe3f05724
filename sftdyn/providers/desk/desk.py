"""Updates in, results out: what stands before one place where names live, with its order, its patience and its bounds.

Rule 1. A ticket is one request's update. It has a share for each zone that it touches, and is answered when all of
them are settled, or when its time is over. What a ticket is batched with never changes where its shares belong.

Rule 2. Two tickets that want something of one record set are settled in the order of their arrival, with whatever
credential. The later one waits outside (`Order`) and enters a line, zone by zone, when nothing is in front of it.
Whoever wants just what the last one wants joins it, and gets its answer, as long as nothing of it was sent.

Rule 3. Each credential has a session, which finds zones and serves lines. One of a request's own secret is dropped,
with all that it has learned, when no such request is under way. Another conf means other sessions: what is under way
comes to its end where it is, what waits is placed anew.

Rule 4. What was sent and not answered may have been done, or be done later: it is watched. An exchange is not cut off
when nobody waits for it any more: until it has come back, newer updates of its names wait. A look after late writes
stands in the order, too.

Rule 5. A zone that turns out to be elsewhere is asked for once more within the request.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from ...values.exchanges import Exchanges, Vitals
from ...values.outcome import Outcome, Result, worst
from ...values.update import Key, Promise, RRset, Update
from .backend import OUTCOMES, Backend, Fate, Manner, Settlement, Unfound, Verdict
from .late import LateWrites
from .order import Order
from .session import SHORT, Session
from .tickets import Share, Ticket, Zone
from .zones import NOWHERE

log = logging.getLogger(__name__)

SWEEP = 0.1  # seconds between two looks at the deadlines, and at what is watched

OK = Result(Outcome.OK)
UPTODATE = Result(Outcome.UPTODATE)
WOULD_CHANGE = Result(Outcome.WOULD_CHANGE)
NO_CREDENTIALS = Result(Outcome.REFUSED, "the client's key is not known, and so no token; the conf has no credentials")

THERE = frozenset({Verdict.HIDDEN, Verdict.AGAIN})  # the zone is where it was; the name may be in one below it

Make = Callable[[str | None], Backend | None]  # a backend for a secret; None where there are no credentials


class Desk:
    """Settles updates at one place; made inside a running event loop.

    After `timeout` seconds, an update that was not settled has failed.
    """

    def __init__(self, make: Make, manner: Manner, timeout: float) -> None:
        self.exchanges = Exchanges()
        self.late = LateWrites()
        self._make = make
        self._manner = manner
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._order: Order[Ticket] = Order(self.place)
        self._tickets: dict[Ticket, None] = {}  # all that are not answered
        self._sessions: dict[str | None, Session] = {}  # by their secret; None: with the conf's credentials
        self._retired: set[Session] = set()  # that still have something under way
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._full = Result(Outcome.OVERLOADED, f"too many updates wait for {manner.called}")
        self._defect = Result(Outcome.INTERNAL, f"defect in the exchange with {manner.called}")
        self._no_answer = f"no answer from {manner.called}"

    def use(self, make: Make | None, timeout: float) -> None:
        """From the next exchange on, be as the conf says now; what waits is placed anew. None: only `timeout`."""
        self._timeout = timeout
        if make is None:
            for session in self._sessions.values():
                session.zones.doubt()
            return
        self._make = make
        old, self._sessions = list(self._sessions.values()), {}
        for session in old:
            session.retire()
            self._retired.add(session)
        for ticket in list(self._tickets):
            if not ticket.is_over:
                self._place_anew(ticket)
        for session in old:
            self.drop_if_idle(session)

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        for _, ticket in self._order.lasts():
            ticket.settled = ticket.settled or self._loop.create_future()
        return {key: ticket.settled for key, ticket in self._order.lasts() if ticket.settled}

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return all(session.is_alive() for session in self._sessions.values())

    def vitals(self) -> Vitals:
        """How it is: what waits, and the exchanges."""
        return Vitals(self.exchanges, len(self._tickets), self.late.mended)

    def session(self, secret: str | None = None) -> Session | None:
        """The session for updates with this secret; None if there are no credentials."""
        session = self._sessions.get(secret)
        if session is None and (backend := self._make(secret)):
            session = self._sessions[secret] = Session(backend, secret, self, self.exchanges)
        return session

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end all work."""
        while self._tickets:
            self._empty.clear()
            await self._empty.wait()
        if self._sweeper:
            self._sweeper.cancel()
        for session in (*self._sessions.values(), *self._retired):
            self._closing.update(session.close())
        await asyncio.gather(*self._closing, return_exceptions=True)

    # In: tickets, their order, and the zones that they belong to.

    def publish(self, update: Update, ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make the zones hold `update`, or only ask whether they do: the result comes within the timeout."""
        promise: Promise = self._loop.create_future()
        now = self._loop.time()
        waiter = (now + self._timeout, promise)
        last = self._order.last(update)
        if last and last.is_open and last.ask_only == ask_only and last.secret == secret and last.update == update:
            last.waiters.append(waiter)
            return promise
        ticket = Ticket(update, ask_only, secret, now, [waiter])
        self._tickets[ticket] = None
        self._order.enter(ticket)
        if len(ticket.blocked) < len(update):
            self.place(ticket)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        return promise

    def place(self, ticket: Ticket) -> None:
        """Let the shares of a ticket that have nothing in front of them stand in line."""
        session = self._sessions.get(ticket.secret) or self.session(ticket.secret)
        if session is None:
            self._answer(ticket, NO_CREDENTIALS)
            return
        if ticket.session is not session:
            self._move(ticket, session)
        parts = self._parts(session, ticket)
        if parts is None:
            return
        if NOWHERE in parts:
            self._answer(ticket, self._manner.no_zone)
            return
        shares = [Share(ticket, session.zone(zone), rrsets) for zone, rrsets in parts.items()]
        ticket.shares += shares
        full = False
        for share in shares:
            share.zone.waiting += 1
            full = session.is_full(share.zone.name, share.zone.waiting) or full
        if full:
            self._answer(ticket, self._full)
        elif not self._is_refused(session, ticket):
            for share in shares:
                session.stand_in_line(share)

    def _parts(self, session: Session, ticket: Ticket) -> dict[str, list[RRset]] | None:
        """What of a ticket can be placed now, by zones; None if one must be found first."""
        placed = {rrset.key for share in ticket.shares for rrset in share.rrsets} if ticket.shares else ()
        parts: dict[str, list[RRset]] = {}
        now, zone_of, arrived = self._loop.time(), session.zones.zone_of, ticket.arrived
        for rrset in ticket.update:
            if placed and rrset.key in placed:
                continue
            zone = zone_of(rrset.name, now, arrived)
            if zone is None:
                self._look_for(session, ticket, rrset.name)
                return None
            parts.setdefault(zone, []).append(rrset)
        if ticket.blocked:
            return {zone: part for zone, part in parts.items() if ticket.blocked.isdisjoint([r.key for r in part])}
        return parts

    def _look_for(self, session: Session, ticket: Ticket, name: str) -> None:
        if session.is_full(NOWHERE, session.finder.waiting() + 1):
            self._answer(ticket, self._full)
        elif not self._is_refused(session, ticket):
            session.finder.want(ticket, name)

    def unfound(self, ticket: Ticket, error: Unfound) -> None:
        """The zone of one of its names cannot be found."""
        if not ticket.is_over:
            self._answer(ticket, Result(error.final or Outcome.NOZONE, error.reason))

    def paused(self, session: Session) -> None:
        """Who cannot wait so long is told so at once."""
        if session.paused_until > self._loop.time() + SHORT:
            for ticket in list(self._tickets):
                if ticket.session is session and not ticket.is_over:
                    self._is_refused(session, ticket)

    def _is_refused(self, session: Session, ticket: Ticket) -> bool:
        """Whether the place wants no question before the ticket's time is over; then that is its answer."""
        seconds = session.paused_until - self._loop.time()
        if seconds <= SHORT or session.paused_until < ticket.waiters[-1][0]:
            return False
        called = self._manner.called
        reason = f"{called} takes no more requests for {math.ceil(seconds)} s (429)"
        self._answer(ticket, Result(Outcome.TIMEOUT, reason, math.ceil(seconds)))
        return True

    def _place_anew(self, ticket: Ticket) -> None:
        """What of it is neither settled nor under way may belong elsewhere."""
        for share in ticket.shares:
            if not share.result and not share.under_way:
                share.zone.waiting -= 1
                share.is_dropped = True
        ticket.shares = [share for share in ticket.shares if not share.is_dropped]
        self.place(ticket)

    # Out: what a settlement means for its share.

    def judge(self, session: Session, share: Share, settlement: Settlement, now: float) -> None:
        """An answer, or another try."""
        verdict, ticket = settlement.verdict, share.ticket
        if verdict is Verdict.DONE:
            session.recover(share.zone, now)
            self._accept(session, share, settlement.changed)
        elif settlement.moved and not ticket.is_over and self._may_have_moved(session, share):
            ticket.moved = True  # perhaps to a zone that is new: ask once more
            names = [rrset.name for rrset in share.rrsets]
            session.zones.forget(share.zone.name, names, is_there=verdict in THERE)
            self._place_anew(ticket)
        elif verdict in OUTCOMES:
            if settlement.costly:
                session.recover(share.zone, now)
                session.suspects.update(rrset.name for rrset in share.rrsets)
            self._end(share, Result(OUTCOMES[verdict], settlement.reason))
        else:
            if verdict is Verdict.UNKNOWN and settlement.changed and not ticket.ask_only:
                ticket.written = True
                self.late.unanswered(share.zone.name, share.rrsets, self._manner, now)
                if self._sweeper is None:
                    self._sweeper = self._loop.call_later(SWEEP, self._sweep)
            ticket.trouble = settlement.reason or ticket.trouble
            session.suffer(share.zone, settlement, now)
            self._try_again(session, share)

    def _may_have_moved(self, session: Session, share: Share) -> bool:
        """Whether its zone was remembered from before the request."""
        if session.is_retired:
            return True
        ticket, zones = share.ticket, session.zones
        return not ticket.moved and any(zones.was_known(rrset.name, ticket.arrived) for rrset in share.rrsets)

    def defect(self, share: Share) -> None:
        """Something broke."""
        self._end(share, self._defect)

    def _accept(self, session: Session, share: Share, changed: bool) -> None:
        """It is confirmed."""
        ticket = share.ticket
        if session.suspects:
            session.suspects.difference_update(rrset.name for rrset in share.rrsets)
        if ticket.ask_only:
            self._end(share, WOULD_CHANGE if changed else UPTODATE)
            return
        ticket.written = ticket.written or changed
        self.late.acknowledged(share.rrsets)
        second_look = self._manner.second_look
        if second_look and ticket.written and not share.looked and self.late.threaten(share.rrsets):
            share.looked = True
            self._loop.call_later(second_look, self._try_again, session, share)
            return
        self._end(share, OK if ticket.written else UPTODATE)

    def _try_again(self, session: Session, share: Share) -> None:
        ticket = share.ticket
        if share.is_dropped:
            return
        if ticket.is_over:  # its time was over while it was under way
            self._order.leave(ticket, share.rrsets)
            self._leave(ticket)
        elif session.is_retired:
            self._place_anew(ticket)
        elif not self._is_refused(session, ticket):
            session.stand_in_line(share)

    def _end(self, share: Share, result: Result) -> None:
        """A share is settled; perhaps its ticket with it."""
        ticket = share.ticket
        share.under_way = False
        if share.result:
            return
        if ticket.is_over:
            self._order.leave(ticket, share.rrsets)
            self._leave(ticket)
            return
        share.result = result
        share.zone.waiting -= 1
        if result is self._defect or len(share.rrsets) == len(ticket.update):
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
                promise.set_result((result,) * len(ticket.update))
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
        self._leave(ticket, bool(under_way))
        if not self._tickets:
            self._empty.set()

    def _leave(self, ticket: Ticket, is_under_way: bool | None = None) -> None:
        """It has gone, if nothing of it is under way; perhaps its session with it."""
        if is_under_way or (is_under_way is None and any(share.under_way for share in ticket.shares)):
            return
        if ticket.settled and not ticket.settled.done():
            ticket.settled.set_result((OK,))  # no matter what, nothing comes after
        self._move(ticket, None)

    def _move(self, ticket: Ticket, session: Session | None) -> None:
        """Count it there from now on."""
        before, ticket.session = ticket.session, session
        if session:
            session.tickets += 1
        if before:
            before.tickets -= 1
            if before.secret is not None and isinstance(before, Session):
                self.drop_if_idle(before)

    def drop_if_idle(self, session: Session) -> None:
        """Rule 3; the conf's own session stays until a reload."""
        if not session.is_idle() or (session.secret is None and not session.is_retired):
            return
        self._retired.discard(session)
        if self._sessions.get(session.secret) is session:
            del self._sessions[session.secret]
        for task in session.close():
            if session.secret is None:
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    # Time

    def _sweep(self) -> None:
        """Answer those whose time is over; look after what is watched."""
        now = self._loop.time()
        try:
            for ticket in [ticket for ticket in self._tickets if ticket.waiters[0][0] <= now]:
                self._give_up(ticket, now)
            for zone in self.late.due(now) if self.late.is_watching() else ():
                known = (session for session in self._sessions.values() if session.knows(zone))
                if session := next(known, None) or self.session(None):
                    session.look_after(zone)
        finally:
            busy = self._tickets or self.late.is_watching()
            self._sweeper = self._loop.call_later(SWEEP, self._sweep) if busy else None

    def _give_up(self, ticket: Ticket, now: float) -> None:
        troubles = [ticket.trouble, *(share.zone.trouble for share in ticket.shares if not share.result)]
        reason = f"not within {self._timeout:g} s: {next(filter(None, troubles), self._no_answer)}"
        for deadline, promise in ticket.waiters:
            if deadline <= now and not promise.done():
                promise.set_result((Result(Outcome.TIMEOUT, reason),) * len(ticket.update))
        ticket.waiters = [waiter for waiter in ticket.waiters if waiter[0] > now]
        if not ticket.waiters:
            self._dismiss(ticket)

    # Late writes

    def watched(self, zone: Zone) -> Ticket | None:
        """A ticket for what late writes could undo there, in the order in front of what comes now."""
        now = self._loop.time()
        found = self.late.look(zone.name, self._manner, lambda key: not self._order.has(key), now)
        if not found:
            return None
        ticket = Ticket([rrset for rrset, _ in found], False, None, now, [], is_open=False)
        ticket.late = [late for _, late in found]
        self._order.enter(ticket)
        return ticket

    def looked(self, ticket: Ticket, rrset: RRset, fate: Fate, late: tuple[str, ...]) -> None:
        """What has come of one of them."""
        self.late.found(rrset, fate, late, self._manner, self._loop.time())
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def look_ended(self, ticket: Ticket) -> None:
        """Those behind it may go on."""
        self._order.leave(ticket, ticket.update)
