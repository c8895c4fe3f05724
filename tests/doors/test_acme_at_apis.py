"""Certificates for names at Cloudflare and deSEC: a real client, and an authority that asks a name server of theirs.

What the APIs' stand-ins hold is answered over DNS, so the authority sees whether the values are there.
"""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_acme_clients import Lab, authority, lego
from tests.doors.test_certificates import ONE, TWO, present, quoted
from tests.lab.cloudflare import Cloudflare
from tests.lab.conf import conf
from tests.lab.desec import Desec
from tests.providers.test_fake_cloudflare_clients import connect

pytestmark = pytest.mark.extra

DOMAIN = "example.org"
HOME = f"home.{DOMAIN}"
LABEL = "_acme-challenge.home"

Texts = Callable[
    [str], list[str]
]  # by a name without its last dot: the contents of its TXT records, as the API has them


@contextmanager
def served_over_dns(texts: Texts, seen: list[str]) -> Iterator[int]:
    """The port of a name server with these; it notes what it answers."""

    class Question(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            octets, socket = self.request
            question = dns.message.from_wire(octets)
            reply = dns.message.make_response(question)
            reply.flags |= dns.flags.AA
            [asked] = question.question
            found = texts(asked.name.to_text(omit_final_dot=True)) if asked.rdtype == dns.rdatatype.TXT else []
            seen.extend(found)
            if found:
                reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "TXT", *found))
            socket.sendto(reply.to_wire(), self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Question) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def certified(text: str, texts: Texts, serve: ServeFixture, certificate: Path, folder: Path) -> list[str]:
    """Have a certificate for HOME and its wildcard, by lego; the values that the authority was shown."""
    seen: list[str] = []
    with served_over_dns(texts, seen) as port, authority(port, certificate, folder) as directory:
        served = serve(text)
        endpoint = f"http://127.0.0.1:{served.port()}"
        lab = Lab(endpoint, directory, certificate / "server.crt", f"127.0.0.1:{port}", folder)
        assert lego(lab, HOME) == {HOME, f"*.{HOME}"}
    return seen


def test_at_cloudflare_a_client_gets_its_certificate(
    cloudflare: Cloudflare, serve: ServeFixture, certificate: Path, tmp_path: Path
) -> None:
    provider = f'Cloudflare(token="{cloudflare.add_token()}", url="{cloudflare.url}", ca="{cloudflare.ca}")'
    text = conf(None, f'provider = {provider}\nacme["{KEY}"] = "{HOME}"\n')

    def texts(name: str) -> list[str]:
        return [record.content for record in cloudflare.records(name, "TXT")]

    seen = certified(text, texts, serve, certificate, tmp_path)
    assert len(set(seen)) == 2  # both at once, in quotes, as DNS' own text has them
    assert all(content == f'"{content[1:44]}"' for content in seen)
    assert cloudflare.records(f"_acme-challenge.{HOME}") == []


def test_cloudflare_s_own_client_finds_the_contents_in_quotes_and_one_record_each(
    cloudflare: Cloudflare, serve: ServeFixture
) -> None:
    token, zone = cloudflare.add_token(), cloudflare.zone_of(DOMAIN).id
    provider = f'Cloudflare(url="{cloudflare.url}", ca="{cloudflare.ca}")'
    served = serve(conf(None, f'clients["{token}"] = Client("{HOME}", acme=True, provider={provider})\n'))
    with connect(cloudflare, api_token=token) as official:
        theirs = official.dns.records.create(
            zone_id=zone, type="TXT", name=f"_acme-challenge.{HOME}", content='"theirs"', ttl=300
        )
        for value in (ONE, TWO):
            assert present(served, HOME, value, key=token)[0] == 200
        found = official.dns.records.list(zone_id=zone, name={"exact": f"_acme-challenge.{HOME}"}, type="TXT").result
        assert sorted(record.content for record in found) == quoted(ONE, TWO, "theirs")
        assert {record.ttl for record in found if record.id != theirs.id} == {60}
        for value in (ONE, TWO):
            assert present(served, HOME, value, key=token, path="/cleanup")[0] == 200
        found = official.dns.records.list(zone_id=zone, type="TXT").result
        assert [record.id for record in found] == [theirs.id]


def test_at_desec_a_client_gets_its_certificate(serve: ServeFixture, certificate: Path, tmp_path: Path) -> None:
    with Desec(certificate) as desec:
        desec.add_domain(DOMAIN)
        desec.set(DOMAIN, LABEL, "TXT", ['"theirs"'], ttl=3600)
        provider = f'Desec(token="{desec.add_token()}", url="{desec.url}", ca="{desec.ca}")'
        text = conf(None, f'provider = {provider}\nacme["{KEY}"] = "{HOME}"\n')

        def texts(name: str) -> list[str]:
            return desec.addresses(DOMAIN, name.removesuffix(f".{DOMAIN}"), "TXT")

        seen = certified(text, texts, serve, certificate, tmp_path)
        assert len(set(seen) - {'"theirs"'}) == 2
        assert desec.addresses(DOMAIN, LABEL, "TXT") == ['"theirs"']
        assert not desec.complaints
