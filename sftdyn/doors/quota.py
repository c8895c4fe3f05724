"""How often may a client change? A token bucket for each, kept as one number (GCRA, ITU-T I.371)."""

from collections.abc import Hashable

HOUR = 3600.0  # seconds
BURST = 10  # changes at once; a router that reconnects all day needs fewer
MANY = 10_000  # clients whose state is kept before the idle ones are forgotten


class Quota:
    """At most `per_hour` changes per client, after a burst; 0 means no limit. Times in seconds, of one clock."""

    def __init__(self, per_hour: int, burst: int = BURST) -> None:
        self._burst = burst
        self._full_at: dict[Hashable, float] = {}  # when the client's burst is whole again
        self._many = MANY
        self._interval = 0.0
        self._tolerance = 0.0
        self.allow(per_hour, 0.0)

    def allow(self, per_hour: int, now: float) -> None:
        """From now on, so many; who has used a part of its changes keeps to the same part."""
        interval = HOUR / per_hour if per_hour else 0.0
        if interval != self._interval:
            factor = interval / self._interval if self._interval else 0.0
            self._full_at = {client: now + (at - now) * factor for client, at in self._full_at.items() if at > now}
        self._interval = interval
        self._tolerance = self._interval * (min(per_hour, self._burst) - 1)

    def ask(self, client: Hashable, now: float) -> "Grant":
        """One change, if the client has one left; whoever asks settles the grant."""
        granted = not self.is_used_up(client, now)
        if granted and self._interval:
            self._full_at[client] = max(self._full_at.get(client, now), now) + self._interval
            self._forget_idle(now)
        return Grant(self, client, granted)

    def is_used_up(self, client: Hashable, now: float) -> bool:
        """Whether the client has no change left."""
        return bool(self._interval) and self._full_at.get(client, now) - now > self._tolerance

    def give_back(self, client: Hashable) -> None:
        """A change that was granted did not happen."""
        if client in self._full_at:
            self._full_at[client] -= self._interval

    def wait(self, client: Hashable, now: float) -> int:
        """Whole seconds until the client has a change left."""
        return max(1, int(self._full_at.get(client, now) - now - self._tolerance) + 1)

    def _forget_idle(self, now: float) -> None:
        """Rarely: a table of those who are not idle must double before it is looked through again."""
        if len(self._full_at) > self._many:
            self._full_at = {client: at for client, at in self._full_at.items() if at > now}
            self._many = max(MANY, 2 * len(self._full_at))


class Grant:
    """What the quota says to one request. Settled once, whatever becomes of the request."""

    __slots__ = ("_client", "_quota", "granted")

    def __init__(self, quota: Quota, client: Hashable, granted: bool) -> None:
        self._quota = quota
        self._client = client
        self.granted = granted  # may it change something, or only ask?

    def settle(self, changed: bool) -> None:
        """The request ended; a grant that was not used goes back."""
        if self.granted and not changed:
            self._quota.give_back(self._client)
