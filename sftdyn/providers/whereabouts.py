"""Which specs of the conf are at one place: those that ever shared a server, by its name or by one of its addresses."""

import asyncio
from collections.abc import Callable, Container, Hashable, Sequence

from ..values.specs import Endpoint, Function, Spec
from .bind.route import RENEWAL, is_number, resolved


class Whereabouts:
    """All places; `unite` is called with two that turn out to be one, of which the second is no more."""

    def __init__(self, unite: Callable[[Hashable, Hashable], None]) -> None:
        self._unite = unite
        self._aliases: dict[Hashable, Hashable] = {}  # servers and the like → their place

    def place(self, spec: Spec) -> Hashable:
        """Where it writes."""
        return spec.places[0] if isinstance(spec, Function) else self._one(spec.places)

    async def follow(self, places: Container[Hashable]) -> None:
        """Find out what the names of these places' servers stand for, now and each minute, until cancelled."""
        while True:
            names = self.names(places)
            found = await asyncio.gather(*(resolved(name.host or "", name.port) for name in names))
            for name, addresses in zip(names, found, strict=True):
                self._one([name, *(Endpoint.of(*address) for address in addresses)])
            await asyncio.sleep(RENEWAL)

    def names(self, places: Container[Hashable]) -> Sequence[Endpoint]:
        """The servers of these whose addresses must be asked for."""
        servers = [one for one, place in self._aliases.items() if isinstance(one, Endpoint) and place in places]
        return [server for server in servers if server.host and not is_number(server.host)]

    def _one(self, spellings: Sequence[Hashable]) -> Hashable:
        """The place of which these are all."""
        known = list(dict.fromkeys(self._aliases[one] for one in spellings if one in self._aliases))
        place = known[0] if known else spellings[0]
        self._aliases.update(dict.fromkeys(spellings, place))
        for other in known[1:]:
            self._aliases = {one: place if at == other else at for one, at in self._aliases.items()}
            self._unite(place, other)
        return place
