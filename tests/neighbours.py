"""The drill's part "neighbours": who is in trouble delays himself, and nobody else noticeably.

Good clients, whose names are in zones in order, are measured alone and then beside others: clients of zones that
are broken in some way, of names that the name server hides or refuses, or a greedy one. The load of those in trouble
is what clients that try again and again make; that of the good ones is all that the server can carry. A client that
floods, which asks again the moment it is answered, is measured only if it is named: ./tests/drill neighbours:flood-3000
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from itertools import chain
from operator import attrgetter
from pathlib import Path
from statistics import median

from bench.load import Load, RunningLoad, Sample
from tests.drilling import PROGRESS, SCALE, Quiet, check
from tests.lab.bind import ALL as ALL_RIGHTS
from tests.lab.bind import Bind
from tests.lab.machine import free_port
from tests.lab.nameserver import KEY_NAME, ZONE

SECONDS = max(1.0, 2 * SCALE)  # of one measurement
TURNS = 3  # alone and beside others; the medians count, since machines have other things to do
SETTLE = 3.0  # until those in trouble have all that can become of them
SETTLE_ZONES = 12.0  # with broken zones, where requests wait until the timeout, 10
WELL = [f"well-{number}.example" for number in range(20)]
NEAR = WELL[0]  # where the hidden and refused names are
GOOD = 4000  # names
NEW = 500  # names that are asked for the first time, in each measurement
PER_ZONE = 2000  # names of a broken zone
RATE = 200.0  # requests per second for what is in trouble, for all broken zones together
QUOTA = 3600  # changes per hour and client: more than a good one makes here
ALL, NONE = 1000, 0  # changes in a thousand requests
CROWD, FEW = 128, 20  # connections

LEAST = 0.7  # of the undisturbed rate
LONGEST = 1.0  # seconds that others may wait longer

BROKEN = {  # zone → what named.conf says of it
    "refusing.example": "type primary; update-policy { grant nobody zonesub ANY; };",
    "frozen.example": f"type primary; {ALL_RIGHTS}",
    "unloaded.example": f"type primary; {ALL_RIGHTS}",
    # Its primary accepts, and never answers.
    "silent.example": "type secondary; masterfile-format text; allow-update-forwarding { any; };"
    " primaries { 127.0.0.1 port PORT; };",
}
RIGHTS = f"update-policy {{ deny {KEY_NAME} subdomain no.{NEAR}; grant {KEY_NAME} zonesub ANY; }};"
HIDDEN = [f"alias.{NEAR}"]
REFUSED = [f"refused-{number}.no.{NEAR}" for number in range(50)]
FIRST = IPv4Address("127.1.0.1")
GREEDY = f"greedy.{WELL[1]}"


@dataclass(frozen=True)
class Case:
    """Who is in trouble, and what is promised to the others beside that none of them fails."""

    name: str
    zones: Sequence[str] = ()
    suspects: Sequence[str] = ()  # names
    greedy: int = 0  # connections of one client
    restless: bool = False  # they ask again at once, not after a second
    good: Sequence[str] = field(default_factory=lambda: WELL)  # zones of the good clients
    connections: int = CROWD  # of the good clients
    keeps_rate: bool = False


CASES = [
    *(Case(zone.partition(".")[0], zones=[zone]) for zone in BROKEN),
    Case("hidden-1", suspects=HIDDEN, good=[NEAR], keeps_rate=True),
    Case("refused-8", suspects=REFUSED[:8], good=[NEAR], keeps_rate=True),
    Case("refused-50", suspects=REFUSED, good=[NEAR], keeps_rate=True),
    Case("greedy-3000", greedy=3000, connections=FEW),
    Case("greedy-5000", greedy=5000, connections=FEW),
    Case("flood-3000", greedy=3000, restless=True, connections=FEW),
    Case("together", zones=[*BROKEN], suspects=[*HIDDEN, *REFUSED], greedy=3000),
]


@dataclass(frozen=True)
class Seen:
    """What the good clients got."""

    uptodate: Sample
    changes: Sample
    new: Sample  # changes of names that were never asked for

    def wrong(self) -> int:
        """How many answers were not what they should be."""
        return self.uptodate.wrong + self.changes.wrong + self.new.wrong


Part = Callable[[Seen], Sample]
UPTODATE: Part = attrgetter("uptodate")
CHANGES: Part = attrgetter("changes")
NEWCOMERS: Part = attrgetter("new")


def key_of(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:32]


def names_in(zones: Sequence[str], kind: str, count: int) -> list[str]:
    """So many names, evenly in zones."""
    return [f"{kind}-{number}.{zones[number % len(zones)]}" for number in range(count)]


class Town:
    """A name server with all zones, a sftdyn that does not know them, and the clients of one case."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._folder = folder
        self._case = case
        self._files = 0
        self.troubles: list[RunningLoad] = []
        self.good = names_in(case.good, "good", GOOD)
        self.new = [names_in(case.good, f"new-{turn}", NEW) for turn in range(2 * TURNS)]
        self.broken = {zone: names_in([zone], "name", PER_ZONE) for zone in case.zones}
        names = [*self.good, *chain(*self.new), *chain(*self.broken.values()), *case.suspects, GREEDY]
        self._closing = ExitStack()
        try:
            self._start({key_of(name): name for name in names})
        except BaseException:
            self.close()
            raise

    def _start(self, clients: dict[str, str]) -> None:
        extra = (
            f'zone "{zone}" {{ {text} file "{zone}.zone"; }};\n'.replace("PORT", str(self._deaf_port()))
            for zone, text in BROKEN.items()
        )
        bind = Bind(self._folder, dict.fromkeys(WELL, RIGHTS), extra="".join(extra))
        for zone in BROKEN:
            (self._folder / f"{zone}.zone").write_text("rubbish\n" if zone == "unloaded.example" else ZONE)
        bind.start()
        self._closing.callback(bind.kill)
        bind.rndc("freeze", "frozen.example")
        bind.edit(f"zone {NEAR}", *(f"update add {name} 60 CNAME ns.{NEAR}" for name in HIDDEN))
        self.served = Quiet(self._folder, bind, clients, max_changes=QUOTA)
        self._closing.callback(self.served.kill)

    def _deaf_port(self) -> int:
        """A port where everything is taken, over TCP and UDP, and nothing answered."""
        port = free_port()
        tcp = self._closing.enter_context(socket.create_server(("127.0.0.1", port), backlog=1024))
        udp = self._closing.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(tcp.getsockname())
        return port

    def close(self) -> None:
        """End all."""
        self.end_trouble()
        self._closing.close()

    def load(self, load: Load, file: Path) -> RunningLoad:
        """Requests of the clients in a file."""
        return RunningLoad(load, file, "127.0.0.1", self.served.port_number)

    def file(self, clients: Sequence[str]) -> Path:
        """A file for the load generator: these names, each with an address of its own."""
        self._files += 1
        path = self._folder / f"load-{self._files}"
        lines = (f"{key_of(name)} {FIRST + number} {name}\n" for number, name in enumerate(clients))
        path.write_text("".join(lines))
        return path

    def look(self, good: Path, new: Sequence[str]) -> Seen:
        """What the good clients get now."""
        connections = self._case.connections
        uptodate = self.load(Load(NONE, connections, SECONDS), good).count()
        changes = self.load(Load(ALL, connections, SECONDS), good).count()
        return Seen(uptodate, changes, self.load(Load(ALL, FEW, requests=len(new)), self.file(new)).count())

    def make_trouble(self) -> None:
        """Start the loads of those in trouble."""
        case = self._case
        for names in self.broken.values():
            rate = RATE / len(self.broken)
            self.troubles.append(self.load(Load(ALL, PER_ZONE, rate=rate), self.file(names)))
        if case.suspects:
            self.troubles.append(self.load(Load(ALL, len(case.suspects), rate=RATE), self.file(case.suspects)))
        if case.greedy:  # each of its connections wants another address
            rate = 0.0 if case.restless else float(case.greedy)
            self.troubles.append(self.load(Load(ALL, case.greedy, rate=rate), self.file([GREEDY] * case.greedy)))

    def end_trouble(self) -> list[Sample]:
        """End these loads; what they got."""
        found = [load.stop() for load in self.troubles]
        self.troubles.clear()
        return found


async def neighbours(case: Case, folder: Path) -> str:
    """Good clients alone, and beside those in trouble."""
    return await asyncio.to_thread(_measure, case, folder)


def _measure(case: Case, folder: Path) -> str:
    town = Town(folder, case)
    alone, beside, troubles = [], [], []
    try:
        good = town.file(town.good)
        town.load(Load(ALL, CROWD, requests=GOOD), good).result()
        turns = TURNS if case.keeps_rate else 1
        for turn in range(turns):
            PROGRESS.at(2 * turn, 2 * turns)
            alone.append(town.look(good, town.new[2 * turn]))
            PROGRESS.at(2 * turn + 1, 2 * turns)
            town.make_trouble()
            time.sleep(SETTLE_ZONES if case.zones else SETTLE)
            beside.append(town.look(good, town.new[2 * turn + 1]))
            troubles += town.end_trouble()
        log = town.served.log
    finally:
        town.close()
    figures = _figures(alone, beside, troubles)
    for holds in _promises(case, alone, beside):
        check(holds, figures)
    check(not [line for line in log if "defect" in line or "Traceback" in line], log[:3])
    return figures


def _promises(case: Case, alone: Sequence[Seen], beside: Sequence[Seen]) -> Iterator[bool]:
    yield not any(seen.wrong() for seen in (*alone, *beside))
    for before, now in zip(alone, beside, strict=True):
        yield max(now.uptodate.longest, now.changes.longest) < LONGEST
        yield now.new.longest < before.new.longest + LONGEST
    if case.keeps_rate:
        yield all(_ratio(what, alone, beside) >= LEAST for what in (UPTODATE, CHANGES))


def _ratio(what: Part, alone: Sequence[Seen], beside: Sequence[Seen]) -> float:
    return median(what(now).rate / what(before).rate for before, now in zip(alone, beside, strict=True))


def _figures(alone: Sequence[Seen], beside: Sequence[Seen], troubles: Sequence[Sample]) -> str:
    def told(name: str, what: Part) -> str:
        before, now = (median(what(seen).rate for seen in some) for some in (alone, beside))
        waits = [1000 * max(what(seen).longest for seen in some) for some in (alone, beside)]
        ratio = _ratio(what, alone, beside)
        return f"{name} {before:.0f} to {now:.0f}/s ({ratio:.2f}x), longest {waits[0]:.0f} to {waits[1]:.0f} ms"

    parts = [told("UPTODATE", UPTODATE), told("changes", CHANGES), told("new names", NEWCOMERS)]
    parts.append(f"{sum(seen.wrong() for seen in (*alone, *beside))} FAIL")
    answered = sum(load.wrong + load.requests for load in troubles)
    parts.append(f"in trouble: {answered} answers, {sum(load.wrong for load in troubles)} of them FAIL")
    return "; ".join(parts)
