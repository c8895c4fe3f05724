"""How it is left: what became of a request, or of own addresses, is logged, counted and noted.

Rule 1. Whatever ends, ends in `leave`, once: there is no other place where any of this happens.

Rule 2. What is said of a name is about that name. Each record set has a result of its own, and those of an answer that
share outcome and reason are one note: one line in the log, counted once. What the client hears is the worst of them.

Rule 3. One request writes a few lines at most, however many host names it has.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from ..values.mistake import Mistake
from ..values.outcome import Outcome, Result, worst
from ..values.update import RRset, Subject, Update
from ..web.request import Request
from .hooks import HookFailed, LookupFailed
from .log import LogBook
from .watch.seen import Journal, Note

LINES = 8  # of the log, about one request; one more sums up the others


@dataclass(slots=True, eq=False)
class Part:
    """What became of host names that are answered together, or of the whole request."""

    results: Sequence[Result]  # of each of `subject`, in its order; or one, that all share
    subject: Subject = ()
    name: str = ""  # the first of the host names, or the client's, where what it sent is no host name of it
    left_out: Sequence[tuple[RRset, str]] = ()  # what its owner does not want, and why

    @property
    def whole(self) -> Result:
        """The worst of the results: what the client hears."""
        return self.results[0] if len(self.results) == 1 else worst(self.results)

    def notes(self) -> list[Note]:
        """What there is to say of it."""
        first = self.results[0]
        if len(self.results) == 1 or all(result[:2] == first[:2] for result in self.results):
            return [Note(first, self.subject, self.name)]
        found: dict[tuple[Outcome, str], tuple[Result, list[Any]]] = {}
        for item, result in zip(self.subject, self.results, strict=True):
            found.setdefault(result[:2], (result, []))[1].append(item)
        return [Note(*note) for note in found.values()]


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
        notes: list[Note] = []
        left_out: list[tuple[RRset, str]] = []
        for part in dict.fromkeys(parts):  # a host name may be asked for twice
            notes += part.notes()
            left_out += part.left_out
        for rrset, reason in left_out:
            self._book.remark(f"{rrset.name.removesuffix('.')}: {rrset.type} is left out: {reason}", again=inf)
        if self._journal:
            self._journal.leave_out([rrset.key for rrset, _ in left_out])
            self._journal.note(door, notes, who, request, began)
        for number, (result, subject, name) in enumerate(notes):
            about = subject or ([name] if name else ())
            self._count(result, about)
            if number < LINES:
                self._book.write(result, about, self._kind + who)
        if rest := notes[LINES:]:
            self._book.write(worst(note.result for note in rest), [_summed_up(rest)], self._kind + who)

    def remark(self, text: str) -> None:
        """Warn of something that is true of many requests, once an hour."""
        self._book.remark(text)


def part_of(results: Sequence[Result], update: Update, name: str = "") -> Part:
    """What became of an update: of what its owner does not want, nothing is said but that."""
    if not [result for result in results if result.is_left_out]:
        return Part(results, update, name)
    pairs = list(zip(update, results, strict=True))
    kept = [pair for pair in pairs if not pair[1].is_left_out]
    left_out = [(rrset, result.reason) for rrset, result in pairs if result.is_left_out]
    return Part([result for _, result in kept], [rrset for rrset, _ in kept], name, left_out)


def _summed_up(notes: Sequence[Note]) -> str:
    names = {name_of(item) for note in notes for item in note.subject}
    return f"{len(names) + sum(not note.subject for note in notes)} more host names"


def name_of(item: RRset | str) -> str:
    """The host name, without its last dot."""
    return (item if isinstance(item, str) else item.name).removesuffix(".")


def failure(error: Exception) -> Result:
    """What an exception on the way means. The text of a defect's could hold anything, so it is not told."""
    if isinstance(error, Mistake):
        return Result(Outcome.BADADDRESS, str(error))
    if isinstance(error, HookFailed):
        return Result(Outcome.LOOKUP if isinstance(error, LookupFailed) else Outcome.HOOK, str(error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Result(Outcome.INTERNAL, f"{type(error).__name__} at {place.filename}:{place.lineno}")
