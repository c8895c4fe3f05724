"""The metrics, in Prometheus' text format 0.0.4 (prometheus.io, Exposition formats). Pure.

No label holds an address or a key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from ...values.exchanges import SECONDS, UPDATES, Histogram, Vitals
from ..watch.seen import Row
from ..watch.states import UNWELL
from .overview import Overview, counted_by_state, hosts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MANY = 200  # hosts with metrics of their own; of more hosts, those that are unwell
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels: TypeAlias = Mapping[str, str]
Samples: TypeAlias = Iterable[tuple[Labels, float]]


def render(overview: Overview) -> str:
    """All metrics."""
    parts = [*_about_all(overview), *_about_requests(overview), *_about_providers(overview), *_about_hosts(overview)]
    return "".join(line + "\n" for part in parts for line in part)


def family(name: str, kind: str, meaning: str, samples: Samples) -> Iterator[str]:
    """The lines of one metric; none if it has no samples."""
    lines = [f"sftdyn_{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    if lines:
        yield f"# HELP sftdyn_{name} {meaning}"
        yield f"# TYPE sftdyn_{name} {kind}"
        yield from lines


def histograms(name: str, meaning: str, found: Iterable[tuple[Labels, Histogram]]) -> Iterator[str]:
    """The lines of one metric that is a histogram."""
    yield f"# HELP sftdyn_{name} {meaning}"
    yield f"# TYPE sftdyn_{name} histogram"
    for labels, histogram in found:
        count = 0
        for bound, more in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
            count += more
            yield f"sftdyn_{name}_bucket{_labels({**labels, 'le': _number(bound)})} {count}"
        yield f"sftdyn_{name}_sum{_labels(labels)} {histogram.total!r}"
        yield f"sftdyn_{name}_count{_labels(labels)} {count}"


def _about_all(overview: Overview) -> Iterator[Iterator[str]]:
    end = overview.certificate_end
    yield family("info", "gauge", "The version that runs.", [({"version": overview.version}, 1)])
    yield family("start_timestamp_seconds", "gauge", "When sftdyn was started.", [({}, overview.started)])
    yield family("clients", "gauge", "Clients in the conf.", [({}, overview.clients)])
    meaning = "When the certificate of https ends."
    yield family("certificate_end_timestamp_seconds", "gauge", meaning, [] if end is None else [({}, end)])


def _about_requests(overview: Overview) -> Iterator[Iterator[str]]:
    seen = overview.seen
    answers = [
        ({"door": door, "outcome": outcome.name.lower()}, count)
        for door, outcomes in sorted(seen.answers.items())
        for outcome, count in outcomes.items()
        if count
    ]
    yield family("answers_total", "counter", "What became of host names in requests, or of requests.", answers)
    times = [({"door": door}, histogram) for door, histogram in sorted(seen.seconds.items())]
    yield histograms("request_duration_seconds", "From a request's last octet to its answer.", times)


def _about_providers(overview: Overview) -> Iterator[Iterator[str]]:
    kinds: dict[str, list[Vitals]] = {}
    for kind, vitals in overview.providers:
        kinds.setdefault(kind, []).append(vitals)
    all_kinds = [({"provider": kind}, its) for kind, its in sorted(kinds.items())]
    answered = [(labels, _answered(its)) for labels, its in all_kinds]
    asked = [(labels, max(one.exchanges.last for one in its)) for labels, its in all_kinds]
    meaning = "Whether the last question to each provider of this kind was answered."
    yield family("provider_answers", "gauge", meaning, answered)
    meaning = "When a provider of this kind was last asked."
    yield family("provider_asked_timestamp_seconds", "gauge", meaning, [one for one in asked if one[1]])
    waiting = [(labels, sum(one.waiting for one in its)) for labels, its in all_kinds]
    yield family("updates_waiting", "gauge", "Updates that are under way or wait.", waiting)
    mended = [(labels, sum(one.mended for one in its)) for labels, its in all_kinds]
    yield family("late_writes_mended_total", "counter", "Updates applied late, and undone.", mended)
    exchanges = [(labels, [one.exchanges for one in its]) for labels, its in all_kinds]
    times = [(labels, _sum(SECONDS, [one.seconds for one in its])) for labels, its in exchanges]
    yield histograms("provider_duration_seconds", "How long a provider took for a batch.", times)
    sizes = [(labels, _sum(UPDATES, [one.updates for one in its])) for labels, its in exchanges]
    yield histograms("batch_updates", "Updates in a batch.", sizes)


def _about_hosts(overview: Overview) -> Iterator[Iterator[str]]:
    all_hosts = hosts(overview)
    found = counted_by_state(all_hosts)
    states = [({"state": state.value}, count) for state, count in found.items()]
    yield family("hosts", "gauge", "Host names, by how they are.", states)
    own = [row for row in overview.seen.rows if row.place[0] in overview.own]
    if own:
        meaning = "When the address that is oldest of this machine's own was confirmed."
        known = {row.place[0] for row in own if row.place[1]}  # what fails before there is a type confirms nothing
        oldest = min(row.confirmed or 0.0 for row in own if row.place[1] or row.place[0] not in known)
        yield family("own_confirmed_timestamp_seconds", "gauge", meaning, [({}, oldest)])
    single = all_hosts if len(all_hosts) <= MANY else [host for host in all_hosts if host.state in UNWELL][:MANY]
    heard = [(host, row) for host in single if (row := host.last)]
    meaning = "When a host name was last asked for. With very many, of those that fail or are silent only."
    yield family("host_seen_timestamp_seconds", "gauge", meaning, [({"host": h.name}, r.seen) for h, r in heard])
    meaning = "Failures of a host name since its last success. With very many, of those that fail or are silent only."
    yield family("host_failures", "gauge", meaning, [({"host": h.name}, _failures(h.rows)) for h, _ in heard])


def _answered(providers: Iterable[Vitals]) -> bool:
    return all(vitals.exchanges.answered is not False for vitals in providers)


def _failures(rows: Iterable[Row]) -> int:
    return max(row.failures for row in rows)


def _sum(bounds: Sequence[float], found: Iterable[Histogram]) -> Histogram:
    whole = Histogram(bounds)
    for histogram in found:
        whole.add(histogram)
    return whole


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else str(int(value)) if value == int(value) else repr(value)
