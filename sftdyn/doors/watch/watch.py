"""The watch: what was seen, measured by what the conf expects."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from typing import NamedTuple

from ...conf.config import Config
from ...values.specs import Client, Spec
from .clock import Clock
from .events import DAY, Told
from .memory import PAUSE, Memory
from .seen import ROWS, Journal
from .shelf import Shelf
from .states import Expected

WRITING = 60.0  # seconds between two looks whether there is something to write,
SOON = 5.0  # and after a challenge, which has to be removed even if sftdyn is killed
FORGOTTEN = 30 * 86400.0  # seconds after which a name goes that the conf has no more


def is_watched(config: Config) -> bool:
    """Whether somebody wants to know what was seen; else nothing is noted of anybody."""
    wants_state = config.state and not config.state_by_default
    wanted = config.status or wants_state or config.notify or config.on_change or config.heartbeat or config.expect
    return bool(wanted or any(client.expect for client in config.special))


def is_remembered(config: Config) -> bool:
    """Whether there is something for the file, be it only values of challenges."""
    return is_watched(config) or bool(config.state and config.permits.are_possible)


class Known(NamedTuple):
    """What the watch makes of a conf."""

    clients: int
    names: Mapping[str, None]  # absolute, of clients; without the hosts behind the router
    own: frozenset[str]  # what sftdyn publishes by itself, with the hosts behind the router
    all: frozenset[str]  # all of them; empty where get_host decides
    is_one_of_several: bool  # other instances may be asked at the same ports


class Watch:
    """Keeps the journal, and knows which names there should be."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.clock = clock
        self.journal = Journal(clock)
        self.expected = Expected()
        self.told: dict[str, Told] = {}  # of names, and of providers
        self.specs: dict[str, Spec] = {}  # name → what publishes it,
        self.places: dict[str, str] = {}  # and where
        self._learned: dict[str, float] = {}  # what get_host expects of names
        self._memory = Memory(config.state) if config.state else None
        self.shelf = Shelf()
        self._written = self._news()  # as it was when it was last written
        if self._memory:
            rows, others = self._memory.open(clock())
            self.journal.restore(rows)
            self.told = _as_told(others.get("told"))
            self._learned = _as_learned(others.get("expect"))
            self.shelf = Shelf(others.get("challenges"))
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        now = self.clock()
        self.journal.entries = config.history
        self.known = _known(config)
        self.specs = {name: one.provider or config.provider for one in config.clients for name in _names(one)}
        before = self.expected.since
        since = {name: before.get(name, now) for name in (*self.known.names, *self.known.all)}
        self.journal.wrong_keys.is_known = lambda name: name in self.known.all or bool(self.journal.rows_of(name))
        self.places = {name: spec.where for name, spec in self.specs.items()}
        expectations = self._learned if config.hooks.get_host else _expectations(config)
        self.expected = Expected(config.expect, expectations, since)
        if not config.hooks.get_host:
            self.journal.forget(self.known.all, now - FORGOTTEN)

    def learn(self, client: Client) -> None:
        """What get_host says of a client, as the conf says it of others."""
        for name in _names(client):
            if client.expect and (name in self._learned or len(self._learned) < ROWS):
                self._learned[name] = client.expect
            elif not client.expect:
                self._learned.pop(name, None)

    async def remember(self) -> None:
        """Write what was seen, now and then, as long as it runs."""
        while self._memory:
            await self._pause()
            if self._written != self._news():
                await self._write(PAUSE)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITING):
                await self.shelf.news.wait()
                await asyncio.sleep(SOON)
        self.shelf.news.clear()

    async def secure(self) -> bool:
        """Write it now; whether the file has it."""
        return self._memory is not None and await self._write(0.0)

    async def close(self) -> None:
        """Write it once more."""
        if self._memory:
            if self._written != self._news():
                await self._write(0.0)
            self._memory.close()

    def _news(self) -> tuple[int, ...]:
        """Another one when there is something to write."""
        told = self.told.values()
        return (
            self.journal.noted(),
            self.shelf.changes,
            sum(one.times for one in told),
            sum(one.failing + one.silent for one in told),
        )

    def _forget_what_was_told(self) -> None:
        """And is over for a day."""
        before = self.clock() - DAY
        self.told = {name: one for name, one in self.told.items() if not one.is_over or one.last >= before}

    async def _write(self, pause: float) -> bool:
        assert self._memory
        self._written = self._news()
        self._forget_what_was_told()
        told = {name: astuple(one) for name, one in self.told.items()}
        rows, jump = self.journal.rows(), self.clock.jump()
        others = {"told": told, "expect": dict(self._learned)}
        return await asyncio.to_thread(self._memory.write, rows, others, jump, pause, self.shelf.rows)


def _as_told(said: object) -> dict[str, Told]:
    """What a file says of what was told; nothing where that is none."""
    try:
        assert isinstance(said, dict)
        return {
            str(name): Told(bool(failing), bool(silent), int(times), float(last))
            for name, (failing, silent, times, last) in said.items()
        }
    except (AssertionError, TypeError, ValueError):
        return {}


def _as_learned(said: object) -> dict[str, float]:
    """What a file says that get_host expects; nothing where that is none."""
    try:
        return {str(name): float(expect) for name, expect in said.items()} if isinstance(said, dict) else {}
    except (TypeError, ValueError):
        return {}


def _known(config: Config) -> Known:
    clients = list(config.clients)
    own = {name for own in config.own for name in _names(own.client)}
    every = () if config.hooks.get_host else (name for client in clients for name in _names(client))
    names = {name: None for client in clients for name in client.names}
    return Known(len(clients), names, frozenset(own), frozenset(every), config.reuse_port)


def _names(client: Client) -> tuple[str, ...]:
    """Its own, and those of the hosts behind its router."""
    return (*client.names, *(name for name, _ in client.lan))


def _expectations(config: Config) -> dict[str, float]:
    """For each name the shortest time that one of its clients has."""
    found: dict[str, float] = {}
    for client in config.clients if config.expect else config.special:
        if expect := client.expect or config.expect:
            found.update({name: min(found.get(name, expect), expect) for name in _names(client)})
    return found
