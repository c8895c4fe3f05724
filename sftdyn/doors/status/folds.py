"""Hosts that fail for one and the same reason are one row, which unfolds. HTML; pure."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from ..watch.states import State
from .overview import Host, Overview
from .words import since

LEAST = 4  # hosts that are folded
LISTED = 100  # names that it unfolds to; a link leads to the others

Row = Callable[[Host, float], str]


def folded(hosts: Sequence[Host], overview: Overview, row: Row, others: str) -> Iterator[str]:
    """The rows; a fold stands where the first of its hosts would. `others`: a link to all that fail."""
    reasons: dict[str, list[Host]] = {}
    for host in hosts:
        reasons.setdefault(_reason(host, overview), []).append(host)
    for host in hosts:
        reason = _reason(host, overview)
        if not reason or len(reasons[reason]) < LEAST:
            yield row(host, overview.now)
        elif host is reasons[reason][0]:
            yield _fold(reason, reasons[reason], overview.now, others)


def _reason(host: Host, overview: Overview) -> str:
    """Why it fails; the same for all who wait for one provider, whatever each of them was told. Empty: it does not."""
    if host.state is not State.FAILING or not host.trouble:
        return ""
    causes = [where for where, _ in overview.away if overview.places.get(f"{host.name}.", where) == where]
    return f"{causes[0]} gives no answer" if causes else host.trouble.reason


def _fold(reason: str, hosts: Sequence[Host], now: float, others: str) -> str:
    first = min(host.failing_since or now for host in hosts)
    names = "".join(f"<li>{escape(host.name)}" for host in hosts[:LISTED])
    rest = f'<li><a href="{others}">and {len(hosts) - LISTED:,} more</a>' if len(hosts) > LISTED else ""
    return (
        f'<tr class="f fold"><th scope="row">{len(hosts):,} host names</th>'
        f'<td class="is"><b>failing</b> since {since(first, now)}<small>{escape(reason)}</small></td>'
        f'<td class="names"><details><summary>Which ones</summary><ul>{names}{rest}</ul></details></td></tr>\n'
    )
