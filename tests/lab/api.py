"""An HTTPS server for JSON inside the test's process, that notes what it is sent and fails on command."""

import http.server
import json
import re
import socket
import socketserver
import ssl
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from .machine import free_port

SECRET_HEADERS = {"authorization", "x-auth-key", "x-auth-email", "cookie"}  # what these hold is never kept
POLL = 0.02  # seconds until a server that is stopped notices it
IDLE = 120.0  # seconds that a connection may say nothing

Headers = Mapping[str, str]
Json = Any
NO_HEADERS: Headers = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """What a client has sent. Header names are in lower case; secrets are not among them."""

    method: str
    path: str  # below the API's base
    query: Mapping[str, str]
    headers: Headers
    json: Json  # None without a body
    at: float  # seconds of time.monotonic

    @property
    def kind(self) -> str:
        """The method and the path without what names one thing: "GET /zones/{}/dns_records"."""
        return f"{self.method} {re.sub(r'(?<=/)[0-9a-f]{32}(?=/|$)', '{}', self.path)}"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=dict)


def json_answer(status: int, body: Json, headers: Headers = NO_HEADERS) -> Answer:
    """An answer that is JSON."""
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def timestamp() -> str:
    """The time, as such APIs write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request. All of them are sums of these:

    `made`: it is carried out before anything goes wrong. `wait`: seconds before the answer. `answer`: is sent instead of
    the true one; without one the request is carried out, after the wait if it was not before. `octets`: so many of the
    answer are sent, then the connection is closed; None for all. `pause`: seconds between two octets of the answer.
    """

    answer: Answer | None = None
    made: bool = False
    wait: float = 0
    octets: int | None = None
    pause: float = 0


EVER = 1e9  # seconds


def error(status: int = 500, *, made: bool = False, retry_after: int | str | None = None) -> Fault:
    """An error page that is not JSON, as proxies in front of an API send them."""
    headers = {"Content-Type": "text/html"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    return Fault(Answer(status, b"<html><body><h1>error</h1></body></html>", headers), made)


def slow(seconds: float, *, made: bool = True) -> Fault:
    """The true answer, later; the change is made before the wait, or only after it."""
    return Fault(made=made, wait=seconds)


def silent(*, made: bool = False) -> Fault:
    """No answer, until the server stops; then the change is not made any more."""
    return Fault(made=made, wait=EVER)


def closed(*, made: bool, octets: int = 0) -> Fault:
    """The connection ends before the answer, or after some octets of it; the change is made or not."""
    return Fault(None if made else Answer(200, b"{}"), made, octets=octets)


def garbage(body: bytes = b"\x00<!doctype html>", *, made: bool = False, status: int = 200) -> Fault:
    """An answer that says it is JSON and is not, or is JSON of another shape."""
    return Fault(Answer(status, body, {"Content-Type": "application/json"}), made)


def enormous(octets: int = 50_000_000, *, made: bool = False) -> Fault:
    """An answer without an end."""
    return garbage(b'{"result": [' + b" " * octets + b"]}", made=made)


def redirect(url: str, status: int = 302) -> Fault:
    """Somewhere else."""
    return Fault(Answer(status, b"", {"Location": url}))


def dripping(pause: float = 0.1, *, made: bool = True) -> Fault:
    """The true answer, octet by octet."""
    return Fault(made=made, pause=pause)


@dataclass
class _Order:
    """A fault, and the requests that it is for."""

    fault: Fault
    times: float
    method: str
    path: re.Pattern[str]

    def is_for(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("", method) and bool(self.path.search(path))


@dataclass(frozen=True)
class Budget:
    """So many requests in so many seconds; then 429 for as long again."""

    requests: int
    seconds: float


@dataclass
class Meter:
    """The requests that one client has sent. Pure but for its memory."""

    sent: list[float] = field(default_factory=list)
    blocked_until: float = 0

    def charge(self, budget: Budget, now: float) -> float:
        """Count one request; the seconds that the client has to wait, 0 if the budget holds."""
        if now < self.blocked_until:
            return self.blocked_until - now
        self.sent = [at for at in self.sent if at > now - budget.seconds]
        if len(self.sent) < budget.requests:
            self.sent.append(now)
            return 0
        self.sent = []
        self.blocked_until = now + budget.seconds
        return budget.seconds


class Api:
    """What such servers share. `answer` is one's own: it runs alone, never two at a time.

    `requests` are all that arrived, in this order; `complaints` say what is wrong with them, for a client that we write
    ourselves: a test ends with `assert not api.complaints`. `faults` are met before anything else.
    """

    base = ""  # of all paths

    def __init__(self, folder: Path) -> None:
        """`folder` has server.crt, which is also the `ca` that clients want, and server.key."""
        self.ca = folder / "server.crt"
        self.port = free_port()
        self.url = f"https://localhost:{self.port}{self.base}"
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.news = threading.Condition(threading.RLock())
        self.carried_out = 0  # requests that were answered truly, also where nobody got the answer
        self._orders: list[_Order] = []
        self._certificate = self.ca, folder / "server.key"
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # Its life

    def start(self) -> None:
        """Listen, on the same port each time, and return when connections are accepted."""
        self._stopping.clear()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate)
        self._server = _Server(self, context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[POLL], daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections and refuse new ones; what it knows stays."""
        if self._server is None or self._thread is None:
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.end_connections()
        self._server.server_close()
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    # What a test says and asks

    def fail(self, fault: Fault, times: float = EVER, method: str = "", path: str = "") -> None:
        """The next requests of this method and path (a regular expression, searched for) meet this. First come first."""
        with self.news:
            self._orders.append(_Order(fault, times, method, re.compile(path)))

    def heal(self) -> None:
        """No more faults; those that requests have met already go on."""
        with self.news:
            self._orders.clear()

    def counts(self, since: int = 0) -> Counter[str]:
        """How many requests of each kind came, from that one on."""
        with self.news:
            return Counter(request.kind for request in self.requests[since:])

    def wait_for(self, what: Callable[[], object], seconds: float = 20) -> None:
        """Return when it is true, looking after each request that came or was carried out. Raises TimeoutError."""
        with self.news:
            if not self.news.wait_for(what, seconds):
                raise TimeoutError(f"not within {seconds} s; requests: {dict(self.counts())}")

    # What happens to a request

    def answer(self, request: Request, headers: Headers) -> Answer:
        """Carry it out. `headers` are all of them, secrets too."""
        raise NotImplementedError

    def bad_request(self, why: str) -> Answer:
        """The answer to what no client should send."""
        raise NotImplementedError

    def complain(self, request: Request, why: str) -> Answer:
        """Note what no client of ours may send."""
        self.complaints.append(f"{request.method} {request.path}: {why}")
        return self.bad_request(why)

    def receive(self, method: str, target: str, headers: Headers, body: bytes) -> tuple[Fault, Callable[[], Answer]]:
        """Note a request; what goes wrong with it, and what carries it out."""
        url = urlsplit(target)
        shown = {name: value for name, value in headers.items() if name not in SECRET_HEADERS}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        content, fault_of_body = read_json(body)
        request = Request(method, url.path.removeprefix(self.base), query, shown, content, time.monotonic())
        with self.news:
            self.requests.append(request)
            fault = self._fault_for(method, request.path)
            self.news.notify_all()

        def carry_out() -> Answer:
            with self.news:
                why = (
                    fault_of_body
                    or fault_of_headers(request)
                    or ("" if url.path.startswith(self.base) else "no such path")
                )
                answer = self.complain(request, why) if why else self.answer(request, headers)
                self.carried_out += 1
                self.news.notify_all()
                return answer

        return fault, carry_out

    def _fault_for(self, method: str, path: str) -> Fault:
        for order in self._orders:
            if order.is_for(method, path):
                order.times -= 1
                return order.fault
        return Fault()

    def suffer(self, fault: Fault, carry_out: Callable[[], Answer]) -> Answer | None:
        """The answer after a fault; None if there is none any more."""
        answer = carry_out() if fault.made else None
        if self.pause(fault.wait):
            return None
        return fault.answer or answer or carry_out()

    def pause(self, seconds: float) -> bool:
        """Wait; whether the server stops meanwhile."""
        return self._stopping.wait(seconds) if seconds else False


def read_json(body: bytes) -> tuple[Json, str]:
    """What a body says, and what is wrong with it."""
    if not body:
        return None, ""
    try:
        return json.loads(body), ""
    except ValueError:
        return None, "the body is not JSON"


def fault_of_headers(request: Request) -> str:
    """What is wrong with a request before anybody has looked what it is for; "" if nothing is."""
    if not request.headers.get("user-agent"):
        return "no User-Agent"
    if request.json and request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return "a body without the Content-Type application/json"
    if request.json and request.method == "GET":
        return "a GET with a body"
    return ""


class _Server(socketserver.ThreadingTCPServer):
    """One thread for each connection; TLS is spoken there, so that a silent client holds up nobody."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, api: Api, context: ssl.SSLContext) -> None:
        self.api = api
        self._context = context
        self._connections: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", api.port), _Handler)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        raw, address = super().get_request()
        raw.settimeout(IDLE)
        connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        """Those who read from them find their end."""
        with self._lock:
            for connection in self._connections:
                try:
                    socket.socket.shutdown(
                        connection, socket.SHUT_RDWR
                    )  # SSLSocket's own would pull TLS from under them
                except OSError:
                    pass  # gone already

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may go at any time; everything else is a mistake in here, and fails the test."""
        why = traceback.format_exc()
        if not isinstance(sys.exc_info()[1], OSError):
            self.api.complaints.append(why)


class _Handler(http.server.BaseHTTPRequestHandler):
    """A connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        self.request.do_handshake()
        super().setup()

    def serve(self) -> None:
        """One request."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        fault, carry_out = self.server.api.receive(self.command, self.path, headers, body)
        answer = self.server.api.suffer(fault, carry_out)
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer, fault)

    def _send(self, answer: Answer, fault: Fault) -> None:
        reason = HTTPStatus(answer.status).phrase
        headers = {
            "Date": self.date_time_string(),
            "Server": "lab",
            "Content-Length": str(len(answer.body)),
            **answer.headers,
        }
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        octets = ("\r\n".join(lines).encode() + answer.body)[: fault.octets]
        if fault.octets is not None:
            self.close_connection = True
        for piece in pieces(octets, fault.pause):
            self.wfile.write(piece)
            if self.server.api.pause(fault.pause):
                break

    def log_message(self, *_: object) -> None:
        pass


for _method in "GET HEAD POST PUT PATCH DELETE".split():
    setattr(_Handler, f"do_{_method}", _Handler.serve)


def pieces(octets: bytes, pause: float) -> Iterator[bytes]:
    """All at once, or octet by octet where there is a pause between them."""
    if not pause:
        yield octets
        return
    for octet in octets:
        yield bytes([octet])
