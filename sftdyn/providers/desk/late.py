"""Late writes: what a silent place was sent may be applied long after, over something newer. Pure: time is handed in.

Rule 1. The record sets of a change without an answer are watched for a while, and a late value is replaced by the
newest acknowledged one. A mend is a change, too: unanswered, it may itself come late.

Rule 2. What somebody else wrote meanwhile is not touched.

Rule 3. What is right is seen by who acknowledged it: through other credentials, a name server may show another view.

Rule 4. Where a change of one TXT value writes all those of its name, a late one may take any of them away or bring it
back: so those that are acknowledged meanwhile are watched, too.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...values.update import Key, Record, Text
from .backend import Addresses, Fate, Manner, Watched
from .tickets import Account, Turn

log = logging.getLogger(__name__)

ALWAYS = 1_000_000  # times that a value may come late


@dataclass(slots=True)
class Suspect:
    """Values that may still be written to one record set, and the newest that was acknowledged, through whom."""

    zone: str
    until: float  # event loop time
    values: Counter[Addresses] = field(default_factory=Counter)  # how often each was sent
    newest: Record | None = None
    account: Account | None = None

    def late(self) -> Collection[Addresses]:
        """What may stand there instead."""
        return self.values.keys() - {self.newest.addresses if self.newest else None}


class Inspection(NamedTuple):
    """A look at some of them; it has its turn among the updates."""

    watched: Watched
    turn: Turn


class LateWrites:
    """The record sets of one place that a late write could undo, zone by zone. All times are the event loop's."""

    def __init__(self, manner: Manner) -> None:
        self.mended = 0  # since the start
        self._manner = manner
        self._suspects: dict[Key, Suspect] = {}
        self._texts: dict[str, list[Suspect]] = {}  # by name, where they are written together
        self._looks: dict[str, tuple[float, float]] = {}  # zone → time of the next one, seconds until the one behind it

    def unanswered(self, zone: str, records: Iterable[Record], now: float) -> None:
        """These were sent, and no answer came."""
        for record in records:
            suspect = self._suspects.get(record.key) or self._suspect(record, zone)
            suspect.values[record.addresses] += 1
            for one in self._beside(record) or [suspect]:
                one.zone, one.until = zone, now + self._manner.watched
        first = self._manner.rests[0]
        self._looks[zone] = now + first, first

    def _suspect(self, record: Record, zone: str, until: float = 0.0) -> Suspect:
        """A new one."""
        suspect = self._suspects[record.key] = Suspect(zone, until)
        if self._manner.texts_together and isinstance(record, Text):
            suspect.values.update(dict.fromkeys(((), (record.value,)), ALWAYS))
            self._texts.setdefault(record.name, []).append(suspect)
        return suspect

    def _beside(self, record: Record) -> Sequence[Suspect]:
        """All that are written together with a TXT value."""
        return self._texts.get(record.name, ()) if isinstance(record, Text) else ()

    def threaten(self, records: Iterable[Record]) -> bool:
        """Whether a late write could still put another value in the place of one of these."""
        suspects = [(self._suspects.get(record.key), record) for record in records] if self._suspects else ()
        return any(suspect and suspect.values.keys() - {record.addresses} for suspect, record in suspects)

    def acknowledged(self, records: Iterable[Record], account: Account) -> None:
        """These are confirmed: from now on they are what a late write would undo."""
        for record in records if self._suspects else ():
            suspect = self._suspects.get(record.key)
            if beside := () if suspect else self._beside(record):
                suspect = self._suspect(record, beside[0].zone, beside[0].until)
            if suspect:
                suspect.newest, suspect.account = record, account

    def adopt(self, other: "LateWrites") -> None:
        """What another watch at the same place knows. Of two acknowledged values, nobody knows the newer one."""
        for key, suspect in other._suspects.items():
            mine = self._suspects.setdefault(key, suspect)
            if mine is not suspect:
                mine.values += suspect.values
                mine.until = max(mine.until, suspect.until)
                if mine.newest is None:
                    mine.newest, mine.account = suspect.newest, suspect.account
                elif suspect.newest and suspect.newest != mine.newest:
                    mine.newest = None
        self._looks = other._looks | self._looks
        self.mended += other.mended

    def leave_alone(self, keys: Iterable[Key]) -> None:
        """Something else writes these, and who knows what."""
        for key in keys if self._suspects else ():
            if suspect := self._suspects.get(key):
                suspect.newest = None

    def forget(self) -> None:
        """Somebody else sees to what is right."""
        self.leave_alone(self._suspects)

    def is_watching(self) -> bool:
        """Whether anything may still come late."""
        return bool(self._looks)

    def due(self, now: float) -> list[tuple[str, Account]]:
        """Zones that are to be looked at now, through whom; what cannot come any more is forgotten."""
        zones = {zone: rest for zone, (at, rest) in self._looks.items() if at <= now}
        if not zones:
            return []
        self._suspects = {key: suspect for key, suspect in self._suspects.items() if suspect.until > now}
        left = {name: [one for one in texts if one.until > now] for name, texts in self._texts.items()}
        self._texts = {name: texts for name, texts in left.items() if texts}
        watched = {suspect.zone for suspect in self._suspects.values()}
        self._looks = {zone: look for zone, look in self._looks.items() if zone in watched}
        _, growth, longest = self._manner.rests
        self._looks.update(
            {zone: (now + rest, min(growth * rest, longest)) for zone, rest in zones.items() if zone in watched}
        )
        pairs = ((s.zone, s.account) for s in self._suspects.values() if s.zone in zones)
        return list(dict.fromkeys((zone, account) for zone, account in pairs if account))

    def watched(self, zone: str, is_for: Callable[[Account, Key], bool], now: float) -> Watched:
        """What was acknowledged in this zone, where that is for who asks."""
        suspects = [suspect for suspect in self._suspects.values() if suspect.zone == zone and suspect.until > now]
        pairs = [(suspect, suspect.newest, suspect.account) for suspect in suspects]
        return [(newest, one.late()) for one, newest, by in pairs if newest and by and is_for(by, newest.key)]

    def found(self, record: Record, fate: Fate, late: Addresses, now: float) -> None:
        """What a look has found."""
        suspect = self._suspects.get(record.key)
        if suspect is None or fate is Fate.RIGHT:
            return
        if fate is Fate.UNKNOWN:
            self.unanswered(suspect.zone, [record], now)
        elif fate is Fate.MENDED:
            suspect.values -= Counter([late])  # what was sent once can come late once
            self.mended += 1
            called = self._manner.called
            log.warning("%s %s: an update that %s applied late is mended", record.name, record.type, called)
        elif suspect.newest == record:
            suspect.newest = None  # somebody else's newer value: not ours to touch
