"""The order of arrival, which hooks and proofs that take their time could change."""

import itertools
from collections.abc import Iterable, Mapping

from ..values.update import Key

MANY = 10_000  # record sets that are remembered before those are forgotten that no older request can want


class Arrivals:
    """Keeps the order of arrival where requests take their time: an older one must not undo a newer one."""

    def __init__(self) -> None:
        self.inside: dict[int, None] = {}  # the oldest first
        self._numbers = itertools.count(1)
        self._newest: dict[Key, tuple[int, object]] = {}
        self._many = MANY

    def arrive(self) -> int:
        """The number of a request that goes through hooks or a proof."""
        number = next(self._numbers)
        self.inside[number] = None
        return number

    def leave(self, number: int) -> None:
        """The request with this number is answered."""
        del self.inside[number]
        if not self.inside:
            self._newest.clear()

    def overtaken(self, number: int, wanted: Mapping[Key, object]) -> bool:
        """Whether a later arrival was here first, and wants something else; if not, this one was here.

        Without a `number`, 0, it has arrived just now.
        """
        number = number or next(self._numbers)
        known = {key: self._newest[key] for key in wanted if key in self._newest}
        newer = {key: want for key, (other, want) in known.items() if other > number}
        if any(want != wanted[key] for key, want in newer.items()):
            return True
        self._newest.update({key: (number, want) for key, want in wanted.items() if key not in newer})
        self._forget_old()
        return False

    def newest(self, keys: Iterable[Key]) -> list[tuple[int, object] | None]:
        """What was here last for each of these record sets."""
        return [self._newest.get(key) for key in keys]

    def _forget_old(self) -> None:
        """Rarely: the table must double before it is looked through again."""
        if len(self._newest) > self._many:
            oldest = next(iter(self.inside), 0)
            self._newest = {key: seen for key, seen in self._newest.items() if seen[0] > oldest}
            self._many = max(MANY, 2 * len(self._newest))
