"""The order of arrival, which hooks that take their time could change."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..values.update import Key

MANY = 10_000  # record sets that are remembered before those are forgotten that no older request can want


class Arrivals:
    """Keeps the order of arrival where hooks take their time: an older request must not undo a newer one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._inside: dict[int, None] = {}  # the oldest first
        self._newest: dict[Key, tuple[int, object]] = {}
        self._many = MANY

    @contextmanager
    def enter(self) -> Iterator[int]:
        """A number for a request that goes through the hooks."""
        number = next(self._numbers)
        self._inside[number] = None
        try:
            yield number
        finally:
            del self._inside[number]
            if not self._inside:
                self._newest.clear()

    def overtaken(self, number: int, wanted: Mapping[Key, object]) -> bool:
        """Whether a later arrival was here first, and wants something else; if not, this one was here."""
        known = {key: self._newest[key] for key in wanted if key in self._newest}
        newer = {key: want for key, (other, want) in known.items() if other > number}
        if any(want != wanted[key] for key, want in newer.items()):
            return True
        self._newest.update({key: (number, want) for key, want in wanted.items() if key not in newer})
        self._forget_old()
        return False

    def _forget_old(self) -> None:
        """Rarely: the table must double before it is looked through again."""
        if len(self._newest) > self._many:
            oldest = next(iter(self._inside), 0)
            self._newest = {key: seen for key, seen in self._newest.items() if seen[0] > oldest}
            self._many = max(MANY, 2 * len(self._newest))
