"""What is kept of exchanges with the places where names live: how long they took, how large they were, the last one."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from time import monotonic, time
from typing import NamedTuple

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UPDATES = (1.0, 4.0, 16.0, 64.0, 256.0)


class Histogram:
    """How many values were at most so large, for each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)  # up to each bound from the one before; the last one: beyond all
        self.total = 0.0

    def count(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe(self, values: Collection[float]) -> None:
        """Count these, many at once."""
        ordered = sorted(values)
        before = 0
        for number, bound in enumerate(self.bounds):
            until = bisect_right(ordered, bound)
            self.counts[number] += until - before
            before = until
        self.counts[-1] += len(ordered) - before
        self.total += sum(ordered)

    def add(self, other: "Histogram") -> None:
        """Count what another one, with the same bounds, has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Exchanges:
    """The exchanges of one provider. Nothing is kept before somebody wants it (`are_kept`)."""

    def __init__(self) -> None:
        self.are_kept = False
        self.answered: bool | None = None  # whether the last one was; None: there was none
        self.silent_since: float | None = None  # since when none was answered, by the monotonic clock
        self.last = 0.0  # its time, in seconds since 1970
        self.seconds = Histogram(SECONDS)
        self.updates = Histogram(UPDATES)

    def note(self, answered: bool, seconds: float | None = None, updates: int = 1) -> None:
        """One exchange has ended, and carried so many updates; without `seconds` it carried none yet."""
        if self.are_kept:
            self.answered, self.last = answered, time()
            if answered:
                self.silent_since = None
            elif self.silent_since is None:
                self.silent_since = monotonic()
            if seconds is not None:
                self.seconds.count(seconds)
                self.updates.count(updates)


class Vitals(NamedTuple):
    """How a provider is."""

    exchanges: Exchanges
    waiting: int  # updates that are not settled
    mended: int = 0  # late writes that were undone, since the start
