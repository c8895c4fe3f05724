"""Late writes: what a silent primary was sent may be applied long after, over something newer.

An update without an answer may lie in the primary's socket, or in a network's buffer, until the signature on it
is too old. So the names in it are watched until then, and a late value is replaced by the newest acknowledged one.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...values.update import Key, RRset
from .dialogue import BATCH, Dialogue

log = logging.getLogger(__name__)

# Seconds. A signature is good for 300 s (TSIG's fudge as nsupdate sends it; RFC 8945, 10.2).
WATCHED = 330.0
INTERVAL = 1.0


@dataclass(slots=True)
class Suspect:
    """Values that may still be written to one record set, and the newest that the primary acknowledged."""

    zone: str
    until: float  # event loop time
    values: Counter[tuple[str, ...]] = field(default_factory=Counter)  # how often each was sent
    newest: RRset | None = None


class LateWrites:
    """The record sets that a late write could undo. All times are the event loop's."""

    def __init__(self) -> None:
        self._suspects: dict[Key, Suspect] = {}
        self.next_look: float | None = None  # None while nothing is watched

    def unanswered(self, zone: str, rrsets: Iterable[RRset], now: float) -> None:
        """These were sent, and no answer came."""
        for rrset in rrsets:
            suspect = self._suspects.setdefault(rrset.key, Suspect(zone, 0.0))
            suspect.values[rrset.addresses] += 1
            suspect.until = now + WATCHED
        self.next_look = self.next_look or now + INTERVAL

    def threaten(self, rrsets: Iterable[RRset]) -> bool:
        """Whether a late write could still put another value in the place of one of these."""
        suspects = [(self._suspects.get(rrset.key), rrset) for rrset in rrsets]
        return any(suspect and suspect.values.keys() - {rrset.addresses} for suspect, rrset in suspects)

    def acknowledged(self, rrsets: Iterable[RRset]) -> None:
        """The primary confirmed these: from now on they are what a late write would undo."""
        for rrset in rrsets:
            if suspect := self._suspects.get(rrset.key):
                suspect.newest = rrset

    async def look(self, dialogue: Dialogue, now: float) -> None:
        """Ask for all that is watched, and mend what a late write undid. Raises Interrupted."""
        self._suspects = {key: suspect for key, suspect in self._suspects.items() if suspect.until > now}
        self.next_look = now + INTERVAL if self._suspects else None
        zones: dict[str, list[RRset]] = {}
        for suspect in self._suspects.values():
            if suspect.newest:
                zones.setdefault(suspect.zone, []).append(suspect.newest)
        for zone, rrsets in zones.items():
            for start in range(0, len(rrsets), BATCH):
                some = rrsets[start : start + BATCH]
                for rrset in await dialogue.wrong(zone, some, {r.key: r.addresses for r in some}):
                    await self._mend(dialogue, zone, rrset)

    async def _mend(self, dialogue: Dialogue, zone: str, rrset: RRset) -> None:
        suspect = self._suspects[rrset.key]
        for late in suspect.values.keys() - {rrset.addresses}:
            if await dialogue.replace(zone, rrset, late):
                suspect.values -= Counter([late])  # what was sent once can come late once
                log.warning("%s %s: an update that the name server applied late is mended", rrset.name, rrset.type)
                return
        suspect.newest = None  # somebody else's newer value: not ours to touch
