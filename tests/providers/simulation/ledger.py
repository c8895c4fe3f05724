"""What each record set was, when, and by whose hand: what the invariants are held against."""

from bisect import bisect_right
from enum import Enum, auto
from typing import NamedTuple

from sftdyn.values.update import Key

Value = tuple[str, ...]


class Cause(Enum):
    """By whose hand something changed."""

    OURS = auto()  # by a message that was carried out while its sender waited
    LATE = auto()  # by one whose sender had given up
    WOKEN = auto()  # by one that lay in the place's sockets while it slept
    STRANGER = auto()


OF_OURS = frozenset({Cause.OURS, Cause.LATE, Cause.WOKEN})
GIVEN_UP = frozenset({Cause.LATE, Cause.WOKEN})


class Change(NamedTuple):
    """A record set became this."""

    at: float  # virtual seconds
    key: Key
    value: Value
    cause: Cause
    message: int  # the same for all that one message changed

    def __str__(self) -> str:
        return f"{self.at:.3f} {' '.join(self.key)} = {' '.join(self.value) or 'nothing'} ({self.cause.name.lower()})"


class Ledger:
    """All changes at one place, oldest first."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._of: dict[Key, list[Change]] = {}

    def note(self, change: Change) -> None:
        """Something may have changed."""
        if self.value(change.key) != change.value:
            self.changes.append(change)
            self._of.setdefault(change.key, []).append(change)

    def of(self, key: Key) -> list[Change]:
        """All changes of one record set."""
        return self._of.get(key, [])

    def value(self, key: Key, at: float | None = None) -> Value:
        """What it is, or was."""
        changes = self._of.get(key, [])
        number = len(changes) if at is None else bisect_right(changes, at, key=lambda change: change.at)
        return changes[number - 1].value if number else ()

    def held(self, key: Key, value: Value, since: float, until: float) -> bool:
        """Whether it was so at some instant between these two."""
        during = (change for change in self.of(key) if since <= change.at <= until)
        before = next((one.value for one in reversed(self.of(key)) if one.at < since), ())
        return value == before or any(change.value == value for change in during)
