"""What the conf calls to make a value, as `Bind(server="ns.example")`: tables of what they take, and one reader. Pure.

A new one is a `Constructor` with its `Parameter`s; it stands in `conf/config`'s NAMES, and a provider in PROVIDERS.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from ..values.mistake import Mistake

T = TypeVar("T")

# How alike, from 0 to 1, a name must be to a setting's to be taken for a typing mistake: among names that the
# conf may define for itself, and among parameters, where every other one is wrong.
ALIKE_NAME = 0.75
ALIKE_PARAMETER = 0.6


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that is given by name."""

    name: str
    parse: Callable[[Any], Any]  # from what the conf writes; raises Mistake
    default: object = None  # as parsed; where it is None, None may be written, too

    def read(self, named: Mapping[str, object]) -> Any:
        """What is given among `named`. Raises Mistake."""
        value = named.get(self.name, self)
        if value is self or (value is None and self.default is None):
            return self.default
        return checked(self.name, self.parse, value)


@dataclass(frozen=True, slots=True)
class Constructor(Generic[T]):
    """A name of the conf that is called. `make` gets what `nameless` makes of the values without a name, if they may
    be there at all, and all parameters by name.
    """

    name: str
    example: str  # what to write in the brackets
    make: Callable[..., T]  # raises Mistake
    parameters: Sequence[Parameter] = ()
    nameless: Callable[[tuple[object, ...]], Any] | None = None  # raises Mistake
    secrets: Collection[str] = ()  # parameters of which there may be one, or none where the request brings it

    def __call__(self, *values: object, **named: object) -> T:
        """What the conf has written. Raises Mistake."""
        return checked(self.name, lambda _: self.read(values, named), None)

    def read(self, values: tuple[object, ...], named: Mapping[str, object]) -> T:
        """The same without the constructor's name in the mistake. Raises Mistake."""
        if values and not self.nameless:
            raise Mistake(f"name what you give it, such as {self}")
        names = [parameter.name for parameter in self.parameters]
        for name in named:
            if name not in names:
                raise Mistake(self._no_such_parameter(name, names))
        self._look_at_secrets(named)
        given = {parameter.name: parameter.read(named) for parameter in self.parameters}
        return self.make(self.nameless(values), **given) if self.nameless else self.make(**given)

    def __str__(self) -> str:
        return f"{self.name}({self.example})"

    def _no_such_parameter(self, name: str, names: Sequence[str]) -> str:
        if near := nearest(name, names, ALIKE_PARAMETER):
            return f"{name}: {did_you_mean(near)}"
        return f"{name}: there is no such setting" + (f", only {', '.join(names)}" if names else f"; write {self}")

    def _look_at_secrets(self, named: Mapping[str, object]) -> None:
        """A None may come from an environment that lacks a variable."""
        said = [name for name in self.secrets if name in named]
        for name in said:
            if named[name] is None:
                raise Mistake(f"{name} is None; where each request shall bring its own token, leave it out")
        if len(said) > 1:
            *others, last = self.secrets
            raise Mistake(f"more than one of {', '.join(others)} and {last}; keep one of them")


def checked(name: str, parse: Callable[[Any], T], value: object) -> T:
    """What `parse` makes of the value with this name. Raises Mistake."""
    try:
        return parse(value)
    except Mistake as mistake:
        raise Mistake(f"{name}: {mistake}") from None


def nearest(name: str, settings: Collection[str], alike: float = ALIKE_NAME) -> str | None:
    """Which of `settings` a name that is none of them almost is."""
    return next(iter(get_close_matches(name.lower(), settings, n=1, cutoff=alike)), None)


def did_you_mean(setting: str) -> str:
    """The reply to a name that is almost `setting`."""
    return f"there is no such setting; did you mean {setting}?"
