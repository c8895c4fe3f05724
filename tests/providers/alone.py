"""A provider that runs as the service lets it run, with nothing else beside it."""

import asyncio
from collections.abc import Sequence

from sftdyn.check.online import about
from sftdyn.providers.running import Providers
from sftdyn.values.exchanges import Vitals
from sftdyn.values.outcome import Result, worst
from sftdyn.values.specs import Spec
from sftdyn.values.update import Item, Place, Promise


class Alone:
    """One running provider; made inside a running event loop."""

    def __init__(self, spec: Spec, timeout: float) -> None:
        self.providers = Providers(spec, [spec], timeout)
        self.spec = spec

    def use(self, spec: Spec, timeout: float) -> None:
        """What a reload does."""
        self.spec = spec
        self.providers.use(spec, [spec], timeout)

    def publish(
        self, update: Sequence[Item], ask_only: bool = False, secret: str | None = None
    ) -> "asyncio.Future[Result]":
        """The worst of the results, from the moment of the call on."""
        return asyncio.ensure_future(_worst(self.providers.publish(self.spec, update, ask_only, secret)))

    def vitals(self) -> Vitals:
        """How it is."""
        [(_, vitals)] = self.providers.vitals()
        return vitals

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        """What stands in the way of these record sets."""
        return await about(self.providers, self.spec, dict.fromkeys(keys, 30))

    def is_busy(self) -> bool:
        """Whether something is under way, whoever waits for it."""
        return any(provider.under_way() for _, provider in self.providers._places.values())

    async def quiet(self) -> None:
        """Until nothing is under way."""
        while self.is_busy():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return self.providers.is_alive()

    async def close(self) -> None:
        """End it."""
        await self.providers.close()


async def _worst(promise: Promise) -> Result:
    return worst(await promise)
