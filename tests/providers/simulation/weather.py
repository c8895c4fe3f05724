"""How a place and its zones are, and were: troubles come and go while clients call."""

from .clock import now

WELL = "well"
WHOLE = ""  # the scope of a trouble that is no zone's
STORMS = ("faint",) * 5 + ("slow",) * 3 + ("mute", "silent", "asleep")  # after which things come late, or overlap

LOST = {"mute": 1.0, "faint": 0.5}  # the part of changes of which a place says nothing; it answers questions


class Weather:
    """The state of a place as a whole, and of each of its zones."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._log: list[tuple[float, str, str]] = []
        self._limits: list[tuple[str, float, float]] = []  # a scope, since when, until when

    def set(self, scope: str, state: str) -> None:
        """From now on, a zone (or the place) is like this."""
        self._states[scope] = state
        self._log.append((now(), scope, state))

    def heal(self) -> None:
        """All is well."""
        for scope in list(self._states):
            self.set(scope, WELL)

    def limit(self, scope: str, seconds: float) -> None:
        """The place wants no requests for so long."""
        self._limits.append((scope, now(), now() + seconds))

    def state(self, zone: str) -> str:
        """What a message to this zone meets."""
        whole = self._states.get(WHOLE, WELL)
        return whole if whole != WELL else self._states.get(zone, WELL)

    def is_calm(self, zone: str | None, since: float, until: float) -> bool:
        """Whether nothing was in the way of a zone (None: of any) all that time."""
        if any(s in (WHOLE, zone) or zone is None for s, began, end in self._limits if began <= until and end >= since):
            return False
        mine = [entry for entry in self._log if zone is None or entry[1] in (WHOLE, zone)]
        before = {scope: state for at, scope, state in mine if at < since}
        during = (state for at, _, state in mine if since <= at <= until)
        return all(state == WELL for state in (*before.values(), *during))
