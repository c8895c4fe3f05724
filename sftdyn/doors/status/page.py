"""The status page: one HTML document without anything from elsewhere, complete without its script. Pure."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote, urlencode

from ..watch.states import UNWELL, State
from .folds import folded
from .overview import MANY, Excerpt, Host, Overview, excerpt, hosts
from .words import by, clock, headline, how, moment, since, wrong_keys

HERE = Path(__file__)
DOCUMENT = Template(HERE.with_suffix(".html").read_text("utf-8"))
STYLE, SCRIPT = HERE.with_suffix(".css").read_text("utf-8"), HERE.with_suffix(".js").read_text("utf-8")
ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="{}"/></svg>'
COLOURS = {State.FAILING: "#c5453c", State.SILENT: "#b7791f", State.WELL: "#3b9468", State.UNHEARD: "#8d9097"}
MARKS = {State.FAILING: ' class="f"', State.SILENT: ' class="s"', State.WELL: "", State.UNHEARD: ' class="u"'}
ALL, SOME = "all", "unwell"  # views; the others have the names of states
VIEWS = {ALL: frozenset(State), SOME: UNWELL, **{state.value: frozenset({state}) for state in State}}
FEW = 8  # host names among which nobody needs to search on a phone
COLUMNS = ("Host name", "How it is", "IPv4", "IPv6", "Last contact", "By")
NETWORK = 4  # groups of an IPv6 address


def _hash(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


HTML = "text/html; charset=utf-8"
SAFE = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))
# Content Security Policy Level 3: the style and the script of this page and no others, and nothing from elsewhere.
POLICY = (
    "Content-Security-Policy",
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
)


def view(asked: str, words: str, total: int) -> str:
    """The view of that name, or the first one: of very many host names those that are unwell."""
    return asked if asked in VIEWS else SOME if total > MANY and not words else ALL


def render(overview: Overview, shown: Excerpt, words: str, chosen: str, wait: Mapping[str, int]) -> str:
    """The document, with the hosts that the filter `words` and the view `chosen` have left.

    `wait`: for each provider that is away, how many host names fail because of it.
    """
    mood, total = _mood(shown), sum(shown.counts.values())
    return DOCUMENT.substitute(
        headline=headline(shown),
        icon=quote(ICON.format(COLOURS[mood])),
        style=STYLE,
        mood=f"{mood.value} few" if total <= FEW and not words else mood.value,
        now=clock(overview.now),
        summary=_summary(overview, shown, wait),
        views="".join(_views(shown, words, chosen)),
        hidden=_hidden(chosen, view("", words, total)),
        words=escape(words),
        columns=_columns(),
        hosts=_hosts(overview, shown, words, chosen) or _nothing(words, chosen),
        pages="".join(_pages(shown, words, chosen)),
        footer=_footer(overview),
        script=SCRIPT,
    )


def render_own(overview: Overview) -> str:
    """The page of one client, with its own host names and nothing else."""
    shown = excerpt(hosts(overview))
    title = headline(shown)
    rows = "".join(row(host, overview.now) for host in shown.hosts)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title} – sftdyn</title>\n'
        f'<style>{STYLE}</style>\n<body class="{_mood(shown).value}">\n<header><h1>{title}</h1></header>\n'
        f"<main><table><thead><tr>{_columns()}</tr></thead>\n<tbody>\n{rows}</tbody></table></main>\n"
        f"<footer>as of {clock(overview.now)}</footer>\n"
    )


def _columns() -> str:
    return "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)


def _hosts(overview: Overview, shown: Excerpt, words: str, chosen: str) -> str:
    """Equal reasons are one row, but for who asks for some of them."""
    if words or chosen not in (ALL, SOME):
        return "".join(row(host, overview.now) for host in shown.hosts)
    return "".join(folded(shown.hosts, overview, row, _link("", State.FAILING.value)))


def _mood(shown: Excerpt) -> State:
    if unwell := [state for state in (State.FAILING, State.SILENT) if shown.counts[state]]:
        return unwell[0]
    return State.WELL if shown.counts[State.WELL] else State.UNHEARD


def _summary(overview: Overview, shown: Excerpt, wait: Mapping[str, int]) -> str:
    last = max((row.seen for row in overview.seen.rows), default=None)
    changes = f"{overview.seen.changes:,} change{'s' * (overview.seen.changes != 1)}"
    told = [f"Last contact {moment(last, overview.now)}<span> · "] if last else ["<span>"]
    told.append(f"{changes} since the start {moment(overview.started, overview.now)}")
    if overview.is_one_of_several:
        told.append(" · this instance alone: the others at its ports have pages of their own")
    lines = [*_alarms(overview, wait), f"<h1>{headline(shown)}</h1>", f'<p class="about">{"".join(told)}</span></p>']
    return "\n".join(lines)


def _alarms(overview: Overview, wait: Mapping[str, int]) -> Iterator[str]:
    """What is wrong beside the hosts, and may be why they fail."""
    for where, then in overview.away:
        names = wait[where]
        of_them = f"; {names:,} host name{'s wait' if names != 1 else ' waits'} for it" if names else ""
        gone = f"{escape(where[:1].upper() + where[1:])} stopped answering {since(then, overview.now)}"
        yield f'<p class="alarm">{gone}{of_them}.</p>'
    end = overview.certificate_end
    if end is not None and end < overview.now:
        yield '<p class="alarm">The certificate of https has expired.</p>'


def _views(shown: Excerpt, words: str, chosen: str) -> Iterator[str]:
    total = sum(shown.counts.values())
    for name, states in VIEWS.items():
        count = sum(shown.counts[state] for state in states)
        current = ' aria-current="page"' if name == chosen else ""
        is_shown = total > MANY if name == SOME else count or name == ALL
        if is_shown or current:
            asked = "" if name == view("", words, total) else name
            yield f'<a href="{_link(words, asked)}"{current}>{name.capitalize()} <small>{count:,}</small></a>'


def _pages(shown: Excerpt, words: str, chosen: str) -> Iterator[str]:
    if shown.page > 1:
        yield f'<a rel="prev" href="{_link(words, chosen, shown.page - 1)}">← Previous</a>'
    if shown.pages > 1:
        yield f"<span>Page {shown.page:,} of {shown.pages:,}</span>"
    if shown.page < shown.pages:
        yield f'<a rel="next" href="{_link(words, chosen, shown.page + 1)}">Next →</a>'


def _link(words: str, view: str, page: int = 1) -> str:
    asked = {"q": words, "state": view, "page": str(page) if page > 1 else ""}
    return "?" + escape(urlencode({name: value for name, value in asked.items() if value}))


def _hidden(chosen: str, first: str) -> str:
    return "" if chosen == first else f'<input type="hidden" name="state" value="{chosen}">\n'


def _nothing(words: str, chosen: str) -> str:
    nothing = "Nobody is unwell." if chosen == SOME else "Nothing to show here."
    why = f"Nothing matches “{escape(words)}”." if words else nothing
    return f'<tr><td class="empty" colspan="{len(COLUMNS)}">{why}</td></tr>\n'


def row(host: Host, now: float) -> str:
    """One host name."""
    return (
        f'<tr{MARKS[host.state]}><th scope="row">{escape(host.name)}</th>'
        f'<td class="is">{how(host, now)}{"".join(wrong_keys(host.wrong_keys, now))}</td>'
        f'<td class="ip v4">{_addresses(host, "A")}</td><td class="ip v6">{_addresses(host, "AAAA")}</td>'
        f'<td class="when seen">{moment(host.last.seen, now) if host.last else ""}</td>'
        f'<td class="by">{by(host.last)}</td></tr>\n'
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


def _footer(overview: Overview) -> str:
    end = overview.certificate_end
    certificate = f" · certificate until {clock(end)}" if end else ""
    return f"sftdyn {escape(overview.version)}{certificate}"
