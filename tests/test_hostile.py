"""What strangers send is read in time that its length bounds: a corpus for each parser of their bytes, under the watch.

What servers answer is in tests/fetch; TLS hellos are in tests/web, too.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from itertools import chain
from urllib.parse import quote

import pytest

from sftdyn.check.keyfiles import what_is_wrong
from sftdyn.doors.challenges import read_challenge
from sftdyn.doors.demand import read_demand, read_hostnames, read_key, read_parameters
from sftdyn.doors.dyndns2 import hosts
from sftdyn.doors.keys import Opened, takes_body, ways, without_client
from sftdyn.providers.cloudflare.plan import absolute
from sftdyn.values.mistake import Mistake
from sftdyn.values.names import host_name
from sftdyn.values.specs import Client
from sftdyn.web.hello import read_hello
from sftdyn.web.peer import Proxies, identify
from sftdyn.web.reading import MAX_HEAD, Reading
from sftdyn.web.request import BadRequest, Request, basic, credentials
from tests.watchdog import watching

LONG = MAX_HEAD - 100  # octets that a target, a header or a query can have
FORM = 4096  # octets of a body
OWN = Client(tuple(f"h{number}.dyn.example." for number in range(100)))
BYTES = [
    b"\0",
    b"\t",
    b" ",
    b"\r",
    b"\n",
    b"%",
    b"%00",
    b"%EF%B7%BA",
    b"&",
    b"&=",
    b"=",
    b",",
    b",",
    b";",
    b":",
    b"::",
]
BYTES += [
    b"/",
    b"//",
    b"?",
    b".",
    b"a.",
    b"0",
    b"1.",
    b"[",
    b"]",
    b'"',
    b'\\"',
    b"\xff",
    b"\xef\xb7\xba",
    b"a=b&",
    b"+",
    b"-",
]
BYTES += [
    b"myip=1&",
    b"myip=::&",
    b"hostname=a.b.c&",
    b"hostname=\xef\xb7\xba.b.c,",
    b"prefix=::/56&",
    b"token=&",
    b"xn--",
    b"=?=",
]
PROXIES = Proxies((ip_network("127.0.0.0/8"),))
ALL = Opened(dyndns2=True, acme=True)


def filled(unit: bytes, length: int) -> bytes:
    return (unit * (length // len(unit) + 1))[:length]


def heads(unit: bytes) -> Iterator[bytes]:
    """The places of a head that can hold it."""
    fill = filled(unit, LONG)
    yield b"GET /" + fill + b" HTTP/1.1\r\n\r\n"
    yield b"GET /?" + fill + b" HTTP/1.1\r\n\r\n"
    yield fill + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + fill + b"\r\n\r\n"
    for name in (b"a", b"X-Forwarded-For", b"Authorization", b"Content-Length", b"Transfer-Encoding", b"Expect"):
        yield b"GET /update HTTP/1.1\r\n" + name + b": " + fill[: LONG - 50] + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n" + filled(b"a:" + unit[:4] + b"\r\n", LONG) + b"\r\n\r\n"


def read_head(head: bytes) -> None:
    with suppress(BadRequest):
        if request := Reading(lambda request: takes_body(request, ALL)).feed(head):
            understand(request)


def understand(request: Request) -> None:
    """All that is read of a request before its key is known."""
    list(ways(request, ALL))
    without_client(request, ALL)
    basic(request)
    credentials(request)
    identify("127.0.0.1", request, PROXIES)


def read_query(query: bytes) -> None:
    """All that is read of a request with a key."""
    read_key(query)
    parameters = read_parameters(query)
    read_challenge(parameters)
    hosts(OWN, parameters)
    read_hostnames(parameters)
    for peer_only in (False, True):
        with suppress(Mistake):
            read_demand(parameters, peer_only)


def test_a_head_costs_what_it_is_long() -> None:
    with watching() as watch:
        for head in chain.from_iterable(map(heads, BYTES)):
            watch.timed(head[:40], partial(read_head, head))


@pytest.mark.parametrize("front", [b"", b"myip=", b"hostname=", b"prefix=", b"txt=", b"clear=", b"offline="], ids=repr)
def test_a_query_or_a_form_costs_what_it_is_long(front: bytes) -> None:
    with watching() as watch:
        for unit in BYTES:
            watch.timed(unit, partial(read_query, front + filled(unit, LONG)))
            watch.timed(unit, partial(read_query, front + filled(quote(unit).encode(), FORM)))


@pytest.mark.parametrize("read", [host_name, absolute, what_is_wrong])
def test_a_name_or_a_key_file_costs_what_it_is_long(read: Callable[[str], object]) -> None:
    with watching() as watch:
        for unit in BYTES:
            text = filled(unit, 1 << 16).decode("utf-8", "replace")
            for length in (63, 250, 253, len(text)):
                watch.timed(unit, partial(is_read, read, text[:length]))
                watch.timed(unit, partial(is_read, read, f"key {text[:length]}\nkey:"))


def is_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (Mistake, UnicodeError):
        return False
    return True


def test_a_hello_costs_what_it_is_long() -> None:
    with watching() as watch:
        for unit in BYTES:
            with suppress(ValueError):
                watch.timed(unit, partial(read_hello, b"\x16\x03\x01\xff\xff" + filled(unit, 1 << 16)))
