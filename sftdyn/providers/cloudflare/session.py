"""What belongs to one credential, and to no other: its connections, its budget, its zones and their lanes."""

import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable

from ...fetch import Route
from ...values.exchanges import Exchanges
from ...values.specs import Cloudflare
from .api import Api, ApiError, Health, Zone
from .budget import Budget
from .finder import Finder
from .tickets import Lane, Ticket

log = logging.getLogger(__name__)

WAITING = 4000  # updates that wait in one zone, or for it
BUDGETS = 10_000  # of credentials that are gone; those that waited longest are forgotten first


class Session:
    """One credential at work; made inside a running event loop."""

    def __init__(
        self,
        spec: Cloudflare,
        secret: str | None,
        route: Route,
        budget: Budget,
        exchanges: Exchanges,
        patience: Callable[[], float],
        found: Callable[[Ticket], None],
        failed: Callable[[Ticket, ApiError], None],
    ) -> None:
        self.secret = secret
        self.api = Api(spec, secret, route, budget, exchanges)
        self.finder = Finder(self.api, spec.zone, patience, found, failed)
        self.lanes: dict[str, Lane] = {}  # by the zone's id
        self.tickets: dict[Ticket, None] = {}  # that are not answered, or not settled

    def lane(self, zone: Zone) -> Lane:
        """The lane of a zone. Most have one zone only, whose first exchange is like all others."""
        if zone.id not in self.lanes:
            self.lanes[zone.id] = Lane(zone, Health.NEW if self.lanes else Health.WELL)
        return self.lanes[zone.id]

    def is_full(self, lane: Lane | None) -> bool:
        """Whether too many wait in a zone, or (None) for one; the log says so once."""
        if lane is None:
            return self.finder.waiting() >= WAITING
        if len(lane.waiting) < WAITING:
            lane.is_full = lane.is_full and len(lane.waiting) > WAITING // 2
            return False
        if not lane.is_full:
            log.error("%d updates wait for the API: until it answers, newer ones get FAIL", WAITING)
            lane.is_full = True
        return True

    def retire(self) -> None:
        """Nothing more comes; what is under way comes to its end."""
        self.finder.close()
        self.tickets.clear()
        for lane in self.lanes.values():
            lane.waiting.clear()

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self.tickets and not any(lane.is_busy for lane in self.lanes.values())

    def close(self) -> None:
        """End the connections, and the search for zones."""
        self.finder.close()
        for lane in self.lanes.values():
            if lane.task:
                lane.task.cancel()
        self.api.close()


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
