"""What the log says, and how much."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT


def test_the_log_tells_outcome_name_address_and_peer_and_never_a_key(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"verysecretkey": "logged.dyn.example"}), "-vv")
    assert served.update("verysecretkey", "127.0.0.7") == "OK"
    assert served.update("verysecretkey", "127.0.0.7") == "UPTODATE"
    assert served.update("verysecretkeyy", "127.0.0.8") == "BADKEY"
    served.wait_for("OK logged.dyn.example A 127.0.0.7 from 127.0.0.7")
    served.wait_for("UPTODATE logged.dyn.example A 127.0.0.7 from 127.0.0.7")
    served.wait_for("BADKEY from 127.0.0.8")
    assert served.stop() == 0
    assert not [line for line in served.log if "verysecret" in line]


def test_by_default_only_what_went_wrong_is_logged(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "quiet.dyn.example"}))
    assert served.update("k") == "OK"
    assert served.update("wrong") == "BADKEY"
    served.wait_for("BADKEY from 127.0.0.1")


def test_a_flood_of_wrong_keys_does_not_flood_the_log(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind))
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda n: served.update(f"guess{n}"), range(1000))) == {"BADKEY"}
    served.wait_for("BADKEY from 127.0.0.1")
    time.sleep(1.1)  # the next second says how many were left out
    served.update("guess")
    served.wait_for(" more lines like BADKEY were left out")
    assert len([line for line in served.log if "BADKEY" in line]) < 500


def test_fail2ban_matches_the_line(tmp_path: Path) -> None:
    if not shutil.which("fail2ban-regex"):
        pytest.fail("fail2ban is not installed: ./tests/run does it")
    lines = [
        "2026-01-02 03:04:05,678 BADKEY from 192.0.2.7",
        "2026-01-02 03:04:05,678 BADKEY from 2001:db8::7 via 127.0.0.1",
        "Jan 02 03:04:05 host sftdyn[123]: BADKEY from 192.0.2.8",
        "2026-01-02 03:04:05,678 OK home.dyn.example A 192.0.2.7 from 192.0.2.7",
        "2026-01-02 03:04:05,678 FAIL home.dyn.example A 192.0.2.7 from 192.0.2.7: BADKEY from 192.0.2.9",
        "2026-01-02 03:04:05,678 CHALLENGE from 192.0.2.7",
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")
    command = ["fail2ban-regex", "--print-all-matched", str(log), str(ROOT / "etc/fail2ban/filter.d/sftdyn.conf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Lines: 6 lines, 0 ignored, 3 matched, 3 missed" in result.stdout
