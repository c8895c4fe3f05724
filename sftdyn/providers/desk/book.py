"""The book of tickets: entered when they come, answered when all is settled or their time is over, and then left.

What nobody waits for any more stays in the order while it is under way: until that has come back, it may be done.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from ...values.outcome import Outcome, Result
from ...values.update import Item, Key, Promise
from .order import Order
from .session import Session
from .tickets import Account, Share, Ticket, Turn

OK = Result(Outcome.OK)
UPTODATE = Result(Outcome.UPTODATE)


class Book:
    """All tickets of one desk, and their order. `left` is called with a session that has one less."""

    def __init__(self, comes: Callable[[Ticket | Turn], None], left: Callable[[Session], None], no_answer: str) -> None:
        self.order = Order(comes)
        self.tickets: dict[Ticket, None] = {}  # that are not answered
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._no_answer = no_answer

    def enter(
        self, update: Sequence[Item], ask_only: bool, account: Account, until: float, now: float
    ) -> tuple[Promise, Ticket | None]:
        """What will become of an update, and its ticket, if it needs a new one: the last one may want just the same."""
        promise: Promise = self._loop.create_future()
        keys = [item.key for item in update]
        last = self.order.last(keys)
        if isinstance(last, Ticket) and last.is_open and last.wants(update, ask_only, account):
            last.waiters.append((until, promise))
            return promise, None
        ticket = Ticket(update, keys, ask_only, account, now, [(until, promise)])
        self.tickets[ticket] = None
        self.order.enter(ticket)
        return promise, ticket

    def count(self, ticket: Ticket, session: Session | None) -> None:
        """It is there from now on."""
        before: Session | None = ticket.session
        ticket.session = session
        if session:
            session.tickets += 1
        if before:
            before.tickets -= 1
            if before.is_temporary:
                self._left(before)

    def settle(self, share: Share, result: Result) -> None:
        """A share is settled; perhaps its ticket with it."""
        ticket = share.ticket
        share.under_way = False
        if share.result:
            return
        if ticket.is_over:
            self.order.leave(ticket, [item.key for item in share.items])
            self.leave(ticket)
            return
        share.result = result
        share.zone.waiting -= 1
        if len(share.items) == len(ticket.update) and not share.left_out:
            self._answer(ticket, [result] * len(ticket.update))
        elif sum([len(part.items) for part in ticket.shares if part.result]) == len(ticket.update):
            self._answer(ticket, ticket.results(lambda _: result))
        else:
            self.order.leave(ticket, [item.key for item in share.items])

    def answer(self, ticket: Ticket, result: Result) -> None:
        """What is not settled of it ends so."""
        if not ticket.is_over:
            self._answer(ticket, ticket.results(lambda _: result))

    def _answer(self, ticket: Ticket, results: Sequence[Result]) -> None:
        """Answer all who wait for a ticket; of those who wanted the same, the first one has changed it."""
        several = len(ticket.waiters) > 1
        for _, promise in ticket.waiters:
            if not promise.done():
                promise.set_result(results)
            if several:
                results = [UPTODATE if result is OK else result for result in results]
        ticket.waiters.clear()
        self._dismiss(ticket)

    def expire(self, now: float, timeout: float) -> None:
        """Answer those whose time is over."""
        for ticket in [ticket for ticket in self.tickets if ticket.waiters[0][0] <= now]:
            results = ticket.results(partial(self._too_late, ticket, timeout))
            for deadline, promise in ticket.waiters:
                if deadline <= now and not promise.done():
                    promise.set_result(results)
            ticket.waiters = [waiter for waiter in ticket.waiters if waiter[0] > now]
            if not ticket.waiters:
                self._dismiss(ticket)

    def _too_late(self, ticket: Ticket, timeout: float, share: Share | None) -> Result:
        why = (share and share.zone.trouble) or ticket.trouble or self._no_answer
        return Result(Outcome.TIMEOUT, f"not within {timeout:g} s: {why}")

    def _dismiss(self, ticket: Ticket) -> None:
        """Nobody waits for it any more."""
        ticket.is_over = True
        ticket.is_open = False
        self.tickets.pop(ticket, None)
        under_way: list[Key] = []
        for share in ticket.shares:
            if share.result is None:
                share.zone.waiting -= 1
                if share.under_way:
                    under_way += [item.key for item in share.items]
        self.order.leave(ticket, [key for key in ticket.keys if key not in under_way] if under_way else ticket.keys)
        if not under_way:
            self._forget(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It has gone, if nothing of it is under way."""
        if not any(share.under_way for share in ticket.shares):
            self._forget(ticket)

    def _forget(self, ticket: Ticket) -> None:
        """Nothing comes of it any more. It and its shares know each other: nobody else need find out that they go."""
        self.count(ticket, None)
        ticket.shares = []

    def end_of(self, key: Key) -> "asyncio.Future[None]":
        """Done when all that is under way for a record set now has come to its end."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def comes() -> None:
            end.set_result(None)
            self.order.leave(turn, turn.keys)

        turn = Turn([key], comes=comes)
        self.order.enter(turn)
        return end

    def hold(self, keys: Sequence[Key], after: "Sequence[asyncio.Future[None]]") -> None:
        """Whoever wants something of these comes after all that."""
        turn = Turn(keys)
        self.order.enter(turn)
        waiting = set(after)

        def done(one: "asyncio.Future[None]") -> None:
            waiting.discard(one)
            if not waiting:
                self.order.leave(turn, turn.keys)

        for one in after:
            one.add_done_callback(done)
