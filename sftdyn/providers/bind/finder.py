"""Asks the primary which names are apexes, in lots, through children of its own; see `zones` for what that means."""

import asyncio
from collections.abc import Callable, Sequence

from . import message
from .message import Verdict
from .nsupdate import Child, Route
from .zones import Zones

LOT = 64  # names that are asked for at once
CHILDREN = 2  # more gain nothing on two cores
NOBODYS = "nobodys-zone.invalid."  # ends each lot: who is asked for this one answers at once, if at all
PAUSE = 0.1  # seconds until the next try, where nobody answers
BAD_KEY_PAUSE = 0.5  # seconds; such a try costs a process


class Finder:
    """Learns the zones of names. `found` is called for each name that was wanted, `failed` with what is in the way."""

    def __init__(
        self, route: Route, zones: Zones, found: Callable[[str], None], failed: Callable[[str, str], None]
    ) -> None:
        self._route = route
        self._zones = zones
        self._found = found
        self._failed = failed
        self._wanted: dict[str, None] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def want(self, name: str) -> None:
        """Find the zone of this name, too."""
        self._wanted.setdefault(name)
        if len(self._workers) < min(CHILDREN, 1 + len(self._wanted) // LOT):
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    def forget(self, name: str) -> None:
        """Nobody waits for this one any more."""
        self._wanted.pop(name, None)

    async def close(self) -> None:
        """End all work."""
        for worker in list(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        child = Child(self._route)
        try:
            while self._wanted:
                lot = list(self._wanted)[:LOT]
                for name in lot:
                    del self._wanted[name]
                await asyncio.sleep(await self._ask(child, lot))
        finally:
            await child.stop()

    async def _ask(self, child: Child, lot: Sequence[str]) -> float:
        """Ask for the names of a lot; the seconds until the next one."""
        now = self._loop.time()
        places = list(dict.fromkeys(place for name in lot for place in self._zones.unknown(name, now)))
        silent: list[str] = []
        last = Verdict.UNKNOWN
        trouble = ""

        def hear(number: int, transcript: str) -> None:
            nonlocal last, trouble
            last = message.verdict(transcript)
            trouble = message.diagnosis(transcript) or trouble
            if last is Verdict.UNKNOWN:
                silent.extend(places[number : number + 1])
            elif last in message.SPOKEN:
                for place in silent:
                    self._zones.learn(place, Verdict.UNKNOWN, now)
                silent.clear()
                if number < len(places):
                    self._zones.learn(places[number], last, now)

        await child.send_all([(place, message.harmless(place)) for place in [*places, NOBODYS]], hear)
        for name in lot:
            if self._zones.zone_of(name, now) is None:
                self._wanted.setdefault(name)
                self._failed(name, trouble)
            else:
                self._found(name)
        if last is Verdict.NOBODY:
            child.try_elsewhere()
        if last is Verdict.BAD_KEY:
            await child.stop()
            return BAD_KEY_PAUSE
        return 0 if last in message.SPOKEN else PAUSE
