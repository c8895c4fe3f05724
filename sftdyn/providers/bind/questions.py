"""Asks a primary which names are apexes, many at once, and understands what it says.

Rule 1. A message with prerequisites alone and `zone NAME` changes nothing. NOTAUTH says that the name is no apex
here; every other answer of the primary says that it is one, whatever else it says of the zone.

Rule 2. Silence is no answer, and a word about the key is none: BIND gives it before it looks for the zone. Only if
the primary answered a later question of the same lot, it is the zone that is silent, or that does not take the key.

Rule 3. PowerDNS looks at who asks before it looks for the zone. Where it is refused to ask for nobody's zone, a refusal
is as good as NOTAUTH; elsewhere it is one of the zone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

from ..desk.backend import Fact, Interrupted, Settlement, Verdict
from . import message
from .addresses import Passage
from .message import Word
from .nsupdate import Child
from .sayings import diagnosis

PAUSE = 0.1  # seconds until the next try, where nobody answers
BAD_KEY_PAUSE = 0.5  # seconds; such a try costs a process


UNREADY = frozenset({Word.AWAY, Word.FAILED})
NO_ROOT = Fact(".", None)


class Lookout(Protocol):
    """Who looks for a better way to the primary."""

    def have_choice(self) -> bool: ...

    def watch(self, zones: Sequence[str]) -> asyncio.TimerHandle: ...

    async def help(self, verdict: Word, zones: Sequence[str], way: Passage | None) -> bool: ...


class Lot:
    """Names that are asked for at once: what was heard."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = [*places, message.NOBODYS]  # who is asked for nobody's zone answers at once, if at all
        self.last = Word.UNKNOWN
        self.trouble = ""
        self._unsettled: list[str] = []  # no answer, or about the key; and none to a later question yet
        self._refused: list[str] = []  # until it is heard whether nobody's zone is refused, too

    def hear(self, number: int, transcript: str) -> Iterator[Fact]:
        """What the answer to one question says (Rules 1 to 3)."""
        place = self.places[number]
        self.last = message.verdict(transcript)
        if self.last in message.SPOKEN:
            yield from (Fact(name, name, is_sure=False) for name in self._unsettled)
            self._unsettled.clear()
            if place is self.places[-1]:
                yield from (Fact(name, None if self.last is Word.REFUSED else name) for name in self._refused)
            elif self.last is Word.REFUSED:
                self._refused.append(place)
            else:
                yield Fact(place, None if self.last is Word.NOT_ITS_ZONE else place, self.last not in UNREADY)
            return
        self.trouble = diagnosis(transcript) or self.trouble
        if self.last in (Word.UNKNOWN, Word.BAD_KEY) and place is not self.places[-1]:
            self._unsettled.append(place)


async def apexes(child: Child, places: Sequence[str], scouts: Lookout) -> AsyncIterator[Fact]:
    """What is heard of these names, as soon as it is heard. Raises Interrupted."""
    watching = scouts.watch(places)
    held: Fact | None = None  # that names are in no zone at all: another address may have one
    is_found = False
    lot = Lot(places)
    async for fact in _heard(child, lot):
        watching.cancel()
        is_found = is_found or fact.zone is not None
        if fact == NO_ROOT and not is_found and scouts.have_choice():
            held = fact
        else:
            yield fact
    watching.cancel()
    if lot.last is Word.BAD_KEY:
        await child.stop()
    verdict = Word.NOT_ITS_ZONE if held and lot.last in message.SPOKEN else lot.last
    if (held or lot.last not in message.SPOKEN) and await scouts.help(verdict, places, child.way):
        held, lot = None, Lot(places)
        async for fact in _heard(child, lot):
            yield fact
    if held:
        yield held
    if lot.last not in message.SPOKEN:
        wait = BAD_KEY_PAUSE if lot.last is Word.BAD_KEY else PAUSE
        raise Interrupted(Settlement(Verdict.AWAY, reason=lot.trouble, wait=wait))


async def _heard(child: Child, lot: Lot) -> AsyncIterator[Fact]:
    """What one lot brings."""
    heard: asyncio.Queue[Fact | None] = asyncio.Queue()

    def hear(number: int, transcript: str) -> None:
        for fact in lot.hear(number, transcript):
            heard.put_nowait(fact)

    if child.has_old_key():  # of which Knot 3.4 says that it serves no zone
        await child.stop()
    asking = asyncio.create_task(child.send_all([(place, message.harmless(place)) for place in lot.places], hear))
    asking.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while fact := await heard.get():
            yield fact
        await asking
    finally:
        asking.cancel()
