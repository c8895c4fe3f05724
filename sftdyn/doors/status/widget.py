"""What dashboards show, and `sftdyn --list`: the hosts as JSON. Pure."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ...values.outcome import Outcome
from ..watch.seen import Row
from ..watch.states import UNWELL, State
from .overview import Condition, Excerpt, Host, Overview, health

NOBODY = {"type": "", "address": "", "outcome": "", "changed": None, "seen": None, "failures": 0, "reason": ""}


def render(overview: Overview, shown: Excerpt) -> str:
    """Flat keys about all, and a list of record sets."""
    rows = overview.seen.rows
    fails = any(shown.counts[state] for state in UNWELL) or health(overview.providers) is not Condition.WELL
    current = max((row for row in rows if row.confirmed and row.addresses), key=_newest, default=None)
    return json.dumps(
        {
            "status": "failing" if fails else "active",
            "last_check": iso(max((row.seen for row in rows), default=None)),
            "last_update": iso(max((row.changed for row in rows if row.changed), default=None)),
            "host_count": sum(shown.counts.values()),
            "failing_count": shown.counts[State.FAILING],
            "silent_count": shown.counts[State.SILENT],
            "hosts": "\n".join(host.name for host in shown.hosts),
            "current_ip": " ".join(current.addresses or ()) if current else "",
            "page": shown.page,
            "pages": shown.pages,
            "wrong_keys": [entry for host in shown.hosts for entry in _wrong_keys(host)],
            "names": [entry for host in shown.hosts for entry in _entries(host)],
        }
    )


def iso(moment: float | None) -> str | None:
    """A time, in seconds since 1970, as ISO 8601 has it."""
    return None if moment is None else datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


def _newest(row: Row) -> tuple[float, bool]:
    return row.confirmed or 0.0, row.place[1] == "A"


def _entries(host: Host) -> list[dict[str, Any]]:
    if not host.rows:
        return [{"name": host.name, "state": host.state.value, **NOBODY, "program": "", "door": "", "from": ""}]
    return [
        {
            "name": host.name,
            "state": host.state.value,
            "type": row.place[1],
            "address": " ".join(row.addresses or ()),
            "outcome": said(row.outcome),
            "changed": iso(row.changed),
            "seen": iso(row.seen),
            "failures": row.failures,
            "reason": row.reason if row.failures else "",
            "program": row.program,
            "door": row.door,
            "from": row.who,
        }
        for row in sorted(host.rows, key=lambda row: row.place[1] or "Z")
    ]


def _wrong_keys(host: Host) -> Iterator[dict[str, Any]]:
    for last in host.wrong_keys[-1:]:
        yield {
            "name": host.name,
            "times": len(host.wrong_keys),
            "last": iso(last.moment),
            "program": last.program,
            "from": last.who,
        }


def said(outcome: Outcome) -> str:
    """An outcome in one word for programs: OK and UPTODATE, or why not, such as TIMEOUT."""
    return outcome.name
