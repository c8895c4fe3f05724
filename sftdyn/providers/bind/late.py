"""Late writes: what a silent primary was sent may be applied long after, over something newer.

An update without an answer may lie in the primary's socket, or in a network's buffer, until the signature on it
is too old. So the names in it are watched until then, and a late value is replaced by the newest acknowledged one.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ...values.update import Key, RRset
from .dialogue import BATCH, Dialogue

log = logging.getLogger(__name__)

# Seconds. A signature is good for 300 s (TSIG's fudge as nsupdate sends it; RFC 8945, 10.2).
WATCHED = 330.0
INTERVAL = 1.0
INTERRUPTED = 5.0  # after a look without an answer, which may have taken two of them


@dataclass(slots=True)
class Suspect:
    """Values that may still be written to one record set, and the newest that the primary acknowledged."""

    zone: str
    until: float  # event loop time
    values: Counter[tuple[str, ...]] = field(default_factory=Counter)  # how often each was sent
    newest: RRset | None = None


class LateWrites:
    """The record sets that a late write could undo, zone by zone. All times are the event loop's."""

    def __init__(self) -> None:
        self._suspects: dict[Key, Suspect] = {}
        self._next_look: dict[str, float] = {}  # zone → time; none for a zone in which nothing is watched
        self.mended = 0  # since the start

    def unanswered(self, zone: str, rrsets: Iterable[RRset], now: float) -> None:
        """These were sent, and no answer came."""
        for rrset in rrsets:
            suspect = self._suspects.setdefault(rrset.key, Suspect(zone, 0.0))
            suspect.values[rrset.addresses] += 1
            suspect.until = now + WATCHED
        self._next_look.setdefault(zone, now + INTERVAL)

    def threaten(self, rrsets: Iterable[RRset]) -> bool:
        """Whether a late write could still put another value in the place of one of these."""
        if not self._suspects:
            return False
        suspects = [(self._suspects.get(rrset.key), rrset) for rrset in rrsets]
        return any(suspect and suspect.values.keys() - {rrset.addresses} for suspect, rrset in suspects)

    def acknowledged(self, rrsets: Iterable[RRset]) -> None:
        """The primary confirmed these: from now on they are what a late write would undo."""
        for rrset in rrsets if self._suspects else ():
            if suspect := self._suspects.get(rrset.key):
                suspect.newest = rrset

    def next_looks(self) -> Mapping[str, float]:
        """When each watched zone wants its next look."""
        return self._next_look

    async def look(self, zone: str, dialogue: Dialogue, clock: Callable[[], float]) -> None:
        """Ask for all that is watched in a zone, and mend what a late write undid. Raises Interrupted."""
        now = clock()
        self._suspects = {key: suspect for key, suspect in self._suspects.items() if suspect.until > now}
        watched = [suspect for suspect in self._suspects.values() if suspect.zone == zone]
        if not watched:
            self._next_look.pop(zone, None)
            return
        self._next_look[zone] = now + INTERRUPTED
        rrsets = [suspect.newest for suspect in watched if suspect.newest]
        for start in range(0, len(rrsets), BATCH):
            some = rrsets[start : start + BATCH]
            for rrset in await dialogue.wrong(zone, some, {r.key: r.addresses for r in some}):
                await self._mend(dialogue, zone, rrset)
        self._next_look[zone] = clock() + INTERVAL

    async def _mend(self, dialogue: Dialogue, zone: str, rrset: RRset) -> None:
        suspect = self._suspects.get(rrset.key)
        if suspect is None or suspect.newest != rrset:
            return  # a newer update was acknowledged while this one was asked about
        for late in suspect.values.keys() - {rrset.addresses}:
            if await dialogue.replace(zone, rrset, late):
                suspect.values -= Counter([late])  # what was sent once can come late once
                self.mended += 1
                log.warning("%s %s: an update that the name server applied late is mended", rrset.name, rrset.type)
                return
        suspect.newest = None  # somebody else's newer value: not ours to touch
