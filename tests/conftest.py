"""Real parts for the tests: a name server, and sftdyn in front of it. Fixtures are named by role."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.bind import ALL, KEY_NAME, Bind
from tests.lab.machine import make_certificate
from tests.lab.process import Sftdyn

SOME = f"update-policy {{ deny {KEY_NAME} name refused.policy.example; grant {KEY_NAME} zonesub ANY; }};"

ServeFixture = Callable[..., Sftdyn]


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
