"""A private BIND: it can be asked, told what to do, stopped, killed and started again."""

import base64
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from .machine import DNSUTILS, CannotRun, find_program, free_port, run
from .process import Process

KEY_NAME = "sftdyn-demo"
ALL = f"update-policy {{ grant {KEY_NAME} zonesub ANY; }};"

ZONE = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""

CONF = """include "{folder}/update.key";
options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ ::1; }};
  recursion no; dnssec-validation no; notify no;
}};
controls {{ inet 127.0.0.1 port {control_port} allow {{ 127.0.0.1; }} keys {{ {key}; }}; }};
{extra}
{zones}"""


def dig(port: int, *arguments: str, host: str = "127.0.0.1") -> str:
    """What dig prints of the name server at a port. Raises CannotRun."""
    return run("dig", DNSUTILS, f"@{host}", "-p", str(port), *arguments)


class Bind:
    """A private BIND in `folder`, with its own zones and TSIG key, on a free port of the loopback.

    `zones` maps a zone to what named.conf says of it besides type and file. `extra` is more of named.conf, `command`
    goes in front of named's own. Raises CannotRun.
    """

    def __init__(
        self, folder: Path, zones: Mapping[str, str], *, extra: str = "", port: int = 0, command: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.keyfile = folder / "update.key"
        self._control_port = free_port()
        self._zones = dict(zones)
        self._extra = extra
        self._process: Process | None = None
        # Where AppArmor confines named to its own folders, it does so by the program's path.
        program = shutil.copy(find_program("named", "bind9"), folder / "named")
        self._command = [*command, str(program), "-g", "-c", str(folder / "named.conf"), "-n", "2"]
        self.write_key()
        for zone in zones:
            (folder / f"{zone}.zone").write_text(ZONE)
        self._write_conf()

    def write_key(self, name: str = KEY_NAME) -> None:
        """A fresh TSIG key, in the form of tsig-keygen(8)."""
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.keyfile.touch(mode=0o600)
        self.keyfile.write_text(f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n')

    def _write_conf(self) -> None:
        zones = (f'zone "{name}" {{ type primary; file "{name}.zone"; {rest} }};' for name, rest in self._zones.items())
        values = {"folder": self.folder, "port": self.port, "control_port": self._control_port, "key": KEY_NAME}
        text = CONF.format(**values, extra=self._extra, zones="\n".join(zones))
        (self.folder / "named.conf").write_text(text)

    def start(self) -> None:
        """Start named, and wait until it serves."""
        self._process = Process(self._command, self.folder)
        try:
            self._process.wait_for_line(lambda line: line.endswith(" running"), "that it is running")
        except CannotRun:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process id of named."""
        assert self._process
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to named."""
        assert self._process
        self._process.signal(number)

    def kill(self) -> None:
        """End named at once, without a chance to write anything."""
        if self._process:
            self._process.kill()
            self._process = None

    def stop(self) -> None:
        """Let named end as on a system's shutdown."""
        if self._process:
            self._process.stop()
            self._process = None

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        """What the name server answers now, as dig prints it."""
        return sorted(dig(self.port, "+short", name, kind).splitlines())

    def ttl(self, name: str, kind: str = "A") -> int:
        """Of a record, in seconds."""
        return int(dig(self.port, "+noall", "+answer", name, kind).split()[1])

    def serial(self, zone: str) -> int:
        """The number that grows with each change of the zone."""
        return int(dig(self.port, "+short", zone, "SOA").split()[2])

    def edit(self, *lines: str) -> None:
        """Change a zone behind sftdyn's back, by lines for nsupdate."""
        script = "\n".join([f"server 127.0.0.1 {self.port}", *lines, "send", ""])
        run("nsupdate", DNSUTILS, "-k", str(self.keyfile), text=script)

    def add_zone(self, zone: str) -> None:
        """Serve one more zone from now on."""
        (self.folder / f"{zone}.zone").write_text(ZONE)
        self._zones[zone] = ALL
        self._write_conf()
        self.rndc("reconfig")

    def rndc(self, *arguments: str) -> None:
        """Tell named what to do."""
        where = ("-s", "127.0.0.1", "-p", str(self._control_port), "-k", str(self.keyfile))
        run("rndc", "bind9-utils", *where, *arguments)
