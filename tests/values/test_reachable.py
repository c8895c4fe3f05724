"""Which addresses everybody reaches."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from sftdyn.values.addresses import Network
from sftdyn.values.reachable import ELSEWHERE_4, ELSEWHERE_6, is_reachable

# The first and the last one of each row of IANA's registries, and one in the middle.
NOWHERE: dict[str, Sequence[str]] = {
    "this network": ("0.0.0.0", "0.0.0.1", "0.255.255.255"),
    "private 10": ("10.0.0.0", "10.1.2.3", "10.255.255.255"),
    "shared": ("100.64.0.0", "100.100.1.1", "100.127.255.255"),
    "loopback": ("127.0.0.0", "127.0.0.1", "127.255.255.255"),
    "link-local": ("169.254.0.0", "169.254.169.254", "169.254.255.255"),
    "private 172": ("172.16.0.0", "172.20.1.1", "172.31.255.255"),
    "IETF": ("192.0.0.0", "192.0.0.9", "192.0.0.10", "192.0.0.170", "192.0.0.255"),
    "documentation 1": ("192.0.2.0", "192.0.2.7", "192.0.2.255"),
    "6to4 relay": ("192.88.99.0", "192.88.99.1", "192.88.99.255"),
    "private 192": ("192.168.0.0", "192.168.178.1", "192.168.255.255"),
    "benchmarks": ("198.18.0.0", "198.18.1.1", "198.19.255.255"),
    "documentation 2": ("198.51.100.0", "198.51.100.7", "198.51.100.255"),
    "documentation 3": ("203.0.113.0", "203.0.113.7", "203.0.113.255"),
    "multicast": ("224.0.0.0", "224.0.0.1", "239.255.255.255"),
    "reserved": ("240.0.0.0", "250.1.1.1", "255.255.255.255"),
    "unspecified and loopback": ("::", "::1"),
    "IPv4-mapped": ("::ffff:0:0", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
    "IPv4-compatible": ("::127.0.0.1", "::8.8.8.8"),
    "NAT64": ("64:ff9b::", "64:ff9b::a00:1", "64:ff9b::ffff:ffff"),
    "local NAT64": ("64:ff9b:1::", "64:ff9b:1::a00:1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    "discard": ("100::", "100::1", "100:0:0:1::1"),
    "IETF, with Teredo, benchmarks and ORCHID": (
        "2001::",
        "2001::7f00:1",
        "2001:2::1",
        "2001:20::1",
        "2001:1ff:ffff::",
    ),
    "documentation 4": ("2001:db8::", "2001:db8::7", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    "6to4": ("2002::", "2002:7f00:1::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "documentation 5": ("3fff::", "3fff::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "segment routing": ("5f00::", "5f00::1"),
    "not given out": ("1fff:ffff::1", "4000::", "8000::1", "f000::1"),
    "unique local": ("fc00::", "fd00::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    "link-local 6": ("fe80::", "fe80::1", "febf::1"),
    "site-local": ("fec0::", "fec0::1", "feff::1"),
    "multicast 6": ("ff00::", "ff02::1", "ff0e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
}


@pytest.mark.parametrize("row", NOWHERE)
def test_what_not_everybody_reaches(row: str) -> None:
    assert [address for address in NOWHERE[row] if is_reachable(ip_address(address))] == []


@pytest.mark.parametrize("network", [*ELSEWHERE_4, *ELSEWHERE_6], ids=str)
def test_every_row_of_the_table_has_an_example(network: Network) -> None:
    assert [address for row in NOWHERE.values() for address in row if ip_address(address) in network]


@pytest.mark.parametrize(
    "address",
    [
        *("1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255"),
        *("192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0"),
        *("198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0"),
        *("223.255.255.255", "2000::1", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::1", "2606:4700::1111"),
        *("2a00:1450::1", "3ffe::1", "3fff:1000::"),
    ],
)
def test_what_everybody_reaches(address: str) -> None:
    assert is_reachable(ip_address(address))
