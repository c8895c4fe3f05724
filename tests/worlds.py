"""Runs scenarios in networks and with mounts of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.machine import ROOT

SECONDS = 120.0  # that a scenario may take


def run_scenario(module: str, name: str, folder: Path) -> None:
    """In a world of its own; what it says where it fails is the failure. Skips where none can be made."""
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", "ip link set lo up && nft list tables"],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip(f"no network and mount namespace of its own here: {probe.stderr.strip()}")
    inside = [sys.executable, "-m", "tests.lab.world", module, name, str(folder)]
    command = ["unshare", "--net", "--mount", *inside]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
