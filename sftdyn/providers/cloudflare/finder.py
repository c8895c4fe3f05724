"""Asks the API for the zones of names, one question at a time, as long as somebody wants to know."""

import asyncio
from collections.abc import Callable

from ...values.names import is_within
from .api import Api, ApiError, Health, Kind, Manner, Zone
from .plan import absolute
from .tickets import Ticket
from .zones import NOWHERE, Fact, Zones, is_fresh

FEW = 3  # names that are asked for one by one; with more, the list of all zones is shorter
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0  # seconds until the next try
IDENTITY_LENGTH = 32  # letters of a zone's id


class Finder:
    """Learns the zones of names with one credential. `given`: the zone of all names, its name or id.

    `patience`: the seconds that an answer may take; a first try is given up after half of them.
    `found` is called for each ticket that should try whether its zones are known, `failed` where the API says no.
    """

    def __init__(
        self,
        api: Api,
        given: str | None,
        patience: Callable[[], float],
        found: Callable[[Ticket], None],
        failed: Callable[[Ticket, ApiError], None],
    ) -> None:
        self._api = api
        self._given = given
        self._patience = patience
        self._zones = Zones()
        self._fixed: Fact | None = None  # the given zone, as the API shows it
        self._pages = 1  # of the list of all zones
        self._asked = 0  # names, one by one, since the last list
        self._found = found
        self._failed = failed
        self._wanted: dict[str, list[Ticket]] = {}
        self._pause = 0.0
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def zone_of(self, name: str, arrived: float) -> Fact | None:
        """The zone of a name for a request that arrived then, or NOWHERE; None if something must be asked for."""
        now = self._loop.time()
        if self._given is None:
            return self._zones.zone_of(name, now, arrived)
        fixed = self._fixed
        if fixed and fixed.zone is NOWHERE and not is_fresh(fixed.since, now, arrived):
            return None
        apex = fixed.zone.name if fixed and fixed.zone else _name(self._given)
        if apex and not is_within(name, apex):
            return Fact(NOWHERE, now)
        return fixed

    def want(self, ticket: Ticket, name: str) -> None:
        """Find the zone of this name."""
        self._wanted.setdefault(name, []).append(ticket)
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._search())

    def waiting(self) -> int:
        """How many names are looked for."""
        return len(self._wanted)

    def forget(self, zone: Zone) -> None:
        """The API denies it."""
        self._zones.forget(zone)
        self._fixed = None

    def close(self) -> "asyncio.Task[None] | None":
        """End the search."""
        if self._task:
            self._task.cancel()
        return self._task

    async def _search(self) -> None:
        while self._wanted:
            try:
                await self._ask()
                self._pause = 0.0
            except ApiError as error:
                self._suffer(error)
            self._release()
            if self._pause:
                await asyncio.sleep(self._pause)

    async def _ask(self) -> None:
        """One step nearer to the zones of the names. Raises ApiError."""
        now = self._loop.time()
        if self._given is not None:
            self._fixed = Fact(await self._ask_for_given(self._given), now)
            return
        arrived = {name: min(ticket.arrived for ticket in tickets) for name, tickets in self._wanted.items()}
        unknown = [self._zones.unknown(name, now, arrived[name]) for name in self._wanted]
        places = list(dict.fromkeys(first for first, *_ in filter(None, unknown)))
        if not places:
            return
        if FEW < self._asked + len(places) > self._pages:
            try:
                await self._ask_for_all(self._asked + len(places))
                return
            except ApiError as error:
                if error.kind is not Kind.DENIED:
                    raise
                self._pages = 1 << 30  # it is not allowed
        self._asked += 1
        self._zones.learn(places[0], await self._ask_for(places[0]), now)

    async def _ask_for(self, place: str) -> Zone | None:
        """The zone of this very name. Raises ApiError."""
        page = await self._api.zones(place, 1, self._manner())
        return next((zone for zone in page.items if zone.name == place), None)

    async def _ask_for_given(self, given: str) -> Zone:
        """The conf's zone. A token that may not read zones may still change the records of one. Raises ApiError."""
        if name := _name(given):
            return await self._ask_for(name) or NOWHERE
        try:
            return await self._api.zone(given, self._manner())
        except ApiError as error:
            if error.kind is not Kind.DENIED:
                raise
            return Zone(given, None)

    async def _ask_for_all(self, names: int) -> None:
        """The list of all zones, if it is not longer than so many names. Raises ApiError."""
        now, page = self._loop.time(), 0
        zones: list[Zone] = []
        while page == 0 or page < self._pages <= names:
            page += 1
            found = await self._api.zones(None, page, self._manner())
            zones += found.items
            self._pages = found.pages
        if page >= self._pages:
            self._zones.learn_all(zones, now)
            self._asked = 0

    def _manner(self) -> Manner:
        return Manner(self._patience() / (1 if self._pause else 2), Health.WELL)

    def _suffer(self, error: ApiError) -> None:
        """Those who wait are told; where it may go on, they may want it again."""
        wanted, self._wanted = self._wanted, {}
        tickets = [ticket for tickets in wanted.values() for ticket in tickets if not ticket.is_over]
        if error.kind in (Kind.AWAY, Kind.LIMITED):
            self._pause = max(min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE), error.wait)
        for ticket in tickets:
            ticket.trouble = error.reason
            if error.kind in (Kind.AWAY, Kind.LIMITED):
                self._found(ticket)
            else:
                self._failed(ticket, error)

    def _release(self) -> None:
        """Hand on the tickets whose names' zones are known; forget those that nobody waits for any more."""
        for name in list(self._wanted):
            tickets = [ticket for ticket in self._wanted[name] if not ticket.is_over]
            if tickets and self.zone_of(name, min(ticket.arrived for ticket in tickets)) is None:
                self._wanted[name] = tickets
                continue
            del self._wanted[name]
            for ticket in tickets:
                self._found(ticket)


def _name(given: str) -> str | None:
    """The absolute name of a zone that the conf gives; None if it gives an id."""
    if len(given) == IDENTITY_LENGTH and "." not in given:
        return None
    return absolute(given)
