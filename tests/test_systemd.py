"""What systemd sees: readiness, sockets, the unit."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from sftdyn.doors import hooks, proof
from sftdyn.doors.own.sources import FUNCTIONS
from sftdyn.fetch.route import LOOKUPS
from sftdyn.providers import function
from sftdyn.providers.bind import script
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.machine import ROOT, free_port

EXECUTOR = 32  # threads of asyncio.to_thread (ThreadPoolExecutor)
CHILDREN = 5  # of nsupdate, for one primary


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        yield listener


def test_it_tells_systemd_how_it_is(
    serve: ServeFixture, bind: Bind, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    served = serve(conf(bind, clients={"k": "status.dyn.example"}))
    said: list[str] = []

    def wait_for(text: str) -> None:
        while not any(text in one for one in said):
            said.append(manager.recv(4096).decode())

    wait_for("READY=1\nSTATUS=1 client, 0 updates, last failure: none")
    served.update("k")
    served.process.send_signal(signal.SIGHUP)
    wait_for("RELOADING=1\nMONOTONIC_USEC=")
    wait_for("READY=1\nSTATUS=1 client, 1 update, last failure: none")
    said.clear()
    for _ in range(3):
        wait_for("WATCHDOG=1")
        said.clear()
    served.process.terminate()
    wait_for("STOPPING=1")
    assert served.process.wait(20) == 0


def test_it_tells_systemd_why_it_does_not_start(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where systemd tries again, its status shows none of the lines before."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    path = tmp_path / "conf"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for text, reason in ((f'http = "127.0.0.1:{taken.getsockname()[1]}"', "has this port"), ("htps = 1", "https?")):
            path.write_text(text)
            command = [sys.executable, "-m", "sftdyn", str(path)]
            subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
            said = manager.recv(4096).decode()
            assert said.startswith("STATUS=")
            assert reason in said


def test_the_first_update_is_told_at_once(
    serve: ServeFixture, bind: Bind, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has just set it up looks at `systemctl status`."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    served = serve(conf(bind, clients={"k": "first.dyn.example"}))
    assert manager.recv(4096).startswith(b"READY=1")
    begin = time.monotonic()
    assert served.update("k") == "OK"
    assert manager.recv(4096) == b"STATUS=1 client, 1 update, last failure: none"
    assert time.monotonic() - begin < 5  # others come every ten seconds


def test_the_last_failure_is_told_at_once_with_time_and_name(
    serve: ServeFixture, bind: Bind, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    served = serve(conf(bind, clients={"k": "refused.policy.example", "l": "elsewhere.invalid"}))
    assert manager.recv(4096).startswith(b"READY=1")
    failed = r"STATUS=2 clients, 0 updates, last failure: 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d "
    begin = time.monotonic()
    served.update("k")
    assert re.fullmatch(
        failed + r"refused\.policy\.example: .*refuses this name \(Knot: .*\)", manager.recv(4096).decode()
    )
    assert time.monotonic() - begin < 5  # others come every ten seconds
    for _ in range(20):
        served.update("l")
    said = manager.recv(4096).decode()  # of all these, one
    assert re.match(failed + r"elsewhere\.invalid: ", said)
    served.update("nobody's")
    manager.settimeout(1.5)
    with pytest.raises(TimeoutError):
        manager.recv(4096)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socket_activation(bind: Bind, certificate: Path, tmp_path: Path, scheme: str) -> None:
    """systemd opens the port and starts sftdyn at the first connection; a restart refuses nobody."""
    path = tmp_path / "conf"
    status, port = free_port(), free_port()
    path.write_text(conf(bind, clients={"k": f"{scheme}.dyn.example"}, http=8080, status=status, **tls(certificate)))
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", f"--fdname=sftdyn-{scheme}", "-E", "PATH"]
    command += [sys.executable, "-m", "sftdyn", "-v", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as activated:
        assert activated.stderr
        next(line for line in activated.stderr if "Listening on" in line)
        curl = ["curl", "-sS", "--cacert", f"{certificate}/server.crt", f"{scheme}://127.0.0.1:{port}/k"]
        first = subprocess.run(curl, capture_output=True, text=True, timeout=30, check=False)
        assert first.stdout in ("OK", "UPTODATE"), first.stderr
        with urllib.request.urlopen(f"http://127.0.0.1:{status}/livez", timeout=30) as reply:  # opened by sftdyn itself
            assert reply.read() == b"ok\n"
        assert any(re.search(f"listening on {scheme}://127.0.0.1:{port}", line) for line in activated.stderr)
        activated.terminate()


@contextmanager
def activated(port: int, path: Path, name: str = "sftdyn.socket") -> Iterator[Iterator[str]]:
    """What sftdyn says that is started by a caller, with a socket for both families, as the socket unit has it."""
    command = ["systemd-socket-activate", "-l", f"[::]:{port}", f"--fdname={name}", "-E", "PATH"]
    command += [sys.executable, "-m", "sftdyn", "-v", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            next(line for line in process.stderr if "Listening on" in line)
            yield iter(process.stderr)
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("https", "name", "cure"),
    [
        (4443, "sftdyn.socket", "write one of these ports as https"),
        (None, "sftdyn-https", 'add key = "server.key" and cert = "server.crt"'),
    ],
)
def test_a_port_of_systemd_that_would_be_the_wrong_one_is_refused(
    certificate: Path, tmp_path: Path, https: int | None, name: str, cure: str
) -> None:
    """Also by what it says: how to bring the socket unit back."""
    path, port = tmp_path / "conf", free_port()
    path.write_text(conf(http=8080, https=https, **(tls(certificate) if https else {})))
    with activated(port, path, name) as lines:
        socket.create_connection(("127.0.0.1", port)).close()
        said = "".join(takewhile(lambda line: " ready" not in line, lines))
    assert cure in said
    assert "systemctl restart sftdyn.socket" in said


def test_a_caller_of_ipv4_is_one_in_the_log_where_systemd_opens_one_socket_for_both(tmp_path: Path) -> None:
    path, port = tmp_path / "conf", free_port()
    path.write_text(conf(http=port))
    with activated(port, path) as lines:
        url = f"http://127.0.0.1:{port}/guessed"
        subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=30, check=False)
        assert next(line for line in lines if "BADKEY" in line).endswith("BADKEY from 127.0.0.1\n")


def test_a_restart_with_a_passed_socket_refuses_and_resets_nobody(
    bind: Bind, tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    path = tmp_path / "conf"
    path.write_text(conf(bind, clients={"k": "restart.dyn.example"}, http=8080))
    with socket.create_server(("127.0.0.1", 0), backlog=200) as passed:
        port = passed.getsockname()[1]
        script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = ["bash", "-c", script, "bash", sys.executable, "-m", "sftdyn", "-qq", str(path)]
        done = threading.Event()

        def keep_asking(_: int) -> set[str]:
            answers = set()
            while not done.is_set():
                url = f"http://127.0.0.1:{port}/k"
                with urllib.request.urlopen(url, timeout=30) as response:
                    answers.add(response.read().decode())
            return answers

        with ThreadPoolExecutor(10) as pool:
            running = [pool.submit(keep_asking, n) for n in range(10)]
            for _ in range(5):
                with subprocess.Popen(command, cwd=ROOT, pass_fds=[passed.fileno()]) as process:
                    while b"READY=1" not in manager.recv(4096):
                        pass
                    time.sleep(0.3)  # it serves for a while
                    process.terminate()
                assert process.returncode == 0
            done.set()
            with subprocess.Popen(command, cwd=ROOT, pass_fds=[passed.fileno()]) as process:
                assert set().union(*(future.result() for future in running)) <= {"OK", "UPTODATE"}
                process.terminate()


def test_the_units_are_hardened_and_systemd_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    """In a root of its own, where the program that they name is there."""
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    units = []
    for source in (ROOT / "sftdyn.service", ROOT / "sftdyn.socket", *(ROOT / "etc/systemd").iterdir()):
        units.append(folder / source.name)
        units[-1].write_text(source.read_text().replace("/opt/sftdyn/bin/sftdyn", "/bin/true"))
    for unit in (unit for unit in units if unit.suffix == ".service"):
        command = ["systemd-analyze", "security", "--offline=yes", "--threshold=11", str(unit)]
        security = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert security.returncode == 0, security.stdout[-300:]
    command = ["systemd-analyze", "verify", *map(str, units)]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_instances_are_a_template_with_a_number_and_a_folder_each(tmp_path: Path) -> None:
    """As docs/growing.md makes it of the unit that is there."""
    folder = tmp_path / "etc/systemd/system"
    (folder / "sftdyn@.service.d").mkdir(parents=True)
    unit = (ROOT / "sftdyn.service").read_text().replace("/opt/sftdyn/bin/sftdyn", "/bin/true")
    (folder / "sftdyn@7.service").write_text(unit)  # systemd-analyze verifies no template, but an instance
    (folder / "sftdyn@.service.d/instances.conf").write_text((ROOT / "etc/instances.conf").read_text())
    shown = subprocess.run(
        ["systemd-analyze", "verify", str(folder / "sftdyn@7.service")], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "sftdyn@" not in unit
    said = (ROOT / "etc/instances.conf").read_text()
    assert re.findall("^[A-Z].*=.*", said, re.MULTILINE) == [
        "Environment=INSTANCE=%i",
        "StateDirectory=",
        "StateDirectory=sftdyn-%i",
    ]


def test_the_unit_has_room_for_all_threads_and_may_ask_for_addresses() -> None:
    """Of one provider of each kind: threads of calls that run and that hang, and programs with three threads each."""
    unit = (ROOT / "sftdyn.service").read_text()
    sums = unit.replace("\n# ", " ")
    threads = 1 + hooks.AT_ONCE + hooks.GIVEN_UP + 1 + EXECUTOR + LOOKUPS + 3 + FUNCTIONS + proof.AT_ONCE
    programs = 3 * (script.AT_ONCE + CHILDREN)
    assert f": {threads}. For each Bind" in sums
    assert f": {programs + function.AT_ONCE + function.GIVEN_UP + 1}. So there is room for four" in sums
    assert "TasksMax=1024\n" in unit
    assert threads + 4 * (programs + function.AT_ONCE + function.GIVEN_UP + 1) <= 1024
    assert re.search("^RestrictAddressFamilies=.* AF_NETLINK", unit, re.MULTILINE)
