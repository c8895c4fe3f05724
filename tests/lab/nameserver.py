"""What private name servers have in common: they can be asked, told what to do, stopped, killed and started again."""

import base64
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from .machine import DNSUTILS, CannotRun, free_port, run
from .process import Process

KEY_NAME = "sftdyn-demo"

ZONE = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""


def dig(port: int, *arguments: str, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> str:
    """What dig prints of the name server at a port. Raises CannotRun."""
    return run("dig", DNSUTILS, f"@{host}", "-p", str(port), *arguments, inside=inside)


class NameServer(ABC):
    """A private primary in `folder`, with a TSIG key of its own, on a free port of the loopback.

    `inside` goes in front of its command, and of what asks it.
    """

    def __init__(self, folder: Path, port: int = 0, inside: Sequence[str] = ()) -> None:
        self.folder = folder
        self._inside = inside
        self.port = port or free_port()
        self.keyfile = folder / "update.key"
        self._process: Process | None = None
        self.write_key()

    def write_key(self, name: str = KEY_NAME) -> None:
        """A fresh TSIG key, in the form of tsig-keygen(8); the server knows it from its next start on."""
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.keyfile.touch(mode=0o600)
        self.keyfile.write_text(f'key "{name}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};\n')

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it serves. Raises CannotRun."""

    def _start(self, command: list[str], is_ready: Callable[[str], bool]) -> None:
        """Start this command, and wait for a line of its log. Raises CannotRun."""
        self._process = Process([*self._inside, *command], self.folder)
        try:
            self._process.wait_for_line(is_ready, "that it is running")
        except CannotRun:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process
        self._process.signal(number)

    def kill(self) -> None:
        """End it at once, without a chance to write anything."""
        if self._process:
            self._process.kill()
            self._process = None

    def stop(self) -> None:
        """Let it end as on a system's shutdown."""
        if self._process:
            self._process.stop()
            self._process = None

    def dig(self, *arguments: str) -> str:
        """What dig prints of it. Raises CannotRun."""
        return dig(self.port, *arguments, inside=self._inside)

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        """What the name server answers now, as dig prints it."""
        return sorted(self.dig("+short", name, kind).splitlines())

    def ttl(self, name: str, kind: str = "A") -> int:
        """Of a record, in seconds."""
        return int(self.dig("+noall", "+answer", name, kind).split()[1])

    def serial(self, zone: str) -> int:
        """The number that grows with each change of the zone."""
        return int(self.dig("+short", zone, "SOA").split()[2])

    def edit(self, *lines: str) -> None:
        """Change a zone behind sftdyn's back, by lines for nsupdate."""
        script = "\n".join([f"server 127.0.0.1 {self.port}", *lines, "send", ""])
        run("nsupdate", DNSUTILS, "-k", str(self.keyfile), text=script, inside=self._inside)
