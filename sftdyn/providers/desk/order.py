"""The order of arrival, by record set: what a newer request wants must never be overwritten by an older one."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from ...values.update import Key, RRset, Update


class Ordered(Protocol):
    """What stands in order: one update on its way."""

    @property
    def update(self) -> Update: ...

    @property
    def blocked(self) -> set[Key]:
        """Record sets for which an earlier one is not settled yet."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to do for it any more."""
        ...


Ticket = TypeVar("Ticket", bound=Ordered)


class Order(Generic[Ticket]):
    """For each record set, those who want something of it, in the order of their arrival.

    `place` is called with each ticket that has nothing in front of it any more for some record set.
    """

    def __init__(self, place: Callable[[Ticket], None]) -> None:
        self._place = place
        self._tickets: dict[Key, list[Ticket]] = {}
        self._ready: deque[Ticket] = deque()  # to be placed
        self._is_placing = False

    def last(self, update: Update) -> Ticket | None:
        """The ticket that is the last one for each record set of an update, if it is one and the same."""
        lines = [self._tickets.get(rrset.key) for rrset in update]
        first = lines[0]
        return first[-1] if first and all(line and line[-1] is first[-1] for line in lines) else None

    def lasts(self) -> Iterable[tuple[Key, Ticket]]:
        """Each record set that is not settled, with the last ticket for it."""
        return ((key, tickets[-1]) for key, tickets in self._tickets.items())

    def has(self, key: Key) -> bool:
        """Whether somebody wants something of this record set."""
        return key in self._tickets

    def enter(self, ticket: Ticket) -> None:
        """Behind all others that share a record set."""
        for rrset in ticket.update:
            tickets = self._tickets.setdefault(rrset.key, [])
            if tickets:
                ticket.blocked.add(rrset.key)
            tickets.append(ticket)

    def leave(self, ticket: Ticket, rrsets: Iterable[RRset]) -> None:
        """These are settled. Place what they stood in front of; one after the other, as that may settle more."""
        self._ready.extend(self._behind(ticket, rrsets))
        if self._is_placing:
            return
        self._is_placing = True
        try:
            while self._ready:
                if not (ready := self._ready.popleft()).is_over:
                    self._place(ready)
        finally:
            self._is_placing = False

    def _behind(self, ticket: Ticket, rrsets: Iterable[RRset]) -> list[Ticket]:
        ready: list[Ticket] = []
        for rrset in rrsets:
            key = rrset.key
            tickets = self._tickets.get(key)
            if tickets is None or ticket not in tickets:
                continue
            was_first = tickets[0] is ticket
            tickets.remove(ticket)
            if not tickets:
                del self._tickets[key]
            elif was_first:
                tickets[0].blocked.discard(key)
                ready.append(tickets[0])
        return ready
