"""One batch of updates to one zone, settled with the primary: beliefs, and halving where it disagrees.

Every message says what it believes the zone to hold and what shall become of it, and the primary's NOERROR
makes both true at once. So one round trip answers a whole batch: OK for what differed, UPTODATE for what did
not. What was seen last is only a guess at what to say next, never an answer.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple, TypeAlias

from ...values.update import Key, Record, Text
from ..desk.backend import in_parts
from . import message
from .addresses import MAX_UDP
from .failures import Failures
from .message import Belief, Beliefs, Unanswered, Word
from .nsupdate import Child
from .sayings import diagnosis
from .scouts import Scouts
from .strays import Strays

BATCH = 256  # record sets in one message; more gain nothing, and delay the first
REMEMBERED = 1_000_000  # record sets whose last sight is kept as a guess; some 300 octets each
# One update can be to blame for the whole batch: it is halved until the culprit stands alone.
HALVED = frozenset({Word.HIDDEN, Word.TOO_LARGE})
ABOUT_ONE = frozenset({Word.REFUSED, Word.FAILED})  # so can these, unless all of the zone gets them
# What they mean where it is about the zone; and where somebody else writes all the time.
OF_ALL = {
    Word.REFUSED: Word.CLOSED,
    Word.FAILED: Word.AWAY,
    Word.BELIEF_WRONG: Word.AWAY,
}
Wanted: TypeAlias = Mapping[Key, Record]  # by its key
SINGLY = 8  # so few are asked about one by one: halving finds one wrong no faster, and many slower
TRIES = 8  # messages for one batch while others write to the same names


class Settled(NamedTuple):
    """What the primary made of one update. `changed`: it was not so before, or (after UNKNOWN) may be so by our hand.

    Where the update was only asked about, `changed` says that it would have been changed.
    """

    verdict: Word
    changed: bool = False
    reason: str = ""


class LastSeen(NamedTuple):
    """What was seen of a record set. Of its TTL nothing can be seen: it is the wanted one, or one set by hand."""

    addresses: tuple[str, ...]
    ttl: int
    reloads: int


class Sight:
    """What was last seen of each record set, shared by all dialogues with one primary.

    Where a reload of the conf has brought another TTL, nothing is known any more: so it is written with the new one.
    """

    def __init__(self) -> None:
        self.seen: dict[Key, LastSeen] = {}

    def guess(self, key: Key, record: Record, reloads: int, ask_only: bool) -> Belief:
        """What it is probably now; where nothing is known, what it shall be. Nothing can be said of a single value."""
        seen = self.seen.get(key)
        if seen is None:
            return None if isinstance(record, Text) else record.addresses
        is_over = seen.reloads < reloads and seen.ttl != record.ttl and not ask_only
        return None if is_over and seen.addresses == record.addresses else seen.addresses

    def note(self, wanted: Wanted, beliefs: Beliefs, reloads: int, ask_only: bool) -> None:
        """The primary said that these are as wanted, or where it was only asked, as believed."""
        if len(self.seen) > REMEMBERED:
            self.seen.clear()
        for key, record in wanted.items():
            seen = LastSeen(record.addresses, record.ttl, reloads)
            if ask_only and (belief := beliefs[key]) is not None:
                seen = self.seen.get(key, seen)._replace(addresses=belief)
            elif ask_only or isinstance(record, Text):
                continue
            self.seen[key] = seen


class Dialogue:
    """Talks to one primary through one child; one batch at a time."""

    def __init__(self, child: Child, sight: Sight, scouts: Scouts, failures: Failures, strays: Strays) -> None:
        self._child = child
        self._sight = sight
        self._failures = failures
        self._scouts = scouts
        self._strays = strays

    async def settle(
        self, zone: str, updates: Sequence[Sequence[Record]], ask_only: bool = False, reloads: int = 0
    ) -> list[Settled]:
        """One settlement for each of `updates`, which must not share a record set."""
        wanted = {record.key: record for update in updates for record in update}
        beliefs = {key: self._sight.guess(key, record, reloads, ask_only) for key, record in wanted.items()}
        try:
            if self._child.is_narrow() and not _fits(zone, message.change(wanted.values(), beliefs, zone, ask_only)):
                verdict, reason = Word.TOO_LARGE, ""
            else:
                verdict, reason = await self._agree(zone, wanted, beliefs, ask_only)
        except Unanswered as error:
            return [Settled(*error.said)] * len(updates)
        if verdict is Word.FAILED and len(updates) == 1:
            verdict, reason = await self._failed_alone(zone, wanted, beliefs, reason)
        changed = {key for key, record in wanted.items() if beliefs[key] != record.addresses}
        if verdict is Word.DONE:
            if changed and not ask_only:
                self._failures.forget(zone)
            self._sight.note(wanted, beliefs, reloads, ask_only)
        elif await self._is_about_one(verdict, zone):
            if len(updates) > 1:
                return await in_parts(updates, lambda part: self.settle(zone, part, ask_only, reloads))
        elif verdict in OF_ALL:
            await self._scouts.help(verdict, [zone], self._child.way)
            verdict = OF_ALL[verdict]
        if len(changed) in (0, len(wanted)):
            return [Settled(verdict, bool(changed), reason)] * len(updates)
        return [Settled(verdict, not changed.isdisjoint([r.key for r in update]), reason) for update in updates]

    async def _is_about_one(self, verdict: Word, zone: str) -> bool:
        """Whether a verdict is not about the zone as a whole: then a harmless question is answered otherwise."""
        if verdict is Word.FAILED and self._failures.is_blamed(zone, monotonic()):
            return False
        return verdict in HALVED or (verdict in ABOUT_ONE and await self._asked(zone) is Word.DONE)

    async def _failed_alone(
        self, zone: str, wanted: Wanted, beliefs: dict[Key, Belief], reason: str
    ) -> tuple[Word, str]:
        """Is it to blame itself (FAILED), or the zone (AWAY), or was it just loaded? Raises nothing."""
        if await self._asked(zone) is not Word.DONE:
            return Word.AWAY, reason
        try:
            verdict, reason = await self._agree(zone, wanted, beliefs, ask_only=False)
        except Unanswered as error:
            verdict, _, reason = error.said
        if verdict is Word.FAILED and self._failures.note(zone, {name for name, *_ in wanted}, monotonic()):
            return Word.AWAY, reason
        return verdict, reason

    async def _agree(self, zone: str, wanted: Wanted, beliefs: dict[Key, Belief], ask_only: bool) -> tuple[Word, str]:
        """Send, and mend wrong beliefs, until the primary says something else than that. Raises Unanswered."""
        if [key for key, record in wanted.items() if beliefs[key] != record.addresses]:
            await self._revise(zone, [r for key, r in wanted.items() if key not in self._sight.seen], beliefs)
        for _ in range(TRIES):
            verdict, reason = await self._send(zone, message.change(wanted.values(), beliefs, zone, ask_only))
            if verdict is Word.BELIEF_WRONG:
                await self._revise(zone, list(wanted.values()), beliefs)
            elif verdict is not Word.HIDDEN or not await self._revise(zone, _absent(wanted, beliefs), beliefs):
                break
        return verdict, reason

    async def replace(self, zone: str, rrset: Record, late: tuple[str, ...]) -> Word:
        """Put `rrset` in the place of exactly `late`."""
        return (await self._send(zone, message.change([rrset], {rrset.key: late}, zone)))[0]

    async def wrong(self, zone: str, rrsets: Sequence[Record], beliefs: Beliefs) -> list[Record]:
        """Those of `rrsets` whose belief does not hold, found by parts. Raises Unanswered."""
        if not rrsets:
            return []
        verdict, reason = await self._send(zone, message.question(rrsets, beliefs))
        if verdict is Word.DONE:
            return []
        if verdict not in (Word.BELIEF_WRONG, Word.HIDDEN, Word.TOO_LARGE):
            # A question needs no permission but the zone's: refused, it is frozen or the key not allowed.
            raise Unanswered(OF_ALL.get(verdict, verdict), False, reason)
        if len(rrsets) == 1:
            return list(rrsets)
        return await in_parts(rrsets, lambda part: self.wrong(zone, part, beliefs), singly=SINGLY)

    async def _revise(self, zone: str, rrsets: Sequence[Record], beliefs: dict[Key, Belief]) -> bool:
        """Mend wrong beliefs: what is not as it was seen may be as wanted; if not that either, nothing is known.

        Whether there were any. Raises Unanswered.
        """
        asked = [rrset for rrset in rrsets if beliefs[rrset.key] is not None]
        wrong = await self.wrong(zone, asked, beliefs)
        for rrset in wrong:
            beliefs[rrset.key] = rrset.addresses if beliefs[rrset.key] != rrset.addresses else None
        return bool(wrong)

    async def _send(self, zone: str, lines: str) -> tuple[Word, str]:
        verdict, reason = await self._try(zone, lines)
        if verdict is Word.BAD_KEY:  # a restarted name server has a new session key
            await self._child.stop()
            verdict, reason = await self._try(zone, lines)
        is_better = verdict is not Word.REFUSED and await self._scouts.help(verdict, [zone], self._child.way)
        if is_better and not (verdict is Word.UNKNOWN and message.is_change(lines)):  # which may still be made
            verdict, reason = await self._try(zone, lines)
        if verdict is Word.BAD_KEY:
            await self._child.stop()
        return verdict, reason

    async def _try(self, zone: str, lines: str) -> tuple[Word, str]:
        watching = self._scouts.watch([zone])
        try:
            transcript = await self._child.send(zone, lines)
        finally:
            watching.cancel()
        verdict = message.verdict(transcript)
        if verdict is Word.UNKNOWN and self._child.way and message.is_change(lines):
            self._strays.lost(self._child.way.address)
        if message.is_key_unknown(transcript):
            verdict = await self._whose(zone)
        elif message.is_unsigned(transcript):
            if await self._asked(zone) is Word.DONE:
                verdict = Word.REFUSED
            elif self._child.has_old_key():
                verdict = Word.BAD_KEY
        return verdict, diagnosis(transcript)

    async def _whose(self, zone: str) -> Word:
        """BADKEY: is it of the change, which Knot does not allow the key, of the zone, or of the key everywhere?"""
        if await self._asked(zone) is Word.DONE:
            return Word.REFUSED
        if await self._asked(message.NOBODYS) is not Word.NOT_ITS_ZONE:
            return Word.BAD_KEY
        await self._child.stop()  # the next one reads the key file anew
        return Word.AWAY

    async def _asked(self, zone: str) -> Word:
        return message.verdict(await self._child.send(zone, message.harmless(zone)))


def _fits(zone: str, lines: str) -> bool:
    return message.octets(zone, lines) <= MAX_UDP


def _absent(wanted: Wanted, beliefs: Beliefs) -> list[Record]:
    """Those believed to be absent. If one is not, the primary says YXRRSET, as where something hides a name."""
    return [record for key, record in wanted.items() if beliefs[key] == ()]
