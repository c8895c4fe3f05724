"""What kind of a history a seed is: not every one has everything, so that each is also seen alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .casts import Cast
from .weather import STORMS

STORMY = 3  # every third seed


@dataclass(frozen=True)
class Temper:
    """Times in virtual seconds."""

    names: Sequence[str]
    lasts: float  # calls and troubles
    clients: int
    troubles: tuple[float, float]  # between two of them, at least and at most
    kinds: Sequence[str]  # of troubles; none: all that there are
    events: Sequence[str]
    pace: float  # how much longer clients wait between two calls
    timeouts: Sequence[float]  # that a conf may have
    delays: Sequence[float]  # of what comes late, at most; none: as a place has them
    values: int  # that clients have in common
    unique: float  # how often one is nobody else's
    strangers: bool
    scripts: float
    texts: float
    reloads: float
    several: float  # how often a conf has more than one provider
    neighbours: float  # how often the next conf is of ways to the same places
    fronts: float  # how often a question goes before
    returns: float  # how often the old address is back after no answer
    shifts: bool


def temper(seed: int, rng: random.Random, cast: Cast) -> Temper:
    """Of a seed."""
    return _stormy(rng, cast) if seed % STORMY == 0 else _usual(rng, cast)


def _usual(rng: random.Random, cast: Cast) -> Temper:
    return Temper(
        names=cast.names,
        lasts=30.0,
        clients=12,
        troubles=(0.3, 6.0),
        kinds=(),
        events=("whole", "zone", "zone", "heal", "reload", "shift"),
        pace=cast.pace,
        timeouts=(10.0,),
        delays=(),
        values=rng.choice((2, 3, 3, 9)),
        unique=rng.choice((0.0, 0.0, 0.3, 1.0)),
        strangers=rng.random() < 0.5,
        scripts=rng.choice((0.0, 0.0, 0.1)) if cast.has_scripts else 0.0,
        texts=rng.choice((0.0, 0.2)),
        reloads=rng.choice((0.0, 0.3, 1.0)),
        several=rng.choice((0.0, 0.0, 0.5)),
        neighbours=0.0,
        fronts=rng.choice((0.0, 0.1, 0.5)),
        returns=rng.choice((0.0, 0.8)),
        shifts=cast.shifting is not None and rng.random() < 0.3,
    )


def _stormy(rng: random.Random, cast: Cast) -> Temper:
    """Few names, which all want to change; what is slow or lost, again and again; what was lost comes soon."""
    return Temper(
        names=rng.sample(cast.calm, 4),
        lasts=40.0,
        clients=12,
        troubles=(0.1, 2.0),
        kinds=STORMS,
        events=("whole", "whole", "whole", "zone", "heal", "reload", "reload"),
        pace=0.3,
        timeouts=rng.choice(((3.0,), (3.0,), (3.0, 10.0))),
        delays=(3.0, 10.0, 30.0),
        values=2,
        unique=rng.choice((0.0, 0.0, 0.2)),
        strangers=rng.random() < 0.2,
        scripts=0.0,
        texts=rng.choice((0.0, 0.0, 0.3)),
        reloads=rng.choice((0.0, 1.0, 1.0)),
        several=rng.choice((0.0, 0.9)),
        neighbours=rng.choice((0.3, 0.9)),
        fronts=rng.choice((0.0, 0.3)),
        returns=rng.choice((0.0, 0.8)),
        shifts=False,
    )
