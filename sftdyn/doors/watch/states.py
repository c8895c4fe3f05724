"""How a host name is: the one place that decides it. Pure.

The first that is true: silent, if it was not heard from for longer than expected; failing, if its last outcome was a
failure; unheard, if nobody ever called; well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from .seen import Row


class State(Enum):
    """How a host name is. In the order in which they are shown."""

    FAILING = "failing"
    SILENT = "silent"
    WELL = "well"
    UNHEARD = "unheard"


UNWELL = frozenset({State.FAILING, State.SILENT})


@dataclass(frozen=True, slots=True)
class Expected:
    """Within how many seconds each name should be heard from."""

    default: float | None = None  # of names that are not in the conf, as get_host knows them; None: whenever
    names: Mapping[str, float] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)  # name → when the conf first had it

    def moved(self, by: float) -> "Expected":
        """The same, its times so many seconds later."""
        return replace(self, since={name: moment + by for name, moment in self.since.items()}) if by else self

    def is_silent(self, name: str, rows: Sequence[Row], now: float) -> bool:
        """Whether it should have been heard from. What was never heard has that time from when it was first known."""
        expect = self.names.get(name, None if name in self.since else self.default)
        if expect is None or _is_removed(rows):
            return False
        last = max((row.seen for row in rows), default=self.since.get(name, now))
        return now - last > expect


def state_of(name: str, rows: Sequence[Row], expected: Expected, now: float) -> State:
    """The state of a name with these rows."""
    if expected.is_silent(name, rows, now):
        return State.SILENT
    if any(row.failures for row in rows):
        return State.FAILING
    return State.WELL if rows else State.UNHEARD


def failing_since(rows: Sequence[Row]) -> float | None:
    """The first of the failures that have not ended; None: nothing fails."""
    return min((row.first_failed or row.seen for row in rows if row.failures), default=None)


def _is_removed(rows: Sequence[Row]) -> bool:
    """Whether its owner took it offline."""
    known = [row.addresses for row in rows if row.addresses is not None]
    return bool(known) and not any(known)
