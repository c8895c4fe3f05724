"""What the conf gives by name, as in `Bind(server="ns.example")`: each value read, and a mistake told with its name."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..values.mistake import Mistake
from .misspelt import no_such_parameter

T = TypeVar("T")


def only_named(
    what: str, example: str, values: tuple[object, ...], unknown: dict[str, object], known: Sequence[str]
) -> None:
    """Refuse what has no name, or an unknown one. Raises Mistake."""
    if values:
        raise Mistake(f"{what}: name what you give it, such as {what}({example})")
    for name in unknown:
        raise Mistake(f"{what}: {no_such_parameter(name, known)}")


def checked(name: str, parse: Callable[[Any], T], value: object) -> T:
    """What `parse` makes of the value with this name. Raises Mistake."""
    try:
        return parse(value)
    except Mistake as mistake:
        raise Mistake(f"{name}: {mistake}") from None


def optional(name: str, parse: Callable[[Any], T], value: object) -> T | None:
    """The same for a value that may be missing. Raises Mistake."""
    return None if value is None else checked(name, parse, value)
