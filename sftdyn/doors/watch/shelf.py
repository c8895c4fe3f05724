"""Values of challenges, on their way through the file: what it said at the start, and what is to stand there. Pure.

It is the one thing there that is acted on, and for removal only.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ...values.mistake import Mistake
from ...values.names import host_name
from ...values.update import CHALLENGE


class Left(NamedTuple):
    """A value that is to be removed."""

    name: str  # absolute, of the TXT record
    value: str
    place: str  # its provider, as the conf's owner knows it
    until: float  # when it goes, seconds since 1970


class Shelf:
    """What the file shall say; `rows` is asked for it, in a thread."""

    def __init__(self, before: object = None) -> None:
        self.before = read(before)
        self.rows: Callable[[], Iterable[Left]] = tuple
        self.news = asyncio.Event()
        self.changes = 0

    def changed(self) -> None:
        """Something has come, or is gone."""
        self.changes += 1
        self.news.set()


def read(said: object) -> list[Left]:
    """What a file says of them, without what nobody can have written."""
    if not isinstance(said, list):
        return []
    return [left for row in said if (left := _left(row))]


def _left(row: object) -> Left | None:
    match row:
        case [str(name), str(value), str(place), int() | float() as until] if math.isfinite(until):
            try:
                host = host_name(name.removeprefix(CHALLENGE))
            except Mistake:
                return None
            return Left(CHALLENGE + host, value, place, float(until))
    return None
