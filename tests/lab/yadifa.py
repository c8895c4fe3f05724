"""A private YADIFA, which keeps silent about zones that it does not have."""

from collections.abc import Sequence
from pathlib import Path

from .machine import find_program, wait_until
from .nameserver import KEY_NAME, ZONE, NameServer

CONF = """<main>
  daemon off
  chroot off
  logpath "{folder}"
  pidfile "{folder}/yadifad.pid"
  datapath "{folder}"
  keyspath "{folder}"
  xfrpath "{folder}"
  user root
  group root
  port {port}
  listen 127.0.0.1
</main>
<channels>
  console stdout
</channels>
<loggers>
  server info,notice,warning,err,crit,alert,emerg console
  database info,notice,warning,err,crit,alert,emerg console
  system notice,warning,err,crit,alert,emerg console
</loggers>
<key>
  name {key}
  algorithm hmac-sha256
  secret {secret}
</key>
<acl>
  ours key {key}
</acl>
{zones}"""


class Yadifa(NameServer):
    """A private YADIFA in `folder`, with these zones, on a free port of the loopback. Raises CannotRun."""

    def __init__(self, folder: Path, zones: Sequence[str]) -> None:
        super().__init__(folder)
        self._command = [find_program("yadifad", "yadifa"), "-c", str(folder / "yadifad.conf")]
        self._zones = zones
        for zone in zones:
            (folder / f"{zone}.zone").write_text(ZONE)

    def start(self) -> None:
        """Start yadifad, and wait until it serves."""
        zone = '<zone>\n  domain {0}\n  type master\n  file "{0}.zone"\n  allow-update ours\n</zone>\n'
        values = {"folder": self.folder, "port": self.port, "key": KEY_NAME, "secret": self.secret}
        text = CONF.format(**values, zones="".join(zone.format(name) for name in self._zones))
        (self.folder / "yadifad.conf").write_text(text)
        self._start(self._command, lambda line: "waiting for udp messages" in line)
        wait_until(lambda: all(self.dig("+short", zone, "SOA") for zone in self._zones), "the zones of YADIFA")
