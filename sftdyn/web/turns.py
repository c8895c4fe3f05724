"""Whose handshake is next. A TLS handshake is the one thing that costs the event loop much for a stranger's few octets.

Rule 1. Between two turns the loop does all else that is to be done: one handshake never waits behind many.

Rule 2. An address that has had its turn rests for twice as long as that took, so that it never has more than a third of
the loop, however fast it comes. Whoever waits meanwhile is in the order in which it came.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address

REST = 2.0  # times as long as the turn took
GRAIN = 1e-4  # seconds that no rest is worth a timer, as where the client has left meanwhile
FORGET = 1024  # addresses that have had turns; beyond that, those whose rest is over are forgotten
NETWORK = 64  # bits of an IPv6 address: who has one, has all of its network

Work = Callable[[], None]


class Turns:
    """Runs pieces of work, each for an address; made inside a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rested: dict[str, float] = {}  # address → when its rest is over
        self._waiting: dict[str, deque[Work]] = {}  # never empty
        self._due: deque[str] = deque()  # who waits, and has rested
        self._is_taken = False  # a turn was had, and the loop has not been round since

    def take(self, peer: str, work: Work) -> None:
        """Do the work when it is its turn, at once if nobody is before it."""
        who = network_of(peer)
        now = self._loop.time()
        if who in self._waiting:
            self._waiting[who].append(work)
        elif self._is_taken or self._rested.get(who, 0.0) > now:
            self._waiting[who] = deque([work])
            self._wait(who, now)
        else:
            self._have(who, work)

    def _wait(self, who: str, now: float) -> None:
        if (rested := self._rested.get(who, 0.0)) > now + GRAIN:
            self._loop.call_at(rested, self._queue, who)
        else:
            self._queue(who)

    def _queue(self, who: str) -> None:
        self._due.append(who)
        if not self._is_taken:
            self._next()

    def _next(self) -> None:
        self._is_taken = False
        if not self._due:
            return
        who = self._due.popleft()
        works = self._waiting[who]
        self._have(who, works.popleft())
        if works:
            self._wait(who, self._loop.time())
        else:
            del self._waiting[who]

    def _have(self, who: str, work: Work) -> None:
        self._is_taken = True
        self._loop.call_soon(self._next)
        began = self._loop.time()
        try:
            work()
        finally:
            now = self._loop.time()
            self._rested[who] = now + REST * (now - began)
            if len(self._rested) > FORGET:
                self._rested = {other: until for other, until in self._rested.items() if until > now}


def network_of(peer: str) -> str:
    """What of a socket's peer stands for whoever is behind it."""
    if ":" not in peer:
        return peer
    return str(int(ip_address(peer.partition("%")[0])) >> (128 - NETWORK))
