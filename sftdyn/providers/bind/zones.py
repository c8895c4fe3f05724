"""In which zone is a name? Given by the conf, or learned: whether a name is a zone's apex at this primary.

Rule 1. A name is in the zone of its nearest ancestor, itself included, that is an apex. So what is learned of a
parent serves all its children, and of a new name only the name itself must be asked for.

Rule 2. A message with prerequisites alone and `zone NAME` changes nothing. NOTAUTH says that the name is no apex
here; every other answer of the primary says that it is one, whatever else it says of the zone.

Rule 3. Silence is no answer, and a word about the key is none: BIND gives it before it looks for the zone. Only if
the primary answered a later question of the same lot, it is the zone that is silent, or that does not take the key.

Rule 4. PowerDNS looks at who asks before it looks for the zone. Where it is refused to ask for nobody's zone, a refusal
is as good as NOTAUTH; elsewhere it is one of the zone.

Rule 5. What is learned is forgotten after a while, since somebody may add a zone below another: each name at
another time, so that there is no moment at which all must be asked for.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .message import Verdict

REMEMBERED = 900.0  # seconds, at most; at least half of that
DOUBTFUL = 60.0  # seconds, for what was learned from a zone that does not work
MANY = 1_000_000  # names about which something is known, before all is forgotten

NOWHERE = ""  # the zone of a name that is in none


@dataclass(frozen=True, slots=True)
class Fact:
    """Whether a name is an apex, and until when that is believed (event loop time)."""

    is_apex: bool
    until: float


class Zones:
    """What is known of the zones of one primary. `given` ones (absolute names) hold all names."""

    def __init__(self, given: Sequence[str] = ()) -> None:
        self.given = given
        self._given = [(zone, "." + zone.lstrip(".")) for zone in sorted(given, key=len, reverse=True)]
        self._facts: dict[str, Fact] = {}

    def are_given(self) -> bool:
        """Whether nothing needs to be asked for."""
        return bool(self._given)

    def zone_of(self, name: str, now: float) -> str | None:
        """The zone of a name; NOWHERE if there is none, None if something must be asked for first."""
        if self._given:
            return next((zone for zone, end in self._given if name.endswith(end) or name == zone), NOWHERE)
        for place in _upwards(name):
            fact = self._facts.get(place)
            if fact is None or fact.until <= now:
                return None
            if fact.is_apex:
                return place
        return NOWHERE

    def unknown(self, name: str, now: float) -> list[str]:
        """What must be asked for to know the zone of a name: itself and its ancestors, up to a known apex."""
        asked = []
        for place in _upwards(name):
            fact = self._facts.get(place)
            if fact is None or fact.until <= now:
                asked.append(place)
            elif fact.is_apex:
                break
        return asked

    def learn(self, name: str, verdict: Verdict, now: float) -> None:
        """What the primary said when it was asked whether this is an apex."""
        if len(self._facts) > MANY:
            self._facts.clear()
        if verdict in (Verdict.AWAY, Verdict.UNKNOWN):
            self._facts[name] = Fact(True, now + DOUBTFUL)
        else:
            until = now + REMEMBERED * random.uniform(0.5, 1.0)  # noqa: S311 # only to spread them
            self._facts[name] = Fact(verdict is not Verdict.NOT_ITS_ZONE, until)

    def forget(self, name: str, below: str = NOWHERE) -> None:
        """Ask anew for a name that turned out to be elsewhere, and for all above it; not for a zone that is there."""
        for place in _upwards(name):
            if place == below:
                break
            self._facts.pop(place, None)


def _upwards(name: str) -> Iterable[str]:
    """The name and all above it, the root last."""
    while name not in ("", "."):
        yield name
        name = name.partition(".")[2]
    yield "."
