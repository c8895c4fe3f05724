"""This machine: its programs, ports, certificates, and what Linux says of processes."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
PORTS = range(10_000, 32_000)
DNSUTILS = "bind9-dnsutils"  # the package of dig and nsupdate
PATIENCE = 60.0  # seconds that a program may take
TICKS = os.sysconf("SC_CLK_TCK")  # per second


class CannotRun(Exception):
    """A program is missing, does not start or fails; the message says which, and what to install or what it said."""


def find_program(name: str, package: str) -> str:
    """The path of a program, also where only root looks. Raises CannotRun."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise CannotRun(f"{name} is not installed: apt install {package}")
    return found


def run(
    name: str, package: str, *arguments: str, text: str = "", folder: Path | None = None, inside: Sequence[str] = ()
) -> str:
    """What a program prints that is given `text`, in `folder`; `inside` goes in front of it.

    Raises CannotRun, also if it fails.
    """
    command = [*inside, find_program(name, package), *arguments]
    done = subprocess.run(
        command, input=text, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise CannotRun(f"{name} failed: {done.stdout}{done.stderr}")
    return done.stdout


def free_port() -> int:
    """A port of the loopback that nobody uses, below those that the kernel lends to outgoing connections."""
    while True:
        port = secrets.choice(PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as udp:
                udp.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Return when `holds` is true. Raises CannotRun if it takes longer; for what nobody tells."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise CannotRun(f"not after {seconds:g} s: {what}")
        time.sleep(0.01)


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def has_ipv6() -> bool:
    """Whether this machine's loopback has IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def make_certificate(folder: Path) -> None:
    """server.key and a self-signed server.crt, as the README says. Raises CannotRun."""
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650".split()
    command += ["-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
    run("openssl", "openssl", *command, folder=folder)


def children(pid: int) -> list[int]:
    """The children of a process that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except FileNotFoundError:
            pass  # a thread that has ended meanwhile
    return found


def is_stopped(pid: int) -> bool:
    """Whether no thread of a process runs (proc_pid_stat(5))."""
    states = [(task / "stat").read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) <= {"T"}


def resident(pid: int) -> int:
    """Memory of a process in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def cpu_seconds(pids: Iterable[int]) -> float:
    """What processes, and their children that have ended, have used; 0 for one that is gone."""
    return sum(_cpu_seconds(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS  # proc(5): utime, stime, cutime, cstime
