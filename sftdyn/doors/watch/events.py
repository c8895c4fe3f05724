"""What may be worth a message, and when it is: told once, and told when it is over. Pure.

A failure is told when it has lasted; its end, only if it was told. A name that comes and goes is told ever later on the
same day, so that it makes a handful of messages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .seen import Row
from .states import Expected, failing_since
from .wrongkeys import WrongKey

HOUR, DAY = 3600.0, 86400.0  # seconds
WRONG = 3  # wrong keys within an hour that are told


class Kind(StrEnum):
    """What happened; in the order in which a message has them."""

    AWAY = "away"
    FAILING = "failing"
    SILENT = "silent"
    CERTIFICATE = "certificate"
    BADKEY = "badkey"
    BACK = "back"
    RECOVERED = "recovered"
    HEARD = "heard"
    CHANGED = "changed"
    TEST = "test"


USUAL = tuple(kind for kind in Kind if kind is not Kind.CHANGED)  # what is told where nothing else is asked for


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to host names, or to a provider and those of its names that fail."""

    kind: Kind
    names: tuple[str, ...]  # without the last dot
    since: float | None = None  # seconds since 1970
    reason: str = ""
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    type: str = ""  # A or AAAA, where an address has changed


@dataclass(slots=True)
class Told:
    """What was told of one name, or of a provider."""

    failing: bool = False
    silent: bool = False
    times: int = 0  # within the last day
    last: float = 0.0

    def patience(self, after: float, now: float) -> float:
        """Seconds that a trouble lasts before it is told: twice as long each time, until there was a day of quiet."""
        if now - self.last > DAY:
            self.times = 0
        return after * 2.0 ** min(self.times, 32)

    def tell(self, now: float) -> None:
        """One more."""
        self.times, self.last = self.times + 1, now

    @property
    def is_over(self) -> bool:
        """Whether nothing of it matters any more, but how often it was told."""
        return not (self.failing or self.silent)


def about_name(
    name: str, rows: Sequence[Row], expected: Expected, told: Told, now: float, after: float, is_away: bool
) -> Iterator[Event]:
    """What is to be told of a name now; `told` is renewed. `is_away`: its provider is, which is told instead."""
    shown = (name.rstrip("."),)
    last = max((row.seen for row in rows), default=None)
    is_silent = expected.is_silent(name, rows, now)
    if is_silent and not told.silent:
        if not told.times or now - (last or 0.0) >= told.patience(after, now):
            told.silent = True
            told.tell(now)
            yield Event(Kind.SILENT, shown, last)
    elif told.silent and not is_silent:
        told.silent = False
        yield Event(Kind.HEARD, shown, last)
    since = failing_since(rows)
    if since is None and told.failing:
        told.failing = False
        yield Event(Kind.RECOVERED, shown, last)
    elif since is not None and not (told.failing or is_silent or is_away or now - since < told.patience(after, now)):
        told.failing = True
        told.tell(now)
        yield Event(Kind.FAILING, shown, since, max(rows, key=lambda row: row.failed or 0.0).reason)


def about_provider(
    where: str, since: float | None, names: Sequence[str], told: Told, now: float, after: float
) -> Iterator[Event]:
    """What is to be told of a provider, which is away since then, or not; these of its names fail."""
    shown = tuple(name.rstrip(".") for name in names)
    if since is None and told.failing:
        told.failing = False
        yield Event(Kind.BACK, shown, now, where)
    elif since is not None and not told.failing and now - since >= told.patience(after, now):
        told.failing = True
        told.tell(now)
        yield Event(Kind.AWAY, shown, since, where)


def about_wrong_keys(name: str, found: Sequence[WrongKey], told: Told, now: float) -> Iterator[Event]:
    """What is to be told of wrong keys that came with a name of the conf: once a day."""
    if sum(one.moment > now - HOUR for one in found) >= WRONG and now - told.last >= DAY:
        told.tell(now)
        last = found[-1]
        by = f" ({last.program})" if last.program else ""
        yield Event(Kind.BADKEY, (name.rstrip("."),), found[0].moment, f"last from {last.who}{by}")
