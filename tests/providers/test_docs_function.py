"""The docs' example of a provider of one's own, with what stands in for DuckDNS."""

import ssl
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.api import Answer, Api, Headers, Request
from tests.lab.conf import EVERYBODY
from tests.lab.machine import ROOT
from tests.lab.process import Sftdyn

TOKEN = "a7c4d0ad-114e-40ef-ba1d-d217904a50f2"
IPV4, IPV6 = "192.0.2.7", "2001:db8::7"


class DuckDNS(Api):
    """One GET for everything: OK or KO (DuckDNS, "spec")."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.names: dict[str, dict[str, str]] = {"home": {}}

    def answer(self, request: Request, headers: Headers) -> Answer:
        asked: Mapping[str, str] = request.query
        is_good = request.path == "/update" and asked["token"] == TOKEN and asked["domains"] in self.names
        if is_good and asked.get("clear") == "true":
            self.names[asked["domains"]] = {}
        elif is_good:
            self.names[asked["domains"]] |= {kind: asked[kind] for kind in ("ip", "ipv6") if kind in asked}
        return Answer(200, b"OK" if is_good else b"KO")

    def bad_request(self, why: str) -> Answer:
        return Answer(400, why.encode())


@pytest.fixture
def duckdns(certificate: Path) -> Iterator[DuckDNS]:
    assert ssl.get_default_verify_paths().openssl_cafile_env == "SSL_CERT_FILE"
    with DuckDNS(certificate) as api:
        yield api
    assert not api.complaints


def served_with_the_example(serve: ServeFixture, duckdns: DuckDNS) -> Sftdyn:
    """sftdyn with the docs' own lines, but for the server and the token."""
    paper = (ROOT / "docs/providers.md").read_text()
    [example] = [text for text in paper.split("```python\n") if "def duckdns" in text]
    text = example.partition("```")[0].replace("https://www.duckdns.org", f"https://localhost:{duckdns.port}")
    known = text.partition('"sha256:')[2].partition('"')[0]
    text = text.replace(known, sha256(TOKEN.encode()).hexdigest())
    text += f'clients["sha256:{sha256(b"revoked").hexdigest()}"] = Client("nas.duckdns.org", provider=duckdns)\n'
    return serve(f"http = {EVERYBODY}\n{text}", command=("env", f"SSL_CERT_FILE={duckdns.ca}"))


def test_names_at_duckdns_need_a_dozen_lines(serve: ServeFixture, duckdns: DuckDNS) -> None:
    served = served_with_the_example(serve, duckdns)
    assert served.get(f"/update?token={TOKEN}&ipv4={IPV4}&ipv6={IPV6}").text == "OK"
    assert duckdns.names == {"home": {"ip": IPV4, "ipv6": IPV6}}
    assert served.get(f"/?token={TOKEN}&offline=YES").text == "OK"
    assert duckdns.names == {"home": {}}
    assert served.get(f"/?token=revoked&ipv4={IPV4}").text == "FAIL"
    served.wait_for("duckdns raised ValueError")
    assert TOKEN not in "\n".join(served.log)
