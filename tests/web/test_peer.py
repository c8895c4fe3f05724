"""Whose request it is."""

from ipaddress import ip_address, ip_network

import pytest

from sftdyn.web.peer import Caller, Proxies, identify
from sftdyn.web.request import Request, parse


def request(*headers: str) -> Request:
    return parse("\r\n".join(["GET /key HTTP/1.1", *headers, "", ""]).encode())


PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # a stranger may say what it likes
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the left one is the client's own word
        ("127.0.0.1", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9", "10.1.2.3"], "203.0.113.9"),  # two headers are one list
        ("127.0.0.1", ["10.0.0.2, 10.0.0.1"], "10.0.0.2"),  # all trusted: the leftmost
        ("127.0.0.1", ["rubbish, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        ("127.0.0.1", ["[2001:db8::9]"], "2001:db8::9"),
        ("127.0.0.1", ["2001:db8::9"], "2001:db8::9"),
        ("2001:db8:ffff::1", ["2001:db8::9"], "2001:db8::9"),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: list[str], client: str) -> None:
    caller = identify(peer, request(*(f"X-Forwarded-For: {header}" for header in forwarded)), Proxies(PROXIES))
    assert str(caller.address) == client


@pytest.mark.parametrize(
    "header",
    ["", " , ,", "unknown", "203.0.113.9, rubbish", "::1%x", '"', '"192.0.2.7', "1.2.3.4:JUNK", "[::1]JUNK", "[::1]:"],
)
def test_a_broken_proxy_header_names_nobody(header: str) -> None:
    caller = identify("127.0.0.1", request(f"X-Forwarded-For: {header}"), Proxies(PROXIES))
    assert (str(caller.address), caller.shown) == ("127.0.0.1", "127.0.0.1")
    assert caller.doubt


@pytest.mark.parametrize("header", ["203.0.113.9,", "203.0.113.9, ,", '"203.0.113.9"', '"203.0.113.9:4711"'])
def test_empty_elements_do_not_count_and_quotes_are_taken_off(header: str) -> None:
    caller = identify("127.0.0.1", request(f"x-forwarded-for: {header}"), Proxies(PROXIES))
    assert caller == Caller(ip_address("203.0.113.9"), "203.0.113.9 via 127.0.0.1")


def test_a_proxy_that_names_nobody_is_doubted() -> None:
    assert "names no client" in identify("10.1.2.3", request("Forwarded: for=203.0.113.9"), Proxies(PROXIES)).doubt
    assert not identify("192.0.2.1", request("X-Forwarded-For: rubbish"), Proxies(PROXIES)).doubt


@pytest.mark.parametrize("header", ["X-Forwarded-For: 203.0.113.9", "forwarded: for=203.0.113.9", "X-REAL-IP: 1.2.3.4"])
def test_a_proxy_that_nobody_trusts_is_doubted_on_this_machine_only(header: str) -> None:
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.2"):
        assert "trusted_proxies" in identify(peer, request(header), Proxies([])).doubt
        assert "trusted_proxies" in identify(peer, request("X-Other: forwarded:"), Proxies([])).remark
    direct = identify("192.0.2.1", request(header), Proxies([]))
    assert direct == Caller(ip_address("192.0.2.1"), "192.0.2.1")
    assert not identify("127.0.0.1", request(header), Proxies([ip_network("192.0.2.0/24")])).doubt
