"""The rival of sftdyn's HTTP front: a bare asyncio server that parses with http.server, and answers a constant.

Arguments: port, body.
"""

import asyncio
import sys
from http.server import BaseHTTPRequestHandler
from io import BytesIO

BACKLOG = 1024  # as sftdyn's


class Parser(BaseHTTPRequestHandler):
    """The standard library's parser without its socket."""

    def __init__(self, request_line: bytes, headers: bytes) -> None:
        self.raw_requestline = request_line
        self.rfile = BytesIO(headers)
        self.valid = self.parse_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        pass


class Connection(asyncio.Protocol):
    """One request, the constant, the end."""

    answer = b""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" not in self._received:
            return
        line, _, headers = self._received.partition(b"\r\n")
        if Parser(line, headers).valid:
            self._transport.write(self.answer)
        self._transport.close()


async def serve(port: int, body: str) -> None:
    """Forever, at 127.0.0.1."""
    Connection.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
