"""Drop-in for 0.10: its sample conf, unchanged."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.machine import ROOT


@pytest.fixture(scope="session")
def old_sample_conf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """etc/sample.conf of sftdyn 0.10, as the package index has it."""
    folder = tmp_path_factory.mktemp("old")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "sftdyn==0.10"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        sample = archive.extractfile("sftdyn-0.10/etc/sample.conf")
        assert sample
        return sample.read().decode()


def test_the_sample_conf_of_0_10_runs_unchanged(serve: ServeFixture, old_sample_conf: str, tmp_path: Path) -> None:
    """Its names are in dyn.sft.mx, updated with the session key of the local name server, in a network of its own."""
    conf = tmp_path / "sample.conf"
    conf.write_text(old_sample_conf)
    script = ROOT / "tests/in_own_network"
    result = subprocess.run(
        [str(script), sys.executable, str(conf)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == [
        *("OK", "127.0.0.1", "UPTODATE", "OK", "127.0.0.2", "BADKEY", "127.0.0.1"),
        *("OK", "127.0.0.1", "OK", "127.0.0.1", "OK", "::1", "OK", "127.0.0.1", "OK", "127.0.0.3", "OK"),
    ]
