"""Real parts for the tests: a name server, sftdyn in front of it, and a client. Fixtures are named by role."""

import http.client
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sftdyn.demo import KEY_NAME, ZONE, NameServer, Sftdyn, find_program, free_port, make_certificate

ALL = f"update-policy {{ grant {KEY_NAME} zonesub ANY; }};"
SOME = f"update-policy {{ deny {KEY_NAME} name refused.policy.example; grant {KEY_NAME} zonesub ANY; }};"

ServeFixture = Callable[..., "Served"]

# A shell's background jobs ignore Ctrl-C, and so would everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Bind(NameServer):
    """A name server that can be asked, and told what to do."""

    def __init__(self, folder: Path, zones: dict[str, str], command: tuple[str, ...] = ()) -> None:
        self.control_port = free_port()
        extra = (
            f"controls {{ inet 127.0.0.1 port {self.control_port} allow {{ 127.0.0.1; }} keys {{ {KEY_NAME}; }}; }};\n"
        )
        super().__init__(folder, zones, extra=extra, command=command)

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        """What the name server answers now, as dig prints it."""
        return sorted(self._dig("+short", name, kind).splitlines())

    def ttl(self, name: str, kind: str = "A") -> int:
        return int(self._dig("+noall", "+answer", name, kind).split()[1])

    def serial(self, zone: str) -> int:
        return int(self._dig("+short", zone, "SOA").split()[2])

    def _dig(self, *arguments: str) -> str:
        command = [find_program("dig", "bind9-dnsutils"), "@127.0.0.1", "-p", str(self.port), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def edit(self, *lines: str) -> None:
        """Change a zone behind sftdyn's back."""
        script = "\n".join([f"server 127.0.0.1 {self.port}", *lines, "send", ""])
        command = [find_program("nsupdate", "bind9-dnsutils"), "-k", str(self.keyfile)]
        done = subprocess.run(command, input=script, text=True, check=False, capture_output=True, timeout=20)
        assert done.returncode == 0, done.stderr

    def add_zone(self, zone: str) -> None:
        """Serve one more zone from now on."""
        (self.folder / f"{zone}.zone").write_text(ZONE)
        self._zones[zone] = ALL
        self.write_conf()
        self.rndc("reconfig")

    def rndc(self, *arguments: str) -> None:
        command = [find_program("rndc", "bind9-utils"), "-s", "127.0.0.1", "-p", str(self.control_port)]
        command += ["-k", str(self.keyfile), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="session")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """The name server that most tests share. Each test uses host names of its own."""
    server = Bind(
        tmp_path_factory.mktemp("bind"),
        {"dyn.example": ALL, "sub.dyn.example": ALL, "other.example": ALL, "policy.example": SOME},
    )
    server.start()
    server.edit(
        "zone dyn.example",
        "update add alias.dyn.example 60 CNAME ns.dyn.example",
        "update add child.dyn.example 60 NS ns.dyn.example",
        "update add renamed.dyn.example 60 DNAME other.example",
    )
    yield server
    server.kill()


@pytest.fixture
def own_bind(tmp_path: Path) -> Iterator[Bind]:
    """A name server that the test may kill."""
    folder = tmp_path / "bind"
    folder.mkdir()
    server = Bind(folder, {"dyn.example": ALL, "other.example": ALL})
    server.start()
    yield server
    server.kill()


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: http.client.HTTPMessage


class Served(Sftdyn):
    """A running sftdyn, and a client of it."""

    def __init__(self, conf: Path, *options: str) -> None:
        super().__init__(conf, *options)
        self.folder = conf.parent

    def port(self, scheme: str = "http") -> int:
        return next(urlsplit(url).port or 0 for url in self.urls if url.startswith(scheme + ":"))

    def get(
        self,
        target: str,
        *,
        source: str = "127.0.0.1",
        scheme: str = "http",
        method: str = "GET",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request, from the loopback address `source`; "::1" goes over IPv6."""
        host = "::1" if ":" in source else "127.0.0.1"
        connection: http.client.HTTPConnection
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.folder / "server.crt")
            connection = http.client.HTTPSConnection(
                host, self.port(scheme), timeout=30, source_address=(source, 0), context=context
            )
        else:
            connection = http.client.HTTPConnection(host, self.port(scheme), timeout=30, source_address=(source, 0))
        try:
            connection.request(method, target, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), response.headers)
        finally:
            connection.close()

    def update(self, key: str, source: str = "127.0.0.1") -> str:
        """The answer of the secret URL."""
        return self.get("/" + key, source=source).text

    def resident(self) -> int:
        """Memory in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def children(self) -> list[int]:
        """The processes that it has started and that still run."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with server.key and server.crt."""
    folder = tmp_path_factory.mktemp("certificate")
    make_certificate(folder)
    return folder


def primary(server: NameServer) -> str:
    """The lines of a conf that name this server."""
    return f'server = "127.0.0.1:{server.port}"\nnskeyfile = "{server.keyfile}"\n'


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[ServeFixture]:
    """Start sftdyn with a conf; it ends with the test, and must end cleanly."""
    running: list[Served] = []

    def start(conf: str, *options: str) -> Served:
        path = tmp_path / f"conf{len(running)}"
        path.write_text(conf)
        running.append(Served(path, *options))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            assert server.stop() == 0, "\n".join(server.log)
        assert not [line for line in server.log if "Traceback" in line], "\n".join(server.log)
