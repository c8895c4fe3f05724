"""The lanes, whose lines of zones are served in turn, each turn one batch, by workers with a channel of their own."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from .backend import Backend, Channel, Health
from .tickets import Line, Zone

FOR_EVER = float("inf")
TICK = 0.001  # seconds; nothing rests shorter


class Served(Protocol):
    """For whom a lane is served."""

    backend: Backend
    paused_until: float  # event loop time
    is_retired: bool

    async def exchange(self, channel: Channel, lane: "Lane", line: Line) -> None:
        """Settle one batch of a line."""

    async def look(self, channel: Channel, zone: Zone) -> None:
        """Inspection after what late writes could undo there."""


class Lane:
    """The lines of zones of one health, and the workers that serve them."""

    def __init__(self, health: Health, at_once: int, served: Served) -> None:
        self.health = health
        self.lines: dict[Line, None] = {}  # the one that waits longest first
        self.looks: dict[Zone, None] = {}  # zones to be looked at after late writes
        self.workers: set[asyncio.Task[None]] = set()
        self.rests_until = 0.0  # event loop time; from suspects
        self._at_once = at_once
        self._served = served
        self._is_exclusive = served.backend.manner.is_exclusive
        self._wake = asyncio.Event()
        self._resting = 0  # workers that wait
        self._has_looked = False  # since the last batch

    def serve(self, line: Line) -> None:
        """From now on, this line, too."""
        self.lines.setdefault(line)
        self.call_worker()

    def look_after(self, zone: Zone) -> None:
        """Inspection soon."""
        self.looks[zone] = None
        self.call_worker()

    def call_worker(self) -> None:
        """There is something to do."""
        if self._resting:
            self._wake.set()
        elif len(self.workers) < self._at_once and not self._served.is_retired:
            task = asyncio.get_running_loop().create_task(self._work())
            self.workers.add(task)
            task.add_done_callback(self.workers.discard)

    async def _work(self) -> None:
        """One worker, until there has been nothing to do for a while."""
        served, clock = self._served, asyncio.get_running_loop().time
        idle = served.backend.manner.idle
        idle = FOR_EVER if self.health is Health.WELL and idle else idle
        channel = served.backend.channel()
        try:
            while not served.is_retired:
                now = clock()
                if (seconds := max(served.paused_until - now, served.backend.wait(self.health))) > 0:
                    await self._rest(seconds)
                elif zone := self._next_look():
                    await served.look(channel, zone)
                elif self.lines and (line := self._next_line(now)):
                    self._has_looked = False
                    await served.exchange(channel, self, line)
                elif self._has_looked and self.looks:
                    self._has_looked = False
                elif self.lines and (due := min(self._due(), default=FOR_EVER)) < FOR_EVER:
                    await self._rest(due - now)
                elif not idle or not await self._rest(idle):
                    return
        finally:
            await channel.close()

    async def _rest(self, seconds: float) -> bool:
        """Until something arrives, which it tells, or for so long."""
        self._wake.clear()
        self._resting += 1
        try:
            async with asyncio.timeout(max(seconds, TICK) if seconds < FOR_EVER else None):
                await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            self._resting -= 1
        return True

    def _next_look(self) -> Zone | None:
        """A zone to be looked at, if it is time for one: between two looks there is a batch."""
        if not self.looks or self._has_looked:
            return None
        zone = next((zone for zone in self.looks if not self._must_wait(zone)), None)
        if zone:
            del self.looks[zone]
            self._has_looked = True
        return zone

    def _next_line(self, now: float) -> Line | None:
        """The line whose turn it is, if any; it goes to the end.

        Of silent zones, the one that worked last: where all were silent together, it is the likeliest to be back.
        """
        ready = (line for line in self.lines if self._ready(line) <= now and not self._must_wait(line.zone))
        line = next(ready, None)
        if line and self.health is Health.SILENT:
            line = max((line, *ready), key=lambda line: line.zone.answered)
        if line:
            del self.lines[line]
            self.lines[line] = None
        return line

    def _ready(self, line: Line) -> float:
        """When its next try is."""
        return max(line.zone.not_before, self.rests_until) if line.suspects else line.zone.not_before

    def _must_wait(self, zone: Zone) -> bool:
        return self._is_exclusive and zone.is_busy

    def _due(self) -> Iterator[float]:
        """When lines that have to wait are ready; those of busy zones when these are free."""
        return (self._ready(line) for line in self.lines if not self._must_wait(line.zone))
