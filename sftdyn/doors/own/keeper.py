"""Keeps names at this machine's own addresses: looks at the start, at each change, and every so often.

Rule 1. Each client of `own` has a task of its own, which looks, publishes, and rests: it delays no other, and of what
has changed meanwhile only the last counts. Each of its names is published, and reported, by itself. What is published
is in the provider's hands: its result is noted whenever it comes, also if the task has ended, for a reload starts them
all anew.

Rule 2. What an interface has is read as a whole after each change. Changes come in bursts: when a link goes, its
addresses go one by one, and the last but one of them is not what anybody wants published. So it waits a moment.

Rule 3. Who looks as often as another does so at the same moments: those who ask the same source share the question.

Rule 4. After a failure it looks again soon, then less often, until it is as often as without one.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from ...conf.config import Config
from ...providers.running import Providers
from ...values.mistake import Mistake
from ...values.outcome import SUCCESSES, Outcome, Result, worst
from ...values.specs import Client, Interface, Own
from ...values.update import Promise, RRset, Subject, Update
from ..demand import Demand, wanted
from ..notes import Notes, Part, failure, name_of, part_of
from ..watch.seen import Journal
from .rtnetlink import Changes
from .sources import Look, Sources

log = logging.getLogger(__name__)

NAME = "own"  # as statistics call this door
SETTLE = 0.1  # seconds from the first change of a burst to the look at what came of it
LOT = 1000  # names that are published at once
FIRST_PATIENCE = 5.0  # seconds after a first failure, at most

Tell: TypeAlias = Callable[[Own, Part], None]  # what came of a look


def patience(every: float, failures: int, now: float = 0.0) -> float:
    """Seconds until the next look, after so many failures in a row. Spread, so that not all come at once again.

    Without one: until the next multiple of `every`, on the clock that says `now`.
    """
    if not failures:
        return every - now % every
    longest = min(FIRST_PATIENCE * 2.0 ** min(failures - 1, 32), every)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311


class Publisher:
    """Looks and publishes once, for a client of `own`; made inside a running event loop."""

    def __init__(self, config: Config, providers: Providers, tell: Tell) -> None:
        self._sources = Sources()
        self._config = config
        self._providers = providers
        self._tell = tell

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._config = config

    async def look(self, own: Own) -> Look:
        """What the client's source gives now."""
        try:
            return await self._sources.look(own, self._config.timeout)
        except Exception as error:
            return Look(reason=failure(error).reason)

    async def publish(self, own: Own, look: Look) -> Outcome:
        """Publish what a look has found. The results are noted if nobody waits any more, too."""
        names = own.client.names
        if not look.addresses:
            return self._told(own, Part([Result(Outcome.SOURCE, look.reason)], names))
        try:
            update = self._update(own.client, look)
        except Mistake as mistake:
            return self._told(own, Part([Result(Outcome.SOURCE, str(mistake))], names))
        except Exception as error:
            return self._told(own, Part([failure(error)], names))
        by_name: dict[str, list[RRset]] = {}
        for rrset in update:
            by_name.setdefault(rrset.name, []).append(rrset)
        parts, outcomes = list(by_name.values()), list[Outcome]()
        for start in range(0, len(parts), LOT):
            lot = parts[start : start + LOT]
            outcomes += await asyncio.gather(*(self._publish_one(own, part) for part in lot))
        return max(outcomes, key=lambda outcome: outcome.severity)

    async def _publish_one(self, own: Own, update: Update) -> Outcome:
        """One name."""
        try:
            promise = self._providers.publish(own.client.provider or self._config.provider, update)
        except Exception as error:
            return self._told(own, Part([failure(error)], update))
        promise.add_done_callback(lambda promise: self._told(own, part_of(_results(promise), update)))
        await asyncio.wait([promise])
        return worst(_results(promise)).outcome

    def _update(self, client: Client, look: Look) -> Update:
        """Raises Mistake."""
        return wanted(client, client.names, Demand(look.addresses), look.addresses[0], self._config.ttl)

    def _told(self, own: Own, part: Part) -> Outcome:
        self._tell(own, part)
        return part.whole.outcome


class Keeper:
    """Publishes the conf's `own`, as long as it runs; made inside a running event loop."""

    def __init__(
        self,
        config: Config,
        providers: Providers,
        count: Callable[[Result, Subject], None],
        journal: Journal | None = None,
    ) -> None:
        self._notes = Notes(count, journal, kind="own ")
        self._publisher = Publisher(config, providers, self._take_note)
        self._changes: Changes | None = None
        self._changed: list[asyncio.Event] = []  # of each client of an interface
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: set[Own] = set()  # whose last look, or what came of it, was a failure
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, this conf: all is looked at anew."""
        self.close()
        self._publisher.use(config)
        self._failing &= set(config.own)
        if any(isinstance(own.source, Interface) for own in config.own):
            self._listen()
        self._tasks = {asyncio.create_task(self._keep(own)) for own in config.own}

    def is_well(self) -> bool:
        """Whether all was published at the last look."""
        return not self._failing

    def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        self._changed.clear()
        if self._changes:
            self._changes.close()
            self._changes = None

    def _listen(self) -> None:
        try:
            self._changes = Changes(self._tell)
        except OSError as error:
            log.warning("own: interfaces are looked at now and then only: rtnetlink says %s", error.strerror)

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()

    async def _keep(self, own: Own) -> None:
        changed = asyncio.Event()
        if isinstance(own.source, Interface):
            self._changed.append(changed)
        failures = 0
        while True:
            look = await self._publisher.look(own)
            if look.remark:
                self._notes.remark(f"own {look.remark}")
            outcome = await self._publisher.publish(own, look)
            failures = 0 if outcome in SUCCESSES else failures + 1
            (self._failing.add if failures else self._failing.discard)(own)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience(own.every, failures, asyncio.get_running_loop().time())):
                    await self._until_changed(own, look, changed)

    async def _until_changed(self, own: Own, look: Look, changed: asyncio.Event) -> None:
        """Return when an interface gives something else than at the last look."""
        while True:
            await changed.wait()
            await asyncio.sleep(SETTLE)
            changed.clear()
            if await self._publisher.look(own) != look:
                return

    def _take_note(self, own: Own, part: Part) -> None:
        self._notes.leave(NAME, [part], str(own.source))


def _results(promise: Promise) -> Sequence[Result]:
    error = promise.exception()
    return [failure(error)] if isinstance(error, Exception) else promise.result()


async def publish_once(config: Config, show: Callable[[str], None]) -> bool:
    """Publish the conf's `own` once, and show a line for each name; whether all is as it should be."""
    providers = Providers(config.provider, config.own_providers, config.timeout)
    publisher = Publisher(config, providers, lambda own, part: _show(own, part, show))

    async def publish(own: Own) -> bool:
        return await publisher.publish(own, await publisher.look(own)) in SUCCESSES

    try:
        return all(await asyncio.gather(*map(publish, config.own)))
    finally:
        await providers.close()


def _show(own: Own, part: Part, show: Callable[[str], None]) -> None:
    """A line for each name, as in the log; two where its record sets have results of their own."""
    for result, subject, _ in part.notes():
        said: dict[str, list[str]] = {}
        for item in subject:
            said.setdefault(name_of(item), []).extend(() if isinstance(item, str) else item.addresses)
        for name, found in said.items():
            reason = result.reason and f": {result.reason}"
            show(" ".join([result.outcome.word, name, *found, "from", str(own.source)]) + reason)


async def without_address(config: Config) -> list[str]:
    """What keeps sources of the conf's `own` from giving an address, a sentence each; nothing is published."""
    sources = Sources()
    looks = await asyncio.gather(*(sources.look(own, config.timeout) for own in config.own))
    said = [f"own: {own.source}: {look.reason or look.remark}" for own, look in zip(config.own, looks, strict=True)]
    return list(dict.fromkeys(line for line, look in zip(said, looks, strict=True) if look.reason or look.remark))
