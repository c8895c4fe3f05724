"""What is left of requests when all is over: nothing may be. The one place that knows the engine's insides."""

from collections.abc import Iterator
from typing import Any

from sftdyn.providers.running import Providers

# Attributes that are empty (or 0) when nothing is under way, wherever in the engine they are.
EMPTY = (
    "_before",
    "_closing",
    "_ending",
    "_entries",
    "_looks",
    "_names",
    "_owed",
    "_ready",
    "_retired",
    "_suspects",
    "_texts",
    "_tickets",
    "_wanted",
    "tickets",
    "waiting",
    "exchanging",
    "is_busy",
    "shares",
    "looks",
    "lines",
)
# Kept on purpose: the lines of a zone stay with it.
KEPT = {("Zone", "lines")}
DEPTH = 9


def residue(providers: Providers) -> list[str]:
    """A sentence for each thing that is left, by reflection over everything that the engine holds."""
    return sorted({said for path, thing in _things(providers, "", DEPTH, set()) for said in _left(path, thing)})


def _left(path: str, thing: Any) -> Iterator[str]:
    for name in EMPTY:
        value = getattr(thing, name, None)
        if value and (type(thing).__name__, name) not in KEPT and not callable(value):
            size = len(value) if hasattr(value, "__len__") else value
            yield f"{path}.{name}: {size}"


def _things(thing: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """All objects of the engine's own classes that can be reached."""
    if id(thing) in seen or not depth:
        return
    seen.add(id(thing))
    if isinstance(thing, dict):
        parts = [(path, one) for pair in thing.items() for one in pair]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = [(path, one) for one in thing]
    elif type(thing).__module__.startswith("sftdyn.providers"):
        yield f"{path}.{type(thing).__name__}", thing
        names = [*getattr(thing, "__dict__", {}), *getattr(type(thing), "__slots__", ())]
        parts = [(f"{path}.{type(thing).__name__}", getattr(thing, name, None)) for name in names]
    else:
        return
    for where, part in parts:
        yield from _things(part, where, depth - 1, seen)
