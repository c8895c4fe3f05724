"""The figures of the table: what is compared with what, and which ratio is the goal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tests.lab.progress import Progress

from .load import Sample
from .stage import INFORMATIVE, MEASUREMENTS, NEEDS, Stage

Samples = Mapping[str, Sequence[Sample]]  # measurement → one of each round
Quantity = Literal["rate", "p50", "p99", "cost"]


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    who: str
    measurement: str
    quantity: Quantity = "rate"

    def values(self, samples: Samples) -> list[float]:
        """One value of each round: per second, or seconds."""
        return [getattr(sample, self.quantity) for sample in samples[self.measurement]]


@dataclass(frozen=True)
class Figure:
    """A row of the table. The ratio of each round is ours to theirs; their median shall reach the goal."""

    name: str
    title: str
    ours: Side
    theirs: Side
    goal: float
    at_least: bool = True

    def ratios(self, samples: Samples) -> list[float]:
        pairs = zip(self.ours.values(samples), self.theirs.values(samples), strict=True)
        return [ours / theirs for ours, theirs in pairs]

    def reached(self, samples: Samples) -> bool:
        ratio = median(self.ratios(samples))
        return ratio >= self.goal if self.at_least else ratio <= self.goal


CHANGES = Side("sftdyn", "changes")
UPTODATE = Side("sftdyn", "uptodate")
DIRECT = Side("the direct door", "uptodate", "cost")


def _way_in(name: str, title: str, measurement: str, goal: float) -> "Figure":
    """What a confirmed UPTODATE costs the server where key or address come on another way."""
    return Figure(name, title, Side("sftdyn", measurement, "cost"), DIRECT, goal, at_least=False)


FIGURES = (
    Figure("changes", "changes, 128 connections", CHANGES, Side("sftdyn 0.10", "changes, 0.10"), 60),
    Figure(
        "changes-dnsperf", "changes, 128 connections", CHANGES, Side("dnsperf -u, 64 in flight", "changes, dnsperf"), 4
    ),
    Figure("uptodate", "verified UPTODATE", UPTODATE, Side("0.10, from its memory", "uptodate, 0.10"), 1.6),
    _way_in("parameter", "UPTODATE with `?myip=`, server's cost", "parameter", 1.25),
    _way_in("proxy", "UPTODATE behind a trusted proxy, server's cost", "proxy", 1.25),
    _way_in("dyndns2", "UPTODATE by dyndns2 with Basic, server's cost", "dyndns2", 1.5),
    Figure(
        "status",
        "UPTODATE with `status`, a scrape each second",
        Side("sftdyn", "uptodate, status"),
        Side("without", "uptodate"),
        0.97,
    ),
    _way_in("own-address", "`/`, server's cost", "front", 1),
    Figure("crowd", "changes by 100,000 clients", Side("sftdyn", "crowd"), Side("by 1000", "changes"), 0.7),
    Figure(
        "crowd-uptodate",
        "UPTODATE, 100,000 clients have changed",
        Side("sftdyn", "crowd, uptodate"),
        Side("1000, without quota", "uptodate"),
        0.7,
    ),
    Figure(
        "first-contact",
        "first contact, UPTODATE",
        Side("sftdyn", "first contact"),
        Side("second contact", "second contact"),
        0.5,
    ),
    Figure(
        "first-contact-changes",
        "first contact, changes",
        Side("sftdyn", "first contact, changes"),
        Side("second contact", "second contact, changes"),
        0.5,
    ),
    Figure("mixed", "mixed, 1 in 10 is a change", Side("sftdyn", "mixed"), Side("our UPTODATE", "uptodate"), 0.6),
    Figure("storm", "storms, changes in them", Side("sftdyn", "storm"), Side("our changes", "changes"), 0.7),
    Figure(
        "single",
        "latency of a single change, p50",
        Side("sftdyn", "single change", "p50"),
        Side("dnsperf -u, 1 in flight", "single change, dnsperf", "p50"),
        2.5,
        at_least=False,
    ),
    Figure(
        "half",
        "p99 at half of the maximum rate, changes",
        Side("p99", "changes at half rate", "p99"),
        Side("p50", "changes at half rate", "p50"),
        4,
        at_least=False,
    ),
    Figure(
        "half-uptodate",
        "p99 at half of the maximum rate, UPTODATE",
        Side("p99", "uptodate at half rate", "p99"),
        Side("p50", "uptodate at half rate", "p50"),
        4,
        at_least=False,
    ),
    Figure(
        "https", "HTTPS, full handshakes, UPTODATE", Side("sftdyn", "https"), Side("sftdyn 0.10", "https, 0.10"), 1.2
    ),
    Figure(
        "front", "HTTP front alone", Side("sftdyn", "front"), Side("asyncio, http.server", "front, http.server"), 0.8
    ),
    Figure(
        "slow-disk",
        "changes, each fsync 5 ms longer",
        Side("sftdyn", "slow disk"),
        Side("dnsperf -u, 64 in flight", "slow disk, dnsperf"),
        20,
    ),
)


def measurements(figures: Iterable[Figure]) -> list[str]:
    """Those that the figures need, in the order in which a round makes them."""
    wanted = {side.measurement for figure in figures for side in (figure.ours, figure.theirs)}
    wanted |= {NEEDS[name] for name in wanted if name in NEEDS} | {*INFORMATIVE}
    return [name for name in MEASUREMENTS if name in wanted]


def run(figures: Sequence[Figure], stage: Stage, rounds: int, progress: Progress) -> dict[str, list[Sample]]:
    """Interleaved: each round makes every measurement once."""
    samples: dict[str, list[Sample]] = {name: [] for name in measurements(figures)}
    for number in range(1, rounds + 1):
        for place, (name, taken) in enumerate(samples.items()):
            progress.now(f"round {number} of {rounds}  {name}")
            progress.at((number - 1) * len(samples) + place, rounds * len(samples))
            sample = stage.measure(name)
            taken.append(sample)
            shares = ", ".join(f"{part} {share:.0%}" for part, share in sample.shares.items())
            progress.say(
                f"round {number}/{rounds}  {name:24} {sample.rate:8.0f}/s"
                f"  p50 {sample.p50 * 1000:7.2f} ms  p99 {sample.p99 * 1000:8.2f} ms"
                f"  longest {sample.longest * 1000:6.0f} ms  {shares}"
            )
    return samples
