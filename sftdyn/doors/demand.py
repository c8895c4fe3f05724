"""What does a request want? Its parameters, and the update that they mean for a client. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TypeAlias
from urllib.parse import parse_qsl

from ..values.addresses import Address, as_record, is_in, parse_address
from ..values.mistake import Mistake
from ..values.specs import Client
from ..values.update import RRset, RRType, Update

# What routers and clients call an address, and the prefix of the network behind them.
ADDRESS_NAMES = frozenset(
    "myip myipv4 ip ipv4 ipaddr addr myipv6 myip6 ipv6 ip6 ip6addr".split(),
)
PREFIX_NAMES = frozenset("prefix ipv6prefix ip6lanprefix".split())
OFFLINE, HOSTNAME = "offline", "hostname"
TXT, CLEAR = "txt", "clear"
# Where NAS and some guides write the key, the first that is given; after all other places.
KEY_NAMES = (b"token", b"key", b"password")
PRESERVE = "preserve"  # leave this family alone, as an address of clients made for deSEC
Parameters: TypeAlias = Sequence[tuple[str, str]]

MAX_ADDRESSES = 16  # in one request
PREFIX_LENGTH = 64  # bits, of a prefix that comes without (RFC 4291, 2.5.1)
BOTH: tuple[RRType, ...] = ("A", "AAAA")


@dataclass(frozen=True, slots=True)
class Demand:
    """What the parameters of a request say; empty where they say nothing."""

    addresses: tuple[Address, ...] = ()
    prefix: IPv6Network | None = None
    offline: bool = False

    @property
    def names_address(self) -> bool:
        """Whether it says what to publish, so that the caller's own address does not matter."""
        return self.offline or bool(self.addresses)


NOTHING = Demand()


def read_parameters(query: bytes) -> Parameters:
    """Names in lower case, with their values; those without a value are left out."""
    if not query:
        return ()
    return [(name.lower(), value) for name, value in parse_qsl(query.decode("utf-8", "replace"))]


def read_demand(parameters: Parameters, peer_only: bool) -> Demand:
    """The demand of a request; with `peer_only`, addresses in it do not count. Raises Mistake.

    Unknown parameters and empty values count for nothing.
    """
    if not parameters:
        return NOTHING
    addresses: dict[Address, None] = {}
    prefix = None
    offline = False
    for name, value in parameters:
        values = _parts(value)
        try:
            if name == OFFLINE:
                offline = [value.upper() for value in values] == ["YES"]
            elif name in ADDRESS_NAMES and not peer_only:
                addresses.update(dict.fromkeys(map(_address, values)))
            elif name in PREFIX_NAMES and not peer_only and values:
                prefix = _prefix(",".join(values))
        except Mistake as mistake:
            raise Mistake(f"{name}: {mistake}") from None
    if len(addresses) > MAX_ADDRESSES:
        raise Mistake(f"more than {MAX_ADDRESSES} addresses")
    return Demand(tuple(addresses), prefix, offline)


def wants_certificate(parameters: Parameters) -> bool:
    """Whether it is about the challenge of a certificate, as DuckDNS' clients send it, and so about no address."""
    return any(name == TXT or (name == CLEAR and value.strip().lower() == "true") for name, value in parameters)


def read_hostnames(parameters: Parameters) -> list[str]:
    """The host names of a request, as sent."""
    return [part for name, value in parameters if name == HOSTNAME for part in _parts(value)]


def read_key(query: bytes) -> bytes:
    """The key that a query has among its parameters, as sent; empty if there is none."""
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    given = {name.lower(): value.lstrip(b"/") for name, _, value in reversed(pairs) if value}  # the first one counts
    return next((given[name] for name in KEY_NAMES if given.get(name)), b"")


def _parts(value: str) -> list[str]:
    """The parts of a value, which commas separate; `preserve` among them is not given."""
    parts = [part.strip() for part in value.split(",")]
    return [part for part in parts if part and part.lower() != PRESERVE]


def _address(text: str) -> Address:
    """An address, behind which some routers write the length of its prefix."""
    address, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdigit()):
        raise Mistake("not an address")
    return parse_address(address)


def _prefix(text: str) -> IPv6Network:
    address, slash, length = text.partition("/")
    try:
        network = IPv6Network((str(parse_address(address)), length if slash else PREFIX_LENGTH), strict=False)
    except ValueError:
        raise Mistake("not an IPv6 prefix") from None
    if network.prefixlen > PREFIX_LENGTH or network.network_address.is_unspecified:
        raise Mistake(f"a network's prefix has at most {PREFIX_LENGTH} bits, and not all of them are 0")
    return network


def wanted(client: Client, names: Sequence[str], demand: Demand, source: Address, ttl: int) -> Update:
    """The update of `names` of `client` that `demand` means, for a request from `source`. Raises Mistake.

    Given addresses beat the source. A family without an address is left alone. Hosts behind the router get
    AAAA records where a prefix is given, or known from the router's own address.
    """
    if client.ttl is not None:
        ttl = client.ttl
    if demand.offline:
        gone = [RRset(name, kind, (), ttl) for name in names for kind in BOTH]
        behind = client.lan if len(names) == len(client.names) else ()  # gone with the last name only
        return gone + [RRset(name, "AAAA", (), ttl) for name, _ in behind]
    addresses = demand.addresses or (source,)
    sets: dict[RRType, list[str]] = {}
    for address in addresses:
        kind, text = _record(address, client)
        sets.setdefault(kind, []).append(text)
    update = [RRset(name, kind, tuple(sorted(sets[kind])), ttl) for name in names for kind in sets]
    if client.lan and (prefix := _prefix_for(client, demand, addresses)):
        update += [RRset(name, "AAAA", (_host(prefix, part, client),), ttl) for name, part in client.lan]
    return update


def _prefix_for(client: Client, demand: Demand, addresses: Sequence[Address]) -> IPv6Network | None:
    """The prefix of the network behind the router: the request's, cut to the client's length, or the address's own."""
    length = client.prefix_length
    if demand.prefix is None:
        return _network_of(addresses, length)
    if length and length < demand.prefix.prefixlen:
        return demand.prefix.supernet(new_prefix=length)
    return demand.prefix


def _host(prefix: IPv6Network, part: IPv6Address, client: Client) -> str:
    """The address of a host behind the router. Raises Mistake."""
    if int(prefix.network_address) & int(part):
        raise Mistake("lan: the prefix reaches into the host part; set prefix_length to that of the whole network")
    return _record(IPv6Address(int(prefix.network_address) | int(part)), client)[1]


def _record(address: Address, client: Client) -> tuple[RRType, str]:
    if client.networks and not is_in(address, client.networks):
        raise Mistake("an address outside the networks of this client")
    return as_record(address)


def _network_of(addresses: Sequence[Address], length: int | None) -> IPv6Network | None:
    """The network of the first IPv6 address, if its prefix length is known."""
    own = next((address for address in addresses if isinstance(address, IPv6Address)), None)
    return IPv6Network((own, length), strict=False) if own and length else None
