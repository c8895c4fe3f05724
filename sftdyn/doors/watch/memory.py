"""What was seen, in a file, so that it outlives a restart. It is for showing only: nothing is published by it.
Values of challenges stand there, too, so that they go in time (see `shelf`).

JSON, a line for each row, times in seconds since 1970. It is written beside the old one and takes its place, so there
is always a whole one. Writing takes turns with the event loop: a thread that computes would make it wait for Python's
lock, so it pauses after a few rows, and takes each row at once, as another thread goes on changing it.
"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from ...values.outcome import Outcome
from .seen import Row
from .shelf import Left

log = logging.getLogger(__name__)

VERSION = 1
AT_ONCE = 40  # rows between two pauses: half a millisecond
PAUSE = 0.001  # seconds
FIELDS = (
    *("place", "seen", "outcome", "addresses", "changed", "worked", "failures", "first_failed", "failed"),
    *("reason", "who", "program", "door", "history"),
)
TEXTS = ("reason", "who", "program", "door")
TIMES = ("seen", "changed", "worked", "first_failed", "failed")
snapshot: Callable[[Row], tuple[Any, ...]] = attrgetter(*FIELDS)


class Unusable(Exception):
    """The file cannot be read; the message says why."""


class Memory:
    """The file at `path`; of several that run with one, the first has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None  # a descriptor
        self._is_mine = True
        self._has_warned = False
        self._turn = threading.Lock()  # at the end, a write may still be under way

    def open(self, now: float) -> tuple[list[Row], Mapping[str, Any]]:
        """The rows, and what else was written; none of their times is after `now`. Nothing where there is no file."""
        if not self._take_lock():
            return [], {}
        try:
            return read(self.path.read_bytes(), now)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("state: cannot read %s: %s; what was seen begins anew", self.path, error.strerror)
        except Unusable as problem:
            self._set_aside(problem)
        return [], {}

    def write(
        self,
        rows: Sequence[Row],
        others: Mapping[str, Any],
        jump: float,
        pause: float = PAUSE,
        challenges: Callable[[], Iterable[Left]] = tuple,
    ) -> bool:
        """Put this in place of what the file says; all times of rows so many seconds later. Whether that is done.

        For a thread; raises nothing.
        """
        if not self._is_mine:
            return False
        try:
            lines = (_as_json(row, jump) for row in rows)
            with self._turn:
                self._write({"version": VERSION, "written": int(time.time()), **others}, challenges(), lines, pause)
            self._has_warned = False
            return True
        except OSError as error:
            if not self._has_warned:
                log.warning(
                    "state: cannot write %s: %s; what was seen is in memory only", self.path, error.strerror or error
                )
            self._has_warned = True
            return False

    def close(self) -> None:
        """Leave the file to others."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, head: Mapping[str, Any], challenges: Iterable[Left], rows: Iterable[Any], pause: float) -> None:
        """Raises OSError."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        with open(fresh, "w", opener=_private) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(head)[:-1])
            for name, values in (("challenges", challenges), ("rows", rows)):
                file.write(f', "{name}": [')
                for text in _as_lines(values, pause):
                    file.write(text)
                file.write("\n]")
            file.write("}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)

    def _take_lock(self) -> bool:
        """Whether nobody else has the file; where that cannot be found out, nobody has."""
        with suppress(OSError):
            self._lock = _private(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        if self._lock is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.warning("state: another sftdyn has %s; what is seen here is in memory only", self.path)
                self._is_mine = False
            except OSError:
                pass  # a file system without locks
        return self._is_mine

    def _set_aside(self, problem: Unusable) -> None:
        aside = self.path.with_name(f"{self.path.name}.unusable")
        try:
            os.replace(self.path, aside)
            log.warning("state: %s: %s; it is %s now, and what was seen begins anew", self.path, problem, aside)
        except OSError:
            log.warning("state: %s: %s; what was seen begins anew", self.path, problem)


def read(octets: bytes, now: float) -> tuple[list[Row], Mapping[str, Any]]:
    """The rows of a file, and all that it says. Raises Unusable."""
    try:
        said = json.loads(octets)
        version = said["version"]
        if isinstance(version, int) and version > VERSION:
            raise Unusable("a newer sftdyn has written it")
        return [_row(values, now) for values in said["rows"]], said
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unusable("it is broken") from None


def _as_lines(values: Iterable[Any], pause: float) -> Iterator[str]:
    """A line for each, some at once, with pauses between."""
    start, left = "\n", iter(values)
    while some := list(islice(left, AT_ONCE)):
        yield start + ",\n".join(map(json.dumps, some))
        start = ",\n"
        time.sleep(pause)


def _as_json(row: Row, jump: float) -> Sequence[Any]:
    values = dict(zip(FIELDS, snapshot(row), strict=True))
    values["outcome"] = values["outcome"].name
    for name in TIMES if jump else ():
        values[name] = values[name] and values[name] + jump
    values["history"] = [(moment + jump, addresses) for moment, addresses in values["history"]]
    return list(values.values())


def _row(values: Sequence[Any], now: float) -> Row:
    """What `_as_json` was made of. Raises TypeError, ValueError, KeyError."""
    said = dict(zip(FIELDS, values, strict=True))
    name, kind = map(str, said["place"])
    times = {key: None if said[key] is None else min(float(said[key]), now) for key in TIMES}
    history = tuple((min(float(moment), now), tuple(map(str, found))) for moment, found in said["history"])
    return Row(
        place=(name, kind),  # type: ignore[arg-type]
        outcome=Outcome[said["outcome"]],
        addresses=None if said["addresses"] is None else tuple(map(str, said["addresses"])),
        failures=int(said["failures"]),
        history=history,
        **times,  # type: ignore[arg-type]
        **{key: str(said[key]) for key in TEXTS},  # type: ignore[arg-type]
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
