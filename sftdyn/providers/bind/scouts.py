"""Looks for a better way to a primary, beside the work: after trouble, and now and then where the first one was left.

An address is asked over UDP and over TCP, by an nsupdate each, what it says of zones; that changes nothing.
"""

import asyncio
import logging
from collections.abc import Sequence

from . import message
from .addresses import Address, Over, Passage, Sighting, Worth
from .message import Word
from .nsupdate import ASKING, Child
from .questions import Lot
from .route import Route, Unresolved

log = logging.getLogger(__name__)

# What is wrong with the way that was taken; what it is worth for all that; and the seconds that are waited for another.
TROUBLES: dict[Word, tuple[str, Worth, float]] = {
    Word.NOBODY: ("nobody listens there", Worth.NOTHING, 0.5),
    Word.UNKNOWN: ("it does not answer", Worth.NOTHING, 0.0),
    Word.NOT_ITS_ZONE: ("it does not serve {zone}", Worth.NOTHING, 1.0),
    Word.BAD_KEY: ("it does not take the key", Worth.NOTHING, 1.0),
    Word.REFUSED: ("it refuses {zone}", Worth.SOMETHING, 1.0),
}
ANSWERED = frozenset(TROUBLES) - {Word.NOBODY, Word.UNKNOWN}
EARLY = 0.5  # seconds without an answer
AT_BEST = 1.0  # seconds that TCP may take longer than UDP, or UDP than TCP, before it is taken for blocked
BACK = 60.0  # seconds between two looks at what stands in front of the way that is taken
AGAIN = 10.0  # seconds until the same trouble with a zone is looked into again
PAUSES = (1.0, 5.0)  # seconds between two looks in vain: the first, the longest
MANY = 1000  # zones in trouble, before all of them are looked into again

TRANSPORT = {
    Over.BOTH: "the name server at %s is reached over UDP and TCP again",
    Over.UDP: "TCP to the name server at %s does not get through, UDP does: messages are kept below 512 octets; what"
    " does not fit goes in parts, a name each, and not at once; let TCP through (port %d)",
    Over.TCP: "UDP to the name server at %s does not get through, TCP does: everything goes over TCP, which is slower;"
    " let UDP through (port %d)",
}


class Scouts:
    """For all channels of one route; made inside a running event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._looking: asyncio.Task[None] | None = None
        self._back = self._loop.time() + BACK  # event loop time
        self._not_before = 0.0  # event loop time
        self._pause = 0.0
        self._in_vain: dict[tuple[Word, str], float] = {}  # until, event loop time

    def have_choice(self) -> bool:
        """Whether there is more than one address."""
        return len(self._route.choice.addresses) > 1

    async def help(self, verdict: Word, zones: Sequence[str], way: Passage | None, patience: float = 0.0) -> bool:
        """Whether there is a better way than the one that was taken and came to this; after `patience` (s) at least."""
        if verdict not in TROUBLES or way is None:
            return False
        if way != self._route.choice.way:
            return True
        self._look_into(verdict, zones)
        if self._looking and (seconds := max(patience, TROUBLES[verdict][2])):
            await asyncio.wait([self._looking], timeout=seconds)
        return way != self._route.choice.way

    def watch(self, zones: Sequence[str]) -> asyncio.TimerHandle:
        """A message is sent; whoever gets the answer cancels this. Where none comes soon, another way may be known
        by the time that it is given up."""
        self._look_back(zones)
        return self._loop.call_later(EARLY, self._look_into, Word.UNKNOWN, zones)

    def _look_back(self, zones: Sequence[str]) -> None:
        """Where what is better was left a while ago, see how it is now."""
        now = self._loop.time()
        if now >= self._back and not self._is_looking():
            self._back = now + BACK
            if better := self._route.choice.better():
                self._looking = self._loop.create_task(self._look(better, zones, Worth.SOMETHING, ""))

    def stop(self) -> None:
        """End it."""
        if self._looking:
            self._looking.cancel()

    def _look_into(self, verdict: Word, zones: Sequence[str]) -> None:
        """Start to look, if that is not under way, and was not in vain a moment ago."""
        now, key = self._loop.time(), (verdict, zones[0] if zones else "")
        has_answered = verdict in ANSWERED
        others = self._route.choice.others(has_answered)
        if self._is_looking() or not (others or self._route.has_names()):
            return
        if now < (self._in_vain.get(key, 0.0) if has_answered else self._not_before):
            return
        if has_answered:
            if len(self._in_vain) > MANY:
                self._in_vain.clear()
            self._in_vain[key] = now + AGAIN
        else:
            self._pause = min(max(2 * self._pause, PAUSES[0]), PAUSES[1])
            self._not_before = now + self._pause
        said, worth, _ = TROUBLES[verdict]
        why = said.format(zone=zones[0].rstrip(".") if zones else "it")
        self._looking = self._loop.create_task(self._look(None, zones, worth, why, has_answered))

    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    async def _look(
        self, where: Sequence[Address] | None, zones: Sequence[str], worth: Worth, why: str, has_answered: bool = False
    ) -> None:
        """Ask all of them at once; the first that answers better is taken."""
        choice, before = self._route.choice, self._route.choice.way
        if where is None:
            await self._route.renew()
            if choice.way != before:
                self._tell(before, why)
                return
            where = choice.others(has_answered)
        asked = [self._loop.create_task(look_at(self._route, address, zones)) for address in where]
        try:
            for seen in asyncio.as_completed(asked):
                if choice.weigh(await seen, worth):
                    self._tell(before, why)
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def _tell(self, before: Passage | None, why: str) -> None:
        """The log says it once: the way has changed."""
        way = self._route.choice.way
        self._pause = 0.0
        self._back = self._loop.time() + BACK
        if not way or not before:
            return
        for give_up in list(self._route.talking) if why else ():
            give_up(before)
        if way.address != before.address:
            called = "the name server at %s is used from now on"
            log.warning(f"{called}, not %s: %s", way.address, before.address, why or "it works again")
        if way.over is not before.over:
            level = logging.INFO if way.over is Over.BOTH else logging.WARNING
            port = () if way.over is Over.BOTH else (way.address.port,)
            log.log(level, TRANSPORT[way.over], way.address, *port)


async def look_at(route: Route, address: Address, zones: Sequence[str], patience: float = AT_BEST) -> Sighting:
    """What an address says of these zones, and over what; without zones, of nobody's.

    A transport that brings no answer within `patience` (s) after the other one is taken for blocked.
    """
    asked = {over: asyncio.create_task(_ask(route, Passage(address, over), zones)) for over in (Over.UDP, Over.TCP)}
    try:
        pending = set(asked.values())
        while pending and not any(task.done() and task.result() for task in asked.values()):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            await asyncio.wait(pending, timeout=patience)
        worth = {over: task.result() if task.done() else Worth.NOTHING for over, task in asked.items()}
    finally:
        for task in asked.values():
            task.cancel()
        await asyncio.gather(*asked.values(), return_exceptions=True)
    both = all(worth.values()) or not any(worth.values())
    over = Over.BOTH if both else max(worth, key=lambda one: worth[one])
    return Sighting(Passage(address, over), max(worth.values()))


async def _ask(route: Route, way: Passage, zones: Sequence[str]) -> Worth:
    """What these zones are worth there, as soon as it is known."""
    child, lot = Child(Route(route.primary, way), ASKING), Lot(zones)
    best = Worth.NOTHING
    is_known = asyncio.Event()

    def hear(number: int, transcript: str) -> None:
        nonlocal best
        facts = [fact for fact in lot.hear(number, transcript) if fact.zone is not None]
        verdict = message.verdict(transcript)
        if verdict is Word.DONE:
            best = Worth.ALL
        elif facts or (not zones and verdict in message.SPOKEN):
            best = max(best, Worth.SOMETHING)
        if best:
            is_known.set()

    asking = asyncio.create_task(child.send_all([(zone, message.harmless(zone)) for zone in lot.places], hear))
    asking.add_done_callback(lambda _: is_known.set())
    try:
        await is_known.wait()
    except Unresolved:
        pass
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await child.stop()
    return best
