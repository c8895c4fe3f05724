"""A function of the conf as a provider: called in threads, one call at a time for each name.

It cannot be asked what the name has. What its last success was for is handed on without a word of the quota; anything
else counts as a change. A call past its time is given up, but its name waits until it has come back: what it still
does must not undo what a newer one did.

TXT values come one by one, and a function is told of record sets: it gets all the values of a name that were published
through it. So what others have written there is overwritten.
"""

import asyncio
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, get_args
from weakref import WeakValueDictionary

from ..threads import Calls, Ended, Hanging, Returned, raised_at
from ..values.exchanges import Exchanges, Vitals
from ..values.outcome import Outcome, Result
from ..values.specs import Function
from ..values.update import Item, Key, Promise, Record, RRset, RRType, Script, Text

AT_ONCE = 16  # calls before others wait for them
GIVEN_UP = 100  # calls that may hang for ever before there are no more

ANSWERS = {"OK": Outcome.OK, "UPTODATE": Outcome.UPTODATE}


class FunctionProvider:
    """Publishes through a function; made inside a running event loop.

    After `timeout` seconds, an update that the function did not settle has failed.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._last: dict[Key, tuple[str, ...]] = {}  # the addresses of each one's last success
        self._texts: dict[str, frozenset[str]] = {}  # the TXT values of each name
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._calls = Calls(AT_ONCE, GIVEN_UP)
        self._promises: dict[Promise, Sequence[str]] = {}  # with their names
        self._exchanges = Exchanges()

    def use(self, named: Sequence[Function], successors: Mapping[Any, Any], timeout: float) -> None:
        """From now on, this timeout."""
        self._timeout = timeout

    def publish(
        self,
        spec: Function,
        update: Sequence[Item],
        ask_only: bool = False,
        secret: str | None = None,
        after: "Sequence[asyncio.Future[None]]" = (),
    ) -> Promise:
        """Call the function for each record set: the results come within the timeout."""
        names = tuple(item.name for item in update)
        who = names if secret is None else secret
        promise: Promise = asyncio.ensure_future(
            _all([self._settle(spec, item, ask_only, secret, after, who) for item in update])
        )
        self._promises[promise] = names
        promise.add_done_callback(self._promises.pop)
        return promise

    def under_way(self) -> "Mapping[Key, asyncio.Future[None]]":
        """For each record set that is not free, what is done when all that is under way for it now has come to its end.

        That may be never.
        """
        names = {name for names in self._promises.values() for name in names}
        names |= {name for name, lock in self._locks.items() if lock.locked()}
        ends = {name: asyncio.ensure_future(_turn(self._lock(name))) for name in names}
        return {(name, kind): end for name, end in ends.items() for kind in get_args(RRType)}

    def is_alive(self) -> bool:
        """Nothing can stop it but the function itself."""
        return True

    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return not self._promises and not any(lock.locked() for lock in self._locks.values())

    def vitals(self) -> Vitals:
        """How it is: updates that wait, and the calls; one that raises has brought no answer."""
        return Vitals(self._exchanges, len(self._promises))

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds."""
        await asyncio.gather(*self._promises)

    async def _settle(
        self,
        spec: Function,
        item: Item,
        ask_only: bool,
        secret: str | None,
        after: "Sequence[asyncio.Future[None]]",
        who: Hashable,
    ) -> Result:
        """One record set, in its turn."""
        assert not isinstance(item, Script)
        lock = self._lock(item.name)
        call: asyncio.Future[Ended] | None = None
        began = 0.0
        try:
            async with asyncio.timeout(self._timeout):
                await lock.acquire()
                try:
                    if after:
                        await asyncio.wait(after)
                    repeats = self._is_repeated(item)
                    if ask_only and not repeats:
                        return Result(Outcome.WOULD_CHANGE)
                    call = await self._call(spec, item, secret, who)
                    began = monotonic()
                    await asyncio.wait([call])
                    return self._result(spec, item, call.result(), repeats)
                finally:
                    self._release(lock, call)
                    if call:
                        answered = call.done() and isinstance(call.result(), Returned)
                        self._exchanges.note(answered, monotonic() - began)
        except Hanging as hanging:
            return Result(
                Outcome.HOOK, f"{spec.name} is not called: {hanging.calls} calls of it hang; mend it, and restart"
            )
        except TimeoutError:
            return Result(Outcome.TIMEOUT, self._why_late(spec.name, call))

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _call(self, spec: Function, item: Record, secret: str | None, who: Hashable) -> "asyncio.Future[Ended]":
        """Raises Hanging."""
        records = tuple(sorted(self._values(item))) if isinstance(item, Text) else item.addresses
        arguments = item.name.rstrip("."), item.type, item.ttl, records, secret
        call = await self._calls.call(who, self._timeout, spec.function, *arguments)
        self._last.pop(item.key, None)  # from here on, who knows
        return call

    def _is_repeated(self, item: Record) -> bool:
        if isinstance(item, Text):
            return item.is_there and item.value in self._texts.get(item.name, ())
        return self._last.get(item.key) == item.addresses

    def _values(self, text: Text) -> frozenset[str]:
        """What the name shall have."""
        there = self._texts.get(text.name, frozenset())
        return there | {text.value} if text.is_there else there - {text.value}

    def _succeeded(self, item: Record) -> None:
        if isinstance(item, RRset):
            self._last[item.key] = item.addresses
        elif values := self._values(item):
            self._texts[item.name] = values
        else:
            self._texts.pop(item.name, None)

    def _result(self, spec: Function, item: Record, ended: Ended, repeats: bool) -> Result:
        """What a call that has ended means."""
        name, code = spec.name, getattr(spec.function, "__code__", None)
        if not isinstance(ended, Returned):
            return Result(Outcome.HOOK, raised_at(name, ended.error, Path(code.co_filename if code else name)))
        outcome = ANSWERS.get(ended.value) if isinstance(ended.value, str) else None
        if outcome is None:
            return Result(Outcome.HOOK, f'{name} returned neither "OK" nor "UPTODATE"')
        self._succeeded(item)
        return Result(outcome, repeats=repeats)

    def _release(self, lock: asyncio.Lock, call: "asyncio.Future[Ended] | None") -> None:
        """The name is free as soon as nothing of the call can happen any more."""
        if call is None or call.done():
            lock.release()
            return
        call.add_done_callback(lambda _: lock.release())

    def _why_late(self, name: str, call: "asyncio.Future[Ended] | None") -> str:
        if call:
            return f"{name} took longer than {self._timeout:g} s and is given up"
        return f"{name} was not called within {self._timeout:g} s: earlier calls have not ended"


async def _all(parts: Sequence[Coroutine[Any, Any, Result]]) -> Sequence[Result]:
    return await asyncio.gather(*parts)


async def _turn(lock: asyncio.Lock) -> None:
    async with lock:
        pass
