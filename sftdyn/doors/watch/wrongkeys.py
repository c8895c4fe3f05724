"""Keys that are none, sent with a host name that the conf has: its router may still have an old one.

A stranger can send them, too. So what is kept is bounded, and nothing is changed by it.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..demand import read_hostnames, read_parameters

NOTED = 10  # wrong keys of one name
NAMES = 10_000  # names of which there are some
AT_ONCE = 20  # host names of one request
DAY = 86400.0  # seconds that they are kept


@dataclass(frozen=True, slots=True)
class WrongKey:
    """One request that named a host, and had no client's key. Seconds since 1970."""

    moment: float
    who: str  # an address
    program: str

    def moved(self, by: float) -> "WrongKey":
        """The same, so many seconds later."""
        return replace(self, moment=self.moment + by)


class WrongKeys:
    """The newest of each name. `is_known`: whether an absolute host name is one of ours."""

    def __init__(self) -> None:
        self.is_known: Callable[[str], bool] = lambda _: False
        self._found: dict[str, deque[WrongKey]] = {}

    def note(self, query: bytes, one: WrongKey) -> None:
        """A request with this query, and so with these host names, had a wrong key."""
        for name in _names(query):
            if self.is_known(name):
                if name not in self._found and len(self._found) >= NAMES:
                    del self._found[next(iter(self._found))]
                self._found.setdefault(name, deque(maxlen=NOTED)).append(one)

    def of(self, name: str, now: float) -> tuple[WrongKey, ...]:
        """Those of the last day, for one name, the oldest first."""
        return tuple(one for one in self._found.get(name, ()) if one.moment >= now - DAY)

    def found(self, now: float) -> dict[str, tuple[WrongKey, ...]]:
        """Those of the last day, for each name, the oldest first; what is older is forgotten."""
        kept = {name: [one for one in its if one.moment >= now - DAY] for name, its in self._found.items()}
        self._found = {name: deque(its, NOTED) for name, its in kept.items() if its}
        return {name: tuple(its) for name, its in self._found.items()}


def moved(found: Mapping[str, Sequence[WrongKey]], by: float) -> Mapping[str, Sequence[WrongKey]]:
    """The same, so many seconds later."""
    return {name: [one.moved(by) for one in its] for name, its in found.items()} if by else found


def _names(query: bytes) -> list[str]:
    """The first host names in it, absolute, each once."""
    given = read_hostnames(read_parameters(query))[:AT_ONCE]
    return list(dict.fromkeys(name.lower().rstrip(".") + "." for name in given))
