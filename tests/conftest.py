"""Real parts for the tests: a name server, and sftdyn in front of it. Fixtures are named by role."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bind import ALL, Bind
from tests.lab.cloudflare import Cloudflare
from tests.lab.conf import conf, tls
from tests.lab.machine import make_certificate
from tests.lab.nameserver import KEY_NAME
from tests.lab.process import Sftdyn

SOME = f"update-policy {{ deny {KEY_NAME} name refused.policy.example; grant {KEY_NAME} zonesub ANY; }};"

ServeFixture = Callable[..., Sftdyn]

# A shell's background jobs ignore Ctrl-C, and so would everything that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

KEY = "0123456789abcdef0123456789abcdef"

# As it stands in the conf, as it is sent.
KEYS = {
    "plain": "plain",
    "?hostname=a.dyn.example&password=123456": "?hostname=a.dyn.example&password=123456",
    "host=a.dyn.example,key=4bea": "host=a.dyn.example,key=4bea",
    "a/b//c": "a/b//c",
    "with blanks in it": "with%20blanks%20in%20it",
    "schlüssel": "schl%C3%BCssel",
    "already%20encoded": "already%20encoded",
}


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with server.key and server.crt."""
    folder = tmp_path_factory.mktemp("certificate")
    make_certificate(folder)
    return folder


@pytest.fixture
def cloudflare(certificate: Path) -> Iterator[Cloudflare]:
    """Cloudflare's API with the zone example.org, and no token yet. A test that sends nonsense clears `complaints`."""
    with Cloudflare(certificate) as api:
        api.add_zone("example.org")
        yield api
    assert not api.complaints


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[ServeFixture]:
    """Start sftdyn with a conf; it ends with the test, and must end cleanly."""
    running: list[Sftdyn] = []

    def start(text: str, *options: str, command: tuple[str, ...] = ()) -> Sftdyn:
        path = tmp_path / f"conf{len(running)}"
        path.write_text(text)
        running.append(Sftdyn(path, *options, command=command))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            assert server.stop() == 0, "\n".join(server.log)
        assert not [line for line in server.log if "Traceback" in line], "\n".join(server.log)


@pytest.fixture
def served(serve: ServeFixture, bind: Bind, certificate: Path) -> Sftdyn:
    """sftdyn over HTTP and HTTPS, with a client for each of KEYS."""
    clients = {key: f"answer{n}.dyn.example" for n, key in enumerate(KEYS)}
    return serve(conf(bind, clients=clients, https=["127.0.0.1:0"], **tls(certificate)))


@pytest.fixture
def client_of(serve: ServeFixture, bind: Bind) -> ServeFixture:
    """Start sftdyn with one client, whose KEY stands for these names, which do not exist yet."""

    def start(*names: str, more: str = "", **settings: Any) -> Sftdyn:
        bind.edit("zone dyn.example", *(f"update delete {name}" for name in names))
        return serve(conf(bind, more, clients={KEY: list(names)}, **settings))

    return start
