"""In which zone is a name? Given, or learned: whether a name is the apex of a zone. Pure: time is handed in.

Rule 1. A name is in the zone of its nearest ancestor, itself included, that is an apex. So what is learned of a
parent serves all its children, and of a new name only the name itself must be asked for.

Rule 2. What is learned is forgotten after a while, since somebody may add a zone below another: each name at
another time, so that there is no moment at which all must be asked for.

Rule 3. That a name is in no zone counts for requests that came before it was learned, and for `missed` seconds.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

from .backend import Fact, Listing, Manner

DOUBTFUL = 60.0  # seconds, for what is not sure
MANY = 1_000_000  # names about which something is known, before all is forgotten

NOWHERE = ""  # the zone of a name that is in none


class Zones:
    """What is known of the zones of one session. `given` ones (absolute names) hold all names."""

    def __init__(self, given: Sequence[str], manner: Manner) -> None:
        self._given = [(zone, "." + zone.lstrip(".")) for zone in sorted(given, key=len, reverse=True)]
        self._manner = manner
        self._facts: dict[str, tuple[str | None, float, float]] = {}  # name → zone, since, until
        self._listed: Mapping[str, str] = {}
        self._listed_at = float("-inf")

    def zone_of(self, name: str, now: float, arrived: float) -> str | None:
        """The zone of a name for a request that came then, or NOWHERE; None if something must be asked for first."""
        if self._given:
            for zone, end in self._given:
                if name.endswith(end) or name == zone:
                    return zone
            return NOWHERE
        oldest = now
        for place in upwards(name):
            fact = self._fact(place, now)
            if fact is None:
                return None
            if fact[0] is not None:
                return fact[0]
            oldest = min(oldest, fact[1])
        return NOWHERE if oldest >= min(now - self._manner.missed, arrived) else None

    def unknown(self, name: str, now: float, arrived: float) -> list[str]:
        """What must be asked for: the name and its ancestors, up to a known apex; if there is none, what is old."""
        asked: list[str] = []
        old: list[str] = []
        for place in upwards(name):
            fact = self._fact(place, now)
            if fact is None:
                asked.append(place)
            elif fact[0] is not None:
                return asked
            elif fact[1] < min(now - self._manner.missed, arrived):
                old.append(place)
        return asked + old

    def was_known(self, name: str, arrived: float) -> bool:
        """Whether the zone of a name is remembered from before a request."""
        facts = (self._fact(place, arrived) for place in upwards(name))
        return next((fact[1] < arrived for fact in facts if fact and fact[0] is not None), False)

    def learn(self, fact: Fact, now: float) -> None:
        """What was heard."""
        if len(self._facts) > MANY:
            self._facts.clear()
        longest = self._manner.remembered if fact.zone else min(self._manner.remembered, self._manner.unzoned)
        seconds = longest * random.uniform(0.5, 1.0) if fact.is_sure else DOUBTFUL  # noqa: S311
        since = now if fact.is_sure else float("-inf")  # else a request that it misleads is placed anew
        self._facts[fact.place] = fact.zone, since, now + seconds

    def learn_all(self, listing: Listing, now: float) -> None:
        """The whole list was told."""
        self._listed, self._listed_at = listing.zones, now

    def _fact(self, place: str, now: float) -> tuple[str | None, float] | None:
        """What is known of a name, and since when."""
        fact = self._facts.get(place)
        if fact and fact[2] > now:
            return fact[0], fact[1]
        zone, age = self._listed.get(place), now - self._listed_at
        is_known = age <= self._manner.remembered and (zone is not None or age <= self._manner.unzoned)
        return (zone, self._listed_at) if is_known else None

    def doubt(self) -> None:
        """Whatever is wanted is asked for anew."""
        self._facts.clear()
        self._listed_at = float("-inf")

    def forget(self, zone: str, names: Iterable[str], is_there: bool) -> None:
        """These names turned out to be elsewhere: ask anew for what is between them and a zone that is there, or else
        for that zone."""
        self._listed_at = float("-inf")
        if not is_there:
            self._facts = {place: fact for place, fact in self._facts.items() if fact[0] != zone}
        for place in (place for name in names if is_there for place in upwards(name)):
            if place != zone:
                self._facts.pop(place, None)


def upwards(name: str) -> Iterable[str]:
    """The name and all above it, the root last."""
    while name not in ("", "."):
        yield name
        name = name.partition(".")[2]
    yield "."
