"""Many seeds, in processes of their own: the seed of Python's hashes, by which sets are in order, is part of each."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.lab.machine import ROOT

from .scenario import Report

CHUNK = 20  # seeds for each process
JOBS = os.cpu_count() or 1
MODULE = (sys.executable, "-P", "-m", "tests.providers.simulation")


@dataclass(frozen=True)
class Seeds:
    """Which histories, with which engine."""

    kind: str
    first: int
    count: int
    package: Path = ROOT  # the folder that holds sftdyn

    def chunks(self) -> list["Seeds"]:
        """Of which each has one seed of hashes."""
        ends = range(self.first - self.first % CHUNK + CHUNK, self.first + self.count, CHUNK)
        starts = [self.first, *ends]
        return [
            replace(self, first=start, count=end - start)
            for start, end in zip(starts, [*ends, self.first + self.count], strict=True)
        ]


def hash_seed(seed: int) -> str:
    """Of a seed; what the environment says goes first."""
    said = os.environ.get("PYTHONHASHSEED", "random")
    return said if said != "random" else str(seed // CHUNK)


def again(seeds: Seeds, seed: int) -> str:
    """The command that repeats one."""
    more = f" --package {seeds.package}" if seeds.package != ROOT else ""
    command = f"./tests/simulate --provider {seeds.kind} --from {seed} --seeds 1{more}"
    return f"PYTHONHASHSEED={hash_seed(seed)} {command}"


def reports(seeds: Seeds, jobs: int = JOBS) -> Generator[Report, None, None]:
    """What came of each, as soon as it is known, so many processes at a time."""
    found: queue.Queue[Report | None] = queue.Queue()
    waiting = queue.SimpleQueue[Seeds]()
    for chunk in seeds.chunks():
        waiting.put(chunk)
    running: list[subprocess.Popen[str]] = []

    def work() -> None:
        try:
            while not waiting.empty():
                for report in _chunk(waiting.get_nowait(), running):
                    found.put(report)
        except queue.Empty:
            pass
        finally:
            found.put(None)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    try:
        for _ in workers:
            while report := found.get():
                yield report
    finally:
        while not waiting.empty():
            waiting.get()
        for process in running:
            process.terminate()
        for worker in workers:
            worker.join()


def _chunk(seeds: Seeds, running: list[subprocess.Popen[str]]) -> Iterator[Report]:
    """One process."""
    process = start(seeds.package, hash_seed(seeds.first), "--worker", seeds.kind, str(seeds.first), str(seeds.count))
    running.append(process)
    assert process.stdout
    last = seeds.first - 1
    with process:
        for line in process.stdout:
            report = read(json.loads(line))
            last = report.seed
            yield report
    running.remove(process)
    if process.returncode > 0:
        yield Report(last + 1, [f"the process ended with {process.returncode}"])


def start(package: Path, seed_of_hashes: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of the simulation, with the sftdyn of that folder."""
    environment = {**os.environ, "PYTHONHASHSEED": seed_of_hashes, "PYTHONPATH": f"{package}:{ROOT}"}
    return subprocess.Popen([*MODULE, *arguments], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def read(said: dict[str, Any]) -> Report:
    """A report that `written` wrote."""
    return Report(**{**said, "outcomes": Counter(said["outcomes"])})


def written(report: Report) -> str:
    """A line of JSON."""
    return json.dumps(vars(report))


def told(seeds: Seeds, report: Report, most: int = 3) -> str:
    """A report with problems, for who has to find out."""
    lines = [f"{seeds.kind}, seed {report.seed}: {len(report.problems)} broken", *report.problems[:most]]
    return "\n  ".join([*lines, f"again: {again(seeds, report.seed)}"])


def total(found: Sequence[Report]) -> str:
    """What all of them were."""
    outcomes: Counter[str] = Counter()
    for report in found:
        outcomes += report.outcomes
    updates, messages = sum(report.updates for report in found), sum(report.messages for report in found)
    hours = sum(report.seconds for report in found) / 3600
    said = ", ".join(f"{number} {name}" for name, number in outcomes.most_common())
    bad = sum(bool(report.problems) for report in found)
    return f"{len(found)} seeds, {bad} bad; {updates} updates, {messages} messages, {hours:.1f} hours; {said}"
