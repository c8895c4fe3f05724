"""Runs the lines that a conf writes by itself (nsupdatecommands), each for a host, in an nsupdate of its own.

What they do is not known, so there is nothing to ask the primary for: the address of the last success is remembered
instead, for each host and family, until something else is written there. Each host is a zone of its own: its lines run
in the order of arrival, and one whose lines hang delays nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from ...values.outcome import Outcome, Result
from ...values.specs import Bind
from ...values.update import Key, Script
from ..desk.backend import Addresses, Backend, Channel, Fact, Fate, Manner, Settlement, Watched, ZoneState
from ..desk.backend import Verdict as Became
from . import message
from .message import Word
from .nsupdate import NotInstalled, converse
from .route import Route, Unresolved
from .sayings import diagnosis
from .scouts import Scouts

AT_ONCE = 16  # processes; each takes some 15 MB
DEADLINE = 10.0  # seconds that one nsupdate may take
MANNER = Manner(
    called="the name server",
    no_zone=Result(Outcome.NOZONE),
    at_once=(AT_ONCE, AT_ONCE, AT_ONCE),
    capacity=0,  # one after the other
    is_exclusive=True,
    pauses=(0.1, 1.0),
)
NOBODY = 0.1  # seconds that all wait, where nobody listens


class ScriptBackend(Backend, Channel):
    """Scripts for one primary. `last` has the address of each one's last success."""

    manner = MANNER

    def __init__(self, spec: Bind, last: dict[Key, str]) -> None:
        self._route = Route(spec.primary)
        self._scouts = Scouts(self._route)
        self._last = last
        self._places = asyncio.Semaphore(AT_ONCE)  # of all lanes

    def channel(self, asks: bool = False) -> "ScriptBackend":
        return self

    async def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact]:
        """Each host is its own zone."""
        for place in places:
            yield Fact(place, place)

    async def settle(
        self, zone: ZoneState, updates: Sequence[Sequence[Script]], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """UPTODATE if the last success was for the same address; else what nsupdate made of the lines."""
        return [await self._settle_all(update, ask_only) for update in updates]

    async def _settle_all(self, scripts: Sequence[Script], ask_only: bool) -> Settlement:
        """One after the other, until one fails."""
        changed = False
        for script in scripts:
            if self._last.get(script.key) == script.address:
                continue
            changed = True
            if not ask_only and (failed := await self._run(script)):
                return failed
        return Settlement(Became.DONE, changed)

    async def _run(self, script: Script) -> Settlement | None:
        """What went wrong, if anything did."""
        self._last.pop(script.key, None)  # from here on, who knows
        way = self._route.choice.way
        try:
            async with self._places:
                code, output = await converse(self._route, script.lines + "\n", DEADLINE)
        except (OSError, NotInstalled, Unresolved) as error:
            code, output = None, message.not_started(error)
        if code == 0:
            self._last[script.key] = script.address
            return None
        verdict, reason = message.verdict(output), diagnosis(output)
        if verdict in message.FAILED_FOR_GOOD or message.is_no_command(output):
            return Settlement(Became.REFUSED, reason=f"nsupdate said: {reason}")
        if verdict is not Word.REFUSED:
            await self._scouts.help(verdict, (), way)
        if verdict is Word.NOBODY:
            return Settlement(Became.AWAY, False, reason, NOBODY)
        return Settlement(Became.UNKNOWN if verdict is Word.UNKNOWN else Became.AGAIN, reason=reason)

    async def mend(self, zone: ZoneState, watched: Watched) -> list[tuple[Fate, Addresses]]:
        """Nothing of it is watched."""
        return [(Fate.RIGHT, ())] * len(watched)

    def stop(self) -> None:
        self._scouts.stop()

    async def close(self) -> None: ...
