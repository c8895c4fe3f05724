"""Lines of shares, and the lanes that serve them in turn: Rules 3 to 5 of the queue."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...values.update import RRset
from .dialogue import BATCH, Dialogue, Sight
from .nsupdate import Child, Route
from .tickets import Health, Share, Zone

MESSAGE_SIZE = 60_000  # octets; 65 535 are the limit of DNS over TCP


@dataclass(eq=False, slots=True)
class Line:
    """Shares of one zone that are ready, and of one kind."""

    zone: Zone
    ask_only: bool
    suspects: bool
    shares: deque[Share] = field(default_factory=deque)

    def health(self) -> Health:
        """Which lane serves it."""
        if self.zone.health is Health.NEW or (self.suspects and self.zone.health is Health.WELL):
            return Health.ILL
        return self.zone.health


class Lane:
    """A child, and the lines that it serves in turn."""

    def __init__(self, route: Route, sight: Sight) -> None:
        self.child = Child(route)
        self.dialogue = Dialogue(self.child, sight)
        self.lines: dict[Line, None] = {}  # the one that waits longest first
        self.wake = asyncio.Event()
        self.rests_until = 0.0  # event loop time; from suspects
        self.has_looked = False  # after late writes, since the last batch

    def add(self, line: Line) -> None:
        """Serve this line, too."""
        self.lines.setdefault(line)
        self.wake.set()

    def next_line(self, now: float) -> Line | None:
        """The line whose turn it is, if any; it goes to the end.

        Of silent zones, the one that worked last: where all were silent together, it is the likeliest to be back.
        """
        ready = (
            line
            for line in self.lines
            if line.zone.not_before <= now and not (line.suspects and self.rests_until > now)
        )
        line = next(ready, None)
        if line and line.zone.health is Health.SILENT:
            line = max((line, *ready), key=lambda line: line.zone.answered)
        if line:
            del self.lines[line]
            self.lines[line] = None
        return line

    def due(self) -> Iterator[float]:
        """When lines that have to wait are ready."""
        for line in self.lines:
            yield max(line.zone.not_before, self.rests_until if line.suspects else 0.0)

    def next_batch(self, line: Line, epoch: int) -> list[Share]:
        """The first shares of a line, as many as fit into one message; a suspect alone."""
        batch: list[Share] = []
        count = size = 0
        while line.shares:
            share = line.shares[0]
            if not share.ticket.is_over and share.epoch == epoch:
                count += len(share.rrsets)
                size += sum([wire_size(rrset, line.zone.name) for rrset in share.rrsets])
                if batch and (count > BATCH or size > MESSAGE_SIZE or line.suspects):
                    break
                share.under_way = True
                share.ticket.is_open = False
                batch.append(share)
            line.shares.popleft()
        if not line.shares:
            self.lines.pop(line, None)
        return batch


def wire_size(rrset: RRset, zone: str) -> int:
    """The most octets that a record set adds to a message: its guards, what is believed of it, its change.

    Behind the first 16 KiB, names can only be shortened by the zone's (RFC 1035, 4.1.4).
    """
    name = max(len(rrset.name) - len(zone), 0) + 3
    guards = 2 * (rrset.name.count(".") - zone.count("."))
    return (name + 10) * (4 + guards) + (name + 26) * 2 * max(1, len(rrset.addresses))
