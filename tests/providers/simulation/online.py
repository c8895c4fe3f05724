"""APIs in virtual time: the stand-ins of tests/lab answer, whose rules are held against others' clients, and what goes
wrong on the way to them and back comes from here."""

import asyncio
import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from sftdyn.fetch.answer import Answer, Failed, Obstacle
from sftdyn.values.names import is_within
from sftdyn.values.update import TXT, Key
from tests.lab import api as lab
from tests.lab import cloudflare, desec

from . import weather
from .clock import now
from .ledger import Cause, Change, Ledger, Value
from .weather import WELL, WHOLE, Weather

LATEST = 100.0  # seconds until a late request is carried out: Cloudflare's own proxies give up then
SLOW = 0.9  # the part of their patience that clients may have to wait
LOST = 0.2  # the part of requests of which a lossy way loses one direction
TROUBLES = (
    "dead",
    "silent",
    "500",
    "lossy",
    "mute",
    "faint",
    "slow",
    "limited",
    "nonsense",
)
TROUBLES_OF_ZONES = ("500", "dead", "silent", "denied", "nonsense")
PATIENT = (1, 3, 20)  # seconds that a 429 may want
DENIED = {
    "success": False,
    "result": None,
    "errors": [{"code": 10000, "message": "Authentication error"}],
    "detail": "No.",
}

Snapshot = Mapping[Key, Value]


class StandIn(Protocol):
    """What the two stand-ins have in common."""

    base: str
    complaints: list[str]
    news: threading.Condition

    def answer(self, request: lab.Request, headers: lab.Headers) -> lab.Answer: ...


class Online:
    """An API. All that it does by chance comes from `rng`."""

    latest = LATEST
    has_prerequisites = False  # what a stranger writes between a look and a change stands beside it

    def __init__(self, rng: random.Random, stand_in: StandIn, ledger: Ledger) -> None:
        self.stand_in = stand_in
        self.ledger = ledger
        self.weather = Weather()
        self.late = 0  # requests that are still to be carried out
        self.messages = 0
        self.changes = 0  # of these
        self.delays: Sequence[float] = (9.0, LATEST)  # of what comes late, at most
        self.planned: list[str] = []  # fates of the next changes: well, never, at once, withheld
        self.withheld: list[Callable[[Cause], object]] = []
        self._rng = rng
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def zones(self) -> list[str]:
        """The apexes."""
        raise NotImplementedError

    def set(self, key: Key, value: Value) -> None:
        """Somebody else writes a record set."""
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        """All record sets."""
        raise NotImplementedError

    def scope(self, path: str) -> str:
        """The zone that a request is for; "" if for none."""
        raise NotImplementedError

    def zone_of(self, name: str) -> str | None:
        """Where a name is."""
        return max((zone for zone in self.zones() if is_within(name, zone)), key=len, default=None)

    def value(self, key: Key) -> Value:
        """What everybody sees."""
        return self.snapshot().get(key, ())

    def wake(self) -> None:
        """None of these sleeps."""

    def _by_stranger(self, write: Callable[[], object]) -> None:
        before = self.snapshot()
        write()
        self._note(before, Cause.STRANGER)

    def _note(self, before: Snapshot, cause: Cause) -> None:
        after, number = self.snapshot(), next(self._numbers)
        for key in sorted({*before, *after}):
            self.ledger.note(Change(now(), key, after.get(key, ()), cause, number))

    # Requests

    async def fetch(self, method: str, url: str, seconds: float, headers: Mapping[str, str], body: bytes) -> Answer:
        """What comes of a request. Raises Failed."""
        self.messages += 1
        target = urlsplit(url)
        path = target.path.removeprefix(self.stand_in.base)
        changes = method != "GET"
        self.changes += changes
        secret = {name.lower(): value for name, value in headers.items()}
        content = json.loads(body) if body else None
        query = dict(parse_qsl(target.query, keep_blank_values=True))

        def carry_out(cause: Cause) -> Answer:
            return self._answer(method, path, query, secret, content, cause)

        await asyncio.sleep(self._rng.uniform(0.005, 0.08))
        state = self.weather.state(self.scope(path))
        if state == "lossy":
            state = "silent" if self._rng.random() < LOST else WELL
        if state in weather.LOST:
            state = "silent" if changes and self._rng.random() < weather.LOST[state] else WELL
        rest = 0.0
        if state == "slow":
            before, rest = sorted(self._rng.uniform(0.0, SLOW * seconds) for _ in range(2))
            await asyncio.sleep(before)
            state, rest = WELL, rest - before
        planned = self.planned.pop(0) if self.planned and changes else WELL
        if state == WELL and planned == WELL:
            said = carry_out(Cause.OURS)
            if said.status == 429:
                self.weather.limit(self.scope(path), float(said.headers["retry-after"]))
            await asyncio.sleep(rest)
            return said
        if state == "dead":
            raise Failed(Obstacle.NO_CONNECTION)
        if state == "limited":
            return Answer(429, {"retry-after": str(self._rng.choice(PATIENT))}, b"{}")
        if state == "denied":
            return Answer(403, {}, json.dumps(DENIED).encode())
        if changes:
            self._lose(carry_out, planned)
        if state == "silent" or planned != WELL:
            await asyncio.sleep(seconds)
            raise Failed(Obstacle.SILENT, sent=True)
        return Answer(500, {}, b"<html>") if state == "500" else Answer(200, {}, b"<html>")

    def deliver(self) -> None:
        """What was withheld comes now."""
        withheld, self.withheld = self.withheld, []
        for carry_out in withheld:
            carry_out(Cause.LATE)

    def _lose(self, carry_out: Callable[[Cause], object], fate: str) -> None:
        """Of a change to which no answer comes: what becomes of it."""
        if fate == WELL:
            fate = self._rng.choice(("never", "at once", "late", "late", "late"))
        if fate == "withheld":
            self.withheld.append(carry_out)
        elif fate == "at once":
            carry_out(Cause.OURS)
        elif fate == "late":
            self.late += 1
            seconds = self._rng.uniform(0, self._rng.choice(self.delays))
            task = asyncio.get_running_loop().create_task(self._later(carry_out, seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _later(self, carry_out: Callable[[Cause], object], seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.late -= 1
        carry_out(Cause.LATE)

    def _answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], content: Any, cause: Cause
    ) -> Answer:
        shown = {name: value for name, value in headers.items() if name not in lab.SECRET_HEADERS}
        before = self.snapshot() if method != "GET" else {}
        with self.stand_in.news:
            said = self.stand_in.answer(lab.Request(method, path, query, shown, content, now()), headers)
        if method != "GET":
            self._note(before, cause)
        return Answer(said.status, {name.lower(): value for name, value in said.headers.items()}, said.body)


class AtCloudflare(Online):
    """Cloudflare's API, with these zones and tokens, which may do everything."""

    def __init__(self, rng: random.Random, zones: Iterable[str], tokens: Iterable[str], ledger: Ledger) -> None:
        self._lab = cloudflare.Cloudflare(Path())
        super().__init__(rng, self._lab, ledger)
        self._ids = {self._lab.add_zone(zone.removesuffix(".")): zone for zone in zones}
        for token in tokens:
            self._lab.add_token(text=token)

    def zones(self) -> list[str]:
        return list(self._ids.values())

    def scope(self, path: str) -> str:
        match = re.match("/zones/([0-9a-f]{32})", path)
        return self._ids.get(match[1], WHOLE) if match else WHOLE

    def alias(self, name: str) -> None:
        """A CNAME stands there."""
        self._by_stranger(lambda: self._lab.add(name.removesuffix("."), "CNAME", "elsewhere.example"))

    def set(self, key: Key, value: Value) -> None:
        def write() -> None:
            name, kind = key[0].removesuffix("."), key[1]
            for record in self._lab.records(name, kind):
                self._lab.remove(record.id)
            for content in value:
                self._lab.add(name, kind, content)

        self._by_stranger(write)

    def snapshot(self) -> Snapshot:
        found: dict[Key, Value] = {}
        for record in self._lab.records():
            key, content = (f"{record.name}.", record.type), record.content.strip('"')
            if record.type == TXT:
                found[*key, content] = (content,)
            else:
                found[key] = tuple(sorted((*found.get(key, ()), content)))
        return found


class AtDesec(Online):
    """deSEC's API, with these domains and tokens."""

    def __init__(self, rng: random.Random, zones: Iterable[str], tokens: Iterable[str], ledger: Ledger) -> None:
        self._lab = desec.Desec(Path())
        super().__init__(rng, self._lab, ledger)
        self._zones = list(zones)
        for zone in self._zones:
            self._lab.add_domain(zone.removesuffix("."), minimum_ttl=60)
        for token in tokens:
            self._lab.add_token(token)
        if rng.random() < 0.7:
            self._lab.limits = ()

    def zones(self) -> list[str]:
        return self._zones

    def scope(self, path: str) -> str:
        match = re.match("/domains/([^/]+)/", path)
        return f"{match[1]}." if match else WHOLE

    def alias(self, name: str) -> None:
        """A CNAME stands there."""
        self.set((name, "CNAME"), ("elsewhere.example.",))

    def set(self, key: Key, value: Value) -> None:
        zone = self.zone_of(key[0]) or ""
        subname = key[0].removesuffix(zone).removesuffix(".")
        self._by_stranger(lambda: self._lab.set(zone.removesuffix("."), subname, key[1], value))

    def snapshot(self) -> Snapshot:
        found: dict[Key, Value] = {}
        for zone in self._zones:
            for (subname, kind), rrset in self._lab.rrsets(zone.removesuffix(".")).items():
                key = (f"{subname}.{zone}" if subname else zone, kind)
                contents = tuple(sorted(content.strip('"') for content in rrset.records))
                found |= {(*key, one): (one,) for one in contents} if kind == TXT else {key: contents}
        return found


class Fetcher:
    """Stands where fetch.Fetcher stands, and talks to the APIs of `find`."""

    def __init__(self, find: Callable[[str], Online | None], route: object, *bounds: object) -> None:
        self._find = find

    async def fetch(
        self, method: str, url: str, seconds: float, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Raises Failed."""
        if found := self._find(urlsplit(url).netloc):
            return await found.fetch(method, url, seconds, headers or {}, body)
        await asyncio.sleep(0.001)
        raise Failed(Obstacle.NO_CONNECTION)

    def close(self) -> None:
        """There are no connections."""
