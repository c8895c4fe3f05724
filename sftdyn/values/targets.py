"""What the conf constructs of who is told: by mail, over HTTP, through a function; frozen, secrets hidden in `repr`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from .specs import name_of


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which events somebody wants to be told of."""

    events: tuple[str, ...] = ()  # empty: the usual ones
    names: tuple[str, ...] = ()  # patterns of host names, without the last dot; empty: all


@dataclass(frozen=True, slots=True)
class Mail:
    """Somebody who is told by mail."""

    to: tuple[str, ...]
    server: str
    port: int
    sender: str
    tls: str | None  # "starttls", "tls", or None: in clear
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None  # PEM file, instead of the system's
    wishes: Wishes = Wishes()

    def __str__(self) -> str:
        return f"mail to {', '.join(self.to)}"


@dataclass(frozen=True, slots=True)
class Post:
    """Somebody who is told by a POST. What is in braces is replaced."""

    url: str = field(repr=False)
    body: str = field(default="{text}", repr=False)
    json: Any = field(default=None, repr=False, hash=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    wishes: Wishes = Wishes()

    def __str__(self) -> str:
        return f"POST to {urlsplit(self.url).netloc}"


@dataclass(frozen=True, slots=True)
class Tell:
    """A function of the conf that is told."""

    function: Callable[..., Any]
    wishes: Wishes = Wishes()

    def __str__(self) -> str:
        return f"the conf's function {name_of(self.function)}"


Target: TypeAlias = Mail | Post | Tell


@dataclass(frozen=True, slots=True)
class Ping:
    """What is asked for while all is well."""

    url: str = field(repr=False)
    every: float = 60.0  # seconds

    def __str__(self) -> str:
        return f"{urlsplit(self.url).netloc}, every {self.every:g} s"
