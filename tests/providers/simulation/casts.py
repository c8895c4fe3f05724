"""Who plays: for each kind of providers the places, the names, what the conf can say, and what can go wrong."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sftdyn.values.specs import Bind, Cloudflare, Desec
from sftdyn.values.specs import Primary as PrimarySpec

from . import online, primary
from .invariants import Bounds
from .ledger import Ledger
from .world import Place, World

ZONES = ("a.example.", "b.example.", "c.example.", "sub.a.example.")
SHIFTING = "new.c.example."  # a zone that comes and goes
HOSTS = tuple(f"h{number}.{zone}" for zone in ZONES for number in range(4))
ALIAS, REFUSED, BEHIND = "h3.a.example.", "h3.b.example.", "far.gone.c.example."
TROUBLED = (ALIAS, REFUSED, BEHIND, "." + SHIFTING)
CALM = tuple(name for name in HOSTS if not name.endswith(TROUBLED))
NAMES = (*HOSTS, "home.nowhere.test.")
FIRST, SECOND = "192.0.2.53", "198.51.100.53"
APIS = ("api.cloudflare.test", "other.cloudflare.test")
DESEC = "desec.test"
TOKENS = ("first-token", "second-token", "third-token")


class Cast:
    """One kind. `several`: how often a conf has more than one provider."""

    bounds: Bounds
    names: Sequence[str] = NAMES
    hidden: Sequence[str] = (ALIAS, BEHIND)
    secrets: Sequence[str] = ()
    has_scripts = False
    calm: Sequence[str] = CALM  # names without troubles of their own
    pace = 1.0  # how much longer clients wait between two calls: an API counts requests
    shifting: Callable[[Place], None] | None = None

    def __init__(self, rng: random.Random, world: World) -> None:
        self._apis: list[online.Online] = []

    def specs(self) -> Sequence[Any]:
        """All that a conf may have."""
        raise NotImplementedError

    def conf(self, rng: random.Random, several: float) -> list[Any]:
        """What a conf has; the first one is its default."""
        return self.some_of(self.specs(), rng, several)

    def some_of(self, specs: Sequence[Any], rng: random.Random, several: float) -> list[Any]:
        """One, or a few."""
        return rng.sample(specs, min(len(specs), rng.choice((2, 3))) if rng.random() < several else 1)

    def troubles(self, place: Place, of_zones: bool = False) -> Sequence[str]:
        """What can be wrong with a place, or with one of its zones."""
        module: Any = primary if isinstance(place, primary.Primary) else online
        return tuple(module.TROUBLES_OF_ZONES if of_zones else module.TROUBLES)

    def complaints(self) -> list[str]:
        """What the APIs were sent that nobody should send."""
        return [said for api in self._apis for said in api.stand_in.complaints]


class BindCast(Cast):
    """Two primaries, of which the second is seldom in use, each by several key files, zones given or found."""

    bounds = Bounds(undisturbed=4.5, mended=4.0, settled=8.0, troubled=TROUBLED, shifting=(SHIFTING,))
    names = (*NAMES, BEHIND, f"h0.{SHIFTING}", f"h1.{SHIFTING}")
    has_scripts = True

    def __init__(self, rng: random.Random, world: World) -> None:
        super().__init__(rng, world)
        self.shifting = shift
        for host in (FIRST, SECOND):
            place = primary.Primary(rng, ZONES, Ledger())
            place.edit("update add sub.a.example. 60 NS ns.sub.a.example.\n")
            place.edit(f"update add {ALIAS} 60 CNAME elsewhere.example.\n")
            place.edit("update add gone.c.example. 60 NS ns.elsewhere.example.\n")
            place.refused.add(REFUSED)
            world.places[f"{host}:53"] = place

    def specs(self) -> Sequence[Any]:
        keys = [Path("/nowhere/one.key"), Path("/nowhere/two.key"), None]
        here = [Bind(PrimarySpec(FIRST, 53, key), zones) for key in keys for zones in ((), ZONES)]
        return [*here, Bind(PrimarySpec(SECOND, 53, keys[0]))]


def shift(place: Place) -> None:
    """A zone comes, or goes."""
    assert isinstance(place, primary.Primary)
    if SHIFTING in place.zones():
        place.remove_zone(SHIFTING)
    else:
        place.add_zone(SHIFTING)


class CloudflareCast(Cast):
    """Two APIs, each with several tokens, or with those of the requests."""

    bounds = Bounds(undisturbed=9.8, mended=45.0, settled=25.0, troubled=TROUBLED)
    pace = 4.0
    secrets = TOKENS

    def __init__(self, rng: random.Random, world: World) -> None:
        super().__init__(rng, world)
        for host in APIS:
            place = online.AtCloudflare(rng, ZONES, TOKENS, Ledger())
            place.alias(ALIAS)
            world.places[host] = place
            self._apis.append(place)

    def specs(self) -> Sequence[Any]:
        url = "https://{}/client/v4"
        here = [Cloudflare(token=token, create=True, url=url.format(APIS[0])) for token in (*TOKENS[:2], None)]
        return [*here, Cloudflare(token=TOKENS[0], create=True, url=url.format(APIS[1]))]


class DesecCast(Cast):
    """One API with two tokens."""

    bounds = Bounds(undisturbed=4.0, mended=80.0, settled=25.0, troubled=TROUBLED)

    def __init__(self, rng: random.Random, world: World) -> None:
        super().__init__(rng, world)
        place = online.AtDesec(rng, ZONES, TOKENS, Ledger())
        place.alias(ALIAS)
        world.places[DESEC] = place
        self._apis.append(place)

    def specs(self) -> Sequence[Any]:
        return [Desec(token, url=f"https://{DESEC}/api/v1") for token in TOKENS[:2]]


class MixedCast(Cast):
    """All of them: names move from one to another, and back."""

    bounds = Bounds(undisturbed=9.8, mended=80.0, settled=25.0, troubled=TROUBLED, shifting=(SHIFTING,))
    secrets = TOKENS
    pace = 4.0

    def __init__(self, rng: random.Random, world: World) -> None:
        super().__init__(rng, world)
        self._casts = [make(rng, world) for make in (BindCast, CloudflareCast, DesecCast)]
        self._apis = [api for cast in self._casts for api in cast._apis]

    def specs(self) -> Sequence[Any]:
        return [spec for cast in self._casts for spec in cast.specs()]


CASTS: Mapping[str, Callable[[random.Random, World], Cast]] = {
    "bind": BindCast,
    "cloudflare": CloudflareCast,
    "desec": DesecCast,
    "mixed": MixedCast,
}
