"""Walks through README and docs/setup.md on a booted Debian: their commands are taken out of the text and typed there.

Each part has a machine of its own: "steps" is what the papers say step by step, and what can happen to the service;
"installer" is the one command; "cloudflare" is the same without a name server, against the API that stands in for
Cloudflare. Prints a line for each step; exits with 1 if one failed.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

from tests.booted import IPV4, IPV6, RELEASES, VISITOR, VISITOR6, Failed, Machine, call, pristine, wait_until

ROOT = Path(__file__).parent.parent
README, SETUP = (ROOT / "README.md").read_text(), (ROOT / "docs/setup.md").read_text()
CONF = "/etc/sftdyn/conf"
NEVER_ENDS = re.compile("^journalctl .* -f$", re.MULTILINE)
EXPOSURE = 1.1  # of `systemd-analyze security`, at most
CLOCK = ["--max-time", "20"]

# Asks for the URL from several threads for so many seconds, then prints each kind of answer with its number.
LOAD = """
import collections, sys, threading, time, urllib.request
seen, end = collections.Counter(), time.monotonic() + float(sys.argv[2])
def ask():
    while time.monotonic() < end:
        try:
            seen[urllib.request.urlopen(sys.argv[1], timeout=30).read().decode()] += 1
        except OSError as error:
            seen[repr(error)] += 1
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(dict(seen))
"""


def check(holds: object, seen: object) -> None:
    """Raises Failed with what was seen, if it does not hold."""
    if not holds:
        raise Failed(str(seen))


def found(pattern: str, text: str) -> str:
    """What the group of a pattern is in a text. Raises Failed."""
    match = re.search(pattern, text, re.MULTILINE)
    check(match, f"{pattern} is not in:\n{text}")
    assert match
    return match[1]


# What the papers say


KEY = found(r"^    http://dyn.example.org:8080/(\w+)$", SETUP)


def blocks(title: str, language: str = "sh", paper: str = SETUP) -> list[str]:
    """The blocks below a heading, until the next one of any kind."""
    outside = re.split(r"^(#+ .*)$", re.sub(r"(?ms)^```.*?^```$", _hide, paper), flags=re.MULTILINE)
    text = next(body for head, body in zip(outside[1::2], outside[2::2], strict=True) if head.lstrip("# ") == title)
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text.replace("\x01", "#"))


def _hide(block: "re.Match[str]") -> str:
    """Comments in a block are no headings."""
    return block[0].replace("#", "\x01")


def typed(machine: Machine, *commands: str) -> str:
    """What the papers' commands print."""
    return "".join(machine.sh(NEVER_ENDS.sub("", text)) for text in commands)


def packages() -> set[str]:
    """All that the papers and the installer install."""
    said = re.findall("^ *(?:apt install|packages) (.*)$", SETUP + (ROOT / "etc/install").read_text(), re.MULTILINE)
    return {word for line in said for word in line.split()}


# What a visitor sees


def answer(machine: Machine, url: str, *options: str, address: str = IPV4) -> str:
    """What the visitor gets from the server of the papers, or curl's complaint."""
    return machine.visit("curl", "-sS", *CLOCK, "--connect-to", f"::{address}:", *options, url).stdout


def calls(machine: Machine, address: str = "", port: int = 8080) -> str:
    """The answer to the router's URL."""
    return answer(machine, f"http://dyn.example.org:{port}/{KEY}{address and '?myip=' + address}")


def works(machine: Machine, port: int = 8080) -> bool:
    return calls(machine, port=port) in ("OK", "UPTODATE")


def published(machine: Machine, kind: str = "A") -> str:
    return machine.visit("dig", "+short", f"@{IPV4}", "home.dyn.example.org", kind).stdout.strip()


def fingerprint(machine: Machine, port: int) -> str:
    """Of the certificate that the visitor is shown."""
    shown = f"openssl s_client -connect {IPV4}:{port} </dev/null 2>&1 | openssl x509 -noout -fingerprint"
    return machine.visit("sh", "-c", shown).stdout


def exposure(machine: Machine, unit: str = "sftdyn.service") -> float:
    said = machine.sh(f"systemd-analyze security --no-pager {unit}")
    value = float(found(rf"exposure level for {unit}: ([0-9.]+)", said))
    check(value <= EXPOSURE, said)
    return value


def new_certificate(machine: Machine) -> None:
    """What certbot leaves behind, before it calls its hooks."""
    live = "/etc/letsencrypt/live/dyn.example.org"
    machine.sh(
        f"mkdir -p {live} /etc/letsencrypt/renewal-hooks/deploy; openssl req -x509 -newkey ec "
        f"-pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=dyn.example.org -keyout {live}/privkey.pem -out {live}/fullchain.pem"
    )


def change_conf(machine: Machine, line: str) -> None:
    """One more line for the conf; an empty one takes the last one away again."""
    machine.sh(f"echo '{line}' >>{CONF}" if line else f"sed -i '$d' {CONF}")


# By the papers, step by step


def the_zone(machine: Machine) -> str:
    """1. The zone"""
    typed(machine, *blocks("1. The zone"))
    seen = machine.visit("dig", "+short", f"@{IPV4}", "dyn.example.org", "AAAA").stdout
    check(seen.strip() == IPV6, seen)
    return "the visitor finds it"


def the_program(machine: Machine) -> str:
    """3. sftdyn, 4. HTTPS"""
    copy, look = blocks("3. sftdyn")
    typed(machine, copy)
    selfsigned, *_ = blocks("4. HTTPS")
    typed(machine, selfsigned)
    text = blocks("3. sftdyn", "python") + blocks("4. HTTPS", "python")
    (machine.root / CONF[1:]).write_text("".join(text))
    said = typed(machine, look)
    check("https://*:4443" in said, said)
    return "--check: " + ", ".join(re.findall("listens on: (.*)", said))


def the_service(machine: Machine) -> str:
    """5. The service, 6. The router, 7. A computer"""
    typed(machine, *blocks("5. The service"))
    check(calls(machine) == "OK", machine.says("journalctl -u sftdyn").stdout)
    check(published(machine) == VISITOR, published(machine))
    _, curl = blocks("7. A computer")
    options = [word for word in curl.split()[1:] if word != "server.crt" and not word.startswith("https:")]
    options.insert(options.index("--cacert") + 1, str(machine.root / "etc/sftdyn/server.crt"))
    said = answer(machine, curl.split()[-1], *options, address=f"[{IPV6}]")
    check((said, published(machine, "AAAA")) == ("OK", VISITOR6), said)
    return f"OK over HTTP and HTTPS, IPv4 and IPv6; exposure {exposure(machine)}"


def the_timer(machine: Machine) -> str:
    """A systemd timer"""
    machine.sh("cp /etc/sftdyn/server.crt server.crt")
    typed(machine, *blocks("A systemd timer"))
    took = wait_until(lambda: published(machine) == IPV4, "the timer has called", 60)
    machine.sh("systemctl disable --now dyndns.timer")
    check(calls(machine) == "OK", published(machine))
    return f"it called after {took:.0f} s"


def a_kill(machine: Machine) -> str:
    """kill -9"""
    machine.sh("systemctl kill --signal=KILL sftdyn")
    return f"answers again after {wait_until(lambda: works(machine), 'it answers', 20):.1f} s"


def a_hang(machine: Machine) -> str:
    """It hangs"""
    machine.sh("kill -STOP $(systemctl show --value -p MainPID sftdyn)")
    took = wait_until(lambda: works(machine), "the watchdog has restarted it", 120)
    return f"answers again after {took:.0f} s, by the watchdog"


def a_reload(machine: Machine) -> str:
    """Reload, and a reload of a broken conf"""
    change_conf(machine, 'clients["another key, long enough"] = "more.dyn.example.org"')
    machine.sh("systemctl reload sftdyn")
    url = "http://dyn.example.org:8080/another%20key,%20long%20enough"
    wait_until(lambda: answer(machine, url) in ("OK", "UPTODATE"), "the new client is known", 10)
    change_conf(machine, "htps = 1")
    refused = machine.says("systemctl reload sftdyn")
    said = machine.says("systemctl status --no-pager sftdyn").stdout
    check(refused.returncode and "did you mean https?" in said and works(machine), said)
    change_conf(machine, "")
    machine.sh("systemctl reload sftdyn")
    return f"the broken one ends with {refused.returncode}, and the service goes on"


def a_broken_start(machine: Machine) -> str:
    """A start with a broken conf"""
    change_conf(machine, "htps = 1")
    check(machine.says("systemctl restart sftdyn").returncode, "it started")
    said = machine.says("systemctl status --no-pager sftdyn").stdout
    check(re.search(r"sftdyn\[\d+\]: /etc/sftdyn/conf:\d+: htps: there is no such setting", said), said)
    errors = machine.sh("journalctl -p 3 -o cat -u sftdyn --since -5s")
    check("htps" in errors, errors)
    time.sleep(3)  # if it were tried again, it would be by now
    tries = machine.sh("systemctl show --value -p NRestarts sftdyn").strip()
    check(tries == "0", f"{tries} restarts")
    change_conf(machine, "")
    machine.sh("systemctl restart sftdyn")
    check(works(machine), machine.says("journalctl -u sftdyn").stdout)
    return "not repeated; status and the journal's errors say why"


def a_port_that_is_taken(machine: Machine) -> str:
    """A start where another program has the port"""
    machine.sh(
        "systemctl stop sftdyn; systemctl reset-failed sftdyn || true; systemd-run -q --unit=other python3 -m http.server 8080"
    )
    wait_until(lambda: "Directory" in answer(machine, f"http://{IPV4}:8080/"), "the other server listens")
    machine.says("systemctl start sftdyn")
    reason = 'Status: "cannot listen on http://0.0.0.0:8080: another program has this port'
    tries = "systemctl show --value -p NRestarts sftdyn"
    wait_until(lambda: int(machine.sh(tries)) >= 3, "systemd has tried again", 30)
    wait_until(lambda: reason in machine.says("systemctl status --no-pager sftdyn").stdout, reason, 5)
    machine.sh("systemctl stop other; systemctl reset-failed sftdyn; systemctl restart sftdyn")
    return "status says why, after several tries, too"


def a_renewal(machine: Machine, port: int = 4443) -> str:
    """certbot's hook"""
    hook = blocks("4. HTTPS")[2]
    seen = [fingerprint(machine, port)]
    for command in (hook, "/etc/letsencrypt/renewal-hooks/deploy/sftdyn"):
        new_certificate(machine)
        typed(machine, command)
        wait_until(lambda: fingerprint(machine, port) not in ("", *seen), "the new certificate is used", 10)
        seen.append(fingerprint(machine, port))
    return "the first and a renewed certificate are used at once"


def a_late_name_server(machine: Machine) -> str:
    """A boot, with named late"""
    machine.sh("systemctl disable named")
    machine.switch_off()
    booted = machine.boot()
    command = ["python3", "-c", LOAD, f"http://{IPV4}:8080/{KEY}", "1"]
    calling = subprocess.Popen(machine.visitor(*command), stdout=subprocess.PIPE, text=True)
    time.sleep(3)  # nobody is there for the requests
    machine.sh("systemctl enable --now named")
    said = calling.communicate(timeout=60)[0]
    check(re.fullmatch(r"\{'(UPTODATE|OK)': \d+\}\n", said), said + machine.says("journalctl -b -u sftdyn").stdout)
    return f"up in {booted:.1f} s; requests of before were answered: {said.strip()}"


def fail2ban(machine: Machine) -> str:
    """fail2ban"""
    typed(machine, *blocks("fail2ban"))
    wait_until(lambda: not machine.says("fail2ban-client status sftdyn").returncode, "the jail is there", 20)
    for number in range(10):
        check(answer(machine, f"http://dyn.example.org:8080/guess{number}") == "BADKEY", "no BADKEY")
    took = wait_until(lambda: "connect to" in calls(machine), "the visitor is refused", 30)
    machine.sh(f"fail2ban-client set sftdyn unbanip {VISITOR}")
    check(works(machine), calls(machine))
    return f"refused a connection {took:.1f} s after ten wrong keys"


def the_socket(machine: Machine) -> str:
    """Ports below 1024, and restarts that refuse nobody"""
    typed(machine, *blocks("Ports below 1024, and restarts that refuse nobody"))
    check(works(machine, 80), machine.says("journalctl -u sftdyn").stdout)
    log = machine.sh("journalctl -u sftdyn -o cat -n 20")
    check("https://[::]:443 (passed by systemd, TLS by its port)" in log and f"from {VISITOR}\n" in log, log)
    command = ["python3", "-c", LOAD, f"http://{IPV4}/{KEY}", "11"]
    load = subprocess.Popen(machine.visitor(*command), stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        time.sleep(3)  # systemd allows five starts in ten seconds
        machine.sh("systemctl restart sftdyn")
    said = load.communicate(timeout=60)[0]
    check(re.fullmatch(r"\{'UPTODATE': \d+\}\n", said), said)
    return f"three restarts under load, none refused: {said.strip()}"


def a_broken_conf_behind_the_socket(machine: Machine) -> str:
    """A broken conf, with the socket unit"""
    machine.sh(f"sed -i 's/^https = 443/https = 4443/' {CONF}")
    check(machine.says("systemctl restart sftdyn").returncode, "443 would not speak TLS, and it started")

    def has_given_up() -> bool:
        calls(machine, port=80)  # each caller starts the service
        return "failed" in machine.says("systemctl is-active sftdyn.socket").stdout

    took = wait_until(has_given_up, "systemd has given up the ports", 60)
    status = machine.says("systemctl status --no-pager sftdyn; journalctl -u sftdyn -o cat -n 30").stdout
    cure = found("when it is mended, (systemctl .*)", status)
    check("no socket that systemd passed (port 80, 443) is for TLS" in status, status)
    machine.sh(f"sed -i 's/^https = 4443/https = 443/' {CONF}\n{cure}")
    check(works(machine, 80), machine.says("journalctl -u sftdyn").stdout)
    return f"the ports were gone after {took:.1f} s; back by: {cure}"


def a_user_of_its_own(machine: Machine) -> str:
    """2. The permission, and a user of its own"""
    typed(machine, *blocks("2. The permission"), *blocks("As a user of its own"))
    said = calls(machine, "203.0.113.78", port=80)
    check(said == "OK" and published(machine) == "203.0.113.78", machine.says("journalctl -u sftdyn -n 20").stdout)
    user = machine.sh("stat -c %u /proc/$(systemctl show --value -p MainPID sftdyn)").strip()
    check(user not in ("0", machine.sh("id -u bind").strip()), user)
    check(machine.says("systemctl reload sftdyn").returncode, "it was reloaded, with the old copies")
    return f"runs as user {user}; exposure {exposure(machine)}; {a_renewal(machine, 443)}"


def the_end(machine: Machine) -> str:
    """8. A newer sftdyn, 9. Without sftdyn"""
    _, by_hand = blocks("8. A newer sftdyn")
    typed(machine, by_hand)
    check(works(machine, 80), "the newer one does not work")
    machine.sh("systemctl disable --now sftdyn.socket; rm /etc/systemd/system/sftdyn.socket")
    typed(machine, *blocks("9. Without sftdyn"))
    left = machine.says("find / -xdev -name '*sftdyn*' -not -path '/root/*' -not -path '/var/log/*'").stdout
    return f"left are {', '.join(left.split())}"


# By one command


def something_in_the_way(machine: Machine) -> str:
    """The installer, where something is in the way"""
    [command] = blocks("Setting it up", paper=README)
    stops(machine, f"mv /var/cache/apt/archives /root; {command}", "Is there a network, and a mirror?")
    machine.sh("rm -rf /var/cache/apt/archives; mv /root/archives /var/cache/apt; apt-get install python3")
    machine.sh("mkdir /opt/sftdyn")
    stops(machine, command, "/opt/sftdyn is there, and not from here")
    machine.sh("rmdir /opt/sftdyn")
    for words, reason in {
        "dyn.example.org 203.0.113": "203.0.113 is no IPv4 address",
        "dyn.example.org 127.0.0.1": "write the address by which the world reaches this server",
        "dyn.example.org 203.0.113.10 2001:db8::10%wan": "2001:db8::10%wan is no IPv6 address",
        "example 203.0.113.10": "example is a whole top-level domain: write a name below",
        "example.org 203.0.113.10 </dev/null": "Type yes: etc/install: nothing was done",
    }.items():
        stops(machine, f"./etc/install {words}", reason)
    machine.sh("systemd-run -q --unit=other python3 -m http.server 8080")
    wait_until(lambda: "Directory" in answer(machine, f"http://{IPV4}:8080/"), "the other server listens")
    stops(machine, command, "another program listens on port 8080")
    machine.sh("systemctl stop other; echo pip >/usr/local/bin/sftdyn; chmod +x /usr/local/bin/sftdyn")
    stops(machine, command, "/usr/local/bin/sftdyn is there already")
    machine.sh("rm /usr/local/bin/sftdyn")
    said = machine.sh("./etc/install --uninstall")
    check("There is nothing from etc/install here." in said, said)
    nothing_is_left(machine)
    return "it says what, and stops"


def stops(machine: Machine, command: str, reason: str) -> None:
    """It fails, and its last line has the reason."""
    said = machine.says(command)
    check(said.returncode and reason in said.stdout.strip().splitlines()[-1], said.stdout)


# The installer, cut short before its command number $1.
CUT_SHORT = r"""
sed "s/^run() {/&\n    count=\$((\${count:-0} + 1))\n    [ \$count -lt $1 ] || exit 99/" etc/install >etc/cut
chmod +x etc/cut
shift
exec ./etc/cut "$@"
"""


def cut_short(machine: Machine) -> str:
    """The installer, cut short before each of its commands, and again; --uninstall"""
    (machine.root / "root/cut").write_text(CUT_SHORT)
    [command] = blocks("Setting it up", paper=README)
    words = command.removeprefix("./etc/install ").strip()
    for number in range(1, 100):
        code = machine.says(f"sh /root/cut {number} {words}").returncode
        check(code in (0, 99), f"{number}: {code}")
        said = machine.sh(command)
        url = found(r"^(https://\S+)$", said)
        check(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt")) == "OK", said)
        machine.sh("systemctl stop named" if number == 1 else ":")
        machine.sh("./etc/install --uninstall DYN.example.ORG.")
        nothing_is_left(machine)
        if code == 0:
            return f"{number - 1} commands; each time the second run made it good, and --uninstall left nothing"
    raise Failed("it does not end")


def a_newer_one(machine: Machine) -> str:
    """A newer sftdyn by the installer, which was cut short before the service began anew"""
    (machine.root / "root/cut").write_text(CUT_SHORT)
    [command] = blocks("8. A newer sftdyn")[0].splitlines()[1:]
    running = "systemctl show -p MainPID sftdyn"
    before = machine.sh(f"{running}; echo '# newer' >>sftdyn/__init__.py")
    cut = machine.says(f"sh /root/cut 7 {command.removeprefix('./etc/install ')}")
    check(cut.returncode == 99 and "$ mv /opt/sftdyn.new" in cut.stdout and machine.sh(running) == before, cut.stdout)
    said = machine.sh(command)
    check(machine.sh(running) != before, said)
    return "the second run restarted it"


def nothing_is_left(machine: Machine) -> None:
    places = "-not -path '/root/*' -not -path '/var/log/*'"
    left = machine.says(f"find / -xdev \\( -name '*sftdyn*' -o -name '*dyn.example.org*' \\) {places}").stdout
    check(not left, left)


def the_owners_own(machine: Machine) -> str:
    """A conf that was there before, a folder for its owner alone, and a zone that BIND does not take there"""
    before = f'http = 8080\nclients["{KEY}"] = "home.dyn.example.org"\n'
    machine.sh("mkdir /etc/sftdyn; mkdir '/root/a copy'; cp -r . '/root/a copy/of it'; chmod -R go= '/root/a copy'")
    (machine.root / CONF[1:]).write_text(before)
    machine.sh("cd '/root/a copy/of it/etc'; umask 077; ./install dyn.example.org 203.0.113.10")
    check(works(machine), machine.says("journalctl -u sftdyn -n 20").stdout)
    machine.sh("cd /root; 'a copy/of it/etc/install' --uninstall dyn.example.org")
    left = machine.sh(f"ls -A /etc/sftdyn; cat {CONF}; rm -r /etc/sftdyn '/root/a copy'")
    check(left == f"conf\n{before}", left)
    machine.sh(
        """cd /etc/bind; cp -a . /root/bind; for file in default-zones root-hints; do : >named.conf.$file; done
        echo 'view one { match-clients { any; }; };' >>named.conf.local; named-checkconf"""
    )
    refused = machine.says("./etc/install dyn.example.org 203.0.113.10")
    check(refused.returncode and "BIND does not take it there" in refused.stdout, refused.stdout)
    machine.sh("named-checkconf; cp -a /root/bind/. /etc/bind; rm -r /root/bind")
    nothing_is_left(machine)
    return "it served, and is still there after --uninstall; BIND's files are as they were"


def one_command(machine: Machine) -> str:
    """README's one command, and again"""
    [command] = blocks("Setting it up", paper=README)
    start = time.monotonic()
    said = machine.sh(command)
    took = time.monotonic() - start
    url = found(r"^(https://\S+)$", said)
    check(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt")) == "OK", said)
    before = installed(machine)
    again = machine.sh(command)
    check(installed(machine) == before and url in again, again)
    return f"{took:.0f} s; the visitor's OK over HTTPS; exposure {exposure(machine)}; the second run changed nothing"


def installed(machine: Machine) -> str:
    """What a second run could change."""
    files = (
        "/opt/sftdyn /usr/local/bin /etc/sftdyn /etc/systemd/system $(ls -d /etc/bind /var/lib/bind/db.dyn.example.org)"
    )
    return machine.sh(
        f"systemctl show -p MainPID sftdyn named; find {files} -not -type d -printf '%p %T@ %i %m %u %g\\n'"
    )


def another_address(machine: Machine) -> str:
    """The installer again, after the server has moved to another address"""
    machine.ip("address", "add", "203.0.113.12/24", "dev", "wan")
    said = machine.sh("./etc/install dyn.example.org 203.0.113.12 2001:db8::12")
    seen = machine.visit("dig", "+short", "@203.0.113.12", "dyn.example.org", "A", "dyn.example.org", "AAAA").stdout
    check(seen == "203.0.113.12\n2001:db8::12\n", seen + said)
    url = found(r"^(https://\S+)$", said).replace("dyn.example.org", "203.0.113.12")
    crt = str(machine.root / "etc/sftdyn/server.crt")
    check(answer(machine, url, "--cacert", crt, address="203.0.113.12") == "UPTODATE", said)
    check("dyn A 203.0.113.12" in said and "Clients that had the old one" in said, said)
    before = installed(machine)
    machine.sh("./etc/install dyn.example.org 203.0.113.12")
    check(installed(machine) == before, installed(machine))
    machine.sh("./etc/install dyn.example.org 203.0.113.10 2001:db8::10")
    machine.ip("address", "del", "203.0.113.12/24", "dev", "wan")
    return "zone and certificate have it"


def the_way_back(machine: Machine) -> str:
    """--uninstall, with and without the zone; what its owner changed stays"""
    machine.sh("./etc/install --uninstall")
    seen = machine.visit("dig", "+short", f"@{IPV4}", "dyn.example.org").stdout.strip()
    check(seen == IPV4, "the zone is gone, too")
    machine.sh("./etc/install dyn.example.org 203.0.113.10")
    by_hand = f"{CONF} /etc/sftdyn/server.key /etc/systemd/system/sftdyn.socket"
    machine.sh(f"""echo "# mine" >>{CONF}; echo "certbot's" >/etc/sftdyn/server.key
        cp sftdyn.socket /etc/systemd/system; ./etc/install dyn-example.org 203.0.113.10 <<END
yes
END""")
    before = machine.sh(f"sha256sum {by_hand}")
    uninstall = found("`(./etc/install --uninstall dyn.example.org)`", SETUP)
    said = machine.sh(uninstall)
    check(machine.sh(f"sha256sum {by_hand}") == before, said)
    stays = said.partition("# What stays")[2].partition("$ ")[0]
    check(said.index("# What goes") < said.index("$ ") and all(name in stays for name in by_hand.split()), said)
    check(machine.visit("dig", "+short", f"@{IPV4}", "dyn.example.org").stdout == "", "the zone is there")
    seen = machine.visit("dig", "+short", f"@{IPV4}", "dyn-example.org").stdout.strip()
    check(seen == IPV4, "the other zone is gone, too")
    machine.sh("rm -r /etc/sftdyn /etc/systemd/system/sftdyn.socket; ./etc/install --uninstall dyn-example.org")
    nothing_is_left(machine)
    machine.sh(uninstall.replace(" dyn.example.org", ""))
    return "nothing else is left; a second time is no error"


def beside_its_parent(machine: Machine) -> str:
    """A BIND that serves the zone above; and one that has the zone already, by the papers' single steps"""
    zone = "/var/lib/bind/db.example.org"
    statement = f'zone "example.org" {{ type primary; file "{zone}"; }};'
    machine.sh(
        f"""printf '$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {IPV4}\ndyn NS dyn\ndyn A {IPV4}\n' >{zone}
        echo '{statement}' >>/etc/bind/named.conf.local; systemctl reload named"""
    )
    [command] = blocks("Setting it up", paper=README)
    for prepare in ("", *(text for text in blocks("1. The zone") if "named.conf.local" in text)):
        typed(machine, prepare)
        said = machine.sh(command)
        url = found(r"^(https://\S+)$", said)
        check(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt")) == "OK", said)
        machine.sh(f"./etc/install --uninstall {'' if prepare else 'dyn.example.org'}")
    machine.sh(
        """sed -i '/^zone /,/^};/d' /etc/bind/named.conf.local; rm /var/lib/bind/*example*; systemctl reload named"""
    )
    nothing_is_left(machine)
    return "OK with both"


# Without a name server

HOME = "home.example.org"
TOKEN = "cloudflares-token-for-example-org-000000"
API = f"""
import signal, tests.lab.cloudflare, pathlib
api = tests.lab.cloudflare.Cloudflare(pathlib.Path("/root/api"))
api.port = 443
api.add_token([api.add_zone("example.org")], text="{TOKEN}")
api.start()
signal.pause()
"""
START_API = "systemd-run -q --unit=api --working-directory=/root/sftdyn -E PYTHONPATH=. python3 /root/api.py"


def an_api(machine: Machine) -> str:
    """Cloudflare's place is taken"""
    (machine.root / "root/api.py").write_text(API)
    machine.sh(
        f"""echo 127.0.0.1 api.cloudflare.com >>/etc/hosts; mkdir /root/api; echo {TOKEN} >/root/token
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=api.cloudflare.com \\
            -addext subjectAltName=DNS:api.cloudflare.com -keyout /root/api/server.key -out /root/api/server.crt
        cp /root/api/server.crt /usr/local/share/ca-certificates/api.crt
        update-ca-certificates; apt-get install python3 curl
        {START_API}"""
    )
    took = wait_until(lambda: not machine.says("curl -sS https://api.cloudflare.com/").returncode, "the API answers")
    check(at_cloudflare(machine) == [], at_cloudflare(machine))
    return f"it answers after {took:.1f} s"


def at_cloudflare(machine: Machine) -> list[str]:
    """The addresses there. Raises Failed."""
    url, bearer = "https://api.cloudflare.com/client/v4/zones", f"Authorization: Bearer {TOKEN}"
    zone = found('"id": ?"([0-9a-f]+)"', machine.says(f"curl -sS -H '{bearer}' {url}").stdout)
    records = json.loads(machine.sh(f"curl -sS -H '{bearer}' {url}/{zone}/dns_records"))["result"]
    check(all(record["name"] == HOME for record in records), records)
    return sorted(record["content"] for record in records)


def mistakes(machine: Machine) -> str:
    """--cloudflare with what cannot be"""
    for options, reason in {
        f"'a\";b' --token-file {CONF}": "a host name has letters",
        f"{HOME} --token-file nowhere": "nowhere has no token in it",
        f"{HOME} --token-file /dev/null": "/dev/null has no token in it",
        f"{HOME} --own nosuch": "there is no interface nosuch; there are: lo wan",
    }.items():
        said = machine.says(f"./etc/install --cloudflare {options}")
        check(said.returncode and reason in said.stdout, said.stdout)
        nothing_is_left(machine)
    here, elsewhere = (
        f"./etc/install --cloudflare {HOME}",
        f"cd /root; http_proxy=http://[::1]:9 sftdyn/etc/install --cloudflare {HOME}",
    )
    shown = machine.sh(f"echo {TOKEN[::-1]} >/root/wrong; {elsewhere} --token-file wrong")
    check("the API does not let these credentials" in shown, shown)
    shown = machine.sh(f"{elsewhere} --token-file token")
    check("Not everything" not in shown, shown)
    for command in (f"{here} --own wan", "./etc/install dyn.example.org 203.0.113.10"):
        other = machine.says(command)
        check(other.returncode and f"{CONF} is " in other.stdout, other.stdout)
    uninstalled(machine)
    return "it says what is wrong, and changes nothing; a right token takes the place of a wrong one"


def a_terminal(machine: Machine) -> str:
    """The token is asked for on a terminal, and the answer is Ctrl-C"""
    ours, theirs = os.openpty()
    command = machine.inside("setsid", "--ctty", "/root/sftdyn/etc/install", "--cloudflare", HOME)
    asked = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    wait_until(lambda: not echoes(theirs), "the token is asked for, and not shown", 20)
    os.write(ours, b"\x03")
    check(asked.wait(20) and echoes(theirs), "what is typed is still not shown")
    uninstalled(machine)
    return "the terminal is as it was"


def echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def for_routers(machine: Machine) -> str:
    """--cloudflare, and again"""
    command = f"./etc/install --cloudflare {HOME} --token-file /root/token"
    said = machine.sh(command)
    url = found(r"^(https://\S+)$", said)
    check(answer(machine, url, "--cacert", str(machine.root / "etc/sftdyn/server.crt")) == "OK", said)
    check(at_cloudflare(machine) == [VISITOR], at_cloudflare(machine))
    before = installed(machine)
    again = machine.sh(command)
    check(installed(machine) == before and url in again and TOKEN not in said + again, again)
    named = machine.sh(f"{command} --at server.example.org")
    url = found(r"^(https://server.example.org:4443/\S+)$", named)
    curl = shlex.split(found(r"^(curl -sS .*/[0-9a-f]{32}')$", named))
    check(curl[-1] == url and "--cacert" in curl, named)
    curl[curl.index("--cacert") + 1] = str(machine.root / "etc/sftdyn/server.crt")
    said = answer(machine, url, *curl[1:-1])
    check(said == "UPTODATE" and "# Next" in named, said + named)
    check(HOME in machine.sh("sftdyn --list"), machine.sh("sftdyn --list"))
    value = exposure(machine)
    uninstalled(machine)
    return f"the visitor's OK over HTTPS; exposure {value}; the second run changed nothing; --uninstall left nothing"


def for_itself(machine: Machine) -> str:
    """--cloudflare with --own, and again"""
    command = f"echo {TOKEN} | ./etc/install --cloudflare {HOME} --own wan"
    said = machine.sh(command)
    check(at_cloudflare(machine) == [IPV6, IPV4], said)
    before = installed(machine)
    again = machine.sh(command.split("| ")[1])
    check(installed(machine) == before and TOKEN not in said + again, again)
    other = machine.sh(command.replace(HOME, "other.example.org"))
    check(f"That is what {CONF} says" in other and at_cloudflare(machine) == [IPV6, IPV4], other)
    check("sftdyn-own.timer" in machine.sh("systemctl list-timers"), machine.sh("systemctl list-timers --all"))
    machine.ip("address", "del", f"{IPV4}/24", "dev", "wan")
    machine.ip("address", "add", "203.0.113.11/24", "dev", "wan")
    machine.sh("systemctl start sftdyn-own")
    check(at_cloudflare(machine) == [IPV6, "203.0.113.11"], machine.says("journalctl -u sftdyn-own -o cat").stdout)
    value = exposure(machine, "sftdyn-own.service")
    uninstalled(machine)
    return f"published, and again after a change; exposure {value}; the second run changed nothing; --uninstall left nothing"


# Three servers on the web that say which address asks.
ECHOES = """
import http.server, ssl
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"203.0.113.10")
server = http.server.ThreadingHTTPServer(("127.0.0.2", 443), Echo)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/api/echo.crt", "/root/api/echo.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def behind_a_router(machine: Machine) -> str:
    """--own of an interface whose address the world does not reach, and --own web"""
    machine.ip("link", "add", "nat", "type", "veth", "peer", "name", "tan")
    machine.ip("address", "add", "192.168.1.5/24", "dev", "nat")
    command = f"echo {TOKEN} | ./etc/install --cloudflare {HOME} --own"
    stops(machine, f"{command} nat", "(192.168.1.5 alone). Behind a router that translates addresses write --own web")
    nothing_is_left(machine)
    (machine.root / "root/echo.py").write_text(ECHOES)
    hosts = "www.cloudflare.com api64.ipify.org ifconfig.co"
    names = ",".join(f"DNS:{name}" for name in hosts.split())
    machine.sh(
        f"""echo 127.0.0.2 {hosts} >>/etc/hosts
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=echo \\
            -addext subjectAltName={names} -keyout /root/api/echo.key -out /root/api/echo.crt
        cp /root/api/echo.crt /usr/local/share/ca-certificates/echo.crt; update-ca-certificates
        systemd-run -q --unit=echo python3 /root/echo.py"""
    )
    wait_until(lambda: not machine.says("curl -sS https://ifconfig.co/ip").returncode, "they answer")
    timer = "systemctl is-enabled sftdyn-own.timer"
    machine.sh("systemctl stop api")
    said = machine.says(f"{command} wan")
    check(said.returncode and machine.says(timer).returncode, said.stdout)
    machine.sh(START_API)
    wait_until(lambda: not machine.says("curl -sS https://api.cloudflare.com/").returncode, "the API answers")
    failed = machine.sh(f"{command} web")
    check(IPV4 in at_cloudflare(machine) and machine.sh(timer) == "enabled\n", failed)
    uninstalled(machine)
    return "says what to write; after a failure no timer stays; web takes the place of the interface, and is published"


def uninstalled(machine: Machine) -> None:
    machine.sh("./etc/install --uninstall")
    nothing_is_left(machine)


Step = Callable[[Machine], str]
PARTS: dict[str, list[Step]] = {
    "steps": [
        *(the_zone, the_program, the_service, the_timer, a_kill, a_hang, a_reload, a_broken_start),
        *(
            a_port_that_is_taken,
            a_renewal,
            a_late_name_server,
            fail2ban,
            the_socket,
            a_broken_conf_behind_the_socket,
            a_user_of_its_own,
            the_end,
        ),
    ],
    "installer": [
        *(something_in_the_way, one_command, a_newer_one, another_address, the_way_back, beside_its_parent),
        *(cut_short, the_owners_own),
    ],
    "cloudflare": [an_api, mistakes, a_terminal, for_routers, for_itself, behind_a_router],
}


def walk(machine: Machine, steps: list[Step]) -> int:
    """Take these steps until one fails; how many did."""
    call("sh", "-c", f"git ls-files -z -co --exclude-standard | xargs -0 cp --parents -at {machine.root}/root/sftdyn")
    for step in steps:
        start = time.monotonic()
        try:
            came_of_it, failed = step(machine), 0
        except (Failed, subprocess.TimeoutExpired) as problem:
            came_of_it, failed = f"{problem}\n{machine.says('journalctl --no-pager -n 30').stdout}", 1
        print(
            f"{'FAIL' if failed else 'ok  '} {time.monotonic() - start:5.1f} s  {step.__doc__}: {came_of_it}",
            flush=True,
        )
        if failed:
            return 1
    return 0


def on_a_machine(release: str, part: str) -> int:
    """Boot one, and take the steps of a part; how many failed."""
    tree = pristine(release, packages())
    size = call("du", "-sm", str(tree)).split()[0]
    with tempfile.TemporaryDirectory(prefix="machine-", dir=tree.parent) as folder:
        machine = Machine(tree, Path(folder) / "root")
        try:
            print(f"# Debian {release}, {part}: a tree of {size} MB, up after {machine.boot():.1f} s", flush=True)
            return walk(machine, PARTS[part])
        finally:
            machine.switch_off()
            machine.remove()


def main() -> int:
    """Each Debian and each part that is named, or all."""
    releases, parts = ([word for word in sys.argv[1:] if word in known] for known in (RELEASES, PARTS))
    if len(releases) + len(parts) < len(sys.argv) - 1:
        print(f"usage: ./tests/machine [{'|'.join(RELEASES)}] [{'|'.join(PARTS)}]", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background jobs ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)  # no machine stays behind
    start = time.monotonic()
    failures = [on_a_machine(release, part) for release in releases or RELEASES for part in parts or PARTS]
    print(f"# {time.monotonic() - start:.0f} s, {sum(failures)} failed")
    return 1 if any(failures) else 0


if __name__ == "__main__":
    sys.exit(main())
