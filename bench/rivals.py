"""How sftdyn and its rivals are started and configured."""

import os
import sys
from pathlib import Path
from typing import Any

from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT

from .fleet import Fleet
from .load import BUILD
from .processes import HttpServer, new_port

PYTHON_OF_010 = ROOT / "bench/.venv/sftdyn-0.10/bin/python"

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

    Without `primary` it finds the local name server at port 53, with the session key, as 0.10 does. `settings` are
    more of the conf.
    """

    def __init__(
        self,
        fleet: Fleet,
        primary: Bind | None = None,
        *options: str,
        host: str = "127.0.0.1",
        port: int = 0,
        name: str = "sftdyn",
        **settings: Any,
    ) -> None:
        port = port or new_port()
        self.tls_port = new_port()
        clients = f'clients = dict(line.split() for line in open("{fleet.clients}"))\n'
        tls: dict[str, Any] = {"https": f"127.0.0.1:{self.tls_port}", "key": "server.key", "cert": "server.crt"}
        said = {"max_changes": 0, **settings, **(tls if (fleet.folder / "server.crt").exists() else {})}
        path = fleet.folder / f"{name}.conf"
        path.write_text(conf(primary, clients, http=f"{host}:{port}", **said))
        command = [sys.executable, "-m", "sftdyn", *options, str(path)]
        super().__init__(command, fleet.folder / f"{name}.log", port, host, {"PYTHONPATH": str(ROOT)})


class Sftdyn010(HttpServer):
    """sftdyn 0.10 with aiohttp. It knows the local name server and its session key only."""

    def __init__(self, fleet: Fleet, *options: str) -> None:
        port, self.tls_port = new_port(), new_port()
        path = fleet.folder / "conf-0.10"
        path.write_text(SFTDYN_010.format(port=port, tls_port=self.tls_port, clients=fleet.clients))
        command = [str(PYTHON_OF_010), "-m", "sftdyn", *options, str(path)]
        programs = f"{os.environ['PATH']}:/usr/sbin"
        super().__init__(command, fleet.folder / "sftdyn-0.10.log", port, env={"PYTHONPATH": "", "PATH": programs})


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
