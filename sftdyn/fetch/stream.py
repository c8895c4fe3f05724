"""One connection to a server, in clear or by TLS.

TLS is done here on octets in memory, for two reasons. What a handshake costs, the server chooses (0.2 s for
Diffie-Hellman with 8192 bits), and so it is computed in a thread. And a connection that ends without close_notify may
have been cut by anybody on the way: what came is then not whole, unless it says itself where it ends (RFC 9112, 9.8).
"""

import asyncio
import ssl
from typing import NamedTuple

from ..threads import Returned, in_thread

PIECE = 8192  # octets at once; what is done with them is one step of the event loop, of 10 ms at most
STEPS = 256  # pieces in which a server's part of a handshake comes; it has some KiB


class Origin(NamedTuple):
    """Whom to ask (RFC 9110, 4.3.1)."""

    host: str
    port: int
    tls: bool


class Stream:
    """A connection to a server."""

    def __init__(self, origin: Origin, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.origin = origin
        self.is_used = False  # it has brought an answer already
        self.idle: asyncio.TimerHandle | None = None
        self._reader = reader
        self._writer = writer
        self._tls: ClientTLS | None = None

    def close(self) -> None:
        """At once."""
        if self.idle:
            self.idle.cancel()
        self._writer.transport.abort()

    async def secure(self, context: ssl.SSLContext) -> None:
        """From now on, by TLS. Raises OSError; ssl.SSLError is one."""
        self._tls = ClientTLS(context, self.origin.host)
        for _ in range(STEPS):
            try:
                is_done = await self._tls.shake_hands()
            except ssl.SSLError:
                self._writer.write(self._tls.to_send())  # an alert that says why
                raise
            self._writer.write(self._tls.to_send())
            if is_done:
                return
            self._tls.take(await self._piece())
        raise ConnectionAbortedError

    async def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer, so that the next one is ours. If not, it is closed."""
        is_quiet = False
        listening = asyncio.create_task(self.receive())
        try:
            await asyncio.sleep(0)
            silent = not listening.done()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            is_quiet = silent and not self._writer.is_closing()
        finally:
            if not is_quiet:
                self.close()
        return is_quiet

    async def send(self, octets: bytes) -> None:
        """Raises OSError."""
        self._writer.write(self._tls.to_send(octets) if self._tls else octets)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """What comes next, at most a piece; nothing where the server has ended the connection. Raises OSError."""
        if not self._tls:
            return await self._reader.read(PIECE)
        while (text := self._tls.read()) is None:
            self._tls.take(await self._piece())
        return text

    async def _piece(self) -> bytes:
        """Octets of TLS; there must be some. Raises OSError."""
        octets = await self._reader.read(PIECE)
        if not octets:
            raise ConnectionResetError
        return octets


class ClientTLS:
    """The client's end of one TLS connection, without sockets."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def take(self, octets: bytes) -> None:
        """What came from the wire."""
        self._incoming.write(octets)

    async def shake_hands(self) -> bool:
        """Go on with what was taken; whether the handshake is done. Raises OSError; ssl.SSLError is one.

        Where this is given up, the thread may still be at it, and nothing of this must be used any more.
        """
        try:
            ended = await in_thread(self._object.do_handshake, late=lambda: None)
        except RuntimeError:  # no more threads
            raise BlockingIOError from None
        if isinstance(ended, Returned):
            return True
        if not isinstance(ended.error, ssl.SSLWantReadError):
            raise ended.error
        return False

    def read(self) -> bytes | None:
        """Plain text; None where more has to be taken first, nothing at the end (close_notify). Raises ssl.SSLError."""
        try:
            return self._object.read(PIECE)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def to_send(self, text: bytes = b"") -> bytes:
        """Octets for the wire: the handshake's, and those of `text`. Raises ssl.SSLError."""
        left = memoryview(text)
        while left:
            left = left[self._object.write(left) :]
        return self._outgoing.read()


async def open_stream(origin: Origin, address: str, context: ssl.SSLContext | None) -> Stream:
    """A connection to one address of a server, by TLS if there is a `context`. Raises OSError; ssl.SSLError is one."""
    stream = Stream(origin, *await asyncio.open_connection(address, origin.port, limit=PIECE))
    try:
        if context:
            await stream.secure(context)
    except BaseException:
        stream.close()
        raise
    return stream
