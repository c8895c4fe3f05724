"""The table of `sftdyn --list`, for a terminal of any width. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ...conf.check import counted
from ..watch import states
from ..watch.states import State
from .words import ago

Entry: TypeAlias = dict[str, Any]  # as /widget has it
COLUMNS = ("NAME", "ADDRESS", "SINCE", "CONTACT", "BY", "RESULT")
GAP = "  "
LEAST_LINE = 60  # letters; a narrower terminal breaks the lines itself
RED, GREEN, YELLOW, GREY, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
SILENT, UNHEARD = State.SILENT.value, State.UNHEARD.value
SUMMED_UP = (State.FAILING.value, SILENT, UNHEARD)
UNWELL = frozenset(state.value for state in states.UNWELL)
NOT_HEARD = (SILENT, UNHEARD)
COLOURS = {State.FAILING.value: RED, SILENT: YELLOW, State.WELL.value: GREEN, UNHEARD: GREY}


def render(entries: Sequence[Entry], now: float, width: int | None, colours: bool) -> Iterator[str]:
    """The lines: a summary, the columns' names, and one for each record set; `width` in letters, None: endless."""
    yield _summary(entries)
    rows = [COLUMNS, *(_cells(entry, now) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for number, row in enumerate(rows):
        line = GAP.join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        line = "".join(letter if letter.isprintable() else " " for letter in line)
        if width and len(line) > max(width, LEAST_LINE):
            line = line[: max(width, LEAST_LINE) - 1] + "…"
        colour = _colour(entries[number - 1]) if number else GREY
        yield f"{colour}{line}{PLAIN}" if colours else line


def _summary(entries: Sequence[Entry]) -> str:
    names = {entry["name"] for entry in entries}
    states = dict.fromkeys(SUMMED_UP, 0)
    for state in {entry["name"]: entry["state"] for entry in entries}.values():
        if state in states:
            states[state] += 1
    return ", ".join([counted(len(names), "host name"), *(f"{count} {state}" for state, count in states.items())])


def _cells(entry: Entry, now: float) -> tuple[str, ...]:
    by = ", ".join(part for part in (entry["program"], entry["door"], entry["from"]) if part)
    return (
        entry["name"],
        entry["address"] or ("removed" if entry["outcome"] in ("OK", "UPTODATE") else "-"),
        _time(entry["changed"], now),
        _time(entry["seen"], now),
        by or "-",
        _result(entry),
    )


def _result(entry: Entry) -> str:
    if entry["state"] in NOT_HEARD:
        return str(entry["state"])
    if not entry["failures"]:
        return str(entry["outcome"])
    return f"FAIL ({entry['failures']}): {entry['reason']}"


def _time(moment: str | None, now: float) -> str:
    return ago(now - datetime.fromisoformat(moment).timestamp()) if moment else "-"


def _colour(entry: Entry) -> str:
    return COLOURS.get(entry["state"], PLAIN)
