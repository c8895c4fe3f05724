"""Asks the primary which names are apexes, in lots, through children of its own; see `zones` for what that means."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import islice

from . import message
from .message import Verdict
from .nsupdate import ASKING, Child, Route
from .zones import Zones

log = logging.getLogger(__name__)

LOT = 64  # names that are asked for at once
# How many names must be wanted for the first child, the second and the third; more gain nothing on two cores.
BUSY = (1, LOT, 2 * LOT)
IDLE_CHILD = 10.0  # seconds until a child without questions is ended
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
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._workers = [self._loop.create_task(self._work(busy)) for busy in BUSY]

    def want(self, name: str) -> None:
        """Find the zone of this name, too."""
        self._wanted.setdefault(name)
        self._wake.set()

    def forget(self, name: str) -> None:
        """Nobody waits for this one any more."""
        self._wanted.pop(name, None)

    def is_alive(self) -> bool:
        """Whether names are still looked for."""
        return not any(worker.done() for worker in self._workers)

    async def close(self) -> None:
        """End all work."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self, busy: int) -> None:
        """Ask whenever `busy` or more names are wanted."""
        child = Child(self._route, ASKING)
        try:
            while True:
                if len(self._wanted) >= busy:
                    lot = self._next_lot()
                    try:
                        pause = await self._ask(child, lot)
                    except Exception:
                        log.exception("defect in the search for zones")
                        self._wanted.update(dict.fromkeys(lot))
                        pause = PAUSE
                    await asyncio.sleep(pause)
                    continue
                self._wake.clear()
                try:
                    async with asyncio.timeout(IDLE_CHILD if child.is_running() else None):
                        await self._wake.wait()
                except TimeoutError:
                    await child.stop()
        finally:
            await child.stop()

    def _next_lot(self) -> list[str]:
        lot = list(islice(self._wanted, LOT))
        for name in lot:
            del self._wanted[name]
        return lot

    async def _ask(self, child: Child, names: Sequence[str]) -> float:
        """Ask for a lot of names; the seconds until the next one."""
        now = self._loop.time()
        lot = Lot(self._zones, names, now)

        def hear(number: int, transcript: str) -> None:
            lot.hear(number, transcript)
            for name in lot.found():
                self._found(name)

        if child.has_old_key():  # of which Knot 3.4 says that it serves no zone
            await child.stop()
        if lot.places:
            # Who is asked for nobody's zone answers at once, if at all.
            places = [*lot.places, message.NOBODYS]
            await child.send_all([(place, message.harmless(place)) for place in places], hear)
        for name in lot.found():
            self._found(name)
        for name in lot.names:
            self._wanted.setdefault(name)
            self._failed(name, lot.trouble)
        if lot.last is Verdict.NOBODY:
            child.try_elsewhere()
        if lot.last is Verdict.BAD_KEY:
            await child.stop()
            return BAD_KEY_PAUSE
        return 0 if lot.last in message.SPOKEN else PAUSE


class Lot:
    """Names that are asked for at once: what is to be asked, and what was heard."""

    def __init__(self, zones: Zones, names: Sequence[str], now: float) -> None:
        self.names = list(names)  # that are not found
        self.places = list(dict.fromkeys(place for name in names for place in zones.unknown(name, now)))
        self.last = Verdict.UNKNOWN if self.places else Verdict.DONE
        self.trouble = ""
        self._zones = zones
        self._now = now
        self._unsettled: list[str] = []  # no answer, or about the key; and none to a later question yet
        self._refused: list[str] = []  # until it is heard whether nobody's zone is refused, too

    def hear(self, number: int, transcript: str) -> None:
        """The answer to one question (Rules 2 to 4 of `zones`)."""
        place = self.places[number] if number < len(self.places) else None
        self.last = message.verdict(transcript)
        if self.last in message.SPOKEN:
            self._learn(self._unsettled, Verdict.UNKNOWN)
            if not place:
                self._learn(self._refused, Verdict.NOT_ITS_ZONE if self.last is Verdict.REFUSED else Verdict.REFUSED)
            elif self.last is Verdict.REFUSED:
                self._refused.append(place)
            else:
                self._zones.learn(place, self.last, self._now)
            return
        self.trouble = message.diagnosis(transcript) or self.trouble
        if self.last in (Verdict.UNKNOWN, Verdict.BAD_KEY) and place:
            self._unsettled.append(place)

    def _learn(self, places: list[str], verdict: Verdict) -> None:
        for place in places:
            self._zones.learn(place, verdict, self._now)
        places.clear()

    def found(self) -> list[str]:
        """The names whose zones are known meanwhile, each once: from the first on, or all if some are held up."""
        known: list[str] = []
        for name in self.names:
            if self._zones.zone_of(name, self._now) is not None:
                known.append(name)
            elif not (self._unsettled or self._refused):
                break
        if known:
            self.names = [name for name in self.names if name not in known]
        return known
