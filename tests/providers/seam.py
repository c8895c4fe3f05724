"""A backend as the desk uses it, without a desk."""

from collections.abc import Callable
from dataclasses import dataclass

from sftdyn.providers.desk.backend import Health
from sftdyn.values.update import Text


@dataclass
class ZoneState:
    """A zone that works."""

    name: str
    health: Health = Health.WELL
    pause: float = 0.0
    reloads: int = 0


WANTED: Callable[[int], bool] = lambda number: True  # noqa: E731


def text(value: str, is_there: bool = True, name: str = "_acme-challenge.home.example.org.", ttl: int = 30) -> Text:
    """A TXT value that shall be there, or not."""
    return Text(name, value, is_there, ttl)
