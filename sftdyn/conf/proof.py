"""What the conf writes as `prove`: a port, or `Proof(…)`."""

from collections.abc import Iterable
from pathlib import Path

from ..trust import client_context
from ..values.mistake import Mistake
from ..values.specs import HTTPS_PORT, Proof
from . import parsers
from .named import checked, only_named, optional

PARAMETERS = ("port", "ca", "name", "expired_ok")


def make_proof(
    *values: object,
    port: object = HTTPS_PORT,
    ca: object = None,
    name: object = None,
    expired_ok: object = False,
    **unknown: object,
) -> Proof:
    """`Proof(port=443, ca="ca.pem")` of the conf. Raises Mistake."""
    only_named("Proof", f"port={HTTPS_PORT}", values, unknown, PARAMETERS)
    return Proof(
        checked("port", parsers.port, port),
        optional("ca", parsers.path, ca),
        optional("name", _name, name),
        checked("expired_ok", parsers.yes_or_no, expired_ok),
    )


def proof(value: object, names: Iterable[str]) -> Proof:
    """What may stand for the proof of a client with these names. Raises Mistake."""
    found = checked("prove", _proof, value)
    if found.name is None and any(name.startswith("*") for name in names):
        raise Mistake('prove: nobody is asked for a name with `*.`; say for which: Proof(name="www.dyn.example")')
    return found


def certificates(path: Path) -> None:
    """Refuse a file that holds no certificates. Raises Mistake."""
    try:
        client_context(path)
    except OSError:  # ssl.SSLError is one
        raise Mistake("no PEM file of certificates; write the one that issued the server's, or its own") from None


def _proof(value: object) -> Proof:
    if isinstance(value, Proof):
        return value
    if value is make_proof:
        raise Mistake(f"the brackets are missing; write {HTTPS_PORT} or Proof()")
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mistake(f"write the port of a TLS server there: {HTTPS_PORT}, or Proof(port={HTTPS_PORT}, …)")
    return Proof(parsers.port(value))


def _name(value: object) -> str:
    name = parsers.host(value)
    if name.startswith("*"):
        raise Mistake("write a name without `*.`, which the certificate is valid for")
    return name
