"""The order of arrival, by record set: what a newer request wants must never be overwritten by an older one. Pure."""

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from ..values.update import Key, RRset, Update


class Ordered(Protocol):
    """What stands in order: one update on its way."""

    @property
    def update(self) -> Update: ...

    @property
    def blocked(self) -> set[Key]:
        """Record sets for which an earlier one is not settled yet."""
        ...


Ticket = TypeVar("Ticket", bound=Ordered)


class Order(Generic[Ticket]):
    """For each record set, those who want something of it, in the order of their arrival."""

    def __init__(self) -> None:
        self._tickets: dict[Key, list[Ticket]] = {}

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

    def leave(self, ticket: Ticket, rrsets: Iterable[RRset]) -> list[Ticket]:
        """These are settled; the tickets that have nothing in front of them now for one of these."""
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
