"""The seam: what a place where names live must be able to do. The desk does all the rest.

Rule 1. A backend is one place as one credential reaches it. It knows nothing of requests, their order and deadlines,
and keeps no record of who waits. What it needs to be asked through (a process, connections) is a channel.

Rule 2. `settle` is called with updates to one zone that share no record set. It says of each what became of it. One
that the place refuses must not fail the others: a backend whose batches are atomic halves them (`in_parts`).

Rule 3. It never says DONE of what the place has not confirmed during this very call.

Rule 4. What of an update its owner does not want there is `left_out`, each record set with the reason for the log: the
verdict is about the rest. A name of which nothing else is wanted is unpublishable.

Rule 5. Where no answer came to a change, it says UNKNOWN and `changed`: then the desk watches for late writes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result
from ...values.update import Key, Record

Addresses: TypeAlias = tuple[str, ...]
Watched: TypeAlias = Sequence[tuple[Record, Collection[Addresses]]]  # what should be there, and what may be instead
Part = TypeVar("Part")
Found = TypeVar("Found")


class Verdict(Enum):
    """What became of one update."""

    DONE = auto()  # it is as wanted
    REFUSED = auto()  # for good: nothing is changed
    HIDDEN = auto()  # a CNAME, delegation or DNAME is in the way: nothing is changed
    ELSEWHERE = auto()  # the zone is not served there: nothing is changed
    AGAIN = auto()  # the zone cannot do it now: nothing is changed
    UNKNOWN = auto()  # no answer: not done, done, or done later
    AWAY = auto()  # nobody answers, whatever the zone: nothing is changed


class Health(Enum):
    """How a zone is, and so which lane serves it."""

    NEW = auto()  # it has not answered yet
    WELL = auto()
    ILL = auto()  # it cannot be written
    SILENT = auto()


OUTCOMES = {
    Verdict.REFUSED: Outcome.REFUSED,
    Verdict.HIDDEN: Outcome.UNPUBLISHABLE,
    Verdict.ELSEWHERE: Outcome.NOZONE,
}


class Settlement(NamedTuple):
    """What became of one update. `changed`: it was not so before, or (after UNKNOWN) may be so by our hand.

    Where the update was only asked about, `changed` says that it would have been changed.
    """

    verdict: Verdict
    changed: bool = False
    reason: str = ""  # for the log; empty where the channel itself broke
    wait: float = 0.0  # seconds that the place wants to be left alone
    costly: bool = False  # it alone failed others with it: it is settled apart from now on
    moved: bool = False  # its zone may be elsewhere: it is asked for once more
    apart: bool = False  # the place cannot take it as a whole: it goes name by name, each with its own result
    left_out: Mapping[Key, str] = MappingProxyType({})  # what the owner does not want there, whatever comes of the rest


class Interrupted(Exception):
    """A question was answered with neither yes nor no."""

    def __init__(self, settlement: Settlement) -> None:
        super().__init__(settlement.reason)
        self.settlement = settlement
        self.final = OUTCOMES.get(settlement.verdict)  # None: it may be tried again, after `wait`


class Fact(NamedTuple):
    """What was heard of a name: the zone whose apex it is, None if of none."""

    place: str
    zone: str | None
    is_sure: bool = True  # else it is believed for a minute only


class Listing(NamedTuple):
    """All zones that there are: apex → zone. What it does not have is none."""

    zones: Mapping[str, str]


class Fate(Enum):
    """What a look after a late write found."""

    RIGHT = auto()  # what was acknowledged last
    MENDED = auto()  # a late value, which was replaced
    FOREIGN = auto()  # somebody else's value, which was left alone
    UNKNOWN = auto()  # the mend was not answered


class Manner(NamedTuple):
    """How a place wants to be served. Times in seconds."""

    called: str  # "the name server", for the log
    no_zone: Result
    at_once: tuple[int, int, int]  # exchanges with zones that are well, that are ill or new, that are silent
    capacity: int  # of one batch, in what `weigh` says
    is_exclusive: bool  # one exchange of a zone at a time
    pauses: tuple[float, float]  # after a failure of a zone: the first, the longest
    finders: tuple[int, ...] = (1,)  # how many names must be wanted for each that looks for zones
    lot: int = 64  # names that are looked for at once
    remembered: float = 900.0  # a zone; at least half of that
    unzoned: float = float("inf")  # that a name below a zone is none itself, at most
    missed: float = 0.0  # that a name is in no zone
    watched: float = 330.0  # after a change without an answer
    rests: tuple[float, float, float] = (1.0, 1.0, 1.0)  # between looks: the first, its growth, the longest
    second_look: float = 0.0  # after a change that a late write threatens
    texts_together: bool = False  # a change of one TXT value writes all those of its name
    idle: float = 0.0  # until a channel is closed


class ZoneState(Protocol):
    """A zone as a backend may see it."""

    @property
    def name(self) -> str: ...

    @property
    def health(self) -> Health: ...

    @property
    def pause(self) -> float:
        """Seconds, the last one; 0: the last exchange went well."""

    @property
    def reloads(self) -> int:
        """Of the conf, until now: what it says of TTLs may be new."""


class Channel(Protocol):
    """What is talked through; one question at a time."""

    async def settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Any]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """Make these true, or only ask; one settlement for each. What is not wanted any more need not be sent."""

    async def mend(self, zone: ZoneState, watched: Watched) -> list[tuple[Fate, Addresses]]:
        """Put each record set in the place of one of those late values, where that stands. Raises Interrupted."""

    def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact | Listing]:
        """Which of these names are zones: as many as can be told. Raises Interrupted."""

    async def close(self) -> None:
        """Let go of it."""


class Backend(Protocol):
    """One place, as one credential reaches it; made inside a running event loop. It says what differs from this."""

    given: Sequence[str] = ()  # the zones of all names; none: they are asked for

    @property
    def manner(self) -> Manner: ...

    def channel(self, asks: bool = False) -> Channel:
        """One more; `asks`: for questions alone."""

    def weigh(self, item: Any, zone: str) -> int:
        """What a record set takes of a batch."""
        return 1

    def wait(self, health: Health) -> float:
        """Seconds until the next exchange may begin."""
        return 0.0

    def stop(self) -> None:
        """Let go of everything."""


class Maker(NamedTuple):
    """How a kind of place is served."""

    manner: Manner
    records: Callable[[Any, str | None, float, Exchanges], Backend]  # for a spec, a secret, a timeout in seconds
    scripts: Callable[[Any, dict[Key, str]], Backend] | None = None  # for a spec, with the last success of each


async def in_parts(
    items: Sequence[Part], settle: Callable[[Sequence[Part]], Awaitable[list[Found]]], singly: int = 1
) -> list[Found]:
    """What `settle` makes of both halves of `items`, or of each one where they are at most `singly`."""
    step = len(items) // 2 if len(items) > singly else 1
    parts = [items[start : start + step] for start in range(0, len(items), step)]
    return [found for part in parts for found in await settle(part)]
