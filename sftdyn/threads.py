"""Runs the owner's code, the conf and its hooks, where it can delay nothing but itself, and may never come back."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

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
