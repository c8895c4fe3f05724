"""Addresses: values in, values out."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.values.addresses import as_record, parse_address
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
        as_record(parse_address(text))
