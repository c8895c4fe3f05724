"""The status page: one HTML document without anything from elsewhere, complete without its script. Pure."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from time import gmtime, strftime
from urllib.parse import quote, urlencode

from ..watch.seen import Row
from ..watch.states import State
from .overview import Excerpt, Host, Overview

HERE = Path(__file__)
DOCUMENT = Template(HERE.with_suffix(".html").read_text("utf-8"))
STYLE, SCRIPT = HERE.with_suffix(".css").read_text("utf-8"), HERE.with_suffix(".js").read_text("utf-8")
ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="{}"/></svg>'
COLOURS = {State.FAILING: "#c5453c", State.SILENT: "#b7791f", State.WELL: "#3b9468", State.UNHEARD: "#8d9097"}
MARKS = {State.FAILING: ' class="f"', State.SILENT: ' class="s"', State.WELL: "", State.UNHEARD: ' class="u"'}
VIEWS = {None: "All", State.FAILING: "Failing", State.SILENT: "Silent", State.WELL: "Well", State.UNHEARD: "Unheard"}
DOORS = {"url": "secret URL", "dyndns2": "dyndns2", "own": "by itself"}
COLUMNS = ("Host name", "IPv4", "IPv6", "Since", "Last contact", "By", "Result")
VERBS = {"fail": "fails", "are silent": "is silent"}
NETWORK = 4  # groups of an IPv6 address
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))  # seconds


def _hash(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


# Content Security Policy Level 3: the style and the script of this page and no others, and nothing from elsewhere.
POLICY = (
    "Content-Security-Policy",
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)


def state_of(text: str) -> State | None:
    """The state of that name, if there is one."""
    return next((state for state in State if state.value == text), None)


def render(overview: Overview, shown: Excerpt, words: str, chosen: State | None, wait: Mapping[str, int]) -> str:
    """The document, with the hosts that the filter `words` and the view `chosen` have left.

    `wait`: for each provider that is away, how many host names fail because of it.
    """
    mood = _mood(shown)
    return DOCUMENT.substitute(
        headline=headline(shown),
        icon=quote(ICON.format(COLOURS[mood])),
        style=STYLE,
        mood=mood.value,
        now=_clock(overview.now),
        summary=_summary(overview, shown, wait),
        views="".join(_views(shown, words, chosen)),
        hidden=_hidden(chosen),
        words=escape(words),
        columns="".join(f'<th scope="col">{column}</th>' for column in COLUMNS),
        hosts="".join(_row(host, overview.now) for host in shown.hosts) or _nothing(words),
        pages="".join(_pages(shown, words, chosen)),
        footer=_footer(overview),
        script=SCRIPT,
    )


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


def _mood(shown: Excerpt) -> State:
    if unwell := [state for state in (State.FAILING, State.SILENT) if shown.counts[state]]:
        return unwell[0]
    return State.WELL if shown.counts[State.WELL] else State.UNHEARD


def _summary(overview: Overview, shown: Excerpt, wait: Mapping[str, int]) -> str:
    last = max((row.seen for row in overview.seen.rows), default=None)
    changes = f"{overview.seen.changes:,} change{'s' * (overview.seen.changes != 1)}"
    told = [f"Last contact {_time(last, overview.now)}"] if last else []
    told.append(f"{changes} since the start {_time(overview.started, overview.now)}")
    lines = [*_alarms(overview, wait), f"<h1>{headline(shown)}</h1>", f'<p class="about">{" · ".join(told)}</p>']
    return "\n".join(lines)


def _alarms(overview: Overview, wait: Mapping[str, int]) -> Iterator[str]:
    """What is wrong beside the hosts, and may be why they fail."""
    for where, since in overview.away:
        names = wait[where]
        of_them = f"; {names:,} host name{'s wait' if names != 1 else ' waits'} for it" if names else ""
        gone = f"{escape(where[:1].upper() + where[1:])} stopped answering {_time(since, overview.now)}"
        yield f'<p class="alarm">{gone}{of_them}.</p>'
    end = overview.certificate_end
    if end is not None and end < overview.now:
        yield '<p class="alarm">The certificate of https has expired.</p>'


def _views(shown: Excerpt, words: str, chosen: State | None) -> Iterator[str]:
    for state, title in VIEWS.items():
        count = sum(shown.counts.values()) if state is None else shown.counts[state]
        current = ' aria-current="page"' if state is chosen else ""
        if count or current or state is None:
            yield f'<a href="{_link(words, state)}"{current}>{title} <small>{count:,}</small></a>'


def _pages(shown: Excerpt, words: str, chosen: State | None) -> Iterator[str]:
    if shown.page > 1:
        yield f'<a rel="prev" href="{_link(words, chosen, shown.page - 1)}">← Previous</a>'
    if shown.pages > 1:
        yield f"<span>Page {shown.page:,} of {shown.pages:,}</span>"
    if shown.page < shown.pages:
        yield f'<a rel="next" href="{_link(words, chosen, shown.page + 1)}">Next →</a>'


def _link(words: str, state: State | None, page: int = 1) -> str:
    asked = {"q": words, "state": state.value if state else "", "page": str(page) if page > 1 else ""}
    return "?" + escape(urlencode({name: value for name, value in asked.items() if value}))


def _hidden(chosen: State | None) -> str:
    return f'<input type="hidden" name="state" value="{chosen.value}">\n' if chosen else ""


def _nothing(words: str) -> str:
    why = f"Nothing matches “{escape(words)}”." if words else "Nothing to show here."
    return f'<tr><td class="empty" colspan="{len(COLUMNS)}">{why}</td></tr>\n'


def _row(host: Host, now: float) -> str:
    return (
        f'<tr{MARKS[host.state]}><th scope="row">{escape(host.name)}</th>'
        f'<td class="ip v4">{_addresses(host, "A")}</td><td class="ip v6">{_addresses(host, "AAAA")}</td>'
        f'<td class="when since">{_since(host, now)}</td>'
        f'<td class="when seen">{_time(host.last.seen, now) if host.last else ""}</td>'
        f'<td class="by">{_by(host.last)}</td><td class="is">{_result(host, now)}</td></tr>\n'
    )


def _addresses(host: Host, kind: str) -> str:
    known = host.addresses(kind)
    if known is None:
        return ""
    return "<br>".join(map(_breakable, known)) or '<span class="none">removed</span>'


def _breakable(address: str) -> str:
    """A long address may be broken behind the four groups that are the network's."""
    groups = address.split(":")
    return address if len(groups) <= NETWORK else ":".join(groups[:NETWORK]) + ":<wbr>" + ":".join(groups[NETWORK:])


def _since(host: Host, now: float) -> str:
    if host.changed:
        return _time(host.changed, now)
    return '<span class="none">before the start</span>' if any(row.addresses for row in host.rows) else ""


def _by(row: Row | None) -> str:
    if row is None:
        return ""
    door, program = DOORS.get(row.door, row.door), escape(row.program)
    return f"{program or door}<small>{door + ', ' if program else ''}{escape(row.who)}</small>"


def _result(host: Host, now: float) -> str:
    row = host.trouble or host.last
    if host.state is State.SILENT:
        heard = f"not heard from since {_time(host.last.seen, now)}" if host.last else "never heard from"
        return f"<b>silent</b><small>{heard}</small>"
    if row is None:
        return "<b>not heard from</b>"
    said = f"<b>{row.outcome.word}</b>"
    if row.failures:
        times = f" {row.failures:,} times" if row.failures > 1 else ""
        when = f", {_time(row.seen, now)}" if row is not host.last else ""
        since = f"failing since {_time(host.failing_since or row.seen, now)}: "
        return f"{said}{times}{when}<small>{since}{escape(row.reason)}</small>"
    before = max((row for row in host.rows if row.failed), key=lambda row: row.failed or 0.0, default=None)
    if before and before.failed:
        return f"{said}<small>failed {_time(before.failed, now)}: {escape(before.reason)}</small>"
    return said


def _footer(overview: Overview) -> str:
    end = overview.certificate_end
    certificate = f" · certificate until {_clock(end)}" if end else ""
    return f"sftdyn {escape(overview.version)}{certificate}"


def _time(moment: float, now: float) -> str:
    """A moment, told as the time that has passed since."""
    exact = strftime("%Y-%m-%d %H:%M:%S", gmtime(moment))
    return f'<time datetime="{exact[:10]}T{exact[11:]}Z" title="{exact} UTC">{ago(now - moment)}</time>'


def _clock(moment: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(moment))
