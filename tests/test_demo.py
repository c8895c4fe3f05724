"""The demo as a user meets it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.machine import ROOT


def test_the_demo_shows_the_main_job() -> None:
    result = subprocess.run(
        ["./etc/demo", "--once"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for answer in ("OK", "UPTODATE", "BADKEY", "::1", "127.0.0.2"):
        assert f"\n{answer}\n" in result.stdout
    assert "** expected" not in result.stdout
    step = r"\n\$ curl -s http://127.0.0.1:\d+/guessed\nBADKEY\n    sftdyn: [\d ,:-]+BADKEY from 127.0.0.1\n\n"
    assert re.search(step, result.stdout), result.stdout  # each command, its answer, and then what was logged


def test_the_demo_serves_until_the_end_of_its_input() -> None:
    command = [sys.executable, "-m", "tests.lab.tour"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        assert demo.stdin
        curl = next(line for line in demo.stdout if line.startswith("  curl ")).split()[1]
        answer = subprocess.run(["curl", "-s", curl], capture_output=True, text=True, timeout=20, check=False)
        assert answer.stdout == "UPTODATE"
        demo.stdin.close()
        demo.stdout.read()
    assert demo.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_cleans_up_when_it_is_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    command, env = [sys.executable, "-m", "tests.lab.tour"], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        next(line for line in demo.stdout if line.startswith("  dig "))
        assert processes_in(tmp_path)
        demo.send_signal(number)
        demo.wait(20)
    assert not processes_in(tmp_path)
    assert not list(tmp_path.iterdir())


def processes_in(folder: Path) -> str:
    return subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True, timeout=20, check=False).stdout
