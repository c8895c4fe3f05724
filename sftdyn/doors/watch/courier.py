"""Brings messages to one of those whom the conf names: one for all of a minute, again and again where it must be.

Rule. Nothing waits for a courier. What he holds is bounded, and what it does not take is counted, and told.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

from ...values.targets import Target
from .events import DAY, USUAL, Event

log = logging.getLogger(__name__)

MINUTE = 60.0  # seconds that a message gathers events
MOST = 10_000  # events that wait
LONGEST = 3600.0  # seconds between two tries, at most

Deliver = Callable[[list[Event], int], Awaitable[None]]  # raises Undelivered


class Undelivered(Exception):
    """The message did not arrive; why, without any secret."""


class Courier:
    """Takes the events that `target` wants, and delivers them; made inside a running event loop."""

    def __init__(self, target: Target, deliver: Deliver, minute: float = MINUTE) -> None:
        self._target = target
        self._deliver = deliver
        self._minute = minute
        self._waiting: deque[tuple[float, Event]] = deque()
        self._lost = 0
        self._task: asyncio.Task[None] | None = None

    def take(self, event: Event) -> None:
        """Deliver it, soon, if it is wanted."""
        if not self._wants(event):
            return
        if len(self._waiting) >= MOST:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append((asyncio.get_running_loop().time(), event))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._go())

    def close(self) -> None:
        """Deliver no more."""
        if self._task:
            self._task.cancel()

    def _wants(self, event: Event) -> bool:
        wishes = self._target.wishes
        if event.kind not in (wishes.events or USUAL):
            return False
        return not wishes.names or any(fnmatchcase(name, shape) for name in event.names for shape in wishes.names)

    async def _go(self) -> None:
        pause = self._minute
        while self._waiting:
            await asyncio.sleep(pause)
            self._drop_the_old()
            held, lost = [event for _, event in self._waiting], self._lost
            if not held:
                break
            try:
                await self._deliver(held, lost)
            except Undelivered as problem:
                if pause == self._minute:
                    log.warning("notify: %s: %s; it is tried again for a day", self._target, problem)
                pause = min(2 * pause, max(LONGEST, self._minute))
                continue
            for _ in held[: len(self._waiting)]:
                self._waiting.popleft()
            self._lost -= lost
            pause = self._minute

    def _drop_the_old(self) -> None:
        """What could not be told for a day is lost."""
        oldest = asyncio.get_running_loop().time() - DAY
        while self._waiting and self._waiting[0][0] < oldest:
            self._waiting.popleft()
            self._lost += 1
