"""How it is left: what became of a request, or of own addresses, is logged, counted and noted.

Rule 1. Whatever ends, ends in `leave`, once: there is no other place where any of this happens.

Rule 2. One request writes a few lines at most, however many host names it has.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..values.mistake import Mistake
from ..values.outcome import Outcome, Result, worst
from ..values.update import Update
from ..web.request import Request
from .hooks import HookFailed
from .log import LogBook
from .status.seen import Journal

Subject: TypeAlias = Update | Sequence[str]  # record sets or host names, for the log
LINES = 8  # of the log, about one request; one more sums up the others


@dataclass(slots=True, eq=False)
class Part:
    """What became of some host names, or of the whole request."""

    result: Result
    subject: Subject = ()
    update: Update = ()


class Notes:
    """Takes note of everything that ends. `count` is told each result, and what it is about.

    The `journal` is for the status listener; None: there is none. In the log, `kind` stands in front of who it was.
    """

    def __init__(self, count: Callable[[Result, Subject], None], journal: Journal | None, kind: str = "") -> None:
        self._count = count
        self._journal = journal
        self._kind = kind
        self._book = LogBook()
        self.keeps_times = journal is not None  # whether it matters when a request began

    def leave(
        self, door: str, parts: Sequence[Part], who: str, request: Request | None = None, began: float | None = None
    ) -> None:
        """Take note of what became of a request at a door, from `who`, that came at `began`: seconds since 1970."""
        distinct = list(dict.fromkeys(parts)) if len(parts) > 1 else parts
        if self._journal:
            self._journal.note(door, distinct, who, request, began)
        who = self._kind + who
        for number, part in enumerate(distinct):
            self._count(part.result, part.subject)
            if number < LINES:
                self._book.write(part.result, part.subject, who)
        if len(distinct) > LINES:
            rest = worst(part.result for part in distinct[LINES:])
            self._book.write(rest, [f"{len(distinct) - LINES} more host names"], who)

    def remark(self, text: str) -> None:
        """Warn of something that is true of many requests, once an hour."""
        self._book.remark(text)


def failure(error: Exception) -> Result:
    """What an exception on the way means. The text of a defect's could hold anything, so it is not told."""
    if isinstance(error, Mistake):
        return Result(Outcome.BADADDRESS, str(error))
    if isinstance(error, HookFailed):
        return Result(Outcome.HOOK, str(error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Result(Outcome.INTERNAL, f"{type(error).__name__} at {place.filename}:{place.lineno}")
