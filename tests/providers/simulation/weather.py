"""How a place and its zones are, and were: troubles come and go while clients call."""

from .clock import now

WELL = "well"
WHOLE = ""  # the scope of a trouble that is no zone's


class Weather:
    """The state of a place as a whole, and of each of its zones."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._log: list[tuple[float, str, str]] = []

    def set(self, scope: str, state: str) -> None:
        """From now on, a zone (or the place) is like this."""
        self._states[scope] = state
        self._log.append((now(), scope, state))

    def heal(self) -> None:
        """All is well."""
        for scope in list(self._states):
            self.set(scope, WELL)

    def state(self, zone: str) -> str:
        """What a message to this zone meets."""
        whole = self._states.get(WHOLE, WELL)
        return whole if whole != WELL else self._states.get(zone, WELL)

    def is_calm(self, zone: str | None, since: float, until: float) -> bool:
        """Whether nothing was in the way of a zone (None: of any) all that time."""
        mine = [entry for entry in self._log if zone is None or entry[1] in (WHOLE, zone)]
        before = {scope: state for at, scope, state in mine if at < since}
        during = (state for at, _, state in mine if since <= at <= until)
        return all(state == WELL for state in (*before.values(), *during))

    def last_trouble(self, zone: str, before: float) -> float | None:
        """When the last one of a zone, or of the whole place, had ended; None if there was none."""
        mine = [entry for entry in self._log if entry[1] in (WHOLE, zone) and entry[0] < before]
        ill = [number for number, (_, _, state) in enumerate(mine) if state != WELL]
        return max((at for at, _, _ in mine[ill[-1] :]), default=before) if ill else None
