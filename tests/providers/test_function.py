"""A function of the conf as a provider."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ServeFixture
from tests.lab.conf import conf
from tests.lab.machine import wait_until
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import in_background

KEY = "0123456789abcdef0123456789abcdef"

FUNCTION = """
import os

def mine(name, type, ttl, addresses, secret):
    gate = f"{folder}/gate-{{','.join(addresses)}}"
    if name == "hangs.example":
        os.mkfifo(gate)
    with open("{folder}/calls", "a") as log:
        print(name, type, ttl, ",".join(addresses) or "-", secret, file=log)
    if name == "hangs.example":
        open(gate).close()  # until somebody writes there
    return ANSWERS.get(name, "OK") if name != "broken.example" else 1 / 0

ANSWERS = {{"same.example": "UPTODATE", "nonsense.example": "fine", "nothing.example": None}}
provider = mine
"""


class Published:
    """sftdyn with a function, and what that was called with."""

    def __init__(
        self, serve: ServeFixture, folder: Path, clients: dict[str, object], more: str, **settings: Any
    ) -> None:
        self._folder = folder
        text = FUNCTION.format(folder=folder) + more
        self.sftdyn: Sftdyn = serve(conf(None, text, clients=clients, trusted_proxies=["127.0.0.1"], **settings))

    def update(self, key: str, address: str = "192.0.2.7") -> str:
        return self.sftdyn.get(f"/{key}?ip={address}").text

    def calls(self) -> list[str]:
        log = self._folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def let_go(self, address: str) -> None:
        """The call for hangs.example with this address ends."""
        (self._folder / f"gate-{address}").open("w").close()


class Serve:
    def __init__(self, serve: ServeFixture, folder: Path) -> None:
        self._serve, self._folder = serve, folder

    def __call__(self, *names: str, more: str = "", **settings: Any) -> Published:
        return Published(
            self._serve, self._folder, {f"{KEY}{n}": name for n, name in enumerate(names)}, more, **settings
        )


@pytest.fixture
def published(serve: ServeFixture, tmp_path: Path) -> Serve:
    return Serve(serve, tmp_path)


def test_it_is_called_with_name_type_ttl_addresses_and_the_clients_key(published: Serve) -> None:
    served = published("home.example", ttl=300)
    assert served.update(f"{KEY}0") == "OK"
    assert served.sftdyn.get(f"/{KEY}0?ip=192.0.2.8,2001:db8::8").text == "OK"
    assert served.sftdyn.get(f"/{KEY}0?offline=YES").text == "OK"
    assert served.calls()[0] == f"home.example A 300 192.0.2.7 {KEY}0"
    assert sorted(served.calls()[1:3]) == [
        f"home.example A 300 192.0.2.8 {KEY}0",
        f"home.example AAAA 300 2001:db8::8 {KEY}0",
    ]
    assert sorted(served.calls()[3:]) == [f"home.example A 300 - {KEY}0", f"home.example AAAA 300 - {KEY}0"]


def test_it_runs_without_nsupdate_and_answers_as_the_function_says(published: Serve) -> None:
    served = published("home.example", "same.example", "nonsense.example", "nothing.example", "broken.example")
    assert [served.update(f"{KEY}{n}") for n in range(5)] == ["OK", "UPTODATE", "FAIL", "FAIL", "FAIL"]
    served.sftdyn.wait_for('nonsense.example A 192.0.2.7 from 127.0.0.1: mine returned neither "OK" nor "UPTODATE"')
    line = served.sftdyn.wait_for("mine raised ZeroDivisionError")
    assert ": mine raised" in line
    assert "conf0:" in line
    assert KEY not in "\n".join(served.sftdyn.log)
    assert not served.sftdyn.children()


def test_the_same_again_is_handed_on_without_quota(published: Serve) -> None:
    served = published("home.example", max_changes=2)
    assert [served.update(f"{KEY}0") for _ in range(6)] == ["OK"] * 6
    assert len(served.calls()) == 6
    assert [served.update(f"{KEY}0", f"192.0.2.{n}") for n in (8, 9)] == ["OK", "FAIL"]
    assert served.update(f"{KEY}0", "192.0.2.8") == "OK"


def test_one_name_at_a_time_and_the_newest_wins(published: Serve) -> None:
    served = published("hangs.example", "home.example", timeout=30)
    with in_background(lambda: served.update(f"{KEY}0", "192.0.2.1")) as first:
        wait_until(served.calls, "it is called")
        with in_background(lambda: served.update(f"{KEY}0", "192.0.2.2")) as second:
            assert served.update(f"{KEY}1") == "OK"
            served.let_go("192.0.2.1")
            wait_until(lambda: len(served.calls()) == 3, "it is called again")
            served.let_go("192.0.2.2")
    assert first + second == ["OK", "OK"]
    assert [call.split()[3] for call in served.calls() if call.startswith("hangs")] == ["192.0.2.1", "192.0.2.2"]


def test_a_call_that_hangs_is_given_up_and_holds_up_its_own_name_only(published: Serve) -> None:
    served = published("hangs.example", "home.example", timeout=0.5)
    assert served.update(f"{KEY}0", "192.0.2.1") == "FAIL"
    served.sftdyn.wait_for("mine took longer than 0.5 s and is given up")
    assert served.update(f"{KEY}0", "192.0.2.2") == "FAIL"
    served.sftdyn.wait_for("mine was not called within 0.5 s")
    assert served.update(f"{KEY}1") == "OK"
    served.let_go("192.0.2.1")
    with in_background(lambda: served.update(f"{KEY}0", "192.0.2.3")) as answers:
        wait_until(lambda: "192.0.2.3" in served.calls()[-1], "it is called again")
        served.let_go("192.0.2.3")
    assert answers == ["OK"]


def test_get_host_may_return_a_client_with_a_provider(published: Serve) -> None:
    more = """
def other(name, type, ttl, addresses, secret):
    return mine("other." + name, type, ttl, addresses, secret)

def get_host(querystring, ip):
    return {"one": Client("a.example", provider=other), "two%20": "b.example"}.get(querystring)
"""
    served = published("unused.example", more=more)
    assert [served.update("one"), served.update("two%20"), served.update("three")] == ["OK", "OK", "BADKEY"]
    assert served.calls() == ["other.a.example A 30 192.0.2.7 one", "b.example A 30 192.0.2.7 two%20"]


SLOW = """
import threading
over = threading.Event()
def mine(name, type, ttl, addresses, secret):
    if name.startswith("slow"):
        over.wait(SECONDS)
    return "OK"
provider = mine
"""


@pytest.mark.parametrize(("seconds", "timeout"), [(1, 20), (60, 2)], ids=["slow", "hang"])
def test_a_hundred_names_of_one_client_delay_no_other(serve: ServeFixture, seconds: int, timeout: int) -> None:
    clients = {"many": [f"slow{n}.example" for n in range(100)], "one": "home.example", "two": "home.example"}
    served = serve(conf(None, SLOW.replace("SECONDS", str(seconds)), clients=clients, timeout=timeout, max_changes=0))
    rounds = 1 if seconds == 1 else 3
    longest = 0.0
    with in_background(lambda: [served.get("/many?ip=192.0.2.7").text for _ in range(rounds)][-1]) as many:
        served_at_all = 0
        while not many:
            start = time.monotonic()
            assert (
                served.get(f"/{'one' if served_at_all % 2 else 'two'}?ip=192.0.2.{served_at_all % 250 + 1}").text
                == "OK"
            )
            longest = max(longest, time.monotonic() - start)
            served_at_all += 1
    assert longest < 0.9
    assert served_at_all > 10
    assert many == ["OK" if seconds == 1 else "FAIL"]
