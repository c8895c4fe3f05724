"""Updates in, results out: what stands before one place where names live, with its order, its patience and its bounds.

Rule 1. A ticket is one request's update. It has a share for each zone that it touches, with a result of its own, and
is answered when all of them are settled, or when its time is over. What it is batched with changes none of that.

Rule 2. Two tickets that want something of one record set are settled in the order of their arrival, with whatever
credential, for the place is one. The later one waits outside (`Order`) and enters a line, zone by zone, when nothing
is in front of it. Whoever wants just what the last one wants joins it, as long as nothing of it was sent.

Rule 3. What else must happen before a ticket has a turn in the same order: a look after late writes, which nothing
newer may pass, and what other places have under way for a name that has just come from there.

Rule 4. What was sent and not answered may have been done, or be done later: it is watched. An exchange is not cut off
when nobody waits for it any more: until it has come back, newer updates of its names wait.

Rule 5. After a reload, what is under way comes to its end where it is, what waits is placed anew, with the account that
has come in the place of its own.

Rule 6. A zone that turns out to be elsewhere is asked for once more within the request.
"""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ...values.exchanges import Exchanges, Vitals
from ...values.outcome import Outcome, Result
from ...values.update import Item, Key, Promise, Script
from .accounts import Accounts
from .backend import Interrupted, Maker
from .book import Book
from .judge import Judge
from .session import Session
from .tickets import Account, Share, Ticket, Turn, Zone
from .watch import Vigil
from .zones import NOWHERE

SWEEP = 0.1  # seconds between two looks at the deadlines, and at what is watched

NO_CREDENTIALS = Result(Outcome.REFUSED, "the client's key is not known, and so no token; the conf has no credentials")
ELSEWHERE = "an earlier update of the name, through another provider, is still under way"


class Desk:
    """Settles updates at one place; made inside a running event loop.

    After `timeout` seconds, an update that was not settled has failed.
    """

    def __init__(self, maker: Maker, timeout: float) -> None:
        manner = maker.manner
        self._maker = maker
        self._timeout = timeout
        self._exchanges = Exchanges()
        self._scripted: dict[Key, str] = {}  # what scripts did last, which cannot be asked for
        self._accounts = Accounts(self._start)
        self._book = Book(self._comes, self._accounts.let_go, f"no answer from {manner.called}")
        self._watch = Vigil(manner, self._book.order, self._accounts, self._keep_time)
        self.look, self.looked, self.exchanged = self._watch.begin, self._watch.end, self._accounts.let_go
        judge = Judge(manner, self._book, self._watch, self._scripted, self._place_anew)
        self.judge, self.defect = judge.judge, judge.defect
        self._usual = Account(None)  # that of the last update without a secret
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None

    def _start(self, account: Account) -> Session | None:
        spec, secret, scripts = account
        if spec.passes_secret and not secret:
            return None
        if scripts and self._maker.scripts:
            backend = self._maker.scripts(spec, self._scripted)
        else:
            backend = self._maker.records(spec, secret, self._timeout, self._exchanges)
        return Session(backend, account, self, self._exchanges)

    def use(self, named: Sequence[Hashable], successors: Mapping[Hashable, Hashable], timeout: float) -> None:
        """From now on, the conf names these specs at this place; what has come in the place of others."""
        has_changed, self._timeout = timeout != self._timeout, timeout
        retired = self._accounts.use(named, successors, has_changed)
        for ticket in list(self._book.tickets):
            ticket.account = self._accounts.now(ticket.account)
            if ticket.session in retired and not ticket.is_over:
                self._place_anew(ticket)
        for session in retired:
            self._accounts.let_go(session)

    def under_way(self) -> dict[Key, "asyncio.Future[None]"]:
        """For each record set that is not free, what is done when all that is under way for it now has come to its end.

        That may be long after its answer.
        """
        return {key: self._book.end_of(key) for key in self._book.order.busy()}

    def hand_over(self, heir: "Desk") -> None:
        """Both are at one place: from now on, the other one gets what is new, and watches for what comes late."""
        self._watch.hand_over(heir._watch)
        heir._scripted.update(self._scripted)

    def leave(self) -> float:
        """The conf names nothing here any more. For so many seconds, something of ours may still come late; what is
        right, others know now."""
        self._watch.late.forget()
        return self._maker.manner.watched

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return all(session.is_alive() for session in self._accounts)

    def is_idle(self) -> bool:
        """Whether it has nothing to do, and nothing to watch."""
        return not self._book.order.busy() and not self._watch.late.is_watching()

    def vitals(self) -> Vitals:
        """How it is: what waits, and the exchanges."""
        return Vitals(self._exchanges, len(self._book.tickets), self._watch.late.mended)

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end all work."""
        while self._book.tickets:
            waiters = [promise for ticket in self._book.tickets for _, promise in ticket.waiters]
            waiting = [promise for promise in waiters if not promise.done()]  # who went away has cancelled theirs
            await (asyncio.wait(waiting) if waiting else asyncio.sleep(SWEEP))
        if self._sweeper:
            self._sweeper.cancel()
        await self._accounts.close()

    # In: tickets, their order, and the zones that they belong to.

    def publish(
        self,
        spec: Any,
        update: Sequence[Item],
        ask_only: bool = False,
        secret: str | None = None,
        after: "Sequence[asyncio.Future[None]]" = (),
    ) -> Promise:
        """Make the zones hold `update`, or only ask whether they do: the result comes within the timeout.

        Nothing of it is done before all of `after` is.
        """
        if not isinstance(update[-1], Script):  # scripts stand behind all records
            if secret is not None:  # which nobody keeps
                return self._enter(Account(spec, secret), update, ask_only, after)
            if self._usual.spec is not spec:
                self._usual = Account(spec)
            return self._enter(self._usual, update, ask_only, after)
        scripts = [item for item in update if isinstance(item, Script)]
        promise = self._enter(Account(spec, scripts=True), scripts, ask_only, after)
        if len(scripts) == len(update):
            return promise
        records = [item for item in update if not isinstance(item, Script)]
        return asyncio.ensure_future(_joined(update, promise, self._enter(Account(spec), records, ask_only, after)))

    def _enter(
        self, account: Account, update: Sequence[Item], ask_only: bool, after: "Sequence[asyncio.Future[None]]"
    ) -> Promise:
        now = self._loop.time()
        if after:
            self._book.hold([item.key for item in update], after)
        promise, ticket = self._book.enter(update, ask_only, account, now + self._timeout, now)
        if ticket:
            ticket.trouble = ELSEWHERE if after else ""
            if not ticket.blocked or len(ticket.blocked) < len(update):
                self.place(ticket)
            if self._sweeper is None:
                self._keep_time()
        return promise

    def _comes(self, entry: Ticket | Turn) -> None:
        """Nothing is in front of it any more, for some record set."""
        if isinstance(entry, Ticket):
            self.place(entry)
        elif entry.comes:
            entry.comes()

    def place(self, ticket: Ticket) -> None:
        """Let the shares of a ticket that have nothing in front of them stand in line."""
        session = self._accounts.session(ticket.account)
        if session is None:
            if not any(share.under_way for share in ticket.shares):  # else it may be done
                self._book.answer(ticket, NO_CREDENTIALS)
            return
        if ticket.session is not session:
            self._book.count(ticket, session)
        parts = self._parts(session, ticket)
        if not parts:
            return
        shares = [Share(ticket, session.zone(zone), items) for zone, items in parts.items()]
        for zone in parts if ticket.account.secret else ():
            self._watch.comes(session, zone)
        ticket.shares += shares
        for share in shares:
            share.zone.waiting += 1
        refusal = session.refusal(ticket.waiters[-1][0]) if session.paused_until else None
        for share in shares:
            if not share.zone.name:
                self._book.settle(share, self._maker.manner.no_zone)
            elif session.is_full(share.zone.name, share.zone.waiting):
                self._book.settle(share, self._full())
            elif refusal:
                self._book.settle(share, refusal)
            else:
                session.stand_in_line(share)

    def _parts(self, session: Session, ticket: Ticket) -> Mapping[str, Sequence[Item]]:
        """What of a ticket can be placed now, by zones: nothing, as long as some zone must be found first."""
        now, zone_of, arrived = self._loop.time(), session.zones.zone_of, ticket.arrived
        if len(ticket.update) == 1:
            zone = None if ticket.shares else zone_of(ticket.update[0].name, now, arrived)
            if zone is not None:
                return {zone: ticket.update}
        placed = {item.key for share in ticket.shares for item in share.items} if ticket.shares else ()
        parts: dict[str, list[Item]] = {}
        unknown: list[str] = []
        for item in ticket.update:
            if placed and item.key in placed:
                continue
            zone = zone_of(item.name, now, arrived)
            if zone is None:
                unknown.append(item.name)
            else:
                parts.setdefault(zone, []).append(item)
        if unknown:
            self._look_for(session, ticket, unknown)
            return {}
        if ticket.blocked:
            return {zone: part for zone, part in parts.items() if ticket.blocked.isdisjoint([i.key for i in part])}
        return parts

    def _look_for(self, session: Session, ticket: Ticket, names: Sequence[str]) -> None:
        if session.is_full(NOWHERE, session.finder.waiting() + 1):
            self._book.answer(ticket, self._full())
        elif refusal := session.refusal(ticket.waiters[-1][0]):
            self._book.answer(ticket, refusal)
        else:
            session.finder.want(ticket, names)

    def unfound(self, ticket: Ticket, name: str, error: Interrupted) -> None:
        """The zone of one of its names cannot be found."""
        items = [item for item in ticket.update if item.name == name]
        if items:
            share = Share(ticket, Zone(NOWHERE, waiting=1), items)
            ticket.shares.append(share)
            self._book.settle(share, Result(error.final or Outcome.NOZONE, error.settlement.reason))

    def paused(self, session: Session) -> None:
        """Who cannot wait so long is told so at once."""
        for ticket in [ticket for ticket in self._book.tickets if ticket.session is session]:
            if not ticket.is_over and (refusal := session.refusal(ticket.waiters[-1][0])):
                self._book.answer(ticket, refusal)

    def _full(self) -> Result:
        return Result(Outcome.OVERLOADED, f"too many updates wait for {self._maker.manner.called}")

    def _place_anew(self, ticket: Ticket) -> None:
        """What of it is neither settled nor under way may belong elsewhere."""
        for share in ticket.shares:
            if not share.result and not share.under_way:
                share.zone.waiting -= 1
                share.is_dropped = True
        ticket.shares = [share for share in ticket.shares if not share.is_dropped]
        self.place(ticket)

    # Time

    def _keep_time(self) -> None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Answer those whose time is over; look after what is watched."""
        now = self._loop.time()
        self._sweeper = None
        try:
            self._book.expire(now, self._timeout)
            self._watch.sweep(now)
        finally:
            if self._book.tickets or self._watch.late.is_watching():
                self._keep_time()


async def _joined(update: Sequence[Item], scripts: Promise, records: Promise) -> list[Result]:
    """The results of both, in the order of the update."""
    results = iter(await scripts), iter(await records)
    return [next(results[0 if isinstance(item, Script) else 1]) for item in update]
