"""Secret key → Client. Keys are kept, and looked up, as their SHA-256: none can be printed, or found by timing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from ..values.specs import Client
from ..web.request import decode

T = TypeVar("T")


class Clients(Mapping[bytes, Client]):
    """The clients of the conf by the digest of their key, in its order.

    One that has a name and nothing else is kept as this name until it calls: a million of them fit into half the
    memory, and are read in a third of the time.
    """

    def __init__(self) -> None:
        self.special: list[Client] = []  # of which there is more to say than a name
        self._kept: dict[bytes, Client | str] = {}

    def add(self, digest: bytes, client: Client | str) -> None:
        """One more, with the digest of its key; as its absolute name if that is all."""
        self._kept[digest] = client
        if isinstance(client, Client):
            self.special.append(client)

    def __getitem__(self, digest: bytes) -> Client:
        kept = self._kept[digest]
        if isinstance(kept, str):
            kept = self._kept[digest] = Client((kept,))
        return kept

    def __contains__(self, digest: object) -> bool:
        return digest in self._kept

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The clients of the conf by the digest of their key."""

    clients: Clients = field(default_factory=Clients, repr=False)

    def find(self, target: bytes) -> Client | None:
        """The client whose key is `target`, compared as sent and then percent-decoded."""
        return found(self.clients, target)

    def matched(self, target: bytes) -> bytes:
        """What of `target`, whose client was found, is the key."""
        return matched(self.clients, target)

    def held(self, target: bytes) -> tuple[bytes, Client] | None:
        """The client whose key is `target`, behind what is the same for all targets that mean this key."""
        for key in (target, decode(target)) if b"%" in target else (target,):
            if client := self.clients.get(known := digest(key)):
                return known, client
        return None


def found(holders: Mapping[bytes, T], target: bytes) -> T | None:
    """What belongs to the key `target`, compared as sent and then percent-decoded, among what belongs to digests."""
    holder = holders.get(digest(target))
    if holder is None and b"%" in target:
        holder = holders.get(digest(decode(target)))
    return holder


def matched(holders: Mapping[bytes, object], target: bytes) -> bytes:
    """What of `target`, which was found, is the key."""
    return target if digest(target) in holders else decode(target)


def digest(key: bytes) -> bytes:
    """What a key is known by."""
    return sha256(key).digest()
