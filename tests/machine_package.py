"""The Debian package on a booted Debian: built, installed, tried, upgraded, removed and purged there.

./tests/machine runs it as its part "package". Prints a line for each step; exits with 1 if one failed.
"""

import re
import signal
import sys
import tempfile
from pathlib import Path

from tests.booted import RELEASES, Machine, pristine, wait_until
from tests.machine import CONF, ROOT, Step, check, found, packages, walk

NEEDED = {"autopkgtest", "ca-certificates", "dpkg-dev", "lintian", "make"}
URL = "http://127.0.0.1:8080"


def build_dependencies() -> set[str]:
    """Of the package."""
    text = (ROOT / "debian/control").read_text()
    wanted = {line.split()[0].rstrip(",") for line in found(r"^Build-Depends:\n((?: .*\n)+)", text).splitlines()}
    virtual = {"debhelper-compat": "debhelper", "dh-sequence-installsysusers": "debhelper"}
    return {virtual.get(name, name) for name in wanted} - {"dh-sequence-python3"}  # dh-python's


def asked(machine: Machine, target: str) -> str:
    """What the server says to its own machine."""
    return machine.says(f"curl -sS --max-time 20 '{URL}/{target}'").stdout


def conf(machine: Machine) -> str:
    """What the conf says, and who may read it."""
    return machine.sh(f"stat -c '%U %G %a' {CONF}; cat {CONF}")


def key(machine: Machine) -> str:
    return found(r'^clients\["([0-9a-f]+)"\]', conf(machine))


def build(machine: Machine) -> str:
    """./debian/build"""
    other = "mkdir /root/bin; printf '#!/bin/sh\\nexit 1\\n' >/root/bin/python3; chmod +x /root/bin/python3"
    said = machine.sh(f"{other}; PATH=/root/bin:$PATH ./debian/build")  # as with pyenv
    check(not re.search("^[A-Z]: sftdyn", said, re.MULTILINE), said)
    size = machine.sh("stat -c %s dist/*.deb").strip()
    return f"{found('([^/]*deb)$', said.strip())} has {size} octets; lintian has nothing to say"


def install(machine: Machine) -> str:
    """apt install"""
    machine.sh("apt-get install -q --no-install-recommends ./dist/sftdyn_*.deb")
    listed = machine.sh("dpkg -L sftdyn")
    check("test" not in listed and "bench" not in listed, listed)
    there = machine.says("grep -r /opt/sftdyn/bin /usr/share/doc/sftdyn/docs /lib/systemd/system/sftdyn*").stdout
    check(not there, there)
    check(machine.says("systemctl is-enabled sftdyn.service sftdyn.socket").stdout == "disabled\n" * 2, "enabled")
    check(machine.says("systemctl is-active sftdyn.service sftdyn.socket").stdout == "inactive\n" * 2, "active")
    check(conf(machine).startswith("root bind 640\n"), conf(machine))
    machine.sh("sftdyn --new-key home.dyn.example | grep FRITZ; systemctl cat sftdyn | grep /usr/bin/sftdyn")
    return f"{len(listed.splitlines())} files and folders, no tests; neither enabled nor started"


def autopkgtest(machine: Machine) -> str:
    """autopkgtest, with a BIND"""
    machine.sh("apt-get install -q --no-install-recommends autopkgtest dpkg-dev")
    machine.sh(
        "mkdir /tmp/built; cp -r debian /tmp/built; zcat /usr/share/doc/sftdyn/changelog.gz >/tmp/built/debian/changelog"
    )
    ignored = "--ignore-restrictions=isolation-container"  # this machine is one, and its own
    tested = machine.says(f"autopkgtest {ignored} --no-built-binaries dist/*.deb /tmp/built// -- null")
    check(tested.returncode == 0, tested.stdout[-5000:])
    return found(r"^(updates-bind +PASS)", tested.stdout)


def upgrade(machine: Machine) -> str:
    """An upgrade, with the conf of its owner"""
    machine.sh(f"chmod 600 {CONF}; chown bind {CONF}; echo '# mine' >>{CONF}")
    before, pid = conf(machine), machine.sh("systemctl show -p MainPID sftdyn")
    machine.sh(
        "dpkg-deb -R dist/*.deb newer; sed -i 's/^Version: /&9/' newer/DEBIAN/control; dpkg-deb -b newer newer.deb"
    )
    machine.sh("apt-get install -q --no-install-recommends ./newer.deb")
    wait_until(lambda: asked(machine, key(machine)) in ("OK", "UPTODATE"), "it serves again", 20)
    check(conf(machine) == before, conf(machine))
    check(machine.sh("systemctl show -p MainPID sftdyn") != pid, "the old one still runs")
    return "the conf is as it was, the service runs anew"


def upgrade_with_socket(machine: Machine) -> str:
    """An upgrade, with the ports opened by systemd"""
    machine.sh("systemctl disable --now sftdyn; systemctl enable --now sftdyn.socket")
    used = key(machine)
    check(asked(machine, used) in ("OK", "UPTODATE"), "no answer by the socket")
    pid = machine.sh("systemctl show -p MainPID sftdyn")
    machine.sh("apt-get install -q --reinstall ./newer.deb")
    check(asked(machine, used) in ("OK", "UPTODATE"), "no answer after the upgrade")
    check(machine.sh("systemctl show -p MainPID sftdyn") != pid, "the old one still runs")
    return "the ports stayed, the service runs anew"


def remove(machine: Machine) -> str:
    """apt remove, and again an install"""
    before = conf(machine)
    machine.sh("apt-get remove -q sftdyn")
    check("refused" in asked(machine, "") or "connect" in asked(machine, ""), asked(machine, ""))
    check(conf(machine) == before, conf(machine))
    machine.sh("apt-get install -q --no-install-recommends ./newer.deb")
    check(conf(machine) == before, conf(machine))
    return "the conf is as it was, and nothing listens"


def purge(machine: Machine) -> str:
    """apt purge, also beside a copy in /opt, which lives from the same conf"""
    before = conf(machine)
    copy = "cp -r --parents bin sftdyn etc/clients /opt/sftdyn"
    machine.sh(f"mkdir /opt/sftdyn; {copy}; apt-get purge -q sftdyn")
    check(conf(machine) == before, conf(machine))
    machine.sh("rm -r /opt/sftdyn; apt-get install -q --no-install-recommends ./newer.deb; apt-get purge -q sftdyn")
    places = "-not -path '/root/*' -not -path '/tmp/*' -not -path '/var/log/*'"
    left = machine.says(f"find / -xdev -name '*sftdyn*' {places}").stdout
    check(not left, left)
    return "nothing is left"


STEPS: list[Step] = [build, install, autopkgtest, upgrade, upgrade_with_socket, remove, purge]


def on_a_machine(release: str, part: str, needed: set[str], steps: list[Step]) -> int:
    """Boot one of its own for a part, which needs these packages beside the papers'; how many of its steps failed."""
    tree = pristine(release, packages() | needed)
    with tempfile.TemporaryDirectory(prefix=f"{part}-", dir=tree.parent) as folder:
        machine = Machine(tree, Path(folder) / "root")
        try:
            print(f"# Debian {release}, {part}: up after {machine.boot():.1f} s", flush=True)
            return walk(machine, steps)
        finally:
            machine.switch_off()
            machine.remove()


def main(part: str, needed: set[str], steps: list[Step]) -> int:
    """Each Debian that is named, or all."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # no machine stays behind
    releases = [word for word in sys.argv[1:] if word in RELEASES]
    return 1 if sum(on_a_machine(release, part, needed, steps) for release in releases or RELEASES) else 0


if __name__ == "__main__":
    sys.exit(main("package", build_dependencies() | NEEDED, STEPS))
