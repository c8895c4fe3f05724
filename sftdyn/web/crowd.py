"""The connections that there are: how many may be, who must go, and who may ask. Pure but for the event.

One crowd for each kind of listener; what they may have of the process's descriptors is shared out once, by `shares`.
"""

import asyncio
import resource

from .connection import Connection, Phase

MAX_CONNECTIONS = 8192
SPARE_FILES = 64  # descriptors kept for everything but connections
LEAST = 16  # connections, however few descriptors there are
STATUS_PART = 8  # one in so many
UNDER_WAY = 0.75  # of all connections may wait for us: we cannot drop them, and others want to be heard
OF_ONE = 0.5  # of these for one address


def shares(with_status: bool) -> tuple[int, int]:
    """Connections that the routers' listeners of this process may have, and those for the status."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    together = min(MAX_CONNECTIONS, max(soft - SPARE_FILES, LEAST))
    for_status = together // STATUS_PART if with_status else 0
    return together - for_status, for_status


class Crowd:
    """Keeps account of at most `limit` connections."""

    def __init__(self, limit: int) -> None:
        self.all_answered = asyncio.Event()
        self._limit = limit
        self._waiting: dict[Connection, None] = {}  # for their client, the longest first
        self._answering: set[Connection] = set()
        self._asking: dict[str, int] = {}  # requests under way of each address

    def moved(self, connection: Connection) -> None:
        """Keep account of the connection's new phase."""
        self._waiting.pop(connection, None)
        if connection.phase is Phase.ANSWERING:
            self._answering.add(connection)
            return
        self._answering.discard(connection)
        if connection.phase is not Phase.CLOSED:
            self._waiting[connection] = None
        if not self._answering:
            self.all_answered.set()

    @property
    def is_too_large(self) -> bool:
        """Whether somebody has to go."""
        return len(self._waiting) + len(self._answering) > self._limit

    @property
    def is_answered(self) -> bool:
        """Whether nobody waits for us."""
        return not self._answering

    def reading(self) -> list[Connection]:
        """Those whose request is incomplete."""
        return [connection for connection in self._waiting if connection.phase is Phase.READING]

    def overdue(self, now: float) -> list[Connection]:
        """Those that have missed their deadline; `now` as the event loop has it."""
        return [connection for connection in self._waiting if connection.deadline < now]

    def drop_one(self) -> None:
        """The one that waits longest for its client goes, not the newcomer."""
        if longest := next(iter(self._waiting), None):
            longest.drop()

    def ask(self, who: str) -> bool:
        """Count a request of this address, and say whether there is room for it; it ends with `asked`."""
        most = self._limit * UNDER_WAY
        asking = self._asking.get(who, 0)
        if len(self._answering) > most or asking >= most * OF_ONE:
            return False
        self._asking[who] = asking + 1
        return True

    def asked(self, who: str) -> None:
        """The request of this address has its answer."""
        if left := self._asking.pop(who) - 1:
            self._asking[who] = left
