"""One primary, as the desk talks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import TypeAlias

from ...values.exchanges import Exchanges
from ...values.names import ancestors
from ...values.outcome import Outcome, Result
from ...values.specs import Bind
from ...values.update import Key, Record, RRset, Text
from ..desk.backend import Addresses, Backend, Fact, Fate, Interrupted, Maker, Manner, Settlement, Watched, ZoneState
from ..desk.backend import Verdict as Became
from . import message
from .dialogue import BATCH, Dialogue, Sight
from .dialogue import Settled as Said
from .failures import Failures
from .message import Word
from .nsupdate import ASKING, WRITING, Child
from .questions import Lot
from .route import Route
from .scouts import Scouts
from .script import ScriptBackend
from .strays import Strays

Fates: TypeAlias = dict[Key, tuple[Fate, Addresses]]

MESSAGE_SIZE = 60_000  # octets; 65 535 are the limit of DNS over TCP
MANNER = Manner(
    called="the name server",
    no_zone=Result(
        Outcome.NOZONE,
        "the name server is primary for no zone that contains the name, or takes no update from here at all,"
        " or (Knot) with this key",
    ),
    at_once=(1, 1, 1),
    capacity=MESSAGE_SIZE,
    is_exclusive=False,
    pauses=(0.1, 1.0),
    finders=(1, 64, 128),  # more gain nothing on two cores
    lot=64,
    watched=330.0,  # a signature is good for 300 s (TSIG's fudge as nsupdate sends it; RFC 8945, 10.2)
    second_look=0.25,  # after the primary had this time to work off what lay in its sockets when it woke up
    idle=60.0,
)
# Seconds that all wait. A wrong key costs two processes a try.
WAITS = {Word.NOBODY: 0.1, Word.NOT_SENT: 0.5, Word.BAD_KEY: 0.5}
MEANINGS = {
    Word.DONE: Became.DONE,
    Word.HIDDEN: Became.HIDDEN,
    Word.REFUSED: Became.REFUSED,
    Word.TOO_LARGE: Became.REFUSED,
    Word.FAILED: Became.REFUSED,
    Word.NOT_ITS_ZONE: Became.ELSEWHERE,
    Word.CLOSED: Became.AGAIN,
    Word.AWAY: Became.AGAIN,
    Word.UNKNOWN: Became.UNKNOWN,
    **dict.fromkeys(WAITS, Became.AWAY),
}
REASONS = {
    Word.NOT_ITS_ZONE: MANNER.no_zone.reason,
    Word.HIDDEN: "a CNAME at the name, or a delegation or DNAME above it, hides it",
    Word.TOO_LARGE: "too long for one message: 64 KiB, or 512 octets a name where TCP does not get through",
    Word.FAILED: "the name server fails at this change alone (SERVFAIL): it is probably a limit, such as"
    " max-records-per-type, max-types-per-name or max-records (BIND); its log says which",
    Word.REFUSED: "the name server's update-policy or allow-update refuses this name (Knot: its acl does, or the"
    " zone is full: zone-max-size)",
}
PAUSE = 0.1  # seconds until zones are asked for again, where nobody answers
NO_ROOT = Fact(".", None)
OF_THE_ZONE = frozenset({Word.AWAY, Word.CLOSED, Word.NOT_ITS_ZONE})  # the log says which
COSTLY = frozenset({Word.HIDDEN, Word.REFUSED, Word.FAILED})
MOVED = frozenset({Word.HIDDEN, Word.CLOSED, Word.NOT_ITS_ZONE})  # the name may be in another zone than it was
DONE, UNCHANGED = Settlement(Became.DONE, changed=True), Settlement(Became.DONE)


class BindBackend(Backend):
    """One primary; made inside a running event loop."""

    manner = MANNER

    def __init__(self, spec: Bind, secret: str | None, timeout: float, exchanges: Exchanges) -> None:
        self.given = spec.zones
        self.route = Route(spec.primary)
        self._scouts = Scouts(self.route)
        self._strays = Strays(self.route)
        self._sight = Sight()
        self._failures = Failures()

    def channel(self, asks: bool = False) -> "BindChannel":
        child = Child(self.route, ASKING if asks else WRITING)
        dialogue = Dialogue(child, self._sight, self._scouts, self._failures, self._strays)
        return BindChannel(child, dialogue, self._scouts, self._strays)

    def weigh(self, item: Record, zone: str) -> int:
        """The most octets that a record set adds to a message: its guards, what is believed of it, its change.

        Behind the first 16 KiB, names can only be shortened by the zone's (RFC 1035, 4.1.4).
        """
        name = len(item.name) - len(zone) + 3
        guards = 2 * (item.name.count(".") - zone.count("."))
        longest = 26 if isinstance(item, RRset) else 16 + len(item.value)
        size = (name + 10) * (4 + guards) + (name + longest) * 2 * max(1, len(item.addresses))
        return max(size, MESSAGE_SIZE // BATCH)

    def stop(self) -> None:
        self._scouts.stop()
        self._strays.stop()


class BindChannel:
    """One nsupdate."""

    def __init__(self, child: Child, dialogue: Dialogue, scouts: Scouts, strays: Strays) -> None:
        self._child = child
        self._scouts = scouts
        self._dialogue = dialogue
        self._strays = strays

    async def settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Record]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        return [
            (DONE if one.changed else UNCHANGED) if one.verdict is Word.DONE else self._trouble(zone.name, one)
            for one in await self._dialogue.settle(zone.name, updates, ask_only, zone.reloads)
        ]

    def _trouble(self, zone: str, said: Said) -> Settlement:
        is_apart = said.verdict is Word.TOO_LARGE and self._child.is_narrow()
        return _settlement(zone, *said)._replace(apart=is_apart)

    async def mend(self, zone: ZoneState, watched: Watched) -> list[tuple[Fate, Addresses]]:
        fates = await self._mend_at(self._dialogue, zone.name, watched)
        for route in self._strays.answering(zone.name):
            there = await self._mend_elsewhere(route, zone.name, watched)
            fates |= {key: fate for key, fate in there.items() if key not in fates and fate[0] is not Fate.FOREIGN}
        return [fates.get(record.key, (Fate.RIGHT, ())) for record, _ in watched]

    async def _mend_elsewhere(self, route: Route, zone: str, watched: Watched) -> Fates:
        """At an address that was left; where it falls silent again, the next look asks again."""
        child, scouts = Child(route, WRITING), Scouts(route)
        try:
            dialogue = Dialogue(child, Sight(), scouts, Failures(), self._strays)
            return await self._mend_at(dialogue, zone, watched)
        except Interrupted:
            return {}
        finally:
            scouts.stop()
            await child.stop()

    async def _mend_at(self, dialogue: Dialogue, zone: str, watched: Watched) -> Fates:
        """What is not right there, and what has become of it. Raises Interrupted."""
        fates: Fates = {}
        late = {record.key: values for record, values in watched}
        for start in range(0, len(watched), BATCH):
            some = [record for record, _ in watched[start : start + BATCH]]
            texts = [record for record in some if isinstance(record, Text)]
            again = await dialogue.settle(zone, [[text] for text in texts]) if texts else ()
            for text, said in zip(texts, again, strict=True):
                if said.verdict is Word.UNKNOWN:  # to say it once more is all that can be done, and enough
                    fates[text.key] = Fate.UNKNOWN, text.addresses
            try:
                rrsets = [record for record in some if isinstance(record, RRset)]
                wrong = await dialogue.wrong(zone, rrsets, {r.key: r.addresses for r in rrsets})
            except message.Unanswered as error:
                raise Interrupted(_settlement(zone, *error.said)) from None
            for rrset in wrong:
                fates[rrset.key] = await _mend(dialogue, zone, rrset, late[rrset.key])
        return fates

    async def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact]:
        """What is heard of these names, as soon as it is heard. Raises Interrupted."""
        # Another address may be told by a zone that needs no question any more.
        chain = list(dict.fromkeys(above for place in places for above in (place, *ancestors(place, "."))))
        watching = self._scouts.watch(chain)
        held: Fact | None = None  # that names are in no zone at all: another address may have one
        is_found = False
        lot = Lot(places)
        async for fact in _heard(self._child, lot):
            watching.cancel()
            is_found = is_found or fact.zone is not None
            if fact == NO_ROOT and not is_found and self._scouts.have_choice():
                held = fact
            else:
                yield fact
        watching.cancel()
        if lot.last is Word.BAD_KEY:
            await self._child.stop()
        verdict = Word.NOT_ITS_ZONE if held and lot.last in message.SPOKEN else lot.last
        if (held or lot.last not in message.SPOKEN) and await self._scouts.help(verdict, chain, self._child.way):
            held, lot = None, Lot(places)
            async for fact in _heard(self._child, lot):
                yield fact
        if held:
            yield held
        if lot.last not in message.SPOKEN:
            raise Interrupted(Settlement(Became.AWAY, reason=lot.trouble, wait=WAITS.get(lot.last, PAUSE)))

    async def close(self) -> None:
        await self._child.stop()


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


async def _mend(dialogue: Dialogue, zone: str, rrset: Record, late: Collection[Addresses]) -> tuple[Fate, Addresses]:
    for value in late:
        verdict = await dialogue.replace(zone, rrset, value)
        if verdict is Word.DONE:
            return Fate.MENDED, value
        if verdict is Word.UNKNOWN:
            return Fate.UNKNOWN, value
        if verdict not in (Word.BELIEF_WRONG, Word.HIDDEN):
            return Fate.RIGHT, ()  # the next look finds it again
    return Fate.FOREIGN, ()


def _settlement(zone: str, verdict: Word, changed: bool, reason: str) -> Settlement:
    """What the primary's verdict means for the desk."""
    said = REASONS.get(verdict, reason)
    if said and verdict in OF_THE_ZONE:
        said = f"{said} (zone {zone.rstrip('.') or zone})"
    return Settlement(MEANINGS[verdict], changed, said, WAITS.get(verdict, 0.0), verdict in COSTLY, verdict in MOVED)


MAKER = Maker(MANNER, BindBackend, ScriptBackend)
