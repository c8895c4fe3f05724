"""`etc/install --letsencrypt` on a booted Debian: certbot, BIND, and pebble, which is Let's Encrypt's own test server.

./tests/machine runs it as its part "certificate". Prints a line for each step; exits with 1 if one failed.
"""

import json
import shutil
import sys
import time

from tests.booted import IPV4, Failed, Machine, wait_until
from tests.lab.machine import find_program
from tests.machine import (
    CUT_SHORT,
    KEY,
    Step,
    answer,
    blocks,
    check,
    fingerprint,
    found,
    installed,
    nothing_is_left,
    the_program,
    the_zone,
    typed,
)
from tests.machine_package import main

ZONE = "dyn.example.org"
DIRECTORY, ROOTS = "https://localhost:14000/dir", "https://localhost:15000/roots/0"
SAID = {
    "listenAddress": "127.0.0.1:14000",
    "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/root/ca/tls.crt",
    "privateKey": "/root/ca/tls.key",
    "httpPort": 80,
    "tlsPort": 443,
}
COMMAND = f"./etc/install {ZONE} 203.0.113.10 2001:db8::10"
CERTIFIED = f"{COMMAND} --letsencrypt admin@example.org --server {DIRECTORY}"
PARENT = f"""cd /var/lib/bind
printf '$TTL 60\\n@ SOA ns hostmaster 1 3600 600 86400 60\\n@ NS ns\\nns A {IPV4}\\ndyn NS dyn\\ndyn A {IPV4}\\n' >db.parent
echo 'zone "example.org" {{ type primary; file "/var/lib/bind/db.parent"; }};' >>/etc/bind/named.conf.local
systemctl reload named
"""


def an_authority(machine: Machine) -> str:
    """Let's Encrypt's place is taken"""
    folder = machine.root / "root/ca"
    folder.mkdir()
    shutil.copy(find_program("pebble", "pebble"), folder)
    (folder / "conf").write_text(json.dumps({"pebble": SAID}))
    machine.sh(
        """apt-get install python3 openssl curl
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \\
            -addext subjectAltName=DNS:localhost -keyout /root/ca/tls.key -out /root/ca/tls.crt
        cp /root/ca/tls.crt /usr/local/share/ca-certificates/authority.crt; update-ca-certificates
        systemd-run -q --unit=pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0 -E PEBBLE_AUTHZREUSE=0 \\
            /root/ca/pebble -config /root/ca/conf -dnsserver 127.0.0.1:53"""
    )
    took = wait_until(lambda: not machine.says(f"curl -sS {DIRECTORY}").returncode, "the authority answers")
    machine.sh(f"curl -sS {ROOTS} -o /root/ca/root.pem")
    return f"it answers after {took:.1f} s"


def trusted(machine: Machine, url: str) -> str:
    """What a visitor gets who trusts that authority alone."""
    return answer(machine, url, "--cacert", str(machine.root / "root/ca/root.pem"))


def not_found_yet(machine: Machine) -> str:
    """Where nobody finds the zone"""
    said = machine.sh(CERTIFIED)
    check(
        f"nobody finds {ZONE} yet: the zone above has no NS records" in said and "the same command again" in said, said
    )
    url = found(r"^(https://\S+)$", said)
    check(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt")) == "OK", said)
    check("certbot" not in machine.sh("ls /usr/bin"), "certbot was installed for nothing")
    return "it says so, and serves with a certificate of its own"


def found_now(machine: Machine) -> str:
    """And again, where the zone above sends the world here"""
    before = fingerprint(machine, 4443)
    machine.sh(PARENT)
    start = time.monotonic()
    said = machine.sh(CERTIFIED)
    took = time.monotonic() - start
    url = found(r"^(https://\S+)$", said)
    check(trusted(machine, url) in ("OK", "UPTODATE") and fingerprint(machine, 4443) != before, said)
    left = machine.says(f"dig +short @127.0.0.1 _acme-challenge.{ZONE} TXT").stdout
    check(left == "", left)
    return f"{took:.0f} s; a visitor who trusts the authority alone has its OK"


def its_key(machine: Machine) -> str:
    """What its key may change"""
    change = "printf 'server 127.0.0.1\\nzone dyn.example.org\\nupdate add {} 60 {}\\nsend\\n' | nsupdate -k {} 2>&1"
    key = f"/etc/bind/sftdyn-acme.{ZONE}.key"
    for name, data in (("home.dyn.example.org", "A 192.0.2.1"), ("home.dyn.example.org", "TXT x")):
        refused = machine.says(change.format(name, data, key))
        check("REFUSED" in refused.stdout, refused.stdout)
    modes = machine.sh(f"stat -c '%a %U %G' {key} /etc/sftdyn/acme.ini /etc/sftdyn/server.key").splitlines()
    check(modes == ["640 root bind", "600 root root", "640 root bind"], modes)
    return "no address, and no TXT elsewhere"


def a_second_run(machine: Machine) -> str:
    """And once more, with the option and without"""
    before = installed(machine)
    for command in (CERTIFIED, COMMAND):
        said = machine.sh(command)
        check(installed(machine) == before, said)
    return "nothing changes"


def a_renewal(machine: Machine) -> str:
    """certbot renews"""
    pid, before = machine.sh("systemctl show -p MainPID sftdyn"), fingerprint(machine, 4443)
    said = machine.sh("certbot renew --force-renewal --no-random-sleep-on-renew 2>&1")
    took = wait_until(lambda: fingerprint(machine, 4443) not in ("", before), "the new one is used", 15)
    check(machine.sh("systemctl show -p MainPID sftdyn") == pid, said)
    check(machine.sh("systemctl is-enabled certbot.timer") == "enabled\n", said)
    return f"sftdyn uses it after {took:.1f} s, without a restart"


def the_end(machine: Machine) -> str:
    """--uninstall"""
    said = machine.sh(f"./etc/install --uninstall {ZONE}")
    check(f"the certificate {ZONE} of certbot" in said.partition("# What stays")[0], said)
    nothing_is_left(machine)
    check("No certificates found" in machine.sh("certbot certificates 2>&1"), said)
    return "the certificate, its key and its hook go, too"


def at_once(machine: Machine) -> str:
    """On a machine that has nothing yet, where the zone above is ready"""
    said = machine.sh(CERTIFIED)
    url = found(r"^(https://\S+)$", said)
    check(trusted(machine, url) == "OK", said)
    the_end(machine)
    return "the visitor's OK; --uninstall left nothing"


def cut_short(machine: Machine) -> str:
    """Cut short before each of its commands, and again from there"""
    (machine.root / "root/cut").write_text(CUT_SHORT)
    machine.sh(COMMAND)
    for number in range(1, 60):
        done = machine.says(f"sh /root/cut {number} {CERTIFIED.removeprefix('./etc/install ')}")
        check(done.returncode in (0, 99), done.stdout)
        if done.returncode == 0:
            url = found(r"^(https://\S+)$", done.stdout)
            check(trusted(machine, url) in ("OK", "UPTODATE"), done.stdout)
            the_end(machine)
            return f"{number} runs"
    raise Failed("it does not end")


def by_hand(machine: Machine) -> str:
    """4. HTTPS, without port 80"""
    for step in (the_zone, the_program):
        step(machine)
    typed(machine, *blocks("5. The service"))
    _, _, hook, commands = blocks("4. HTTPS")
    asks = f"certbot certonly --server {DIRECTORY} --non-interactive --agree-tos --email admin@example.org"
    said = typed(machine, commands.replace("certbot certonly", asks))
    typed(machine, hook)
    got = trusted(machine, f"https://{ZONE}:4443/{KEY}")
    check(got in ("OK", "UPTODATE"), said + got)
    return "the paper's lines get one, too"


STEPS: list[Step] = [
    an_authority,
    not_found_yet,
    found_now,
    its_key,
    a_second_run,
    a_renewal,
    the_end,
    at_once,
    cut_short,
    by_hand,
]


if __name__ == "__main__":
    sys.exit(main("certificate", set(), STEPS))
