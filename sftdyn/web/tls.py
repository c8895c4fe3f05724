"""TLS without sockets: octets from the wire in, plain text out, and back.

The connections' own deadline and limit thus hold from the first octet of the handshake.
"""

import ssl
from pathlib import Path

from ..values.mistake import Mistake


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


def _no_password() -> str:
    raise Mistake("the private key is encrypted; decrypt it with: openssl pkey -in KEY -out NEWKEY")


class TLSLayer:
    """The server's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._established = False

    def receive(self, octets: bytes) -> bytes:
        """The plain text that came with `octets`, if any. Raises ssl.SSLError."""
        self._incoming.write(octets)
        text = b""
        try:
            if not self._established:
                self._object.do_handshake()
                self._established = True
            while chunk := self._object.read():
                text += chunk
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return text

    def to_send(self, text: bytes = b"") -> bytes:
        """Octets for the wire: the handshake's, and those of `text`."""
        if text:
            self._object.write(text)
        return self._outgoing.read()

    def close(self) -> bytes:
        """Octets for the wire that end the session (close_notify)."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass  # the client's end of it is not waited for
        return self._outgoing.read()
