"""Whether a regular expression can cost more than the length of a text: it can if two endless repetitions in a row match
the same, or one stands in another, so that they divide a text between them in many ways.

It looks at what the pattern allows, not at where it is used, and may be too strict.
"""

import importlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

LETTERS = [chr(number) for number in range(256)]
ENDLESS = 1000  # repetitions and more
NONE: frozenset[str] = frozenset()
PARSER: Any = importlib.import_module("re._parser")
COMPILER: Any = importlib.import_module("re._compiler")


class Piece(NamedTuple):
    """A part of a pattern: which letters it can match at all, whether it can match nothing, and how its ends repeat."""

    letters: frozenset[str]
    is_empty: bool
    first: frozenset[str]  # letters of endless repetitions that it can begin with
    last: frozenset[str]  # or end with


NOTHING = Piece(NONE, True, NONE, NONE)


class Slow(AssertionError):
    """The pattern can take the square of a text's length."""


def look_at(pattern: re.Pattern[Any]) -> None:
    """Raises Slow."""
    text, flags = pattern.pattern, pattern.flags
    if isinstance(text, bytes):
        text, flags = text.decode("latin-1"), flags | re.ASCII
    _row(PARSER.parse(text, flags), flags)


def _row(items: Iterable[Any], flags: int) -> Piece:
    found = NOTHING
    for item in items:
        found = _joined(found, _piece(item, flags))
    return found


def _joined(left: Piece, right: Piece) -> Piece:
    if both := left.last & right.first:
        raise Slow(f"two neighbours match {min(both)!r}")
    return Piece(
        left.letters | right.letters,
        left.is_empty and right.is_empty,
        left.first | (right.first if left.is_empty else NONE),
        right.last | (left.last if right.is_empty else NONE),
    )


def _piece(item: Any, flags: int) -> Piece:
    kind, value = str(item[0]), item[1]
    if kind == "BRANCH":
        ways = [_row(way, flags) for way in value[1]]
        letters, _, first, last = (
            NONE.union(*sets) for sets in zip(*((w[0], NONE, w[2], w[3]) for w in ways), strict=True)
        )
        return Piece(letters, any(way.is_empty for way in ways), first, last)
    if kind == "SUBPATTERN":
        return _row(value[3], flags)
    if kind in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, items = value
        return _repeated(least, most, items, flags)
    if kind in ("AT", "ASSERT", "ASSERT_NOT"):
        return NOTHING
    return Piece(_letters(item, flags), False, NONE, NONE)


def _repeated(least: int, most: int, items: Any, flags: int) -> Piece:
    inner = _row(items, flags)
    is_empty = inner.is_empty or not least
    if most < ENDLESS:
        return inner._replace(is_empty=is_empty)
    if both := inner.last & inner.first:
        raise Slow(f"a repetition in a repetition matches {min(both)!r}")
    ends = inner.letters if len(items) == 1 else NONE
    return Piece(inner.letters, is_empty, inner.first | ends, inner.last | ends)


def _letters(item: Any, flags: int) -> frozenset[str]:
    """Which of the first 256 letters one place of a pattern matches."""
    alone = PARSER.parse("x", flags)
    alone.data = [item]
    matches = COMPILER.compile(alone, flags)
    return frozenset(letter for letter in LETTERS if matches.fullmatch(letter))
