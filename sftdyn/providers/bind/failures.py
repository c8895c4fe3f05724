"""Whose fault is it that a primary fails to make a change (SERVFAIL), though it answers for the zone? Pure.

Rule 1. Halved until it stands alone, an update that fails is to blame itself: most likely it meets a limit.

Rule 2. If another one of the zone failed alone within the minute, and nothing was changed there since, the zone is to
blame: its journal cannot be written, or the keys of its signatures are missing. Then nobody is suspected.
"""

from collections.abc import Collection

REMEMBERED = 60.0  # seconds
BLAMED = 0.5  # seconds in which nothing there is halved
MANY = 1000  # zones


class Failures:
    """What failed alone, shared by all dialogues with one primary."""

    def __init__(self) -> None:
        self._alone: dict[str, tuple[Collection[str], float]] = {}  # zone → names, until
        self._blamed: dict[str, float] = {}  # zone → until

    def note(self, zone: str, names: Collection[str], now: float) -> bool:
        """These failed alone. Whether the zone is to blame."""
        others, until = self._alone.get(zone, (names, 0.0))
        if now < until and set(names).isdisjoint(others):
            self._blamed[zone] = now + BLAMED
            return True
        if len(self._alone) >= MANY:
            self._alone.clear()
            self._blamed.clear()
        self._alone[zone] = names, now + REMEMBERED
        return False

    def is_blamed(self, zone: str, now: float) -> bool:
        """Whether the zone was to blame a moment ago, and nothing was changed there since."""
        return now < self._blamed.get(zone, 0.0)

    def forget(self, zone: str) -> None:
        """Something was changed there."""
        self._alone.pop(zone, None)
        self._blamed.pop(zone, None)
