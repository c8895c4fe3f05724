"""Bodies of requests: forms where a door takes them, bounded in octets and time, and read nowhere else."""

import socket
from contextlib import ExitStack
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.web.reading import CONTINUE, MAX_BODY, Reading
from sftdyn.web.request import BadRequest
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.process import Sftdyn, exchange
from tests.web.conftest import run_curl

KEY = "a-secret-key-0123456789"
NAME = "body.dyn.example"


@pytest.fixture
def posted(serve: ServeFixture, bind: Bind) -> Sftdyn:
    bind.edit("zone dyn.example", f"update delete {NAME}")
    return serve(conf(bind, clients={KEY: NAME}))


def post(target: str, body: str, *headers: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def test_a_form_says_what_a_query_would(posted: Sftdyn, bind: Bind) -> None:
    form = f"token={KEY}&myip=192.0.2.1"
    assert exchange(posted, post("/update", form)).endswith(b"\r\n\r\nOK")
    assert bind.lookup(NAME) == ["192.0.2.1"]
    assert exchange(posted, post("/nic/update", f"{form}&hostname={NAME}")).endswith(b"nochg 192.0.2.1")
    assert exchange(posted, post(f"/v3/update?hostname={NAME}&token={KEY}", "")).endswith(b"good 127.0.0.1")


def test_a_post_without_a_body_is_a_get(posted: Sftdyn) -> None:
    octets = f"POST /update?token={KEY} HTTP/1.1\r\n\r\n".encode()
    assert exchange(posted, octets).endswith(b"\r\n\r\nOK")


def test_the_query_beats_the_form_whatever_the_letter_case(posted: Sftdyn, bind: Bind) -> None:
    form = f"%54oken=wrong&MYIP=192.0.2.9&TOKEN=wrong&token={KEY}"
    assert exchange(posted, post(f"/update?token={KEY}&myip=192.0.2.2", form)).endswith(b"\r\n\r\nOK")
    assert bind.lookup(NAME) == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("octets", "start"),
    [
        (post("/update", "x" * (MAX_BODY + 1)), b"HTTP/1.1 413 "),
        (b"POST /update HTTP/1.1\r\nContent-Length: " + b"9" * 9000 + b"\r\n\r\n", b"HTTP/1.1 413 "),
        (b"POST /update HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"HTTP/1.1 400 "),
        (b"POST /update HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"POST /update HTTP/1.1\r\nContent-Length:\r\n\r\n", b"HTTP/1.1 400 "),
        (b"POST /nic/update HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 411 "),
        (b"POST /update HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n", b"HTTP/1.1 411 "),
        (post("/update", "x" * MAX_BODY), b"HTTP/1.1 401 "),
        (post("/update", "\0\r\n&=&&%zz%"), b"HTTP/1.1 401 "),
        (b"POST /update HTTP/1.1\r\n\r\nPOST /update HTTP/1.1\r\n\r\n" * 500, b"HTTP/1.1 401 "),
        (post("/update", "") + b"\xff" * 100_000, b"HTTP/1.1 401 "),
        (b"PUT /update HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 405 "),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 405 "),
        (f"POST /{KEY} HTTP/1.1\r\nContent-Length: 5\r\n\r\n".encode(), b"HTTP/1.1 405 "),
        (b"GET /update HTTP/1.1\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 401 "),
    ],
)
def test_no_body_beyond_the_bound_is_waited_for(posted: Sftdyn, octets: bytes, start: bytes) -> None:
    assert exchange(posted, octets).startswith(start)


def test_a_body_that_does_not_come_has_no_more_time_than_a_head(posted: Sftdyn) -> None:
    with socket.create_connection(("127.0.0.1", posted.port()), timeout=15) as connection:
        connection.sendall(post("/update", f"token={KEY}")[:-1])
        assert connection.recv(1) == b""


def test_bodies_that_are_waited_for_cost_little_memory(posted: Sftdyn) -> None:
    before = posted.resident()
    head = b"POST /update HTTP/1.1\r\nContent-Length: 4096\r\nA: " + b"x" * 12_000 + b"\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", posted.port()), timeout=10))
            connection.sendall(head + b"x" * 4000)
        assert posted.get("/").text == "127.0.0.1"
        assert posted.resident() - before < 200 * 24 + 4000  # KiB


def test_curl_sends_a_long_form_without_waiting(serve: ServeFixture, bind: Bind, certificate: object) -> None:
    """Above 1 KiB (1 MiB in newer versions) it waits a second for an invitation; here it is told to."""
    bind.edit("zone dyn.example", f"update delete {NAME}")
    served = serve(conf(bind, clients={KEY: NAME}, https="127.0.0.1:0", **tls(certificate)))  # type: ignore[arg-type]
    form = f"token={KEY}&junk={'x' * 3000}"
    waits = ("--expect100-timeout", "25", "-H", "Expect: 100-continue")
    for scheme, word in (("http", "OK"), ("https", "UPTODATE")):
        url = f"{scheme}://127.0.0.1:{served.port(scheme)}/update"
        assert run_curl(served, *waits, "--max-time", "20", "-d", form, url).stdout == word
    refused = run_curl(served, *waits, "--max-time", "20", "-w", "%{http_code}", "-d", "x" * 5000, url)
    assert refused.stdout == "FAIL413"


HEAD = b"POST /update HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"


@given(st.binary(max_size=40), st.binary(max_size=40), st.lists(st.integers(0, 200), max_size=6))
def test_a_body_is_the_same_in_any_pieces(body: bytes, junk: bytes, cuts: list[int]) -> None:
    octets = HEAD % len(body) + body + junk
    places = sorted({0, *(cut for cut in cuts if cut < len(octets)), len(octets)})
    reading = Reading(lambda request: request.target == b"update")
    found = None
    for start, end in pairwise(places):
        if found := reading.feed(octets[start:end]):
            break
    assert found
    assert found.body == body


def test_who_asks_whether_to_go_on_is_told_so_once() -> None:
    reading = Reading(lambda _: True)
    assert reading.feed((HEAD % 3)[:-1]) is None
    assert reading.to_send() == b""
    assert reading.feed(b"\n") is None
    assert reading.to_send() == CONTINUE
    assert reading.to_send() == b""
    for head in ((HEAD % 3).replace(b"1.1", b"1.0"), (HEAD % 3).replace(b"100-", b"200-")):
        reading = Reading(lambda _: True)
        assert reading.feed(head) is None
        assert reading.to_send() == b""


def test_a_path_that_takes_no_body_is_complete_with_its_head() -> None:
    request = Reading(lambda _: False).feed(HEAD % 99999)
    assert request
    assert request.body == b""


@given(st.binary(max_size=60))
def test_any_headers_about_a_body_are_a_length_or_a_bad_request(value: bytes) -> None:
    try:
        Reading(lambda _: True).feed(b"POST /update HTTP/1.1\r\nContent-Length:" + value + b"\r\n\r\n")
    except BadRequest as error:
        assert error.status in (400, 413)
