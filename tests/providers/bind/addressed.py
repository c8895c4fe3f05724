"""Scenarios of a name server with several addresses, each run in a world of its own by test_addresses.py."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from sftdyn.providers.running import Providers
from sftdyn.values.outcome import Outcome
from sftdyn.values.specs import Bind as BindSpec
from sftdyn.values.specs import Primary
from sftdyn.values.update import RRset
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, wait_until
from tests.lab.process import Sftdyn
from tests.lab.world import World
from tests.providers.bind.conftest import SOON, UNSEEN, in_background, update

FIRST, SECOND = "10.0.0.1", "10.0.0.2"
ABC = {key: f"{key}.dyn.example" for key in "abc"}
ZONES = {"dyn.example": ALL}


@contextlib.contextmanager
def primary(
    world: World, name: str, *addresses: str, zones: dict[str, str] = ZONES, port: int = 5300
) -> Iterator[Bind]:
    """A BIND that listens there."""
    folder = world.folder / name
    folder.mkdir()
    bind = Bind(folder, zones, port=port, addresses=addresses)
    bind.start()
    try:
        yield bind
    finally:
        bind.kill()


@contextlib.contextmanager
def served(
    world: World, bind: Bind, server: object, clients: Mapping[str, object] = ABC, **settings: object
) -> Iterator[Sftdyn]:
    """sftdyn for these clients, which may have any address."""
    path = world.folder / "conf"
    said = {"server": server, "max_changes": 0, "http": ["127.0.0.1:0"], "trusted_proxies": ["127.0.0.1"], **settings}
    path.write_text(conf(clients=clients, nskeyfile=bind.keyfile, **said))
    path.chmod(0o600)
    one = Sftdyn(path)
    try:
        yield one
    except AssertionError:
        print("\n".join(one.log))
        raise
    finally:
        one.stop()


def timed(one: Sftdyn, key: str, address: str) -> tuple[str, bool]:
    """The answer, and whether it came soon."""
    start = time.monotonic()
    answer = update(one, key, address)
    return answer, time.monotonic() - start < SOON


def check(world: World, unseen: bool = False) -> str:
    """What --check --online says of the conf that is there; `unseen`: also of what the world sees."""
    command = [sys.executable, "-m", "sftdyn", "--check", "--online", str(world.folder / "conf")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    shown = ("zone ",) if unseen else ()
    lines = [line for line in done.stdout.splitlines() if line.startswith(("problem: ", "remark: ", *shown))]
    return "\n".join(line for line in lines if unseen or UNSEEN not in line)


def a_name_with_one_family_survives_a_restart(world: World) -> None:
    world.name(primary=["127.0.0.1"])
    with primary(world, "ns", "127.0.0.1") as bind, served(world, bind, "primary.test:5300") as one:
        assert update(one, "a", "192.0.2.1") == "OK"
        bind.kill()
        with in_background(lambda: update(one, "b", "192.0.2.1")) as answers:
            time.sleep(1)  # it is away for a while
            bind.start()
        assert answers == ["OK"]
        for n in range(2, 5):
            assert timed(one, "a", f"192.0.2.{n}") == ("OK", True)


def an_address_without_a_route_is_passed_over(world: World) -> None:
    world.name(primary=["192.0.2.53", "::1"])
    with primary(world, "ns", "127.0.0.1", "::1") as bind, served(world, bind, "primary.test:5300") as one:
        assert timed(one, "a", "192.0.2.1") == ("OK", True)
        assert timed(one, "a", "192.0.2.2") == ("OK", True)
        assert check(world) == ""


def a_name_that_moves_is_followed(world: World) -> None:
    world.address(FIRST, SECOND)
    world.name(primary=[FIRST])
    with primary(world, "ns", "127.0.0.1", FIRST, SECOND) as bind, served(world, bind, "primary.test:5300") as one:
        assert update(one, "a", "192.0.2.1") == "OK"
        world.block(f"ip daddr {FIRST} drop")
        world.name(primary=[SECOND])
        assert update(one, "a", "192.0.2.2") == "OK"
        for n in range(3, 6):
            assert timed(one, "a", f"192.0.2.{n}") == ("OK", True)
        one.wait_for(f"the name server at {SECOND} port 5300 is used from now on, not {FIRST} port 5300: it does not")


def first_address(world: World, *rules: str) -> None:
    """Something is wrong with it: the second one is used, at once from then on, and nothing is blamed."""
    world.address(FIRST, SECOND)
    world.name(primary=[FIRST, SECOND])
    world.block(*rules)
    with primary(world, "ns", "127.0.0.1", FIRST, SECOND) as bind, served(world, bind, "primary.test:5300") as one:
        assert update(one, "a", "192.0.2.1") == "OK"
        assert [timed(one, key, "192.0.2.2") for key in "abc"] == [("OK", True)] * 3
        assert bind.lookup("a.dyn.example") == ["192.0.2.2"]
        assert one.log[-1].count("problem") == 0
        said = check(world)
        assert "the key" not in said
        world.block()
        assert [timed(one, key, "192.0.2.3") for key in "abc"] == [("OK", True)] * 3


def the_first_of_two_addresses_is_silent(world: World) -> None:
    first_address(world, f"ip daddr {FIRST} drop")


def the_first_of_two_addresses_refuses(world: World) -> None:
    first_address(world, f"ip daddr {FIRST} reject")


def it_falls_silent_in_the_midst(world: World) -> None:
    world.address(FIRST, SECOND)
    server = [f"{FIRST}:5300", f"{SECOND}:5300"]
    with primary(world, "ns", "127.0.0.1", FIRST, SECOND) as bind, served(world, bind, server) as one:
        assert [timed(one, key, "192.0.2.1") for key in "abc"] == [("OK", True)] * 3
        world.block(f"ip daddr {FIRST} drop")
        assert update(one, "a", "192.0.2.2") == "OK"
        assert [timed(one, key, "192.0.2.3") for key in "abc"] == [("OK", True)] * 3


def one_without_the_zone_or_the_key_is_passed_over(world: World) -> None:
    world.address(FIRST, SECOND)
    with (
        primary(world, "other", FIRST, zones={"other.example": ALL}) as other,
        primary(world, "ns", "127.0.0.1", SECOND) as bind,
    ):
        for key in (other.keyfile.read_text(), bind.keyfile.read_text()):  # the first one takes its own key only
            bind_key = bind.keyfile.read_text()
            other.kill()
            other.keyfile.write_text(bind_key if key != bind_key else key)
            other.start()
            with served(world, bind, [f"{FIRST}:5300", f"{SECOND}:5300"]) as one:
                assert update(one, "a", "192.0.2.1") in ("OK", "UPTODATE")
                assert [timed(one, k, "192.0.2.2")[1] for k in "abc"] == [True] * 3
                assert bind.lookup("c.dyn.example") == ["192.0.2.2"]


def a_standby_is_left_when_the_first_is_back(world: World) -> None:
    """With another zone at each, to tell them apart: the same data would be no sign."""
    world.address(FIRST, SECOND)
    with primary(world, "second", SECOND) as standby:
        folder = world.folder / "first"
        folder.mkdir()
        first = Bind(folder, ZONES, port=5300, addresses=("127.0.0.1", FIRST))
        first.keyfile.write_text(standby.keyfile.read_text())
        try:
            with served(world, standby, [f"{FIRST}:5300", f"{SECOND}:5300"]) as one:
                assert update(one, "a", "192.0.2.1") == "OK"
                first.start()
                deadline = time.monotonic() + 75
                while first.lookup("a.dyn.example") != ["192.0.2.2"]:
                    assert time.monotonic() < deadline
                    time.sleep(1)
                    assert update(one, "a", "192.0.2.2") in ("OK", "UPTODATE")
                one.wait_for(f"{FIRST} port 5300 is used from now on, not {SECOND} port 5300: it works again")
        finally:
            first.kill()


def tcp_does_not_get_through(world: World) -> None:
    """40 clients at once, and one with 20 names, whose update goes in parts; the log says so once."""
    for rule in ("drop", "reject with tcp reset"):
        world.block(f"tcp dport 5300 {rule}")
        with primary(world, rule.partition(" ")[0], "127.0.0.1") as bind:
            clients: dict[str, object] = {f"k{n}": f"host{n}.dyn.example" for n in range(40)}
            clients["many"] = [f"many{n}.dyn.example" for n in range(20)]
            with served(world, bind, "127.0.0.1:5300", clients=clients) as one, ThreadPoolExecutor(40) as pool:
                assert update(one, "many", "192.0.2.1") == "OK"
                for n in range(1, 4):
                    assert (
                        list(pool.map(lambda key: update(one, key, f"192.0.2.{n}"), list(clients)[:40])) == ["OK"] * 40
                    )
                    assert update(one, "many", f"192.0.2.{n + 4}") == "OK"
                assert update(one, "many", "192.0.2.7") == "UPTODATE"
                assert bind.lookup("many19.dyn.example") == ["192.0.2.7"]
                assert sum("TCP to the name server" in line for line in one.log) == 1
        (world.folder / "conf").unlink()


def udp_does_not_get_through(world: World) -> None:
    for rule in ("drop", "reject"):
        world.block(f"udp dport 5300 {rule}")
        with primary(world, rule, "127.0.0.1") as bind, served(world, bind, "127.0.0.1:5300") as one:
            assert update(one, "a", "192.0.2.1") == "OK"
            assert [timed(one, key, "192.0.2.2") for key in "abc"] == [("OK", True)] * 3
            assert sum("UDP to the name server" in line for line in one.log) == 1


def two_names_of_one_server_are_one_place(world: World) -> None:
    """What was sent through the one, and comes late, does not win over what was acknowledged to the other."""
    world.address(FIRST)
    world.name(primary=[FIRST])
    with primary(world, "ns", "127.0.0.1", FIRST) as bind:
        other = "clients['other'] = Client('a.dyn.example', provider=Bind(server={!r}, keyfile=nskeyfile))\n"
        path = world.folder / "conf"
        said = {"server": "primary.test:5300", "max_changes": 0, "trusted_proxies": ["127.0.0.1"], "timeout": 3}
        path.write_text(
            conf(None, other.format(f"{FIRST}:5300"), clients=ABC, nskeyfile=bind.keyfile, http=["127.0.0.1:0"], **said)
        )
        one = Sftdyn(path)
        try:
            assert update(one, "a", "192.0.2.1") == "OK"
            bind.signal(signal.SIGSTOP)
            assert update(one, "a", "192.0.2.66") == "FAIL"  # sent, and unanswered
            bind.signal(signal.SIGCONT)
            assert update(one, "other", "192.0.2.2") == "OK"
            bind.edit("zone dyn.example", "update delete a.dyn.example A", "update add a.dyn.example 30 A 192.0.2.66")
            one.wait_for("a.dyn.example. A: an update that the name server applied late is mended")
            assert bind.lookup("a.dyn.example") == ["192.0.2.2"]
        finally:
            one.stop()


def two_places_turn_out_to_be_one(world: World) -> None:
    """A new spec names the servers of both, while an update of the one is under way: order and watch are one then."""
    world.address(FIRST, SECOND)
    with primary(world, "ns", "127.0.0.1", FIRST, SECOND) as bind:
        here, there = (BindSpec(Primary(host, bind.port, bind.keyfile)) for host in (FIRST, SECOND))
        both = BindSpec(Primary(FIRST, bind.port, bind.keyfile, others=((SECOND, bind.port),)))

        async def work() -> None:
            providers = Providers(here, [here, there], timeout=3)

            async def ask(spec: BindSpec, n: int) -> Outcome:
                [result] = await providers.publish(spec, [RRset("a.dyn.example.", "A", (f"192.0.2.{n}",), 60)])
                return result.outcome

            assert [await ask(spec, 1) for spec in (here, there)] == [Outcome.OK, Outcome.UPTODATE]
            bind.signal(signal.SIGSTOP)
            assert await ask(there, 66) is Outcome.TIMEOUT  # sent, and unanswered
            older = asyncio.ensure_future(ask(there, 2))
            await asyncio.sleep(0.1)
            providers.use(here, [here, there, both], timeout=20)
            assert len(providers.vitals()) == 1
            newer = asyncio.ensure_future(ask(here, 3))
            bind.signal(signal.SIGCONT)
            assert await newer is Outcome.OK
            assert older.done()
            assert bind.lookup("a.dyn.example") == ["192.0.2.3"]
            bind.edit("zone dyn.example", "update delete a.dyn.example A", "update add a.dyn.example 30 A 192.0.2.66")
            await asyncio.to_thread(wait_until, lambda: bind.lookup("a.dyn.example") == ["192.0.2.3"], "the mend")
            await providers.close()

        asyncio.run(work())


def what_comes_late_at_an_address_that_was_left_is_mended_there(world: World) -> None:
    """With another zone at each, to tell them apart."""
    world.address(FIRST, SECOND)
    with (
        primary(world, "first", "127.0.0.1", FIRST) as first,
        primary(world, "second", SECOND) as standby,
        served(world, standby, [f"{FIRST}:5300", f"{SECOND}:5300"]) as one,
    ):
        first.kill()
        first.keyfile.write_text(standby.keyfile.read_text())
        first.start()
        assert update(one, "a", "192.0.2.1") == "OK"
        first.signal(signal.SIGSTOP)
        assert update(one, "a", "192.0.2.66") == "OK"  # at the second; the first will hear of it late
        assert update(one, "a", "192.0.2.2") == "OK"
        first.signal(signal.SIGCONT)
        one.wait_for("a.dyn.example. A: an update that the name server applied late is mended")
        assert first.lookup("a.dyn.example") == ["192.0.2.2"]


def what_goes_in_parts_has_results_of_its_own(world: World) -> None:
    """One of 20 names cannot be published: the others are, and the log says which."""
    world.block("tcp dport 5300 drop")
    with primary(world, "ns", "127.0.0.1") as bind:
        names = [f"many{n}.dyn.example" for n in range(20)]
        bind.edit("zone dyn.example", "update add many7.dyn.example 60 CNAME ns.dyn.example")
        with served(world, bind, "127.0.0.1:5300", clients={"many": names}) as one:
            assert update(one, "many", "192.0.2.1") == "FAIL"
            one.wait_for("FAIL many7.dyn.example A 192.0.2.1 from 192.0.2.1 via 127.0.0.1: a CNAME at the name")
            [good] = [line for line in one.log if "OK many0.dyn.example" in line]
            assert "many7" not in good
            assert bind.lookup("many19.dyn.example") == ["192.0.2.1"]
            assert update(one, "many", "192.0.2.1") == "FAIL"
            one.wait_for("UPTODATE many0.dyn.example")
