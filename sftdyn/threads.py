"""Runs the owner's code, the conf and its hooks, where it can delay nothing but itself, and may never come back."""

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from .places import Places

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised, as a value: some exceptions do not pass from a thread to the event loop."""

    error: BaseException


Ended: TypeAlias = Returned | Raised


def in_thread(function: Callable[..., Any], *arguments: object, late: Callable[[], None]) -> "asyncio.Future[Ended]":
    """How a call in a daemon thread of its own ends; `late` is called if it does when nobody waits any more.

    Nothing can end a thread, but a daemon's does not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ended] = loop.create_future()

    def deliver(ended: Ended) -> None:
        if future.done():
            late()
        else:
            future.set_result(ended)

    def run() -> None:
        try:
            ended: Ended = Returned(function(*arguments))
        except BaseException as error:
            ended = Raised(error)
        try:
            loop.call_soon_threadsafe(deliver, ended)
        except RuntimeError:
            pass  # the service has ended meanwhile

    threading.Thread(target=run, name="conf", daemon=True).start()
    return future


class Hanging(Exception):
    """So many calls hang that there are no more for this caller; how many there are."""

    def __init__(self, calls: int) -> None:
        super().__init__(f"{calls} calls hang")
        self.calls = calls


class Calls:
    """Calls functions of the conf, a few at once, fairly for those `who` want it; made inside a running event loop.

    Nothing can end a thread, so a call that is past its time is given up: its place is free for others, but it is one
    of those that hang, of which there may be so many, until it comes back after all. The time is that of the call,
    without what it has waited for its place.
    """

    def __init__(self, at_once: int, hanging: int) -> None:
        self._places = Places(at_once)
        self._lost = Places(hanging)
        self._given_up: set[asyncio.Future[Ended]] = set()

    async def call(
        self, who: Hashable, seconds: float, function: Callable[..., Any], *arguments: object
    ) -> "asyncio.Future[Ended]":
        """A call that has begun, when its turn has come; it is given up `seconds` later. Raises Hanging."""
        if not self._lost.are_free(who):
            raise Hanging(len(self._given_up))
        await self._places.take(who)
        try:
            call = in_thread(function, *arguments, late=_nobody_listens)
        except RuntimeError:  # no more threads
            self._places.leave(who)
            raise
        end = asyncio.get_running_loop().call_later(seconds, self._give_up, who, call)
        call.add_done_callback(lambda _: self._came_back(who, call, end))
        return call

    def _give_up(self, who: Hashable, call: "asyncio.Future[Ended]") -> None:
        if not call.done():
            self._given_up.add(call)
            self._lost.occupy(who)
            self._places.leave(who)

    def _came_back(self, who: Hashable, call: "asyncio.Future[Ended]", end: asyncio.TimerHandle) -> None:
        end.cancel()
        if call in self._given_up:
            self._given_up.remove(call)
            self._lost.leave(who)
        else:
            self._places.leave(who)


def _nobody_listens() -> None:
    pass


def error_line(error: BaseException, path: Path) -> int | None:
    """The last line of the file at `path` that the exception came through."""
    line, step = None, error.__traceback__
    while step:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    return line


def raised_at(name: str, error: BaseException, path: Path) -> str:
    """Where in the file at `path` the function `name` raised what: never the text, which could hold a key."""
    line = error_line(error, path)
    place = f"{path}:{line}" if line else str(path)
    return f"{place}: {name} raised {type(error).__name__}"


def log_only_the_type(arguments: threading.ExceptHookArgs) -> None:
    """For threading.excepthook: what a thread of the conf raised could quote the conf, and so a key."""
    log.error("a thread of the conf ended with %s", arguments.exc_type.__name__)
