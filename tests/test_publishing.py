"""What reaches the zone: against a real BIND that serves it, refuses it, goes away and comes back."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ALL, Bind, Served, ServeFixture, primary

HTTP = 'http = ["127.0.0.1:0", "[::1]:0"]\n'


@pytest.fixture
def proxied(serve: ServeFixture) -> Callable[..., Served]:
    """sftdyn whose tests' clients may have any address."""

    def start(server: Bind, clients: dict[str, object], more: str = "") -> Served:
        return serve(f'{primary(server)}{HTTP}trusted_proxies = ["127.0.0.1"]\nclients = {clients!r}\n{more}')

    return start


def update(served: Served, key: str, address: str) -> str:
    return served.get("/" + key, headers={"X-Forwarded-For": address}).text


def test_after_ok_the_record_set_is_exactly_the_address(proxied: Callable[..., Served], bind: Bind) -> None:
    bind.edit(
        "zone dyn.example",
        *(f"update add exact.dyn.example 3600 A 198.51.100.{n}" for n in (1, 2, 3)),
        "update add exact.dyn.example 3600 AAAA 2001:db8::1",
        'update add exact.dyn.example 3600 TXT "stays"',
    )
    served = proxied(bind, {"k": "exact.dyn.example"}, "ttl = 77\n")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup("exact.dyn.example") == ["192.0.2.7"]
    assert bind.ttl("exact.dyn.example") == 77
    assert bind.lookup("exact.dyn.example", "AAAA") == ["2001:db8::1"]
    assert bind.lookup("exact.dyn.example", "TXT") == ['"stays"']
    assert update(served, "k", "2001:db8::7") == "OK"
    assert bind.lookup("exact.dyn.example") == ["192.0.2.7"]
    assert bind.lookup("exact.dyn.example", "AAAA") == ["2001:db8::7"]


def test_the_ttl_is_the_clients_or_the_confs_or_30(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        f'{primary(bind)}{HTTP}clients["own"] = Client("ttl1.dyn.example", ttl=5)\nclients["k"] = "ttl2.dyn.example"\n'
    )
    assert served.update("own") == served.update("k") == "OK"
    assert (bind.ttl("ttl1.dyn.example"), bind.ttl("ttl2.dyn.example")) == (5, 30)


def test_uptodate_changes_nothing(proxied: Callable[..., Served], bind: Bind) -> None:
    served = proxied(bind, {"k": "same.dyn.example"})
    assert update(served, "k", "192.0.2.7") == "OK"
    serial = bind.serial("dyn.example")
    assert [update(served, "k", "192.0.2.7") for _ in range(3)] == ["UPTODATE"] * 3
    assert bind.serial("dyn.example") == serial


@pytest.mark.parametrize("known", [True, False])
def test_a_zone_edited_behind_its_back(proxied: Callable[..., Served], bind: Bind, known: bool) -> None:
    name = f"edited{known}.dyn.example".lower()
    served = proxied(bind, {"k": name})
    if known:
        assert update(served, "k", "192.0.2.7") == "OK"
    bind.edit("zone dyn.example", f"update delete {name} A", f"update add {name} 30 A 198.51.100.1")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup(name) == ["192.0.2.7"]
    bind.edit("zone dyn.example", f"update add {name} 30 A 198.51.100.1")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert bind.lookup(name) == ["192.0.2.7"]
    bind.edit("zone dyn.example", f"update delete {name} A")
    assert update(served, "k", "192.0.2.7") == "OK"
    bind.edit("zone dyn.example", f"update delete {name} A", f"update add {name} 30 A 192.0.2.8")
    assert update(served, "k", "192.0.2.8") == "UPTODATE"


def test_a_restart_forgets_nothing_that_matters(proxied: Callable[..., Served], bind: Bind) -> None:
    first, second = (proxied(bind, {"k": "twice.dyn.example"}) for _ in range(2))
    assert update(first, "k", "192.0.2.1") == "OK"
    assert update(second, "k", "192.0.2.1") == "UPTODATE"
    assert update(second, "k", "192.0.2.2") == "OK"
    assert update(first, "k", "192.0.2.2") == "UPTODATE"
    assert update(second, "k", "192.0.2.3") == "OK"
    assert update(first, "k", "192.0.2.1") == "OK"
    assert bind.lookup("twice.dyn.example") == ["192.0.2.1"]


@pytest.mark.parametrize("zone", ["", 'zone = ["dyn.example", "sub.dyn.example", "other.example"]\n'])
def test_names_in_several_zones(proxied: Callable[..., Served], bind: Bind, zone: str) -> None:
    names = [f"{'given' if zone else 'found'}.{z}" for z in ("dyn.example", "sub.dyn.example", "other.example")]
    served = proxied(bind, {"k": names, "deep": "a.b.c." + names[0], "apex": "sub.dyn.example"}, zone)
    assert update(served, "k", "192.0.2.7") == "OK"
    assert [bind.lookup(name) for name in names] == [["192.0.2.7"]] * 3
    assert update(served, "k", "192.0.2.7") == "UPTODATE"
    bind.edit("zone other.example", f"update delete {names[2]} A")
    assert update(served, "k", "192.0.2.7") == "OK"
    assert update(served, "deep", "192.0.2.7") == "OK"
    assert bind.lookup("a.b.c." + names[0]) == ["192.0.2.7"]
    assert update(served, "apex", f"192.0.2.{8 if zone else 9}") == "OK"


def test_several_names_of_a_client_change_together_or_not_at_all(proxied: Callable[..., Served], bind: Bind) -> None:
    served = proxied(bind, {"k": ["one.policy.example", "refused.policy.example"], "one": "one.policy.example"})
    assert update(served, "k", "192.0.2.7") == "FAIL"
    assert bind.lookup("one.policy.example") == []
    assert update(served, "one", "192.0.2.7") == "OK"


@pytest.mark.parametrize(
    "name", ["alias.dyn.example", "child.dyn.example", "a.child.dyn.example", "a.renamed.dyn.example"]
)
def test_a_name_that_nobody_would_see_is_a_failure(proxied: Callable[..., Served], bind: Bind, name: str) -> None:
    served = proxied(bind, {"k": name, "good": "seen.dyn.example"})
    serial = bind.serial("dyn.example")
    assert update(served, "k", "192.0.2.7") == "FAIL"
    served.wait_for(f"FAIL {name} A 192.0.2.7 from 192.0.2.7 via 127.0.0.1: a CNAME at the name")
    assert bind.serial("dyn.example") == serial


def test_a_name_in_nobodys_zone_fails_at_once(proxied: Callable[..., Served], bind: Bind) -> None:
    served = proxied(bind, {"no": "a.nowhere.example", "k": "somewhere.dyn.example"}, "timeout = 60\n")
    start = time.monotonic()
    assert served.get("/no").status == 500
    assert time.monotonic() - start < 20
    served.wait_for("primary for no zone")
    assert update(served, "k", "192.0.2.7") == "OK"


def test_bad_names_do_not_fail_their_neighbours(proxied: Callable[..., Served], bind: Bind) -> None:
    good = {f"g{n}": f"n{n}.policy.example" for n in range(60)}
    bad = {f"r{n}": "refused.policy.example" for n in range(3)}
    hidden = {f"h{n}": "alias.dyn.example" for n in range(3)}
    served = proxied(bind, good | bad | hidden)
    keys = [*list(good)[:30], *bad, *hidden, *list(good)[30:]]
    for address in ("192.0.2.1", "192.0.2.2"):
        with ThreadPoolExecutor(len(keys)) as pool:
            answers = list(pool.map(lambda key: update(served, key, address), keys))
        assert dict(zip(keys, answers, strict=True)) == dict.fromkeys(good, "OK") | dict.fromkeys(bad | hidden, "FAIL")
        assert {bind.lookup(name)[0] for name in good.values()} == {address}
    served.wait_for("update-policy or allow-update refuses this name")


def test_200_clients_at_once(proxied: Callable[..., Served], bind: Bind) -> None:
    clients = {f"k{n}": f"many{n}.dyn.example" for n in range(200)}
    served = proxied(bind, clients)
    with ThreadPoolExecutor(200) as pool:
        for night in range(3):
            numbers = range(200)
            answers = list(pool.map(lambda n: update(served, f"k{n}", f"10.{night}.0.{n + 1}"), numbers))
            assert answers == ["OK"] * 200
        assert {name: bind.lookup(name) for name in clients.values()} == {
            f"many{n}.dyn.example": [f"10.2.0.{n + 1}"] for n in range(200)
        }
        assert list(pool.map(lambda n: update(served, f"k{n}", f"10.2.0.{n + 1}"), range(200))) == ["UPTODATE"] * 200


def test_requests_for_one_name_are_applied_in_their_order(proxied: Callable[..., Served], bind: Bind) -> None:
    served = proxied(bind, {"k": "order.dyn.example"})
    bind.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as pool:
            futures = []
            for n in range(1, 9):
                seen = len(served.log)
                futures.append(pool.submit(update, served, "k", f"192.0.2.{n}"))
                time.sleep(0.05)  # the order of arrival is what the test is about, and nothing tells of it
                assert len(served.log) == seen
            bind.signal(signal.SIGCONT)
            assert [future.result() for future in futures] == ["OK"] * 8
    finally:
        bind.signal(signal.SIGCONT)
    assert bind.lookup("order.dyn.example") == ["192.0.2.8"]


# The name server goes away


@contextlib.contextmanager
def in_background(call: Callable[[], str]) -> Iterator[list[str]]:
    """Run a request beside what the test does to the name server; its answer is there afterwards."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    yield answers
    thread.join()


def test_the_name_server_is_killed_and_started_while_a_request_waits(
    proxied: Callable[..., Served], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example", "new": "new.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.kill()
    with (
        in_background(lambda: update(served, "k", "192.0.2.2")) as known,
        in_background(lambda: update(served, "new", "192.0.2.2")) as new,
    ):
        time.sleep(0.5)  # it is away for a while
        own_bind.start()
    assert (known, new) == (["OK"], ["OK"])
    assert own_bind.lookup("home.dyn.example") == own_bind.lookup("new.dyn.example") == ["192.0.2.2"]


def test_an_ok_survives_that_the_name_server_is_killed_right_after(
    proxied: Callable[..., Served], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    for n in range(1, 4):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        own_bind.kill()
        own_bind.start()
        assert own_bind.lookup("home.dyn.example") == [f"192.0.2.{n}"]


def test_the_name_server_is_down_at_the_start(proxied: Callable[..., Served], own_bind: Bind) -> None:
    own_bind.kill()
    served = proxied(own_bind, {"k": "home.dyn.example"}, "timeout = 1\n")
    reply = served.get("/k")
    assert (reply.status, reply.text) == (500, "FAIL")
    served.wait_for("not within 1 s: ")
    served.wait_for("connection refused")
    own_bind.start()
    deadline = time.monotonic() + 20
    while update(served, "k", "192.0.2.7") == "FAIL":  # for a moment it answers SERVFAIL
        assert time.monotonic() < deadline
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.7"]


def test_a_hung_name_server_delays_and_loses_nothing(proxied: Callable[..., Served], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.signal(signal.SIGSTOP)
    with in_background(lambda: update(served, "k", "192.0.2.2")) as answers:
        time.sleep(3)  # longer than one try
        own_bind.signal(signal.SIGCONT)
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]


def test_a_late_write_does_not_win_over_a_newer_ok(proxied: Callable[..., Served], own_bind: Bind) -> None:
    served = proxied(own_bind, {f"k{n}": f"h{n}.dyn.example" for n in range(20)}, "timeout = 3\n")

    def all_update(address: str) -> list[str]:
        return list(pool.map(lambda n: update(served, f"k{n}", address), range(20)))

    with ThreadPoolExecutor(20) as pool:
        assert all_update("192.0.2.1") == ["OK"] * 20
        own_bind.signal(signal.SIGSTOP)
        assert all_update("192.0.2.66") == ["FAIL"] * 20  # sent, and unanswered
        own_bind.signal(signal.SIGCONT)
        deadline = time.monotonic() + 30
        while "FAIL" in all_update("192.0.2.2"):
            assert time.monotonic() < deadline
    assert {n: own_bind.lookup(f"h{n}.dyn.example") for n in range(20)} == {n: ["192.0.2.2"] for n in range(20)}


def test_the_wrong_key_is_put_right_without_a_restart(proxied: Callable[..., Served], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"}, "timeout = 2\n")
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.stop()
    right = own_bind.keyfile.read_text()
    own_bind.write_key()
    wrong = own_bind.keyfile.read_text()
    own_bind.keyfile.write_text(right)
    own_bind.start()
    own_bind.keyfile.write_text(wrong)
    assert update(served, "k", "192.0.2.2") == "OK"  # the child has read the right key long ago
    for child in served.children():
        os.kill(child, signal.SIGKILL)
    assert update(served, "k", "192.0.2.3") == "FAIL"
    served.wait_for("NOTAUTH(BADSIG)")
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]
    own_bind.keyfile.write_text(right)
    # Another one: the try that was on its way when the time was up may have got the right key, and published 192.0.2.3.
    assert update(served, "k", "192.0.2.4") == "OK"
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.4"]


def test_a_restarted_name_server_with_another_key_is_served_at_once(
    proxied: Callable[..., Served], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.stop()
    own_bind.write_key()
    own_bind.start()
    assert update(served, "k", "192.0.2.2") == "OK"


def test_a_frozen_zone_waits_and_its_neighbour_does_not(proxied: Callable[..., Served], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example", "other": "home.other.example"}, "timeout = 20\n")
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.rndc("freeze", "dyn.example")
    with in_background(lambda: update(served, "k", "192.0.2.2")) as answers:
        assert update(served, "other", "192.0.2.2") == "OK"
        assert not answers
        own_bind.rndc("thaw", "dyn.example")
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]


def test_a_full_disk_under_the_journal(proxied: Callable[..., Served], tmp_path: Path) -> None:
    """The journal is on a small tmpfs, which only this name server sees."""
    journals = tmp_path / "journals"
    journals.mkdir()
    mount = f'mount -t tmpfs -o size=64k tmpfs {journals} && exec "$@"'
    user = () if os.getuid() == 0 else ("--map-root-user",)
    zone = f'journal "{journals}/journal"; {ALL}'
    bind = Bind(tmp_path, {"dyn.example": zone}, ("unshare", "--mount", *user, "sh", "-c", mount, "sh"))
    bind.start()
    try:
        served = proxied(bind, {"k": "home.dyn.example"}, "timeout = 2\nmax_changes = 0\n")
        assert update(served, "k", "192.0.2.1") == "OK"
        filler = Path(f"/proc/{bind.pid}/root{journals}/filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as full:
            while True:
                full.write(b"x" * 100)
        last = next(n for n in range(1, 200) if update(served, "k", f"192.0.2.{n + 1}") == "FAIL")
        served.wait_for("SERVFAIL")
        assert bind.lookup("home.dyn.example") == [f"192.0.2.{last}"]
        assert update(served, "k", f"192.0.2.{last}") == "UPTODATE"
        filler.unlink()
        assert update(served, "k", "192.0.2.99") == "OK"
        assert bind.lookup("home.dyn.example") == ["192.0.2.99"]
    finally:
        bind.kill()


def test_a_killed_child_is_replaced(proxied: Callable[..., Served], bind: Bind) -> None:
    served = proxied(bind, {"k": "child1.dyn.example"})
    for n in range(1, 6):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        for child in served.children():
            os.kill(child, signal.SIGKILL)
    assert len(served.children()) <= 1


def test_sigterm_finishes_what_is_in_flight(proxied: Callable[..., Served], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    own_bind.kill()
    with in_background(lambda: update(served, "k", "192.0.2.7")) as answers:
        time.sleep(0.5)  # the request is in flight
        served.process.send_signal(signal.SIGTERM)
        own_bind.start()
        assert served.process.wait(20) == 0
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.7"]


def test_an_idle_child_takes_a_large_batch_at_once(proxied: Callable[..., Served], bind: Bind) -> None:
    names = [f"idle{n}.dyn.example" for n in range(60)]
    served = proxied(bind, {"k": names}, "timeout = 1\n")
    assert update(served, "k", "192.0.2.1") == "OK"
    time.sleep(2.5)  # nsupdate's timers go to sleep
    assert update(served, "k", "192.0.2.2") == "OK"
