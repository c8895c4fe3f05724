"""Late writes: what a silent place was sent may be applied long after, over something newer. Pure: time is handed in.

So the record sets of a change without an answer are watched for a while, and a late value is replaced by the newest
acknowledged one. What somebody else wrote meanwhile is not touched. A mend is a change, too.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from ...values.update import Key, RRset
from .backend import Addresses, Fate, Manner

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Suspect:
    """Values that may still be written to one record set, and the newest that was acknowledged."""

    zone: str
    until: float  # event loop time
    values: Counter[Addresses] = field(default_factory=Counter)  # how often each was sent
    newest: RRset | None = None


class LateWrites:
    """The record sets that a late write could undo, zone by zone. All times are the event loop's."""

    def __init__(self) -> None:
        self.mended = 0  # since the start
        self._suspects: dict[Key, Suspect] = {}
        self._looks: dict[str, tuple[float, float]] = {}  # zone → time of the next one, seconds until the one behind it

    def unanswered(self, zone: str, rrsets: Iterable[RRset], manner: Manner, now: float) -> None:
        """These were sent, and no answer came."""
        for rrset in rrsets:
            suspect = self._suspects.setdefault(rrset.key, Suspect(zone, 0.0))
            suspect.values[rrset.addresses] += 1
            suspect.until = now + manner.watched
        self._looks[zone] = now + manner.rests[0], manner.rests[0]

    def threaten(self, rrsets: Iterable[RRset]) -> bool:
        """Whether a late write could still put another value in the place of one of these."""
        if not self._suspects:
            return False
        suspects = [(self._suspects.get(rrset.key), rrset) for rrset in rrsets]
        return any(suspect and suspect.values.keys() - {rrset.addresses} for suspect, rrset in suspects)

    def acknowledged(self, rrsets: Iterable[RRset]) -> None:
        """These are confirmed: from now on they are what a late write would undo."""
        for rrset in rrsets if self._suspects else ():
            if suspect := self._suspects.get(rrset.key):
                suspect.newest = rrset

    def is_watching(self) -> bool:
        """Whether anything may still come late."""
        return bool(self._looks)

    def due(self, now: float) -> list[str]:
        """The zones that are to be looked at; what cannot come any more is forgotten."""
        due = [zone for zone, (at, _) in self._looks.items() if at <= now]
        if due:
            self._suspects = {key: suspect for key, suspect in self._suspects.items() if suspect.until > now}
            zones = {suspect.zone for suspect in self._suspects.values()}
            self._looks = {zone: look for zone, look in self._looks.items() if zone in zones}
        return [zone for zone in due if zone in self._looks]

    def look(
        self, zone: str, manner: Manner, is_free: Callable[[Key], bool], now: float
    ) -> list[tuple[RRset, Collection[Addresses]]]:
        """What should be in this zone, and what may stand there instead; the next look comes later."""
        watched = [suspect for suspect in self._suspects.values() if suspect.zone == zone and suspect.until > now]
        _, growth, longest = manner.rests
        rest = self._looks.pop(zone, (0.0, 0.0))[1]
        if watched:
            self._looks[zone] = now + rest, min(growth * rest, longest)
        newest = ((s.newest, s.values.keys() - {s.newest.addresses}) for s in watched if s.newest)
        return [(rrset, late) for rrset, late in newest if is_free(rrset.key)]

    def found(self, rrset: RRset, fate: Fate, late: Addresses, manner: Manner, now: float) -> None:
        """What a look has found."""
        suspect = self._suspects.get(rrset.key)
        if suspect is None or fate is Fate.RIGHT:
            return
        if fate is Fate.UNKNOWN:
            self.unanswered(suspect.zone, [rrset], manner, now)
        elif fate is Fate.MENDED:
            suspect.values -= Counter([late])  # what was sent once can come late once
            self.mended += 1
            log.warning("%s %s: an update that %s applied late is mended", rrset.name, rrset.type, manner.called)
        elif suspect.newest == rrset:
            suspect.newest = None  # somebody else's newer value: not ours to touch
