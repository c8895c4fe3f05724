"""Calls the conf's `on_change` after a change: for each name in order, never twice at once, and nobody waits for it."""

import asyncio
import logging
from collections import deque
from pathlib import Path

from ...threads import Ended, Raised, in_thread, raised_at
from .events import Event

log = logging.getLogger(__name__)

AT_ONCE = 8  # names
MOST = 10_000  # changes that wait
SLOW = 10.0  # seconds after which a call counts as one that hangs,
MOST_HANGING = 64  # and threads that hang, beyond which others wait, too


class ChangeCalls:
    """The changes that `on_change` has not been told yet; made inside a running event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Event]] = {}
        self._count = 0
        self._hanging = 0
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: Event, function: object, path: Path) -> None:
        """Call `function`, of the conf at `path`, soon."""
        [name] = event.names
        if self._count >= MOST:
            log.error("on_change: %d changes wait already; one of %s is not told", MOST, name)
            return
        self._count += 1
        if name in self._waiting:
            self._waiting[name].append(event)
            return
        self._waiting[name] = deque([event])
        task = asyncio.get_running_loop().create_task(self._tell(name, function, path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, name: str, function: object, path: Path) -> None:
        waiting = self._waiting[name]
        async with self._places:
            while waiting:
                event = waiting.popleft()
                self._count -= 1
                assert callable(function)
                call = in_thread(function, name, event.type, event.old, event.new, late=lambda: None)
                ended = await self._patiently(call, name)
                if isinstance(ended, Raised):
                    log.error("%s", raised_at("on_change", ended.error, path))
        del self._waiting[name]

    async def _patiently(self, call: "asyncio.Future[Ended]", name: str) -> Ended:
        """Wait for it. One that hangs gives its place to the other names; its own wait, as it is never called twice."""
        done, _ = await asyncio.wait([call], timeout=SLOW)
        if not done:
            log.warning("on_change has not returned for %s, after %g s; other changes of it wait", name, SLOW)
            if self._hanging < MOST_HANGING:
                self._hanging += 1
                self._places.release()
                try:
                    return await call
                finally:
                    self._hanging -= 1
                    await self._places.acquire()
        return await call
