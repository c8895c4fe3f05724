"""How sftdyn and its rivals are started and configured."""

import os
import sys
from pathlib import Path

from tests.lab.tour import NameServer

from .fleet import Fleet
from .load import BUILD
from .processes import HttpServer, new_port

ROOT = Path(__file__).parent.parent
PYTHON_OF_010 = ROOT / "bench/.venv/sftdyn-0.10/bin/python"

SFTDYN = """
http = "{host}:{port}"
{https}
max_changes = 0
clients = dict(line.split() for line in open("{clients}"))
{primary}
"""

# The commands are those of 0.10's sample conf.
SFTDYN_010 = """
http = "127.0.0.1:{port}"
https = "127.0.0.1:{tls_port}"
key = "server.key"
cert = "server.crt"
clients = dict(line.split() for line in open("{clients}"))

def get_host(querystring, ip):
    return clients.get(querystring)

def nsupdatecommands(host, new_ip, headers):
    kind = "AAAA" if ":" in new_ip else "A"
    yield f"update delete {{host}} {{kind}}"
    yield f"update add {{host}} 30 {{kind}} {{new_ip}}"
    yield "send"
"""


class Sftdyn(HttpServer):
    """This sftdyn, for the clients of a fleet. With a certificate in the fleet's folder, `tls_port` is open too.

    Without `primary` it finds the local name server at port 53, with the session key, as 0.10 does.
    """

    def __init__(
        self,
        fleet: Fleet,
        primary: NameServer | None = None,
        *options: str,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "sftdyn",
    ) -> None:
        port = port or new_port()
        self.tls_port = new_port()
        self.log = fleet.folder / f"{name}.log"
        conf = fleet.folder / f"{name}.conf"
        certificate = (fleet.folder / "server.crt").exists()
        https = f'https = "127.0.0.1:{self.tls_port}"\nkey = "server.key"\ncert = "server.crt"' if certificate else ""
        where = f'server = "127.0.0.1:{primary.port}"\nnskeyfile = "{primary.keyfile}"' if primary else ""
        conf.write_text(SFTDYN.format(host=host, port=port, https=https, clients=fleet.clients, primary=where))
        command = [sys.executable, "-m", "sftdyn", *options, str(conf)]
        super().__init__(command, self.log, port, host, {"PYTHONPATH": str(ROOT)})


class Sftdyn010(HttpServer):
    """sftdyn 0.10 with aiohttp. It knows the local name server and its session key only."""

    def __init__(self, fleet: Fleet, *options: str) -> None:
        port, self.tls_port = new_port(), new_port()
        conf = fleet.folder / "conf-0.10"
        conf.write_text(SFTDYN_010.format(port=port, tls_port=self.tls_port, clients=fleet.clients))
        command = [str(PYTHON_OF_010), "-m", "sftdyn", *options, str(conf)]
        path = f"{os.environ['PATH']}:/usr/sbin"
        super().__init__(command, fleet.folder / "sftdyn-0.10.log", port, env={"PYTHONPATH": "", "PATH": path})


class ConstantPython(HttpServer):
    """The bare asyncio server that parses with http.server."""

    def __init__(self, folder: Path, body: str) -> None:
        port = new_port()
        command = [sys.executable, "-m", "bench.constant_server", str(port), body]
        super().__init__(command, folder / "constant.log", port, env={"PYTHONPATH": str(ROOT)})


class ConstantC(HttpServer):
    """The server that does as little as possible, to find the limit of the load generator."""

    def __init__(self, folder: Path, body: str) -> None:
        port = new_port()
        super().__init__([str(BUILD / "constant"), str(port), body], folder / "constant-c.log", port)
