"""The one line in the log about each request, that a person and fail2ban can read."""

import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic

from ..values.outcome import LOG, Outcome, Result
from ..values.update import RRset, Update

log = logging.getLogger("sftdyn")

# What anybody can cause, without a key: no more lines of each than this per second.
STRANGERS = frozenset(
    {
        *(Outcome.ADDRESS, Outcome.CHALLENGE, Outcome.BADKEY, Outcome.BADREQUEST, Outcome.BADMETHOD),
        *(Outcome.HOOK, Outcome.OVERLOADED, Outcome.BADADDRESS),
    }
)
STRANGERS_LINES = 50


class LogBook:
    """Writes the lines. They hold nothing that a client sent but addresses."""

    def __init__(self) -> None:
        self._second = 0
        self._lines: Counter[Outcome] = Counter()

    def write(self, result: Result, subject: Update | Sequence[str], who: str) -> None:
        """Write what became of a request from `who`, about these record sets or names."""
        word, level = LOG[result.outcome]
        if not log.isEnabledFor(level) or (result.outcome in STRANGERS and self._is_flood(result.outcome)):
            return
        what = ", ".join(map(_shown, subject))
        log.log(level, "%s%s from %s%s", word, what and f" {what}", who, result.reason and f": {result.reason}")

    def _is_flood(self, outcome: Outcome) -> bool:
        second = int(monotonic())
        if second != self._second:
            for flooded, lines in self._lines.items():
                if lines > STRANGERS_LINES:
                    log.warning("%d more lines like %s were left out", lines - STRANGERS_LINES, LOG[flooded][0])
            self._second, self._lines = second, Counter()
        self._lines[outcome] += 1
        return self._lines[outcome] > STRANGERS_LINES


def _shown(subject: RRset | str) -> str:
    if isinstance(subject, str):
        return subject.rstrip(".")
    return f"{subject.name.rstrip('.')} {subject.type} {' '.join(subject.addresses) or 'removed'}"
