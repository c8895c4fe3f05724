"""Connections: octets on the wire, and clients that are slow, many, or leave."""

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import KEYS, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn, exchange
from tests.web.conftest import run_curl


@pytest.mark.parametrize(
    ("octets", "start", "end"),
    [
        (b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain\r\n", b"OK", b"OK"),
        (b"GET /wrong\r\n", b"BADKEY", b"BADKEY"),
        (b"GET http://dyn.example/plain HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /with blanks in it HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        ("GET /schlüssel HTTP/1.1\r\n\r\n".encode(), b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.1\r\n\r\nGET /wrong HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"HEAD /plain HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed\r\n", b"\r\n\r\n"),
        (b"POST /plain HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 405 ", b"FAIL"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"hello world\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"GET /plain HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"GET /plain HTTP/3.0\r\n\r\n", b"HTTP/1.1 505 ", b"FAIL"),
        (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 431 ", b"FAIL"),
    ],
)
def test_octets_on_the_wire(served: Sftdyn, bind: Bind, octets: bytes, start: bytes, end: bytes) -> None:
    bind.edit("zone dyn.example", *(f"update delete answer{n}.dyn.example" for n in range(len(KEYS))))
    reply = exchange(served, octets)
    assert reply.startswith(start)
    assert reply.endswith(end)


def test_a_client_that_has_said_all_and_waits(served: Sftdyn) -> None:
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert b"127.0.0.1" in connection.recv(65536)


def test_a_client_that_leaves_in_the_middle(served: Sftdyn) -> None:
    for octets in (b"", b"GET", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
            connection.sendall(octets)
    assert served.get("/").text == "127.0.0.1"


def test_slow_clients_delay_nobody(served: Sftdyn) -> None:
    with ExitStack() as stack:
        for scheme in ("http", "https"):
            for octets in (b"", b"G", b"\x16\x03"):
                for _ in range(30):
                    connection = socket.create_connection(("127.0.0.1", served.port(scheme)), timeout=10)
                    stack.enter_context(connection).sendall(octets)
        assert served.get("/").text == "127.0.0.1"
        assert run_curl(served, f"https://127.0.0.1:{served.port('https')}/").stdout == "127.0.0.1"


def test_an_endless_request_ends(served: Sftdyn) -> None:
    with socket.create_connection(("127.0.0.1", served.port()), timeout=15) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert connection.recv(1) == b""  # its time is up


@pytest.fixture
def few_files(serve: ServeFixture) -> Callable[[str], Sftdyn]:
    """sftdyn with 200 file descriptors."""
    return partial(serve, command=("prlimit", "--nofile=200:200"))


def test_at_the_limit_who_waits_longest_goes(few_files: Callable[[str], Sftdyn], bind: Bind) -> None:
    served = few_files(conf(bind, clients={"k": "limit.dyn.example"}))
    idle = [socket.create_connection(("127.0.0.1", served.port()), timeout=10) for _ in range(160)]
    try:
        assert served.update("k") == "OK"
        assert idle[0].recv(1) == b""
        idle[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert idle[-1].recv(100).startswith(b"HTTP/1.1 200 OK")
    finally:
        for connection in idle:
            connection.close()
    assert served.update("k") == "UPTODATE"


def test_the_listeners_share_the_descriptors(few_files: Callable[[str], Sftdyn], bind: Bind) -> None:
    """Each took all but 64 for itself, and nothing was left for nsupdate."""
    served = few_files(conf(bind, clients={"k": "shared.dyn.example"}, status="127.0.0.1:0"))
    status = served.wait_for("status at ").rpartition(":")[2]
    with ExitStack() as stack:
        for port in [int(status)] * 160 + [served.port()] * 160:
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        assert served.update("k") == "OK"
    assert not [line for line in served.log if "cannot accept" in line]


def test_requests_that_wait_for_a_hook_are_bounded_for_one_address(
    few_files: Callable[[str], Sftdyn], bind: Bind
) -> None:
    served = few_files(
        conf(bind, "import time\ndef get_ip(source_ip, headers, key):\n    time.sleep(3)\n    return source_ip\n")
    )
    with ExitStack() as stack:
        greedy = []
        for _ in range(120):
            one = socket.create_connection(("127.0.0.1", served.port()), timeout=10, source_address=("127.0.0.2", 0))
            greedy.append(stack.enter_context(one))
            one.sendall(b"GET /wrong HTTP/1.0\r\n\r\n")
        assert greedy[-1].recv(100).startswith(b"HTTP/1.1 503 ")
        asked = served.get("/wrong", source="127.0.0.3")
        assert (asked.status, asked.text) == (403, "BADKEY")
    assert not [line for line in served.log if "cannot accept" in line]


def test_a_reply_is_read_whole_by_a_client_that_sends_on(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind))
    body = b"x" * 3_000_000
    request = b"POST /k HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        connection.sendall(request + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 405 ")


def test_blank_lines_without_end_use_no_memory(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind))
    before = served.resident()
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        for _ in range(300):
            connection.sendall(b"\r\n" * 50_000)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert served.resident() < before + 10_000  # KiB


def test_no_header_costs_more_than_its_length(serve: ServeFixture, bind: Bind) -> None:
    """The standard library's email parser takes 0.2 s for each of these."""
    served = serve(conf(bind, clients={"k": "costly.dyn.example"}))
    assert served.update("k") == "OK"
    value = 'multipart/x; "' + ";" * 16_000
    request = f"GET /nope HTTP/1.1\r\nContent-Type: {value}\r\n\r\n".encode()
    for _ in range(40):
        exchange(served, request)
    stat = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    assert used < 4, f"{used} s of the processor"


@pytest.mark.parametrize(
    "header", ["Content-Type: text/plain; charset=rot13", "Subject: =?nonsense?q?=80?=", "A: \udcff\x00", "A:"]
)
def test_odd_headers_are_read_as_they_are(serve: ServeFixture, bind: Bind, header: str) -> None:
    served = serve(
        conf(
            bind,
            "def get_host(querystring, ip):\n    return 'odd.dyn.example'\n"
            "def get_ip(source_ip, headers, key):\n    assert dict(headers.items()) and headers['a'] == 'x y'\n"
            "    return source_ip\n",
        )
    )
    octets = f"GET /k HTTP/1.1\r\n{header}\r\na: x\0y\r\n\r\n".encode("utf-8", "surrogateescape")
    if not header.startswith("A:"):
        assert exchange(served, octets).endswith((b"OK", b"UPTODATE"))
    else:
        assert exchange(served, octets).startswith(b"HTTP/1.1 500 ")  # the first of two counts: the hook says no


def test_a_hundred_headers_are_taken_and_read(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "hundred.dyn.example"}, trusted_proxies=["127.0.0.1"]))
    lines = "".join(f"X-{n}: {n}\r\n" for n in range(99)) + "X-Forwarded-For: 192.0.2.7\r\n"
    assert exchange(served, f"GET /k HTTP/1.1\r\n{lines}\r\n".encode()).endswith(b"OK")
    assert bind.lookup("hundred.dyn.example") == ["192.0.2.7"]
