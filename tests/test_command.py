"""The command line and the package as a user meets them."""

import grp
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from shlex import quote

import pytest

import sftdyn
from tests.conftest import ServeFixture
from tests.fetch.peers import Server, says
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port


def run(*arguments: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sftdyn", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=env)


def test_version_and_help() -> None:
    assert run("--version").stdout == f"sftdyn {sftdyn.__version__}\n"
    assert "--check" in run("--help").stdout


def test_check_says_what_the_conf_means(tmp_path: Path, certificate: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(
        f'http = 8080\nhttps = "127.0.0.1:4443"\nkey = "{certificate}/server.key"\ncert = "{certificate}/server.crt"\n'
        'clients["short"] = ["a.dyn.example", "b.dyn.example"]\nclients["a key that is long enough"] = "c.dyn.example"\n'
    )
    conf.chmod(0o644)
    result = run("--check", str(conf))
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        f"conf: {conf}",
        "listens on: http://*:8080",
        "listens on: https://127.0.0.1:4443",
        "updates: the local name server (nsupdate -l)",
        "zones: found by asking",
        "clients: 2, with 3 host names",
        "client: a.dyn.example, b.dyn.example",
        "client: c.dyn.example",
        f"warning: everyone on this machine can read {conf}; chmod o-r it, and let its group read it",
        "warning: keys shorter than 16 characters can be guessed: those of a.dyn.example",
        "warning: http://*:8080 is plain HTTP: whoever sees the traffic learns the keys; prefer https",
    ]
    assert "short" not in result.stdout.replace("shorter", "")


def test_check_without_warnings(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(
        'http = "[::1]:8080"\nzone = "dyn.example"\nclients["a key that is long enough"] = "c.dyn.example"\n'
        'trusted_proxies = "::1"\n'
    )
    conf.chmod(0o640)
    assert run("--check", str(conf)).stdout.splitlines()[1:] == [
        "listens on: http://[::1]:8080",
        "updates: the local name server (nsupdate -l)",
        "zones: dyn.example",
        "clients: 1, with 1 host name",
        "client: c.dyn.example",
    ]


def test_check_names_an_interface_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text('own = [Client("home.dyn.example", address=Interface("wann"))]\n')
    assert "warning: own: there is no interface wann now; there are: " in run("--check", str(tmp_path / "conf")).stdout


SAFE = 'http = "192.168.0.1:8080"\nclients["a key that is long enough"] = "c.dyn.example"\n'


def checked(conf: Path, text: str, mode: int = 0o600) -> list[str]:
    """The warnings of --check."""
    conf.write_text(text)
    conf.chmod(mode)
    result = run("--check", str(conf))
    assert result.returncode == 0, result.stderr
    assert "s3cr3t" not in result.stdout + result.stderr
    return [line.removeprefix("warning: ") for line in result.stdout.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ('clients["s3cr3t.dyn.example"] = "a.dyn.example"', "keys that look like host names: those of line 3; write"),
        ('clients["home.dyn.example"] = "s3cr3ts3cr3ts3cr3t"', "keys that look like host names: those of line 3;"),
        ('clients["s3cr3t, long enough"] = "s3cr3t"', "host names without a dot, which are in nobody's zone: those of"),
        ('clients["https://dyn.example/s3cr3t"] = "a.dyn.example"', "whole URLs: those of a.dyn.example; write only"),
        ('clients["s3cr3t"] = "s3cr3ts3cr3ts3cr3t"', "keys shorter than 16 characters can be guessed: those of line 3"),
        (
            'clients["s3cr3ts3cr3ts3cr3t"] = "a.dyn.example"\n\nclients["s3cr3ts3cr3ts3cr3t"] = "b.dyn.example"',
            "written twice, so that the last entry counts: those of b.dyn.example (lines 3 and 5)",
        ),
        (
            'for name in "ab": clients["s3cr3t" * 3] = name + ".dyn.example"',
            "written twice, so that the last entry counts: those of b.dyn.example",
        ),
    ],
)
def test_check_warns_of_entries_that_look_wrong_and_quotes_no_key(tmp_path: Path, lines: str, warning: str) -> None:
    assert warning in "\n".join(checked(tmp_path / "conf", f"{SAFE}{lines}\n"))


def test_check_warns_of_a_proxy_that_is_not_named(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    loopback = SAFE.replace("192.168.0.1", "127.0.0.1")
    assert checked(conf, SAFE) == []
    [warning] = checked(conf, loopback)
    assert 'if there is a proxy in front, name it: trusted_proxies = ["127.0.0.1", "::1"]' in warning
    assert checked(conf, loopback + 'trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "fc00::/7"]\n') == []
    assert checked(conf, loopback + "def get_ip(source_ip, headers, key): return source_ip\n") == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"])
def test_check_warns_of_trust_in_everybody(tmp_path: Path, network: str) -> None:
    [warning] = checked(tmp_path / "conf", SAFE + f'trusted_proxies = ["127.0.0.1", "{network}"]\n')
    assert warning.startswith(f"trusted_proxies has {network}: whoever calls from there can choose addresses")


@pytest.mark.parametrize(("mode", "writable"), [(0o602, True), (0o600, False), (0o640, False)])
def test_check_warns_of_a_conf_that_others_can_write(tmp_path: Path, mode: int, writable: bool) -> None:
    conf = tmp_path / "conf"
    expected = [f"others can write {conf}, and so run programs as sftdyn; chmod go-w it"] * writable
    assert checked(conf, SAFE, mode) == expected


def test_check_warns_of_a_folder_where_others_can_replace_the_conf(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    [warning] = checked(tmp_path / "conf", SAFE)
    assert warning.startswith(f"others can write {tmp_path},")
    tmp_path.chmod(0o1777)
    assert checked(tmp_path / "conf", SAFE) == []


def test_check_warns_of_a_group_that_can_write_the_conf_unless_it_is_the_owners_own(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    owner, own = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    private = owner.pw_name == own.gr_name and set(own.gr_mem) <= {owner.pw_name}
    assert bool(checked(conf, SAFE, 0o660)) is not private
    if os.getuid() == 0:
        conf.write_text(SAFE)
        os.chown(conf, 0, grp.getgrnam("daemon").gr_gid)
        assert checked(conf, SAFE, 0o660)


def test_the_start_warns_of_a_conf_that_others_can_write(serve: ServeFixture, tmp_path: Path) -> None:
    (tmp_path / "conf0").touch()
    (tmp_path / "conf0").chmod(0o602)
    served = serve('http = "127.0.0.1:0"\n')
    served.wait_for(f"others can write {tmp_path / 'conf0'}")


def test_pythons_warnings_quote_nothing_of_the_conf(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    warnings = checked(
        conf,
        SAFE + 'key_ = "x"\nif key_ is "s3cr3t": key_ = "\\d s3cr3t"\nimport warnings\nwarnings.warn("s3cr3t")\n',
    )
    assert f"{conf}:4: SyntaxWarning" in warnings
    assert f"{conf}:6: UserWarning" in warnings


def test_a_hooks_warnings_quote_nothing_of_the_conf(serve: ServeFixture) -> None:
    served = serve(
        'http = "127.0.0.1:0"\nimport warnings\ndef get_host(querystring, ip):\n    warnings.warn("s3cr3t " + querystring)\n'
    )
    assert served.update("s3cr3t") == "BADKEY"
    served.wait_for("conf0:4: UserWarning")
    assert not [line for line in served.log if "s3cr3t" in line]


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_conf_that_cannot_work_is_refused_with_2(tmp_path: Path, options: list[str]) -> None:
    conf = tmp_path / "conf"
    conf.write_text("http = 8080\nhtps = 4443\n")
    result = run(*options, str(conf))
    assert result.returncode == 2
    assert result.stderr == f"sftdyn: {conf}:2: htps: there is no such setting; did you mean https?\n"


def test_a_url_alone_is_refused() -> None:
    result = run("--url", "https://dyn.example")
    assert result.returncode == 2
    assert "--url goes with --new-key" in result.stderr


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, certificate: Path) -> None:
    conf = tmp_path / "conf"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -out other.crt"
    subprocess.run(
        [*command.split(), "-keyout", "other.key"], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    for key, message in (
        (tmp_path / "other.key", "do not belong together"),
        (tmp_path / "other.crt", "no PEM files of an unencrypted private key"),
    ):
        conf.write_text(f'https = 4443\nkey = "{key}"\ncert = "{certificate}/server.crt"\n')
        result = run("--check", str(conf))
        assert result.returncode == 2
        assert message in result.stderr
    encrypt = "openssl ec -aes256 -passout pass:x -in other.key -out encrypted.key"
    subprocess.run(encrypt.split(), cwd=tmp_path, check=True, capture_output=True, timeout=60)
    conf.write_text('https = 4443\nkey = "encrypted.key"\ncert = "other.crt"\n')
    assert "openssl pkey -in" in run("--check", str(conf)).stderr


def test_without_nsupdate_it_names_the_package(tmp_path: Path) -> None:
    """As on a machine without BIND's tools: the folders of programs are hidden by empty ones."""
    script = 'for d in /usr/bin /usr/sbin; do test -e $d/nsupdate && mount --bind /dev/null $d/nsupdate; done; "$@"'
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *user, "sh", "-c", script, "sh", sys.executable, "-m", "sftdyn", "--check"]

    def checked(text: str) -> subprocess.CompletedProcess[str]:
        conf = tmp_path / "conf"
        conf.write_text(text + 'http = 8080\nclients["a key that is long enough"] = "c.dyn.example"\n')
        return subprocess.run([*command, str(conf)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    result = checked("")
    assert result.returncode == 1
    assert "apt install bind9-dnsutils" in result.stderr
    elsewhere = checked("provider = Cloudflare()\n")
    assert elsewhere.returncode == 0, elsewhere.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        conf = tmp_path / "conf"
        conf.write_text(f'http = "127.0.0.1:{taken.getsockname()[1]}"\n')
        result = run(str(conf))
    assert result.returncode == 1
    assert "another program has this port" in result.stderr


def test_a_bare_port_that_is_taken_on_one_family(tmp_path: Path) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=False) as taken:
        conf = tmp_path / "conf"
        conf.write_text(f"http = {taken.getsockname()[1]}\n")
        result = run(str(conf))
    assert result.returncode == 1
    assert "another program has this port" in result.stderr


def test_options_beat_the_conf(serve: ServeFixture, bind: Bind, certificate: Path) -> None:
    served = serve(
        conf(bind, clients={"k": "cli.dyn.example"}, nskeyfile="/dev/null", http="192.0.2.1:1"),
        *(
            "-l",
            "127.0.0.1:0",
            "-s",
            "127.0.0.1:0",
            "-c",
            f"{certificate}/server.crt",
            "-k",
            f"{certificate}/server.key",
        ),
        *("--nskeyfile", str(bind.keyfile), "-i", "-d"),
    )
    assert [url.partition(":")[0] for url in served.urls] == ["http", "https"]
    assert served.update("k") == "OK"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_and_takes_its_child_along(serve: ServeFixture, bind: Bind, number: signal.Signals) -> None:
    served = serve(conf(bind, clients={"k": "end.dyn.example"}))
    served.update("k")
    children = served.children()
    assert children
    served.process.send_signal(number)
    assert served.process.wait(20) == 0
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_to_the_journal_lines_have_priorities(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    stat = os.fstat(writer)
    conf = tmp_path / "conf"
    conf.write_text('http = "127.0.0.1:0"\n')
    environment = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    command = [sys.executable, "-m", "sftdyn", "-v", str(conf)]
    with subprocess.Popen(command, cwd=ROOT, stderr=writer, env=environment) as process, open(reader) as log:
        os.close(writer)
        assert log.readline().startswith("<6>listening on http://127.0.0.1:")
        process.terminate()


def test_to_the_journal_an_error_has_a_priority_and_not_the_programs_name_twice(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text("htps = 4443\n")
    with (tmp_path / "journal").open("w+") as journal:
        stat = os.fstat(journal.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        command = [sys.executable, "-m", "sftdyn", str(conf)]
        ended = subprocess.run(command, cwd=ROOT, stderr=journal, env=environment, timeout=60, check=False)
        assert ended.returncode == 2
        assert (tmp_path / "journal").read_text().startswith(f"<3>{conf}:1: htps: there is no such setting")


def test_our_own_sample_conf_works(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text((ROOT / "etc/sample.conf").read_text())
    result = run("--check", str(conf))
    assert result.returncode == 0, result.stderr


TOKEN = "a status token of some length"
HASHED = "sha256:" + sha256(TOKEN.encode()).hexdigest()


def test_the_list_is_what_the_running_sftdyn_has_seen(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    bind.edit("zone dyn.example", "update delete listed.dyn.example")
    clients = {"k": "listed.dyn.example", "l": "refused.policy.example", "m": "silent.dyn.example"}
    served = serve(conf(bind, clients=clients, status=free_port(), status_token=TOKEN))
    served.get("/k", headers={"User-Agent": "inadyn/2.9"})
    served.get("/l")
    listed = run("--list", str(tmp_path / "conf0"))
    assert (listed.returncode, listed.stderr) == (0, "")
    summary, head, refused, ok, silent = listed.stdout.splitlines()
    assert summary == "3 host names, 1 failing, 0 silent, 1 unheard"
    assert head.split() == ["NAME", "ADDRESS", "SINCE", "CONTACT", "BY", "RESULT"]
    assert refused.startswith("refused.policy.example")
    assert re.search(r"FAIL \(1\): .*refuses this name \(Knot: .*\)$", refused)
    assert re.match(r"listed.dyn.example +127.0.0.1 .* inadyn/2.9, url, 127.0.0.1 +OK$", ok)
    assert silent.split() == ["silent.dyn.example", "-", "-", "-", "-", "unheard"]
    assert "\x1b" not in listed.stdout


def test_the_list_fits_the_terminal(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    served = serve(conf(bind, clients={"l": "refused.policy.example"}, status=free_port(), status_token=TOKEN))
    served.get("/l", headers={"User-Agent": "x" * 40})
    command = [
        "script",
        "-qec",
        f"stty cols 80; {quote(sys.executable)} -m sftdyn --list {tmp_path}/conf0",
        "/dev/null",
    ]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "1 host name, 1 failing" in shown
    assert "\x1b[31mrefused.policy.example" in shown
    assert max(len(re.sub("\x1b.*?m", "", line)) for line in shown.splitlines()) == 80


def test_the_list_says_what_it_needs(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    served = serve(conf(bind, clients={"k": "listed.dyn.example"}, status=free_port(), status_token=HASHED))
    path = str(tmp_path / "conf0")
    without = run("--list", path)
    assert (without.returncode, "give the token in SFTDYN_STATUS_TOKEN" in without.stderr) == (2, True)
    assert run("--list", path, env={**os.environ, "SFTDYN_STATUS_TOKEN": TOKEN}).returncode == 0
    wrong = run("--list", path, env={**os.environ, "SFTDYN_STATUS_TOKEN": "wrong"})
    assert (wrong.returncode, "does not take this status_token" in wrong.stderr) == (1, True)
    served.stop()
    gone = run("--list", path, env={**os.environ, "SFTDYN_STATUS_TOKEN": TOKEN})
    assert (gone.returncode, "no sftdyn at http://127.0.0.1:" in gone.stderr) == (1, True)
    (tmp_path / "other").write_text("http = 8080\n")
    none = run("--list", str(tmp_path / "other"))
    assert (none.returncode, "add status = 8053, and status_token" in none.stderr) == (2, True)


def test_a_token_with_a_line_end_behind_it_is_no_riddle(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(SAFE + f'status = 8053\nstatus_token = "{HASHED}"\n')
    done = run("--list", str(tmp_path / "conf"), env={**os.environ, "SFTDYN_STATUS_TOKEN": f"{TOKEN}\n"})
    assert (done.returncode, "SFTDYN_STATUS_TOKEN: a token is ASCII, without line ends" in done.stderr) == (2, True)


ENTRY = """{"name": "a.example", "address": "192.0.2.1", "outcome": "OK", "changed": null, "seen": "2026-01-01T00:00:00Z",
"failures": 0, "reason": "", "program": "", "door": "", "from": ""}"""
ODD = {
    "<html>": "text",
    "{}": "no names",
    '{"names": 5, "pages": 1}': "a number",
    '{"names": [5], "pages": 1}': "numbers",
    '{"names": ["a"], "pages": 1}': "names alone",
    '{"names": [{"name": "a"}], "pages": 1}': "names without more",
    '{"names": [], "pages": 1e999}': "endless",
    '{"names": [], "pages": 1000000000}': "nearly endless",
    f'{{"names": [{ENTRY.replace("null", "5")}], "pages": 1}}': "a number for a time",
    f'{{"names": [{ENTRY.replace("2026-01", "2026-13")}], "pages": 1}}': "a month that is none",
    f'{{"names": [{ENTRY.replace("192.0.2.1", "").replace(chr(34) * 2, "[]", 1)}], "pages": 1}}': "a list for a text",
    "[" * 100_000: "deep",
}


@pytest.mark.parametrize("body", ODD, ids=ODD.values())
def test_another_program_at_the_port_is_neither_healthy_nor_a_list(tmp_path: Path, body: str) -> None:
    server = Server(says(f"HTTP/1.1 200 OK\r\n\r\n{body}".encode()))
    (tmp_path / "conf").write_text(SAFE + f'status = {server.port}\nstatus_token = "{TOKEN}"\n')
    expected = "what answers at the port of the status listener is not sftdyn\n"
    done = [run(option, str(tmp_path / "conf")) for option in ("--health", "--list")]
    server.close()
    said = [(one.returncode, one.stdout, one.stderr) for one in done]
    assert said == [(1, "", expected), (1, "", f"sftdyn: {expected}")]


def test_health_is_an_exit_code(serve: ServeFixture, own_bind: Bind, tmp_path: Path) -> None:
    served = serve(conf(own_bind, clients={"k": "health.dyn.example"}, status=free_port(), timeout=1))
    path = str(tmp_path / "conf0")
    assert (run("--health", path).returncode, run("--health", path).stdout) == (0, "ok\n")
    own_bind.kill()
    assert served.update("k") == "FAIL"
    sick = run("--health", path)
    assert (sick.returncode, sick.stderr) == (1, "no provider gave an answer to the last question\n")
    served.stop()
    assert run("--health", path).returncode == 1
    for text in ("http = 8080\n", "htps = 1\n"):
        (tmp_path / "other").write_text(text)
        assert run("--health", str(tmp_path / "other")).returncode == 1


def test_check_says_where_the_status_is_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(SAFE + "status = 8053\n")
    assert "status: http://127.0.0.1:8053 (health alone: there is no status_token)" in run("--check", str(conf)).stdout
    weak = checked(conf, SAFE + 'status = "192.168.0.1:8053"\nstatus_token = "s3cr3t"\n')
    assert [line for line in weak if line.startswith("status")] == [
        "status_token is shorter than 16 characters, and can be guessed; make one with: openssl rand -hex 16",
        "status: http://192.168.0.1:8053 is plain HTTP: whoever sees the traffic learns status_token",
    ]
    assert "status_token is set, but status is not: nothing uses it" in checked(
        conf, SAFE + f'status_token = "{HASHED}"\n'
    )
