"""One client, name or zone never slows another: what one suffers is its own."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.nameserver import ZONE
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import SOON, in_background, storm, update


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Bind]:
    """A name server with zones that are well, and one of each kind that is not."""
    folder = tmp_path / "bind"
    folder.mkdir()
    zones = {"dyn.example": ALL, "well.example": ALL, "unloaded.example": ALL, "frozen.example": ALL}
    server = Bind(folder, {**zones, "refusing.example": "allow-update { none; };"})
    (folder / "unloaded.example.zone").write_text("rubbish\n")
    server.start()
    server.rndc("freeze", "frozen.example")
    yield server
    server.kill()


@pytest.mark.parametrize("zone", ["refusing.example", "frozen.example", "unloaded.example"])
@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
def test_a_zone_in_trouble_delays_itself_only(serve: ServeFixture, broken: Bind, zone: str, given: bool) -> None:
    bad = {f"bad{n}": f"h{n}.{zone}" for n in range(30)}
    good = {f"good{n}": f"h{n}.{'well' if n % 2 else 'dyn'}.example" for n in range(20)}
    zones = {"zone": ["dyn.example", "well.example", zone]} if given else {}
    served = serve(conf(broken, clients=bad | good, trusted_proxies=["127.0.0.1"], timeout=1, max_changes=0, **zones))
    with storm(served, list(bad)):
        served.wait_for("FAIL")
        for n, key in enumerate(good):
            start = time.monotonic()
            assert update(served, key, f"192.0.2.{n + 1}") == "OK"
            assert time.monotonic() - start < SOON
    assert [broken.lookup(name) for name in good.values()] == [[f"192.0.2.{n + 1}"] for n in range(20)]


def test_a_zone_is_well_again_soon(serve: ServeFixture, broken: Bind) -> None:
    served = serve(conf(broken, clients={"k": "home.frozen.example"}, trusted_proxies=["127.0.0.1"], timeout=20))
    with in_background(lambda: update(served, "k", "192.0.2.1")) as answers:
        time.sleep(3)  # long enough for pauses to have grown
        assert not answers
        start = time.monotonic()
        broken.rndc("thaw", "frozen.example")
    assert answers == ["OK"]
    assert time.monotonic() - start < 3


def test_hidden_and_refused_names_are_settled_apart(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    bad = {"hidden": "alias.dyn.example", "refused": "refused.policy.example"}
    good = {f"g{n}": f"apart{n}.dyn.example" for n in range(20)} | {
        f"p{n}": f"apart{n}.policy.example" for n in range(20)
    }
    served = proxied(bind, bad | good, max_changes=0)
    assert [update(served, key, "192.0.2.1") for key in bad] == ["FAIL"] * 2
    with storm(served, [*bad] * 8):
        for address in ("192.0.2.1", "192.0.2.2"):
            with ThreadPoolExecutor(len(good)) as pool:
                assert list(pool.map(lambda key, a=address: update(served, key, a), good)) == ["OK"] * len(good)
    assert {tuple(bind.lookup(name)) for name in good.values()} == {("192.0.2.2",)}


def test_a_hidden_name_is_published_as_soon_as_it_is_visible(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "late.dyn.example", "both": ["late.dyn.example", "other.dyn.example"]})
    own_bind.edit("zone dyn.example", "update add late.dyn.example 60 CNAME ns.dyn.example")
    assert [update(served, "k", "192.0.2.1") for _ in range(3)] == ["FAIL"] * 3
    assert update(served, "both", "192.0.2.1") == "FAIL"
    own_bind.edit("zone dyn.example", "update delete late.dyn.example CNAME")
    assert update(served, "k", "192.0.2.1") == "OK"
    assert update(served, "both", "192.0.2.2") == "OK"
    assert own_bind.lookup("late.dyn.example") == own_bind.lookup("other.dyn.example") == ["192.0.2.2"]


def test_a_change_that_was_made_is_not_a_failure_because_of_a_neighbour(
    proxied: Callable[..., Sftdyn], bind: Bind
) -> None:
    """Two requests of one batch share a name, and one of them has a hidden name, too."""
    names = {"both": ["shared.dyn.example", "alias.dyn.example"], "one": "shared.dyn.example"}
    served = proxied(bind, names, timeout=3)
    for n in range(1, 7):
        bind.signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(2) as pool:
                answers = [pool.submit(update, served, key, f"192.0.2.{n}") for key in ("both", "one")]
                served.wait_for("ready")
                bind.signal(signal.SIGCONT)
                assert [answer.result() for answer in answers] == ["FAIL", "OK"]
        finally:
            bind.signal(signal.SIGCONT)
        assert bind.lookup("shared.dyn.example") == [f"192.0.2.{n}"]


def test_a_greedy_client_is_told_to_come_back_and_others_are_served(serve: ServeFixture, own_bind: Bind) -> None:
    others = {f"o{n}": f"other{n}.dyn.example" for n in range(20)}
    served = serve(conf(own_bind, clients={"greedy": "greedy.dyn.example", **others}, max_changes=1, timeout=5))
    assert served.update("greedy") == "OK"
    own_bind.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(300) as pool:
        calls = [pool.submit(served.get, f"/greedy?myip=192.0.2.{n % 200}") for n in range(300)]
        try:
            served.wait_for("256 requests of this client are under way")
        finally:
            own_bind.signal(signal.SIGCONT)
        start = time.monotonic()
        assert [served.update(key) for key in others] == ["OK"] * 20
        assert time.monotonic() - start < 20 * SOON
        refused = [call.result() for call in calls]
    assert {answer.status for answer in refused} == {503}
    assert all(answer.headers["Retry-After"] for answer in refused)


def test_who_wants_the_same_shares_the_answer(serve: ServeFixture, own_bind: Bind) -> None:
    served = serve(conf(own_bind, clients={"k": "same.dyn.example"}, max_changes=1))
    serial = own_bind.serial("dyn.example")
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: served.update("k"), range(100)))
    assert sorted(set(answers)) == ["OK", "UPTODATE"]
    assert answers.count("OK") == 1
    assert own_bind.serial("dyn.example") == serial + 1


def test_late_writes_are_mended_under_full_load(serve: ServeFixture, own_bind: Bind) -> None:
    clients = {f"k{n}": f"load{n}.dyn.example" for n in range(30)}
    served = serve(
        conf(
            own_bind,
            clients={"late": "late.dyn.example", **clients},
            trusted_proxies=["127.0.0.1"],
            timeout=3,
            max_changes=0,
        )
    )
    assert update(served, "late", "192.0.2.1") == "OK"
    own_bind.signal(signal.SIGSTOP)
    assert update(served, "late", "192.0.2.66") == "FAIL"
    own_bind.signal(signal.SIGCONT)
    assert update(served, "late", "192.0.2.2") == "OK"
    with storm(served, list(clients)):
        own_bind.edit(
            "zone dyn.example", "update delete late.dyn.example A", "update add late.dyn.example 30 A 192.0.2.66"
        )
        served.wait_for("an update that the name server applied late is mended", seconds=6)
    assert own_bind.lookup("late.dyn.example") == ["192.0.2.2"]


@pytest.mark.parametrize("change", ["zone", "server"])
def test_the_newest_wins_across_a_reload(serve: ServeFixture, own_bind: Bind, tmp_path: Path, change: str) -> None:
    """An older request waits for a silent name server while the conf changes; the newer one is the last."""
    settings = {"clients": {"k": "home.dyn.example"}, "trusted_proxies": ["127.0.0.1"], "timeout": 20}
    served = serve(conf(own_bind, **settings))  # type: ignore[arg-type]
    assert update(served, "k", "192.0.2.1") == "OK"
    for n in range(4):
        own_bind.signal(signal.SIGSTOP)
        try:
            with in_background(partial(update, served, "k", f"192.0.2.{10 + n}")) as older:
                time.sleep(0.1)  # nothing tells that it waits
                here: dict[str, object] = (
                    {"zone": ["dyn.example", "other.example"][: 1 + n % 2]} if change == "zone" else {}
                )
                if change == "server":
                    here = {"server": f"[::1]:{own_bind.port}" if n % 2 else f"127.0.0.1:{own_bind.port}"}
                (served.folder / "conf0").write_text(conf(own_bind, **{**settings, **here}))  # type: ignore[arg-type]
                seen = len(served.log)
                served.process.send_signal(signal.SIGHUP)
                served.wait_for("the conf is read again", since=seen)
                with in_background(partial(update, served, "k", f"192.0.2.{20 + n}")) as newer:
                    time.sleep(0.1)
                    own_bind.signal(signal.SIGCONT)
        finally:
            own_bind.signal(signal.SIGCONT)
        assert newer == ["OK"]
        assert older[0] in ("OK", "UPTODATE")
        assert own_bind.lookup("home.dyn.example") == [f"192.0.2.{20 + n}"]


def test_an_unreadable_key_is_named_at_once(serve: ServeFixture, own_bind: Bind) -> None:
    served = serve(conf(own_bind, clients={"k": "home.dyn.example"}, timeout=2))
    own_bind.keyfile.rename(own_bind.folder / "elsewhere")
    assert served.update("k") == "FAIL"
    line = served.wait_for("FAIL home.dyn.example")
    assert "not within 2 s: " in line
    assert "key" in line.partition("not within 2 s: ")[2], line


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Bind]:
    """A name server with a zone that is silent: a secondary, which forwards updates to who never answers."""
    folder = tmp_path / "bind"
    folder.mkdir()
    (folder / "silent.example.zone").write_text(ZONE)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        zone = 'type secondary; masterfile-format text; file "silent.example.zone"; allow-update-forwarding { any; };'
        primary = f"primaries {{ 127.0.0.1 port {nobody.getsockname()[1]}; }};"
        server = Bind(
            folder, {"dyn.example": ALL, "well.example": ALL}, extra=f'zone "silent.example" {{ {zone} {primary} }};\n'
        )
        server.start()
        yield server
        server.kill()


@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
def test_a_silent_zone_delays_itself_only(serve: ServeFixture, silent: Bind, given: bool) -> None:
    bad = {f"bad{n}": f"h{n}.silent.example" for n in range(10)}
    good = {f"good{n}": f"h{n}.{'well' if n % 2 else 'dyn'}.example" for n in range(20)}
    both: dict[str, object] = {"both": ["h0.silent.example", "both.dyn.example"], "half": "both.dyn.example"}
    zones = {"zone": ["dyn.example", "well.example", "silent.example"]} if given else {}
    served = serve(
        conf(silent, clients={**bad, **good, **both}, trusted_proxies=["127.0.0.1"], timeout=4, max_changes=0, **zones)
    )
    assert update(served, "good0", "192.0.2.200") == "OK"
    with storm(served, list(bad)):
        served.wait_for("FAIL")  # by now it is known to be silent
        for n, key in enumerate(good):
            start = time.monotonic()
            assert update(served, key, f"192.0.2.{n + 1}") == "OK"
            assert time.monotonic() - start < SOON
        with in_background(partial(update, served, "both", "192.0.2.1")) as answers:
            served.wait_for("FAIL")
            start = time.monotonic()
            assert update(served, "half", "192.0.2.2") == "OK"
            assert time.monotonic() - start < SOON
    assert answers == ["FAIL"]


def test_a_long_line_for_one_name_ends_with_its_zone(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    """Each of them releases the next one: that must not be a recursion."""
    settings = {"clients": {"k": "home.dyn.example"}, "trusted_proxies": ["127.0.0.1"], "timeout": 20}
    served = proxied(own_bind, {"k": "home.dyn.example"}, timeout=20, zone="dyn.example")
    own_bind.signal(signal.SIGSTOP)
    with ThreadPoolExecutor(250) as pool:
        calls = [pool.submit(update, served, "k", f"10.0.0.{n}") for n in range(250)]
        try:
            time.sleep(1)  # until they wait in front of the name server; nothing tells of it
            gone = conf(own_bind, **{**settings, "clients": {}, "zone": "other.example"})  # type: ignore[arg-type]
            (served.folder / "conf0").write_text(gone)
            served.process.send_signal(signal.SIGHUP)
            served.wait_for("the conf is read again")
        finally:
            own_bind.signal(signal.SIGCONT)
        assert {call.result() for call in calls} <= {"FAIL", "OK", "UPTODATE"}
    assert not [line for line in served.log if "defect" in line]


def test_a_late_write_is_mended_where_nobody_asks_for_anything(serve: ServeFixture, own_bind: Bind) -> None:
    served = serve(conf(own_bind, clients={"k": "idle.dyn.example"}, trusted_proxies=["127.0.0.1"], timeout=1))
    assert update(served, "k", "192.0.2.2") == "OK"
    own_bind.signal(signal.SIGSTOP)
    assert update(served, "k", "192.0.2.66") == "FAIL"
    time.sleep(2)  # nsupdate waits longer than we do, and what is unanswered is watched after that only
    own_bind.signal(signal.SIGCONT)
    assert update(served, "k", "192.0.2.2") in ("OK", "UPTODATE")
    own_bind.edit("zone dyn.example", "update delete idle.dyn.example A", "update add idle.dyn.example 30 A 192.0.2.66")
    served.wait_for("an update that the name server applied late is mended", seconds=15)
    assert own_bind.lookup("idle.dyn.example") == ["192.0.2.2"]
