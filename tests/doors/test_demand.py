"""What requests can say besides their key: addresses, prefixes, removal, host names, passwords."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.clients import make_client
from sftdyn.doors.demand import ADDRESS_NAMES, PREFIX_NAMES, Demand, kept, read_demand, read_parameters, wanted
from sftdyn.values.addresses import Address
from sftdyn.values.mistake import Mistake
from sftdyn.values.specs import Client
from tests.doors.conftest import KEY, Ask
from tests.lab.bind import Bind

V4, V6 = ip_address("192.0.2.7"), ip_address("2001:db8::7")


@pytest.mark.parametrize(
    ("query", "addresses"),
    [
        (b"", ()),
        (b"myip=192.0.2.7", (V4,)),
        (b"myip=192.0.2.7,2001:db8::7", (V4, V6)),
        (b"myip=2001:db8::7,192.0.2.7", (V6, V4)),
        (b"myip=192.0.2.7&myipv6=2001:db8::7", (V4, V6)),
        (b"myip=192.0.2.7&myip=192.0.2.8", (V4, ip_address("192.0.2.8"))),
        (b"myip=192.0.2.7,192.0.2.7&ip=192.0.2.7", (V4,)),
        (b"ip6addr=2001%3adb8%3A%3a7", (V6,)),
        (b"myip=%20192.0.2.7+", (V4,)),
        (b"myip= 192.0.2.7 ", (V4,)),
        (b"ipv6=2001:db8::7/64", (V6,)),
        (b"ipv6=2001:db8::7/128", (V6,)),
        (b"ipv6=::ffff:192.0.2.7", (V4,)),
        (b"myip=&myipv6=&ip", ()),
        (b"myip=,192.0.2.7,", (V4,)),
        (b"myip=auto,192.0.2.7&myipv6=AUTO", (V4,)),
        (b"myip=192.0.2.7/24&ipv6=2001:db8::7/9", (V4, V6)),
        (b"myip=192.0.2.7/32", (V4,)),
        (b"myip=192.0.2.0/31&ipv6=2001:db8::/127", (ip_address("192.0.2.0"), ip_address("2001:db8::"))),
        (b"ipv6=::ffff:192.0.2.7/128", (V4,)),
        (b"system=dyndns&wildcard=ON&mx=x&backmx=NO&url=http://x&unknown=%&hostname=x", ()),
    ],
)
def test_addresses_in_a_query(query: bytes, addresses: tuple[object, ...]) -> None:
    assert read_demand(read_parameters(query), peer_only=False).addresses == addresses


@pytest.mark.parametrize("name", sorted(ADDRESS_NAMES))
def test_every_name_of_an_address(name: str) -> None:
    assert read_demand(read_parameters(f"{name}=2001:db8::7".encode()), peer_only=False).addresses == (V6,)


@pytest.mark.parametrize("name", sorted(PREFIX_NAMES))
@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("2001:db8:1:200::/56", "2001:db8:1:200::/56"),
        ("2001:db8:1::", "2001:db8:1::/64"),
        ("2001:db8:1:2::5/64", "2001:db8:1:2::/64"),
    ],
)
def test_a_prefix(name: str, value: str, network: str) -> None:
    assert read_demand(read_parameters(f"{name}={value}".encode()), peer_only=False).prefix == IPv6Network(network)


@pytest.mark.parametrize(
    "query",
    [
        *(b"myip=nonsense", b"myip=192.0.2.7.", b"myip=192.0.2.7,nonsense", b"ip=fe80::1%25eth0", b"ip=::1%x"),
        *(
            b"ipv6=2001:db8::7/",
            b"ipv6=2001:db8::7/" + b"9" * 5000,
            b"myip=192.0.2.0/24",
            b"myip=0.0.0.0/0",
            b"ipv6=::ffff:192.0.2.0/120",
            b"ipv6=2001:db8::/80",
            b"ipv6=::/0",
            b"ipv6=2001:db8::7/x",
            b"prefix=nonsense",
            b"prefix=192.0.2.0/24",
            b"prefix=2001:db8::/129",
            b"prefix=::/64",
            b"prefix=2001:db8::1/128",
            b"prefix=2001:db8::/64,x",
        ),
        *(b"ip=192.0.2.7%0asend", b"ip=\xff\xfe", b"ip=%ff", b"ip=192.0.2.7%00", b"myip=1.2.3.4;5.6.7.8"),
        b"ip=" + b",".join(b"192.0.2.%d" % n for n in range(17)),
    ],
)
def test_no_address_names_the_parameter(query: bytes) -> None:
    with pytest.raises(Mistake) as mistake:
        read_demand(read_parameters(query), peer_only=False)
    assert str(mistake.value).startswith((query.partition(b"=")[0].decode() + ": ", "more than 16"))
    assert read_demand(read_parameters(query), peer_only=True) == Demand()


@given(st.binary(max_size=60), st.sampled_from(["myip=", "prefix=", ""]))
def test_any_query_is_a_demand_or_a_mistake(octets: bytes, name: str) -> None:
    try:
        demand = read_demand(read_parameters(name.encode() + octets), peer_only=False)
    except Mistake:
        return
    assert all(address.version in (4, 6) for address in demand.addresses)


WORDS = {"preserve": "keep", "no": "keep", "NO": "keep", "auto": "as is", "delete": "remove", "": "as is"}


@given(st.sampled_from(sorted(ADDRESS_NAMES)), st.sampled_from(sorted(WORDS)), st.sampled_from([V4, V6]), st.booleans())
def test_a_word_for_an_address_is_about_its_family_alone(
    name: str, word: str, source: Address, peer_only: bool
) -> None:
    """In a parameter that has none, it means IPv4, as at deSEC."""
    home = make_client("home.example")
    update = wanted(home, home.names, read_demand(read_parameters(f"{name}={word}".encode()), peer_only), source, 30)
    about = "AAAA" if "6" in name else "A"
    kind = "A" if source.version == 4 else "AAAA"
    left: dict[tuple[str, str], tuple[str, ...]] = {("home.example.", kind): (str(source),)}
    if WORDS[word] == "keep" and kind == about:
        left = {}
    elif WORDS[word] == "remove":
        left[("home.example.", about)] = ()
    assert sets(update) == left


@pytest.mark.parametrize(
    ("query", "update"),
    [
        ("myipv4=preserve&myipv6=2001:db8::7", {"AAAA": ("2001:db8::7",)}),
        ("myipv4=192.0.2.8&myipv6=preserve", {"A": ("192.0.2.8",)}),
        ("myip=preserve&myipv6=preserve", {}),
        ("myip=192.0.2.8&myipv4=preserve", {}),
        ("myipv4=delete&myipv6=delete", {"A": (), "AAAA": ()}),
        ("myipv4=delete&myipv6=2001:db8::7", {"A": (), "AAAA": ("2001:db8::7",)}),
        ("myipv6=delete", {"A": ("192.0.2.7",), "AAAA": ()}),
        ("myipv4=preserve&offline=YES", {"A": (), "AAAA": ()}),
    ],
)
def test_words_for_addresses(query: str, update: dict[str, tuple[str, ...]]) -> None:
    home = make_client("home.example")
    said = sets(wanted(home, home.names, read_demand(read_parameters(query.encode()), peer_only=False), V4, 30))
    assert said == {("home.example.", kind): addresses for kind, addresses in update.items()}


VALUES = [
    "preserve",
    "no",
    "auto",
    "delete",
    "",
    "192.0.2.9",
    "2001:db8::9",
    "192.0.2.9/24",
    "2001:db8:1::/56",
    "192.0.2.0/24",
]
QUERIES = st.lists(
    st.tuples(st.sampled_from(["myip", "myipv4", "myipv6", "prefix"]), st.sampled_from(VALUES)), max_size=4
)


@given(
    QUERIES,
    st.sampled_from([V4, V6]),
    st.booleans(),
    st.sampled_from([{}, {"nas.example": "::5"}, {"a.example": "::5"}]),
)
def test_whatever_is_said_a_family_that_is_to_stay_is_in_no_update_and_no_record_set_twice(
    said: list[tuple[str, str]], source: Address, peer_only: bool, lan: dict[str, str]
) -> None:
    home = make_client("a.example", "b.example", lan=lan)
    query = "&".join(f"{name}={value}" for name, value in said)
    try:
        demand = read_demand(read_parameters(query.encode()), peer_only)
        update = wanted(home, home.names, demand, source, 30)
    except Mistake:
        return
    assert len(sets(update)) == len(update)
    for name, value in said:
        if value in ("preserve", "no") and name != "prefix":
            assert ("AAAA" if name == "myipv6" else "A") not in {rrset.type for rrset in update}
    if not update:
        asked = kept(home, home.names, demand, source, 30)
        assert {rrset.name for rrset in asked} <= set(home.names)
        assert asked


@pytest.mark.parametrize("query", [b"myip=delete,192.0.2.7", b"myip=delete&ip=no", b"ip6=delete&myip=2001:db8::7"])
def test_what_is_to_go_and_to_be_there_is_refused(query: bytes) -> None:
    with pytest.raises(Mistake, match="to go, and to be there"):
        read_demand(read_parameters(query), peer_only=False)


def test_a_network_as_an_address_is_the_prefix_of_who_has_hosts_behind_the_router_and_nobody_elses_address() -> None:
    demand = read_demand(read_parameters(b"myipv6=2001:db8:1:100::/56"), peer_only=False)
    with pytest.raises(Mistake, match="network"):
        wanted(make_client("home.example"), ("home.example.",), demand, V4, 30)
    home = make_client("home.example", lan={"nas.example": "::5"})
    expected = {("home.example.", "A"): ("192.0.2.7",), ("nas.example.", "AAAA"): ("2001:db8:1:100::5",)}
    assert sets(wanted(home, home.names, demand, V4, 30)) == expected


def test_hosts_behind_the_router_follow_the_words_for_its_ipv6() -> None:
    home = make_client("home.example", "two.example", lan={"nas.example": "::5"}, prefix_length=64)

    def said(query: bytes, names: tuple[str, ...]) -> dict[tuple[str, str], tuple[str, ...]]:
        return sets(wanted(home, names, read_demand(read_parameters(query), peer_only=False), V6, 30))

    assert said(b"myipv6=delete", home.names)["nas.example.", "AAAA"] == ()
    assert ("nas.example.", "AAAA") not in said(b"myipv6=delete", home.names[:1])
    assert said(b"myipv6=preserve", home.names) == {}


def test_a_name_with_the_routers_ipv4_and_a_hosts_ipv6() -> None:
    home = make_client("home.example", "router.example", lan={"home.example": "::5"}, prefix_length=56)
    own = IPv6Address("2001:db8:1:2ff::1")
    both = sets(wanted(home, home.names, Demand((V4, own)), V4, 30))
    assert both == {
        ("home.example.", "A"): ("192.0.2.7",),
        ("home.example.", "AAAA"): ("2001:db8:1:200::5",),
        ("router.example.", "A"): ("192.0.2.7",),
        ("router.example.", "AAAA"): ("2001:db8:1:2ff::1",),
    }
    gone = wanted(home, home.names, Demand(offline=True), V4, 30)
    assert len(gone) == len(sets(gone)) == 4
    unknown = make_client("home.example", lan={"home.example": "::5"})
    assert sets(wanted(unknown, unknown.names, Demand((V4, V6)), V4, 30)) == {("home.example.", "A"): ("192.0.2.7",)}
    with pytest.raises(Mistake, match="prefix_length"):
        wanted(unknown, unknown.names, Demand(), V6, 30)


def sets(update: object) -> dict[tuple[str, str], tuple[str, ...]]:
    return {rrset.key: rrset.addresses for rrset in update}  # type: ignore[attr-defined]


def test_a_family_that_is_not_given_is_left_alone() -> None:
    home = Client(("home.example.",), 30)
    assert sets(wanted(home, home.names, Demand(), V4, 30)) == {("home.example.", "A"): ("192.0.2.7",)}
    assert sets(wanted(home, home.names, Demand((V6,)), V4, 30)) == {("home.example.", "AAAA"): ("2001:db8::7",)}


@pytest.mark.parametrize(
    ("prefix", "suffix", "address"),
    [
        ("2a01:c22:b045:de00::/64", "0:0:0:fc::8", "2a01:c22:b045:defc::8"),
        ("2a01:c22:b045:de00::/56", "0:0:0:fc::8", "2a01:c22:b045:defc::8"),
        ("2a01:c22:b045:de00::/64", "::21f:3bff:fe12:3456", "2a01:c22:b045:de00:21f:3bff:fe12:3456"),
    ],
)
def test_hosts_behind_the_router(prefix: str, suffix: str, address: str) -> None:
    home = make_client("home.example", lan={"nas.example": suffix})
    update = sets(wanted(home, home.names, Demand(prefix=IPv6Network(prefix)), V4, 30))
    assert update == {("home.example.", "A"): ("192.0.2.7",), ("nas.example.", "AAAA"): (address,)}
    assert ("nas.example.", "AAAA") not in sets(wanted(home, home.names, Demand((V6,)), V4, 30))


@pytest.mark.parametrize(
    ("prefix", "length", "address"),
    [
        ("2001:db8:0:1ab::/64", 56, "2001:db8:0:1fc::8"),  # the client's length beats a longer one
        ("2001:db8:0:1ab::/64", None, None),  # 1ab and fc have bits in common
        ("2001:db8:0:100::/64", None, "2001:db8:0:1fc::8"),
        ("2001:db8:0:100::/48", 56, "2001:db8:0:fc::8"),
    ],
)
def test_a_host_part_never_leaves_its_network(prefix: str, length: int | None, address: str | None) -> None:
    home = make_client("home.example", lan={"web.example": "0:0:0:fc::8"}, prefix_length=length)
    demand = read_demand(read_parameters(f"myip=192.0.2.7&prefix={prefix}".encode()), peer_only=False)
    if address:
        assert sets(wanted(home, home.names, demand, V4, 30))["web.example.", "AAAA"] == (address,)
    else:
        with pytest.raises(Mistake, match="prefix_length"):
            wanted(home, home.names, demand, V4, 30)


def test_hosts_behind_the_router_go_offline_with_all_names_of_it() -> None:
    home = make_client("home.example", "alias.example", lan={"nas.example": "::5"})
    assert ("nas.example.", "AAAA") in sets(wanted(home, home.names, Demand(offline=True), V4, 30))
    assert ("nas.example.", "AAAA") not in sets(wanted(home, home.names[:1], Demand(offline=True), V4, 30))


def test_the_prefix_is_derived_from_the_address_where_its_length_is_known() -> None:
    home = make_client("home.example", lan={"nas.example": "::5"}, prefix_length=56)
    own = IPv6Address("2001:db8:1:2ff::1")
    assert sets(wanted(home, home.names, Demand((own,)), V4, 30))["nas.example.", "AAAA"] == ("2001:db8:1:200::5",)
    assert sets(wanted(home, home.names, Demand(), own, 30))["nas.example.", "AAAA"] == ("2001:db8:1:200::5",)
    assert ("nas.example.", "AAAA") not in sets(wanted(home, home.names, Demand(), V4, 30))


def test_networks_hold_for_every_address() -> None:
    home = make_client("home.example", lan={"nas.example": "::5"}, networks=["192.0.2.0/24", "2001:db8::/32"])
    assert home.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    wanted(home, home.names, Demand((V6,)), V4, 30)
    for demand in (Demand((ip_address("198.51.100.1"),)), Demand((V4, V6), IPv6Network("2001:db9::/64"))):
        with pytest.raises(Mistake, match="outside the networks"):
            wanted(home, home.names, demand, V4, 30)


def test_given_addresses_beat_the_connections(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: "given.dyn.example", "with?myip=192.0.2.66": "whole.dyn.example"})
    assert get(f"/{KEY}?myip=192.0.2.7&myipv6=2001:db8::7").text == "OK"
    assert bind.lookup("given.dyn.example") == ["192.0.2.7"]
    assert bind.lookup("given.dyn.example", "AAAA") == ["2001:db8::7"]
    assert get(f"/{KEY}?myip=192.0.2.7,192.0.2.8").text == "OK"
    assert bind.lookup("given.dyn.example") == ["192.0.2.7", "192.0.2.8"]
    assert bind.lookup("given.dyn.example", "AAAA") == ["2001:db8::7"]
    assert get(f"/{KEY}?myip=192.0.2.8,192.0.2.7").text == "UPTODATE"
    assert get(f"/{KEY}?myip=&x=y").text == "OK"
    assert bind.lookup("given.dyn.example") == ["127.0.0.1"]
    assert get("/with?myip=192.0.2.66").text == "OK"  # the whole target is a key
    assert bind.lookup("whole.dyn.example") == ["127.0.0.1"]
    assert get(f"/wrong{KEY}?myip=192.0.2.7").status == 403
    assert get(f"/?{KEY}").status == 403


@pytest.mark.parametrize(
    "value", ["nonsense", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "169.254.1.1", "255.255.255.255"]
)
def test_what_is_never_published(ask: Ask, bind: Bind, value: str) -> None:
    get = ask(clients={KEY: "never.dyn.example"})
    answer = get(f"/{KEY}?myip=192.0.2.7&ipv6={value}", log="FAIL never.dyn.example from 127.0.0.1: ")
    assert (answer.status, answer.text) == (400, "FAIL")
    assert bind.lookup("never.dyn.example") == []


def test_only_the_connections_address(ask: Ask, bind: Bind) -> None:
    get = ask('clients[KEY] = Client("only.dyn.example", networks=["127.0.0.0/30"])\n', addresses="connection")
    assert get(f"/{KEY}?myip=192.0.2.7&prefix=nonsense").text == "OK"
    assert bind.lookup("only.dyn.example") == ["127.0.0.1"]
    assert get(f"/{KEY}", source="127.0.0.9", log="outside the networks").status == 400
    assert bind.lookup("only.dyn.example") == ["127.0.0.1"]


def test_hosts_behind_the_router_change_with_it(ask: Ask, bind: Bind) -> None:
    get = ask('clients[KEY] = Client("r.dyn.example", lan={"nas.other.example": "::5", "web.dyn.example": "::6"})\n')
    assert get(f"/{KEY}?ip=192.0.2.7&prefix=2001:db8:0:1::/64").text == "OK"
    assert bind.lookup("r.dyn.example", "AAAA") == []
    assert bind.lookup("nas.other.example", "AAAA") == ["2001:db8:0:1::5"]
    assert bind.lookup("web.dyn.example", "AAAA") == ["2001:db8:0:1::6"]
    assert get(f"/{KEY}?ip=192.0.2.7&prefix=2001:db8:0:1::/64").text == "UPTODATE"
    assert get(f"/{KEY}?ip=192.0.2.7&prefix=2001:db8:0:2::/64").text == "OK"
    assert get(f"/{KEY}?ip=192.0.2.7").text == "UPTODATE"
    assert bind.lookup("web.dyn.example", "AAAA") == ["2001:db8:0:2::6"]
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert bind.lookup("r.dyn.example") == bind.lookup("web.dyn.example", "AAAA") == []
    assert get(f"/{KEY}?offline=YES").text == "UPTODATE"


def test_offline_removes_both_families_and_an_empty_address_never_does(ask: Ask, bind: Bind) -> None:
    bind.edit("zone dyn.example", 'update add off.dyn.example 30 TXT "stays"')
    get = ask(clients={KEY: ["off.dyn.example", "off2.dyn.example"]})
    assert get(f"/{KEY}?ip=192.0.2.7,2001:db8::7").text == "OK"
    assert get(f"/{KEY}?myip=&offline=NO").text == "OK"
    assert bind.lookup("off.dyn.example") == ["127.0.0.1"]
    assert get(f"/{KEY}?offline=yes", log="OK off.dyn.example A removed, off.dyn.example AAAA removed").text == "OK"
    assert [bind.lookup(f"off{n}.dyn.example", kind) for n in ("", "2") for kind in ("A", "AAAA")] == [[]] * 4
    assert bind.lookup("off.dyn.example", "TXT") == ['"stays"']
    assert get(f"/{KEY}").text == "OK"


# What outlives a restart, a reload or another hand


def test_offline_after_a_restart_and_behind_its_back(ask: Ask, bind: Bind) -> None:
    conf = 'clients[KEY] = "gone.dyn.example"\n'
    assert ask(conf)(f"/{KEY}?ip=192.0.2.7,2001:db8::7").text == "OK"
    get = ask(conf)  # another process, that has seen nothing
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert bind.lookup("gone.dyn.example") == bind.lookup("gone.dyn.example", "AAAA") == []
    bind.edit("zone dyn.example", "update add gone.dyn.example 30 A 198.51.100.1")
    assert get(f"/{KEY}?ip=192.0.2.7").text == "OK"
    assert bind.lookup("gone.dyn.example") == ["192.0.2.7"]
    assert get(f"/{KEY}?offline=YES").text == "OK"
    bind.edit("zone dyn.example", "update add gone.dyn.example 30 AAAA 2001:db8::66")
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert get(f"/{KEY}?offline=YES").text == "UPTODATE"


def test_a_first_offline_fails_no_neighbour(ask: Ask, bind: Bind) -> None:
    names = [f"off{n}.dyn.example" for n in range(20)]
    bind.edit("zone dyn.example", *(f"update add {name} 30 A 192.0.2.7" for name in names))
    get = ask(clients={f"k{n}": name for n, name in enumerate(names)})
    targets = [f"/k{n}?offline=YES" if n % 2 else f"/k{n}?ip=192.0.2.8" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert [answer.text for answer in pool.map(get, targets)] == ["OK"] * 20
    assert [bind.lookup(name) for name in names] == [[] if n % 2 else ["192.0.2.8"] for n in range(20)]


def test_a_failing_get_host_at_the_dyndns2_door(ask: Ask) -> None:
    get = ask("def get_host(querystring, ip):\n    return {}[KEY]\n")
    for target, text in (("/nic/update", "911"), (f"/{KEY}", "FAIL")):
        answer = get(target, KEY)
        assert (answer.status, answer.text, answer.headers["Retry-After"]) == (503, text, "60")
