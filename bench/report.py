"""Results as text: Markdown that also reads well on a terminal."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median

from . import machine
from .figures import Figure, Samples, Side
from .growth import Endurance, Size
from .instances import Instances

HOW = """Again: `./bench/run` (installs what is missing, and ends by itself within 20 minutes). One short round, which
writes nothing: `./bench/run --quick`. Some figures only: their names, as `./bench/run --help` lists them."""

METHOD = """Every request comes over a new connection from the loopback address that its client has at the time, with
the key of one of 1000 clients; that of `/` has no key. Where the address is in a parameter or header, the connection
comes from another one. The server's cost is its time of a processor for an answer; that of its nsupdate is not in it.
Each server logs what it logs by default; `-v` is a line about each request, as the service has it. named does not log
updates. All servers run side by side; each round makes every measurement once, one after the other. Values are the
medians of {rounds} rounds of {seconds:g} s (least – most); a ratio is the median of the ratios within the rounds. A
wrong answer, or a name in the zone that is not what was acknowledged last, ends the bench; it is looked for after each
measurement."""

CEILING = """How we know that the load generator is not the bottleneck: against a server in C that answers a constant,
it makes {rate:,.0f} requests per second on this machine, with {share:.0%} of a core ({cost:.0f} µs each, most of it
the kernel's). Where a server carries less, its own share below tells what it waits for. A TLS handshake costs the
client as much as the server, whatever the client."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def goals(figures: Iterable[Figure], samples: Samples) -> str:
    """The table of the goals."""
    header = ("figure", "sftdyn", "against", "", "ratio", "goal", "reached")
    return table(header, (_goal(figure, samples) for figure in figures))


def _goal(figure: Figure, samples: Samples) -> list[str]:
    sign = "≥" if figure.at_least else "≤"
    return [
        figure.title,
        _values(figure.ours, samples),
        figure.theirs.who,
        _values(figure.theirs, samples),
        _spread(figure.ratios(samples), ".3g", "×"),
        f"{sign} {figure.goal:g}×",
        "yes" if figure.reached(samples) else "**no**",
    ]


def _values(side: Side, samples: Samples) -> str:
    values = side.values(samples)
    if side.quantity == "rate":
        return _spread(values, ",.0f", "/s")
    if side.quantity == "cost":
        return _spread([value * 1e6 for value in values], ",.0f", " µs")
    return _spread([value * 1000 for value in values], ".2f", " ms")


def _spread(values: Sequence[float], form: str, unit: str) -> str:
    middle = f"{median(values):{form}}{unit}"
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} – {max(values):{form}})"


def shares(samples: Samples) -> str:
    """Who used the processors: the reason why a figure is not higher."""
    header = (
        "measurement",
        "rate",
        "p50",
        "p99",
        "longest",
        "load generator",
        "server",
        "its nsupdate",
        "named",
        "server's cost",
    )
    return table(header, (_shares(name, samples) for name in samples))


def _shares(name: str, samples: Samples) -> list[str]:
    taken = samples[name]
    used = [_share(name, part, samples) for part in ("load", "server", "nsupdate", "named")]
    server = [s.cost for s in taken if "server" in s.shares]
    return [
        name,
        f"{median(s.rate for s in taken):,.0f}/s",
        f"{median(s.p50 for s in taken) * 1000:.2f} ms",
        f"{median(s.p99 for s in taken) * 1000:.2f} ms",
        f"{max(s.longest for s in taken) * 1000:.0f} ms",
        *used,
        f"{median(server) * 1e6:,.0f} µs" if server else "",
    ]


def _share(name: str, part: str, samples: Samples) -> str:
    found = [sample.shares[part] for sample in samples[name] if part in sample.shares]
    return f"{median(found):.0%}" if found else ""


def growth(rows: Sequence[Size]) -> str:
    """What grows with clients and names."""
    header = (
        "names in the zone",
        "clients in the conf",
        "first answer",
        "memory idle",
        "after the load",
        "its nsupdate",
    )
    text = table(
        (*header, "first UPTODATE of each name", "changes", "UPTODATE"),
        (
            [
                f"{row.names:,}",
                f"{row.clients:,}",
                f"{row.first_answer:.2f} s",
                f"{row.idle:,.1f} MiB",
                f"{row.after:,.1f} MiB",
                f"{row.child_idle:.1f} MiB",
                f"{row.first_pass:,.0f}/s",
                f"{row.changes:,.0f}/s",
                f"{row.uptodate:,.0f}/s",
            ]
            for row in rows
        ),
    )
    least, most = min(rows, key=lambda r: r.clients), max(rows, key=lambda r: r.clients)
    if most.clients < 100_000:
        return text
    octets = (most.idle - least.idle) * 2**20 / (most.clients - least.clients)
    return f"{text}\n\nA client in the conf costs {octets:.0f} octets of memory. Rates with 10 connections."


def endurance(found: Endurance) -> str:
    """Memory by requests."""
    header = ("requests served", "sftdyn", "its nsupdate")
    rows = [[f"{n:,}", f"{ours:.1f} MiB", f"{child:.1f} MiB"] for n, (ours, child) in found.memory.items()]
    return table(header, rows)


def instances(found: Instances) -> str:
    """Two sftdyn, one primary, one secondary."""
    rows = [
        [what, f"{one:,.0f}/s", f"{two:,.0f}/s"]
        for what, (one, two) in (("changes", found.changes), ("UPTODATE", found.uptodate))
    ]
    lags = found.secondary
    return (
        f"{table(('', 'one instance', 'two instances'), rows)}\n\n"
        "Both instances, both name servers and the load share the cores. Where all clients have moved to the other "
        f"instance, so that what each saw last is wrong, both make {found.moved:,.0f} changes/s. "
        f"{len(lags)} changes through one instance were all UPTODATE at once through the other (the question took "
        f"{found.elsewhere * 1000:.0f} ms at most), and on the secondary within {median(lags) * 1000:.0f} ms "
        f"({lags[0] * 1000:.0f} – {lags[-1] * 1000:.0f}). After full load, the secondary agreed on all names within "
        f"{found.after_load * 1000:.0f} ms."
    )


def ceiling(samples: Samples) -> str:
    """What the load generator can do."""
    taken = samples["ceiling"]
    rate, share = (median(values) for values in ([s.rate for s in taken], [s.shares["load"] for s in taken]))
    return CEILING.format(rate=rate, share=share, cost=share / rate * 1e6)


def whole(sections: Sequence[tuple[str, str]], rounds: int, seconds: float) -> str:
    """RESULTS.md."""
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    head = f"# Results\n\n{date}, {machine.machine()}.\n\n{machine.versions()}.\n\n"
    method = METHOD.format(rounds=rounds, seconds=seconds)
    parts = [f"## {title}\n\n{text}\n" for title, text in sections]
    return head + method + "\n\n" + "\n".join(parts) + f"\n## How to repeat\n\n{HOW}\n"
