"""What shall become of a zone: the values that doors hand to a provider."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from .exchanges import Vitals
from .outcome import Result

RRType = Literal["A", "AAAA"]
TXT: Literal["TXT"] = "TXT"
Place: TypeAlias = tuple[str, RRType]  # where a record set is: a host's absolute name, and a type
# Of a record set its name and type; of a TXT value also itself, so that two values at one name are in no order.
Key: TypeAlias = tuple[str, ...]


class RRset(NamedTuple):
    """The addresses that one name shall have of one type; none at all: the record set is removed."""

    name: str  # absolute, lower case, with the last dot
    type: RRType
    addresses: tuple[str, ...]  # sorted, each as the ipaddress module writes it
    ttl: int  # seconds

    @property
    def key(self) -> Place:
        return self[:2]


class Text(NamedTuple):
    """One TXT value that a name shall have, or have no more; the others beside it stay."""

    name: str  # absolute, lower case, with the last dot
    value: str
    is_there: bool
    ttl: int  # seconds
    type: Literal["TXT"] = TXT

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the name shall have of this value: it, or nothing."""
        return (self.value,) if self.is_there else ()

    @property
    def key(self) -> Key:
        return self.name, TXT, self.value


@dataclass(frozen=True, slots=True)
class Script:
    """Lines of the conf's nsupdatecommands that do more than to replace the host's addresses."""

    name: str
    type: RRType
    address: str
    lines: str

    @property
    def key(self) -> Key:
        return self.name, self.type


Record: TypeAlias = RRset | Text
Item: TypeAlias = RRset | Text | Script
Update: TypeAlias = Sequence[RRset]  # one request's record sets, each (name, type) once
Subject: TypeAlias = Update | Sequence[str]  # what a result is about: record sets, or absolute host names
Promise: TypeAlias = "asyncio.Future[Sequence[Result]]"  # one for each item of the update, in its order


class Provider(Protocol):
    """Makes updates true where the names live. It knows no HTTP server, no quota and no client.

    An update is atomic in each zone that it touches. With `ask_only` nothing is changed: the outcome is UPTODATE, or
    WOULD_CHANGE. `secret` is what matched the client's key, where the provider wants it; it is not kept.
    """

    def publish(self, update: Sequence[Item], ask_only: bool = False, secret: str | None = None) -> Promise: ...

    def use(self, spec: Any, timeout: float) -> None:
        """From now on, be as the conf says now; an update takes at most `timeout` seconds."""

    def under_way(self) -> Mapping[Key, Promise]:
        """The record sets that are not settled, and what settles the last update of each."""

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        """What stands in the way of publishing these record sets, a sentence each: what it is, and what to do.

        Asking changes nothing. What cannot be asked for is no finding.
        """

    def vitals(self) -> Vitals:
        """How it is: what waits, and its exchanges, which it keeps up to date if they are kept."""

    async def close(self) -> None:
        """Let what waits come to its end; then let go of everything."""
