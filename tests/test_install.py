"""What ./tests/run and ./etc/demo install leaves the machine as it was. In a bare Debian of its own, as root."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

INSTALL = Path(__file__).with_name("install")
PACKAGES = "bind9 nginx-light fail2ban ddclient inadyn procps haproxy caddy apache2 knot pdns-server"
POLICY = "/usr/sbin/policy-rc.d"

pytestmark = [pytest.mark.extra, pytest.mark.xdist_group("debootstrap")]  # one at a time
SUDO = ["sudo"] if os.geteuid() else []


def as_root(*command: str) -> str:
    """What it prints."""
    done = subprocess.run([*SUDO, *command], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def debootstrap(release: str, root: Path, *options: str) -> None:
    """Make the root of a minimal Debian; again, where a mirror did not answer."""
    command = [*SUDO, "debootstrap", "--variant=minbase", *options, release, str(root)]
    for _ in range(2):
        if subprocess.run(command, capture_output=True, timeout=600, check=False).returncode == 0:
            return
        as_root("rm", "-rf", "--one-file-system", str(root))
    as_root(*command)


def inside(root: Path, script: str) -> str:
    """What a script prints in that Debian; whatever it started ends with it."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot", str(root), "sh", "-euc"]
    return as_root(*command, f"mount -t proc proc /proc\n{script}")


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make the root of a minimal Debian with systemd, and with ./tests/install as /install."""
    root = tmp_path / "debian"

    def make(release: str) -> Path:
        debootstrap(release, root, "--include=systemd-sysv,python3")
        as_root("cp", str(INSTALL), f"{root}/install")
        return root

    yield make
    as_root("rm", "-rf", "--one-file-system", str(root))


@pytest.mark.parametrize(("release", "policy"), [("bookworm", ""), ("trixie", "exit 104")])
def test_what_is_installed_is_neither_started_nor_enabled(
    debian: Callable[[str], Path], release: str, policy: str
) -> None:
    root = debian(release)
    if policy:
        inside(root, f"printf '#!/bin/sh\\n{policy}\\n' >{POLICY}; chmod 755 {POLICY}")
    installed = inside(root, f"./install {PACKAGES} 2>&1\necho; echo RUNNING; ps -e -o comm=")
    assert "policy-rc.d denied execution of start" in installed
    assert "Created symlink" not in installed
    assert installed.partition("RUNNING\n")[2].split() == ["sh", "ps"]
    services = ("named", "nginx", "fail2ban", "ddclient", "inadyn", "haproxy", "caddy", "apache2", "knot", "pdns")
    enabled = {one: inside(root, f"systemctl is-enabled {one} || true").strip() for one in services}
    assert enabled == dict.fromkeys(services, "disabled")
    assert inside(root, f"cat {POLICY} || true").splitlines()[1:] == policy.splitlines()
    assert inside(root, f"ls {POLICY}.* /run/systemd/system-preset/* || true").split() == []
