"""One batch of updates to one zone, settled with the primary: beliefs, and halving where it disagrees.

Every message says what it believes the zone to hold and what shall become of it, and the primary's NOERROR
makes both true at once. So one round trip answers a whole batch: OK for what differed, UPTODATE for what did
not. What was seen last is only a guess at what to say next, never an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...values.update import Key, RRset, Update
from . import message
from .message import Belief, Beliefs, Verdict
from .nsupdate import Child

BATCH = 256  # record sets in one message; more gain nothing, and delay the first
REMEMBERED = 1_000_000  # record sets whose last sight is kept as a guess; some 230 octets each
# One update can be to blame for the whole batch: it is halved until the culprit stands alone.
HALVED = frozenset({Verdict.HIDDEN, Verdict.TOO_LARGE})
SINGLY = 8  # so few are asked about one by one: halving finds one wrong no faster, and many slower
TRIES = 8  # messages for one batch while others write to the same names


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the primary made of one update. After DONE or UNKNOWN, `changed`: by our hand."""

    verdict: Verdict
    changed: bool = False
    reason: str = ""


class Interrupted(Exception):
    """The primary answered a question with neither yes nor no."""

    def __init__(self, settlement: Settlement) -> None:
        super().__init__(settlement.reason)
        self.settlement = settlement


class Dialogue:
    """Talks to one primary through one child; one batch at a time."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._seen: dict[Key, tuple[str, ...]] = {}

    async def settle(self, zone: str, updates: Sequence[Update]) -> list[Settlement]:
        """One settlement for each of `updates`, which must not share a record set."""
        rrsets = [rrset for update in updates for rrset in update]
        beliefs: dict[Key, Belief] = {r.key: self._seen.get(r.key, r.addresses) for r in rrsets}
        try:
            if any(beliefs[r.key] != r.addresses for r in rrsets):
                await self._revise(zone, [r for r in rrsets if r.key not in self._seen], beliefs)
            for _ in range(TRIES):
                verdict, reason = await self._send(zone, message.change(rrsets, beliefs, zone))
                if verdict is Verdict.BELIEF_WRONG:
                    await self._revise(zone, rrsets, beliefs)
                elif verdict is not Verdict.HIDDEN or not await self._revise(zone, _absent(rrsets, beliefs), beliefs):
                    break
        except Interrupted as interruption:
            return [interruption.settlement] * len(updates)
        if verdict is Verdict.DONE:
            self._remember(rrsets)
        elif verdict in HALVED or (verdict is Verdict.REFUSED and await self._is_open(zone)):
            if len(updates) > 1:
                half = len(updates) // 2
                return await self.settle(zone, updates[:half]) + await self.settle(zone, updates[half:])
        elif verdict in (Verdict.REFUSED, Verdict.BELIEF_WRONG):
            verdict = Verdict.AWAY  # frozen, or no key for this zone; or somebody else writes all the time
        return [Settlement(verdict, any(beliefs[r.key] != r.addresses for r in update), reason) for update in updates]

    async def confirm(self, zone: str, updates: Sequence[Update]) -> list[Settlement]:
        """Change nothing: BELIEF_WRONG for an update that would change something, DONE for the others."""
        rrsets = [rrset for update in updates for rrset in update]
        wanted = {rrset.key: rrset.addresses for rrset in rrsets}
        verdict, reason = await self._send(zone, message.change(rrsets, wanted, zone))
        if verdict in {Verdict.BELIEF_WRONG, *HALVED} and len(updates) > 1:
            half = len(updates) // 2
            return await self.confirm(zone, updates[:half]) + await self.confirm(zone, updates[half:])
        if verdict is Verdict.HIDDEN:
            try:
                if await self.wrong(zone, _absent(rrsets, wanted), wanted):
                    verdict = Verdict.BELIEF_WRONG
            except Interrupted as interruption:
                return [interruption.settlement] * len(updates)
        if verdict is Verdict.REFUSED:
            verdict = Verdict.AWAY  # a question needs no permission but the zone's
        return [Settlement(verdict, False, reason)] * len(updates)

    async def replace(self, zone: str, rrset: RRset, late: tuple[str, ...]) -> bool:
        """Put `rrset` in the place of exactly `late`; False if anything else stands there."""
        verdict, _ = await self._send(zone, message.change([rrset], {rrset.key: late}, zone))
        return verdict is Verdict.DONE

    async def wrong(self, zone: str, rrsets: Sequence[RRset], beliefs: Beliefs) -> list[RRset]:
        """Those of `rrsets` whose belief does not hold, found by halves. Raises Interrupted."""
        if not rrsets:
            return []
        verdict, reason = await self._send(zone, message.question(rrsets, beliefs))
        if verdict is Verdict.DONE:
            return []
        if verdict not in (Verdict.BELIEF_WRONG, Verdict.HIDDEN, Verdict.TOO_LARGE):
            # A question needs no permission but the zone's: refused, it is frozen or the key not allowed.
            raise Interrupted(Settlement(Verdict.AWAY if verdict is Verdict.REFUSED else verdict, False, reason))
        if len(rrsets) == 1:
            return list(rrsets)
        step = len(rrsets) // 2 if len(rrsets) > SINGLY else 1
        parts = [rrsets[start : start + step] for start in range(0, len(rrsets), step)]
        return [rrset for part in parts for rrset in await self.wrong(zone, part, beliefs)]

    async def _revise(self, zone: str, rrsets: Sequence[RRset], beliefs: dict[Key, Belief]) -> bool:
        """Mend wrong beliefs: what is not as it was seen may be as wanted; if not that either, nothing is known.

        Whether there were any.
        """
        asked = [rrset for rrset in rrsets if beliefs[rrset.key] is not None]
        wrong = await self.wrong(zone, asked, beliefs)
        for rrset in wrong:
            beliefs[rrset.key] = rrset.addresses if beliefs[rrset.key] != rrset.addresses else None
        return bool(wrong)

    async def _is_open(self, zone: str) -> bool:
        verdict, _ = await self._send(zone, f"prereq nxrrset {zone} DNAME\n")
        return verdict is Verdict.DONE

    async def _send(self, zone: str, lines: str) -> tuple[Verdict, str]:
        transcript = await self._child.send(zone, lines)
        if message.verdict(transcript) is Verdict.BAD_KEY:  # a restarted name server has a new session key
            await self._child.stop()
            transcript = await self._child.send(zone, lines)
        verdict = message.verdict(transcript)
        if verdict is Verdict.NOBODY:
            await self._child.change_family()
        elif verdict is Verdict.BAD_KEY:
            await self._child.stop()
        return verdict, message.diagnosis(transcript)

    def _remember(self, rrsets: Sequence[RRset]) -> None:
        if len(self._seen) > REMEMBERED:
            self._seen.clear()
        for rrset in rrsets:
            self._seen[rrset.key] = rrset.addresses


def _absent(rrsets: Sequence[RRset], beliefs: Beliefs) -> list[RRset]:
    """Those believed to be absent. If one is not, the primary says YXRRSET, as where something hides a name."""
    return [rrset for rrset in rrsets if beliefs[rrset.key] == ()]
