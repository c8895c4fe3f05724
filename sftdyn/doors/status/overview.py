"""What the status listener shows, whichever way: hosts with their troubles, providers, figures. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ...values.exchanges import Vitals
from .seen import Row, Seen

PAGE = 10_000  # hosts that are shown at once


class State(Enum):
    """How a host is. In the order in which they are shown."""

    FAILING = "failing"  # its last request, for one of its record sets
    WELL = "well"
    UNHEARD = "unheard"  # nobody has called since the start


class Health(Enum):
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

    now: float
    started: float
    version: str
    clients: int
    names: Sequence[str]  # of the conf, absolute; none where get_host decides
    own: Collection[str]  # what sftdyn publishes by itself, hosts behind the router too
    providers: Sequence[tuple[str, Vitals]]  # each with its kind
    certificate_end: float | None
    seen: Seen


class Host:
    """One host name, with its rows."""

    __slots__ = ("last", "name", "rows", "state", "trouble")

    def __init__(self, name: str, rows: Sequence[Row]) -> None:
        self.name = name.rstrip(".")
        self.rows = rows
        self.last = _newest(rows)  # of the last contact
        self.trouble = _newest([row for row in rows if row.failures])  # of what fails
        self.state = State.FAILING if self.trouble else State.WELL if rows else State.UNHEARD

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


def health(providers: Sequence[tuple[str, Vitals]], own_is_well: bool = True) -> Health:
    """A provider that was not asked yet is well."""
    silent = [vitals.exchanges.answered is False for _, vitals in providers]
    if any(silent):
        return Health.ALL_SILENT if all(silent) else Health.SOME_SILENT
    return Health.WELL if own_is_well else Health.OWN_FAILS


def hosts(overview: Overview) -> list[Host]:
    """All that are known: the newest trouble first, then by name, and last those that nobody has asked for."""
    rows: dict[str, list[Row]] = {name: [] for name in overview.names}
    for row in overview.seen.rows:
        rows.setdefault(row.place[0], []).append(row)
    order: dict[State, list[Host]] = {state: [] for state in State}
    for name, its in sorted(rows.items()):
        host = Host(name, its)
        order[host.state].append(host)
    order[State.FAILING].sort(key=lambda host: host.trouble.seen if host.trouble else 0.0, reverse=True)
    return [host for state in State for host in order[state]]


def counts(overview: Overview) -> dict[State, int]:
    """How many hosts are how; without a look at each, as there may be very many."""
    rows = overview.seen.rows
    heard = {row.place[0] for row in rows}
    failing = len({row.place[0] for row in rows if row.failures})
    unheard = len(heard.union(overview.names)) - len(heard)
    return {State.FAILING: failing, State.WELL: len(heard) - failing, State.UNHEARD: unheard}


def excerpt(found: Sequence[Host], words: str = "", page: int = 1, state: State | None = None) -> Excerpt:
    """Those of `found` that have all of the words, in name, address or program, and that state."""
    counts = dict.fromkeys(State, 0)
    for host in found:
        counts[host.state] += 1
    wanted = words.lower().split()
    chosen = [h for h in found if (state is None or h.state is state) and (not wanted or _has(h, wanted))]
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(max(page, 1), pages)
    return Excerpt(chosen[(page - 1) * PAGE : page * PAGE], page, pages, len(chosen), counts)


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
