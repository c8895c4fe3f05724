"""Processes: servers that are started, watched and ended, and what they use of the machine."""

import os
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path

from tests.lab.tour import NameServer

from .fleet import Fleet

START_DEADLINE = 60.0  # seconds; a conf with a million clients takes its time
STOP_DEADLINE = 20.0
TICKS = os.sysconf("SC_CLK_TCK")  # per second

# What named writes in the log about each update would go through a thread of ours.
QUIET = "logging { category update { null; }; category update-security { null; }; category notify { null; }; };\n"

# As `update-policy local` has it, and the same for the key of a name server that is not at port 53.
RIGHTS = (
    "update-policy { grant local-ddns zonesub ANY; grant sftdyn-demo zonesub ANY; }; allow-transfer { localhost; };"
)


# The network is our own, so every port is free. These are below those that local ports are taken from: an nsupdate
# that takes the name server's own port for a question waits in vain for the answer.
_ports = count(5301)


def new_port() -> int:
    """A port for a server."""
    return next(_ports)


class DidNotStart(Exception):
    """A server does not answer; the message holds its log."""


class HttpServer:
    """An HTTP server as a process: sftdyn or a rival, all started in the same way."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        port: int,
        host: str = "127.0.0.1",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        with log.open("w") as output:
            self.process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=output,
                cwd=log.parent,  # from the repository's root, 0.10 would import our package
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self._accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise DidNotStart(f"{' '.join(command)}:\n{log.read_text()}")
            time.sleep(0.001)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pids(self) -> list[int]:
        """The process and its children."""
        return [self.process.pid, *children(self.process.pid)]


class Bind(NameServer):
    """A private BIND whose zones are full of names. `rest` is added to what named.conf says of each zone."""

    def __init__(
        self,
        folder: Path,
        fleets: Iterable[Fleet],
        *,
        rest: str = "",
        port: int = 0,
        command: tuple[str, ...] = (),
    ) -> None:
        folder.mkdir()
        fleets = list(fleets)
        super().__init__(
            folder,
            {fleet.zone: f"{RIGHTS} {rest}" for fleet in fleets},
            extra=QUIET,
            port=port or new_port(),
            command=command,
        )
        for fleet in fleets:
            fleet.write()
            (folder / f"{fleet.zone}.zone").write_text(fleet.zone_file())
        self.start()


def children(pid: int) -> list[int]:
    """The children of a process that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


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


def resident(pid: int) -> float:
    """Memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
