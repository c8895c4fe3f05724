"""A private Knot DNS."""

from collections.abc import Mapping
from pathlib import Path

from .machine import find_program, run, wait_until
from .nameserver import KEY_NAME, ZONE, NameServer

ALL = "acl: all"

CONF = """server:
  rundir: {folder}
  listen: [ 127.0.0.1@{port}, ::1@{port} ]
log:
  - target: stderr
    any: info
database:
  storage: {folder}/database
template:
  - id: default
    storage: {folder}
"""
ZONES = """include: key.conf
acl:
  - id: all
    key: {key}
    action: update
{extra}
zone:
{zones}
"""
KEY = """key:
  - id: {name}
    algorithm: hmac-sha256
    secret: {secret}
"""


class Knot(NameServer):
    """A private Knot DNS in `folder`, with its own zones and TSIG key, on a free port of the loopback.

    `zones` maps a zone to what knot.conf says of it besides its name. `extra` is more of the section `acl`. Without
    zones, `conf` says no more than where it listens, where it writes, and what it logs. Raises CannotRun.
    """

    def __init__(self, folder: Path, zones: Mapping[str, str], *, extra: str = "") -> None:
        super().__init__(folder)
        self.conf = folder / "knot.conf"
        self._command = [find_program("knotd", "knot"), "-c", str(self.conf)]
        text = CONF.format(folder=folder, port=self.port)
        if zones:
            listed = "\n".join(f"  - domain: {zone}\n    {rest}" for zone, rest in zones.items())
            text += ZONES.format(key=KEY_NAME, extra=extra, zones=listed)
        self.conf.write_text(text)
        (folder / "database").mkdir()
        for zone in zones:
            (folder / f"{zone}.zone").write_text(ZONE)

    def write_key(self, name: str = KEY_NAME) -> None:
        """A fresh TSIG key, in Knot's own form, too."""
        super().write_key(name)
        (self.folder / "key.conf").write_text(KEY.format(name=name, secret=self.secret))

    def knotc(self, *arguments: str) -> None:
        """Tell knotd what to do, and wait until it is done."""
        socket = self.folder / "knot.sock"
        wait_until(socket.exists, "the socket of knotd")
        run("knotc", "knot", "-s", str(socket), "-b", *arguments)

    def start(self) -> None:
        """Start knotd, and wait until it serves."""
        self._start(self._command, lambda line: "server started" in line)
