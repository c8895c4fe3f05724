"""What shall become of a zone: the values that doors hand to a provider."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from .exchanges import Vitals
from .outcome import Result

RRType = Literal["A", "AAAA"]
TXT: Literal["TXT"] = "TXT"
Place: TypeAlias = tuple[str, RRType | Literal["TXT"]]  # where a record set is: an absolute name, and a type
CHALLENGE = "_acme-challenge."  # in front of a host's name: where ACME looks for TXT (RFC 8555, 8.4)
# Of a record set its name and type; of a TXT value also itself, so that two values at one name are in no order.
Key: TypeAlias = tuple[str, ...]


class RRset(NamedTuple):
    """The addresses that one name shall have of one type; none at all: the record set is removed."""

    name: str  # absolute, lower case, with the last dot
    type: RRType
    addresses: tuple[str, ...]  # sorted, each as the ipaddress module writes it
    ttl: int  # seconds

    @property
    def key(self) -> tuple[str, RRType]:
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


Plan: TypeAlias = Mapping[Place, int]  # record sets that may be published, each with its TTL in seconds
Record: TypeAlias = RRset | Text
Item: TypeAlias = RRset | Text | Script
Update: TypeAlias = Sequence[RRset]  # one request's record sets, each (name, type) once
Subject: TypeAlias = Update | Sequence[str]  # what a result is about: record sets, or absolute host names
Promise: TypeAlias = "asyncio.Future[Sequence[Result]]"  # one for each item of the update, in its order


class Remark(str):
    """A finding that is no trouble, and worth a look."""

    __slots__ = ()


class Shown(str):
    """What was seen, and is as it should be, as far as can be told."""

    __slots__ = ()


class Provider(Protocol):
    """Makes updates true at one place where names live. It knows no HTTP server, no quota and no client.

    What an update wants of one zone becomes true together or not at all. With `ask_only` nothing is changed: the
    outcome is UPTODATE, or WOULD_CHANGE. `spec` is what the conf says of it; `secret` is what matched the client's key,
    where the provider wants it; it is not kept. Nothing is done before all of `after` is.
    """

    def publish(
        self,
        spec: Any,
        update: Sequence[Item],
        ask_only: bool = False,
        secret: str | None = None,
        after: "Sequence[asyncio.Future[None]]" = (),
    ) -> Promise: ...

    def use(self, named: Sequence[Any], successors: Mapping[Any, Any], timeout: float) -> None:
        """From now on, the conf names these specs here; those that have come in the place of others.

        An update takes at most `timeout` seconds.
        """

    def under_way(self) -> "Mapping[Key, asyncio.Future[None]]":
        """For each record set that is not free, what is done when all that is under way for it now has come to its end.

        That may be long after its answer.
        """

    def is_alive(self) -> bool:
        """Whether updates are still worked on."""

    def is_idle(self) -> bool:
        """Whether it has nothing to do, and nothing to watch."""

    def vitals(self) -> Vitals:
        """How it is: what waits, and its exchanges, which it keeps up to date if they are kept."""

    async def close(self) -> None:
        """Let what waits come to its end; then let go of everything."""
