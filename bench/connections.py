"""Rate and latency over the number of connections, as a plot."""

from collections.abc import Callable
from pathlib import Path

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.lab.progress import Progress

from .load import Load, Sample
from .stage import ALL, DNSPERF_RATE, DNSPERF_RATE_SINGLE, NONE, Stage

NUMBERS = [2**exponent for exponent in range(11)]
Series = dict[int, Sample]  # by the number of connections

# 0.10 starts a process for each change; and BIND drops updates beyond its update-quota, 100 at a time.
MOST = {"sftdyn 0.10, changes": 256, "dnsperf -u (messages in flight)": 64}

CURVES: dict[str, tuple[Callable[[Stage, int], Sample], str, str]] = {  # label → measurement, colour, line style
    "sftdyn, UPTODATE": (lambda s, n: s.on_ours(Load(NONE, n, s.seconds)), "tab:blue", "--"),
    "sftdyn, changes": (lambda s, n: s.on_ours(Load(ALL, n, s.seconds)), "tab:blue", "-"),
    "sftdyn 0.10, UPTODATE from memory": (lambda s, n: s.on_010(Load(NONE, n, s.seconds)), "tab:orange", "--"),
    "sftdyn 0.10, changes": (lambda s, n: s.on_010(Load(ALL, n, s.seconds)), "tab:orange", "-"),
    "dnsperf -u (messages in flight)": (
        lambda s, n: s.dns_updates(n, DNSPERF_RATE_SINGLE if n == 1 else DNSPERF_RATE),
        "tab:green",
        "-",
    ),
}


def measure(stage: Stage, progress: Progress) -> dict[str, Series]:
    """Every curve, interleaved."""
    curves: dict[str, Series] = {label: {} for label in CURVES}
    for place, number in enumerate(NUMBERS):
        progress.now(f"{number} connections")
        progress.at(place, len(NUMBERS))
        for label, (run, _, _) in CURVES.items():
            if number <= MOST.get(label, number):
                sample = curves[label][number] = run(stage, number)
                progress.say(
                    f"{number:5} connections  {label:34} {sample.rate:8.0f}/s  p50 {sample.p50 * 1000:8.2f} ms"
                )
    return curves


def plot(curves: dict[str, Series], path: Path) -> None:
    """Write the plot as SVG."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    rate, latency = figure.subplots(2, 1, sharex=True)
    for label, series in curves.items():
        _, colour, style = CURVES[label]
        rate.plot(list(series), [s.rate for s in series.values()], style, color=colour, marker=".", label=label)
        latency.plot(list(series), [s.p50 * 1000 for s in series.values()], style, color=colour, marker=".")
        shade = {"color": colour, "alpha": 0.12}
        latency.fill_between(
            list(series), [s.p50 * 1000 for s in series.values()], [s.p99 * 1000 for s in series.values()], **shade
        )
    _label(rate, "answers per second")
    _label(latency, "latency in ms: p50, shaded up to p99")
    latency.set_xlabel("connections at a time, each for one request")
    rate.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _label(axes: Axes, text: str) -> None:
    axes.set(xscale="log", yscale="log", ylabel=text)
    axes.grid(alpha=0.3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xticks(NUMBERS)
    axes.xaxis.set_minor_locator(ticker.NullLocator())
