"""An event loop whose time is virtual: where nothing is ready, it jumps to the next timer.

No I/O, no threads, no waiting: a run is a function of its seed and of the seed of Python's hashes.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

START = 1000.0  # seconds; any number but 0, which could be taken for "never"
STEPS = 200_000  # rounds of the loop in which time stands still: then it never goes on

Found = TypeVar("Found")


class Deadlock(Exception):
    """Somebody waits for what will never come."""


class Jump(selectors.SelectSelector):
    """Instead of waiting for sockets, which there are none, time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self._steps = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready, and no timer is set")
        self._steps = 0 if timeout > 0 else self._steps + 1
        if self._steps > STEPS:
            raise Deadlock("something is always ready: time stands still")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """What goes wrong in callbacks and in tasks that nobody awaits is kept in `problems`."""

    def __init__(self) -> None:
        self.jump = Jump()
        self.problems: list[str] = []
        super().__init__(self.jump)
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda _, context: self.problems.append(_said(context)))

    def time(self) -> float:
        return self.jump.now


def _said(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context.get('message')}: {type(error).__name__}: {error}" if error else str(context.get("message"))


def run(main: Coroutine[Any, Any, Found]) -> tuple[Found, list[str]]:
    """What comes of `main`, and what went wrong beside it. Raises Deadlock."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main)
        return result, loop.problems
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()
