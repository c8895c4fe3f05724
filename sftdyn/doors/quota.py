"""How often may a client change? A token bucket for each, kept as one number (GCRA, ITU-T I.371)."""

from collections.abc import Hashable

HOUR = 3600.0  # seconds
BURST = 10  # changes at once; a router that reconnects all day needs fewer
MANY = 10_000  # clients whose state is kept before the idle ones are forgotten


class Quota:
    """At most `per_hour` changes per client, after a burst; 0 means no limit. Times in seconds, of one clock."""

    def __init__(self, per_hour: int) -> None:
        self._full_at: dict[Hashable, float] = {}  # when the client's burst is whole again
        self.allow(per_hour)

    def allow(self, per_hour: int) -> None:
        """From now on, so many."""
        self._interval = HOUR / per_hour if per_hour else 0.0
        self._tolerance = self._interval * (min(per_hour, BURST) - 1)

    def take(self, client: Hashable, now: float) -> bool:
        """Take one change, if the client has one left."""
        if not self._interval:
            return True
        full_at = max(self._full_at.get(client, now), now)
        if full_at - now > self._tolerance:
            return False
        self._full_at[client] = full_at + self._interval
        if len(self._full_at) > MANY:
            self._full_at = {one: at for one, at in self._full_at.items() if at > now}
        return True

    def give_back(self, client: Hashable) -> None:
        """The change that was taken did not happen."""
        if client in self._full_at:
            self._full_at[client] -= self._interval

    def wait(self, client: Hashable, now: float) -> int:
        """Whole seconds until the client has a change left."""
        return max(1, int(self._full_at.get(client, now) - now - self._tolerance) + 1)
