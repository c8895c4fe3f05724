"""Ask sftdyn, over every way in."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Answer, Sftdyn

KEY = "a-secret-key-0123456789"

Doors = Callable[..., Answer]
Ask = Callable[..., Doors]


@pytest.fixture
def ask(serve: ServeFixture, bind: Bind) -> Ask:
    """A function that asks sftdyn, for a conf with these clients."""

    def start(more: str = "", **options: Any) -> Doors:
        served: Sftdyn = serve(conf(bind, f'KEY = "{KEY}"\nassert KEY\n{more}', **options))

        def get(target: str, password: str | None = None, **options: str) -> Answer:
            headers = {}
            credentials = options.get("user", f"any:{password}" if password is not None else None)
            if credentials is not None:
                headers["Authorization"] = "Basic " + b64encode(credentials.encode()).decode()
            answer = served.get(target, headers=headers, source=options.get("source", "127.0.0.1"))
            if log := options.get("log"):
                served.wait_for(log)
            return answer

        return get

    return start
