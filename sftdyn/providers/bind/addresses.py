"""Which address of a primary is talked to, and over which transport. Pure.

Rule 1. All addresses that a conf's `server` stands for have the same data: one is as good as another, the first is
best. The one that works is kept until it does not.

Rule 2. It is left only for one that has just answered better. So a name that is wrong, or a zone that hangs, moves
nobody to an address that is worse.

Rule 3. An address that was left may be well again: what stands in front of the chosen one is looked at now and then.
"""

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import NamedTuple

MAX_UDP = 512  # octets; nsupdate sends a longer message over TCP


class Over(Enum):
    """What gets through to an address."""

    BOTH = "UDP and TCP"
    UDP = "UDP alone"
    TCP = "TCP alone"


class Worth(IntEnum):
    """What an address is good for, by what it says of a zone."""

    NOTHING = 0  # silence, or it does not have the zone, or does not take the key
    SOMETHING = 1  # it has the zone, and does not let it be changed, or not now
    ALL = 2


class Address(NamedTuple):
    """As a number, with the interface behind a `%` where it is a link-local one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


class Passage(NamedTuple):
    """An address, and what gets through to it."""

    address: Address
    over: Over = Over.BOTH


class Sighting(NamedTuple):
    """What was seen of an address."""

    way: Passage
    worth: Worth


class Choice:
    """The addresses that are known, and the one that is talked to."""

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] = ()
        self.way: Passage | None = None

    def learn(self, addresses: Sequence[Address]) -> None:
        """These are all that there are, the best first. Raises ValueError if there is none."""
        self.addresses = tuple(dict.fromkeys(addresses))
        if not self.addresses:
            raise ValueError("no address")
        if self.way is None or self.way.address not in self.addresses:
            self.way = Passage(self.addresses[0])

    def others(self, has_answered: bool) -> Sequence[Address]:
        """Where to look, in trouble: everywhere; but at the chosen one only if it is silent, or nobody is there."""
        return [one for one in self.addresses if not has_answered or self.way is None or one != self.way.address]

    def better(self) -> Sequence[Address]:
        """Where to look now and then (Rule 3)."""
        if self.way is None or self.way == Passage(self.addresses[0]):
            return ()
        return self.addresses[: self.addresses.index(self.way.address) + (self.way.over is not Over.BOTH)]

    def weigh(self, seen: Sighting, than: Worth) -> bool:
        """Take what was seen, if it is worth more than the trouble (Rule 2). Whether that is another way."""
        if seen.worth <= than or seen.way.address not in self.addresses or seen.way == self.way:
            return False
        self.way = seen.way
        return True
