"""Addresses, and whose request it is: values in, values out."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.values.addresses import client_address, parse_address, peer_address, publishable
from sftdyn.values.mistake import Mistake


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", IPv4Address("192.0.2.7")),
        ("::ffff:192.0.2.7", IPv4Address("192.0.2.7")),
        ("2001:DB8:0::1", IPv6Address("2001:db8::1")),
    ],
)
def test_addresses(text: str, address: IPv4Address | IPv6Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.07", " 192.0.2.7", "fe80::1%eth0", "::1%x\nsend", "::1%", "1.2.3.4\n", "1::2::3"]
)
def test_texts_that_are_no_address(text: str) -> None:
    with pytest.raises(Mistake):
        parse_address(text)


@given(st.ip_addresses().map(str) | st.text())
def test_an_address_is_rebuilt_from_its_number(text: str) -> None:
    try:
        address = str(parse_address(text))
    except Mistake:
        return
    assert set(address) <= set("0123456789abcdef.:")


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.1.1", "fe80::1", "255.255.255.255"])
def test_addresses_that_cannot_be_published(text: str) -> None:
    with pytest.raises(Mistake):
        publishable(parse_address(text))


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
