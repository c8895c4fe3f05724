"""Late writes: a batch without an answer may be carried out long after, over something newer. Pure: time is handed in.

So the record sets of such a batch are watched for a while. If one shows what came late, and not what was acknowledged
last, it is mended; what somebody else wrote meanwhile is not touched.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ...values.update import Key, RRset
from .api import Zone

WATCHED = 150.0  # seconds; Cloudflare's own proxies give up on a request after 100
FIRST_LOOK, LONGEST_REST = 1.0, 30.0  # seconds between looks
GROWTH = 1.5  # each rest is so many times as long as the one before


@dataclass(slots=True)
class Suspect:
    """What may still be written to one record set, and the newest that the API acknowledged."""

    zone: str  # the zone's id
    until: float
    values: Counter[tuple[str, ...]] = field(default_factory=Counter)  # how often each was sent
    newest: RRset | None = None


@dataclass(slots=True)
class Watch:
    """When to look at a zone."""

    zone: Zone
    next_look: float
    rest: float = FIRST_LOOK


class LateWrites:
    """The record sets that a late write could undo. Times are seconds of one clock."""

    def __init__(self) -> None:
        self.undone = 0  # since the start
        self._suspects: dict[Key, Suspect] = {}
        self._watches: dict[str, Watch] = {}  # by the zone's id

    def unanswered(self, zone: Zone, rrsets: Iterable[RRset], now: float) -> None:
        """These were sent, and no answer came."""
        for rrset in rrsets:
            suspect = self._suspects.setdefault(rrset.key, Suspect(zone.id, 0.0))
            suspect.until = now + WATCHED
            suspect.values[rrset.addresses] += 1
        self._watches[zone.id] = Watch(zone, now + FIRST_LOOK)

    def acknowledged(self, rrsets: Iterable[RRset]) -> None:
        """The API confirmed these: from now on they are what a late write would undo."""
        for rrset in rrsets if self._suspects else ():
            if suspect := self._suspects.get(rrset.key):
                suspect.newest = rrset

    def is_watching(self) -> bool:
        """Whether anything may still come late."""
        return bool(self._watches)

    def is_due(self, zone: Zone, now: float) -> bool:
        """Whether a zone is to be looked at."""
        watch = self._watches.get(zone.id)
        return watch is not None and watch.next_look <= now

    def due(self, now: float) -> list[Zone]:
        """The zones that are to be looked at."""
        return [watch.zone for watch in self._watches.values() if watch.next_look <= now]

    def expire(self, now: float) -> None:
        """Forget what cannot come any more."""
        self._suspects = {key: suspect for key, suspect in self._suspects.items() if suspect.until > now}
        zones = {suspect.zone for suspect in self._suspects.values()}
        self._watches = {zone: watch for zone, watch in self._watches.items() if zone in zones}

    def look(self, zone: Zone, now: float) -> list[RRset]:
        """What should be in this zone, if it is to be looked at; the next look comes later."""
        if not self.is_due(zone, now):
            return []
        watch = self._watches[zone.id]
        watch.next_look = now + watch.rest
        watch.rest = min(GROWTH * watch.rest, LONGEST_REST)
        watched = [suspect.newest for suspect in self._suspects.values() if suspect.zone == zone.id]
        return [newest for newest in watched if newest]

    def came_late(self, newest: RRset, shown: Sequence[str]) -> tuple[str, ...] | None:
        """The value that came late, where a record set shows that instead of `newest`, or beside it."""
        suspect = self._suspects.get(newest.key)
        if suspect is None or suspect.newest != newest or tuple(sorted(shown)) == newest.addresses:
            return None
        more = set(shown) - set(newest.addresses)
        for late in suspect.values.keys() - {newest.addresses}:
            if set(shown) == set(late) or (more and more <= set(late)):
                return late
        suspect.newest = None  # somebody else's newer value: not ours to touch
        return None

    def mended(self, newest: RRset, late: tuple[str, ...]) -> None:
        """What was sent once can come late once."""
        self.undone += 1
        if suspect := self._suspects.get(newest.key):
            suspect.values -= Counter([late])
