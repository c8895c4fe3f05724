"""The one line in the log about each request, that a person and fail2ban can read."""

import logging
from collections import Counter
from time import monotonic

from ..values.outcome import Outcome, Result
from ..values.update import RRset, Subject

log = logging.getLogger("sftdyn")

# Of what anybody can cause, without a key, no more lines of each kind than this per second.
STRANGERS_LINES = 50
REMARK_INTERVAL = 3600.0  # seconds


class LogBook:
    """Writes the lines. They hold nothing that a client sent but addresses."""

    def __init__(self) -> None:
        self._second = 0
        self._lines: Counter[Outcome] = Counter()
        self._remarked: dict[str, float] = {}  # text → time of the next one

    def write(self, result: Result, subject: Subject, who: str) -> None:
        """Write what became of a request from `who`, about these record sets or names."""
        outcome = result.outcome
        if not log.isEnabledFor(outcome.level) or (outcome.by_strangers and self._is_flood(outcome)):
            return
        what = ", ".join(map(_shown, subject))
        reason = result.reason and f": {result.reason}"
        log.log(outcome.level, "%s%s from %s%s", outcome.word, what and f" {what}", who, reason)

    def remark(self, text: str, again: float = REMARK_INTERVAL) -> None:
        """Warn of something that is true of many requests, once an hour, or `again` after so many seconds."""
        now = monotonic()
        if now >= self._remarked.get(text, 0.0):
            self._remarked[text] = now + again
            log.warning("%s", text)

    def _is_flood(self, outcome: Outcome) -> bool:
        second = int(monotonic())
        if second != self._second:
            for flooded, lines in self._lines.items():
                if lines > STRANGERS_LINES:
                    log.warning("%d more lines like %s were left out", lines - STRANGERS_LINES, flooded.word)
            self._second, self._lines = second, Counter()
        self._lines[outcome] += 1
        return self._lines[outcome] > STRANGERS_LINES


def _shown(subject: RRset | str) -> str:
    if isinstance(subject, str):
        return subject.rstrip(".")
    return f"{subject.name.rstrip('.')} {subject.type} {' '.join(subject.addresses) or 'removed'}"
