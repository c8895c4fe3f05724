"""The running providers: one for each place that the conf names, over all reloads.

Rule 1. Whatever writes to the same place (the same name server, the same API) goes through one provider, which keeps
the order of arrival. A reload changes nothing of that. Who ever shared a server is at one place; where that turns out
later, as its name stands for an address that another spec has, Rule 3 is for what is under way, too.

Rule 2. A spec that a reload changes has a successor: the new one of the same kin that is not named already. Requests
that are still for the old one are for it.

Rule 3. Over a reload, a name may come to another place. What its old one has under way then must have come to its end
before the new one writes.
"""

import asyncio
from collections.abc import Coroutine, Hashable, Iterable, Sequence
from typing import Any

from ..values.exchanges import Vitals
from ..values.specs import Function, Spec
from ..values.update import Item, Key, Promise, Provider
from .desk.desk import Desk
from .makers import MAKERS, Makers
from .whereabouts import Whereabouts

MANY = 100  # places that only get_host has named; beyond it, one goes that has nothing to do
REMEMBERED = 1000  # specs that have a successor


class Providers:
    """All running providers; made inside a running event loop."""

    def __init__(
        self,
        default: Spec,
        named: Iterable[Spec],
        timeout: float,
        keeps_exchanges: bool = False,
        makers: Makers = MAKERS,
    ) -> None:
        self._makers = makers
        self._keeps_exchanges = keeps_exchanges
        self._places: dict[Hashable, tuple[str, Provider]] = {}  # with the kind, in lower case
        self._whereabouts = Whereabouts(self._unite)
        self._place = self._whereabouts.place  # Rule 1
        self._following: asyncio.Task[None] | None = None
        self._united: set[Provider] = set()  # with another one, to which new updates go
        self._named: dict[Spec, None] = {}
        self._successors: dict[Spec, Spec] = {}
        self._recent: tuple[Spec, Provider] | None = None
        self._before: dict[Key, list[tuple[Provider, asyncio.Future[None]]]] = {}  # under way since before a reload
        self._left: dict[Hashable, Desk] = {}  # places that the conf has left, where something may still come late
        self._ending: set[asyncio.Task[None]] = set()
        self.use(default, named, timeout)

    def use(self, default: Spec, named: Iterable[Spec], timeout: float) -> None:
        """From now on, these; what is under way comes to its end where it is."""
        for _, provider in self._places.values():
            for key, end in provider.under_way().items():
                self._remember(provider, key, end)
        before, self._named = self._named, dict.fromkeys(named)
        self._timeout = timeout
        self._recent = None
        self._succeed([spec for spec in before if spec not in self._named], [s for s in self._named if s not in before])
        for spec in self._named:
            self._provider(spec)
        for place, (_, provider) in list(self._places.items()):
            if not self._tell(place, provider):
                self._do_later(self._end_when_free(place, provider))

    def _tell(self, place: Hashable, provider: Provider) -> bool:
        """What the conf names there. Whether it is anything."""
        here = [spec for spec in self._named if self._place(spec) == place]
        provider.use(here, self._successors, self._timeout)
        return bool(here)

    def _succeed(self, gone: Sequence[Spec], new: Sequence[Spec]) -> None:
        """Rule 2; each new one comes after at most one."""
        left = list(new)
        for old in gone:
            if heir := next((spec for spec in left if self._kin(spec) == self._kin(old)), None):
                left.remove(heir)
                self._successors = {spec: heir if new == old else new for spec, new in self._successors.items()}
                self._successors[old] = heir
                before, now = self._place(old), self._place(heir)
                if now not in self._places and before in self._places:
                    self._places[now] = self._places.pop(before)
        for spec in self._named:
            self._successors.pop(spec, None)
        for spec in list(self._successors)[:-REMEMBERED]:
            del self._successors[spec]

    def publish(self, spec: Spec, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Make `update` true through this provider: the results come within the timeout."""
        recent = self._recent
        if recent is None or recent[0] is not spec:
            spec = self._successors.get(spec, spec)
            recent = self._recent = spec, self._provider(spec)
        after = self._in_front(recent[1], update) if self._before else ()
        return recent[1].publish(spec, update, ask_only, secret, after)

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""
        return all(provider.is_alive() for _, provider in self._places.values())

    def vitals(self) -> list[tuple[str, Vitals]]:
        """How each one is, with its kind: the class of its spec, in lower case."""
        return [(kind, provider.vitals()) for kind, provider in self._places.values()]

    def named(self) -> list[tuple[Spec, Vitals]]:
        """How each one is that the conf names; those that share a place share this."""
        return [(spec, self._provider(spec).vitals()) for spec in self._named]

    async def close(self) -> None:
        """Let what waits come to its end; then end all."""
        if self._following:
            self._following.cancel()
        here = [self._pop(place) for place in list(self._places)]
        await asyncio.gather(*(provider.close() for provider in (*here, *self._united)))
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _provider(self, spec: Spec) -> Provider:
        """What runs at the spec's place."""
        place = self._place(spec)
        found = self._places.get(place)
        if found is None:
            if len(self._places) >= len(self._named) + MANY:
                self._end_an_idle_one()
            provider = self._makers[type(spec)](self._timeout)
            provider.vitals().exchanges.are_kept = self._keeps_exchanges
            found = self._places[place] = type(spec).__name__.lower(), provider
            if isinstance(provider, Desk) and (left := self._left.pop(place, None)):
                left.hand_over(provider)
            self._follow_names()
        return found[1]

    def _end_an_idle_one(self) -> None:
        """Of those that get_host has named, the oldest that has nothing to do."""
        idle = (p for p, (_, provider) in self._places.items() if not self._is_named(p) and provider.is_idle())
        if (place := next(idle, None)) is not None:
            self._do_later(self._pop(place).close())

    def _is_named(self, place: Hashable) -> bool:
        return any(self._place(spec) == place for spec in self._named)

    def _follow_names(self) -> None:
        """Where there are several places, see whether their names stand for the same."""
        if self._following is None and len(self._places) > 1 and self._whereabouts.names(self._places):
            self._following = asyncio.get_running_loop().create_task(self._whereabouts.follow(self._places))

    def _unite(self, place: Hashable, other: Hashable) -> None:
        """They are one: what is under way at the other one comes to its end there, before newer updates."""
        self._recent = None
        gone = self._places.pop(other, None)
        heir = self._places.setdefault(place, gone) if gone else None
        if gone is None or heir is None or heir is gone:
            return
        for key, end in gone[1].under_way().items():
            self._remember(gone[1], key, end)
        if isinstance(gone[1], Desk) and isinstance(heir[1], Desk):
            gone[1].hand_over(heir[1])
        self._tell(place, heir[1])
        self._united.add(gone[1])
        self._do_later(self._end_united(gone[1]))

    async def _end_united(self, provider: Provider) -> None:
        while ends := list(provider.under_way().values()):
            await asyncio.wait(ends)
        self._united.discard(provider)
        await provider.close()

    def _kin(self, spec: Spec) -> Hashable:
        """The same for what a reload makes of it: a function is another one then, of the same name."""
        return (Function, spec.name) if isinstance(spec, Function) else self._place(spec)

    async def _end_when_free(self, place: Hashable, provider: Provider) -> None:
        """What it has under way comes to its end; if the conf has not come back to it then, it ends."""
        while ends := list(provider.under_way().values()):
            await asyncio.wait(ends)
        if place in self._places and self._places[place][1] is provider and not self._is_named(place):
            await self._pop(place).close()
            if isinstance(provider, Desk) and not provider.is_idle():
                self._left[place] = provider
                await asyncio.sleep(provider.leave())
                if self._left.get(place) is provider:
                    del self._left[place]

    def _pop(self, place: Hashable) -> Provider:
        self._recent = None
        return self._places.pop(place)[1]

    def _do_later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # What is under way over a reload

    def _remember(self, provider: Provider, key: Key, end: "asyncio.Future[None]") -> None:
        self._before.setdefault(key, []).append((provider, end))
        end.add_done_callback(lambda _: self._forget(key))

    def _forget(self, key: Key) -> None:
        left = [(provider, end) for provider, end in self._before.get(key, ()) if not end.done()]
        if left:
            self._before[key] = left
        else:
            self._before.pop(key, None)

    def _in_front(self, provider: Provider, update: Sequence[Item]) -> "list[asyncio.Future[None]]":
        """What other places must have settled before this one may write."""
        pairs = [pair for item in update for pair in self._before.get(item.key, ())]
        return [end for other, end in pairs if other is not provider and not end.done()]
