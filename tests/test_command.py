"""The command line and the package as a user meets them."""

import os
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import sftdyn
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT


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
        f"warning: everyone on this machine can read {conf}; chmod o-r it, and let its group read it",
        "warning: keys shorter than 16 characters can be guessed: those of a.dyn.example",
        "warning: http://*:8080 is plain HTTP: whoever sees the traffic learns the keys; prefer https",
    ]
    assert "short" not in result.stdout.replace("shorter", "")


def test_check_without_warnings(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(
        'http = "[::1]:8080"\nzone = "dyn.example"\nclients["a key that is long enough"] = "c.dyn.example"\n'
    )
    conf.chmod(0o640)
    assert run("--check", str(conf)).stdout.splitlines()[1:] == [
        "listens on: http://[::1]:8080",
        "updates: the local name server (nsupdate -l)",
        "zones: dyn.example",
        "clients: 1, with 1 host names",
    ]


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_conf_that_cannot_work_is_refused_with_2(tmp_path: Path, options: list[str]) -> None:
    conf = tmp_path / "conf"
    conf.write_text("http = 8080\nhtps = 4443\n")
    result = run(*options, str(conf))
    assert result.returncode == 2
    assert result.stderr == f"sftdyn: {conf}:2: htps: there is no such setting; did you mean https?\n"


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
    command = ["unshare", "--mount", *user, "sh", "-c", script, "sh", sys.executable, "-m", "sftdyn", "--check", "x"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "apt install bind9-dnsutils" in result.stderr


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
    [child] = served.children()
    served.process.send_signal(number)
    assert served.process.wait(20) == 0
    assert not Path(f"/proc/{child}").exists()


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


def test_the_package_installs_alone(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    install = [str(python), "-m", "pip", "install", "-q", str(ROOT)]
    subprocess.run(install, check=True, timeout=300, capture_output=True)
    listed = subprocess.run([str(python), "-m", "pip", "list"], check=True, timeout=60, capture_output=True, text=True)
    assert {line.split()[0] for line in listed.stdout.splitlines()[2:]} <= {"pip", "setuptools", "sftdyn"}
    script = subprocess.run(
        [str(tmp_path / "venv/bin/sftdyn"), "--version"], capture_output=True, text=True, timeout=60
    )
    assert script.stdout == f"sftdyn {sftdyn.__version__}\n"
    shipped = {str(path.relative_to(tmp_path / "venv")) for path in (tmp_path / "venv").rglob("*") if path.is_file()}
    assert {"share/sftdyn/sample.conf", "lib/systemd/system/sftdyn.service", "share/doc/sftdyn/README.md"} <= shipped
    assert {f"share/doc/sftdyn/docs/{path.name}" for path in (ROOT / "docs").iterdir()} <= shipped
    assert any(path.endswith("/site-packages/sftdyn/py.typed") for path in shipped)


def test_our_own_sample_conf_works(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text((ROOT / "etc/sample.conf").read_text())
    result = run("--check", str(conf))
    assert result.returncode == 0, result.stderr
