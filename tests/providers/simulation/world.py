"""The outside world, put in the place of processes and connections at one spot: `install`."""

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol
from unittest.mock import patch

from sftdyn.fetch.fetcher import Fetcher
from sftdyn.providers.bind import nsupdate
from sftdyn.values.update import Key
from tests.lab import cloudflare, cloudflare_zone

from . import online, primary
from .ledger import Ledger, Value
from .weather import Weather


class Place(Protocol):
    """Where names live."""

    latest: float
    has_prerequisites: bool
    ledger: Ledger
    weather: Weather
    late: int
    messages: int
    delays: Sequence[float]

    def zones(self) -> list[str]: ...

    def zone_of(self, name: str) -> str | None: ...

    def value(self, key: Key) -> Value: ...

    def set(self, key: Key, value: Value) -> None: ...

    def wake(self) -> None: ...


class World:
    """All places, by host and port."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.places: dict[str, Place] = {}
        self.views: dict[str, Place] = {}  # what a primary shows to the key in this file

    def at(self, spec: Any) -> Place:
        """Where a provider publishes."""
        return self.places[self.name(spec)]

    def name(self, spec: Any) -> str:
        """Of the place."""
        return f"{spec.primary.host}:{spec.primary.port}" if hasattr(spec, "primary") else spec.url.split("/")[2]

    def _primary(self, asked: Any) -> primary.Primary | None:
        found = self.views.get(asked.keyfile and asked.keyfile.name) or self.places.get(f"{asked.host}:{asked.port}")
        return found if isinstance(found, primary.Primary) else None

    def _online(self, netloc: str) -> online.Online | None:
        found = self.places.get(netloc)
        return found if isinstance(found, online.Online) else None

    @contextmanager
    def install(self) -> Iterator[None]:
        """Whatever the providers start or connect to meanwhile is of this world; chance is its own, too."""
        stand_ins: Mapping[Any, Any] = {
            nsupdate.Child: partial(primary.Child, self._primary),
            nsupdate.converse: partial(primary.converse, self._primary),
            Fetcher: partial(online.Fetcher, self._online),
        }
        state = random.getstate()
        random.seed(self.rng.random())
        patches = [patch.object(*found) for found in [*_seams(stand_ins), *_ids(self.rng)]]
        try:
            for one in patches:
                one.start()
            yield
        finally:
            for one in reversed(patches):
                one.stop()
            random.setstate(state)


def _seams(stand_ins: Mapping[Any, Any]) -> Iterator[tuple[object, str, Any]]:
    """Where the providers' modules have taken these names in; and budgets, which outlive a run."""
    modules = [module for name, module in sys.modules.items() if name.startswith("sftdyn.providers")]
    for module in modules:
        for name, value in list(vars(module).items()):
            if any(value is one for one in stand_ins):
                yield module, name, stand_ins[value]
            elif isinstance(value, type) and "budgets" in vars(value):
                yield value, "budgets", type(vars(value)["budgets"])()


def _ids(rng: random.Random) -> Iterator[tuple[object, str, Any]]:
    """The stand-in's ids come from the seed."""
    new_id = lambda: f"{rng.getrandbits(128):032x}"  # noqa: E731
    yield cloudflare, "new_id", new_id
    yield cloudflare_zone, "new_id", new_id
