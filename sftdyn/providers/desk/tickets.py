"""What waits at the desk: tickets, their shares, and the lines in which these stand."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...values.outcome import Result
from ...values.update import Key, Promise, Update
from .backend import Health


class Home(Protocol):
    """Where tickets are counted."""

    tickets: int
    secret: str | None


@dataclass(eq=False, slots=True)
class Zone:
    """One zone as one session serves it."""

    name: str
    health: Health = Health.NEW
    pause: float = 0.0  # seconds, the last one
    not_before: float = 0.0  # event loop time of the next try
    waiting: int = 0  # shares
    answered: float = 0.0  # event loop time, when it worked last
    trouble: str = ""  # what was last in the way
    is_busy: bool = False  # there is an exchange
    lines: "dict[tuple[bool, bool], Line]" = field(default_factory=dict)  # ask_only, suspects


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way."""

    update: Update
    ask_only: bool
    secret: str | None = field(repr=False)
    arrived: float  # event loop time
    waiters: list[tuple[float, Promise]]  # each with its deadline (event loop time)
    blocked: set[Key] = field(default_factory=set)  # record sets for which an earlier ticket is not settled yet
    shares: "list[Share]" = field(default_factory=list)
    trouble: str = ""  # what was last in the way
    settled: "Promise | None" = None  # nothing of it is under way any more; made when somebody wants to know
    late: "Sequence[Collection[tuple[str, ...]]]" = ()  # of a look: the values that may have come late, for each
    session: Home | None = None  # in which it is counted
    written: bool = False  # the place may have it already, by our hand
    moved: bool = False  # its zone turned out to be elsewhere once
    is_open: bool = True  # it can be joined: nothing of it was sent
    is_over: bool = False


@dataclass(eq=False, slots=True)
class Share:
    """What one ticket wants of one zone."""

    ticket: Ticket
    zone: Zone
    rrsets: Update
    result: Result | None = None
    under_way: bool = False  # in an exchange
    looked: bool = False  # it was looked at again after a write that a late one threatens
    is_dropped: bool = False  # there are others in its place

    def is_nobodys(self) -> bool:
        """Whether it is to be left out."""
        return self.is_dropped or self.ticket.is_over


@dataclass(eq=False, slots=True)
class Line:
    """Shares of one zone that are ready, and of one kind."""

    zone: Zone
    ask_only: bool
    suspects: bool
    shares: deque[Share] = field(default_factory=deque)

    def health(self) -> Health:
        """Which lane serves it."""
        health = self.zone.health
        return Health.ILL if health is Health.NEW or (self.suspects and health is Health.WELL) else health
