"""The door of the status listeners: health for everybody, and with the token the page, the widget and the metrics.

It shares nothing with the doors of the routers but what they have noted. What takes its time is put together in a
thread, one at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from ...conf.config import Config
from ...providers.running import Providers
from ...values.outcome import Outcome, Result
from ...web.connection import Respond
from ...web.peer import Caller
from ...web.reply import Reply
from ...web.request import BadRequest, Request, basic, credentials
from ..demand import read_parameters
from ..log import LogBook
from ..secret_url import CHALLENGE
from ..watch.states import State
from ..watch.watch import Watch
from . import metrics, overview, page, widget
from .overview import Condition, Overview
from .own_view import overview_of
from .sparing import spared

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD")
OF_ONE = b"health/"  # a host name behind it
LIVE, READY, HEALTH = b"livez", b"readyz", b"health"
NOTHING_INSIDE = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
JSON = "application/json"
WORDS = 100  # characters of a filter


class StatusDoor:
    """Answers at the status listeners; made inside a running event loop. `end`: of the certificate, if there is one."""

    def __init__(
        self,
        config: Config,
        providers: Providers,
        watch: Watch,
        own_is_well: Callable[[], bool] = lambda: True,
    ) -> None:
        self._own_is_well = own_is_well
        self._providers = providers
        self._watch = watch
        self._started = watch.clock()
        self._book = LogBook()
        self._turns = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.end: float | None = None
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._token = config.status_token

    def answer(self, request: Request, caller: Caller, respond: Respond) -> None:
        """Reply to a request, now or later."""
        path, _, query = request.target.partition(b"?")
        if request.method not in METHODS:
            respond(_safe(Reply(405, "FAIL", (("Allow", ", ".join(METHODS)),))))
        elif path in (LIVE, READY, HEALTH):
            respond(_safe(self._about_health(path)))
        elif self._token is None or not (view := view_at(path)):
            respond(_safe(Reply(404, "")))
        elif self._is_welcome(request, caller.shown):
            task = asyncio.get_running_loop().create_task(self._show(view, request, query, respond))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            respond(_safe(Reply(401, "BADKEY", (CHALLENGE,))))

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to something that is no request."""
        self._book.write(Result(Outcome.BADREQUEST, str(error)), (), peer)
        return _safe(Reply(error.status, "FAIL"))

    def _is_welcome(self, request: Request, who: str) -> bool:
        """Whether it has the token. Who sends none may be a browser that waits to be asked."""
        given = _given(request)
        if self._token and given and self._token.fits(given):
            return True
        self._book.write(Result(Outcome.BADKEY if given else Outcome.CHALLENGE), (), who)
        return False

    def _about_health(self, path: bytes) -> Reply:
        found = overview.health(self._providers.vitals(), self._own_is_well()) if path != LIVE else Condition.WELL
        if path == READY and found is not Condition.ALL_SILENT:
            found = Condition.WELL
        return Reply(found.status, f"{found.reason}\n")

    async def _show(self, view: "View", request: Request, query: bytes, respond: Respond) -> None:
        try:
            async with self._turns:
                reply = await asyncio.to_thread(
                    _look, view, overview_of(self._watch, self._providers, self._started, self.end), query, request
                )
        except Exception as error:
            log.error("defect in the status page: %s", type(error).__name__)
            reply = Reply(500, "FAIL")
        respond(_safe(reply))


View = Callable[[Overview, dict[str, str]], Reply]


def _look(view: View, overview: Overview, query: bytes, request: Request) -> Reply:
    return spared(view(overview.as_shown(), dict(read_parameters(query))), request)


def _page(seen: Overview, parameters: dict[str, str]) -> Reply:
    hosts, words = overview.hosts(seen), parameters.get("q", "")[:WORDS]
    chosen = page.view(parameters.get("state", ""), words, len(hosts))
    shown = overview.excerpt(hosts, words, _number(parameters), page.VIEWS[chosen])
    wait = {where: overview.waiting(hosts, seen, where) for where, _ in seen.away}
    return Reply(200, page.render(seen, shown, words, chosen, wait), (page.POLICY,), page.HTML)


def _widget(seen: Overview, parameters: dict[str, str]) -> Reply:
    shown = overview.excerpt(overview.hosts(seen), page=_number(parameters))
    return Reply(200, widget.render(seen, shown), content_type=JSON)


def _metrics(seen: Overview, parameters: dict[str, str]) -> Reply:
    return Reply(200, metrics.render(seen), content_type=metrics.CONTENT_TYPE)


def _health_of(name: str, seen: Overview, parameters: dict[str, str]) -> Reply:
    """Of one host name, for a monitor of its own."""
    host = overview.find(seen, name)
    if host is None:
        return Reply(404, "")
    if host.state is State.WELL:
        return Reply(200, "ok\n")
    reason = f": {host.trouble.reason}" if host.state is State.FAILING and host.trouble else ""
    return Reply(503, f"{host.state.value}{reason}\n")


def view_at(path: bytes) -> View | None:
    """What is to be seen there."""
    if path.startswith(OF_ONE):
        return partial(_health_of, path.removeprefix(OF_ONE).decode("utf-8", "replace").lower().rstrip("."))
    return VIEWS.get(path)


VIEWS: dict[bytes, View] = {b"": _page, b"widget": _widget, b"metrics": _metrics}


def _number(parameters: dict[str, str]) -> int:
    text = parameters.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < WORDS else 1


def _given(request: Request) -> bytes:
    """The token that a request has: of Bearer (RFC 6750, 2.1), or the password of Basic; empty if there is none."""
    scheme, token = credentials(request)
    return token.encode("latin-1") if scheme == "bearer" else basic(request)[1]


def _safe(reply: Reply) -> Reply:
    """With the headers that keep browsers from believing too much."""
    policy = () if page.POLICY in reply.headers else (NOTHING_INSIDE,)
    return Reply(reply.status, reply.body, (*reply.headers, *page.SAFE, *policy), reply.content_type)
