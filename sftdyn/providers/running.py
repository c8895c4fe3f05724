"""The running providers: one for each that the conf names, over all reloads, and the order among them.

A provider that stays equal in the conf runs on. One that changes in the same place (the same name server, the same
API) runs on with new settings; one that is gone ends when all that it has under way is settled.

Each provider keeps the order of arrival of its own updates. Between two of them it is kept where they could write the
same records: in the same place, and over a reload, where a name may have got another provider.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..values.exchanges import Vitals
from ..values.outcome import Outcome, Result
from ..values.specs import Bind, Cloudflare, Desec, Function, Spec
from ..values.update import Item, Key, Place, Promise, Provider
from .bind.provider import BindProvider
from .cloudflare.provider import CloudflareProvider
from .desec_provider import DesecProvider
from .function import FunctionProvider

MANY = 100  # providers that only get_host has named; beyond it, one goes that has nothing to do
TOO_LATE = Result(Outcome.TIMEOUT, "an earlier update of the name, through another provider, is still under way")

MAKERS: dict[type[Any], Callable[[Any, float], Provider]] = {
    Bind: BindProvider,
    Cloudflare: CloudflareProvider,
    Desec: DesecProvider,
    Function: FunctionProvider,
}


@dataclass(eq=False, slots=True)
class Running:
    """One provider at work."""

    spec: Spec
    provider: Provider


@dataclass(eq=False, slots=True)
class Pending:
    """An update that is not settled, as the other providers see it."""

    running: Running
    promise: Promise
    keys: Sequence[Key]
    handed_over: "asyncio.Future[None] | None" = None  # to its provider, where it waits for others first
    is_old: bool = False  # from before a reload


class Providers:
    """All running providers; made inside a running event loop."""

    def __init__(self, default: Spec, named: Iterable[Spec], timeout: float, keeps_exchanges: bool = False) -> None:
        self._running: dict[Spec, Running] = {}
        self._pending: dict[Key, list[Pending]] = {}  # kept while there is more than one provider
        self._alone: Running | None = None  # the default one, while there is no other and nothing to remember
        self._keeps_exchanges = keeps_exchanges
        self._ending: set[asyncio.Task[None]] = set()
        self.use(default, named, timeout)

    def use(self, default: Spec, named: Iterable[Spec], timeout: float) -> None:
        """From now on, these; what is under way comes to its end where it is."""
        self._remember_what_is_under_way()
        for pending in itertools.chain(*self._pending.values()):
            pending.is_old = True
        self._default, self._timeout = default, timeout
        self._named = dict.fromkeys(named)
        gone = [running for spec, running in self._running.items() if spec not in self._named]
        for spec in self._named:
            running = self._running.get(spec) or next((old for old in gone if old.spec.place == spec.place), None)
            if running is None:
                self._start(spec)
                continue
            if running in gone:
                gone.remove(running)
                del self._running[running.spec]
                self._running[spec] = running
                running.spec = spec
            running.provider.use(spec, timeout)
        for running in gone:
            self._end(running)
        self._look_whether_alone()

    def publish(self, spec: Spec, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make `update` true through this provider: the result comes within the timeout, twice at most."""
        if spec is self._default and self._alone:
            return self._alone.provider.publish(update, ask_only, secret)
        running = self._running.get(spec) or self._start(spec)
        before = self._in_front(running, update)
        handed_over = asyncio.get_running_loop().create_future() if before else None
        if handed_over:
            waiting = self._after(before, handed_over, running, update, ask_only, secret)
            promise: Promise = asyncio.ensure_future(waiting)
        else:
            promise = running.provider.publish(update, ask_only, secret)
        if self._alone is None:
            self._remember(Pending(running, promise, [item.key for item in update], handed_over))
        return promise

    async def findings(self, spec: Spec, keys: Sequence[Place]) -> list[str]:
        """What stands in the way of publishing these record sets through this provider, a sentence each."""
        return await self._running[spec].provider.findings(keys)

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return all(running.provider.is_alive() for running in self._running.values())

    def vitals(self) -> list[tuple[str, Vitals]]:
        """How each one is, with its kind: `bind`, `cloudflare` or `function`."""
        return [(type(spec).__name__.lower(), running.provider.vitals()) for spec, running in self._running.items()]

    async def close(self) -> None:
        """Let what waits come to its end; then end all."""
        for running in list(self._running.values()):
            self._end(running)
        await asyncio.gather(*self._ending)

    def _start(self, spec: Spec) -> Running:
        self._remember_what_is_under_way()
        if len(self._running) >= len(self._named) + MANY:
            self._end_an_idle_one()
        running = self._running[spec] = Running(spec, MAKERS[type(spec)](spec, self._timeout))
        running.provider.vitals().exchanges.are_kept = self._keeps_exchanges
        self._look_whether_alone()
        return running

    def _end_an_idle_one(self) -> None:
        """Of those that get_host has named, the oldest that has nothing to do."""
        busy = {pending.running for pending in itertools.chain(*self._pending.values())}
        others = [running for spec, running in self._running.items() if spec not in self._named]
        idle = (running for running in others if running not in busy and not running.provider.under_way())
        if running := next(idle, None):
            self._end(running)

    def _end(self, running: Running) -> None:
        self._running.pop(running.spec, None)
        task = asyncio.get_running_loop().create_task(self._close(running))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _close(self, running: Running) -> None:
        """Once it has been handed all that it is to be handed."""
        pending = itertools.chain(*self._pending.values())
        if waiting := [one.handed_over for one in pending if one.running is running and one.handed_over]:
            await asyncio.wait(waiting)
        await running.provider.close()

    # Order between providers.

    def _look_whether_alone(self) -> None:
        alone = len(self._running) == 1 and not self._pending
        self._alone = self._running.get(self._default) if alone else None

    def _remember_what_is_under_way(self) -> None:
        """In the one provider that has been alone so far."""
        if self._alone:
            for key, promise in self._alone.provider.under_way().items():
                self._remember(Pending(self._alone, promise, [key]))

    def _remember(self, pending: Pending) -> None:
        for key in pending.keys:
            self._pending.setdefault(key, []).append(pending)
        pending.promise.add_done_callback(lambda _: self._forget(pending))

    def _forget(self, pending: Pending) -> None:
        for key in pending.keys:
            others = self._pending[key]
            others.remove(pending)
            if not others:
                del self._pending[key]
        if not self._pending:
            self._look_whether_alone()

    def _in_front(self, running: Running, update: Sequence[Item]) -> "list[asyncio.Future[Any]]":
        """What other providers must have settled, and what this one must have been told, before it may write."""
        before: list[asyncio.Future[Any]] = []
        for pending in itertools.chain(*(self._pending.get(item.key, ()) for item in update)):
            if pending.running is running:
                if pending.handed_over and not pending.handed_over.done():
                    before.append(pending.handed_over)
            elif pending.is_old or pending.running.spec.place == running.spec.place:
                before.append(pending.promise)
        return before

    async def _after(
        self,
        before: "Sequence[asyncio.Future[Any]]",
        handed_over: "asyncio.Future[None]",
        running: Running,
        update: Sequence[Item],
        ask_only: bool,
        secret: str | None,
    ) -> Sequence[Result]:
        try:
            _, late = await asyncio.wait(before, timeout=self._timeout)
            promise = None if late else running.provider.publish(update, ask_only, secret)
        finally:
            handed_over.set_result(None)
        return await promise if promise else [TOO_LATE] * len(update)
