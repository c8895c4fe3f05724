"""The order of arrival, by record set: what a newer request wants must never be overwritten by an older one. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from ...values.update import Key
from .tickets import Ticket, Turn

Entry: TypeAlias = Ticket | Turn


class Order:
    """For each record set, those who want something of it, in the order of their arrival.

    `comes` is called with each entry that has nothing in front of it any more for some record set.
    """

    def __init__(self, comes: Callable[[Entry], None]) -> None:
        self._comes = comes
        self._entries: dict[Key, list[Entry]] = {}
        self._ready: deque[Entry] = deque()
        self._is_calling = False

    def last(self, keys: Sequence[Key]) -> Entry | None:
        """The entry that is the last one for each of these, if it is one and the same."""
        first = self._entries.get(keys[0])
        if not first:
            return None
        last = first[-1]
        return last if all((line := self._entries.get(key)) and line[-1] is last for key in keys[1:]) else None

    def busy(self) -> list[Key]:
        """What is not settled."""
        return list(self._entries)

    def has(self, key: Key) -> bool:
        """Whether somebody wants something of this record set."""
        return key in self._entries

    def enter(self, entry: Entry) -> None:
        """Behind all others that share a record set."""
        for key in entry.keys:
            entries = self._entries.setdefault(key, [])
            if entries:
                entry.blocked.add(key)
            entries.append(entry)

    def leave(self, entry: Entry, keys: Iterable[Key]) -> None:
        """These are settled. Call what they stood in front of; one after the other, as that may settle more."""
        for key in keys:
            entries = self._entries.get(key)
            if entries is None or entry not in entries:
                continue
            was_first = entries[0] is entry
            entries.remove(entry)
            if not entries:
                del self._entries[key]
            elif was_first:
                entries[0].blocked.discard(key)
                self._ready.append(entries[0])
        if self._is_calling or not self._ready:
            return
        self._is_calling = True
        try:
            while self._ready:
                if not (ready := self._ready.popleft()).is_over:
                    self._comes(ready)
        finally:
            self._is_calling = False
