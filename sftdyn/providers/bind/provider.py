"""One primary as a provider: record sets go through the queue, scripts beside it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from ...values.exchanges import Vitals
from ...values.outcome import Result, worst
from ...values.specs import Bind
from ...values.update import Key, Promise, RRset, Script
from .findings import findings
from .nsupdate import Route
from .queue import Queue
from .script import Scripts


class BindProvider:
    """Publishes at one primary; made inside a running event loop.

    After `timeout` seconds, an update that the primary did not settle has failed.
    """

    def __init__(self, spec: Bind, timeout: float) -> None:
        self._zones = spec.zones
        self._timeout = timeout
        self._route = Route(spec.primary)
        self._queue = Queue(self._route, spec.zones, timeout)
        self._scripts = Scripts(self._route, self._queue.exchanges)

    def use(self, spec: Bind, timeout: float) -> None:
        """From now on, this primary, with these zones; what is under way there comes to its end."""
        self._zones = spec.zones
        self._timeout = timeout
        self._queue.use(spec.primary, spec.zones, timeout)

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return self._queue.under_way()

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return self._queue.is_alive()

    async def findings(self, keys: Sequence[Key]) -> list[str]:
        """What is not right with the primary and its zones, a sentence each."""
        return await findings(self._route, self._zones, keys)

    def vitals(self) -> Vitals:
        """How it is: what waits for the primary, and the exchanges with it."""
        return Vitals(self._queue.exchanges, self._queue.waiting(), self._queue.mended())

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end all processes."""
        await self._queue.close()

    def publish(self, update: Sequence[RRset | Script], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make the zone hold `update`, or only ask whether it does: the result comes within the timeout."""
        if isinstance(update[-1], Script):  # which stand behind all record sets
            return asyncio.ensure_future(self._with_scripts(update, ask_only))
        return self._publish(cast(Sequence[RRset], update), ask_only)

    def _publish(self, rrsets: Sequence[RRset], ask_only: bool) -> Promise:
        self._scripts.forget(rrsets)
        return self._queue.publish(rrsets, ask_only)

    async def _with_scripts(self, update: Sequence[RRset | Script], ask_only: bool) -> Result:
        rrsets = [item for item in update if isinstance(item, RRset)]
        scripts = [item for item in update if isinstance(item, Script)]
        publishing = [self._publish(rrsets, ask_only)] if rrsets else []
        running = [self._scripts.run(script, ask_only, self._timeout) for script in scripts]
        return worst(await asyncio.gather(*publishing, *running))
