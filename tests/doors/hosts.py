"""Hosts that a proof may find at an address: TLS servers with all kinds of certificates, and others."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE = 60.0  # seconds
DAY = timedelta(days=1)
NOW = datetime.now(UTC)
NEVER = NOW - 2 * DAY, NOW - DAY  # from, until
ALWAYS = NOW - DAY, NOW + DAY

Serve = Callable[[socket.socket], object]  # what a host does with a connection


class Authority:
    """Issues certificates. Its own is `ca`, a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")])
        self.ca = folder / "ca.pem"
        ca = self._certificate(self._name, self._key, ALWAYS, [x509.BasicConstraints(ca=True, path_length=None)])
        self.ca.write_bytes(ca)

    def server(
        self, *names: str, dates: tuple[datetime, datetime] = ALWAYS, common_name: str = "host"
    ) -> ssl.SSLContext:
        """The settings of a server with a certificate for these names."""
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(subject, key, dates, [alternatives] if names else [])
        path = self._folder / "server.pem"
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(text + certificate)
        return settings(path, path)

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        dates: tuple[datetime, datetime],
        extensions: Sequence[x509.ExtensionType],
    ) -> bytes:
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number(), *dates)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def settings(cert: Path, key: Path) -> ssl.SSLContext:
    """Of a server with this certificate and private key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class Host:
    """Listens at an address, and does something with each connection, in a thread."""

    def __init__(self, address: str, port: int, serve: Serve) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.accepted: list[socket.socket] = []
        self._serve = serve
        self._listener = socket.create_server((address, port), family=family)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self.accepted.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=[connection]))
            self._threads[-1].start()

    def close(self) -> None:
        """Let everybody go."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for thread in self._threads[1:]:
            thread.join()


class Tls:
    """A TLS server, which remembers what name each client asked for, and what came after the handshake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.names: list[str] = []
        self.octets = b""
        self.ends = 0  # of sessions, as TLS says it
        self._context = context
        context.sni_callback = self._take_note

    def _take_note(self, _: ssl.SSLObject, name: str, __: ssl.SSLContext) -> None:
        self.names.append(name)

    def __call__(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as layer:
                self.octets += layer.recv(65536)
                self.ends += 1
        except OSError:
            pass  # it was not liked
        finally:
            connection.close()


def silent(connection: socket.socket) -> None:
    """A server that accepts, and never answers."""
    with connection:
        while connection.recv(65536):
            pass


def http(connection: socket.socket) -> None:
    """A server that speaks plain HTTP."""
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def closes(connection: socket.socket) -> None:
    """A server that accepts, and ends the connection."""
    connection.close()


def ends(connection: socket.socket) -> None:
    """A server that ends the session (close_notify, RFC 8446, 6.1) instead of beginning it."""
    with connection:
        connection.recv(65536)
        connection.sendall(b"\x15\x03\x03\x00\x02\x01\x00")


def resets(connection: socket.socket) -> None:
    """A server that accepts, and throws the connection away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class InTurn:
    """A server that is another one each time; from its last one on, the same."""

    def __init__(self, *servers: Serve) -> None:
        self.tries = 0
        self._servers = servers

    def __call__(self, connection: socket.socket) -> None:
        self.tries += 1
        self._servers[min(self.tries, len(self._servers)) - 1](connection)


class Held:
    """A TLS server, which nobody reaches before the gate is open."""

    def __init__(self, serve: Tls) -> None:
        self.gate = threading.Event()
        self.serve = serve

    def __call__(self, connection: socket.socket) -> None:
        self.gate.wait(PATIENCE)
        self.serve(connection)
