"""Proofs in the conf: what may be written, what it means, and what is said to someone who got it wrong."""

from pathlib import Path

import pytest

from sftdyn.conf.config import load
from sftdyn.conf.program import ConfigError
from sftdyn.values.specs import Client, Proof
from tests.lab.machine import make_certificate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_certificate(tmp_path)
    (tmp_path / "empty").touch()
    return tmp_path / "conf"


def client(path: Path, *written: str) -> Client:
    path.write_text("http = 8080\n" + "".join(f'clients["k{n}"] = {one}\n' for n, one in enumerate(written)))
    found = load(path).keyring.find(b"k0")
    assert found
    return found


@pytest.mark.parametrize(
    ("written", "proof"),
    [
        ("None", None),
        ("443", Proof()),
        ("Proof()", Proof()),
        ("8443", Proof(8443)),
        ('Proof(port=8443, name="www.Bücher.example")', Proof(8443, name="www.xn--bcher-kva.example.")),
        ("Proof(expired_ok=True)", Proof(expired_ok=True)),
    ],
)
def test_what_a_proof_means(path: Path, written: str, proof: Proof | None) -> None:
    assert client(path, f'Client("a.example", prove={written})').prove == proof


def test_its_certificates_are_relative_to_the_conf(path: Path) -> None:
    assert client(path, 'Client("a.example", prove=Proof(ca="server.crt"))').prove == Proof(
        ca=path.parent / "server.crt"
    )


def test_one_may_be_shared_and_a_name_may_have_several(path: Path) -> None:
    one = client(path, *(f'Client("a.example", prove={port})' for port in (443, 444)))
    assert one.prove == Proof(443)


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ("prove=0", "prove: a port is a number from 1 to 65535"),
        ("prove=True", "prove: write the port of a TLS server there: 443, or Proof(port=443, …)"),
        ('prove="443"', "prove: write the port of a TLS server there: 443"),
        ("prove=Proof", "prove: the brackets are missing; write 443 or Proof()"),
        ("prove=Proof(8443)", "Proof: name what you give it, such as Proof(port=443)"),
        ("prove=Proof(prot=8443)", "Proof: prot: there is no such setting; did you mean port?"),
        ("prove=Proof(port=65536)", "port: a port is a number from 1 to 65535"),
        ('prove=Proof(port="443")', "port: a port is a number from 1 to 65535"),
        ("prove=Proof(ca=7)", 'ca: not a path; write it like "server.key"'),
        ('prove=Proof(ca="nowhere")', "prove: ca: cannot read the file: No such file or directory; name a file"),
        ('prove=Proof(ca="empty")', "prove: ca: no PEM file of certificates; write the one that issued"),
        ('prove=Proof(ca="server.key")', "prove: ca: no PEM file of certificates"),
        ('prove=Proof(name="192.0.2.7")', 'name: "192.0.2.7": this is an address or a number; write the host\'s name'),
        ('prove=Proof(name="*.a.example")', "name: write a name without `*.`, which the certificate is valid for"),
        ("prove=Proof(expired_ok=1)", "expired_ok: write True or False"),
        ('"*.a.example", prove=443', "prove: nobody is asked for a name with `*.`; say for which: Proof(name="),
        ('lan={"*.a.example": "::1"}, prove=443', "prove: nobody is asked for a name with `*.`"),
        ("proove=443", "proove: there is no such setting; did you mean prove?"),
    ],
)
def test_mistakes_are_answered(path: Path, written: str, reply: str) -> None:
    with pytest.raises(ConfigError) as error:
        client(path, f'Client("a.example", {written})')
    assert reply in str(error.value)
    assert str(error.value).startswith(f"{path}:2: ")
