"""What web servers answer to the question who asks: no answer costs the event loop more than its length."""

import asyncio
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.doors.own.answers import NoAddress, agreed, read_address
from sftdyn.doors.own.sources import WEB_LIMIT, Look, Sources
from sftdyn.fetch.answer import Answer
from sftdyn.values.specs import Client, Own, Web
from tests.fetch.peers import says, serving
from tests.fetch.test_answer import HOSTILE
from tests.watchdog import watching

BODIES = {
    "address": b"192.0.2.1",
    "blanks": b" " * (WEB_LIMIT - 9) + b"192.0.2.1",
    "blanks between": b"1" + b" " * (WEB_LIMIT - 2) + b"1",
    "lines of a trace": b"ip=\n" * (WEB_LIMIT // 4),
    "a trace that ends late": b"\n" * (WEB_LIMIT - 12) + b"ip=192.0.2.1",
    "digits": b"1" * WEB_LIMIT,
    "dots": b"1." * (WEB_LIMIT // 2),
    "colons": b"1:" * (WEB_LIMIT // 2),
    "colons alone": b":" * WEB_LIMIT,
    "zone": b"fe80::1%" + b"e" * (WEB_LIMIT - 8),
    "other octets": b"\xff\x85" * (WEB_LIMIT // 2),
    "separators": b"\x0b\x0c\x1c\x1d" * (WEB_LIMIT // 4),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_body_holds_up_others(body: bytes) -> None:
    with watching() as watch:
        for version in (4, 6):
            try:
                watch.timed(body[:40], lambda: read_address(Answer(200, {}, body), version))
            except NoAddress:
                pass


@given(
    st.binary(max_size=300) | st.text("0123456789abcdef:.%ip= \n", max_size=60).map(str.encode), st.sampled_from([4, 6])
)
def test_of_any_octets_an_address_of_this_version_is_read_or_none(body: bytes, version: int) -> None:
    try:
        assert read_address(Answer(200, {}, body), version).version == version
    except NoAddress as problem:
        assert str(problem).startswith("what it answers is not")


def test_many_servers_that_agree_on_nothing_are_counted_in_no_time() -> None:
    told = [ip_address(number) for number in range(10_000)]
    with watching() as watch:
        assert watch.timed("votes", lambda: agreed(told, len(told))) is None


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_a_look_at_a_hostile_server_holds_up_nobody(said: bytes) -> None:
    async def look(port: int) -> Look:
        client = Client(("own.example.",))
        return await Sources().look(Own(client, Web((f"http://127.0.0.1:{port}/",)), 300), 5)

    with serving(says(said)) as server, watching():
        assert not asyncio.run(look(server.port)).addresses
