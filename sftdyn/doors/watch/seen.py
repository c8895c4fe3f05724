"""What was seen of requests and of host names.

There is a row for each record set, and one without a type for what failed before there was a record set, such as a
request without an address; the next success at the name ends that one. Most requests confirm what their row says
already, from the same client: they cost a look at it, and its time. All times are seconds since 1970, by a clock
that does not jump.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias, get_args

from ...values.exchanges import SECONDS, Histogram
from ...values.outcome import SUCCESSES, Outcome, Result
from ...values.update import RRset, RRType, Subject
from ...web.request import Request
from .wrongkeys import WrongKey, WrongKeys

TIMES = 1000  # that requests took, before they are sorted into the histogram
ROWS = 1_000_000  # beyond it, the oldest go; some 0.5 KiB each
AGENT = 40  # characters of a client program's name
ENTRIES = 10  # addresses that are kept of a record set, with their times
CACHED = 1024  # names of client programs
UPTODATE = Outcome.UPTODATE
UNPRINTABLE = re.compile("[^ -~]+")

Place: TypeAlias = tuple[str, RRType | Literal[""]]  # where a row is: a host's absolute name, and a type

KINDS: tuple[RRType | Literal[""], ...] = (*get_args(RRType), "")

OnChange: TypeAlias = Callable[[Place, tuple[str, ...] | None, tuple[str, ...], float], None]


class Note(NamedTuple):
    """What became of record sets, or host names, that share an outcome and its reason; of none: of a whole request."""

    result: Result
    subject: Subject = ()
    name: str = ""  # the client's, for the log, where it is about none of its names


@dataclass(slots=True, eq=False)
class Row:
    """What is known of one record set."""

    place: Place
    seen: float = 0.0  # the last contact
    outcome: Outcome = UPTODATE  # of that
    news: int = 0  # hash of the confirmation that says nothing new but its time; 0: there is none
    addresses: tuple[str, ...] | None = None  # that it was last known to have; None: it is not known
    changed: float | None = None  # when it got them; None: before the start
    worked: float | None = None  # the last success before the failures
    failures: int = 0  # since the last success
    first_failed: float | None = None  # the first failure since then
    failed: float | None = None  # the last failure
    reason: str = ""  # of that failure
    who: str = ""  # wanted it last: an address
    program: str = ""  # as the User-Agent says
    door: str = ""
    history: tuple[tuple[float, tuple[str, ...]], ...] = ()  # when it got which addresses, the newest last

    @property
    def confirmed(self) -> float | None:
        """The last success."""
        return self.worked if self.failures else self.seen

    def succeed(self, addresses: tuple[str, ...], outcome: Outcome, now: float, entries: int) -> bool:
        """It is as wanted; whether that is new. A change that sftdyn did not make is as old as it was seen.

        Of what it had before, `entries` are kept.
        """
        is_new = self.addresses != addresses and (self.addresses is not None or outcome is Outcome.OK)
        if is_new:
            self.changed = now
            self.history = (*self.history, (now, addresses))[-entries:] if entries else ()
        self.addresses, self.outcome, self.failures, self.seen = addresses, outcome, 0, now
        return is_new

    def fail(self, result: Result, now: float) -> None:
        """It could not be done; what was known of the addresses is known still."""
        if not self.failures:
            self.worked, self.first_failed = self.seen or None, now
        self.outcome, self.reason, self.seen, self.failed = result.outcome, result.reason, now, now
        self.failures += 1
        self.news = 0

    def moved(self, by: float) -> "Row":
        """The same, all its times so many seconds later: as the machine's clock has them after a jump."""
        times = {name: value + by for name in TIMES_OF_A_ROW if (value := getattr(self, name))}
        return replace(self, **times, history=tuple((moment + by, found) for moment, found in self.history))


TIMES_OF_A_ROW = ("seen", "changed", "worked", "first_failed", "failed")


class DoorCounts:
    """What was seen of the requests at one door."""

    __slots__ = ("answers", "seconds", "times")

    def __init__(self) -> None:
        self.answers = [0] * (len(Outcome) + 1)  # by the outcome's severity
        self.times: list[float] = []
        self.seconds = Histogram(SECONDS)

    def sort_times(self) -> None:
        """Into the histogram."""
        times, self.times = self.times, []
        self.seconds.observe(times)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was until one moment. Rows go on with the time."""

    rows: Sequence[Row]
    answers: Mapping[str, Mapping[Outcome, int]]  # door → how often each outcome was answered
    seconds: Mapping[str, Histogram]  # door → how long requests took

    @property
    def changes(self) -> int:
        """Updates that were made."""
        return sum(outcomes.get(Outcome.OK, 0) for outcomes in self.answers.values())


class Journal:
    """Takes note of what became of requests, and of what sftdyn wanted by itself. It keeps at most so many rows.

    `entries`: how many addresses are kept of a record set.
    """

    def __init__(self, clock: Callable[[], float], most: int = ROWS) -> None:
        self._clock = clock
        self._most = most
        self.entries = ENTRIES
        self.wrong_keys = WrongKeys()
        self.on_change: OnChange | None = None  # called with what, its old and new addresses, and when
        self._rows: dict[Place, Row] = {}
        self._doors: dict[str, DoorCounts] = {}

    def note(
        self, door: str, notes: Sequence[Note], who: str, request: Request | None = None, began: float | None = None
    ) -> None:
        """What became of a request at a door, from `who`, that came at `began`."""
        now = self._clock()
        account = self._doors.get(door) or self._doors.setdefault(door, DoorCounts())
        if began is not None:
            account.times.append(now - began)
            if len(account.times) >= TIMES:
                account.sort_times()
        headers = request.header_lines if request else b""
        for result, subject, _ in notes:
            outcome = result.outcome
            account.answers[outcome.severity] += 1
            if outcome is Outcome.BADKEY and request:
                query = request.target.partition(b"?")[2] or request.body
                self.wrong_keys.note(query, WrongKey(now, who, _program_of(request)))
            for item in subject:
                if isinstance(item, str) and outcome in SUCCESSES:  # it was left as it is, whatever that may be
                    self._rows.pop((item, ""), None)
                    continue
                news = 0
                if outcome is UPTODATE and not isinstance(item, str):
                    news = hash((item.addresses, door, who, headers))
                    known = self._rows.get((item.name, item.type))
                    if known and known.news == news:
                        known.seen = now
                        known.outcome = outcome
                        continue
                row = self._write(item, result, now)
                row.who, row.door, row.news = who, door, news
                row.program = _program_of(request)

    def leave_out(self, places: Iterable[Place]) -> None:
        """Nothing is known of these any more."""
        for place in places:
            self._rows.pop(place, None)

    def forget(self, names: Collection[str], before: float) -> None:
        """What was not heard from since then, unless it is about one of `names`."""
        self._rows = {place: row for place, row in self._rows.items() if row.seen >= before or place[0] in names}

    def seen(self) -> Seen:
        """All that was seen until now."""
        answers, seconds = {}, {}
        for name, door in self._doors.items():
            door.sort_times()
            answers[name] = {outcome: door.answers[outcome.severity] for outcome in Outcome}
            seconds[name] = Histogram(SECONDS)
            seconds[name].add(door.seconds)
        return Seen(self.rows(), answers, seconds)

    def restore(self, rows: Sequence[Row]) -> None:
        """What was known before the start."""
        self._rows = {row.place: row for row in rows[-self._most :]} | self._rows

    def noted(self) -> int:
        """How much was noted; another number when there is news."""
        return sum(sum(door.answers) for door in self._doors.values())

    def rows(self) -> list[Row]:
        """All rows, which go on with the time."""
        return list(self._rows.values())

    def names(self) -> list[str]:
        """All names that there are rows of, each once."""
        return list(dict.fromkeys(name for name, _ in self._rows))

    def rows_of(self, name: str) -> list[Row]:
        """Those of one name."""
        return [row for kind in KINDS if (row := self._rows.get((name, kind)))]

    def _write(self, item: RRset | str, result: Result, now: float) -> Row:
        """Renew the row that is about `item`: a record set, or a host name."""
        place: Place = (item, "") if isinstance(item, str) else (item.name, item.type)
        row = self._rows.get(place)
        if row is None:
            row = self._rows[place] = Row(place)
            if len(self._rows) > self._most:
                del self._rows[next(iter(self._rows))]
        if not isinstance(item, str) and result.outcome in SUCCESSES:
            self._rows.pop((item.name, ""), None)
            old = row.addresses
            if row.succeed(item.addresses, result.outcome, now, self.entries) and self.on_change:
                self.on_change(place, old, item.addresses, now)
        else:
            row.fail(result, now)
            if not place[1]:
                for kind in get_args(RRType):
                    if typed := self._rows.get((place[0], kind)):
                        typed.news = 0
        return row


def _program_of(request: Request | None) -> str:
    return program(next(iter(request.values("User-Agent")), "")) if request else ""


@lru_cache(CACHED)
def program(agent: str) -> str:
    """What a User-Agent says, in printable ASCII, and short."""
    text = UNPRINTABLE.sub(" ", agent).strip()
    return text if len(text) <= AGENT else text[: AGENT - 1].rstrip() + "…"
