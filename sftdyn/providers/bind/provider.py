"""One primary as a provider: record sets go through the desk, scripts beside it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from ...values.exchanges import Vitals
from ...values.outcome import Result
from ...values.specs import Bind
from ...values.update import Item, Key, Place, Promise, RRset, Script
from ..desk.desk import Desk
from .backend import MANNER, BindBackend
from .route import Route
from .script import Scripts


class BindProvider:
    """Publishes at one primary; made inside a running event loop.

    After `timeout` seconds, an update that the primary did not settle has failed.
    """

    def __init__(self, spec: Bind, timeout: float) -> None:
        self._spec = spec
        self._timeout = timeout
        self._desk = Desk(lambda _: BindBackend(self._spec), MANNER, timeout)
        self._scripts = Scripts(Route(spec.primary), self._desk.exchanges)

    def use(self, spec: Bind, timeout: float) -> None:
        """From now on, this primary, with these zones; what is under way there comes to its end."""
        self._timeout = timeout
        is_new, self._spec = spec != self._spec, spec
        self._desk.use((lambda _: BindBackend(self._spec)) if is_new else None, timeout)
        if is_new:
            self._scripts.use(Route(spec.primary))

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return self._desk.under_way()

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return self._desk.is_alive()

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        """What is not right with the primary and its zones, a sentence each."""
        return await BindBackend(self._spec).findings(keys)

    def vitals(self) -> Vitals:
        """How it is: what waits for the primary, and the exchanges with it."""
        return self._desk.vitals()

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end all processes."""
        await self._desk.close()

    def publish(self, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make the zone hold `update`, or only ask whether it does: the result comes within the timeout."""
        if isinstance(update[-1], Script):  # which stand behind all record sets
            return asyncio.ensure_future(self._with_scripts(update, ask_only))
        return self._publish(cast(Sequence[RRset], update), ask_only)

    def _publish(self, rrsets: Sequence[RRset], ask_only: bool) -> Promise:
        self._scripts.forget(rrsets)
        return self._desk.publish(rrsets, ask_only)

    async def _with_scripts(self, update: Sequence[Item], ask_only: bool) -> Sequence[Result]:
        rrsets = [item for item in update if isinstance(item, RRset)]
        scripts = [item for item in update if isinstance(item, Script)]
        publishing = [self._publish(rrsets, ask_only)] if rrsets else []
        running = [self._scripts.run(script, ask_only, self._timeout) for script in scripts]
        return [*(await publishing[0] if publishing else ()), *await asyncio.gather(*running)]
