"""The lanes, whose lines of zones are served in turn."""

import asyncio
from collections.abc import Iterator

from .backend import Health
from .tickets import Line, Zone


class Lane:
    """The lines of zones of one health, and the workers that serve them."""

    def __init__(self, health: Health, at_once: int) -> None:
        self.health = health
        self.at_once = at_once
        self.lines: dict[Line, None] = {}  # the one that waits longest first
        self.looks: dict[Zone, None] = {}  # zones to be looked at after late writes
        self.wake = asyncio.Event()
        self.workers: set[asyncio.Task[None]] = set()
        self.resting = 0  # workers that wait
        self.rests_until = 0.0  # event loop time; from suspects
        self.has_looked = False  # since the last batch

    def next_look(self, is_exclusive: bool) -> Zone | None:
        """A zone to be looked at, if it is time for one."""
        if not self.looks or self.has_looked:
            return None
        zone = next((zone for zone in self.looks if not (is_exclusive and zone.is_busy)), None)
        if zone:
            del self.looks[zone]
        return zone

    def next_line(self, now: float, is_exclusive: bool) -> Line | None:
        """The line whose turn it is, if any; it goes to the end.

        Of silent zones, the one that worked last: where all were silent together, it is the likeliest to be back.
        """
        ready = (
            line
            for line in self.lines
            if line.zone.not_before <= now
            and not (line.suspects and self.rests_until > now)
            and not (is_exclusive and line.zone.is_busy)
        )
        line = next(ready, None)
        if line and self.health is Health.SILENT:
            line = max((line, *ready), key=lambda line: line.zone.answered)
        if line:
            del self.lines[line]
            self.lines[line] = None
        return line

    def due(self, is_exclusive: bool) -> Iterator[float]:
        """When lines that have to wait are ready; those of busy zones when these are free."""
        for line in self.lines:
            if not (is_exclusive and line.zone.is_busy):
                yield max(line.zone.not_before, self.rests_until if line.suspects else 0.0)
