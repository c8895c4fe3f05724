"""In which zone is a name? What one credential was told about it. Pure: time is handed in.

Rule 1. A name is in the zone of its nearest ancestor, itself included, of which the API shows a zone.

Rule 2. A name is asked for from itself upwards. What is learned of a parent serves all its children, and a zone is
remembered until the API denies it. That a name is no zone is forgotten after a while, soon if there is none above it.

Rule 3. Where many names must be asked for, the list of all zones is shorter, and says the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .api import Zone

REMEMBERED = 1800.0  # seconds
MISSED = 15.0  # seconds for which a name is in no zone: somebody may be about to add it
MANY = 100_000  # facts, before all are forgotten

NOWHERE = Zone("", "")  # of a name that is in none


@dataclass(frozen=True, slots=True)
class Fact:
    """What the API showed under a name; times are those of the event loop."""

    zone: Zone | None  # None: none
    since: float


class Zones:
    """The zones of one credential."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}
        self._listed: dict[str, Zone] = {}
        self._listed_at = float("-inf")

    def zone_of(self, name: str, now: float, arrived: float) -> Fact | None:
        """The zone of a name for a request that arrived then, or NOWHERE; None if something must be asked for."""
        for place in upwards(name) if now - self._listed_at <= REMEMBERED else ():
            if place in self._listed:
                return Fact(self._listed[place], self._listed_at)
        if is_fresh(self._listed_at, now, arrived):
            return Fact(NOWHERE, self._listed_at)
        if self.unknown(name, now, arrived):
            return None
        found = (self._facts[place] for place in upwards(name) if self._facts[place].zone)
        return next(found, Fact(NOWHERE, now))

    def unknown(self, name: str, now: float, arrived: float) -> list[str]:
        """What must be asked for, from the name upwards, until there is a zone."""
        asked: list[str] = []
        missed: list[str] = []
        for place in upwards(name):
            fact = self._facts.get(place)
            if fact and fact.zone:
                return asked
            if fact is None or now - fact.since > REMEMBERED:
                asked.append(place)
            elif not is_fresh(fact.since, now, arrived):
                missed.append(place)
        return asked or missed

    def learn(self, place: str, zone: Zone | None, now: float) -> None:
        """What the API showed under this name."""
        if len(self._facts) > MANY:
            self._facts.clear()
        self._facts[place] = Fact(zone, now)

    def learn_all(self, zones: Iterable[Zone], now: float) -> None:
        """The whole list."""
        self._listed = {}
        for zone in zones:
            self._listed.setdefault(zone.name or "", zone)
        self._listed_at = now

    def forget(self, zone: Zone) -> None:
        """The API denies it."""
        self._listed_at = float("-inf")
        self._facts = {place: fact for place, fact in self._facts.items() if fact.zone != zone}


def is_fresh(since: float, now: float, arrived: float) -> bool:
    """Whether what was missed then is still taken for missing by a request that arrived then."""
    return since >= min(now - MISSED, arrived)


def upwards(name: str) -> Iterable[str]:
    """The name and all above it that can be a zone."""
    name = name.removeprefix("*.")
    while "." in name.removesuffix("."):
        yield name
        name = name.partition(".")[2]
