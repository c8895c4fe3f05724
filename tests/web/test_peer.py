"""Whose request it is."""

from ipaddress import ip_network

import pytest

from sftdyn.values.mistake import Mistake
from sftdyn.web.peer import client_address, peer_address

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
    assert str(client_address(peer_address(peer), forwarded, PROXIES)) == client


@pytest.mark.parametrize("header", ["", "unknown", "203.0.113.9, rubbish", "203.0.113.9,", "::1%x", "203.0.113.9, ,"])
def test_a_broken_proxy_header_is_no_address(header: str) -> None:
    with pytest.raises(Mistake):
        client_address(peer_address("127.0.0.1"), [header], PROXIES)
