"""One seed's history: who calls, what the conf says, what goes wrong. Then all is well, and everything must end."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from sftdyn.providers.bind.backend import MAKER
from sftdyn.providers.desk.desk import Desk
from sftdyn.providers.makers import MAKERS as USUAL
from sftdyn.providers.makers import Makers
from sftdyn.providers.running import Providers
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.specs import Bind
from sftdyn.values.update import Item, RRset, RRType, Script, Text

from . import casts, clock, invariants
from .casts import Cast
from .clock import now
from .primary import WATCHED
from .residue import residue
from .story import Story
from .temper import Temper, temper
from .weather import WHOLE
from .world import Place, World

MAKERS: Makers = {**USUAL, Bind: partial(Desk, MAKER._replace(manner=MAKER.manner._replace(watched=WATCHED)))}
ENDING = 10.5  # virtual seconds that the end may take
QUIET = 400.0  # virtual seconds until nothing comes late any more, and nothing is watched


@dataclass
class Report:
    """What came of a seed."""

    seed: int
    problems: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    updates: int = 0
    messages: int = 0
    seconds: float = 0.0  # virtual


class Scenario:
    """Clients, strangers, the owner and the weather."""

    def __init__(self, rng: random.Random, cast: Cast, world: World, temper: Temper) -> None:
        self.rng, self.cast, self.world, self.temper = rng, cast, world, temper
        self.conf = cast.conf(rng, temper.several)
        timeout = rng.choice(temper.timeouts)
        self.providers = Providers(self.conf[0], self.conf, timeout, makers=MAKERS)
        self.story = Story(world, self.providers)
        self.story.use(self.conf, timeout)
        for place in world.places.values():
            place.delays = temper.delays or place.delays
        self._end = now() + temper.lasts
        self._numbers = count(1)

    async def play(self) -> None:
        """All of it, until nothing is to be expected any more."""
        loop = asyncio.get_running_loop()
        clients = [loop.create_task(self._client()) for _ in range(self.temper.clients)]
        others = [loop.create_task(self._stranger())] if self.temper.strangers else []
        await self._trouble()
        await asyncio.gather(*clients, *others)
        await asyncio.sleep(QUIET)

    # Who calls

    async def _client(self) -> None:
        rng = self.rng
        end = now() + self.temper.lasts * rng.uniform(0.2, 1.0)  # late writes are best seen when nobody calls any more
        while now() < end:
            is_unique = rng.random() < self.temper.unique
            items = self._items(is_unique)
            spec = rng.choice(self.conf)
            secret = rng.choice(self.cast.secrets) if spec.passes_secret else None
            if rng.random() < self.temper.fronts:
                await self.story.as_doors_do(spec, items, secret, is_unique)
            else:
                results = await self.story.publish(spec, items, rng.random() < 0.05, secret, is_unique)
                if _is_too_late(results) and rng.random() < self.temper.returns:
                    await self._return(spec, items, secret)
            await asyncio.sleep(self.temper.pace * rng.choice((0.0, rng.uniform(0, 0.5), rng.uniform(0, 5))))

    async def _return(self, spec: Any, items: Sequence[Item], secret: str | None) -> None:
        """The old address is back, as it still is at the place: what was lost would undo it, wherever it lies."""
        place = self.world.at(spec)
        old = [(item, place.value(item.key)) for item in items if isinstance(item, RRset)]
        if update := [item._replace(addresses=value) for item, value in old if value and place.zone_of(item.name)]:
            ask_only = self.rng.random() < 0.3
            for _ in range(3):
                if not _is_too_late(await self.story.publish(spec, update, ask_only, secret)):
                    break
            await asyncio.sleep(self.rng.uniform(self.temper.lasts / 6, self.temper.lasts))

    def _items(self, is_unique: bool) -> Sequence[Item]:
        rng = self.rng
        names = rng.sample(self.temper.names, rng.choice((1, 1, 1, 2, 3)))
        address = self._address("A", is_unique)
        items: list[Item] = [RRset(name, "A", (address,), 60) for name in names]
        if rng.random() < self.temper.texts:
            return [Text(name, self._value(is_unique), is_unique or rng.random() < 0.6, 60) for name in names]
        if rng.random() < self.temper.scripts:
            return [self._script(name, address) for name in names if name not in self.cast.hidden] or items
        if not is_unique and rng.random() < 0.05:
            items = [RRset(name, "A", (), 60) for name in names]
        if rng.random() < 0.1:
            items.append(RRset(names[0], "AAAA", (self._address("AAAA", is_unique),), 60))
        return items

    def _address(self, kind: RRType, is_unique: bool) -> str:
        prefix = "192.0.2." if kind == "A" else "2001:db8::"
        if is_unique:
            high, low = divmod(next(self._numbers), 250)
            return f"198.18.{high}.{low}" if kind == "A" else f"2001:db8:{high + 1:x}::{low + 1:x}"
        return f"{prefix}{self.rng.randrange(self.temper.values) + 1}"

    def _value(self, is_unique: bool) -> str:
        return f"{next(self._numbers):043}" if is_unique else f"-{self.rng.randrange(self.temper.values)}" * 21 + "-"

    def _script(self, name: str, address: str) -> Script:
        return Script(name, "A", address, f"update delete {name} A\nupdate add {name} 60 A {address}")

    async def _stranger(self) -> None:
        while now() < self._end:
            await asyncio.sleep(self.rng.uniform(0, 2))
            place = self.world.places[self.rng.choice(list(self.world.places))]
            name = self.rng.choice(self.temper.names)
            if place.zone_of(name) and name not in self.cast.hidden:
                place.set((name, "A"), (f"203.0.113.{self.rng.randrange(3)}",))

    # What goes wrong

    async def _trouble(self) -> None:
        rng = self.rng
        while now() < self._end:
            await asyncio.sleep(rng.uniform(*self.temper.troubles))
            place = self._troubled()
            event = rng.choice(self.temper.events)
            if event == "whole":
                place.weather.set(WHOLE, rng.choice(self._kinds(place)))
            elif event == "zone":
                place.weather.set(rng.choice(place.zones()), rng.choice(self._kinds(place, of_zones=True)))
            elif event == "heal":
                place.weather.heal()
            elif event == "shift" and self.temper.shifts and self.cast.shifting:
                self.cast.shifting(place)
            elif event == "reload" and rng.random() < self.temper.reloads:
                self._reload()
            if place.weather.state(WHOLE) != "asleep":
                place.wake()
        for place in self.world.places.values():
            place.weather.heal()
            place.wake()

    def _reload(self) -> None:
        if self.rng.random() < self.temper.neighbours:
            here = {self.world.name(spec) for spec in self.conf}
            specs = [spec for spec in self.cast.specs() if self.world.name(spec) in here]
            self.conf = self.cast.some_of(specs, self.rng, self.temper.several)
        else:
            self.conf = self.cast.conf(self.rng, self.temper.several)
        timeout = self.rng.choice(self.temper.timeouts)
        self.story.use(self.conf, timeout)
        self.providers.use(self.conf[0], self.conf, timeout)

    def _troubled(self) -> Place:
        """Any, or in a storm one that the conf has."""
        if self.temper.kinds:
            return self.world.at(self.rng.choice(self.conf))
        return self.world.places[self.rng.choice(list(self.world.places))]

    def _kinds(self, place: Place, of_zones: bool = False) -> Sequence[str]:
        kinds = self.cast.troubles(place, of_zones)
        return [kind for kind in self.temper.kinds if kind in kinds] or kinds


def _is_too_late(results: Sequence[Result]) -> bool:
    return any(result.outcome is Outcome.TIMEOUT for result in results)


async def _played(seed: int, kind: str) -> Report:
    rng = random.Random(seed)
    world = World(rng)
    with world.install():
        cast = casts.CASTS[kind](rng, world)  # whose ids are of the seed, too
        scenario = Scenario(rng, cast, world, temper(seed, rng, cast))
        await scenario.play()
        story, report = scenario.story, Report(seed)
        report.problems += invariants.broken(invariants.Run(story, cast.bounds))
        report.problems += [f"nothing_is_left: {said}" for said in residue(scenario.providers)]
        report.problems += [f"late messages never came: {place.late}" for place in world.places.values() if place.late]
        report.problems += [f"the API complains: {said}" for said in cast.complaints()]
        before = now()
        await scenario.providers.close()
        if now() - before > ENDING:
            report.problems.append(f"the end takes {now() - before:.1f} s")
    report.outcomes.update(said.result.outcome.name for said in story.said())
    report.updates, report.seconds = len(story.asked), now() - clock.START
    report.messages = sum(place.messages for place in world.places.values())
    return report


def play(seed: int, kind: str) -> Report:
    """One seed with one kind of providers."""
    return guarded(seed, lambda: _played(seed, kind))


def guarded(seed: int, make: Callable[[], Awaitable[Report]]) -> Report:
    """What came of it; what breaks the run itself is a problem, too."""

    async def main() -> Report:
        return await make()

    try:
        report, beside = clock.run(main())
    except Exception as error:
        return Report(seed, [f"{type(error).__name__}: {error}"])
    report.problems += [f"nobody heard of: {said}" for said in beside]
    return report
