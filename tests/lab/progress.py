"""How far something is that takes minutes: one line at the end of a terminal, and nothing where there is none."""

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

TICK = 1.0  # seconds
CLEAR = "\r\x1b[K"  # ECMA-48: to the start of the line, and erase what stands there


class Progress:
    """Shows what is done now. Lines that shall stay go through `say`."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._is_shown = stream.isatty()
        self._begin = time.monotonic()
        self._what, self._share = "begins", ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        if self._is_shown:
            self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        if self._is_shown:
            self._ticker.join()
            self._show("")

    def now(self, what: str) -> None:
        """This is done from now on."""
        self._what, self._share = what, ""

    def at(self, done: float, of: float) -> None:
        """So much of it is done."""
        self._share = f"  {min(done / of, 1):.0%}"

    def say(self, line: str) -> None:
        """A line that stays, on stdout."""
        with self._lock:
            if self._is_shown:
                self._stream.write(CLEAR)
                self._stream.flush()
            print(line, flush=True)

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
            self._show(f"{minutes}:{seconds:02}  {self._what}{self._share}")

    def _show(self, text: str) -> None:
        with self._lock:
            self._stream.write(CLEAR + text)
            self._stream.flush()
