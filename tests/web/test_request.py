"""Requests: octets in, values out."""

from http.server import BaseHTTPRequestHandler
from io import BytesIO

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sftdyn.web.reading import MAX_HEAD, split_head
from sftdyn.web.request import BadRequest, parse


@pytest.mark.parametrize(
    ("octets", "method", "target", "version"),
    [
        (b"GET /key HTTP/1.1\r\nHost: a\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key HTTP/1.0\r\n\r\n", "GET", b"key", "HTTP/1.0"),
        (b"GET /key HTTP/1.1\n\n", "GET", b"key", "HTTP/1.1"),
        (b"\r\n\r\nGET /key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key\r\n", "GET", b"key", "HTTP/0.9"),
        (b"GET /\n", "GET", b"", "HTTP/0.9"),
        (b"GET ///key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET http://dyn.example/key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET HTTPS://dyn.example:8443/key?x HTTP/1.1\r\n\r\n", "GET", b"key?x", "HTTP/1.1"),
        (b"GET http://dyn.example?x HTTP/1.1\r\n\r\n", "GET", b"?x", "HTTP/1.1"),
        (b"GET http://dyn.example HTTP/1.1\r\n\r\n", "GET", b"", "HTTP/1.1"),
        (b"GET /http://x/key HTTP/1.1\r\n\r\n", "GET", b"http://x/key", "HTTP/1.1"),
        (b"GET /a key & more HTTP/1.1\r\n\r\n", "GET", b"a key & more", "HTTP/1.1"),
        (b"GET  /key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key HTTP/1.1 \r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /schl\xc3\xbcssel\xff\x00 HTTP/1.1\r\n\r\n", "GET", b"schl\xc3\xbcssel\xff\x00", "HTTP/1.1"),
        (b"GET /a\xa0b\x85c\x0bd\x1ce HTTP/1.1\r\n\r\n", "GET", b"a\xa0b\x85c\x0bd\x1ce", "HTTP/1.1"),
        (b"POST /key HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "POST", b"key", "HTTP/1.1"),
    ],
)
def test_requests_whole_and_octet_by_octet(octets: bytes, method: str, target: bytes, version: str) -> None:
    head = next(head for end in range(1, len(octets) + 1) if (head := split_head(octets[:end])))
    assert head == split_head(octets)
    request = parse(head)
    assert (request.method, request.target, request.version) == (method, target, version)
    assert split_head(octets + b"GET /second HTTP/1.1\r\n\r\n") == head or version == "HTTP/0.9"


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"hello\r\n", 400),
        (b"GET\r\n", 400),
        (b"GET /key\tHTTP/1.1\r\n\r\n", 400),
        (b"GET /key FTP/1.1\r\n\r\n", 400),
        (b"GET /key HTTP/x.y\r\n\r\n", 400),
        (b"GET /key HTTP/1\r\n\r\n", 400),
        (b"GET /key HTTP/2.0\r\n\r\n", 505),
        (b"HTTP/1.1 /key\r\n", 400),
        (b"POST /key\r\n", 400),
        (b"GET /ke\ry HTTP/1.1\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nHost: a\r\nno colon\r\nB: c\r\n\r\n", 400),
        (b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /" + b"x" * MAX_HEAD, 431),
        (b"GET /key HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_what_is_no_request(octets: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as error:
        parse(split_head(octets) or b"")
    assert error.value.status == status


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"GET /" + tail + b" HTTP/1.1\r\n\r\n"))
def test_any_octets_are_a_request_or_a_bad_one(octets: bytes) -> None:
    try:
        head = split_head(octets)
        if head is not None:
            assert parse(head).method
    except BadRequest as error:
        assert error.status in (400, 431, 505)


def test_headers_are_found_in_any_letter_case_and_missing_ones_raise() -> None:
    headers = parse(b"GET / HTTP/1.1\r\nX-Real-IP: 192.0.2.7\r\nA: 1\r\na: 2\r\n\r\n").headers
    assert "x-real-ip" in headers
    assert headers["X-REAL-IP"] == headers.get("x-real-ip") == "192.0.2.7"
    assert headers.getall("A") == ["1", "2"]
    with pytest.raises(KeyError):
        headers["Missing"]
    with pytest.raises(KeyError):
        headers.getall("Missing")


class Library(BaseHTTPRequestHandler):
    """The standard library's parser alone, which says what it would answer."""

    def __init__(self, request_line: bytes) -> None:
        self.raw_requestline = request_line
        self.rfile = BytesIO(b"\r\n")
        self.status: int | None = None
        self.parse_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.status = code


METHODS = st.sampled_from([b"GET", b"POST", b"get", b"G\0T", b"G\xc9T", b"G\x1cT", b"HTTP/1.1"]) | st.binary(
    max_size=4
).map(lambda tail: b"G" + tail)
VERSIONS = st.from_regex(rb" ?HTTP/[0-9]{1,11}\.[0-9]{1,11}[ \xa0]?", fullmatch=True) | st.binary(max_size=10)


@given(METHODS, VERSIONS)
def test_a_request_line_means_what_http_server_makes_of_it(method: bytes, version: bytes) -> None:
    """But for blanks in the target, which routers send, and control characters, of which we take fewer."""
    line = b" ".join([method, b"/key", version])
    assume(not set(line) & set(b"\r\n\t\v\f") and b" " not in version.strip(b" "))
    library = Library(line + b"\r\n")
    try:
        request = parse(split_head(line + b"\r\n\r\n") or b"")
    except BadRequest as error:
        assert error.status == library.status
    else:
        assert (request.method, request.version) == (library.command, library.request_version)
        assert request.target.strip() == b"key"
