"""TLS without sockets: octets from the wire in, plain text out, and back.

The connections' own deadline and limit thus hold from the first octet of the handshake.
"""

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from ..trust import client_context
from ..values.mistake import Mistake

HANDSHAKE = b"\x16"  # the type of a record (RFC 8446, 5.1)
HELLO_HEAD = 9  # octets: the record's head, and the first message's, whose length ends it
MAX_HELLO = 16 * 1024  # octets; the longest known are under 4 KiB, with a post-quantum key
MAX_HANDSHAKE = 64 * 1024  # octets


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with this certificate and private key (PEM). Raises Mistake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # one request per connection, and the next comes from another day
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Mistake(
                "key and cert do not belong together; name the key that the certificate was made with"
            ) from None
        raise Mistake("key and cert are no PEM files of an unencrypted private key and its certificate") from None
    except OSError as error:
        raise Mistake(f"cannot read key and cert: {error.strerror}") from None
    return context


class Certificate(NamedTuple):
    """What clients compare of a certificate, beside who signed it."""

    begins: int  # Unix time
    ends: int
    names: tuple[str, ...]  # of subjectAltName: most clients do not look at anything else (RFC 9525, 6.3)


def shown_certificate(context: ssl.SSLContext, cert: Path | None = None) -> Certificate:
    """The certificate of `context` as a client gets it that trusts `cert`, or else the authorities of this system.

    Raises Mistake where none would take it.
    """
    trusting = client_context(cert, expired_ok=True)
    trusting.check_hostname = False
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = trusting.wrap_bio(down, up), context.wrap_bio(up, down, server_side=True)
    for end in (client, server) * 3:  # TLS 1.2 needs them all
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            raise Mistake(error.verify_message) from None
        except ssl.SSLError as error:
            raise Mistake(f"no handshake comes about with it ({error.reason})") from None
    found: dict[str, Any] = client.getpeercert() or {}
    begins, ends = (ssl.cert_time_to_seconds(str(found[name])) for name in ("notBefore", "notAfter"))
    return Certificate(begins, ends, tuple(name for _, name in found.get("subjectAltName", ())))


def _no_password() -> str:
    raise Mistake("the private key is encrypted; decrypt it with: openssl pkey -in KEY -out NEWKEY")


class TooLong(Exception):
    """A handshake for which nobody should keep memory."""


class TLSLayer:
    """The server's end of one TLS connection.

    A handshake costs memory as long as what the client announces, so that is bounded before OpenSSL sees it.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object: ssl.SSLObject | None = None  # made when there is something to read
        self._established = False
        self._start = b""
        self._received = 0  # octets of the handshake

    def receive(self, octets: bytes) -> bytes:
        """The plain text that came with `octets`, if any. Raises ssl.SSLError, TooLong."""
        if self._object is None:
            self._start += octets
            if len(self._start) < HELLO_HEAD:
                return b""
            octets, self._start = self._start, b""
            if octets[:1] == HANDSHAKE and int.from_bytes(octets[6:HELLO_HEAD]) > MAX_HELLO:
                raise TooLong
            self._object = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        return self._decrypt(self._object, octets)

    def _decrypt(self, layer: ssl.SSLObject, octets: bytes) -> bytes:
        self._incoming.write(octets)
        text = b""
        try:
            if not self._established:
                self._received += len(octets)
                layer.do_handshake()
                self._established = True
            while chunk := layer.read():
                text += chunk
        except ssl.SSLWantReadError:
            if not self._established and self._received > MAX_HANDSHAKE:
                raise TooLong from None
        except ssl.SSLZeroReturnError:
            pass
        return text

    def to_send(self, text: bytes = b"") -> bytes:
        """Octets for the wire: the handshake's, and those of `text`."""
        if text and self._object:
            self._object.write(text)
        return self._outgoing.read()

    def close(self) -> bytes:
        """Octets for the wire that end the session (close_notify)."""
        try:
            if self._object:
                self._object.unwrap()
        except ssl.SSLError:
            pass  # the client's end of it is not waited for
        return self._outgoing.read()
