"""The stage of the table: all servers side by side, and how each of them is measured."""

import threading
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.lab.bind import Bind
from tests.lab.machine import cpu_seconds, make_certificate

from .crowd import NEWCOMERS, Crowd
from .fleet import Fleet
from .load import BUILD, Dnsperf, Load, Sample, run_load
from .processes import HttpServer, new_port, start_bind
from .rivals import ConstantC, ConstantPython, Sftdyn, Sftdyn010

NAMES = 1000
CONNECTIONS = 128
IN_FLIGHT = 64  # of dnsperf
ALL, MIXED, NONE = 1000, 100, 0  # changes in a thousand requests
QUIET_ROUNDS = 2  # so often is each name asked for without a change after each storm
TOKEN = "a status token of some length"
SCRAPE = 1.0  # seconds between two looks at the metrics
OWN_ADDRESS = "127.0.0.1"  # what `/` answers
PROXIES = ["127.128.0.0/9"]  # where load.c puts them
SESSION_KEY = Path("/run/named/session.key")  # where nsupdate -l looks

# Messages per second that dnsperf gets for its time; it does more, or fewer on a slow machine.
DNSPERF_RATE = 2000
DNSPERF_RATE_SINGLE = 500
DNSPERF_RATE_SLOW = 90

S = TypeVar("S", bound=HttpServer)


class Stage:
    """They run all the time, and one at a time is measured.

    One name server at port 53 serves sftdyn, sftdyn 0.10 and dnsperf, each in a zone of its own, with the
    session key. Another one has a slow disk.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self._folder = folder
        self.last: dict[str, Sample] = {}  # by the name of the measurement
        self._closing = ExitStack()
        make_certificate(folder)
        self.ours, self.proxied, self.talking, self.watched, self.old, self.dns, self.slow, self.slow_dns = (
            Fleet(f"{name}.example", NAMES, folder)
            for name in ("sftdyn", "proxied", "talking", "watched", "old", "dnsperf", "slow", "slow-dnsperf")
        )
        self.front = Fleet("front", NAMES, folder)
        self.front.addresses.write_text("- - /\n" * NAMES)
        try:
            self._start(folder)
        except BaseException:
            self._closing.close()
            raise

    def _start(self, folder: Path) -> None:
        fleets = [self.ours, self.proxied, self.talking, self.watched, self.old, self.dns]
        self.bind = self._bind(start_bind(folder / "named", fleets, port=53))
        SESSION_KEY.symlink_to(self.bind.folder / "session.key")
        self._closing.callback(SESSION_KEY.unlink)
        shim = ("env", f"LD_PRELOAD={BUILD / 'slow_disk.so'}")
        self.slow_bind = self._bind(start_bind(folder / "slow-named", [self.slow, self.slow_dns], command=shim))
        self.sftdyn = self._run(Sftdyn(self.ours))
        self.sftdyn_behind = self._run(Sftdyn(self.proxied, name="proxied", trusted_proxies=PROXIES))
        self.sftdyn_verbose = self._run(Sftdyn(self.talking, None, "-v", name="talking"))
        self.status_port = new_port()
        self.sftdyn_watched = self._run(
            Sftdyn(self.watched, name="watched", status=self.status_port, status_token=TOKEN)
        )
        self.sftdyn010 = self._run(Sftdyn010(self.old))
        self.slow_sftdyn = self._run(Sftdyn(self.slow, self.slow_bind, name="slow"))
        self.constant = self._run(ConstantPython(folder, OWN_ADDRESS))
        self.ceiling = self._run(ConstantC(folder, OWN_ADDRESS))
        self.dnsperf = Dnsperf(self.dns, 53, SESSION_KEY)
        self.slow_dnsperf = Dnsperf(self.slow_dns, self.slow_bind.port, self.slow_bind.keyfile)
        everything = Load(ALL, CONNECTIONS, requests=NAMES)  # fills 0.10's memory, and warms up the others
        run_load(everything, self.ours, self.sftdyn)
        run_load(replace(everything, way="proxy"), self.proxied, self.sftdyn_behind)
        run_load(everything, self.old, self.sftdyn010)
        run_load(everything, self.talking, self.sftdyn_verbose)
        run_load(everything, self.watched, self.sftdyn_watched)
        run_load(everything, self.slow, self.slow_sftdyn)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.close()

    def _bind(self, bind: Bind) -> Bind:
        self._closing.callback(bind.kill)
        return bind

    def _run(self, server: S) -> S:
        self._closing.callback(server.stop)
        return server

    def measure(self, name: str) -> Sample:
        """One measurement; the zones are checked after it. Raises WrongAnswers, Mismatch."""
        sample = self.last[name] = MEASUREMENTS[name](self)
        return sample

    def on_ours(self, load: Load) -> Sample:
        return self._load(load, self.ours, self.sftdyn, self.bind)

    def on_010(self, load: Load) -> Sample:
        return self._load(load, self.old, self.sftdyn010, self.bind)

    def behind_proxy(self, load: Load) -> Sample:
        """As a proxy's header says."""
        return self._load(replace(load, way="proxy"), self.proxied, self.sftdyn_behind, self.bind)

    @cached_property
    def crowd(self) -> Crowd:
        """Started when first needed, since it takes its time."""
        return self._closing.enter_context(Crowd(self._folder))

    def on_crowd(self, load: Load) -> Sample:
        """By clients that have changed within the last minutes, all of them."""
        self.crowd.stir()
        return self._load(load, self.crowd.fleet, self.crowd.sftdyn, self.crowd.bind)

    def contact(self, changes: int, first: bool) -> Sample:
        """Each name is asked for once, by a sftdyn that has just started, or once more."""
        if first:
            self.crowd.start_anew()
        load = Load(changes, CONNECTIONS, requests=NEWCOMERS)
        return self._load(load, self.crowd.newcomers, self.crowd.newcomer, self.crowd.bind)

    def on_verbose(self, load: Load) -> Sample:
        """With a line in a log file about each request."""
        return self._load(load, self.talking, self.sftdyn_verbose, self.bind)

    def on_watched(self, load: Load) -> Sample:
        """With a status listener, whose metrics are looked at each second."""
        ended = threading.Event()
        scraping = threading.Thread(target=self._scrape, args=[ended])
        scraping.start()
        try:
            return self._load(load, self.watched, self.sftdyn_watched, self.bind)
        finally:
            ended.set()
            scraping.join()

    def _scrape(self, ended: threading.Event) -> None:
        url = f"http://127.0.0.1:{self.status_port}/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        while not ended.wait(SCRAPE):
            with urllib.request.urlopen(request) as reply:
                reply.read()

    def on_slow_disk(self, load: Load) -> Sample:
        return self._load(load, self.slow, self.slow_sftdyn, self.slow_bind)

    def _load(self, load: Load, fleet: Fleet, server: Sftdyn | Sftdyn010, bind: Bind) -> Sample:
        parts = {"server": [server.pid], "nsupdate": server.children(), "named": [bind.pid]}
        before = {part: cpu_seconds(pids) for part, pids in parts.items()}
        sample = run_load(load, fleet, server, server.tls_port if load.tls else None)
        for part, pids in parts.items():
            sample.shares[part] = (cpu_seconds(pids) - before[part]) / sample.seconds
        fleet.check(bind.port)
        return sample

    def on_front(self, server: HttpServer) -> Sample:
        before = cpu_seconds([server.pid])
        load = Load(NONE, CONNECTIONS, self.seconds, expected=OWN_ADDRESS)
        sample = run_load(load, self.front, server)
        sample.shares["server"] = (cpu_seconds([server.pid]) - before) / sample.seconds
        return sample

    def dns_updates(self, in_flight: int, rate: float) -> Sample:
        sample = self.dnsperf.run(in_flight, int(rate * self.seconds))
        self.dns.check(self.bind.port)
        return sample

    def slow_dns_updates(self) -> Sample:
        sample = self.slow_dnsperf.run(IN_FLIGHT, int(DNSPERF_RATE_SLOW * self.seconds))
        self.slow_dns.check(self.slow_bind.port)
        return sample


def _half(stage: Stage, changes: int, of: str) -> Sample:
    """At half of the rate that was measured last."""
    rate = stage.last[of].rate / 2
    return stage.on_ours(Load(changes, connections=1000, seconds=stage.seconds, rate=rate))


# In the order in which each round measures them.
MEASUREMENTS: dict[str, Callable[[Stage], Sample]] = {
    "changes": lambda s: s.on_ours(Load(ALL, CONNECTIONS, s.seconds)),
    "changes, 0.10": lambda s: s.on_010(Load(ALL, CONNECTIONS, s.seconds)),
    "changes, dnsperf": lambda s: s.dns_updates(IN_FLIGHT, DNSPERF_RATE),
    "storm": lambda s: s.on_ours(Load(ALL, CONNECTIONS, s.seconds, quiet_rounds=QUIET_ROUNDS)),
    "changes at half rate": lambda s: _half(s, ALL, "changes"),
    "single change": lambda s: s.on_ours(Load(ALL, 1, s.seconds)),
    "single change, dnsperf": lambda s: s.dns_updates(1, DNSPERF_RATE_SINGLE),
    "uptodate": lambda s: s.on_ours(Load(NONE, CONNECTIONS, s.seconds)),
    "uptodate, 0.10": lambda s: s.on_010(Load(NONE, CONNECTIONS, s.seconds)),
    "parameter": lambda s: s.on_ours(Load(NONE, CONNECTIONS, s.seconds, way="parameter")),
    "proxy": lambda s: s.behind_proxy(Load(NONE, CONNECTIONS, s.seconds)),
    "dyndns2": lambda s: s.on_ours(Load(NONE, CONNECTIONS, s.seconds, way="dyndns2")),
    "uptodate, status": lambda s: s.on_watched(Load(NONE, CONNECTIONS, s.seconds)),
    "mixed": lambda s: s.on_ours(Load(MIXED, CONNECTIONS, s.seconds)),
    "uptodate at half rate": lambda s: _half(s, NONE, "uptodate"),
    "https": lambda s: s.on_ours(Load(NONE, CONNECTIONS, s.seconds, tls=True)),
    "https, 0.10": lambda s: s.on_010(Load(NONE, CONNECTIONS, s.seconds, tls=True)),
    "front": lambda s: s.on_front(s.sftdyn),
    "front, http.server": lambda s: s.on_front(s.constant),
    "crowd": lambda s: s.on_crowd(Load(ALL, CONNECTIONS, s.seconds)),
    "crowd, uptodate": lambda s: s.on_crowd(Load(NONE, CONNECTIONS, s.seconds)),
    "first contact": lambda s: s.contact(NONE, first=True),
    "second contact": lambda s: s.contact(NONE, first=False),
    "first contact, changes": lambda s: s.contact(ALL, first=True),
    "second contact, changes": lambda s: s.contact(ALL, first=False),
    "slow disk": lambda s: s.on_slow_disk(Load(ALL, CONNECTIONS, s.seconds)),
    "slow disk, dnsperf": lambda s: s.slow_dns_updates(),
    "changes, -v": lambda s: s.on_verbose(Load(ALL, CONNECTIONS, s.seconds)),
    "uptodate, -v": lambda s: s.on_verbose(Load(NONE, CONNECTIONS, s.seconds)),
    "ceiling": lambda s: s.on_front(s.ceiling),
}
# Shown beside the figures.
INFORMATIVE = ("changes, -v", "uptodate, -v", "ceiling")
# A measurement at a fraction of the rate of another one needs it in the same round.
NEEDS = {"changes at half rate": "changes", "uptodate at half rate": "uptodate"}
