"""Cloudflare, or an API like its own, as a provider."""

import asyncio
from collections.abc import Mapping, Sequence

from ...values.exchanges import Vitals
from ...values.outcome import Result
from ...values.specs import Cloudflare
from ...values.update import Item, Key, Place, Promise, RRset
from ..desk.desk import Desk
from ..findings import question, sentences
from .backend import MANNER, CloudflareBackend

LOT = 1000  # record sets that are asked for at once, for findings


class CloudflareProvider:
    """Publishes at Cloudflare; made inside a running event loop.

    After `timeout` seconds, an update that the API did not settle has failed.
    """

    def __init__(self, spec: Cloudflare, timeout: float) -> None:
        self._spec = spec
        self._timeout = timeout
        self._desk = Desk(self._backend, MANNER, timeout)

    def _backend(self, secret: str | None) -> CloudflareBackend | None:
        if self._spec.passes_secret and not secret:
            return None
        return CloudflareBackend(self._spec, secret, self._timeout, self._desk.exchanges)

    def use(self, spec: Cloudflare, timeout: float) -> None:
        """From the next exchange on, be as the conf says now; what waits is placed anew."""
        is_new, self._spec, self._timeout = spec != self._spec, spec, timeout
        self._desk.use(self._backend if is_new else None, timeout)

    def publish(self, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make the zones hold `update`, or only ask whether they do: the result comes within the timeout."""
        rrsets = [item for item in update if isinstance(item, RRset)]
        return self._desk.publish(rrsets, ask_only, secret if self._spec.passes_secret else None)

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return self._desk.under_way()

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return self._desk.is_alive()

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        """What stands in the way of these record sets; nothing where only a request brings the token."""
        results: dict[Place, Result] = {}
        for start in range(0, 0 if self._spec.passes_secret else len(keys), LOT):
            lot = keys[start : start + LOT]
            asking = [self.publish([question(key)], ask_only=True) for key in lot]
            results.update(zip(lot, [one for [one] in await asyncio.gather(*asking)], strict=True))
        return sentences(results)

    def vitals(self) -> Vitals:
        """How it is: what waits for the API, and the exchanges with it."""
        return self._desk.vitals()

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds; then end the connections."""
        await self._desk.close()
