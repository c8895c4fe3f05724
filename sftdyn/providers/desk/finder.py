"""Asks a backend for the zones of names, in lots, as long as somebody wants to know."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Protocol

from .backend import Backend, Channel, Interrupted, Listing
from .tickets import Ticket
from .zones import Zones

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds until the next try
IDLE = 10.0  # seconds until a channel without questions is closed


class Seeker(Protocol):
    """For whom zones are looked for."""

    def waits(self, ticket: Ticket) -> bool:
        """Whether it still does."""
        ...

    def found(self, ticket: Ticket) -> None:
        """None of its names is looked for any more."""

    def unfound(self, ticket: Ticket, name: str, error: Interrupted) -> None:
        """For a name there is no hope."""

    def silent(self, error: Interrupted) -> None:
        """Nobody answered."""


class Finder:
    """Learns the zones of names."""

    def __init__(self, backend: Backend, zones: Zones, seeker: Seeker) -> None:
        self._backend = backend
        self._zones = zones
        self._seeker = seeker
        self._tickets: dict[str, list[Ticket]] = {}  # by the name that is looked for
        self._names: dict[Ticket, set[str]] = {}  # the other way round
        self._wanted: dict[str, None] = {}  # that nobody is looking for yet
        self._pause = 0.0
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def want(self, ticket: Ticket, names: Iterable[str]) -> None:
        """Find the zones of these names."""
        sought = self._names.setdefault(ticket, set())
        for name in names:
            if name not in sought:
                sought.add(name)
                if name not in self._tickets:
                    self._wanted[name] = None
                self._tickets.setdefault(name, []).append(ticket)
        self._wake.set()
        for busy in self._backend.manner.finders:
            if len(self._wanted) >= busy and busy not in self.tasks:
                task = self.tasks[busy] = self._loop.create_task(self._work(busy))
                task.add_done_callback(partial(self._ended, busy))

    def waiting(self) -> int:
        """How many names are looked for."""
        return len(self._tickets)

    def _ended(self, busy: int, _: asyncio.Task[None]) -> None:
        del self.tasks[busy]

    async def _work(self, busy: int) -> None:
        """Ask whenever `busy` or more names are wanted."""
        channel = self._backend.channel(asks=True)
        try:
            while True:
                if len(self._wanted) >= busy:
                    lot = list(islice(self._wanted, self._backend.manner.lot))
                    for name in lot:
                        del self._wanted[name]
                    await asyncio.sleep(await self._ask(channel, lot))
                    continue
                self._wake.clear()
                async with asyncio.timeout(IDLE):
                    await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            await channel.close()

    async def _ask(self, channel: Channel, lot: list[str]) -> float:
        """Ask for a lot of names; the seconds until the next one."""
        now = self._loop.time()
        arrived = {name: min(ticket.arrived for ticket in self._tickets[name]) for name in lot}
        unknown = {name: self._zones.unknown(name, now, arrived[name]) for name in lot}
        places = list(dict.fromkeys(place for asked in unknown.values() for place in asked))
        trouble: Interrupted | None = None
        try:
            async for told in channel.apexes(places):
                if isinstance(told, Listing):
                    self._zones.learn_all(told, now)
                else:
                    self._zones.learn(told, now)
                self._release(lot, now)
            self._pause = 0.0
        except Interrupted as error:
            trouble = error
            self._pause = max(min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE), error.settlement.wait)
            self._seeker.silent(error)
        except Exception as error:
            log.error("defect in the search for zones: %s", type(error).__name__)
            self._pause = FIRST_PAUSE
        self._release(lot, now)
        for name in lot:
            self._keep(name, trouble)
        return self._pause

    def _release(self, lot: list[str], now: float) -> None:
        """Hand on the tickets of the first names whose zones are known."""
        while lot:
            tickets = self._tickets[lot[0]]
            if self._zones.zone_of(lot[0], now, min(ticket.arrived for ticket in tickets)) is None:
                return
            self._hand_on(lot.pop(0))

    def _hand_on(self, name: str, trouble: Interrupted | None = None) -> None:
        for ticket in self._tickets.pop(name):
            self._names[ticket].discard(name)
            if trouble and self._seeker.waits(ticket):
                self._seeker.unfound(ticket, name, trouble)
            if not self._names[ticket]:
                del self._names[ticket]
                if self._seeker.waits(ticket):
                    self._seeker.found(ticket)

    def _keep(self, name: str, trouble: Interrupted | None) -> None:
        """Inspection for it again, if somebody still waits."""
        tickets = [ticket for ticket in self._tickets[name] if self._seeker.waits(ticket)]
        reason = trouble.settlement.reason if trouble else ""
        for ticket in tickets if reason else ():
            ticket.trouble = reason
        if tickets and not (trouble and trouble.final):
            self._wanted[name] = None
        else:
            self._hand_on(name, trouble)
