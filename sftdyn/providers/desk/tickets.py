"""What waits at the desk: tickets, their shares, and the lines in which these stand."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...values.outcome import Outcome, Result
from ...values.update import Item, Key, Promise
from .backend import Health


class Account(NamedTuple):
    """With what a place is talked to."""

    spec: Any  # of the conf
    secret: str | None = None  # of the request, where it is the credential
    scripts: bool = False  # for lines of the conf


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
    reloads: int = 0  # of the conf
    is_busy: bool = False  # there is an exchange
    lines: "dict[tuple[bool, bool], Line]" = field(default_factory=dict)  # ask_only, suspects


@dataclass(eq=False, slots=True)
class Turn:
    """A place in the order: of a ticket, or of what must happen before one."""

    keys: Sequence[Key]
    blocked: set[Key] = field(default_factory=set)  # for which an earlier one is not settled yet
    comes: Callable[[], None] | None = None  # called when nothing is in front of it any more
    is_over: bool = False


@dataclass(eq=False, slots=True)
class Ticket:
    """One update on its way."""

    update: Sequence[Item]
    keys: Sequence[Key]
    ask_only: bool
    account: Account = field(repr=False)
    arrived: float  # event loop time
    waiters: list[tuple[float, Promise]]  # each with its deadline (event loop time)
    blocked: set[Key] = field(default_factory=set)  # record sets for which an earlier ticket is not settled yet
    shares: "list[Share]" = field(default_factory=list)
    trouble: str = ""  # what was last in the way
    session: Any = None  # in which it is counted
    moved: frozenset[str] = frozenset()  # zones of it that turned out to be elsewhere
    is_open: bool = True  # it can be joined: nothing of it was sent
    is_over: bool = False

    def wants(self, update: Sequence[Item], ask_only: bool, account: Account) -> bool:
        """Whether it is just that."""
        return self.ask_only is ask_only and self.update == update and self.account == account

    def results(self, otherwise: "Callable[[Share | None], Result]") -> list[Result]:
        """What became of each item; `otherwise` says it of what is not settled.

        A name of which nothing is wanted but what is left out cannot be published.
        """
        if len(self.shares) == 1 and len(self.shares[0].items) == len(self.update) and not self.shares[0].left_out:
            [share] = self.shares
            return [share.result or otherwise(share)] * len(self.update)
        shares = {item.key: share for share in self.shares for item in share.items}
        parts = [shares.get(key) for key in self.keys]
        results = [(share and share.result) or otherwise(share) for share in parts]
        left_out = {key: reason for share in self.shares for key, reason in (share.left_out or {}).items()}
        remain = {key[0] for key in self.keys if key not in left_out}
        return [
            _left_out(left_out[key], key[0] in remain) if key in left_out else result
            for key, result in zip(self.keys, results, strict=True)
        ]


@dataclass(eq=False, slots=True)
class Share:
    """What one ticket wants of one zone."""

    ticket: Ticket
    zone: Zone
    items: Sequence[Item]
    result: Result | None = None
    under_way: bool = False  # in an exchange
    written: bool = False  # the place may have it already, by our hand
    looked: bool = False  # it was looked at again after a write that a late one threatens
    is_dropped: bool = False  # there are others in its place
    left_out: Mapping[Key, str] | None = None  # what the owner does not want there, and why


@dataclass(eq=False, slots=True)
class Line:
    """Shares of one zone that are ready, and of one kind."""

    zone: Zone
    ask_only: bool
    suspects: bool
    lane: Any = None  # that serves it
    shares: deque[Share] = field(default_factory=deque)

    def health(self) -> Health:
        """Which lane serves it."""
        health = self.zone.health
        return Health.ILL if health is Health.NEW or (self.suspects and health is Health.WELL) else health


def _left_out(reason: str, is_not_all: bool) -> Result:
    return Result(Outcome.UPTODATE if is_not_all else Outcome.UNPUBLISHABLE, reason, is_left_out=is_not_all)
