"""One credential at Cloudflare's API, as the desk talks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from ...fetch.route import Dialer
from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result
from ...values.specs import Cloudflare
from ...values.update import Record
from ..desk.backend import (
    Addresses,
    Backend,
    Channel,
    Fact,
    Fate,
    Health,
    Interrupted,
    Listing,
    Maker,
    Manner,
    Settlement,
    Watched,
    ZoneState,
)
from ..rest import patience
from .api import Api, Pace
from .budget import Budgets
from .exchange import Exchange, View
from .plan import Making, absolute
from .zones import NO_ZONE, ZoneList, is_identity

MANNER = Manner(
    called="the API",
    no_zone=Result(Outcome.NOZONE, NO_ZONE),
    at_once=(4, 4, 2),
    capacity=4000,
    is_exclusive=True,
    pauses=(0.25, 2.0),
    remembered=1800.0,
    unzoned=60.0,  # one that appears would hide what is written into the zone above
    lot=4000,
    missed=15.0,  # somebody may be about to add it
    watched=150.0,  # Cloudflare's own proxies give up on a request after 100
    rests=(1.0, 1.5, 30.0),
)


class CloudflareBackend(Backend, Channel):
    """The API as one credential sees it; made inside a running event loop."""

    manner = MANNER
    budgets = Budgets()  # of all providers: the API counts by credential, whatever else the conf says beside it

    def __init__(self, spec: Cloudflare, secret: str | None, timeout: float, exchanges: Exchanges) -> None:
        credential = secret or (f"{spec.email} {spec.key}" if spec.key else spec.token)
        budget = self.budgets.of(f"{spec.url} {credential}", asyncio.get_running_loop().time())
        self.api = Api(spec, secret, Dialer(spec.ca), budget, exchanges)
        self._zones = ZoneList(self.api, spec.zone)
        self._sight = View(self.api, self._zones, Making(spec.create, spec.proxied, spec.comment), patience(timeout))
        self.given = (absolute(spec.zone),) if spec.zone and not is_identity(spec.zone) else ()

    def channel(self, asks: bool = False) -> "CloudflareBackend":
        return self

    def wait(self, health: Health) -> float:
        return self.api.wait(health)

    def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact | Listing]:
        """Raises Interrupted."""
        return self._zones.apexes(places, Pace(self._sight.seconds / 2, Health.WELL))

    def stop(self) -> None:
        self.api.close()

    async def close(self) -> None: ...

    async def settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Record]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """A list, and a batch or more."""
        was_known = self._zones.knows(zone.name)
        settlements = await Exchange(self._sight, zone, is_wanted).settle(updates, ask_only)
        if any(settlement.moved for settlement in settlements):
            self._zones.forget()
            if self.given and was_known:  # it may have another id now
                return await Exchange(self._sight, zone, is_wanted).settle(updates, ask_only)
        return settlements

    async def mend(self, zone: ZoneState, watched: Watched) -> list[tuple[Fate, Addresses]]:
        """Raises Interrupted."""
        try:
            return await Exchange(self._sight, zone).mend(watched)
        except Interrupted as error:
            if error.settlement.moved:
                self._zones.forget()
            raise


MAKER = Maker(MANNER, CloudflareBackend)
