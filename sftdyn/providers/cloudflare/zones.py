"""Asks the API for the zones of names: one by one, or where that is shorter the list of all."""

from collections.abc import AsyncIterator, Sequence

from ...values.names import is_within
from ..desk.backend import Fact, Listing
from .answers import ApiError, ApiZone, Flaw
from .api import Api, Pace

NO_ZONE = (
    "the API shows these credentials no zone with the name: they need Zone Read for it, or the conf zone= with its id"
)
FEW = 3  # names that are asked for one by one; with more, the list of all zones is shorter
IDENTITY_LENGTH = 32  # letters of a zone's id


class ZoneList:
    """The zones that one credential sees. `given`: the id of the zone of all names."""

    def __init__(self, api: Api, given: str | None) -> None:
        self._api = api
        self._given = given if given and is_identity(given) else None
        self._ids: dict[str, ApiZone] = {}
        self._fixed: ApiZone | None = None  # the given one, as the API shows it
        self._pages = 1  # of the list
        self._asked = 0  # names, one by one, since the last list

    async def zone(self, name: str, pace: Pace) -> ApiZone:
        """The zone of this name; one whose name the token may not know goes by its id. Raises ApiError."""
        if name.startswith("#"):
            return ApiZone(name[1:], None)
        zone = self._ids.get(name) or await self._ask_for(name, pace)
        if zone is None:
            raise ApiError(Flaw.GONE, NO_ZONE)
        self._known(zone)
        return zone

    async def apexes(self, places: Sequence[str], pace: Pace) -> AsyncIterator[Fact | Listing]:
        """Which of these names are zones; after one question, others may want to know, too. Raises ApiError."""
        if self._given is not None:
            zone = self._fixed = self._fixed or await self._ask_for_given(self._given, pace)
            for place in places:
                inside = zone and (zone.name is None or is_within(place, zone.name))
                yield Fact(place, self._known(zone) if zone and inside else None)
            return
        asked = []
        for place in places:
            if "." in place.removesuffix(".") and not place.startswith("*."):
                asked.append(place)
            else:
                yield Fact(place, None)
        if FEW < self._asked + len(asked) > self._pages:
            zones = await self._ask_for_all(self._asked + len(asked), pace)
            if zones is not None:
                yield Listing({zone.name or "": self._known(zone) for zone in reversed(zones)})
                return
        if asked:
            self._asked += 1
            try:
                zone = await self._ask_for(asked[0], pace)
            except ApiError as error:
                is_last = not any(is_within(asked[0], other) for other in {*asked, *self._ids} - {asked[0]})
                if not error.of_one_zone or is_last:  # no zone above it is still to be asked for, or known
                    raise
                yield Fact(asked[0], None, is_sure=False)  # some tokens hear no of names that are no zones
                return
            yield Fact(asked[0], self._known(zone) if zone else None)

    def knows(self, name: str) -> bool:
        """Whether the id of a zone is remembered."""
        return name in self._ids

    def forget(self) -> None:
        """The API denies one of them."""
        self._ids.clear()
        self._fixed = None

    def _known(self, zone: ApiZone) -> str:
        name = zone.name or f"#{zone.id}"
        self._ids[name] = zone
        return name

    async def _ask_for(self, place: str, pace: Pace) -> ApiZone | None:
        page = await self._api.zones(place, 1, pace)
        return next((zone for zone in page.items if zone.name == place), None)

    async def _ask_for_given(self, given: str, pace: Pace) -> ApiZone | None:
        """A token that may not read zones may still change the records of one. Raises ApiError."""
        try:
            return await self._api.zone(given, pace)
        except ApiError as error:
            if error.kind is not Flaw.DENIED:
                raise
            return ApiZone(given, None)

    async def _ask_for_all(self, names: int, pace: Pace) -> list[ApiZone] | None:
        """The list of all zones, if it is not longer than so many names, and allowed. Raises ApiError."""
        page, zones = 0, list[ApiZone]()
        try:
            while page == 0 or page < self._pages <= names:
                page += 1
                found = await self._api.zones(None, page, pace)
                zones += found.items
                self._pages = found.pages
        except ApiError as error:
            if not error.of_one_zone:
                raise
            self._pages = 1 << 30
            return None
        if page < self._pages:
            return None
        self._asked = 0
        return zones


def is_identity(given: str) -> bool:
    """Whether the conf gives a zone by its id."""
    return len(given) == IDENTITY_LENGTH and "." not in given
