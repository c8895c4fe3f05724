"""How it is published: an errand goes to the provider, through hooks, quota and proof, and comes back with its results.

Rule 1. Without hooks, an update for the client's names together is published by plain calls: the provider's promise
calls back. Hooks, which may take their time in a thread, proofs, and several groups of names need a task.

Rule 2. A client that has changed too often may only ask. What its quota grants is settled when the provider has
spoken: only what was changed counts.

Rule 3. A client whose addresses are to be proven asks first, proves what would change, all of it, and then publishes.
Whom hooks or a proof delay has its place in the order of arrival from the beginning. Another request is newer than it
when it publishes, or when it was told that there is nothing to change.

Rule 4. Each record set has a result of its own, from the provider to the notes. Where nsupdatecommands has written
other items in its place, it is the worst of those at its name.

Rule 5. A client that wants all left as it is hears UPTODATE if a guess at what is there, which the provider is asked
about, is or could be there. It costs no quota, needs no proof, and no hook is asked what to write.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any, TypeAlias

from ..conf.config import Config
from ..providers.running import Providers
from ..values.outcome import SUCCESSES, Outcome, Result, worst
from ..values.specs import Bind, Client, Spec
from ..values.update import Promise, RRset, Script, Update
from ..web.connection import Respond
from ..web.peer import Caller
from ..web.request import Request
from .arrivals import Arrivals
from .hooks import HookThreads
from .keys import Door
from .notes import Part, failure, part_of
from .proof import Proofs
from .quota import Grant, Quota

Names: TypeAlias = tuple[str, ...]  # absolute, updated and answered together
Host: TypeAlias = Names | Outcome  # or what is wrong with those of the request
Items: TypeAlias = Sequence[RRset | Script]
Results: TypeAlias = Sequence[Result]  # of each record set of an update; or one, that all share
LEFT = Result(Outcome.UPTODATE)  # as it is
OVERTAKEN = Result(Outcome.OVERTAKEN, "a newer request for the name was faster")
TOO_OFTEN = "there is something to change, but this client has changed too often"


@dataclass(slots=True)
class Visit:
    """One request on its way."""

    request: Request
    caller: Caller
    respond: Respond
    began: float | None = None  # seconds since 1970, if anybody wants to know
    arrival: int = 0  # its number in the order of arrival, where hooks or a proof could change that order
    counted: Hashable = None  # the client among whose requests under way it is counted
    has_left: bool = False


@dataclass(slots=True)
class Errand:
    """What a client wants, and what is known of it already."""

    visit: Visit
    door: Door
    client: Client
    who: Hashable  # has its key: another key is another client, for the same names, too
    hosts: Sequence[Host]  # in the order of the reply
    provider: Spec
    secret: str | None  # what matched the key, where the provider wants it
    parts: dict[Host, Part] = field(default_factory=dict)  # settled
    updates: dict[Names, Update] = field(default_factory=dict)  # for the provider
    looks: dict[Names, Update] = field(default_factory=dict)  # where the client wants all left as it is: may be there


class Publishing:
    """Publishes errands. `leave` is called with one all of whose parts are settled, `fail` where an exception came."""

    def __init__(
        self,
        config: Config,
        providers: Providers,
        hooks: HookThreads,
        leave: Callable[[Errand], None],
        fail: Callable[[Visit, Exception], None],
    ) -> None:
        self._config = config
        self._providers = providers
        self._hooks = hooks
        self._leave = leave
        self._fail = fail
        self._arrivals = Arrivals()
        self._proofs = Proofs()
        self._quota = Quota(config.max_changes)
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._config = config
        self._quota.allow(config.max_changes, monotonic())

    def arrive(self) -> int:
        """The number of a request that hooks will delay; it leaves with `depart`."""
        return self._arrivals.arrive()

    def depart(self, visit: Visit) -> None:
        """A visit that arrived is answered: nothing newer needs to be remembered for it."""
        self._arrivals.leave(visit.arrival)

    def publish(self, errand: Errand) -> None:
        """Without hooks. One update that needs no proof needs no task."""
        only_asks = self._arrivals.inside and self._quota.is_used_up(errand.who, monotonic())
        if errand.client.prove or only_asks:
            errand.visit.arrival = self._arrivals.arrive()
        if errand.visit.arrival or errand.looks or len(errand.updates) != 1:  # if none, all parts are known
            self.spawn(self.publish_all(errand))
            return
        grant = self._quota.ask(errand.who, monotonic())
        [(host, update)] = errand.updates.items()
        if self._arrivals.inside:
            self._arrivals.overtaken(0, {rrset.key: rrset for rrset in update})
        promise = self._providers.publish(errand.provider, update, not grant.granted, errand.secret)
        promise.add_done_callback(partial(self._settled, errand, grant, host))

    def _settled(self, errand: Errand, grant: Grant, host: Names, promise: Promise) -> None:
        try:
            if not self._conclude(errand, grant, {host: promise.result()}):
                self.publish(errand)
        except Exception as error:
            self._fail(errand.visit, error)

    async def publish_all(self, errand: Errand) -> None:
        """All updates at once; the request counts as one change."""
        publish = self._publish_proven if errand.client.prove else self._publish_each
        try:
            await asyncio.gather(*(self._look(errand, *look) for look in errand.looks.items()))
            concluded = False
            while not concluded:
                grant, results = await publish(errand)
                concluded = self._conclude(errand, grant, dict(zip(errand.updates, results, strict=True)))
        except Exception as error:
            self._fail(errand.visit, error)

    async def _look(self, errand: Errand, host: Names, guess: Update) -> None:
        """Nothing is to change (Rule 5)."""
        try:
            results = await self._providers.publish(errand.provider, guess, True, errand.secret)
        except Exception as error:
            results = [failure(error)]
        is_there = all(result.outcome in SUCCESSES for result in results)
        if is_there:
            errand.parts[host] = part_of(results, guess, host[0])
        else:  # of other addresses nothing is known
            errand.parts[host] = Part(_instead(LEFT, results), [rrset.name for rrset in guess], host[0])

    async def _publish_each(self, errand: Errand) -> tuple[Grant, list[Results]]:
        grant = self._quota.ask(errand.who, monotonic())
        publishing = [self._publish_one(errand, update, not grant.granted) for update in errand.updates.values()]
        return grant, await asyncio.gather(*publishing)

    async def _publish_one(self, errand: Errand, update: Update, ask_only: bool) -> Results:
        """One update, as nsupdatecommands wants it."""
        if ask_only:
            return (await self._ask(errand, update))[1]
        try:
            return await self._hand_over(errand, update, await self._items(errand, update))
        except Exception as error:
            return [failure(error)]

    async def _publish_proven(self, errand: Errand) -> tuple[Grant, list[Results]]:
        """Each update, once all that would change is proven (Rule 3). A proof that is under way costs no quota."""
        asked = await asyncio.gather(*(self._ask(errand, update) for update in errand.updates.values()))
        new = [_wanted(*one) for one in asked if _would_change(one[1])]
        if not new or self._quota.is_used_up(errand.who, monotonic()):
            return self._quota.ask(errand.who, monotonic()), [results for _, results in asked]
        trouble = await self._proofs.prove(errand.who, errand.client, chain(*new), self._config.timeout)
        unproven = Result(Outcome.UNPROVEN, trouble) if trouble else None
        grant = self._quota.ask(errand.who, monotonic())
        refused = unproven or (None if grant.granted else Result(Outcome.WOULD_CHANGE))
        proven = zip(errand.updates.values(), asked, strict=True)
        return grant, await asyncio.gather(*(self._after_proof(errand, u, *one, refused) for u, one in proven))

    async def _ask(self, errand: Errand, update: Update) -> tuple[Items, Results]:
        """What would be published, and whether that is a change. What was published meanwhile is asked about again."""
        items: Items = ()
        try:
            items = await self._items(errand, update)
            by_key = {item.key: item for item in items}
            while True:
                before = self._arrivals.newest(by_key)
                results = await self._providers.publish(errand.provider, items, True, errand.secret)
                pairs = zip(items, results, strict=True)
                settled = {item.key: item for item, result in pairs if result.outcome in SUCCESSES}
                if not settled or self._arrivals.newest(by_key) == before:
                    self._arrivals.overtaken(errand.visit.arrival, settled)
                    return items, _of_each(update, items, results)
        except Exception as error:
            return items, [failure(error)]

    async def _after_proof(
        self, errand: Errand, update: Update, items: Items, asked: Results, refused: Result | None
    ) -> Results:
        """What was asked about, published if it is new and not refused."""
        if refused:
            return _instead(refused, asked)
        return await self._hand_over(errand, update, items) if _would_change(asked) else asked

    async def _items(self, errand: Errand, update: Update) -> Items:
        """What nsupdatecommands makes of an update, for those whose lines it writes. Raises HookFailed."""
        if isinstance(errand.provider, Bind):
            return await self._hooks.commands(update, errand.visit.request.headers, errand.visit.caller.address)
        return update

    async def _hand_over(self, errand: Errand, update: Update, items: Items) -> Results:
        """Publish, if no newer request was faster."""
        by_key = {item.key: item for item in items}
        if self._arrivals.inside and self._arrivals.overtaken(errand.visit.arrival, by_key):
            return [OVERTAKEN]
        return _of_each(update, items, await self._providers.publish(errand.provider, items, False, errand.secret))

    def _conclude(self, errand: Errand, grant: Grant, results: Mapping[Names, Results]) -> bool:
        """Leave with the provider's results; False if all should be tried again, as the quota is not used up after all.

        What was under way when this request came may have turned out to be no change.
        """
        outcomes = [result.outcome for each in results.values() for result in each if not result.repeats]
        grant.settle(changed=Outcome.OK in outcomes)
        if Outcome.WOULD_CHANGE in outcomes:
            now = monotonic()
            if not self._quota.is_used_up(errand.who, now):
                return False
            abuse = Result(Outcome.ABUSE, TOO_OFTEN, self._quota.wait(errand.who, now))
            results = {host: _instead(abuse, each) for host, each in results.items()}
        for host, each in results.items():
            errand.parts[host] = part_of(each, errand.updates[host], host[0])
        self._leave(errand)
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this work beside."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _would_change(results: Results) -> bool:
    return any(result.outcome is Outcome.WOULD_CHANGE for result in results)


def _wanted(items: Items, results: Results) -> Items:
    """Without what its owner does not want there."""
    if not any(result.is_left_out for result in results):
        return items
    return [item for item, result in zip(items, results, strict=True) if not result.is_left_out]


def _instead(refused: Result, results: Results) -> Results:
    """The same, where what would change is refused."""
    return [refused if result.outcome is Outcome.WOULD_CHANGE else result for result in results]


def _of_each(update: Update, items: Items, results: Results) -> Results:
    """The result of each record set of the update, of which `items` were made (Rule 4)."""
    if items is update:
        return results
    at_name: dict[str, list[Result]] = {}
    for item, result in zip(items, results, strict=True):
        at_name.setdefault(item.name, []).append(result)
    return [worst(at_name[rrset.name]) for rrset in update]
