"""How a name is: silent, failing, unheard or well, whoever sets the clock."""

import signal
import time
from pathlib import Path

import pytest

from sftdyn.doors.watch.clock import Clock
from sftdyn.doors.watch.seen import Row
from sftdyn.doors.watch.states import Expected, State, state_of
from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
from tests.lab.machine import wait_until

NAME = "home.dyn.example."
HOUR = 3600.0
NOW = 1_000_000.0


def row(ago: float, kind: str = "A", addresses: tuple[str, ...] | None = ("192.0.2.1",), failures: int = 0) -> Row:
    return Row((NAME, kind), NOW - ago, addresses=addresses, failures=failures)  # type: ignore[arg-type]


HOURLY = Expected(names={NAME: HOUR}, since={NAME: NOW - 2 * HOUR})
JUST_KNOWN = Expected(names={NAME: HOUR}, since={NAME: NOW - HOUR / 2})
WHENEVER = Expected(since={NAME: 0.0})


@pytest.mark.parametrize(
    ("rows", "expected", "state"),
    [
        ([row(10)], HOURLY, State.WELL),
        ([row(HOUR + 1)], HOURLY, State.SILENT),
        ([row(HOUR + 1, failures=3)], HOURLY, State.SILENT),  # the first that is true
        ([row(10, failures=1)], HOURLY, State.FAILING),
        ([row(HOUR + 1), row(10, "AAAA")], HOURLY, State.WELL),  # it was heard from
        ([row(HOUR + 1, addresses=())], HOURLY, State.WELL),  # offline
        ([row(HOUR + 1, addresses=()), row(HOUR + 1, "AAAA", ("2001:db8::1",))], HOURLY, State.SILENT),
        ([], HOURLY, State.SILENT),  # never heard from, and known for long
        ([], JUST_KNOWN, State.UNHEARD),
        ([row(HOUR + 1)], JUST_KNOWN, State.SILENT),  # grace only where no last contact is known
        ([row(365 * 24 * HOUR)], WHENEVER, State.WELL),
        ([], WHENEVER, State.UNHEARD),
        ([row(HOUR + 1)], Expected(HOUR), State.SILENT),  # of get_host
        ([row(HOUR + 1)], Expected(HOUR, since={NAME: 0.0}), State.WELL),  # the conf has it, and waits for nothing
    ],
)
def test_a_name_is_the_first_of_silent_failing_unheard_and_well(
    rows: list[Row], expected: Expected, state: State
) -> None:
    assert state_of(NAME, rows, expected, NOW) is state


def test_a_jump_of_the_clock_makes_nobody_silent() -> None:
    wall, steady = [1000.0], [50.0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    heard = Row((NAME, "A"), clock(), addresses=("192.0.2.1",))
    expected = Expected(names={NAME: HOUR}, since={NAME: clock()})
    for jump in (+30 * 24 * HOUR, -60 * 24 * HOUR):
        wall[0] += jump + 10
        steady[0] += 10
        assert state_of(NAME, [heard], expected, clock()) is State.WELL
        shown = heard.moved(clock.jump())  # and what is shown is right for who reads it now
        assert wall[0] - shown.seen == pytest.approx(steady[0] - 50.0)


def test_a_router_that_has_stopped_calling_is_silent_everywhere(serve: ServeFixture, bind: Bind) -> None:
    """On 1.1 it was well in the page, the widget, the metric and the list, for ever."""
    clients = {KEY: "silent.dyn.example", "k" * 20: "other.dyn.example"}
    more = 'clients["k" * 20] = Client("other.dyn.example", expect=86400)\n'
    watched = Watched(serve, bind, more, clients=clients, expect=1)
    assert [watched.update("192.0.2.1"), watched.update("192.0.2.2", "k" * 20)] == ["OK", "OK"]
    deadline = time.monotonic() + 20
    while not watched.widget()["silent_count"] and time.monotonic() < deadline:
        time.sleep(0.1)
    widget = watched.widget()
    assert (widget["status"], widget["silent_count"], widget["failing_count"]) == ("failing", 1, 0)
    assert {entry["name"]: entry["state"] for entry in widget["names"]} == {
        "silent.dyn.example": "silent",
        "other.dyn.example": "well",
    }
    assert watched.metrics()['sftdyn_hosts{state="silent"}'] == 1
    page = watched.ask("").text
    assert "<h1>1 of 2 host names is silent</h1>" in page
    assert '<body class="silent few">' in page
    assert "silent.dyn.example" in watched.ask("?state=silent").text
    assert "other.dyn.example" not in watched.ask("?state=silent").text
    assert watched.update("192.0.2.1") == "UPTODATE"
    assert watched.widget()["silent_count"] == 0


def test_a_name_that_a_reload_brings_has_the_time_that_it_may_take(serve: ServeFixture, bind: Bind) -> None:
    watched = Watched(serve, bind, clients={KEY: "first.dyn.example"}, expect=3600)
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text() + 'clients["second-key-of-somebody"] = "second.dyn.example"\n')
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("the conf is read again")
    assert [entry["state"] for entry in watched.widget()["names"]] == ["unheard", "unheard"]


def test_what_get_host_expects_of_a_client_counts_and_outlives_a_restart(
    serve: ServeFixture, bind: Bind, tmp_path: Path
) -> None:
    """On 1.1 nobody was ever silent; names of get_host had no expectation of their own."""
    more = f"""
state = "{tmp_path}/state.json"
def get_host(key, ip):
    return Client(f"{{key}}.dyn.example", expect=1) if key == "brief" else Client(f"{{key}}.dyn.example")
"""
    watched = Watched(serve, bind, more)
    for name in ("brief", "patient"):
        assert watched.update("192.0.2.1", name) in ("OK", "UPTODATE")

    def states() -> dict[str, str]:
        return {entry["name"].partition(".")[0]: entry["state"] for entry in watched.widget()["names"]}

    wait_until(lambda: states()["brief"] == "silent", "brief is silent")
    assert states() == {"brief": "silent", "patient": "well"}
    watched.served.stop()
    watched = Watched(serve, bind, more)
    assert states() == {"brief": "silent", "patient": "well"}
