"""The outgoing client, against servers that do what servers do, and what they should not."""

import asyncio
import gc
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy

import pytest

from sftdyn import __version__
from sftdyn.fetch.answer import Answer, Failed, Obstacle
from sftdyn.fetch.fetcher import Fetcher
from sftdyn.fetch.route import LOOKUP, LOOKUPS, Dialer, Family, Lookup
from sftdyn.fetch.stream import Origin
from sftdyn.values.mistake import Mistake
from tests.doors.hosts import Authority
from tests.fetch.peers import FINE, Peer, Talk, drips, is_cut_off_after, keeps_saying, says, serving, waits
from tests.fetch.test_answer import HOSTILE
from tests.lab.machine import find_program, make_certificate, wait_until
from tests.watchdog import watching

FAMILIES = {socket.AF_INET6: "::1", socket.AF_INET: "127.0.0.1"}


def ask(
    port: int,
    *requests: str,
    seconds: float = 5,
    scheme: str = "http",
    host: str = "127.0.0.1",
    ca: Path | None = None,
    family: Family = None,
    limit: int = 1000,
) -> list[Answer | Failed]:
    """What became of some requests, one after the other."""

    async def all_of_them() -> list[Answer | Failed]:
        fetcher = Fetcher(Dialer(ca, family), limit)
        became: list[Answer | Failed] = []
        for request in requests or ["GET"]:
            try:
                body = b"body" if request == "POST" else b""
                became.append(await fetcher.fetch(request, f"{scheme}://{host}:{port}/path?q=1", seconds, body=body))
            except Failed as failed:
                became.append(failed)
        fetcher.close()
        return became

    return asyncio.run(all_of_them())


def trouble(became: Sequence[Answer | Failed]) -> tuple[Obstacle, bool]:
    """Of the only request, which has failed."""
    [failed] = became
    assert isinstance(failed, Failed), failed
    assert failed.__context__ is None
    return failed.trouble, failed.sent


def body(became: Sequence[Answer | Failed]) -> bytes:
    """Of the only request, which was answered."""
    [answer] = became
    assert isinstance(answer, Answer), answer
    return answer.body


def test_a_question_is_plain_http() -> None:
    heard: list[bytes] = []

    def talk(peer: Peer) -> None:
        heard.append(peer.request())
        peer.say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nRetry-After:  7 \r\n\r\nhi")

    with serving(talk) as server:
        [answer] = ask(server.port)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (404, "7", b"hi")
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "GET /path?q=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert f"User-Agent: sftdyn/{__version__}" in lines


@pytest.mark.parametrize(
    "octets",
    [
        FINE,
        b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,
        b"HTTP/1.0 200\r\n\r\nhi",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;x=y\r\nh\r\n01\r\ni\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
def test_a_body_is_framed_in_many_ways(octets: bytes) -> None:
    with serving(says(octets)) as server:
        assert body(ask(server.port)) == b"hi"


def test_no_body_is_no_body() -> None:
    with serving(keeps_saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        assert [answer.body for answer in ask(server.port, "GET", "GET") if isinstance(answer, Answer)] == [b"", b""]
        assert server.accepted == 1


def test_a_connection_is_kept_alive() -> None:
    with serving(keeps_saying(FINE)) as server:
        assert len([answer for answer in ask(server.port, *["GET", "POST"] * 5) if isinstance(answer, Answer)]) == 10
        assert server.accepted == 1


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        FINE + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_is_not_kept_where_the_next_answer_could_be_another_one(octets: bytes) -> None:
    """One of them says more than it was asked for."""
    with serving(keeps_saying(octets)) as server:
        for answer in ask(server.port, "GET", "GET", "GET"):
            assert isinstance(answer, Answer)
            assert answer.status == 200
        assert server.accepted == 3


def test_a_connection_that_was_closed_while_idle_costs_nothing() -> None:
    """Seen before anything is sent: also what is no question goes over a fresh one."""
    with serving(says(FINE)) as server:

        async def twice() -> None:
            fetcher = Fetcher(Dialer())
            for _ in range(2):
                answer = await fetcher.fetch("POST", f"http://127.0.0.1:{server.port}/", 5, body=b"x")
                assert answer.status == 200
                await asyncio.sleep(0.2)  # the end of the connection arrives
            fetcher.close()

        asyncio.run(twice())
        assert server.accepted == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_ends_with_the_next_request_is_tried_again_for_questions_only(method: str) -> None:
    def once(peer: Peer) -> None:
        peer.request()
        peer.say(FINE)
        peer.request()

    with serving(once) as server:
        first, second = ask(server.port, "GET", method)
        assert isinstance(first, Answer)
        if method == "GET":
            assert isinstance(second, Answer)
        else:
            assert trouble([second]) == (Obstacle.CLOSED, True)
        assert server.accepted == (2 if method == "GET" else 1)


def test_a_redirect_is_an_answer_like_others() -> None:
    with serving(says(FINE)) as other:
        found = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % other.port
        with serving(says(found)) as server:
            [answer] = ask(server.port)
            assert isinstance(answer, Answer)
            assert answer.status == 302
        assert other.accepted == 0


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says(FINE)) as proxy, serving(says(FINE)) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert body(ask(server.port)) == b"hi"
        assert proxy.accepted == 0


@pytest.mark.parametrize(
    "talk",
    [
        waits,
        drips(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 900),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 900),
    ],
    ids=["silent", "slow header", "trickling body"],
)
def test_the_deadline_is_for_the_whole_request(talk: Talk) -> None:
    with serving(talk) as server:
        start = time.monotonic()
        assert trouble(ask(server.port, seconds=0.4)) == (Obstacle.SILENT, True)
        assert 0.35 < time.monotonic() - start < 3


def test_the_deadline_is_also_for_tls(certificate: Path) -> None:
    with serving(waits) as server:
        start = time.monotonic()
        became = ask(server.port, seconds=0.4, scheme="https", ca=certificate / "server.crt")
        assert trouble(became)[1] is False
        assert time.monotonic() - start < 3


def test_a_resolver_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more than a few of its threads are ever there."""
    hanging = threading.Event()
    asked: list[object] = []

    def hang(*arguments: object) -> list[object]:
        asked.append(arguments)
        hanging.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        start = time.monotonic()
        for _ in range(LOOKUPS + 3):
            assert trouble(ask(80, host="www.example", seconds=0.01)) == (Obstacle.SILENT, False)
        assert len(asked) == LOOKUPS
        assert time.monotonic() - start < 2
    finally:
        hanging.set()
    wait_until(lambda: Lookup.places.are_all_free, "the end of all lookups")


def test_names_whose_lookups_hang_take_no_place_of_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of five clients of `own`, beside the name of an API."""
    hanging = threading.Event()
    asked: list[str] = []

    def hang(host: str, *arguments: object) -> list[object]:
        asked.append(host)
        if host != "api.example":
            hanging.wait(20)
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def beside() -> None:
        dialers = [Dialer(family=4), Dialer(family=6)]
        origins = [Origin(f"{number}.example", 80, tls=False) for number in range(40)]
        waiting = [asyncio.create_task(dialer._addresses(origin)) for origin in origins for dialer in dialers]
        share = 2 * (LOOKUPS // 3 + 1)  # of two who want more than there are
        await asyncio.to_thread(wait_until, lambda: len(asked) == share, "as many lookups as they may have")
        async with asyncio.timeout(LOOKUP / 2):
            assert await Dialer()._addresses(Origin("api.example", 80, tls=False)) == ["127.0.0.1"]
        hanging.set()
        assert {tuple(found) for found in await asyncio.gather(*waiting)} == {("127.0.0.1",)}

    asyncio.run(beside())
    assert len(asked) == 81


def test_one_lookup_serves_all_who_want_to_know_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = socket.getaddrinfo

    def slow(*arguments: object) -> object:
        asked.append(arguments)
        time.sleep(0.1)
        return real("127.0.0.1", *arguments[1:])  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def many(port: int) -> None:
        route = Dialer()
        fetchers = [Fetcher(route) for _ in range(20)]
        await asyncio.gather(*(fetcher.fetch("GET", f"http://www.example:{port}/", 5) for fetcher in fetchers))
        for fetcher in fetchers:
            fetcher.close()

    with serving(keeps_saying(FINE)) as server:
        asyncio.run(many(server.port))
        assert (len(asked), server.accepted) == (1, 20)


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\nfffffff\r\n",
    ],
)
def test_a_huge_body_is_not_read(octets: bytes) -> None:
    with serving(says(octets)) as server:
        assert trouble(ask(server.port, limit=1000)) == (Obstacle.TOO_LARGE, True)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01 garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + FINE,
    ],
)
def test_what_is_no_http_is_said_to_be_none(octets: bytes) -> None:
    with serving(says(octets)) as server:
        assert trouble(ask(server.port)) == (Obstacle.NO_HTTP, True)


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 2", FINE[:-1], b"HTTP/1.1 200 OK\r\n\n"[:-1]])
def test_a_connection_that_ends_early_may_have_brought_the_request(octets: bytes) -> None:
    with serving(says(octets)) as server:
        assert trouble(ask(server.port)) == (Obstacle.CLOSED, True)
        assert server.accepted == 1


def test_where_nobody_listens_nothing_was_sent() -> None:
    with serving(waits) as server:
        pass
    assert trouble(ask(server.port)) == (Obstacle.NO_CONNECTION, False)


def test_a_name_without_address_says_so() -> None:
    assert trouble(ask(80, host="nobody.invalid")) == (Obstacle.NO_ADDRESS, False)


def test_tls_is_verified(certificate: Path, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    (tmp_path / "broken").write_text("no certificate")

    def fetched(ca: Path | None) -> bytes | tuple[Obstacle, bool]:
        became = ask(server.port, scheme="https", ca=ca, host="localhost")
        return trouble(became) if isinstance(became[0], Failed) else body(became)

    with serving(says(FINE), tls=certificate) as server:
        assert fetched(certificate / "server.crt") == b"hi"
        assert fetched(None) == (Obstacle.UNKNOWN_ISSUER, False)
        assert fetched(tmp_path / "server.crt") == (Obstacle.UNKNOWN_ISSUER, False)
        for ca in ("broken", "missing"):
            assert fetched(tmp_path / ca) == (Obstacle.BAD_CA, False)


def test_a_certificate_in_ca_is_believed_that_an_authority_issued(tmp_path: Path) -> None:
    Authority(tmp_path).server("localhost")
    for name in ("server.crt", "server.key"):
        copy(tmp_path / "server.pem", tmp_path / name)
    with serving(says(FINE), tls=tmp_path) as server:
        became = ask(server.port, scheme="https", ca=tmp_path / "server.crt", host="localhost")
    assert body(became) == b"hi"


def test_a_certificate_for_another_name_is_not_taken(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *others: real("127.0.0.1", *others))
    with serving(says(FINE), tls=certificate) as server:
        became = ask(server.port, scheme="https", ca=certificate / "server.crt", host="www.example")
        assert trouble(became) == (Obstacle.OTHER_NAME, False)


@pytest.mark.parametrize(
    ("begins", "ends", "obstacle"), [(-30, -1, Obstacle.EXPIRED), (1, 30, Obstacle.NOT_YET)], ids=["expired", "not yet"]
)
def test_a_certificate_out_of_its_time_says_so(tmp_path: Path, begins: int, ends: int, obstacle: Obstacle) -> None:
    authority = Authority(tmp_path)
    now = datetime.now(UTC)
    authority.server("localhost", dates=(now + timedelta(days=begins), now + timedelta(days=ends)))
    for name in ("server.crt", "server.key"):
        copy(tmp_path / "server.pem", tmp_path / name)
    with serving(says(FINE), tls=tmp_path) as server:
        became = ask(server.port, scheme="https", ca=authority.ca, host="localhost")
    assert trouble(became) == (obstacle, False)


def test_what_does_not_speak_tls_is_told_apart() -> None:
    with serving(lambda peer: peer.say(FINE)) as server:
        assert trouble(ask(server.port, scheme="https")) == (Obstacle.NO_TLS, False)


def test_a_family_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """And if one address of a name leads nowhere, the next is tried."""
    real = socket.getaddrinfo

    def both(host: str, port: int, family: int, kind: int) -> list[object]:
        return [
            real(address, port, version, kind)[0] for version, address in FAMILIES.items() if family in (0, version)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with serving(says(b"HTTP/1.0 200 OK\r\n\r\nfour")) as four:
        with serving(says(b"HTTP/1.0 200 OK\r\n\r\nsix"), host="::1", port=four.port) as six:
            assert body(ask(four.port, host="www.example", family=4)) == b"four"
            assert body(ask(four.port, host="www.example", family=6)) == b"six"
            assert body(ask(four.port, host="www.example")) == b"six"
            assert body(ask(four.port, host="[::1]")) == b"six"
            assert trouble(ask(four.port, host="[::1]", family=4)) == (Obstacle.NO_ADDRESS, False)
            assert (four.accepted, six.accepted) == (1, 3)
        assert body(ask(four.port, host="www.example")) == b"four"


def test_an_address_that_leads_nowhere_costs_its_share_of_the_time_once(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [*real("::1", 0), *real("127.0.0.1", 0)])

    async def work(port: int) -> None:
        fetcher = Fetcher(Dialer(certificate / "server.crt"))
        for seconds in (1.0, 0.4):  # half of this would not do for the address that is silent
            answer = await fetcher.fetch("GET", f"https://localhost:{port}/", seconds)
            assert answer.body == b"four"

    answer = says(b"HTTP/1.0 200 OK\r\n\r\nfour")
    with serving(answer, tls=certificate) as four, serving(waits, host="::1", port=four.port) as six:
        asyncio.run(work(four.port))
        assert (four.accepted, six.accepted) == (2, 1)


def test_who_waits_for_a_turn_waits_within_the_own_time() -> None:
    async def work(port: int) -> float:
        fetcher = Fetcher(Dialer(), at_once=1)
        url = f"http://127.0.0.1:{port}/"
        first = asyncio.create_task(fetcher.fetch("GET", url, 1))
        await asyncio.sleep(0)
        start = time.monotonic()
        with pytest.raises(Failed) as failed:
            await fetcher.fetch("GET", url, 0.2)
        assert (failed.value.trouble, failed.value.sent) == (Obstacle.SILENT, False)
        took = time.monotonic() - start
        await asyncio.gather(first, return_exceptions=True)
        return took

    with serving(waits) as server:
        assert asyncio.run(work(server.port)) < 0.6


def test_more_at_once_than_allowed_wait_for_their_turn_within_their_time() -> None:
    gate = threading.Event()

    def slow(peer: Peer) -> None:
        while peer.request():
            gate.wait(20)
            peer.say(FINE)

    async def many(port: int) -> list[Answer | BaseException]:
        fetcher = Fetcher(Dialer(), at_once=2)
        url = f"http://127.0.0.1:{port}/"
        asking = [fetcher.fetch("GET", url, seconds) for seconds in (0.5, 0.5, 0.3, 0.3)]
        late = await asyncio.gather(*asking, return_exceptions=True)
        patient = [asyncio.create_task(fetcher.fetch("GET", url, 20)) for _ in range(6)]
        await asyncio.sleep(0)
        gate.set()
        became = await asyncio.gather(*patient, return_exceptions=True)
        fetcher.close()
        return [*late, *became]

    with serving(slow) as server:
        late, became = (results := asyncio.run(many(server.port)))[:4], results[4:]
    failed = [(one.trouble, one.sent) for one in late if isinstance(one, Failed)]
    assert failed == [(Obstacle.SILENT, True)] * 2 + [(Obstacle.SILENT, False)] * 2
    assert [one.status for one in became if isinstance(one, Answer)] == [200] * 6


@pytest.mark.parametrize(
    "url",
    ["", "www.example", "ftp://www.example/", "http://", "http://www.example:x/", "http://a b/", "http://a/\r\nX: y"],
)
def test_what_is_no_url_is_not_asked(url: str) -> None:
    async def once() -> None:
        await Fetcher(Dialer()).fetch("GET", url, 1)

    with pytest.raises(Mistake, match="write it like"):
        asyncio.run(once())


def test_a_header_that_would_be_two_is_not_sent_and_not_told() -> None:
    async def once() -> None:
        await Fetcher(Dialer()).fetch("GET", "http://127.0.0.1:1/", 1, {"Authorization": "Bearer secret\r\nX: y"})

    with pytest.raises(Mistake) as raised:
        asyncio.run(once())
    assert "secret" not in str(raised.value)


def test_a_closed_fetcher_keeps_no_connection() -> None:
    async def once(port: int) -> None:
        fetcher = Fetcher(Dialer())
        await fetcher.fetch("GET", f"http://127.0.0.1:{port}/", 5)
        fetcher.close()
        del fetcher
        gc.collect()

    ended = threading.Event()

    def until_the_end(peer: Peer) -> None:
        keeps_saying(FINE)(peer)
        ended.set()

    with serving(until_the_end) as server:
        asyncio.run(once(server.port))
        assert ended.wait(5)


def octets_read() -> int:
    """By this process, ever, of files and others."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_many_first_requests_read_the_certificates_once(certificate: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    ca.write_bytes((certificate / "server.crt").read_bytes() * 500)

    async def many(port: int) -> list[Answer]:
        fetcher = Fetcher(Dialer(ca), 1000, at_once=8)
        answers = await asyncio.gather(*(fetcher.fetch("GET", f"https://127.0.0.1:{port}/", 5) for _ in range(8)))
        fetcher.close()
        return answers

    with serving(says(FINE), tls=certificate) as server:
        before = octets_read()
        assert [answer.body for answer in asyncio.run(many(server.port))] == [b"hi"] * 8
        assert ca.stat().st_size <= octets_read() - before < 2 * ca.stat().st_size


def test_certificates_that_were_renewed_are_believed_at_once(certificate: Path, tmp_path: Path) -> None:
    make_certificate(tmp_path)

    async def before_and_after(port: int) -> None:
        fetcher = Fetcher(Dialer(tmp_path / "server.crt"), 1000)
        with pytest.raises(Failed, match="no authority"):
            await fetcher.fetch("GET", f"https://127.0.0.1:{port}/", 5)
        copy(certificate / "server.crt", tmp_path)
        assert (await fetcher.fetch("GET", f"https://127.0.0.1:{port}/", 5)).body == b"hi"
        fetcher.close()

    with serving(says(FINE), tls=certificate) as server:
        asyncio.run(before_and_after(server.port))


@pytest.mark.parametrize(
    ("octets", "is_whole"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n192.0.2.1", False),
        (FINE[:-1], False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", False),
        (FINE, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", True),
    ],
)
def test_what_was_cut_off_is_no_answer_unless_it_says_where_it_ends(
    certificate: Path, octets: bytes, is_whole: bool
) -> None:
    """By TLS, where 192.0.2.1 may be the half of 192.0.2.17 (RFC 9112, 8)."""
    with serving(is_cut_off_after(octets), tls=certificate) as server:
        became = ask(server.port, scheme="https", ca=certificate / "server.crt")
    if is_whole:
        assert body(became) == b"hi"
    else:
        assert trouble(became) == (Obstacle.CLOSED, True)


def test_what_ends_with_a_connection_that_was_ended_as_it_should_is_an_answer(certificate: Path) -> None:
    with serving(says(b"HTTP/1.1 200 OK\r\n\r\n192.0.2.1"), tls=certificate) as server:
        assert body(ask(server.port, scheme="https", ca=certificate / "server.crt")) == b"192.0.2.1"


def test_a_connection_by_tls_is_kept_alive(certificate: Path) -> None:
    """With the tickets that a server sends after the handshake in between, and with large bodies."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    with serving(keeps_saying(large), tls=certificate) as server:
        became = ask(server.port, *["GET", "POST"] * 3, scheme="https", ca=certificate / "server.crt", limit=300_000)
        assert [len(one.body) for one in became if isinstance(one, Answer)] == [300_000] * 6
        assert server.accepted == 1


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_no_server_holds_up_others(said: bytes) -> None:
    with serving(says(said)) as server, watching():
        ask(server.port, limit=1 << 20)


def test_a_handshake_that_takes_long_to_compute_holds_up_nobody(certificate: Path) -> None:
    """By Diffie-Hellman with 8192 bits, which the server chooses."""
    command = [find_program("openssl", "openssl"), *"s_server -accept 127.0.0.1:0 -groups ffdhe8192 -www".split()]
    files = ["-cert", str(certificate / "server.crt"), "-key", str(certificate / "server.key")]
    with subprocess.Popen([*command, *files], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            port = next(int(line.rpartition(":")[2]) for line in server.stdout if line.startswith("ACCEPT"))
            with watching():
                became = ask(port, seconds=20, scheme="https", ca=certificate / "server.crt", limit=1 << 16)
        finally:
            server.terminate()
    assert b"ffdhe8192" in body(became)
