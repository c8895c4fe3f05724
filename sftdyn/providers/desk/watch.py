"""Looks after late writes: when, through whom, and in the order among the updates, so that nothing newer is passed."""

import asyncio
from collections.abc import Callable, Sequence

from ...values.update import Key, Record
from .accounts import Accounts
from .backend import Addresses, Fate, Manner
from .late import Inspection, LateWrites
from .order import Order
from .session import Session
from .tickets import Account, Turn, Zone


class Vigil:
    """The watch at one place. `keep_time` sees to it that `sweep` is called, as long as `late` is watching."""

    def __init__(self, manner: Manner, order: Order, accounts: Accounts, keep_time: Callable[[], None]) -> None:
        self._late = LateWrites(manner)
        self._heir: Vigil | None = None  # at the same place
        self._order = order
        self._accounts = accounts
        self._keep_time = keep_time
        self._owed: set[tuple[str, Account]] = set()  # looks for which nobody has the credentials now

    @property
    def late(self) -> LateWrites:
        """What is watched."""
        return self._heir.late if self._heir else self._late

    def hand_over(self, heir: "Vigil") -> None:
        """From now on, the other one watches what is known here, too."""
        heir.late.adopt(self.late)
        self._heir, self._keep_time = heir, heir._keep_time
        self._keep_time()

    def unanswered(self, zone: Zone, records: Sequence[Record], now: float) -> None:
        """These were sent, and no answer came."""
        self.late.unanswered(zone.name, records, now)
        self._keep_time()

    def sweep(self, now: float) -> None:
        """Send who is due."""
        for zone, account in self.late.due(now) if not self._heir and self.late.is_watching() else ():
            if session := self._accounts.custodian(account, zone):
                session.look_after(zone)
            else:
                self._owed.add((zone, account))
        if not self.late.is_watching():
            self._owed.clear()

    def comes(self, session: Session, zone: str) -> None:
        """A request has brought credentials for a zone: what is owed there is looked at with them."""
        if owed := {look for look in self._owed if look[0] == zone}:
            self._owed -= owed
            session.look_after(zone)

    def begin(self, session: Session, zone: Zone) -> Inspection | None:
        """What this session shall look at there: only what nobody wants something of; who comes now waits."""
        if self._heir:
            return None
        custodians: dict[Account, Session | None] = {}

        def is_for(account: Account, key: Key) -> bool:
            if account not in custodians:
                custodians[account] = self._accounts.custodian(account, zone.name)
            return custodians[account] is session and not self._order.has(key)

        watched = self.late.watched(zone.name, is_for, asyncio.get_running_loop().time())
        if not watched:
            return None
        look = Inspection(watched, Turn([record.key for record, _ in watched]))
        self._order.enter(look.turn)
        return look

    def end(self, look: Inspection, fates: Sequence[tuple[Fate, Addresses]]) -> None:
        """What it has found, if it came to that; who waits may go on."""
        now = asyncio.get_running_loop().time()
        for (record, _), (fate, late) in zip(look.watched, fates, strict=False):
            self.late.found(record, fate, late, now)
        self._keep_time()
        self._order.leave(look.turn, look.turn.keys)
