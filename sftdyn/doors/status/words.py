"""How host names are, in words that somebody understands who knows no protocol. HTML; pure."""

from collections.abc import Iterator, Sequence
from html import escape
from time import gmtime, strftime

from ...values.outcome import SUCCESSES
from ..watch.seen import Row
from ..watch.states import State
from ..watch.wrongkeys import WrongKey
from .overview import Excerpt, Host

DOORS = {"url": "secret URL", "dyndns2": "dyndns2", "own": "by itself"}
VERBS = {"fail": "fails", "are silent": "is silent"}
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))  # seconds
DAY, WEEK = 86400.0, 6 * 86400.0  # seconds; beyond six days, a day of the week could be that of another week


def headline(shown: Excerpt) -> str:
    """How all is, in one sentence."""
    total, unheard = sum(shown.counts.values()), shown.counts[State.UNHEARD]
    if not total:
        return "No host names yet"
    if unwell := _unwell(shown):
        return unwell
    if unheard == total:
        return "Nobody has called yet"
    if unheard:
        return f"All is well, {unheard:,} not heard from"
    return f"All {total:,} host names are well" if total > 1 else "The host name is well"


def _unwell(shown: Excerpt) -> str:
    """The part of the headline that is about trouble; empty without."""
    total, failing, silent = sum(shown.counts.values()), shown.counts[State.FAILING], shown.counts[State.SILENT]
    if total == 1:
        return "The host name fails" if failing else "The host name is silent" if silent else ""
    verbs = {"fail": failing, "are silent": silent}
    said = [(f"{count:,}", verb if count > 1 else VERBS[verb]) for verb, count in verbs.items() if count]
    if not said:
        return ""
    (first, verb), *more = said
    return " and ".join([f"{first} of {total:,} host names {verb}", *(f"{count} {verb}" for count, verb in more)])


def ago(seconds: float) -> str:
    """A time that has passed, as people say it; the script of the page says it in the same words."""
    for size, unit in UNITS:
        if seconds >= 2 * size or (seconds >= size and unit != "d"):
            return f"{int(seconds // size)} {unit} ago"
    return "now" if seconds < 1 else f"{int(seconds)} s ago"


def how(host: Host, now: float) -> str:
    """How a host is: first what matters, then since when, and why."""
    row = host.trouble or host.last
    if host.state is State.SILENT:
        heard = f"last heard from {since(host.last.seen, now)}" if host.last else "never heard from"
        return f"<b>silent</b>, {heard}"
    if row is None:
        return "<b>not heard from</b> yet"
    if row.failures:
        return f"<b>failing</b> since {since(host.failing_since or row.seen, now)}{_why(row)}"
    return f"{_works(host, now)}{_failed_before(host, now)}"


def _works(host: Host, now: float) -> str:
    if host.last and host.last.outcome not in SUCCESSES:
        return f"<b>{host.last.outcome.word}</b>"
    if host.rows and not any(row.addresses for row in host.rows):
        return "<b>offline</b>, as its owner wants"
    unchanged = since(host.changed, now) if host.changed else "before the start"
    return f"<b>works</b>, unchanged since {unchanged}"


def _why(row: Row) -> str:
    times = f", {row.failures:,} times" if row.failures > 1 else ""
    return f"<small>{escape(row.reason)}{times}</small>"


def _failed_before(host: Host, now: float) -> str:
    before = max((row for row in host.rows if row.failed), key=lambda row: row.failed or 0.0, default=None)
    return (
        f"<small>failed {moment(before.failed, now)}: {escape(before.reason)}</small>"
        if before and before.failed
        else ""
    )


def wrong_keys(found: Sequence[WrongKey], now: float) -> Iterator[str]:
    """That somebody asks for this name with a key that is none."""
    for one in found[-1:]:
        times = "A wrong key" if len(found) == 1 else f"{len(found)} wrong keys"
        program = f", {escape(one.program)}" if one.program else ""
        last = f"{moment(one.moment, now)} from {escape(one.who)}{program}"
        yield f'<small class="key">{times}, last {last}: an old key?</small>'


def by(row: Row | None) -> str:
    """By which program a name was asked for, at which door, and from where."""
    if row is None:
        return ""
    door, program = DOORS.get(row.door, row.door), escape(row.program)
    return f"{program or door}<small>{door + ', ' if program else ''}{escape(row.who)}</small>"


def moment(then: float, now: float) -> str:
    """A moment, told as the time that has passed since."""
    return _tag(then, "", ago(now - then))


def since(then: float, now: float) -> str:
    """A moment, as one says when something began: ago, on which day, or the date."""
    return _tag(then, "", ago(now - then)) if now - then < DAY else _tag(then, ' class="day"', _day(then, now))


def _day(then: float, now: float) -> str:
    return strftime("%A" if now - then < WEEK else "%-d %B %Y", gmtime(then))


def _tag(then: float, kind: str, text: str) -> str:
    exact = strftime("%Y-%m-%d %H:%M:%S", gmtime(then))
    return f'<time{kind} datetime="{exact[:10]}T{exact[11:]}Z" title="{exact} UTC">{text}</time>'


def clock(then: float) -> str:
    """A moment with its date, in UTC."""
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(then))
