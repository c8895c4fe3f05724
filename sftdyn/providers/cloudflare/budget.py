"""How many requests the API takes from one credential, and when. Pure: time is handed in.

Cloudflare allows 1200 requests in five minutes, and refuses all for five minutes after that: nothing is worse for the
names. So the requests are spread before: a burst is free, then they come as slowly as they come back, and what waits
meanwhile shares the next ones. A user's own scripts and the dashboard count, too, so a part of the budget is theirs.

Zones in trouble leave a part of the burst to the others, who may all come at once, as routers do at night. But one that
never got a request while others work would never recover. So they have a share in any case.
"""

import hmac
import secrets
from collections import OrderedDict

from ..desk.backend import Health

BURST = 500  # requests
RATE = 2.0  # requests a second; with the burst 1100 in five minutes
BUDGETS = 10_000  # of credentials that are gone; those that waited longest are forgotten first
RESERVE = 250  # requests of the burst that zones in trouble leave to the others
SHARE = 1.8  # seconds between two requests that zones in trouble have in any case
TURN = 0.2  # seconds more for a lane that had the last one, so that another one comes first
ILL = frozenset({Health.ILL, Health.SILENT})


class Budget:
    """What one credential has left. Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self.refused_until = 0.0  # by the API's own word
        self._left = float(BURST)
        self._since = now
        self._last: tuple[Health, float] | None = None  # the last request of zones in trouble

    def wait(self, now: float, health: Health) -> float:
        """Seconds until the next request may be sent."""
        self._refill(now)
        if health not in ILL:
            return max(0.0, 1 - self._left) / RATE
        seconds = max(0.0, RESERVE + 1 - self._left) / RATE
        last, since = self._last or (health, now - 2 * SHARE)
        return min(seconds, max(0.0, since + SHARE + (TURN if last is health else 0.0) - now))

    def take(self, now: float, health: Health) -> None:
        """A request is sent."""
        self._refill(now)
        self._left -= 1
        if health in ILL:
            self._last = health, now

    def give_back(self) -> None:
        """It did not reach the API."""
        self._left = min(BURST, self._left + 1)

    def refuse(self, now: float, seconds: float) -> None:
        """The API wants no requests for so long."""
        self.refused_until = max(self.refused_until, now + seconds)

    def _refill(self, now: float) -> None:
        self._left = min(BURST, self._left + (now - self._since) * RATE)
        self._since = now


class Budgets:
    """The budget of each credential, also after its session, as the API goes on counting; under a keyed hash."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._budgets: OrderedDict[bytes, Budget] = OrderedDict()

    def of(self, credential: str, now: float) -> Budget:
        """The budget of this one."""
        name = hmac.digest(self._key, credential.encode(), "sha256")
        budget = self._budgets.setdefault(name, Budget(now))
        self._budgets.move_to_end(name)
        if len(self._budgets) > BUDGETS:
            self._budgets.popitem(last=False)
        return budget
