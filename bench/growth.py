"""What grows with the clients in the conf and the names in the zone, and what with the number of requests."""

import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.lab.bind import Bind
from tests.lab.machine import resident
from tests.lab.progress import Progress

from .fleet import Fleet
from .load import Load, run_load
from .processes import start_bind
from .rivals import Sftdyn
from .stage import ALL, CONNECTIONS, MIXED, NONE

ZONES = {1_000: [1_000], 30_000: [1_000], 1_000_000: [10, 1_000, 10_000, 1_000_000]}  # names → clients in the conf
FEW = 10  # connections, in all rows, since ten clients cannot use more
USED = 1_000  # clients that the load uses, spread over the conf


@dataclass(frozen=True)
class Size:
    """One row. Times in seconds, memory in MiB, rates per second."""

    names: int
    clients: int
    first_answer: float  # from the start of the process
    idle: float
    child_idle: float
    first_pass: float  # UPTODATE, each name for the first time
    changes: float
    uptodate: float
    after: float  # memory


@dataclass(frozen=True)
class Endurance:
    """Memory in MiB of sftdyn and its nsupdate, by the number of requests served."""

    memory: dict[int, tuple[float, float]]


def measure(folder: Path, seconds: float, most: int, progress: Progress) -> list[Size]:
    """All rows with zones of up to `most` names."""
    rows = []
    for names, conf_sizes in ZONES.items():
        if names > most:
            continue
        fleet = Fleet("growth.example", names, folder / f"zone-{names}")
        fleet.folder.mkdir()
        bind = start_bind(fleet.folder / "named", [fleet])
        try:
            addresses = list(fleet.first_addresses())
            for clients in conf_sizes:
                progress.now(f"{clients:,} clients, {names:,} names")
                rows.append(_measure(bind, addresses, clients, seconds))
                progress.say(str(rows[-1]))
        finally:
            bind.kill()
    return rows


def _measure(bind: Bind, addresses: list[IPv4Address], clients: int, seconds: float) -> Size:
    """A conf with so many clients; the load uses some of them. `addresses` of the whole zone are kept up."""
    folder = bind.folder.parent / f"conf-{clients}"
    some = Fleet("growth.example", min(clients, USED), folder / "used", step=max(1, clients // USED))
    some.folder.mkdir(parents=True)
    used = slice(0, clients, some.step)
    some.write_addresses(addresses[used])
    everyone = Fleet("growth.example", clients, folder)
    everyone.write()
    start = time.monotonic()
    sftdyn = Sftdyn(everyone, bind)
    try:
        run_load(Load(NONE, 1, requests=1), some, sftdyn)
        first_answer = time.monotonic() - start
        idle, child_idle = memory(sftdyn)
        first_pass = run_load(Load(NONE, FEW, requests=some.size), some, sftdyn).rate
        changes = run_load(Load(ALL, FEW, seconds), some, sftdyn).rate
        uptodate = run_load(Load(NONE, FEW, seconds), some, sftdyn).rate
        some.check(bind.port)
        addresses[used] = some.read_addresses()
        after, _ = memory(sftdyn)
        return Size(len(addresses), clients, first_answer, idle, child_idle, first_pass, changes, uptodate, after)
    finally:
        sftdyn.stop()


def memory(sftdyn: Sftdyn) -> tuple[float, float]:
    """Of sftdyn, and of its nsupdate, in MiB."""
    return sftdyn.resident() / 1024, sum(map(resident, sftdyn.children())) / 1024


def endure(folder: Path, requests: int) -> Endurance:
    """Memory over so many mixed requests, in two halves."""
    folder.mkdir()
    fleet = Fleet("endurance.example", 1_000, folder)
    bind = start_bind(folder / "named", [fleet])
    sftdyn = Sftdyn(fleet, bind)
    try:
        run_load(Load(NONE, 1, requests=1), fleet, sftdyn)
        found = {1: memory(sftdyn)}
        for half in (1, 2):
            run_load(Load(MIXED, CONNECTIONS, requests=requests // 2), fleet, sftdyn)
            found[half * requests // 2] = memory(sftdyn)
        fleet.check(bind.port)
        return Endurance(found)
    finally:
        sftdyn.stop()
        bind.kill()
