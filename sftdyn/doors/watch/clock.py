"""Time for the watch: seconds since 1970 at the start, and from then on as they pass, whoever sets the clock."""

from collections.abc import Callable
from time import monotonic, time

JUMP = 1.0  # seconds; less is how a clock is kept right


class Clock:
    """Tells the time without jumps."""

    def __init__(self, wall: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._zero = wall() - steady()

    def __call__(self) -> float:
        """Now."""
        return self._zero + self._steady()

    def jump(self) -> float:
        """Seconds that the machine's clock has jumped since the start: to be added to what is shown."""
        jump = self._wall() - self()
        return jump if abs(jump) >= JUMP else 0.0
