"""The order of arrival, which hooks that take their time could change."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..values.update import Key


class Arrivals:
    """Keeps the order of arrival where hooks take their time: an older request must not undo a newer one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._inside: set[int] = set()
        self._newest: dict[Key, tuple[int, object]] = {}

    @contextmanager
    def enter(self) -> Iterator[int]:
        """A number for a request that goes through the hooks."""
        number = next(self._numbers)
        self._inside.add(number)
        try:
            yield number
        finally:
            self._inside.discard(number)
            if not self._inside:
                self._newest.clear()

    def overtaken(self, number: int, wanted: Mapping[Key, object]) -> bool:
        """Whether a later arrival was here first, and wants something else; if not, this one was here."""
        known = {key: self._newest[key] for key in wanted if key in self._newest}
        newer = {key: want for key, (other, want) in known.items() if other > number}
        if any(want != wanted[key] for key, want in newer.items()):
            return True
        self._newest.update({key: (number, want) for key, want in wanted.items() if key not in newer})
        return False
