"""What the conf writes as `prove`: a port, or `Proof(…)`."""

from pathlib import Path

from ..trust import client_context
from ..values.mistake import Mistake
from ..values.specs import HTTPS_PORT, Proof
from . import parsers
from .constructors import Constructor, Parameter


def proof(value: object) -> Proof:
    """What may stand for a proof. Raises Mistake."""
    if isinstance(value, Proof):
        return value
    if value is PROOF:
        raise Mistake(f"the brackets are missing; write {HTTPS_PORT} or Proof()")
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mistake(f"write the port of a TLS server there: {HTTPS_PORT}, or Proof(port={HTTPS_PORT}, …)")
    return Proof(parsers.port(value))


def certificates(path: Path) -> None:
    """Refuse a file that holds no certificates. Raises Mistake."""
    try:
        client_context(path)
    except OSError:  # ssl.SSLError is one
        raise Mistake("no PEM file of certificates; write the one that issued the server's, or its own") from None


def _name(value: object) -> str:
    name = parsers.host(value)
    if name.startswith("*"):
        raise Mistake("write a name without `*.`, which the certificate is valid for")
    return name


PROOF = Constructor(
    "Proof",
    f"port={HTTPS_PORT}",
    Proof,
    (
        Parameter("port", parsers.port, HTTPS_PORT),
        Parameter("ca", parsers.path),
        Parameter("name", _name),
        Parameter("expired_ok", parsers.yes_or_no, default=False),
    ),
)
