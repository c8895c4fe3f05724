"""A small world for one scene, in which nothing happens by chance."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sftdyn.providers.running import Providers
from sftdyn.values.specs import Bind, Cloudflare, Desec
from sftdyn.values.specs import Primary as PrimarySpec
from sftdyn.values.update import Item, RRset, Script, Text

from . import clock
from .ledger import Ledger, Value
from .online import AtCloudflare, AtDesec
from .primary import Primary
from .story import Story
from .world import World

ZONES = ("a.example.", "b.example.")
HOST, API, DESEC = "192.0.2.53", "api.cloudflare.test", "desec.test"
TIMEOUT = 10.0  # seconds
LONGEST = 3600.0  # virtual seconds of a scene
OLD, OTHER, NEW, LAST = (f"192.0.2.{number}" for number in range(1, 5))


def by(key: str) -> Bind:
    """One way to the primary: with this key file."""
    return Bind(PrimarySpec(HOST, 53, Path("/nowhere", key)), ZONES)


def cloudflare(token: str | None) -> Cloudflare:
    """With this token, or that of each request."""
    return Cloudflare(token=token, create=True, url=f"https://{API}/client/v4")


def desec(token: str) -> Desec:
    """With this token."""
    return Desec(token, url=f"https://{DESEC}/api/v1")


class Stage:
    """A primary, Cloudflare's API and deSEC's, each with the two zones; and the providers of a conf."""

    def __init__(self, world: World) -> None:
        rng = random.Random(1)
        self.primary = Primary(rng, ZONES, Ledger())
        self.api = AtCloudflare(rng, (*ZONES, "c.example.", "d.example."), ("one-token", "other-token"), Ledger())
        self.desec = AtDesec(rng, ZONES, ("one-token", "other-token"), Ledger())
        world.places |= {f"{HOST}:53": self.primary, API: self.api, DESEC: self.desec}
        self.world = world
        self._story: Story | None = None

    def conf(self, *specs: Any) -> None:
        """This is in force from now on."""
        if self._story is None:
            self._story = Story(self.world, Providers(specs[0], specs, TIMEOUT))
        else:
            self._story.providers.use(specs[0], specs, TIMEOUT)
        self._story.use(specs, TIMEOUT)

    async def publish(
        self, spec: Any, *items: Item, ask_only: bool = False, secret: str | None = None
    ) -> Sequence[str]:
        """What becomes of each item."""
        assert self._story
        results = await self._story.publish(spec, items, ask_only, secret)
        return [result.outcome.name for result in results]

    def begin(self, spec: Any, *items: Item, ask_only: bool = False, secret: str | None = None) -> "asyncio.Task[Any]":
        """The same, while others do the same; it has arrived when this returns."""
        assert self._story
        promise = self._story.providers.publish(spec, items, ask_only, secret)
        return asyncio.ensure_future(_outcomes(promise))

    async def close(self) -> None:
        """The end."""
        if self._story:
            await self._story.providers.close()


async def _outcomes(promise: Awaitable[Any]) -> Sequence[str]:
    return [result.outcome.name for result in await promise]


def host(name: str, *addresses: str) -> RRset:
    """What a host's record set shall be."""
    return RRset(name, "A", addresses, 60)


def txt(name: str, value: str, is_there: bool = True) -> Text:
    """A value that a name shall have, or have no more."""
    return Text(name, value, is_there, 60)


def lines(name: str, address: str) -> Script:
    """The same by nsupdatecommands."""
    return Script(name, "A", address, f"update delete {name} A\nupdate add {name} 60 A {address}")


def perform(scene: Callable[[Stage], Awaitable[None]]) -> None:
    """A scene, in virtual time."""
    world = World(random.Random(2))

    async def main() -> None:
        with world.install():
            async with asyncio.timeout(LONGEST):
                stage = Stage(world)
                await scene(stage)
                await stage.close()

    _, problems = clock.run(main())
    assert not problems


def shown(stage: Stage, name: str, online: bool = False) -> Value:
    """What everybody sees."""
    place = stage.api if online else stage.primary
    return place.value((name, "A"))
