"""Addresses of a primary that were left with a change on its way to them, which was not answered: it may come late.

Rule 1. What may come late at an address is looked for at this address, too, as soon as it answers: after it was left,
nobody else asks there.

Rule 2. Whether it answers is found out beside. Who looks has a turn that others wait for, and waits for no dead server.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from .addresses import Address
from .route import Route
from .scouts import look_at

REMEMBERED = 330.0  # seconds; a signature is good for 300


class Strays:
    """Those of one route; made inside a running event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._until: dict[Address, float] = {}  # event loop time
        self._probes: dict[Address, asyncio.Task[bool]] = {}

    def lost(self, address: Address) -> None:
        """A change was sent there, and no answer came."""
        if self._route.primary.servers:  # else there is this machine alone
            self._until[address] = asyncio.get_running_loop().time() + REMEMBERED

    def answering(self, zone: str) -> Sequence[Route]:
        """The ways to those that were left, and answered for the zone a moment ago."""
        now, used = asyncio.get_running_loop().time(), self._route.choice.way
        self._until = {address: until for address, until in self._until.items() if until > now}
        found = []
        for address in self._until:
            if used and address != used.address and self._answers(address, zone):
                primary = replace(self._route.primary, host=address.host, port=address.port, others=())
                found.append(Route(primary))
        return found

    def _answers(self, address: Address, zone: str) -> bool:
        """Whether the last question was answered; the next one is under way."""
        probe = self._probes.get(address)
        if probe and not probe.done():
            return False
        self._probes[address] = asyncio.get_running_loop().create_task(self._probe(address, zone))
        return probe is not None and probe.result()

    async def _probe(self, address: Address, zone: str) -> bool:
        return bool((await look_at(self._route, address, (zone,))).worth)

    def stop(self) -> None:
        """End it."""
        for probe in self._probes.values():
            probe.cancel()
