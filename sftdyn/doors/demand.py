"""What does a request want? Its parameters, and the update that they mean for a client. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import TypeAlias
from urllib.parse import parse_qsl

from ..values.addresses import Address, as_record, is_in, parse_address
from ..values.mistake import Mistake
from ..values.specs import Client
from ..values.update import RRset, RRType, Update

# What routers and clients call an address, and the prefix of the network behind them.
IPV6_NAMES = frozenset("myipv6 myip6 ipv6 ip6 ip6addr".split())
ADDRESS_NAMES = frozenset("myip myipv4 ip ipv4 ipaddr addr".split()) | IPV6_NAMES
PREFIX_NAMES = frozenset("prefix ipv6prefix ip6lanprefix".split())
OFFLINE, HOSTNAME = "offline", "hostname"
# Where NAS and some guides write the key, the first that is given; after all other places.
KEY_NAMES = (b"token", b"key", b"password")
# Words in the place of an address, most of them deSEC's. In a parameter without a family they mean IPv4, as there.
KEEP = frozenset(["preserve", "no"])  # the family is not touched
AUTO = "auto"  # as if it were not given
DELETE = "delete"  # the family's addresses go
Parameters: TypeAlias = Sequence[tuple[str, str]]

MAX_ADDRESSES = 16  # in one request
MAX_DIGITS = 3  # of a prefix's length
PREFIX_LENGTH = 64  # bits, of a prefix that comes without (RFC 4291, 2.5.1)
FAMILIES: dict[int, RRType] = {4: "A", 6: "AAAA"}  # version of IP → type of its addresses
BITS = {4: 32, 6: 128}  # of an address


@dataclass(frozen=True, slots=True)
class Demand:
    """What the parameters of a request say; empty where they say nothing."""

    addresses: tuple[Address, ...] = ()
    prefix: IPv6Network | None = None
    offline: bool = False
    network: IPv6Network | None = None  # given where an address is expected
    kept: frozenset[int] = frozenset()  # versions of IP that are not touched,
    removed: frozenset[int] = frozenset()  # and those whose addresses go

    @property
    def names_address(self) -> bool:
        """Whether it says what to publish, so that the caller's own address does not matter."""
        if self.offline or self.addresses:
            return True
        return bool(self.kept or self.removed) and len(self.kept | self.removed) == len(FAMILIES)


@dataclass(slots=True)
class Draft:
    """A demand that is being read."""

    peer_only: bool
    addresses: dict[Address, None] = field(default_factory=dict)
    networks: set[IPv6Network] = field(default_factory=set)
    prefix: IPv6Network | None = None
    offline: bool = False
    kept: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)

    def take(self, name: str, parts: Sequence[str]) -> None:
        """Read a parameter. Raises Mistake."""
        if name == OFFLINE:
            self.offline = [part.upper() for part in parts] == ["YES"]
        elif name in ADDRESS_NAMES:
            family = 6 if name in IPV6_NAMES else 4
            for part in parts:
                self._take(part, part.lower(), family)
        elif name in PREFIX_NAMES and not self.peer_only:
            texts = [part for part in parts if part.lower() not in (*KEEP, AUTO)]
            self.prefix = _prefix(",".join(texts)) if texts else self.prefix

    def _take(self, text: str, word: str, family: int) -> None:
        if word in KEEP:
            self.kept.add(family)
        elif word == DELETE:
            self.removed.add(family)
        elif word != AUTO and not self.peer_only:
            found = _address(text)
            if isinstance(found, IPv6Network):
                self.networks.add(found)
            else:
                self.addresses[found] = None

    def demand(self) -> Demand:
        """What has been read. Raises Mistake."""
        if len(self.addresses) > MAX_ADDRESSES:
            raise Mistake(f"more than {MAX_ADDRESSES} addresses")
        if len(self.networks) > 1:
            raise Mistake("more than one network")
        given = {address.version for address in self.addresses} | {network.version for network in self.networks}
        if twice := self.removed & (self.kept | given):
            raise Mistake(f"IPv{min(twice)} addresses are to go, and to be there")
        network = next(iter(self.networks), None)
        kept, removed = frozenset(self.kept), frozenset(self.removed)
        return Demand(tuple(self.addresses), self.prefix, self.offline, network, kept, removed)


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
    draft = Draft(peer_only)
    for name, value in parameters:
        try:
            draft.take(name, _parts(value))
        except Mistake as mistake:
            raise Mistake(f"{name}: {mistake}") from None
    return draft.demand()


def read_hostnames(parameters: Parameters) -> list[str]:
    """The host names of a request, as sent."""
    return [part for name, value in parameters if name == HOSTNAME for part in _parts(value)]


def read_key(query: bytes) -> bytes:
    """The key that a query has among its parameters, as sent; empty if there is none."""
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    given = {name.lower(): value.lstrip(b"/") for name, _, value in reversed(pairs) if value}  # the first one counts
    return next((given[name] for name in KEY_NAMES if given.get(name)), b"")


def _parts(value: str) -> list[str]:
    """The parts of a value, which commas separate."""
    return [part for part in map(str.strip, value.split(",")) if part]


def _address(text: str) -> Address | IPv6Network:
    """An address, behind which some routers write the length of its prefix; or a network. Raises Mistake."""
    plain, slash, digits = text.partition("/")
    if slash and not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise Mistake("not an address")
    address = parse_address(plain)
    if not slash:
        return address
    length = int(digits) - (BITS[6] - BITS[4] if address.version == 4 and ":" in plain else 0)  # of an IPv4-mapped one
    if not _is_network(address, length):
        return address
    if address.version == 4:
        raise Mistake("a network, and no address")
    return _prefix(text)


def _is_network(address: Address, length: int) -> bool:
    """Whether it is what all addresses with these first bits have in common, and not one of them, or of a pair."""
    behind = BITS[address.version] - length
    return behind > 1 and not int(address) & ((1 << behind) - 1)


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
    AAAA records where a prefix is given, or known from the router's own address; one that is among the client's own
    names has that and the router's IPv4 address. Empty: the demand leaves all as it is.
    """
    if demand.network and not client.lan:
        raise Mistake("a network, and no address; only hosts behind the router (lan) can be published with it")
    if client.ttl is not None:
        ttl = client.ttl
    removed = frozenset(FAMILIES) if demand.offline else demand.removed
    gone: list[RRset] = []
    if removed:
        gone += [RRset(name, FAMILIES[version], (), ttl) for name in names for version in sorted(removed)]
    if 6 in removed and len(names) == len(client.names):  # hosts behind the router go with the last name only
        gone += [RRset(name, "AAAA", (), ttl) for name, _ in client.lan if name not in names]
    untouched = demand.kept | removed
    addresses: Sequence[Address] = demand.addresses or (source,)
    if untouched:
        addresses = [address for address in addresses if address.version not in untouched]
    update = gone + _sets(client, names, addresses, ttl)
    if client.lan and 6 not in untouched and (prefix := _prefix_for(client, demand, addresses)):
        update += [RRset(name, "AAAA", (_host(prefix, part, client),), ttl) for name, part in client.lan]
    if not update and not demand.kept:
        raise Mistake("lan: the network's prefix is not known; set prefix_length, or let the router send it")
    return update


def _sets(client: Client, names: Sequence[str], addresses: Sequence[Address], ttl: int) -> list[RRset]:
    """The record sets of the client's own names. Raises Mistake."""
    behind = dict(client.lan)
    sets: dict[RRType, list[str]] = {}
    for address in addresses:
        kind, text = _record(address, client)
        sets.setdefault(kind, []).append(text)
    return [
        RRset(name, kind, tuple(sorted(sets[kind])), ttl)
        for name in names
        for kind in sets
        if kind == "A" or name not in behind
    ]


def kept(client: Client, names: Sequence[str], demand: Demand, source: Address, ttl: int) -> Update:
    """What to ask about where the demand leaves all as it is: a guess at what is there, of each of the names."""
    addresses = [address for address in (*demand.addresses, source) if address.version in demand.kept][:1]
    try:
        if guessed := _sets(client, names, addresses, ttl):
            return guessed
    except Mistake:
        pass  # it could not be there
    return [RRset(name, FAMILIES[min(demand.kept)], (), ttl) for name in names]


def _prefix_for(client: Client, demand: Demand, addresses: Sequence[Address]) -> IPv6Network | None:
    """The prefix of the network behind the router: the request's, cut to the client's length, or the address's own."""
    length = client.prefix_length
    given = demand.prefix or demand.network
    if given is None:
        return _network_of(addresses, length)
    return given.supernet(new_prefix=length) if length and length < given.prefixlen else given


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
