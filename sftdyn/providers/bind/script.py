"""Runs the lines of nsupdatecommands, each script in an nsupdate of its own, those for one name in order.

What such lines do to the zone cannot be asked for, so the last success of each name and type is remembered.
"""

import asyncio
from collections.abc import Iterable
from time import monotonic
from weakref import WeakValueDictionary

from ...values.exchanges import Exchanges
from ...values.outcome import Outcome, Result
from ...values.update import Key, RRset, Script
from . import message
from .message import Verdict
from .nsupdate import NotInstalled, converse
from .route import NoAddress, Route
from .sayings import diagnosis
from .scouts import Scouts

DEADLINE = 10.0  # seconds that one nsupdate may take
PAUSE = 0.5  # seconds between two tries at a primary that is away
AT_ONCE = 16  # processes; each takes some 15 MB


class Scripts:
    """All scripts of one provider, and what they did last; made inside a running event loop."""

    def __init__(self, route: Route, exchanges: Exchanges) -> None:
        self.use(route)
        self._exchanges = exchanges
        self._last: dict[Key, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = asyncio.Semaphore(AT_ONCE)

    def use(self, route: Route) -> None:
        """From now on, this primary."""
        self.route = route
        self._scouts = Scouts(route)

    def forget(self, update: Iterable[RRset]) -> None:
        """These record sets are written by other means."""
        for rrset in update if self._last else ():
            self._last.pop(rrset.key, None)

    async def run(self, script: Script, ask_only: bool, seconds: float) -> Result:
        """UPTODATE if the last success was for the same address; else what nsupdate made of the lines."""
        trouble = [message.NO_ANSWER]
        try:
            async with asyncio.timeout(seconds):
                async with self._locks.setdefault(script.name, asyncio.Lock()):
                    if self._last.get(script.key) == script.address:
                        return Result(Outcome.UPTODATE)
                    if ask_only:
                        return Result(Outcome.WOULD_CHANGE)
                    self._last.pop(script.key, None)  # from here on, who knows
                    return await self._try(script, trouble)
        except TimeoutError:
            return Result(Outcome.TIMEOUT, f"not within {seconds:g} s: {trouble[-1]}")

    async def _try(self, script: Script, trouble: list[str]) -> Result:
        """Until the primary takes or refuses it; `trouble` collects what is in the way."""
        while True:
            way = self.route.choice.way
            began = monotonic()
            try:
                async with self._places:
                    code, output = await converse(self.route, script.lines + "\n", DEADLINE)
            except (OSError, NotInstalled, NoAddress) as error:
                code, output = None, message.not_started(error)
            verdict = message.verdict(output)
            self._exchanges.note(code == 0 or verdict in message.SPOKEN, monotonic() - began)
            if code == 0:
                self._last[script.key] = script.address
                return Result(Outcome.OK)
            trouble.append(diagnosis(output) or trouble[-1])
            if verdict in message.FAILED_FOR_GOOD or message.is_no_command(output):
                return Result(Outcome.REFUSED, f"nsupdate said: {trouble[-1]}")
            if verdict is not Verdict.REFUSED:
                await self._scouts.help(verdict, (), way)
            await asyncio.sleep(PAUSE)
