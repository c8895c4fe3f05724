"""The secret URL's answers."""

from pathlib import Path

import pytest

from tests.conftest import KEYS, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.machine import free_port
from tests.lab.process import Sftdyn


@pytest.fixture
def everywhere(serve: ServeFixture, bind: Bind, certificate: Path) -> Sftdyn:
    """Listens on bare ports: both families, plain and TLS."""
    served = serve(
        conf(bind, clients={"k": "every.dyn.example"}, http=free_port(), https=str(free_port()), **tls(certificate))
    )
    served.folder = certificate
    return served


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("source", ["127.0.0.1", "::1"])
def test_each_row_of_the_table(everywhere: Sftdyn, bind: Bind, scheme: str, source: str) -> None:
    kind = "AAAA" if ":" in source else "A"
    bind.edit("zone dyn.example", "update delete every.dyn.example")
    get = everywhere.get

    changed = get("/k", scheme=scheme, source=source)
    assert (changed.status, changed.text) == (200, "OK")
    assert bind.lookup("every.dyn.example", kind) == [source]
    assert changed.headers["Content-Length"] == "2"
    assert changed.headers["Content-Type"].startswith("text/plain")
    assert changed.headers["Connection"] == "close"

    same = get("/k", scheme=scheme, source=source)
    assert (same.status, same.text) == (200, "UPTODATE")

    unknown = get("/wrong", scheme=scheme, source=source)
    assert (unknown.status, unknown.text) == (403, "BADKEY")

    bare = get("/", scheme=scheme, source=source)
    assert (bare.status, bare.text) == (200, source)

    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        other = get("/k", scheme=scheme, source=source, method=method)
        assert (other.status, other.headers["Allow"]) == (405, "GET")
    assert get("/k", scheme=scheme, source=source, method="HEAD").status == 405


@pytest.mark.parametrize("key", KEYS)
def test_every_character_is_allowed_in_a_key(served: Sftdyn, key: str) -> None:
    assert served.update(KEYS[key]) == "OK"
    assert served.get("///" + KEYS[key]).text == "UPTODATE"
    assert served.update(KEYS[key] + "x") == "BADKEY"
