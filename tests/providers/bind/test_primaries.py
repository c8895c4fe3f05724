"""What sftdyn does with BIND, it does with Knot DNS and PowerDNS, too."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import bind, knot, powerdns
from tests.lab.bind import Bind
from tests.lab.knot import Knot
from tests.lab.nameserver import KEY_NAME, NameServer
from tests.lab.powerdns import PowerDns
from tests.lab.process import Sftdyn
from tests.lab.yadifa import Yadifa
from tests.providers.bind.conftest import SOON, in_background, problems_of, storm, update

pytestmark = pytest.mark.extra

ZONES = ["dyn.example", "other.example"]
CLOSED = "closed.example"  # a zone that takes another key, or none
ONLY_A = "a.example"  # a zone in which the key may change A records only
KNOT_ONLY_A = f"  - id: a\n    key: {KEY_NAME}\n    action: update\n    update-type: A"


def make_bind(folder: Path) -> NameServer:
    zones = {CLOSED: "allow-update { none; };", ONLY_A: f"update-policy {{ grant {KEY_NAME} zonesub A; }};"}
    return Bind(folder, dict.fromkeys(ZONES, bind.ALL) | zones)


def make_knot(folder: Path) -> NameServer:
    zones = {CLOSED: "", ONLY_A: "acl: a"}
    return Knot(folder, dict.fromkeys(ZONES, knot.ALL) | zones, extra=KNOT_ONLY_A)


def make_powerdns(folder: Path) -> NameServer:
    return PowerDns(folder, dict.fromkeys(ZONES, powerdns.ALL) | {CLOSED: "another"})


TWENTY = 6.0  # seconds for so many changes; Knot 3.2 now and then lets one wait for its next full second

PRIMARIES = {"BIND": make_bind, "Knot": make_knot, "PowerDNS": make_powerdns}

Proxied = Callable[..., Sftdyn]


@pytest.fixture(params=PRIMARIES)
def primary(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NameServer]:
    """One of each kind, with ZONES."""
    folder = tmp_path / "primary"
    folder.mkdir()
    server = PRIMARIES[request.param](folder)
    server.start()
    yield server
    server.kill()


def test_after_ok_the_record_set_is_exactly_the_address(proxied: Proxied, primary: NameServer) -> None:
    name = "exact.dyn.example"
    assert primary.lookup(name) == []  # and that is remembered by who has a cache
    served = proxied(primary, {"k": name}, ttl=77)
    assert update(served, "k", "192.0.2.7") == "OK"
    assert primary.lookup(name) == ["192.0.2.7"]
    assert primary.ttl(name) == 77
    primary.edit(
        "zone dyn.example",
        *(f"update add {name} 3600 A 198.51.100.{n}" for n in (1, 2, 3)),
        f'update add {name} 3600 TXT "stays"',
    )
    assert update(served, "k", "192.0.2.8") == "OK"
    assert primary.lookup(name) == ["192.0.2.8"]
    assert primary.ttl(name) == 77
    assert primary.lookup(name, "TXT") == ['"stays"']


def test_uptodate_changes_nothing(proxied: Proxied, primary: NameServer) -> None:
    served = proxied(primary, {"k": "same.dyn.example"})
    assert update(served, "k", "192.0.2.7") == "OK"
    serial = primary.serial("dyn.example")
    assert [update(served, "k", "192.0.2.7") for _ in range(3)] == ["UPTODATE"] * 3
    assert primary.serial("dyn.example") == serial


def test_a_change_by_hand_is_seen(proxied: Proxied, primary: NameServer) -> None:
    name = "edited.dyn.example"
    served = proxied(primary, {"k": name})
    assert update(served, "k", "192.0.2.7") == "OK"
    for by_hand in ([f"update delete {name} A", f"update add {name} 30 A 198.51.100.1"], [f"update delete {name} A"]):
        primary.edit("zone dyn.example", *by_hand)
        assert update(served, "k", "192.0.2.7") == "OK"
        assert primary.lookup(name) == ["192.0.2.7"]
    primary.edit("zone dyn.example", f"update delete {name} A", f"update add {name} 30 A 192.0.2.8")
    assert update(served, "k", "192.0.2.8") == "UPTODATE"


def test_names_of_several_zones(proxied: Proxied, primary: NameServer) -> None:
    names = ["one.dyn.example", "*.one.dyn.example", "a.b.c.dyn.example", "dyn.example", "one.other.example"]
    served = proxied(primary, {"k": names})
    assert update(served, "k", "192.0.2.7") == "OK"
    assert update(served, "k", "192.0.2.7") == "UPTODATE"
    primary.edit("zone other.example", f"update delete {names[-1]} A")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert [primary.lookup(name.replace("*", "any")) for name in names] == [["192.0.2.7"]] * len(names)


@pytest.mark.parametrize("zone", [None, "dyn.example"], ids=["found", "given"])
def test_a_name_that_nobody_would_see_is_a_failure(proxied: Proxied, primary: NameServer, zone: str | None) -> None:
    primary.edit(
        "zone dyn.example",
        "update add alias.dyn.example 60 CNAME ns.dyn.example",
        "update add child.dyn.example 60 NS ns.dyn.example",
    )
    hidden = {"alias": "alias.dyn.example", "child": "child.dyn.example", "below": "a.child.dyn.example"}
    served = proxied(primary, {**hidden, "seen": "seen.dyn.example"}, zone=zone)
    serial = primary.serial("dyn.example")
    for key, name in hidden.items():
        assert update(served, key, "192.0.2.7") == "FAIL"
        served.wait_for(f"FAIL {name} A 192.0.2.7 from 192.0.2.7 via 127.0.0.1: a CNAME at the name")
    assert primary.serial("dyn.example") == serial
    primary.edit("zone dyn.example", "update delete alias.dyn.example CNAME")
    assert [update(served, key, "192.0.2.7") for key in ("alias", "seen")] == ["OK"] * 2


def test_ipv6_has_a_record_of_its_own_and_offline_removes_both(proxied: Proxied, primary: NameServer) -> None:
    name = "both.dyn.example"
    served = proxied(primary, {"k": name})
    assert [update(served, "k", address) for address in ("192.0.2.7", "2001:db8::7")] == ["OK"] * 2
    assert update(served, "k", "2001:DB8:0::7") == "UPTODATE"
    assert (primary.lookup(name), primary.lookup(name, "AAAA")) == (["192.0.2.7"], ["2001:db8::7"])
    assert served.get("/k?offline=YES").text == "OK"
    assert served.get("/k?offline=YES").text == "UPTODATE"
    assert (primary.lookup(name), primary.lookup(name, "AAAA")) == ([], [])


def test_the_name_server_is_killed_and_started_while_requests_wait(proxied: Proxied, primary: NameServer) -> None:
    served = proxied(primary, {"k": "home.dyn.example", "new": "new.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    primary.kill()
    with (
        in_background(lambda: update(served, "k", "192.0.2.2")) as known,
        in_background(lambda: update(served, "new", "192.0.2.2")) as new,
    ):
        time.sleep(0.5)  # it is away for a while
        primary.start()
    assert (known, new) == (["OK"], ["OK"])
    assert primary.lookup("home.dyn.example") == primary.lookup("new.dyn.example") == ["192.0.2.2"]


def test_an_ok_survives_that_the_name_server_is_killed_right_after(proxied: Proxied, primary: NameServer) -> None:
    served = proxied(primary, {"k": "home.dyn.example"})
    for n in range(1, 4):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        primary.kill()
        primary.start()
        assert primary.lookup("home.dyn.example") == [f"192.0.2.{n}"]


def test_200_clients_at_once(proxied: Proxied, primary: NameServer) -> None:
    clients = {f"k{n}": f"many{n}.dyn.example" for n in range(200)}
    served = proxied(primary, clients)
    with ThreadPoolExecutor(200) as pool:
        for night in range(3):
            answers = list(pool.map(lambda n: update(served, f"k{n}", f"10.{night}.0.{n + 1}"), range(200)))
            assert answers == ["OK"] * 200
        assert {name: primary.lookup(name) for name in clients.values()} == {
            f"many{n}.dyn.example": [f"10.2.0.{n + 1}"] for n in range(200)
        }
        assert list(pool.map(lambda n: update(served, f"k{n}", f"10.2.0.{n + 1}"), range(200))) == ["UPTODATE"] * 200


# Knot 3.4 answers as if it did not serve the zone, where it does not know the key's name.
WRONG_KEY = ("the key (BAD", "for it (BAD", "(TSIG error)", "or (Knot) with this key")


@pytest.mark.parametrize("here", [KEY_NAME, 'secret "'], ids=["name", "secret"])
def test_the_wrong_key_is_put_right_without_a_restart(proxied: Proxied, primary: NameServer, here: str) -> None:
    right = primary.keyfile.read_text()
    served = proxied(primary, {"k": "home.dyn.example"}, timeout=2)
    primary.keyfile.write_text(right.replace(here, f"{here}AAAA"))
    assert update(served, "k", "192.0.2.1") == "FAIL"
    served.wait_for_line(lambda line: any(reason in line for reason in WRONG_KEY), "what is wrong")
    primary.keyfile.write_text(right)
    assert update(served, "k", "192.0.2.2") == "OK"
    assert primary.lookup("home.dyn.example") == ["192.0.2.2"]


@pytest.mark.parametrize("zone", [None, ["dyn.example", "nowhere.example"]], ids=["found", "given"])
def test_a_name_in_nobodys_zone_fails_at_once(proxied: Proxied, primary: NameServer, zone: list[str] | None) -> None:
    served = proxied(primary, {"no": "a.nowhere.example", "k": "somewhere.dyn.example"}, zone=zone)
    for n in range(1, 4):
        start = time.monotonic()
        assert served.get("/no", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status == 500
        assert time.monotonic() - start < SOON
        served.wait_for(f"192.0.2.{n} via 127.0.0.1: the name server is primary for no zone that contains the name")
        assert update(served, "k", f"192.0.2.{n}") == "OK"


@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
def test_a_zone_that_does_not_take_the_key_delays_itself_only(
    proxied: Proxied, primary: NameServer, given: bool
) -> None:
    bad = {f"bad{n}": f"h{n}.{CLOSED}" for n in range(10)}
    good = {f"good{n}": f"h{n}.{ZONES[n % 2]}" for n in range(20)}
    zones = [*ZONES, CLOSED] if given else None
    served = proxied(primary, bad | good, timeout=2, max_changes=0, zone=zones)
    with storm(served, list(bad)):
        served.wait_for(f"FAIL h0.{CLOSED}")
        start = time.monotonic()
        assert [update(served, key, f"192.0.2.{n + 1}") for n, key in enumerate(good)] == ["OK"] * 20
        assert time.monotonic() - start < TWENTY
    assert [primary.lookup(name) for name in good.values()] == [[f"192.0.2.{n + 1}"] for n in range(20)]


@pytest.mark.parametrize("primary", ["BIND", "Knot"], indirect=True)
def test_a_change_that_the_key_may_not_make_fails_at_once_and_delays_itself_only(
    proxied: Proxied, primary: NameServer
) -> None:
    clients = {f"k{n}": f"h{n}.{ONLY_A}" for n in range(20)}
    served = proxied(primary, clients, max_changes=0)
    start = time.monotonic()
    assert update(served, "k0", "2001:db8::7") == "FAIL"
    assert time.monotonic() - start < TWENTY
    served.wait_for("refuses this name")
    taken = 0.0  # seconds, by what is allowed
    with ThreadPoolExecutor(4) as pool:
        for n, key in enumerate(clients):
            refused = [pool.submit(update, served, key, "2001:db8::7") for key in list(clients)[:4]]
            start = time.monotonic()
            assert update(served, key, f"192.0.2.{n + 1}") == "OK"
            taken += time.monotonic() - start
            assert {one.result() for one in refused} == {"FAIL"}
    assert taken < TWENTY


def test_what_stands_in_the_way_is_said_beforehand(tmp_path: Path, primary: NameServer) -> None:
    assert problems_of(primary, tmp_path, "a.dyn.example", "b.other.example") == []
    [closed] = problems_of(primary, tmp_path, "a.dyn.example", f"home.{CLOSED}")
    assert closed.startswith(f"zone {CLOSED}: ") or "(Knot) name the key in its acl" in closed
    [missing] = problems_of(primary, tmp_path, "a.dyn.example", "home.missing.example")
    assert "serves no zone with home.missing.example: " in missing
    if not isinstance(primary, PowerDns):  # which knows no permission below that for a whole zone
        [some] = problems_of(primary, tmp_path, "a.dyn.example", f"home.{ONLY_A}")
        assert some.startswith(f"zone {ONLY_A}: the key may not change home.{ONLY_A} AAAA: ")


def test_a_powerdns_that_takes_no_updates_is_said_to_be_one(tmp_path: Path) -> None:
    server = make_powerdns(tmp_path)
    settings = tmp_path / "pdns.d" / "zones.conf"
    settings.write_text(settings.read_text().replace("dnsupdate=yes", "dnsupdate=no"))
    server.start()
    try:
        [found] = problems_of(server, tmp_path, "a.dyn.example", "b.other.example")
        assert (
            "refuses every update, also of a.dyn.example, b.other.example: dnsupdate=yes is missing (PowerDNS)" in found
        )
        [found] = problems_of(server, tmp_path, "a.dyn.example", zone="dyn.example")
        assert "every update is refused" in found
    finally:
        server.kill()


def test_what_is_wrong_with_a_zone_at_knot_is_said_in_knots_words(proxied: Proxied, tmp_path: Path) -> None:
    zones = dict.fromkeys(("dyn.example", "frozen.example", "broken.example"), knot.ALL)
    folder = tmp_path / "knot"
    folder.mkdir()
    server = Knot(folder, {**zones, "full.example": f"{knot.ALL}\n    zone-max-size: 300"})
    (folder / "broken.example.zone").write_text("rubbish\n")
    server.start()
    try:
        server.knotc("zone-freeze", "frozen.example")
        for name, said in (("frozen", "knotc zone-thaw frozen.example"), ("broken", "Knot: kzonecheck FILE")):
            [found] = problems_of(server, tmp_path, "a.dyn.example", f"a.{name}.example")
            assert found.startswith(f"zone {name}.example: ")
            assert said in found
        clients = {f"k{n}": f"a-long-name-{n}.full.example" for n in range(9)} | {"good": "good.dyn.example"}
        served = proxied(server, clients, timeout=2)
        answers = [update(served, f"k{n}", "192.0.2.1") for n in range(9)]
        assert (answers[0], answers[-1]) == ("OK", "FAIL")
        served.wait_for("or the zone is full: zone-max-size")
        assert update(served, "good", "192.0.2.1") == "OK"
    finally:
        server.kill()


def test_yadifa_works_with_the_zone_given_and_is_said_to_need_it(proxied: Proxied, tmp_path: Path) -> None:
    folder = tmp_path / "yadifa"
    folder.mkdir()
    server = Yadifa(folder, ["dyn.example"])
    server.start()
    try:
        assert problems_of(server, tmp_path, "a.dyn.example", zone="dyn.example") == []
        [found] = problems_of(server, tmp_path, "a.dyn.example")
        assert 'write zone = "dyn.example"' in found
        assert "is silent about what it does not serve (YADIFA, a filter in front)" in found
        served = proxied(server, {"k": ["a.dyn.example", "b.dyn.example"]}, zone="dyn.example")
        assert [update(served, "k", address) for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1")] == ["OK"] * 3
        assert update(served, "k", "192.0.2.2") == "UPTODATE"
        assert (server.lookup("b.dyn.example"), server.lookup("b.dyn.example", "AAAA")) == (
            ["192.0.2.2"],
            ["2001:db8::1"],
        )
    finally:
        server.kill()
