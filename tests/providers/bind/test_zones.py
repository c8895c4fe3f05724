"""Names of several zones, of none, and of zones that come, freeze or do not load."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from sftdyn.providers.bind.message import Verdict
from sftdyn.providers.bind.zones import NOWHERE, REMEMBERED, Zones
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


# What is known of zones


def test_of_a_new_name_only_the_name_itself_is_asked_for() -> None:
    zones = Zones()
    assert zones.unknown("a.dyn.example.", 0.0) == ["a.dyn.example.", "dyn.example.", "example.", "."]
    for name, verdict in (("a.dyn.example.", Verdict.NOT_ITS_ZONE), ("dyn.example.", Verdict.DONE)):
        assert zones.zone_of("a.dyn.example.", 0.0) is None
        zones.learn(name, verdict, 0.0)
    assert zones.zone_of("a.dyn.example.", 0.0) == "dyn.example."
    assert zones.unknown("b.dyn.example.", 0.0) == ["b.dyn.example."]
    zones.learn("b.dyn.example.", Verdict.REFUSED, 0.0)
    assert zones.zone_of("b.dyn.example.", 0.0) == "b.dyn.example."  # an apex itself
    assert zones.zone_of("x.b.dyn.example.", 0.0) is None


def test_a_name_under_nothing_is_nowhere() -> None:
    zones = Zones()
    for name in zones.unknown("a.nowhere.", 0.0):
        zones.learn(name, Verdict.NOT_ITS_ZONE, 0.0)
    assert zones.zone_of("a.nowhere.", 0.0) == NOWHERE
    zones.forget("a.nowhere.")
    assert zones.zone_of("a.nowhere.", 0.0) is None


def test_what_is_known_of_names_ends_at_different_times() -> None:
    zones = Zones()
    names = [f"h{n}.dyn.example." for n in range(1000)]
    for name in (*names, "dyn.example."):
        zones.learn(name, Verdict.DONE if name == "dyn.example." else Verdict.NOT_ITS_ZONE, 0.0)
    known = [sum(not zones.unknown(name, now) for name in names) for now in (REMEMBERED / 2, REMEMBERED + 1)]
    assert known == [1000, 0]
    steps = [
        sum(zones.unknown(name, REMEMBERED * (0.5 + step / 20))[:1] == [name] for name in names) for step in range(11)
    ]
    assert max(later - earlier for earlier, later in pairwise(steps)) < 200  # of 1000: a tenth each, by chance


def test_given_zones_are_not_asked_for() -> None:
    zones = Zones(["dyn.example.", "sub.dyn.example.", "."])
    assert zones.zone_of("a.sub.dyn.example.", 0.0) == "sub.dyn.example."
    assert zones.zone_of("dyn.example.", 0.0) == "dyn.example."
    assert zones.zone_of("xdyn.example.", 0.0) == "."
    assert Zones(["dyn.example."]).zone_of("xdyn.example.", 0.0) == NOWHERE


def test_first_contact_is_one_question_for_each_name(serve: ServeFixture, own_bind: Bind) -> None:
    clients = {f"k{n}": f"first{n}.dyn.example" for n in range(200)}
    served = serve(conf(own_bind, clients=clients))
    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(served.update, clients)) == ["OK"] * 200
        assert list(pool.map(served.update, clients)) == ["UPTODATE"] * 200


def test_a_name_that_is_an_apex_without_a_delegation_is_published_in_its_own_zone(
    serve: ServeFixture, own_bind: Bind
) -> None:
    own_bind.add_zone("apex.dyn.example")
    served = serve(conf(own_bind, clients={"k": "apex.dyn.example", "l": "leaf.dyn.example"}))
    assert served.update("l") == "OK"
    assert served.update("k") == "OK"
    assert own_bind.lookup("apex.dyn.example") == ["127.0.0.1"]
