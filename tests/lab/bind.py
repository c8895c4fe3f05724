"""A private BIND."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from .machine import find_program, free_port, run
from .nameserver import KEY_NAME, ZONE, NameServer

ALL = f"update-policy {{ grant {KEY_NAME} zonesub ANY; }};"

CONF = """include "{folder}/update.key";
options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ {ipv4} }}; listen-on-v6 port {port} {{ {ipv6} }};
  recursion no; dnssec-validation no; notify no;
}};
controls {{ inet 127.0.0.1 port {control_port} allow {{ 127.0.0.1; }} keys {{ {key}; }}; }};
{extra}
{zones}"""


class Bind(NameServer):
    """A private BIND in `folder`, with its own zones and TSIG key, on a free port of the loopback.

    `zones` maps a zone to what named.conf says of it besides type and file. `extra` is more of named.conf, `command`
    goes in front of named's own; `addresses` are those of this machine that it listens on. Raises CannotRun.
    """

    def __init__(
        self,
        folder: Path,
        zones: Mapping[str, str],
        *,
        extra: str = "",
        port: int = 0,
        command: tuple[str, ...] = (),
        inside: tuple[str, ...] = (),
        addresses: tuple[str, ...] = ("127.0.0.1", "::1"),
    ) -> None:
        super().__init__(folder, port, inside)
        self._addresses = addresses
        self._control_port = free_port()
        self._zones = dict(zones)
        self._extra = extra
        # Where AppArmor confines named to its own folders, it does so by the program's path.
        program = shutil.copy(find_program("named", "bind9"), folder / "named")
        self._command = [*command, str(program), "-g", "-c", str(folder / "named.conf"), "-n", "2"]
        for zone in zones:
            (folder / f"{zone}.zone").write_text(ZONE)
        self._write_conf()

    def _write_conf(self) -> None:
        zones = (f'zone "{name}" {{ type primary; file "{name}.zone"; {rest} }};' for name, rest in self._zones.items())
        values: dict[str, object] = {
            "folder": self.folder,
            "port": self.port,
            "control_port": self._control_port,
            "key": KEY_NAME,
        }
        for family, sign in (("ipv4", "."), ("ipv6", ":")):
            values[family] = " ".join(f"{address};" for address in self._addresses if sign in address) or "none;"
        text = CONF.format(**values, extra=self._extra, zones="\n".join(zones))
        (self.folder / "named.conf").write_text(text)

    def start(self) -> None:
        """Start named, and wait until it serves."""
        self._start(self._command, lambda line: line.endswith(" running"))

    def add_zone(self, zone: str) -> None:
        """Serve one more zone from now on."""
        (self.folder / f"{zone}.zone").write_text(ZONE)
        self._zones[zone] = ALL
        self._write_conf()
        self.rndc("reconfig")

    def promote(self, zone: str, rest: str) -> None:
        """Serve a zone, of which this is a secondary by `extra`, as its primary from now on, with what it has."""
        self._zones[zone], self._extra = rest, ""
        self._write_conf()
        self.rndc("reconfig")

    def rndc(self, *arguments: str) -> None:
        """Tell named what to do."""
        where = ("-s", "127.0.0.1", "-p", str(self._control_port), "-k", str(self.keyfile))
        run("rndc", "bind9-utils", *where, *arguments, inside=self._inside)
