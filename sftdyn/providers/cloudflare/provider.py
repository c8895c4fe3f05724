"""Updates in, results out: the order, patience and bounds in front of Cloudflare's API.

Rule 1. A ticket is one request's update. It has a share for each zone that it touches, and is answered when all of
them are settled, or when its time is over.

Rule 2. Two tickets that want something of one record set are served in the order of their arrival, with whatever
credential. Whoever wants just what the last one wants joins it, as long as nothing of that was asked.

Rule 3. Each credential has a session, each zone in it a lane. While a lane has an exchange with the API, what comes for
the zone waits, and then goes together. Lanes do not wait for each other. One in trouble pauses, longer each time, and
keeps out of the way of the others; only a 429 concerns the whole credential. Then who cannot wait that long is told so
at once, and the API is not asked.

Rule 4. A session of a request's own secret is dropped, with all that it has learned, when no such request is under way.

Rule 5. What was sent and not answered may have been done, or be done later: so the zone is looked at before anything is
sent again, and for a while after. An exchange is not cut off when nobody waits for it any more: until it has come
back, newer updates of its names wait.

Rule 6. A remembered zone that the API denies is asked for once more.
"""

import asyncio
import logging
import math
import traceback
from collections.abc import Mapping, Sequence
from functools import partial

from ...fetch import Route
from ...values.exchanges import Exchanges, Vitals
from ...values.outcome import Outcome, Result, worst
from ...values.specs import Cloudflare
from ...values.update import Key, Promise, RRset, Script
from ..order import Order
from .api import ApiError, Health, Kind, Zone
from .exchange import Exchange, Settlement, Watch
from .findings import question, sentences
from .late import LateWrites
from .plan import Making
from .session import Budgets, Session
from .tickets import Lane, Share, Ticket, Waiter
from .zones import NOWHERE

log = logging.getLogger(__name__)

# Seconds that an answer may take: a part of the timeout, so that there is time for another try.
SHARE_OF_TIMEOUT = 0.8
SHORTEST, LONGEST = 2.0, 8.0
TICK = 0.5  # seconds between two looks at what is watched
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0  # seconds until the next try
LOT = 1000  # record sets that are asked for at once, for findings
NO_ANSWER = "the API has not answered"

OK = Result(Outcome.OK)
UPTODATE = Result(Outcome.UPTODATE)
WOULD_CHANGE = Result(Outcome.WOULD_CHANGE)
FULL = Result(Outcome.OVERLOADED, "too many updates wait for the API")
DEFECT = Result(Outcome.INTERNAL, "defect in the exchange with the API")
NO_TOKEN = Result(Outcome.REFUSED, "the client's key is not known, and so no token; the conf has no credentials")
NO_ZONE = Result(
    Outcome.NOZONE,
    "the API shows these credentials no zone with the name: they need Zone Read for it, or the conf zone= with its id",
)
AGAIN = frozenset({Kind.AWAY, Kind.LIMITED, Kind.CHANGED})
MOVED = frozenset({Kind.DENIED, Kind.GONE})
FINAL = {
    Kind.HIDDEN: Outcome.UNPUBLISHABLE,
    Kind.BAD: Outcome.REFUSED,
    Kind.DENIED: Outcome.REFUSED,
    Kind.GONE: Outcome.NOZONE,
}


class CloudflareProvider:
    """Publishes at Cloudflare, or an API like its own; made inside a running event loop.

    After `timeout` seconds, an update that the API did not settle has failed.
    """

    budgets = Budgets()  # of all providers: the API counts by credential, whatever else the conf says beside it

    def __init__(self, spec: Cloudflare, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._order: Order[Ticket] = Order(self._place)
        self._tickets: dict[Ticket, None] = {}  # all that are not answered
        self._exchanges = Exchanges()
        self._late = LateWrites()
        self._ticker: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions: dict[str | None, Session] = {}  # by their secret; None: with the conf's credentials
        self._retired: set[Session] = set()  # that still have something under way
        self._set(spec, timeout)

    def use(self, spec: Cloudflare, timeout: float) -> None:
        """From the next exchange on, be as the conf says now; what waits is placed anew."""
        if spec == self._spec:
            self._timeout = timeout
            return
        old, self._sessions = list(self._sessions.values()), {}
        self._set(spec, timeout)
        for session in old:
            session.retire()
            self._retired.add(session)
            self._drop_if_idle(session)
        for ticket in list(self._tickets):
            if not ticket.is_over:
                self._place_anew(ticket)

    def _set(self, spec: Cloudflare, timeout: float) -> None:
        self._spec = spec
        self._timeout = timeout
        self._route = Route(spec.ca)
        self._making = Making(spec.create, spec.proxied)

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return {key: ticket.settled for key, ticket in self._order.lasts()}

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        lanes = [lane for session in self._sessions.values() for lane in session.lanes.values() if lane.waiting]
        return all(lane.task and not lane.task.done() for lane in lanes)

    async def findings(self, keys: Sequence[Key]) -> list[str]:
        """What stands in the way of these record sets; nothing where only a request brings the token."""
        results: dict[Key, Result] = {}
        for start in range(0, 0 if self._spec.passes_secret else len(keys), LOT):
            lot = keys[start : start + LOT]
            asking = [self.publish([question(key)], ask_only=True) for key in lot]
            results.update(zip(lot, await asyncio.gather(*asking), strict=True))
        return sentences(results)

    def vitals(self) -> Vitals:
        """How it is: what waits for the API, and the exchanges with it."""
        return Vitals(self._exchanges, len(self._tickets), self._late.undone)

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end the connections."""
        while self._tickets:
            self._empty.clear()
            await self._empty.wait()
        if self._ticker:
            self._ticker.cancel()
        for session in (*self._sessions.values(), *self._retired):
            session.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # In: tickets, their order, and the zones that they belong to.

    def publish(self, update: Sequence[RRset | Script], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make the zones hold `update`, or only ask whether they do: the result comes within the timeout."""
        rrsets = [item for item in update if isinstance(item, RRset)]
        secret = secret if self._spec.passes_secret else None
        now = self._loop.time()
        waiter = Waiter(now + self._timeout, self._loop.create_future())
        last = self._order.last(rrsets)
        if last and last.is_open and (last.ask_only, last.secret, last.update) == (ask_only, secret, rrsets):
            self._wait(waiter, last)
            return waiter.promise
        ticket = Ticket(rrsets, ask_only, secret, now, self._loop.create_future())
        self._tickets[ticket] = None
        self._wait(waiter, ticket)
        self._order.enter(ticket)
        if len(ticket.blocked) < len(rrsets):
            self._place(ticket)
        return waiter.promise

    def _wait(self, waiter: Waiter, ticket: Ticket) -> None:
        waiter.timer = self._loop.call_at(waiter.deadline, self._give_up, ticket, waiter)
        ticket.waiters.append(waiter)

    def _session(self, secret: str | None) -> Session | None:
        """The session for updates with this secret; None if there is no credential."""
        spec = self._spec
        if spec.passes_secret and not secret:
            return None
        secret = secret if spec.passes_secret else None
        session = self._sessions.get(secret)
        if session is None:
            credential = secret or (f"{spec.email} {spec.key}" if spec.key else spec.token)
            budget = self.budgets.of(f"{spec.url} {credential}", self._loop.time())
            session = Session(
                spec, secret, self._route, budget, self._exchanges, self._patience, self._found, self._not_found
            )
            self._sessions[secret] = session
        return session

    def _place(self, ticket: Ticket) -> None:
        """Let the shares of a ticket that have nothing in front of them stand in line."""
        session = self._session(ticket.secret)
        if session is None:
            self._answer(ticket, NO_TOKEN)
            return
        session.tickets[ticket] = None
        parts: dict[Zone, list[RRset]] = {}
        since: dict[Zone, float] = {}
        placed = {rrset.key for share in ticket.shares for rrset in share.rrsets}
        for rrset in ticket.update:
            if rrset.key in placed:
                continue
            fact = session.finder.zone_of(rrset.name, ticket.arrived)
            if fact is None or fact.zone is None:
                self._look_for(session, ticket, rrset.name)
                return
            parts.setdefault(fact.zone, []).append(rrset)
            since[fact.zone] = fact.since
        if NOWHERE in parts:
            self._answer(ticket, NO_ZONE)
            return
        for zone, rrsets in parts.items():
            if ticket.blocked.isdisjoint(rrset.key for rrset in rrsets):
                share = Share(ticket, rrsets, session.lane(zone), since[zone] < ticket.arrived)
                ticket.shares.append(share)
                self._stand_in_line(session, share)

    def _look_for(self, session: Session, ticket: Ticket, name: str) -> None:
        if session.is_full(None):
            self._answer(ticket, FULL)
        elif not self._is_refused(session, ticket):
            session.finder.want(ticket, name)

    def _found(self, ticket: Ticket) -> None:
        if not ticket.is_over:
            self._place(ticket)

    def _not_found(self, ticket: Ticket, error: ApiError) -> None:
        self._answer(ticket, Result(FINAL.get(error.kind, Outcome.REFUSED), error.reason))

    def _is_refused(self, session: Session, ticket: Ticket) -> bool:
        """Whether the API wants no request before the ticket's time is over; then that is its answer."""
        until = session.api.budget.refused_until
        if until < ticket.deadline():
            return False
        seconds = math.ceil(until - self._loop.time())
        self._answer(ticket, Result(Outcome.TIMEOUT, f"the API takes no more requests for {seconds} s (429)", seconds))
        return True

    def _stand_in_line(self, session: Session, share: Share) -> None:
        if share.ticket.is_over or self._is_refused(session, share.ticket):
            return
        if session.is_full(share.lane):
            self._answer(share.ticket, FULL)
            return
        share.lane.waiting.append(share)
        self._start(session, share.lane)

    def _place_anew(self, ticket: Ticket) -> None:
        """What of it is neither settled nor under way may belong elsewhere."""
        for share in ticket.shares:
            share.is_dropped = not share.result and not share.under_way
        ticket.shares = [share for share in ticket.shares if not share.is_dropped]
        self._place(ticket)

    # Through: one exchange of a lane after the other.

    def _start(self, session: Session, lane: Lane) -> None:
        if lane.task is None or lane.task.done():
            lane.task = self._loop.create_task(self._work(session, lane))
            self._tasks.add(lane.task)
            lane.task.add_done_callback(self._tasks.discard)

    async def _work(self, session: Session, lane: Lane) -> None:
        """Until nothing waits in the lane any more, and no late write is to be looked for."""
        while True:
            now = self._loop.time()
            if not lane.has_work() and not self._late.is_due(lane.zone, now):
                return
            wait = max(lane.not_before - now, session.api.wait(lane.health))
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self._exchange(session, lane)

    async def _exchange(self, session: Session, lane: Lane) -> None:
        shares = lane.take()
        watched = [newest for newest in self._late.look(lane.zone, self._loop.time()) if self._is_free(newest.key)]
        if not shares and not watched:
            return
        lane.is_busy = True
        exchange = Exchange(session.api, lane, self._making, self._patience(), partial(self._judge, session))
        trouble: ApiError | None = None
        began = self._loop.time()
        try:
            trouble = await exchange.run(shares, Watch(self._late, watched, self._is_free))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("defect: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
            for share in shares:
                if share.under_way:
                    self._end(share, DEFECT)
        lane.is_busy = False
        answered = not trouble or trouble.kind is not Kind.AWAY
        if shares:  # else it was a look after late writes
            self._exchanges.note(answered, self._loop.time() - began, len(shares))
        self._learn(session, lane, trouble)
        self._drop_if_idle(session)

    def _patience(self) -> float:
        """Seconds that the API may take for an answer."""
        return min(LONGEST, max(SHORTEST, SHARE_OF_TIMEOUT * self._timeout))

    def _is_free(self, key: Key) -> bool:
        """Whether nobody wants to write this record set."""
        return not self._order.has(key)

    def _learn(self, session: Session, lane: Lane, trouble: ApiError | None) -> None:
        """How the zone is after an exchange, and so when the next one may be."""
        if trouble and trouble.kind is Kind.LIMITED:
            lane.trouble = trouble.reason
            for ticket in list(session.tickets):
                if not ticket.is_over:
                    self._is_refused(session, ticket)
        elif trouble and trouble.kind in AGAIN:
            lane.trouble = trouble.reason
            lane.health = Health.ILL if trouble.kind is Kind.AWAY else Health.WELL
            lane.pause = min(max(2 * lane.pause, FIRST_PAUSE), LONGEST_PAUSE)
            lane.not_before = self._loop.time() + max(lane.pause, trouble.wait)
        else:
            lane.trouble = ""
            lane.health = Health.WELL
            lane.pause = lane.not_before = 0.0

    def _watch(self) -> None:
        """Look after late writes, as long as there may be some."""
        now = self._loop.time()
        self._late.expire(now)
        for zone in self._late.due(now):
            known = (session for session in self._sessions.values() if zone.id in session.lanes)
            if session := next(known, None) or self._session(None):
                self._start(session, session.lane(zone))
        self._ticker = self._loop.call_later(TICK, self._watch) if self._late.is_watching() else None

    # Out: what a settlement means for its share.

    def _judge(self, session: Session, share: Share, settlement: Settlement) -> None:
        """An answer, or another try."""
        share.under_way = False
        if settlement.failure:
            self._end(share, settlement.failure)
        elif settlement.error:
            self._judge_error(session, share, settlement.error)
        elif share.ticket.ask_only:
            self._end(share, WOULD_CHANGE if settlement.changed else UPTODATE)
        else:
            self._late.acknowledged(share.rrsets)
            self._end(share, OK if settlement.changed or share.ticket.written else UPTODATE)

    def _judge_error(self, session: Session, share: Share, error: ApiError) -> None:
        ticket, zone = share.ticket, share.lane.zone
        ticket.trouble = error.reason
        if error.maybe_done:
            ticket.written = True
            self._late.unanswered(zone, share.rrsets, self._loop.time())
            if self._ticker is None:
                self._watch()
        if error.kind in AGAIN:
            share.conflicts += error.kind is Kind.CHANGED
            self._try_again(session, share)
        elif error.kind in MOVED and (share.was_known or session in self._retired):
            session.finder.forget(zone)
            self._place_share_anew(share)
        else:
            self._end(share, Result(FINAL[error.kind], error.reason))

    def _try_again(self, session: Session, share: Share) -> None:
        if share.ticket.is_over or session in self._retired:
            self._place_share_anew(share)
        else:
            self._stand_in_line(session, share)

    def _place_share_anew(self, share: Share) -> None:
        """It belongs elsewhere now; or nowhere, if its time was over while it was under way."""
        ticket = share.ticket
        ticket.shares.remove(share)
        if ticket.is_over:
            self._order.leave(ticket, share.rrsets)
            self._leave(ticket)
        else:
            self._place(ticket)

    def _end(self, share: Share, result: Result) -> None:
        """A share is settled; perhaps its ticket with it."""
        ticket = share.ticket
        share.under_way = False
        share.result = result
        settled = [part for part in ticket.shares if part.result]
        if ticket.is_over or sum(len(part.rrsets) for part in settled) < len(ticket.update):
            self._order.leave(ticket, share.rrsets)
            self._leave(ticket)
        else:
            self._answer(ticket, worst(part.result for part in settled if part.result))

    def _answer(self, ticket: Ticket, result: Result) -> None:
        """Answer all who wait for a ticket; of those who wanted the same, the first one has changed it."""
        for waiter in ticket.waiters:
            waiter.answer(result)
            if result is OK:
                result = UPTODATE
        ticket.waiters.clear()
        self._dismiss(ticket)

    def _give_up(self, ticket: Ticket, waiter: Waiter) -> None:
        """The time of one who waits is over."""
        troubles = [ticket.trouble, *(share.lane.trouble for share in ticket.shares if not share.result), NO_ANSWER]
        waiter.answer(Result(Outcome.TIMEOUT, f"not within {self._timeout:g} s: {next(filter(None, troubles))}"))
        ticket.waiters.remove(waiter)
        if not ticket.waiters:
            self._dismiss(ticket)

    def _dismiss(self, ticket: Ticket) -> None:
        """Nobody waits for it any more. What is under way stays in front of others until it comes back."""
        ticket.is_over = True
        ticket.is_open = False
        self._tickets.pop(ticket, None)
        under_way = {rrset.key for share in ticket.shares if share.under_way for rrset in share.rrsets}
        self._order.leave(ticket, [rrset for rrset in ticket.update if rrset.key not in under_way])
        self._leave(ticket)
        if not self._tickets:
            self._empty.set()

    def _leave(self, ticket: Ticket) -> None:
        """It has gone, if it is over and nothing of it is under way; perhaps its session with it."""
        if not ticket.is_over or any(share.under_way for share in ticket.shares):
            return
        if not ticket.settled.done():
            ticket.settled.set_result(OK)  # no matter what, nothing comes after
        session = self._sessions.get(ticket.secret if self._spec.passes_secret else None)
        if session:
            session.tickets.pop(ticket, None)
            self._drop_if_idle(session)

    def _drop_if_idle(self, session: Session) -> None:
        """Rule 4; the conf's own session stays until a reload."""
        if not session.is_idle() or (session.secret is None and session not in self._retired):
            return
        session.close()
        self._retired.discard(session)
        if self._sessions.get(session.secret) is session:
            del self._sessions[session.secret]
