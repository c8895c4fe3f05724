"""Which addresses are globally reachable unicast? A table of our own. Pure.

From IANA's special-purpose address registries (RFC 6890). `is_global` of the ipaddress module is another question: in
Python 3.11 it is true of multicast, of addresses with a private one inside, and of some that are in nobody's network.
"""

from ipaddress import IPv4Network, IPv6Network

from .addresses import GLOBAL_UNICAST, Address, is_in

ELSEWHERE_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # behind the NAT of a provider (RFC 6598)
            "127.0.0.0/8",  # loopback (RFC 1122)
            "169.254.0.0/16",  # link-local (RFC 3927)
            "172.16.0.0/12",  # private (RFC 1918)
            "192.0.0.0/24",  # protocols of the IETF, their anycast addresses included (RFC 6890)
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
            "192.168.0.0/16",  # private (RFC 1918)
            "198.18.0.0/15",  # benchmarks (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 1112)
            "240.0.0.0/4",  # reserved, broadcast included (RFC 1112)
        ),
    )
)
# What of all unicast addresses that IANA has given out is none. Outside are loopback, IPv4-mapped and -compatible
# addresses, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), discard (100::/64), segment routing (5f00::/16), unique local
# (fc00::/7), link-local (fe80::/10), site-local (fec0::/10) and multicast (ff00::/8).
ELSEWHERE_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols of the IETF: Teredo, benchmarks, ORCHID (RFC 2928)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4, with an IPv4 address inside (RFC 3056)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


def is_reachable(address: Address) -> bool:
    """Whether everybody on the Internet reaches a host there, and the same one."""
    if address.version == 4:
        return not is_in(address, ELSEWHERE_4)
    return address in GLOBAL_UNICAST and not is_in(address, ELSEWHERE_6)
