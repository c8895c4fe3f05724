"""Arguments, and the order of things."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import CannotRun
from tests.lab.progress import Progress

from . import connections, figures, growth, instances, report
from .figures import FIGURES
from .fleet import Mismatch
from .load import WrongAnswers
from .stage import Stage

HERE = Path(__file__).parent
SECTIONS = ("connections", "growth", "instances")
BEGIN = time.monotonic()

Section = tuple[str, str]  # title, text


@dataclass(frozen=True)
class Extent:
    """How long everything is measured."""

    rounds: int
    seconds: float  # of one measurement
    names: int  # in the largest zone
    requests: int  # of the endurance test


FULL = Extent(rounds=5, seconds=3, names=1_000_000, requests=200_000)
QUICK = Extent(rounds=1, seconds=1, names=30_000, requests=10_000)


def main() -> int:
    """Measure, print, and write what was measured in full; the exit code."""
    chosen, quick = _arguments()
    extent = QUICK if quick else FULL
    try:
        with tempfile.TemporaryDirectory(prefix="sftdyn-bench-") as folder, Clocked() as progress:
            sections = _measure(Path(folder), chosen, extent, progress, keep=not quick)
    except (WrongAnswers, Mismatch, CannotRun) as failure:
        print(f"FAILED, {type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    results = report.whole(sections, extent.rounds, extent.seconds)
    print(f"\n{results}")
    if not quick and len(chosen) == len(_names()):
        (HERE / "RESULTS.md").write_text(results)
    return 0


def _names() -> list[str]:
    return [*(figure.name for figure in FIGURES), *SECTIONS]


def _arguments() -> tuple[list[str], bool]:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure sftdyn beside its rivals.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="measure these only: " + ", ".join(_names()))
    parser.add_argument("--quick", action="store_true", help="one short round, for development; writes nothing")
    options = parser.parse_args()
    unknown = set(options.names) - set(_names())
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options.names or _names(), options.quick


def _measure(folder: Path, chosen: Sequence[str], extent: Extent, progress: Progress, keep: bool) -> list[Section]:
    sections: list[Section] = []
    table = [figure for figure in FIGURES if figure.name in chosen]
    if table or "connections" in chosen:
        sections += _on_stage(folder, table, chosen, extent, progress, keep)
    if "growth" in chosen:
        rows = growth.measure(folder, extent.seconds, extent.names, progress)
        sections.append(("Clients and names", report.growth(rows)))
        progress.now("endurance")
        found = growth.endure(folder / "endurance", extent.requests)
        sections.append(("Memory over many requests", report.endurance(found)))
    if "instances" in chosen:
        progress.now("two instances")
        two = instances.measure(folder / "instances", extent.seconds, extent.rounds)
        sections.append(("Two instances, one primary, one secondary", report.instances(two)))
    return sections


def _on_stage(
    folder: Path,
    table: Sequence[figures.Figure],
    chosen: Sequence[str],
    extent: Extent,
    progress: Progress,
    keep: bool,
) -> list[Section]:
    sections: list[Section] = []
    with Stage(folder, extent.seconds) as stage:
        if table:
            samples = figures.run(table, stage, extent.rounds, progress)
            sections.append(("Goals", report.goals(table, samples)))
            text = f"{report.shares(samples)}\n\n{report.ceiling(samples)}"
            sections.append(("Where the time goes, in shares of one core", text))
        if "connections" in chosen:
            stage.seconds = extent.seconds / 2
            curves = connections.measure(stage, progress)
            if keep:
                connections.plot(curves, HERE / "connections.svg")
            text = "![rate and latency over the number of connections](connections.svg)"
            sections.append(("Rate and latency over the number of connections", text))
    return sections


class Clocked(Progress):
    """Says with each line how long it took until then."""

    def say(self, line: str) -> None:
        super().say(f"{time.monotonic() - BEGIN:6.0f} s  {line}")


if __name__ == "__main__":
    sys.exit(main())
