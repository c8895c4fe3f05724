"""What a newcomer installs, as far as that can be seen without installing it: ./tests/machine does that."""

import subprocess
from pathlib import Path

import pytest

import sftdyn
from tests.lab.machine import ROOT


def run(*command: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_copy_of_the_folder_is_an_installation(tmp_path: Path) -> None:
    """With Debian's own Python, which has seen no pip; started from anywhere, by a link."""
    assert run("cp", "-r", "--parents", "bin", "sftdyn", "etc/clients", str(tmp_path)).returncode == 0
    (tmp_path / "link").symlink_to(tmp_path / "bin/sftdyn")
    link, elsewhere = str(tmp_path / "link"), Path("/")
    assert run(link, "--version", folder=elsewhere).stdout == f"sftdyn {sftdyn.__version__}\n"
    assert "--- FRITZ!Box" in run(link, "--new-key", "home.dyn.example", "fritzbox", folder=elsewhere).stdout


@pytest.mark.parametrize("arguments", [[], ["dyn.example"], ["--cloudflare"], ["--own", "eth0"], list("abcd")])
def test_the_installer_says_how_it_is_called(arguments: list[str]) -> None:
    for command, folder in (("./etc/install", ROOT), ("./install", ROOT / "etc")):
        said = run(command, *arguments, folder=folder)
        assert said.returncode == 2
        assert "./etc/install ZONE IPV4 [IPV6]" in said.stderr


@pytest.mark.parametrize("script", ["etc/install", "etc/demo", "tests/machine", "tests/install"])
def test_scripts_are_ones(script: str) -> None:
    assert run("sh", "-n", script).returncode == 0
