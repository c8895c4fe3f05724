"""Servers as processes, each on a port that nobody else has here."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path

from tests.lab.bind import Bind
from tests.lab.machine import CannotRun
from tests.lab.nameserver import KEY_NAME
from tests.lab.process import Process

from .fleet import Fleet

START_DEADLINE = 60.0  # seconds; a conf with a million clients takes its time

# What named writes in the log about each update would go through a thread of ours.
QUIET = "logging { category update { null; }; category update-security { null; }; category notify { null; }; };\n"

# As `update-policy local` has it, and the same for the key of a name server that is not at port 53.
RIGHTS = (
    f"update-policy {{ grant local-ddns zonesub ANY; grant {KEY_NAME} zonesub ANY; }}; allow-transfer {{ localhost; }};"
)


# The network is our own, so every port is free. These are below those that local ports are taken from: an nsupdate
# that takes the name server's own port for a question waits in vain for the answer.
_ports = count(5301)


def new_port() -> int:
    """A port for a server."""
    return next(_ports)


class HttpServer(Process):
    """An HTTP server as a process: sftdyn or a rival, all started in the same way. Raises CannotRun."""

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
        # From the repository's root, 0.10 would import our package; a log in memory would go through a thread of ours.
        super().__init__(command, log.parent, env=env, output=log)
        try:
            self.wait_for_port(host, port, START_DEADLINE)
        except CannotRun:
            self.stop()
            raise


def start_bind(
    folder: Path, fleets: Iterable[Fleet], *, rest: str = "", port: int = 0, command: tuple[str, ...] = ()
) -> Bind:
    """A private BIND whose zones are full of names. `rest` is added to what named.conf says of each zone."""
    folder.mkdir()
    fleets = list(fleets)
    zones = {fleet.zone: f"{RIGHTS} {rest}" for fleet in fleets}
    bind = Bind(folder, zones, extra=QUIET, port=port or new_port(), command=command)
    for fleet in fleets:
        fleet.write()
        (folder / f"{fleet.zone}.zone").write_text(fleet.zone_file())
    bind.start()
    return bind
