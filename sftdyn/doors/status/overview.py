"""What the status listener shows, whichever way: hosts with their troubles, providers, figures. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ...values.exchanges import Vitals
from ..watch.seen import Row, Seen
from ..watch.states import Expected, State, failing_since, state_of
from ..watch.wrongkeys import WrongKey, moved

PAGE = 10_000  # hosts that are shown at once
MANY = 1000  # hosts, beyond which those that are unwell are enough at first


class Condition(Enum):
    """How all is, with its status in HTTP and what is said of it."""

    WELL = 200, "ok"
    SOME_SILENT = 503, "a provider gave no answer to the last question"
    ALL_SILENT = 503, "no provider gave an answer to the last question"
    OWN_FAILS = 503, "an own name was not published at the last look"

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Overview:
    """All there is to show, at one moment. Times in seconds since 1970."""

    now: float  # by a clock that does not jump
    jump: float  # seconds that the machine's clock is ahead of that
    started: float
    version: str
    clients: int
    names: Sequence[str]  # of the conf, absolute; none where get_host decides
    all_names: Collection[str]  # with the hosts behind the router; empty where get_host decides
    own: Collection[str]  # what sftdyn publishes by itself, hosts behind the router too
    providers: Sequence[tuple[str, Vitals]]  # each with its kind
    away: Sequence[tuple[str, float]]  # providers that give no answer: where they are, and since when
    places: Mapping[str, str]  # host name → where its provider is
    certificate_end: float | None
    is_one_of_several: bool  # other instances know more
    seen: Seen
    expected: Expected
    wrong_keys: Mapping[str, Sequence[WrongKey]]  # absolute host name → those of the last day

    def as_shown(self) -> "Overview":
        """Without names that the conf has no more, and all times as the machine's clock has them."""
        rows = self.seen.rows
        if names := self.all_names:
            rows = [row for row in rows if row.place[0] in names]
        if jump := self.jump:
            rows = [row.moved(jump) for row in rows]
        return replace(
            self,
            now=self.now + jump,
            jump=0.0,
            started=self.started + jump,
            away=[(where, since + jump) for where, since in self.away],
            seen=replace(self.seen, rows=rows),
            expected=self.expected.moved(jump),
            wrong_keys=moved(self.wrong_keys, jump),
        )


class Host:
    """One host name, with its rows."""

    __slots__ = ("last", "name", "rows", "state", "trouble", "wrong_keys")

    def __init__(self, name: str, rows: Sequence[Row], overview: Overview) -> None:
        self.name = name.rstrip(".")
        self.rows = rows
        self.last = _newest(rows)  # of the last contact
        self.trouble = _newest([row for row in rows if row.failures])  # of what fails
        self.state = state_of(name, rows, overview.expected, overview.now)
        self.wrong_keys = _not_mended(overview.wrong_keys.get(name, ()), rows)  # the oldest first

    @property
    def failing_since(self) -> float | None:
        """The first of the failures that have not ended; None: nothing fails."""
        return failing_since(self.rows)

    @property
    def changed(self) -> float | None:
        """When it got the newest of its addresses; None: it is not known."""
        return max((row.changed for row in self.rows if row.changed), default=None)

    def addresses(self, kind: str) -> tuple[str, ...] | None:
        """Of one type; None: not known."""
        return next((row.addresses for row in self.rows if row.place[1] == kind), None)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The hosts that are shown on one page."""

    hosts: Sequence[Host]
    page: int
    pages: int
    found: int  # on all pages
    counts: Mapping[State, int]  # of all hosts, found or not


def health(providers: Sequence[tuple[str, Vitals]], own_is_well: bool = True) -> Condition:
    """A provider that was not asked yet is well."""
    silent = [vitals.exchanges.answered is False for _, vitals in providers]
    if any(silent):
        return Condition.ALL_SILENT if all(silent) else Condition.SOME_SILENT
    return Condition.WELL if own_is_well else Condition.OWN_FAILS


def hosts(overview: Overview) -> list[Host]:
    """All that are known: the newest trouble first, then by name, and last those that nobody has asked for."""
    rows: dict[str, list[Row]] = {name: [] for name in overview.names}
    for row in overview.seen.rows:
        rows.setdefault(row.place[0], []).append(row)
    order: dict[State, list[Host]] = {state: [] for state in State}
    for name, its in sorted(rows.items()):
        host = Host(name, its, overview)
        order[host.state].append(host)
    order[State.FAILING].sort(key=lambda host: host.trouble.seen if host.trouble else 0.0, reverse=True)
    order[State.SILENT].sort(key=lambda host: host.last.seen if host.last else 0.0, reverse=True)
    order[State.WELL].sort(key=lambda host: not host.wrong_keys)
    return [host for state in State for host in order[state]]


def waiting(found: Sequence[Host], overview: Overview, where: str) -> int:
    """How many hosts fail whose provider is there."""
    return sum(host.state is State.FAILING and overview.places.get(f"{host.name}.", where) == where for host in found)


def find(overview: Overview, name: str) -> Host | None:
    """The host of that name, without its last dot; None: there is none."""
    place = f"{name}."
    rows = [row for row in overview.seen.rows if row.place[0] == place]
    is_known = rows or place in overview.all_names or place in overview.names
    return Host(place, rows, overview) if is_known else None


def counted_by_state(found: Sequence[Host]) -> dict[State, int]:
    """How many of them are how."""
    counts = dict.fromkeys(State, 0)
    for host in found:
        counts[host.state] += 1
    return counts


def excerpt(
    found: Sequence[Host], words: str = "", page: int = 1, states: Collection[State] = frozenset(State)
) -> Excerpt:
    """Those of `found` that have all of the words, in name, address or program, and one of these states."""
    counts = counted_by_state(found)
    wanted = words.lower().split()
    chosen = [h for h in found if h.state in states and (not wanted or _has(h, wanted))]
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(max(page, 1), pages)
    return Excerpt(chosen[(page - 1) * PAGE : page * PAGE], page, pages, len(chosen), counts)


def _not_mended(found: Sequence[WrongKey], rows: Sequence[Row]) -> tuple[WrongKey, ...]:
    """Without those of who has come with the right key since then."""
    right = {row.who: row.seen for row in rows} if found else {}
    return tuple(one for one in found if one.moment > right.get(one.who, 0.0))


def _newest(rows: Sequence[Row]) -> Row | None:
    if len(rows) == 1:
        return rows[0]
    return max(rows, key=lambda row: row.seen, default=None)


def _has(host: Host, words: Sequence[str]) -> bool:
    parts = [host.name]
    for row in host.rows:
        parts += [*(row.addresses or ()), row.program, row.who, row.door, row.reason]
    text = " ".join(parts).lower()
    return all(word in text for word in words)
