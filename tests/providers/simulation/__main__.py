"""./tests/simulate: many seeds by hand."""

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path

from tests.lab.machine import ROOT
from tests.lab.progress import Progress

from . import mutate, runner, test_rows, test_rules
from .casts import CASTS
from .scenario import Report, play

SHOWN = 5  # failures of each kind of provider that are told whole


def main() -> int:
    """The exit code: 1 if an invariant is broken."""
    if sys.argv[1:2] == ["--worker"]:
        return _worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    if sys.argv[1:] == ["--rows"]:
        return _rows()
    parser = argparse.ArgumentParser(prog="./tests/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--provider", choices=CASTS, action="append", help="one kind of providers; else all of them")
    parser.add_argument("--package", type=Path, default=ROOT, help="the folder that holds another sftdyn")
    parser.add_argument("--jobs", type=int, default=runner.JOBS, help="processes at a time; else one for each core")
    parser.add_argument("--only", default="", help="mutations whose rule or file has this text in it")
    parser.add_argument("--mutate", action="store_true", help="break each rule of the engine: is it noticed?")
    said = parser.parse_args()
    kinds = said.provider or list(CASTS)
    if said.mutate:
        return mutate.main(said.seeds, said.first, said.provider or [], said.jobs, said.only)
    seeds = [runner.Seeds(kind, said.first, said.seeds, said.package.resolve()) for kind in kinds]
    with Progress() as progress:
        return max(_simulate(one, said.jobs, progress) for one in seeds)


def _worker(kind: str, first: int, count: int) -> int:
    """A line for each seed."""
    logging.disable(logging.CRITICAL)
    for seed in range(first, first + count):
        print(runner.written(play(seed, kind)), flush=True)
    return 0


def _rows() -> int:
    """The name of the first scene of test_rows and test_rules that fails."""
    logging.disable(logging.CRITICAL)
    for name, scene in [*vars(test_rows).items(), *vars(test_rules).items()]:
        if name.startswith("test_"):
            try:
                scene()
            except Exception:
                print(name, flush=True)
                return 1
    return 0


def _simulate(seeds: runner.Seeds, jobs: int, progress: Progress) -> int:
    progress.now(seeds.kind)
    began = time.monotonic()
    found: list[Report] = []
    names: Counter[str] = Counter()
    for report in runner.reports(seeds, jobs):
        found.append(report)
        progress.at(len(found), seeds.count)
        names.update({problem.partition(":")[0] for problem in report.problems})
        if report.problems and sum(bool(one.problems) for one in found) <= SHOWN:
            progress.say(runner.told(seeds, report))
    took = time.monotonic() - began
    progress.say(f"{seeds.kind}: {runner.total(found)}; {took:.0f} s")
    if names:
        progress.say("  broken in so many seeds: " + ", ".join(f"{name} {number}" for name, number in names.items()))
    return int(bool(names))


sys.exit(main())
