"""What the tests of publishing share: clients at any address, requests beside what is done to the name server."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sftdyn.values.update import RRset
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn

HOME = RRset("home.dyn.example.", "A", ("192.0.2.7",), 30)


@pytest.fixture
def proxied(serve: ServeFixture) -> Callable[..., Sftdyn]:
    """sftdyn whose tests' clients may have any address."""

    def start(server: Bind, clients: Mapping[str, object], **settings: Any) -> Sftdyn:
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
