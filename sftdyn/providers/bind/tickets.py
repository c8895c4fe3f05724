"""What waits in front of the primary: Rules 1 and 2 of the queue."""

from dataclasses import dataclass, field
from enum import Enum, auto

from ...values.outcome import Result
from ...values.update import Key, Promise, Update

DROPPED = -1  # the epoch of a share in whose place there are others


class Health(Enum):
    """How a zone is, and so which lane serves it."""

    NEW = auto()  # it has not answered yet
    WELL = auto()
    ILL = auto()
    SILENT = auto()


@dataclass(eq=False, slots=True)
class Zone:
    """One zone as the queue sees it."""

    name: str
    health: Health = Health.NEW
    pause: float = 0.0  # seconds, the last one
    not_before: float = 0.0  # event loop time of the next try
    waiting: int = 0  # shares
    answered: float = 0.0  # event loop time, when it worked last
    trouble: str = ""  # what was last in the way


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way to the primary."""

    update: Update
    ask_only: bool
    waiters: list[tuple[float, Promise]]  # each with its deadline (event loop time)
    blocked: set[Key] = field(default_factory=set)  # record sets for which an earlier ticket is not settled yet
    shares: "list[Share]" = field(default_factory=list)
    trouble: str = ""  # what was last in the way
    written: bool = False  # the primary may have it already, by our hand
    moved: bool = False  # its zone turned out to be served elsewhere once
    is_open: bool = True  # it can be joined: nothing of it was sent
    is_over: bool = False


@dataclass(eq=False, slots=True)
class Share:
    """What one ticket wants of one zone."""

    ticket: Ticket
    zone: Zone
    rrsets: Update
    epoch: int  # of the queue, when the zone was found
    result: Result | None = None
    under_way: bool = False  # in a message, or on its way there
    looked: bool = False  # it was looked at again after a write that a late one threatens

    def is_waiting(self) -> bool:
        """Whether it is neither settled nor under way."""
        return not self.result and not self.under_way
