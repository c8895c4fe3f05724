"""What waits in front of the API."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from ...values.outcome import Result
from ...values.update import Key, Promise, Update
from .api import Health, Zone


@dataclass(eq=False, slots=True)
class Waiter:
    """One request that wants a ticket's update."""

    deadline: float  # event loop time
    promise: Promise
    timer: asyncio.TimerHandle | None = None

    def answer(self, result: Result) -> None:
        """Hand over the result."""
        if self.timer:
            self.timer.cancel()
        if not self.promise.done():
            self.promise.set_result(result)


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way to the API."""

    update: Update
    ask_only: bool
    secret: str | None = field(repr=False)
    arrived: float  # event loop time
    settled: Promise  # nothing of it is under way any more
    waiters: list[Waiter] = field(default_factory=list)
    blocked: set[Key] = field(default_factory=set)  # record sets for which an earlier ticket is not settled yet
    shares: "list[Share]" = field(default_factory=list)
    trouble: str = ""  # what was last in the way
    written: bool = False  # the API may have it already, by our hand
    is_open: bool = True  # it can be joined: nothing of it was asked
    is_over: bool = False

    def deadline(self) -> float:
        """When nobody waits for it any more (event loop time)."""
        return max((waiter.deadline for waiter in self.waiters), default=0.0)


@dataclass(eq=False, slots=True)
class Share:
    """What one ticket wants of one zone."""

    ticket: Ticket
    rrsets: Update
    lane: "Lane"
    was_known: bool  # the zone was remembered from before the request
    result: Result | None = None
    under_way: bool = False  # in an exchange
    conflicts: int = 0  # how often the records had changed meanwhile
    is_dropped: bool = False  # there are others in its place

    def is_nobodys(self) -> bool:
        """Whether it is to be left out."""
        return self.ticket.is_over or self.is_dropped


@dataclass(eq=False, slots=True)
class Lane:
    """A zone as one credential serves it: what waits goes together, one exchange after the other."""

    zone: Zone
    health: Health
    waiting: deque[Share] = field(default_factory=deque)
    pause: float = 0.0  # seconds, the last one
    not_before: float = 0.0  # event loop time of the next exchange
    pages: int | None = None  # of the zone's list of records, the last time that it was seen
    trouble: str = ""  # what was last in the way
    suspects: set[Key] = field(default_factory=set)  # record sets that failed alone
    is_busy: bool = False  # there is an exchange
    is_full: bool = False  # the log has said so
    task: "asyncio.Task[None] | None" = None

    def has_work(self) -> bool:
        """Whether something waits that somebody still wants."""
        while self.waiting and self.waiting[0].is_nobodys():
            self.waiting.popleft()
        return bool(self.waiting)

    def take(self) -> list[Share]:
        """All that waits."""
        shares = [share for share in self.waiting if not share.is_nobodys()]
        self.waiting.clear()
        for share in shares:
            share.under_way = True
            share.ticket.is_open = False
        return shares
