"""Places that are few, shared fairly: threads, lookups, proofs. One place in the house does it, for all of them.

Rule 1. Nobody takes one more while it has as many as are free. So whoever is alone has half of them, and a newcomer
finds one at once, however many the others want: each of them has left a half of the rest.

Rule 2. Those who wait have their turns one after the other, not their requests.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable


class Places:
    """So many; made and used inside one running event loop. Who has taken one, leaves it."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, dict[asyncio.Future[None], None]] = {}  # whose turn is next first; none is empty

    def are_free(self, who: Hashable) -> bool:
        """Whether there is one for it at once."""
        return self._held[who] < self._free

    @property
    def are_all_free(self) -> bool:
        """Whether nobody has one."""
        return not self._held

    async def take(self, who: Hashable) -> None:
        """Wait for one."""
        if self.are_free(who) and who not in self._waiting:
            self.occupy(who)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, {})[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(who, turn)
            else:
                self.leave(who)  # it had its turn just now
            raise

    def occupy(self, who: Hashable) -> None:
        """One is taken, whether free or not."""
        self._held[who] += 1
        self._free -= 1

    def leave(self, who: Hashable) -> None:
        """It is free again."""
        self._free += 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        while self._free > 0 and (first := next(filter(self.are_free, self._waiting), None)):
            self._give(first)

    def _give(self, who: Hashable) -> None:
        turn = next(iter(self._waiting[who]))
        self._forget(who, turn)
        if who in self._waiting:  # after all who wait already
            self._waiting[who] = self._waiting.pop(who)
        if not turn.done():  # cancelled, and its task does not know yet
            self.occupy(who)
            turn.set_result(None)

    def _forget(self, who: Hashable, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(who, {})
        turns.pop(turn, None)
        if not turns:
            self._waiting.pop(who, None)
