"""How long one step of an event loop computes, or one call: what a peer chooses must not hold up the others.

The time is that of this thread on a processor, so that a busy machine makes no step look long.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONGEST = 0.05  # seconds
RUN = "_run"  # the method of Handle by which the event loop makes each step of a task, and calls all else


class TooLong(AssertionError):
    """Somebody else had to wait for this."""


class Watch:
    """The longest step that was seen."""

    longest = 0.0  # seconds
    what = ""

    def timed(self, what: object, call: Callable[[], Any]) -> Any:
        """What the call returns."""
        begun = time.thread_time()
        try:
            return call()
        finally:
            took = time.thread_time() - begun
            if took > self.longest:
                self.longest, self.what = took, str(what)


@contextmanager
def watching(limit: float = LONGEST) -> Iterator[Watch]:
    """Raises TooLong at the end, if an event loop of this thread made a step that took longer than `limit`, in seconds.

    Also a call that was `timed` by what is given.
    """
    watch = Watch()
    run: Callable[[Any], None] = getattr(asyncio.Handle, RUN)

    def timed(handle: asyncio.Handle) -> None:
        watch.timed(handle, lambda: run(handle))

    gc.collect()
    gc.freeze()  # what the tests hold is not the loop's to look through
    setattr(asyncio.Handle, RUN, timed)
    try:
        yield watch
    finally:
        setattr(asyncio.Handle, RUN, run)
        gc.unfreeze()
    if watch.longest > limit:
        raise TooLong(f"{watch.longest * 1000:.0f} ms: {watch.what[:500]}")
