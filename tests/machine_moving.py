"""Walks through docs/moving.md on a booted Debian: what was there before is really there, and the paper's lines are typed.

./tests/machine runs it as its part "moving". Prints a line for each step; exits with 1 if one failed.
"""

import shlex
import subprocess
import sys

from tests.booted import IPV4, IPV6, Machine, call
from tests.machine import CONF, KEY, ROOT, Step, answer, blocks, check, found, typed
from tests.machine_package import main

MOVING = (ROOT / "docs/moving.md").read_text()
NEEDED = {
    "ddclient",
    "libio-socket-ssl-perl",
    "python3-aiohttp",
    "python3-pip",
    "python3-setuptools",
    "python3-venv",
    "python3-wheel",
}
OLD = "/root/old"  # 1.1
PYTHON = ROOT / "tests/.venv/bin/python"  # ./tests/run makes it, with what pip needs to look at an old package
SAMPLE_KEY = "example"  # of 0.10's sample conf


def paper(title: str) -> str:
    """The commands below a heading."""
    return "".join(blocks(title, paper=MOVING))


def is_well(said: str) -> bool:
    return said in ("OK", "UPTODATE")


def from_1_1(machine: Machine) -> str:
    """From 1.1, by its etc/install"""
    commits = call(
        "git", "-C", str(ROOT), "log", "--format=%H", "-S", '__version__ = "1.1"', "--", "sftdyn/__init__.py"
    )
    (machine.root / OLD[1:]).mkdir()
    archive = f"git -C {shlex.quote(str(ROOT))} archive {commits.split()[-1]} | tar -x -C {machine.root}{OLD}"
    call("sh", "-c", archive)
    command = paper("1.0 and 1.1, by etc/install or step by step")
    url = found(r"^(https://\S+)$", machine.sh(f"cd {OLD}; {command}"))
    before = machine.sh(f"cat {CONF} /var/lib/bind/db.dyn.example.org; sha256sum /etc/sftdyn/server.*")
    said = machine.sh(command)
    check("takes the place of 1.1." in said, said)
    check(is_well(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt"))), said)
    check(machine.sh(f"cat {CONF} /var/lib/bind/db.dyn.example.org; sha256sum /etc/sftdyn/server.*") == before, said)
    machine.sh("cmp sftdyn.service /etc/systemd/system/sftdyn.service")
    machine.sh("./etc/install --uninstall")
    left = machine.sh("ls -A /etc/sftdyn; rm -r /etc/sftdyn")
    check(left.split() == ["server.crt", "server.key"], left)  # it did not note what they were
    return "the router's URL works, and conf, zone and certificate are as they were"


def step_by_step(machine: Machine) -> str:
    """From 1.1, step by step"""
    steps = (machine.root / f"{OLD[1:]}/docs/setup.md").read_text()
    old = [blocks(title, paper=steps)[0] for title in ("1. The zone", "3. sftdyn", "4. HTTPS", "5. The service")]
    conf = [blocks(title, "python", paper=steps)[0] for title in ("3. sftdyn", "4. HTTPS")]
    typed(machine, f"cd {OLD}\n", *(f"cd {OLD}\n{text}" for text in old[:3]))
    (machine.root / CONF[1:]).write_text("".join(conf))
    typed(machine, f"cd {OLD}\n{old[3]}")
    said = machine.sh("./etc/install dyn.example 203.0.113.10 2001:db8::10")
    check(is_well(answer(machine, f"http://dyn.example:8080/{KEY}")), said)
    check(machine.sh(f"cat {CONF}") == "".join(conf) and "takes the place of 1.1." in said, said)
    machine.sh("./etc/install --uninstall; rm -r /etc/sftdyn")
    return "the same; nobody asked about the zone, which was there"


def from_pip(machine: Machine) -> str:
    """From pip, in /opt/sftdyn"""
    pip = "/opt/sftdyn/bin/pip install -q --no-index --no-build-isolation"
    (machine.root / "etc/sftdyn").mkdir()
    (machine.root / CONF[1:]).write_text(f'http = 8080\nclients["{KEY}"] = "home.dyn.example.org"\n')
    machine.sh(
        f"""apt-get install -q --no-install-recommends python3-venv python3-setuptools python3-wheel
        python3 -m venv --system-site-packages /opt/sftdyn; {pip} {OLD}
        cp {OLD}/sftdyn.service /etc/systemd/system; systemctl daemon-reload; systemctl enable --now sftdyn"""
    )
    check(is_well(answer(machine, f"http://dyn.example.org:8080/{KEY}")), "the old one does not work")
    commands = paper("From pip, in /opt/sftdyn")
    refused = machine.says(commands.splitlines()[-1])
    check(refused.returncode and 'docs/moving.md, "From an older sftdyn"' in refused.stdout, refused.stdout)
    said = machine.sh(commands)
    check(is_well(answer(machine, f"http://dyn.example.org:8080/{KEY}")), said)
    machine.sh("test -f /opt/sftdyn/bin/sftdyn; ./etc/install --uninstall; rm -r /etc/sftdyn")
    return "the installer says where the way stands; the URL works"


def from_0_10(machine: Machine) -> str:
    """From 0.10, with its sample conf"""
    python = PYTHON if PYTHON.exists() else sys.executable
    download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "sftdyn==0.10"]
    subprocess.run([*download, "-d", str(machine.root / "root")], check=True, timeout=120)
    machine.sh(
        """apt-get install -q --no-install-recommends python3-pip python3-aiohttp; cd /root; tar xf sftdyn-0.10.tar.gz
        pip3 install -q --break-system-packages --no-index --no-build-isolation --no-deps ./sftdyn-0.10
        mkdir /etc/sftdyn; sed s/dyn.sft.mx/dyn.example.org/ sftdyn-0.10/etc/sample.conf >/etc/sftdyn/conf
        chmod 600 /etc/sftdyn/conf; chown bind /etc/sftdyn/conf
        sed s/User=named/User=bind/ sftdyn-0.10/etc/sftdyn.service >/usr/lib/systemd/system/sftdyn.service
        systemctl daemon-reload; systemctl enable --now sftdyn; sleep 2"""
    )
    url = f"http://dyn.example.org:8080/{SAMPLE_KEY}"
    check(is_well(answer(machine, url)), machine.says("journalctl -u sftdyn -n 30").stdout)
    before = machine.sh(f"cat {CONF}")
    commands = paper("0.10")
    refused = machine.says(commands.splitlines()[-1])
    check(refused.returncode and "from a package or from pip" in refused.stdout, refused.stdout)
    said = machine.sh(commands)
    check(is_well(answer(machine, url, "-g")) and machine.sh(f"cat {CONF}") == before, said)
    check("is ready" in machine.sh("journalctl -u sftdyn -o cat -n 20"), said)
    machine.sh("./etc/install --uninstall; rm -r /etc/sftdyn")
    return "CLIENTS and the hooks work as they are"


def a_dyndns2_client(machine: Machine) -> str:
    """ddclient, which was at nsupdate.info"""
    machine.sh("./etc/install dyn.example.org 203.0.113.10 2001:db8::10")
    title = "nsupdate.info, dyndns.org, or another service of their kind"
    _, lines = blocks(title, "", paper=MOVING)
    key = found(r'^clients\["([0-9a-f]+)"\]', machine.sh(f"cat {CONF}"))
    (machine.root / "root/ddclient.conf").write_text(lines.replace(KEY, key))
    machine.sh(
        """export DEBIAN_FRONTEND=noninteractive; apt-get install -q --no-install-recommends ddclient libio-socket-ssl-perl
        cp /etc/sftdyn/server.crt /etc/sftdyn.crt; chmod 600 /root/ddclient.conf"""
    )
    said = machine.says(
        "ddclient -daemon=0 -noquiet -verbose -file /root/ddclient.conf -cache /root/ddclient.cache"
    ).stdout
    seen = machine.visit("dig", "+short", f"@{IPV4}", "home.dyn.example.org", "AAAA").stdout.strip()
    check("SUCCESS" in said and seen == IPV6, said)  # by which address it called, the resolver has chosen
    return "its lines report SUCCESS, and the name is there"


STEPS: list[Step] = [from_1_1, step_by_step, from_pip, from_0_10, a_dyndns2_client]


if __name__ == "__main__":
    sys.exit(main("moving", NEEDED, STEPS))
