"""Servers that say what a test wants them to, octet by octet."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Talk = Callable[["Peer"], object]


class Peer:
    """One accepted connection, as the server sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def request(self) -> bytes:
        """The next request with its body; b"" at the end of the connection."""
        octets = b""
        while b"\r\n\r\n" not in octets:
            more = self.connection.recv(65536)
            if not more:
                return b""
            octets += more
        head, _, body = octets.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        while len(body) < length:
            body += self.connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def say(self, octets: bytes) -> None:
        self.connection.sendall(octets)


class Server:
    """Talks to each connection in a thread of its own: to the first one by the first of `talks`, the last for the rest."""

    def __init__(self, *talks: Talk, host: str = "127.0.0.1", port: int = 0, tls: Path | None = None) -> None:
        self.accepted = 0
        self.heard: list[bytes] = []
        self._talks = talks
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls / "server.crt", tls / "server.key")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            talk = self._talks[min(self.accepted, len(self._talks) - 1)]
            self.accepted += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._talk, args=[connection, talk]))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket, talk: Talk) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            talk(Peer(connection))
            if isinstance(connection, ssl.SSLSocket):
                connection.setblocking(False)
                connection.unwrap()  # says that it ends, and waits for no answer
        except OSError:
            pass
        finally:
            connection.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self._open:
            connection.close()


@contextlib.contextmanager
def serving(*talks: Talk, host: str = "127.0.0.1", port: int = 0, tls: Path | None = None) -> Iterator[Server]:
    server = Server(*talks, host=host, port=port, tls=tls)
    try:
        yield server
    finally:
        server.close()


def says(octets: bytes) -> Talk:
    """Hears one request, says this, and closes the connection."""

    def talk(peer: Peer) -> None:
        if peer.request():
            peer.say(octets)

    return talk


def keeps_saying(octets: bytes) -> Talk:
    """The same for all requests of a connection."""

    def talk(peer: Peer) -> None:
        while peer.request():
            peer.say(octets)

    return talk


def is_cut_off_after(octets: bytes) -> Talk:
    """Hears one request, says this, and then somebody on the way ends the connection."""

    def talk(peer: Peer) -> None:
        if peer.request():
            peer.say(octets)
            socket.socket.shutdown(peer.connection, socket.SHUT_RDWR)

    return talk


def waits(peer: Peer) -> None:
    """Says nothing, ever."""
    while peer.connection.recv(65536):
        pass


def drips(octets: bytes) -> Talk:
    """An octet every few milliseconds."""

    def talk(peer: Peer) -> None:
        peer.request()
        for octet in octets:
            peer.say(bytes([octet]))
            time.sleep(0.02)

    return talk
