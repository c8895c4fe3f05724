"""Two sftdyn in front of one primary with a secondary: rates, and when the secondary knows."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.lab.bind import Bind

from .fleet import Fleet, Mismatch, transfer
from .load import Load, RunningLoad, run_load
from .processes import QUIET, new_port, start_bind
from .rivals import Sftdyn
from .stage import ALL, CONNECTIONS, NONE

NAMES = 2000
HOSTS = ("127.0.0.1", "127.0.0.2")
PROBES = 20  # single changes whose way to the secondary is timed
PATIENCE = 20.0  # seconds that the secondary may take
# By default, BIND sends a zone's NOTIFY at most every five seconds.
NOTIFY = "notify explicit; also-notify {{ 127.0.0.1 port {port}; }}; notify-delay 0;"
SECONDARY = """zone "{zone}" {{ type secondary; primaries {{ 127.0.0.1 port {port}; }}; file "{zone}.zone"; }};"""


@dataclass(frozen=True)
class Instances:
    """Rates per second of one instance and of two together; times in seconds."""

    changes: tuple[float, float]
    uptodate: tuple[float, float]
    moved: float  # changes per second of two, when each name was last changed through the other one
    elsewhere: float  # longest time until the other instance has answered UPTODATE
    secondary: list[float]  # from OK until the secondary knew, for single changes
    after_load: float  # from the end of full load until the secondary agreed on all names


def measure(folder: Path, seconds: float, rounds: int) -> Instances:
    """Start all four servers, and measure."""
    folder.mkdir()
    fleet = Fleet("instances.example", NAMES, folder)
    with ExitStack() as closing:
        port = new_port()
        primary = start_bind(folder / "primary", [fleet], rest=NOTIFY.format(port=port))
        closing.callback(primary.kill)
        (folder / "secondary").mkdir()
        extra = QUIET + SECONDARY.format(zone=fleet.zone, port=primary.port)
        secondary = Bind(folder / "secondary", {}, extra=extra, port=port)
        secondary.start()
        closing.callback(secondary.kill)
        http_port = new_port()
        pair = []
        for number, host in enumerate(HOSTS):
            pair.append(Sftdyn(fleet, primary, host=host, port=http_port, name=f"instance-{number}"))
            closing.callback(pair[-1].stop)
            run_load(Load(NONE, CONNECTIONS, requests=NAMES), fleet, pair[-1])  # finds the zone of each name
        changes = _rates(fleet, pair, ALL, seconds, rounds)
        fleet.check(primary.port)
        uptodate = _rates(fleet, pair, NONE, seconds, rounds)
        moved = _run(fleet, pair[::-1], Load(ALL, CONNECTIONS, requests=NAMES // 2))
        after_load = _settled(fleet, secondary.port)
        probes = [_probe(fleet, pair, secondary.port) for _ in range(PROBES)]
        return Instances(changes, uptodate, moved, max(p[0] for p in probes), sorted(p[1] for p in probes), after_load)


def _rates(fleet: Fleet, pair: Sequence[Sftdyn], changes: int, seconds: float, rounds: int) -> tuple[float, float]:
    """One instance alone with its half of the clients, and both together, by turns; medians."""
    load = Load(changes, CONNECTIONS, seconds)
    found = [(_run(fleet, pair[:1], load), _run(fleet, pair, load)) for _ in range(rounds)]
    return median(one for one, _ in found), median(two for _, two in found)


def _run(fleet: Fleet, servers: Sequence[Sftdyn], load: Load) -> float:
    """The first of `servers` gets the first half of the clients, the second the other: answers per second of all."""
    lines = fleet.addresses.read_text().splitlines(keepends=True)
    middle = len(lines) // 2
    parts = [lines[:middle], lines[middle:]]
    files = [fleet.folder / f"half-{number}.addresses" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        file.write_text("".join(part))
    running = [RunningLoad(load, file, s.host, s.port) for file, s in zip(files, servers, strict=False)]
    samples = [one.result() for one in running]
    fleet.addresses.write_text("".join(file.read_text() for file in files))
    return sum(sample.requests for sample in samples) / max(sample.seconds for sample in samples)


def _settled(fleet: Fleet, port: int) -> float:
    """Seconds until the secondary agrees with all that was acknowledged. Raises Mismatch after some patience."""
    start = time.monotonic()
    while True:
        try:
            fleet.check(port)
            return time.monotonic() - start
        except Mismatch:
            if time.monotonic() > start + PATIENCE:
                raise


def _probe(fleet: Fleet, pair: Sequence[Sftdyn], port: int) -> tuple[float, float]:
    """A change through one instance: seconds until the other says UPTODATE, and until the secondary knows."""
    run_load(Load(ALL, 1, requests=1), fleet, pair[0])
    start = time.monotonic()
    run_load(Load(NONE, 1, requests=1), fleet, pair[1])  # any other answer than UPTODATE ends the bench
    elsewhere = time.monotonic() - start
    expected = [str(fleet.read_addresses()[0])]
    name = f"{next(fleet.labels())}.{fleet.zone}."
    while transfer(fleet.zone, port).get(name) != expected:
        if time.monotonic() > start + PATIENCE:
            raise Mismatch(f"the secondary does not hear of {name}")
    known = time.monotonic() - start
    time.sleep(0.1)
    return elsewhere, known
