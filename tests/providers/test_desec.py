"""The docs' example of a provider of one's own, with what stands in for deSEC's API."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.api import Budget
from tests.lab.conf import EVERYBODY
from tests.lab.desec import Desec
from tests.lab.machine import ROOT
from tests.lab.process import Sftdyn

DOMAIN = "home.dedyn.io"


@pytest.fixture
def desec(certificate: Path) -> Iterator[Desec]:
    with Desec(certificate) as api:
        api.add_domain(DOMAIN)
        yield api
    assert not api.complaints


def served_with_the_example(serve: ServeFixture, desec: Desec, token: str) -> Sftdyn:
    """sftdyn with the docs' own lines, but for the server and the token."""
    paper = (ROOT / "docs/providers.md").read_text()
    [example] = [text for text in paper.split("```python\n") if text.startswith("import json")]
    text = example.partition("```")[0].replace("https://desec.io", f"https://localhost:{desec.port}")
    known = text.partition('"sha256:')[2].partition('"')[0]
    text = text.replace(known, sha256(token.encode()).hexdigest())
    text += f'clients["sha256:{sha256(b"revoked").hexdigest()}"] = Client("nas." + DOMAIN, provider=desec)\n'
    return serve(f"http = {EVERYBODY}\n{text}", command=("env", f"SSL_CERT_FILE={desec.ca}"))


def test_names_at_desec_need_a_dozen_lines(serve: ServeFixture, desec: Desec) -> None:
    token = desec.add_token()
    served = served_with_the_example(serve, desec, token)
    assert served.get(f"/update?token={token}&ipv4=192.0.2.7&ipv6=2001:db8::7").text == "OK"
    assert desec.addresses(DOMAIN, "") == ["192.0.2.7"]
    assert desec.addresses(DOMAIN, "", "AAAA") == ["2001:db8::7"]
    assert served.get(f"/?token={token}&offline=YES").text == "OK"
    assert (desec.addresses(DOMAIN, ""), desec.addresses(DOMAIN, "", "AAAA")) == ([], [])
    assert served.get("/?token=revoked&ipv4=192.0.2.7").text == "FAIL"
    served.wait_for("desec raised HTTPError")
    assert token not in "\n".join(served.log)


def test_it_waits_as_long_as_desec_says(serve: ServeFixture, desec: Desec) -> None:
    token = desec.add_token()
    served = served_with_the_example(serve, desec, token)
    desec.limits = (Budget(1, 1.5),)
    assert [served.get(f"/{token}?ip=192.0.2.{n}").text for n in (1, 2)] == ["OK", "OK"]
    assert desec.addresses(DOMAIN, "") == ["192.0.2.2"]
    desec.limits = (Budget(1, 300.0),)
    assert served.get(f"/{token}?ip=192.0.2.3").text == "FAIL"
