"""The running service: start, reload, renewal of the certificate, end; and what systemd is told of it."""

import asyncio
import gc
import logging
import os
import signal
import ssl
from collections.abc import Callable, Coroutine, Mapping
from time import localtime, strftime, time
from typing import Any

from . import __version__
from .conf.check import counted
from .conf.config import Config, load
from .conf.program import ConfigError
from .doors.answer import Doors
from .doors.own.keeper import Keeper
from .doors.status.door import StatusDoor
from .doors.watch.clock import Clock
from .doors.watch.telling import Telling
from .doors.watch.watch import Watch, is_remembered, is_watched
from .providers.running import Providers
from .systemd import Notifier, passed_sockets
from .threads import Raised, in_thread
from .trust import identity
from .values.mistake import Mistake
from .values.outcome import Outcome, Result
from .values.update import Subject
from .web.crowd import shares
from .web.listen import Listening, choose_tls, open_sockets
from .web.peer import Proxies
from .web.server import Server
from .web.tls import Certificate, server_context, shown_certificate

log = logging.getLogger(__name__)

RENEWAL_INTERVAL = 20.0  # seconds between two looks at the certificate's files
SLOW_CONF = 10  # seconds until the log says that the conf is still being read
GARBAGE = 20_000  # objects more than there were, until those that form cycles are looked for
STATUS_INTERVAL = 10.0  # seconds between two status lines for systemd,
STATUS_PAUSE = 1.0  # and where there is news


class Tally:
    """What happened since the start, for the status line. `news` is called after the first update, and each failure."""

    def __init__(self, news: Callable[[], None]) -> None:
        self.updates = 0
        self._news = news
        self._last: tuple[float, Subject, str] | None = None  # when, what about, why

    def count(self, result: Result, subject: Subject) -> None:
        """Take note of one result, and what it is about."""
        if result.outcome is Outcome.OK:
            self.updates += 1
            if self.updates == 1:
                self._news()
        elif result.reason and result.outcome.level >= logging.WARNING:  # not of strangers
            self._last = (time(), subject, result.reason)
            self._news()

    @property
    def last_failure(self) -> str:
        """Its time here, its first host name, and the reason."""
        if self._last is None:
            return "none"
        moment, subject, reason = self._last
        name = next((item if isinstance(item, str) else item.name for item in subject), "").rstrip(".")
        return f"{strftime('%Y-%m-%d %H:%M:%S', localtime(moment))} {name}{name and ': '}{reason}"


def tls_context(config: Config) -> ssl.SSLContext | None:
    """The TLS settings of a conf, None without a certificate. Raises ConfigError."""
    if config.cert is None or config.key is None:
        return None
    try:
        return server_context(config.cert, config.key)
    except Mistake as mistake:
        raise ConfigError(f"{config.path}: {mistake}") from None


class Service:
    """sftdyn, running with one conf after the other."""

    def __init__(self, config: Config, options: Mapping[str, object]) -> None:
        self._config = config
        self._options = options
        self._context = tls_context(config)
        self._stamp = _stamp(config)
        self._tally = Tally(self._report_soon)
        self._reporting: asyncio.TimerHandle | None = None
        self._next_report = 0.0  # event loop time
        self._notifier = Notifier(os.environ)
        self._telling: Telling | None = None
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._wants_reload = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and finish what is in flight; the exit code. Raises CannotListen, Mistake."""
        asyncio.get_running_loop().set_exception_handler(_log_defect)
        _log_doubts(self._config)
        config = self._config
        most, for_status = shares(bool(config.status))
        self._watch = Watch(config, Clock()) if is_remembered(config) else None
        notes = self._watch if is_watched(config) else None
        self._providers = Providers(config.provider, config.providers, config.timeout, notes is not None)
        self._doors = Doors(config, self._providers, self._tally.count, notes, self._watch)
        self._keeper = Keeper(config, self._providers, self._tally.count, notes.journal if notes else None)
        self._server = Server(self._doors, self._context, config.trusted_proxies, most, self._doors.takes_body)
        for url in self._server.listen(self._sockets()):
            log.info("listening on %s", url)
        self._status_door, self._status_server = self._open_status(for_status)
        self._heed_signals()
        self._start(self._watch_certificate)
        self._start(self._report)
        if self._watch:
            self._start(self._watch.remember)
        if notes:
            self._show_certificate(config, self._context)
            self._telling = Telling(config, notes, self._providers)
            self._start(self._telling.run)
        if self._notifier.interval:
            self._start(self._feed_watchdog)
        gc.freeze()  # a million clients need not be searched for garbage again and again,
        gc.set_threshold(GARBAGE)  # nor what is in flight at every turn
        self._notifier.say("READY=1", f"STATUS={self._status()}")
        log.info("sftdyn %s is ready", __version__)
        await self._stop.wait()
        await self._finish()
        return 0

    async def _finish(self) -> None:
        """Accept no more; let what is under way come to its end."""
        self._notifier.say("STOPPING=1")
        self._keeper.close()
        await self._server.stop()
        if self._status_server:
            await self._status_server.stop()
        await self._doors.close()
        await self._providers.close()
        if self._telling:
            self._telling.close()
        if self._watch:
            await self._watch.close()
        for task in self._tasks:
            task.cancel()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        # While the loop computes, signals fill what wakes it: it wakes all the same, but those to end must not be lost.
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.is_closed() or loop.call_soon_threadsafe(self._stop.set))

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sockets(self) -> list[Listening]:
        """What systemd passed, or else what the conf says. Raises CannotListen, Mistake."""
        passed = passed_sockets(os.environ)
        if passed:
            return choose_tls(passed, self._config.listeners)
        return open_sockets(self._config.listeners, self._config.reuse_port)

    def _open_status(self, limit: int) -> tuple[StatusDoor | None, Server | None]:
        """Listen for whoever wants to know how we are. Raises CannotListen."""
        if not (self._watch and limit):
            return None, None
        door = StatusDoor(self._config, self._providers, self._watch, self._keeper.is_well)
        server = Server(door, None, self._config.trusted_proxies, limit)
        for url in server.listen(open_sockets(self._config.status, reuse_port=False)):
            log.info("status at %s", url)
        return door, server

    def _reload_soon(self) -> None:
        """After the reload that is under way, if there is one, and once for all who want it meanwhile."""
        if not self._wants_reload:
            self._wants_reload = True
            self._start(self._reload)

    async def _reload(self) -> None:
        """Read the conf again; a broken one changes nothing."""
        async with self._reloading:
            self._wants_reload = False
            self._notifier.reloading()
            try:
                config = await self._load()
                context = await asyncio.to_thread(tls_context, config)
            except ConfigError as error:
                log.error("the conf stays as it was: %s", error)
            except Exception as error:
                log.error("the conf stays as it was: %s while it was read", type(error).__name__)
            else:
                self._take(config, context)
                log.info("the conf is read again")
            self._notifier.say("READY=1", f"STATUS={self._status()}")

    async def _load(self) -> Config:
        """Run the conf again. Raises what it raises; one that never ends delays the next reload, and nothing else."""
        loading = in_thread(load, self._config.path, self._options, late=lambda: None)
        done, _ = await asyncio.wait([loading], timeout=SLOW_CONF)
        if not done:
            log.warning("the conf has not been read yet, after %d s", SLOW_CONF)
        ended = await loading
        if isinstance(ended, Raised):
            raise ended.error
        assert isinstance(ended.value, Config)
        return ended.value

    def _take(self, config: Config, context: ssl.SSLContext | None) -> None:
        old = self._config
        _log_doubts(config)
        if (config.listeners, config.reuse_port) != (old.listeners, old.reuse_port):
            log.warning("http and https have changed; this needs a restart")
        if config.status != old.status:
            log.warning("status has changed; this needs a restart")
        if config.state != old.state:
            log.warning("state has changed; this needs a restart")
        if is_watched(config) and not self._watch:
            log.warning("status, notify and what else needs notes of names is new; this needs a restart")
        self._config = config
        self._stamp = _stamp(config)
        if self._watch:
            self._watch.use(config)
        if self._status_server and self._status_door:
            self._status_server.proxies = Proxies(config.trusted_proxies)
            self._status_door.use(config)
        if context:
            self._server.context = context
        self._server.proxies = Proxies(config.trusted_proxies)
        self._providers.use(config.provider, config.providers, config.timeout)
        self._doors.use(config)
        self._keeper.use(config)
        if self._telling:
            self._telling.use(config)
        self._show_certificate(config, context)

    def _show_certificate(self, config: Config, context: ssl.SSLContext | None) -> None:
        """To who says when it ends."""
        certificate = _certificate(config, context)
        if self._status_door:
            self._status_door.end = certificate and certificate.ends
        if self._telling:
            self._telling.certificate = certificate

    async def _watch_certificate(self) -> None:
        """Use a renewed certificate; certbot switches symbolic links, one after the other."""
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL)
            stamp = _stamp(self._config)
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                self._server.context = await asyncio.to_thread(tls_context, self._config)
                self._show_certificate(self._config, self._server.context)
                log.info("the certificate is read again")
            except ConfigError as error:
                log.error("the certificate stays as it was: %s", error)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(STATUS_INTERVAL)
            self._report_now()

    def _report_soon(self) -> None:
        """At once, or if that was a moment ago, after a moment."""
        loop = asyncio.get_running_loop()
        if self._reporting is None:
            self._reporting = loop.call_at(self._next_report, self._report_now)

    def _report_now(self) -> None:
        self._reporting = None
        self._next_report = asyncio.get_running_loop().time() + STATUS_PAUSE
        self._notifier.say(f"STATUS={self._status()}")

    async def _feed_watchdog(self) -> None:
        """Only while the provider works, too."""
        while self._providers.is_alive():
            self._notifier.say("WATCHDOG=1")
            await asyncio.sleep(self._notifier.interval)

    def _status(self) -> str:
        known = len(self._config.keyring.clients) + len(self._config.own)
        clients = "get_host" if self._config.hooks.get_host else counted(known, "client")
        return f"{clients}, {counted(self._tally.updates, 'update')}, last failure: {self._tally.last_failure}"


def _log_doubts(config: Config) -> None:
    for doubt in config.doubts:
        log.warning("the conf: %s", doubt)


def _certificate(config: Config, context: ssl.SSLContext | None) -> Certificate | None:
    """None where there is none, or none that a client could take."""
    try:
        return shown_certificate(context, config.cert) if context and config.cert else None
    except (Mistake, OSError):
        return None


def _stamp(config: Config) -> list[tuple[int, ...]]:
    """What changes when the files of the certificate do."""
    return [identity(path) for path in (config.cert, config.key) if path]


def _log_defect(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One line for what asyncio cannot hand to anybody, such as a lack of file descriptors."""
    error = context.get("exception")
    log.error(
        "%s (%s)",
        context.get("message"),
        f"{type(error).__name__}: {error}" if isinstance(error, OSError) else error.__class__.__name__,
    )
