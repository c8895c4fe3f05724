"""What the tests of publishing share: clients at any address, requests beside what is done to the name server."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sftdyn.values.update import RRset
from tests.conftest import ServeFixture
from tests.lab.conf import conf
from tests.lab.nameserver import NameServer
from tests.lab.process import Sftdyn
from tests.test_command import run

SOON = 1.5  # seconds: what a neighbour's trouble may cost at most, on a slow machine

UNSEEN = "the world does not see it"  # of all that is in .example, where the machine can ask the world

HOME = RRset("home.dyn.example.", "A", ("192.0.2.7",), 30)


@pytest.fixture
def proxied(serve: ServeFixture) -> Callable[..., Sftdyn]:
    """sftdyn whose tests' clients may have any address."""

    def start(server: NameServer, clients: Mapping[str, object], **settings: Any) -> Sftdyn:
        return serve(conf(server, clients=clients, trusted_proxies=["127.0.0.1"], **settings))

    return start


def update(served: Sftdyn, key: str, address: str) -> str:
    """The answer of the secret URL to a client at this address."""
    return served.get("/" + key, headers={"X-Forwarded-For": address}).text


@contextlib.contextmanager
def in_background(call: Callable[[], str]) -> Iterator[list[str]]:
    """Run a request beside what the test does to the name server; its answer is there afterwards."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    yield answers
    thread.join()


@contextlib.contextmanager
def storm(served: Sftdyn, keys: list[str]) -> Iterator[None]:
    """Requests without a pause for these keys, each from a thread of its own."""
    over = threading.Event()

    def call(key: str) -> None:
        n = 0
        while not over.is_set():
            n += 1
            update(served, key, f"192.0.2.{1 + n % 250}")

    with ThreadPoolExecutor(len(keys)) as pool:
        calls = [pool.submit(call, key) for key in keys]
        try:
            yield
        finally:
            over.set()
    for one in calls:
        one.result()


def problems(folder: Path, text: str) -> list[str]:
    """What is found with a conf, but for what the world sees."""
    (folder / "conf").write_text(text)
    result = run("--check", "--online", str(folder / "conf"))
    found = [line.removeprefix("problem: ") for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert result.returncode == (1 if found else 0), result.stderr
    return [problem for problem in found if UNSEEN not in problem]


def problems_of(primary: NameServer, folder: Path, *names: str, **settings: Any) -> list[str]:
    """What is found with a conf that publishes these names there."""
    clients = {f"a key that is long enough {name}": name for name in names}
    return problems(folder, conf(primary, clients=clients, **settings))
