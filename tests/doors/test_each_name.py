"""What is said of a name is about that name, also where one request is for several of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT

TWO = ["good.dyn.example", "bad.dyn.example"]
FULL = """
def mine(name, type, ttl, addresses, secret):
    if name.startswith("bad"):
        raise ValueError(secret)
    return "OK"
provider = mine
"""


@pytest.fixture
def half(serve: ServeFixture) -> Watched:
    return Watched(serve, None, FULL, clients={KEY: TWO})


def test_of_two_names_one_fails_and_each_has_its_own_line_and_the_answer_is_the_worst(half: Watched) -> None:
    assert half.update("198.51.100.7") == "FAIL"
    half.served.wait_for("OK good.dyn.example A 198.51.100.7 from 198.51.100.7")
    line = half.served.wait_for("FAIL bad.dyn.example A 198.51.100.7 from 198.51.100.7")
    assert line.endswith("mine raised ValueError")


def test_the_page_the_widget_and_the_metrics_know_which_name_fails(half: Watched) -> None:
    half.update("198.51.100.7")
    seen = {entry["name"]: entry for entry in half.widget()["names"]}
    assert (seen["good.dyn.example"]["outcome"], seen["good.dyn.example"]["failures"]) == ("OK", 0)
    assert seen["good.dyn.example"]["address"] == "198.51.100.7"
    assert (seen["bad.dyn.example"]["outcome"], seen["bad.dyn.example"]["failures"]) == ("HOOK", 1)
    assert "mine raised" in seen["bad.dyn.example"]["reason"]
    metrics = half.metrics()
    assert metrics['sftdyn_answers_total{door="url",outcome="ok"}'] == 1
    assert metrics['sftdyn_answers_total{door="url",outcome="hook"}'] == 1
    assert metrics['sftdyn_host_failures{host="good.dyn.example"}'] == 0


def test_names_that_share_an_outcome_share_a_line(serve: ServeFixture) -> None:
    names = ["one.dyn.example", "two.dyn.example", "bad.dyn.example"]
    served = serve(conf(None, FULL, clients={KEY: names}))
    assert served.update(KEY) == "FAIL"
    served.wait_for("OK one.dyn.example A 127.0.0.1, two.dyn.example A 127.0.0.1 from 127.0.0.1")
    served.wait_for("FAIL bad.dyn.example A 127.0.0.1 from 127.0.0.1")


def test_many_names_with_many_reasons_are_a_few_lines(serve: ServeFixture) -> None:
    each = 'def mine(name, type, ttl, addresses, secret):\n    exec("\\n" * int(name[1:3]) + "raise OSError")\n'
    names = [f"n{number}.dyn.example" for number in range(10, 40)]
    served = serve(conf(None, f"{each}provider = mine\n", clients={KEY: names}))
    before = len(served.log)
    assert served.update(KEY) == "FAIL"
    served.wait_for("FAIL ")
    assert len(served.log) - before < 12


def test_each_line_of_dyndns2_is_the_worst_of_its_own_name(half: Watched) -> None:
    answer = half.served.get(f"/nic/update?hostname={','.join(TWO)}&myip=192.0.2.7,2001:db8::7&key={KEY}")
    assert answer.text.splitlines() == ["good 192.0.2.7,2001:db8::7", "911"]
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")


def test_what_a_name_may_not_change_any_more_is_no_failure_of_its_neighbour(serve: ServeFixture) -> None:
    hook = 'def mine(name, type, ttl, addresses, secret):\n    return "OK"\nprovider = mine\n'
    watched = Watched(serve, None, hook, clients={KEY: ["a.dyn.example", "b.dyn.example"]}, max_changes=2)
    assert watched.update("192.0.2.1") == "OK"
    assert watched.served.get(f"/nic/update?hostname=b.dyn.example&myip=192.0.2.2&key={KEY}").text == "good 192.0.2.2"
    before = len(watched.served.log)
    assert watched.update("192.0.2.1") == "FAIL"
    watched.served.wait_for("OK a.dyn.example A 192.0.2.1 from 192.0.2.1", before)
    watched.served.wait_for("FAIL b.dyn.example A 192.0.2.1 from 192.0.2.1 via 127.0.0.1: there is something to change")


def test_own_says_which_of_its_names_fails(serve: ServeFixture, tmp_path: Path) -> None:
    path = tmp_path / "own.conf"
    own = 'own = [Client("good.dyn.example", "bad.dyn.example", address=lambda: "192.0.2.1")]\n'
    path.write_text(conf(None, FULL + own, http=None))
    command = [sys.executable, "-m", "sftdyn", "--own", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    good, bad = done.stdout.splitlines()
    assert (done.returncode, good) == (1, "OK good.dyn.example 192.0.2.1 from <lambda>")
    assert bad.startswith("FAIL bad.dyn.example 192.0.2.1 from <lambda>: ")
    assert bad.endswith("mine raised ValueError")
    served = serve(conf(None, FULL + own, http=None, status="127.0.0.1:0"), "-v")
    served.wait_for("OK good.dyn.example A 192.0.2.1 from own <lambda>")
    served.wait_for("FAIL bad.dyn.example A 192.0.2.1 from own <lambda>: ")


@pytest.mark.xfail(strict=False, reason="the engine gives one result for all zones of an update")
@pytest.mark.parametrize("with_lines_of_the_conf", [False, True])
def test_a_zone_that_refuses_is_no_failure_of_a_name_in_another(
    serve: ServeFixture, bind: Bind, with_lines_of_the_conf: bool
) -> None:
    bind.edit("zone dyn.example", "update delete neighbour.dyn.example")
    lines = '[f"update delete {host} A", f"update add {host} 30 A {new_ip}", f"update add {host} 30 TXT x", "send"]'
    hook = f"def nsupdatecommands(host, new_ip, headers):\n    return {lines}\n" if with_lines_of_the_conf else ""
    served = serve(conf(bind, hook, clients={KEY: ["neighbour.dyn.example", "refused.policy.example"]}), "-v")
    assert served.update(KEY) == "FAIL"
    assert bind.lookup("neighbour.dyn.example") == ["127.0.0.1"]
    served.wait_for("OK neighbour.dyn.example A 127.0.0.1 from 127.0.0.1", seconds=5)
    served.wait_for("FAIL refused.policy.example A 127.0.0.1 from 127.0.0.1: ")
