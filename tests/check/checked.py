"""Scenarios of what --check --online says, each run in a world of its own by test_checked.py: what it must say, and not."""

import os
import time
from pathlib import Path

from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import run
from tests.lab.nameserver import ZONE
from tests.lab.world import World
from tests.own_world import PRIMARY, RESOLVER, make_resolver, named
from tests.providers.bind.addressed import check, primary, served
from tests.providers.bind.conftest import update

# Zone → what the zone above says of it, and what must be said then.
DELEGATIONS = {
    "seen": (f"NS ns.seen\nns.seen A {PRIMARY}", f"sends the world to ns.seen.example ({PRIMARY}), which serves it"),
    "away": (
        "NS ns.away\nns.away A 127.0.0.9",
        "sends the world to ns.away.example (127.0.0.9), which does not answer",
    ),
    "lame": (
        f"NS ns.lame\nns.lame A {RESOLVER}",
        f"sends the world to ns.lame.example ({RESOLVER}), which does not serve",
    ),
    "bare": ("NS ns.nobody.example.", "sends the world to ns.nobody.example, which has no address"),
    "alias": ("CNAME seen", "a CNAME to seen.example stands in its place"),
    "lost": ("", "the world does not see it: the zone above has no NS records for it"),
}


def delegations_that_lead_nowhere_are_said(world: World) -> None:
    run("ip", "iproute2", "address", "add", f"{PRIMARY}/32", "dev", "lo")
    for name in ("resolver", "primary"):
        (world.folder / name).mkdir()
    resolver = make_resolver(world.folder / "resolver")
    with (world.folder / "resolver" / "example.zone").open("a") as zone:
        zone.write("".join(f"{name} {said}\n" for name, (said, _) in DELEGATIONS.items() if said and name != "seen"))
    zones = {f"{name}.example": ALL for name in DELEGATIONS}
    folder = world.folder / "primary"
    bind = named(folder, PRIMARY, Bind(folder, zones, port=53))
    (world.folder / "resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    run("mount", "mount", "--bind", str(world.folder / "resolv.conf"), "/etc/resolv.conf")
    try:
        for server in (resolver, bind):
            server.start()
        clients = {f"a key that is long enough {name}": f"home.{name}.example" for name in DELEGATIONS}
        (world.folder / "conf").write_text(conf(clients=clients, server=PRIMARY, nskeyfile=bind.keyfile))
        said = check(world, unseen=True).splitlines()
        for name, (_, finding) in DELEGATIONS.items():
            about = [line for line in said if f"zone {name}.example: " in line]
            assert len(about) == 1, (name, said)
            assert about[0].startswith("problem: ") == (name != "seen")
            assert finding in "".join(about), (name, said)
    finally:
        for server in (resolver, bind):
            server.kill()


def a_filter_that_is_silent_about_other_zones_is_no_trouble_where_the_zone_is_given(world: World) -> None:
    zone = (b"\x03dyn\x07example\0").hex()
    other = f"{len(zone) * 4} != 0x{zone} drop"
    world.block(
        f"udp dport 5300 @th,160,{other}",  # behind the headers of UDP and DNS
        f"tcp dport 5300 tcp flags & psh == psh @th,368,{other}",  # of TCP with time stamps, with the length, and of DNS
    )
    with primary(world, "ns", "127.0.0.1") as bind:
        with served(world, bind, "127.0.0.1:5300", zone="dyn.example"):
            assert check(world) == ""
        with served(world, bind, "127.0.0.1:5300"):
            said = check(world)
            assert "is silent about what it does not serve (YADIFA, a filter in front)" in said, said
            assert 'write zone = "dyn.example"' in said
            assert "the key" not in said


def another_ttl_is_remarked(world: World) -> None:
    with primary(world, "ns", "127.0.0.1") as bind, served(world, bind, "127.0.0.1:5300", ttl=60) as one:
        assert [update(one, key, "192.0.2.1") for key in "abc"] == ["OK"] * 3
        assert check(world) == ""
        bind.edit("zone dyn.example", *(f"update add {name}.dyn.example 86400 A 192.0.2.1" for name in "ab"))
        [line] = check(world).splitlines()
        assert line.startswith(
            "remark: a.dyn.example A, b.dyn.example A: the TTL there is 86400 s, and the conf says 60"
        )


def what_gets_through_is_said(world: World) -> None:
    with primary(world, "ns", "127.0.0.1") as bind, served(world, bind, "127.0.0.1:5300"):
        assert check(world) == ""
        for rule, finding in (
            ("tcp dport 5300 drop", "TCP to 127.0.0.1 port 5300 does not get through, UDP does"),
            ("udp dport 5300 drop", "UDP to 127.0.0.1 port 5300 does not get through, TCP does"),
        ):
            world.block(rule)
            said = check(world)
            assert finding in said, said
            assert "\n" not in said, said


def an_address_that_does_not_answer_is_said_and_the_key_is_not_blamed(world: World) -> None:
    world.address("10.0.0.1", "10.0.0.2")
    world.block("ip daddr 10.0.0.1 drop")
    server = ["10.0.0.1:5300", "10.0.0.2:5300"]
    with primary(world, "ns", "127.0.0.1", "10.0.0.1", "10.0.0.2") as bind, served(world, bind, server):
        [line] = check(world).splitlines()
        assert "10.0.0.1 port 5300, which is one of the addresses of the setting server, does not answer" in line, line


VIEWS = """
key other {{ algorithm hmac-sha256; secret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICEhISE="; }};
view keyed {{ match-clients {{ key sftdyn-demo; }}; zone "dyn.example" {{ type primary; file "dyn.example.zone"; {all} }}; }};
view others {{ match-clients {{ any; }}; zone "dyn.example" {{
  type secondary; primaries {{ 127.0.0.1 port 5300 key other; }}; file "copy.zone"; masterfile-format text;
}}; }};
"""


def of_two_views_the_one_of_the_key_is_looked_at(world: World) -> None:
    bind = Bind(world.folder, {}, port=5300, addresses=("127.0.0.1",), extra=VIEWS.format(all=ALL))
    for name in ("dyn.example.zone", "copy.zone"):
        (world.folder / name).write_text(ZONE)
    old(world.folder / "copy.zone")
    bind.start()
    try:
        with served(world, bind, "127.0.0.1:5300"):
            assert check(world) == ""
    finally:
        bind.kill()


def old(path: Path) -> None:
    """As if it had been copied an hour ago."""
    os.utime(path, (time.time() - 3600,) * 2)
