"""The model of a primary is held against real ones: the same messages, the same answers, the same zones."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sftdyn.providers.bind import message
from sftdyn.providers.bind.nsupdate import Child, Route
from sftdyn.values.specs import Primary as PrimarySpec
from sftdyn.values.update import Key, RRset
from tests.lab import bind
from tests.lab.bind import Bind
from tests.lab.knot import Knot
from tests.lab.nameserver import NameServer

from .rfc2136 import Records, carried_out

ZONE = "model.example."
HOSTS = [f"{name}.{ZONE}" for name in ("a", "b", "a.b", "c")] + [ZONE]
TRANSFER = "allow-transfer { any; };"
DATA = {
    "A": ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
    "AAAA": ("2001:db8::1", "2001:db8::2"),
    "TXT": ('"one"', '"two"'),
    "CNAME": (f"ns.{ZONE}", "elsewhere.example."),
    "NS": (f"ns.{ZONE}", "elsewhere.example."),
    "DNAME": ("elsewhere.example.",),
}
START: Records = {
    (ZONE, "SOA"): frozenset({"."}),
    (ZONE, "NS"): frozenset({f"ns.{ZONE}"}),
    (f"ns.{ZONE}", "A"): frozenset({"127.0.0.1"}),
}
ROUND = 80  # messages


@pytest.fixture
def real_bind(tmp_path: Path) -> Iterator[Bind]:
    """A BIND whose zone can be read whole."""
    server = Bind(tmp_path, {ZONE.removesuffix("."): f"{bind.ALL} {TRANSFER}"})
    server.start()
    yield server
    server.kill()


@pytest.fixture
def real_knot(tmp_path: Path) -> Iterator[Knot]:
    """A Knot DNS whose zone can be read whole."""
    reading = "  - id: read\n    address: [ 127.0.0.1, ::1 ]\n    action: transfer\n"
    server = Knot(tmp_path, {ZONE.removesuffix("."): "acl: [ all, read ]"}, extra=reading)
    server.start()
    yield server
    server.kill()


def test_the_model_of_a_primary_does_what_bind_does(real_bind: Bind) -> None:
    asyncio.run(compared(real_bind, 1))


@pytest.mark.extra
@pytest.mark.parametrize("seed", range(10))
def test_the_model_of_a_primary_does_what_bind_does_at_length(real_bind: Bind, seed: int) -> None:
    asyncio.run(compared(real_bind, seed))


@pytest.mark.extra
@pytest.mark.parametrize("seed", range(3))
def test_the_model_of_a_primary_does_what_knot_does(real_knot: Knot, seed: int) -> None:
    asyncio.run(compared(real_knot, seed, aliases=False))


async def compared(server: NameServer, seed: int, aliases: bool = True) -> None:
    """Send messages to both, one after the other. `aliases`: also what cannot stand beside other things."""
    rng = random.Random(seed)
    child = Child(Route(PrimarySpec("127.0.0.1", server.port, server.keyfile)))
    records = START
    try:
        for number in range(ROUND):
            lines = rng.choice((as_sftdyn_does, at_random))(rng, records, aliases)
            reply = carried_out(ZONE, records, lines, lambda name: False)
            said = message.verdict(await child.send(ZONE, lines))
            where = f"message {number} of seed {seed}:\n{lines}"
            assert said is message.RCODES[reply.status], where
            records = reply.records
            if reply.touched or number == ROUND - 1:
                assert zone_of(server) == {place: data for place, data in records.items() if place[1] != "SOA"}, where
    finally:
        await child.stop()


def as_sftdyn_does(rng: random.Random, records: Records, aliases: bool) -> str:
    """What the dialogue sends: questions and changes, each with a belief that is right or not."""
    rrsets = [address_set(rng, name) for name in rng.sample(HOSTS, rng.choice((1, 1, 2, 3)))]
    beliefs: dict[Key, tuple[str, ...] | None] = {rrset.key: belief(rng, rrset, records) for rrset in rrsets}
    if rng.random() < 0.1:
        return message.harmless(rng.choice(HOSTS))
    if None not in beliefs.values() and rng.random() < 0.2:
        return message.question(rrsets, beliefs)
    return message.change(rrsets, beliefs, ZONE, rng.random() < 0.2)


def address_set(rng: random.Random, name: str) -> RRset:
    """What a name shall have."""
    wanted = rng.sample(DATA["A"], rng.choice((0, 1, 1, 2)))
    return RRset(name, "A", tuple(sorted(wanted)), 60)


def belief(rng: random.Random, rrset: RRset, records: Records) -> tuple[str, ...] | None:
    """What is thought of it: mostly right."""
    right = tuple(sorted(records.get((rrset.name, rrset.type), ())))
    return rng.choice((right, right, right, None, rrset.addresses))


def at_random(rng: random.Random, records: Records, aliases: bool) -> str:
    """Prerequisites and updates of all kinds; a third of the prerequisites holds by chance."""
    kinds = list(DATA) if aliases else ["A", "AAAA", "TXT", "NS"]
    lines = [prerequisite(rng, kinds) for _ in range(rng.choice((0, 0, 1)))]
    lines += [update(rng, kinds) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    return "".join(f"{line}\n" for line in lines) or message.harmless(ZONE)


def prerequisite(rng: random.Random, kinds: Sequence[str]) -> str:
    """One."""
    name, kind = rng.choice(HOSTS), rng.choice(kinds)
    words = rng.choice((f"nxdomain {name}", f"yxdomain {name}", f"nxrrset {name} {kind}", f"yxrrset {name} {kind}", ""))
    return f"prereq {words or f'yxrrset {name} {kind} {rng.choice(DATA[kind])}'}"


def update(rng: random.Random, kinds: Sequence[str]) -> str:
    """One."""
    name, kind = rng.choice(HOSTS), rng.choice(kinds)
    data = rng.choice(DATA[kind])
    if name == ZONE and kind in ("CNAME", "DNAME"):
        kind, data = "A", DATA["A"][0]
    adds = f"update add {name} 60 {kind} {data}"
    words = (adds, adds, adds, f"update delete {name} {kind} {data}", f"update delete {name} {kind}")
    return rng.choice((*words, f"update delete {name}"))


def zone_of(server: NameServer) -> Records:
    """The zone as it is read whole."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for line in server.dig("+noall", "+answer", "-t", "AXFR", ZONE).splitlines():
        name, _, _, kind, data = line.split(None, 4)
        if kind in DATA:
            found[name, kind] = found.get((name, kind), frozenset()) | {data.strip('"')}
    return found
