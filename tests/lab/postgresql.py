"""A private PostgreSQL, which runs as the user that Debian's package makes."""

import shutil
import tempfile
from pathlib import Path

from .machine import free_port, run

PACKAGE = "postgresql"
OPTIONS = "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"


class Server:
    """A server on a free port of the loopback; whoever may connect may do everything. Raises CannotRun."""

    def __init__(self) -> None:
        self.port = free_port()
        self.where = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"  # as libpq has it
        self._folder = Path(tempfile.mkdtemp(prefix="sftdyn-postgresql-"))  # to the tests' own it could not get
        shutil.chown(self._folder, "postgres")
        self._do("initdb", "-D", str(self._folder), "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        options = OPTIONS.format(port=self.port)
        self._do("pg_ctl", "start", "-w", "-D", str(self._folder), "-l", str(self._folder / "log"), "-o", options)

    def stop(self) -> None:
        """End it without a word to those who are connected."""
        self._do("pg_ctl", "stop", "-w", "-D", str(self._folder), "-m", "immediate")

    def close(self) -> None:
        """End it, where it runs, and remove all that it has."""
        if (self._folder / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def run(self, statement: str) -> str:
        """What SQL, of one statement or several, gives."""
        return run("psql", PACKAGE, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement, self.where)

    def _do(self, program: str, *arguments: str) -> None:
        [folder] = Path("/usr/lib/postgresql").glob("*/bin")
        run("runuser", "util-linux", "-u", "postgres", "--", str(folder / program), *arguments)
