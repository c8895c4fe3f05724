"""A function of the conf as a provider: called in threads, one call at a time for each name.

It cannot be asked what the name has. What its last success was for is handed on without a word of the quota; anything
else counts as a change. A call past its time is given up, but its name waits until it has come back: what it still
does must not undo what a newer one did.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from weakref import WeakValueDictionary

from ..threads import Ended, Returned, in_thread, raised_at
from ..values.exchanges import Exchanges, Vitals
from ..values.outcome import Outcome, Result
from ..values.specs import Function
from ..values.update import Item, Key, Place, Promise, RRset

AT_ONCE = 16  # calls before others wait for them
GIVEN_UP = 100  # calls that may hang for ever before there are no more

ANSWERS = {"OK": Outcome.OK, "UPTODATE": Outcome.UPTODATE}


class FunctionProvider:
    """Publishes through a function; made inside a running event loop.

    After `timeout` seconds, an update that the function did not settle has failed.
    """

    def __init__(self, spec: Function, timeout: float) -> None:
        self.use(spec, timeout)
        self._last: dict[Key, tuple[str, ...]] = {}  # the addresses of each one's last success
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._given_up = 0
        self._promises: dict[Key, Promise] = {}
        self._exchanges = Exchanges()

    def use(self, spec: Function, timeout: float) -> None:
        """From now on, this function."""
        self._spec = spec
        self._timeout = timeout

    def publish(self, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise:
        """Call the function for each record set: the result comes within the timeout."""
        rrsets = [item for item in update if isinstance(item, RRset)]
        promise: Promise = asyncio.ensure_future(self._publish(rrsets, ask_only, secret))
        self._promises.update({rrset.key: promise for rrset in rrsets})
        promise.add_done_callback(lambda _: self._forget(rrsets, promise))
        return promise

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""
        return dict(self._promises)

    def is_alive(self) -> bool:
        """Nothing can stop it but the function itself."""
        return True

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        """Nothing: a function cannot be asked."""
        return []

    def vitals(self) -> Vitals:
        """How it is: record sets that wait, and the calls; one that raises has brought no answer."""
        return Vitals(self._exchanges, len(self._promises))

    async def close(self) -> None:
        """Let what waits come to its end, which the timeout bounds."""
        await asyncio.gather(*self._promises.values())

    def _forget(self, rrsets: Sequence[RRset], promise: Promise) -> None:
        for rrset in rrsets:
            if self._promises.get(rrset.key) is promise:
                del self._promises[rrset.key]

    async def _publish(self, rrsets: Sequence[RRset], ask_only: bool, secret: str | None) -> Sequence[Result]:
        return await asyncio.gather(*(self._settle(rrset, ask_only, secret) for rrset in rrsets))

    async def _settle(self, rrset: RRset, ask_only: bool, secret: str | None) -> Result:
        """One record set, in its turn."""
        name = self._spec.name
        if self._given_up >= GIVEN_UP:
            return Result(Outcome.HOOK, f"{name} is not called: {GIVEN_UP} calls of it hang; mend it, and restart")
        lock = self._locks.setdefault(rrset.name, asyncio.Lock())
        call: asyncio.Future[Ended] | None = None
        began = 0.0
        try:
            async with asyncio.timeout(self._timeout):
                await lock.acquire()
                try:
                    repeats = self._last.get(rrset.key) == rrset.addresses
                    if ask_only and not repeats:
                        return Result(Outcome.WOULD_CHANGE)
                    async with self._places:
                        began = monotonic()
                        call = self._call(rrset, secret)
                        await asyncio.wait([call])
                        return self._result(rrset, call.result(), repeats)
                finally:
                    self._release(lock, call)
                    if call:
                        answered = call.done() and isinstance(call.result(), Returned)
                        self._exchanges.note(answered, monotonic() - began)
        except TimeoutError:
            return Result(Outcome.TIMEOUT, self._why_late(name, call))

    def _call(self, rrset: RRset, secret: str | None) -> "asyncio.Future[Ended]":
        self._last.pop(rrset.key, None)  # from here on, who knows
        name, kind, addresses, ttl = rrset
        return in_thread(self._spec.function, name.rstrip("."), kind, ttl, addresses, secret, late=lambda: None)

    def _result(self, rrset: RRset, ended: Ended, repeats: bool) -> Result:
        """What a call that has ended means."""
        name, code = self._spec.name, getattr(self._spec.function, "__code__", None)
        if not isinstance(ended, Returned):
            return Result(Outcome.HOOK, raised_at(name, ended.error, Path(code.co_filename if code else name)))
        outcome = ANSWERS.get(ended.value) if isinstance(ended.value, str) else None
        if outcome is None:
            return Result(Outcome.HOOK, f'{name} returned neither "OK" nor "UPTODATE"')
        self._last[rrset.key] = rrset.addresses
        return Result(outcome, repeats=repeats)

    def _release(self, lock: asyncio.Lock, call: "asyncio.Future[Ended] | None") -> None:
        """The name is free as soon as nothing of the call can happen any more."""
        if call is None or call.done():
            lock.release()
            return
        self._given_up += 1
        call.add_done_callback(lambda _: self._came_back(lock))

    def _came_back(self, lock: asyncio.Lock) -> None:
        self._given_up -= 1
        lock.release()

    def _why_late(self, name: str, call: "asyncio.Future[Ended] | None") -> str:
        if call:
            return f"{name} took longer than {self._timeout:g} s and is given up"
        return f"{name} was not called within {self._timeout:g} s: earlier calls have not ended"
