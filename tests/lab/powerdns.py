"""A private PowerDNS, with its zones in SQLite, or in a database that several share."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from .machine import find_program, run
from .nameserver import KEY_NAME, ZONE, NameServer

ALL = KEY_NAME

SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
CONF = """local-address=127.0.0.1, ::1
local-port={port}
socket-dir={folder}
include-dir={folder}/pdns.d
security-poll-suffix=
launch=
"""
ZONES = """launch+=gsqlite3
gsqlite3-database={folder}/pdns.sqlite3
gsqlite3-dnssec=yes
dnsupdate=yes
"""
# What one has changed is seen by the other at once: nothing is remembered.
SHARED = """launch+=gpgsql
gpgsql-extra-connection-parameters={where}
gpgsql-dnssec=yes
dnsupdate=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
"""


class PowerDns(NameServer):
    """A private PowerDNS in `folder`, with its own zones and TSIG key, on a free port of the loopback.

    `zones` maps a zone to the name of the key that may change it. Without zones, the configuration says no more than
    where it listens, where it writes, and which folder has the rest. With `shared`, the zones are in this database; who
    finds them there already takes their key from the `twin` that has made them. Raises CannotRun.
    """

    def __init__(
        self, folder: Path, zones: Mapping[str, str], shared: str = "", twin: "PowerDns | None" = None
    ) -> None:
        super().__init__(folder)
        self._command = [find_program("pdns_server", "pdns-server"), f"--config-dir={folder}", "--disable-syslog"]
        self._needs_key = bool(zones)
        (folder / "pdns.conf").write_text(CONF.format(folder=folder, port=self.port))
        (folder / "pdns.d").mkdir()
        if shared:
            (folder / "pdns.d" / "zones.conf").write_text(SHARED.format(where=shared))
        elif zones:
            (folder / "pdns.d" / "zones.conf").write_text(ZONES.format(folder=folder))
            with closing(sqlite3.connect(folder / "pdns.sqlite3")) as database:
                database.executescript(SCHEMA.read_text())
        if twin:
            self.secret, self.keyfile = twin.secret, twin.keyfile
        (folder / "zone").write_text(ZONE)
        for zone, key in zones.items():
            self.pdnsutil("load-zone", zone, str(folder / "zone"))
            self.pdnsutil("set-meta", zone, "TSIG-ALLOW-DNSUPDATE", key)

    def start(self) -> None:
        """Start pdns_server, and wait until it serves."""
        if self._needs_key:
            self.pdnsutil("import-tsig-key", KEY_NAME, "hmac-sha256", self.secret)
            self._needs_key = False
        self._start(self._command, lambda line: "ready to distribute questions" in line)

    def pdnsutil(self, *arguments: str) -> str:
        """What pdnsutil prints."""
        return run("pdnsutil", "pdns-server", f"--config-dir={self.folder}", *arguments)
