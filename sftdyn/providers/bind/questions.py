"""Which names are apexes? What a primary is asked, many names at once, and what it says. Pure.

Rule 1. A message with prerequisites alone and `zone NAME` changes nothing. NOTAUTH says that the name is no apex
here; every other answer of the primary says that it is one, whatever else it says of the zone.

Rule 2. Silence is no answer, and a word about the key is none: BIND gives it before it looks for the zone. Only if
the primary answered a later question of the same lot, it is the zone that is silent, or that does not take the key.

Rule 3. PowerDNS looks at who asks before it looks for the zone. Where it is refused to ask for nobody's zone, a refusal
is as good as NOTAUTH; elsewhere it is one of the zone.
"""

from collections.abc import Iterator, Sequence

from ..desk.backend import Fact
from . import message
from .message import Word
from .sayings import diagnosis

UNREADY = frozenset({Word.AWAY, Word.FAILED})


class Lot:
    """Names that are asked for at once: what was heard."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = [*places, message.NOBODYS]  # who is asked for nobody's zone answers at once, if at all
        self.last = Word.UNKNOWN
        self.trouble = ""
        self._unsettled: list[str] = []  # no answer, or about the key; and none to a later question yet
        self._refused: list[str] = []  # until it is heard whether nobody's zone is refused, too

    def hear(self, number: int, transcript: str) -> Iterator[Fact]:
        """What the answer to one question says (Rules 1 to 3)."""
        place = self.places[number]
        self.last = message.verdict(transcript)
        if self.last in message.SPOKEN:
            yield from (Fact(name, name, is_sure=False) for name in self._unsettled)
            self._unsettled.clear()
            if place is self.places[-1]:
                yield from (Fact(name, None if self.last is Word.REFUSED else name) for name in self._refused)
            elif self.last is Word.REFUSED:
                self._refused.append(place)
            else:
                yield Fact(place, None if self.last is Word.NOT_ITS_ZONE else place, self.last not in UNREADY)
            return
        self.trouble = diagnosis(transcript) or self.trouble
        if self.last in (Word.UNKNOWN, Word.BAD_KEY) and place is not self.places[-1]:
            self._unsettled.append(place)
