"""What drill and bench show of how far they are."""

import subprocess
import sys

from tests.lab.machine import ROOT

DRILL = """
import time
from tests.lab.progress import Progress
with Progress() as progress:
    progress.now("2 of 3  fuzz")
    progress.at(42, 100)
    time.sleep(1.5)
    progress.say("it went well")
"""
COMMAND = [sys.executable, "-c", DRILL]


def test_a_terminal_sees_how_far_it_is() -> None:
    in_terminal = [sys.executable, "-c", f"import pty; pty.spawn({COMMAND!r})"]
    shown = subprocess.run(in_terminal, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "\x1b[K0:01  2 of 3  fuzz  42%" in shown
    assert "\x1b[Kit went well" in shown
    assert shown.endswith("\x1b[K")


def test_a_file_gets_the_results_alone() -> None:
    ran = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("it went well\n", "")
