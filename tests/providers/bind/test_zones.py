"""Names of several zones, of none, and of zones that come, freeze or do not load."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import in_background, update


def test_a_zone_that_is_added_below_another_is_found(serve: ServeFixture, own_bind: Bind) -> None:
    served = serve(conf(own_bind, clients={"k": "a.new.dyn.example"}))
    assert served.update("k") == "OK"
    own_bind.edit("zone dyn.example", "update add new.dyn.example 60 NS ns.dyn.example")
    assert served.update("k") == "FAIL"  # a delegation to nobody
    own_bind.add_zone("new.dyn.example")
    assert served.update("k") == "OK"
    assert own_bind.lookup("a.new.dyn.example") == ["127.0.0.1"]


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Bind]:
    """A BIND whose zone takes no updates."""
    server = Bind(tmp_path, {"example": ""})
    server.start()
    yield server
    server.kill()


def test_a_zone_that_is_added_below_one_that_refuses_is_found(serve: ServeFixture, closed: Bind) -> None:
    served = serve(conf(closed, clients={"k": "a.dyn.example"}, timeout=2))
    assert served.update("k") == "FAIL"
    served.wait_for("it is frozen, or not open to this key; its log says which (zone example)")
    closed.add_zone("dyn.example")
    assert served.update("k") == "OK"
    assert closed.lookup("a.dyn.example") == ["127.0.0.1"]


def test_after_a_reload_zones_are_asked_for_anew(serve: ServeFixture, own_bind: Bind) -> None:
    """The zone above takes the change, too, where nobody sees it."""
    served = serve(conf(own_bind, clients={"k": "a.new.dyn.example"}))
    assert served.update("k") == "OK"
    own_bind.add_zone("new.dyn.example")
    served.signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("k") == "OK"
    assert own_bind.lookup("a.new.dyn.example") == ["127.0.0.1"]


def test_a_reload_that_changes_a_ttl_writes_it_at_the_next_contact(serve: ServeFixture, own_bind: Bind) -> None:
    """And only then: a TTL that was set by hand stays."""
    name = "a.dyn.example"
    own_bind.edit("zone dyn.example", f"update add {name} 86400 A 127.0.0.1")
    served = serve(conf(own_bind, clients={"k": name}, ttl=60))
    assert [served.update("k"), own_bind.ttl(name)] == ["UPTODATE", 86400]
    for ttl, answer in ((60, "UPTODATE"), (120, "OK"), (120, "UPTODATE")):
        (served.folder / "conf0").write_text(conf(own_bind, clients={"k": name}, ttl=ttl))
        since = len(served.log)
        served.signal(signal.SIGHUP)
        served.wait_for("the conf is read again", since)
        assert [served.update("k"), served.update("k")] == [answer, "UPTODATE"]
    assert own_bind.ttl(name) == 120


def test_a_zone_that_does_not_load_holds_up_no_other(serve: ServeFixture, own_bind: Bind) -> None:
    own_bind.stop()
    (own_bind.folder / "other.example.zone").write_text("rubbish\n")
    own_bind.start()
    clients = {f"k{n}": f"h{n}.dyn.example" for n in range(5)}
    served = serve(conf(own_bind, clients={"bad": "a.other.example", **clients}))
    with ThreadPoolExecutor(1) as pool:
        bad = pool.submit(served.update, "bad")
        start = time.monotonic()
        assert [served.update(f"k{n}") for n in range(5)] == ["OK"] * 5
        assert time.monotonic() - start < 5
        assert bad.result() == "FAIL"


@pytest.mark.parametrize("zone", [None, ["dyn.example", "sub.dyn.example", "other.example"]], ids=["found", "given"])
def test_names_in_several_zones(proxied: Callable[..., Sftdyn], bind: Bind, zone: list[str] | None) -> None:
    names = [f"{'given' if zone else 'found'}.{z}" for z in ("dyn.example", "sub.dyn.example", "other.example")]
    served = proxied(bind, {"k": names, "deep": "a.b.c." + names[0], "apex": "sub.dyn.example"}, zone=zone)
    assert update(served, "k", "192.0.2.7") == "OK"
    assert [bind.lookup(name) for name in names] == [["192.0.2.7"]] * 3
    assert update(served, "k", "192.0.2.7") == "UPTODATE"
    bind.edit("zone other.example", f"update delete {names[2]} A")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert update(served, "deep", "192.0.2.7") == "OK"
    assert bind.lookup("a.b.c." + names[0]) == ["192.0.2.7"]
    assert update(served, "apex", f"192.0.2.{8 if zone else 9}") == "OK"


def test_a_name_in_nobodys_zone_fails_at_once(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    served = proxied(bind, {"no": "a.nowhere.example", "k": "somewhere.dyn.example"}, timeout=60)
    start = time.monotonic()
    assert served.get("/no", headers={"X-Forwarded-For": "192.0.2.7"}).status == 500
    assert time.monotonic() - start < 20
    served.wait_for("primary for no zone")
    assert update(served, "k", "192.0.2.7") == "OK"


def test_a_frozen_zone_waits_and_its_neighbour_does_not(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example", "other": "home.other.example"}, timeout=20)
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.rndc("freeze", "dyn.example")
    with in_background(lambda: update(served, "k", "192.0.2.2")) as answers:
        assert update(served, "other", "192.0.2.2") == "OK"
        assert not answers
        own_bind.rndc("thaw", "dyn.example")
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]
