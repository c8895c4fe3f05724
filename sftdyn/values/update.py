"""What shall become of the zone: the values that doors hand to a publisher."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from .outcome import Result

RRType = Literal["A", "AAAA"]
Key: TypeAlias = tuple[str, RRType]


@dataclass(frozen=True, slots=True)
class RRset:
    """The addresses that one name shall have of one type; none at all: the record set is removed."""

    name: str  # absolute, lower case, with the last dot
    type: RRType
    addresses: tuple[str, ...]  # sorted, each as the ipaddress module writes it
    ttl: int  # seconds

    @property
    def key(self) -> Key:
        return self.name, self.type


Update: TypeAlias = Sequence[RRset]  # one request's record sets, each (name, type) once


class Publisher(Protocol):
    """Takes updates to a zone. An update is atomic in each zone that it touches.

    With `ask_only` nothing is changed: the outcome is UPTODATE, or ABUSE where there would be something to change.
    """

    def publish(self, update: Update, ask_only: bool = False) -> Awaitable[Result]: ...
