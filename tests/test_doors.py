"""What requests can say besides their key: addresses, prefixes, removal, host names, passwords."""

from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from conftest import Answer, Bind, Served, ServeFixture, primary
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.clients import make_client
from sftdyn.conf.newkey import new_key
from sftdyn.doors.demand import ADDRESS_NAMES, PREFIX_NAMES, Demand, read_demand, wanted
from sftdyn.values.mistake import Mistake
from sftdyn.values.specs import Client

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
        (b"system=dyndns&wildcard=ON&mx=x&backmx=NO&url=http://x&unknown=%&hostname=x", ()),
    ],
)
def test_addresses_in_a_query(query: bytes, addresses: tuple[object, ...]) -> None:
    assert read_demand(query, peer_only=False).addresses == addresses


@pytest.mark.parametrize("name", sorted(ADDRESS_NAMES))
def test_every_name_of_an_address(name: str) -> None:
    assert read_demand(f"{name}=2001:db8::7".encode(), peer_only=False).addresses == (V6,)


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
    assert read_demand(f"{name}={value}".encode(), peer_only=False).prefix == IPv6Network(network)


@pytest.mark.parametrize(
    "query",
    [
        *(b"myip=nonsense", b"myip=192.0.2.7.", b"myip=192.0.2.7,nonsense", b"ip=fe80::1%25eth0", b"ip=::1%x"),
        *(
            b"ipv6=2001:db8::7/",
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
        read_demand(query, peer_only=False)
    assert str(mistake.value).startswith((query.partition(b"=")[0].decode() + ": ", "more than 16"))
    assert read_demand(query, peer_only=True) == Demand()


@given(st.binary(max_size=60), st.sampled_from(["myip=", "prefix=", ""]))
def test_any_query_is_a_demand_or_a_mistake(octets: bytes, name: str) -> None:
    try:
        demand = read_demand(name.encode() + octets, peer_only=False)
    except Mistake:
        return
    assert all(address.version in (4, 6) for address in demand.addresses)


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


# Over the wire

KEY = "a-secret-key-0123456789"
Doors = Callable[..., Answer]


@pytest.fixture
def ask(serve: ServeFixture, bind: Bind) -> Callable[[str], Doors]:
    """A function that asks sftdyn, for a conf with these clients."""

    def start(conf: str) -> Doors:
        served: Served = serve(f'{primary(bind)}http = ["127.0.0.1:0", "[::1]:0"]\nKEY = "{KEY}"\nassert KEY\n{conf}')

        def get(target: str, password: str | None = None, **options: str) -> Answer:
            headers = {}
            if password is not None:
                headers["Authorization"] = "Basic " + b64encode(f"any:{password}".encode()).decode()
            answer = served.get(target, headers=headers, source=options.get("source", "127.0.0.1"))
            if log := options.get("log"):
                served.wait_for(log)
            return answer

        return get

    return start


def test_given_addresses_beat_the_connections(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask('clients[KEY] = "given.dyn.example"\nclients["with?myip=192.0.2.66"] = "whole.dyn.example"\n')
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
def test_what_is_never_published(ask: Callable[[str], Doors], bind: Bind, value: str) -> None:
    get = ask('clients[KEY] = "never.dyn.example"\n')
    answer = get(f"/{KEY}?myip=192.0.2.7&ipv6={value}", log="FAIL never.dyn.example from 127.0.0.1: ")
    assert (answer.status, answer.text) == (400, "FAIL")
    assert bind.lookup("never.dyn.example") == []


def test_only_the_connections_address(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask('addresses = "connection"\nclients[KEY] = Client("only.dyn.example", networks=["127.0.0.0/30"])\n')
    assert get(f"/{KEY}?myip=192.0.2.7&prefix=nonsense").text == "OK"
    assert bind.lookup("only.dyn.example") == ["127.0.0.1"]
    assert get(f"/{KEY}", source="127.0.0.9", log="outside the networks").status == 400
    assert bind.lookup("only.dyn.example") == ["127.0.0.1"]


def test_hosts_behind_the_router_change_with_it(ask: Callable[[str], Doors], bind: Bind) -> None:
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


def test_offline_removes_both_families_and_an_empty_address_never_does(ask: Callable[[str], Doors], bind: Bind) -> None:
    bind.edit("zone dyn.example", 'update add off.dyn.example 30 TXT "stays"')
    get = ask('clients[KEY] = ["off.dyn.example", "off2.dyn.example"]\n')
    assert get(f"/{KEY}?ip=192.0.2.7,2001:db8::7").text == "OK"
    assert get(f"/{KEY}?myip=&offline=NO").text == "OK"
    assert bind.lookup("off.dyn.example") == ["127.0.0.1"]
    assert get(f"/{KEY}?offline=yes", log="OK off.dyn.example A removed, off.dyn.example AAAA removed").text == "OK"
    assert [bind.lookup(f"off{n}.dyn.example", kind) for n in ("", "2") for kind in ("A", "AAAA")] == [[]] * 4
    assert bind.lookup("off.dyn.example", "TXT") == ['"stays"']
    assert get(f"/{KEY}").text == "OK"


def test_the_key_as_a_password(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask('clients[KEY] = "pw.dyn.example"\nclients["update2"] = "pw2.dyn.example"\n')
    assert get("/", KEY).text == "OK"
    assert get("/update", KEY).text == "UPTODATE"
    assert get("/update?ip=192.0.2.7&prefix=2001:db8::/64", KEY).text == "OK"
    assert get("/?ip=192.0.2.7", KEY).text == "UPTODATE"
    for path in ("/", "/update", "/?ip=192.0.2.8"):
        assert (get(path, "wrong").status, get(path, "wrong").text) == (403, "BADKEY")
    assert get("/").text == get("/", "").text == "127.0.0.1"
    assert get("/update").status == get("/update", "").status == 403
    assert get(f"/{KEY}", "wrong").text == "OK"  # credentials beside a secret URL are made up by routers


def test_a_client_whose_key_is_a_doors_path_wins(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask(
        'clients["nic/update"] = "path.dyn.example"\nclients["update"] = "path2.dyn.example"\nclients[KEY] = "x.dyn.example"\n'
    )
    assert get("/nic/update", KEY).text == "OK"
    assert get("/nic/update?myip=192.0.2.7", KEY).text == "OK"
    assert bind.lookup("path.dyn.example") == ["192.0.2.7"]
    assert get("/update", KEY).text == "OK"
    assert bind.lookup("path2.dyn.example") == ["127.0.0.1"]
    assert get("/v2/update", KEY).text == "good 127.0.0.1"


def test_dyndns2(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask('clients[KEY] = ["one.dyn.example", "two.dyn.example"]\nclients["o" + KEY] = "not.dyn.example"\n')

    def said(query: str, password: str | None = KEY) -> str:
        answer = get(f"/nic/update?{query}", password)
        assert answer.status == 200
        return answer.text

    for password in (None, "", "wrong"):
        answer = get("/nic/update?hostname=one.dyn.example", password)
        assert (answer.status, answer.text) == (401, "badauth")
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert said("hostname=one.dyn.example&myip=192.0.2.7") == "good 192.0.2.7"
    assert said("hostname=ONE.dyn.example.&myip=192.0.2.7") == "nochg 192.0.2.7"
    assert bind.lookup("two.dyn.example") == []
    assert said("hostname=one.dyn.example&myip=2001:db8::7,192.0.2.7") == "good 192.0.2.7,2001:db8::7"
    assert said("hostname=one.dyn.example,two.dyn.example&myip=192.0.2.7") == "nochg 192.0.2.7\ngood 192.0.2.7"
    assert said("hostname=two.dyn.example&hostname=not.dyn.example,short,a..b,one.dyn.example") == (
        "good 127.0.0.1\nnohost\nnotfqdn\nnotfqdn\ngood 127.0.0.1"
    )
    assert said("") == said("hostname=") == "nochg 127.0.0.1"
    assert said("hostname=one.dyn.example,nobodys.example&myip=nonsense") == "dnserr\nnohost"
    assert said("myip=224.0.0.1") == "dnserr"
    assert said("offline=YES&hostname=one.dyn.example") == "good"
    assert said("offline=YES&hostname=one.dyn.example") == "nochg"
    assert bind.lookup("one.dyn.example") == []
    assert bind.lookup("two.dyn.example") == ["127.0.0.1"]
    for path in ("/v2/update", "/v3/update", "//nic/update", "/%5c/nic/update"):
        assert get(f"{path}?hostname=two.dyn.example", KEY).text == "nochg 127.0.0.1"


def test_a_closed_door(ask: Callable[[str], Doors]) -> None:
    get = ask('dyndns2 = False\nclients[KEY] = "closed.dyn.example"\n')
    assert get("/nic/update?hostname=closed.dyn.example", KEY).status == 403


def test_get_host_knows_the_part_before_the_query_and_passwords(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask('def get_host(querystring, ip):\n    return {KEY: "gh.dyn.example"}.get(querystring)\n')
    assert get(f"/{KEY}?myip=192.0.2.7").text == "OK"
    assert get("/nic/update?myip=192.0.2.7", KEY).text == "nochg 192.0.2.7"
    assert get("/update?myip=192.0.2.7", KEY).text == "UPTODATE"


def test_nsupdatecommands_gets_each_address(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask(
        'clients[KEY] = "cmds.dyn.example"\n'
        "def nsupdatecommands(host, ip, headers):\n"
        "    kind = 'AAAA' if ':' in ip else 'A'\n"
        "    return [f'update delete {host} {kind}', f'update add {host} 44 {kind} {ip}', 'send']\n"
    )
    assert get(f"/{KEY}?ip=192.0.2.7,192.0.2.8,2001:db8::7").text == "OK"
    assert bind.lookup("cmds.dyn.example") == ["192.0.2.7", "192.0.2.8"]
    assert bind.lookup("cmds.dyn.example", "AAAA") == ["2001:db8::7"]
    assert bind.ttl("cmds.dyn.example", "AAAA") == 44
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert bind.lookup("cmds.dyn.example") == []


def test_a_host_name_in_a_request_that_means_two_or_is_too_long_is_no_host_name(ask: Callable[[str], Doors]) -> None:
    get = ask('clients[KEY] = "strasse.dyn.example"\n')
    for hostname in ("stra%C3%9Fe.dyn.example", "%E5%AD%97" * 1500 + ".dyn.example"):
        assert get(f"/nic/update?hostname={hostname}", KEY).text == "notfqdn"
    assert get("/nic/update?hostname=strasse.dyn.example", KEY).text.startswith("good ")


# --new-key


def test_a_new_key_works_as_it_is_and_as_its_hash(ask: Callable[[str], Doors], bind: Bind) -> None:
    lines = new_key("new.dyn.example", None).splitlines()
    key = lines[0].removeprefix("key: ")
    assert len(bytes.fromhex(key)) == 16
    plain, hashed = (line for line in lines if line.startswith("clients["))
    assert key not in hashed
    get = ask(hashed + "\n")
    assert get(f"/{key}").text == "OK"
    assert get("/" + hashed.split('"')[1]).text == "BADKEY"
    assert ask(plain + "\n")(f"/{key}").text == "UPTODATE"
    assert lines[0] != new_key("new.dyn.example", None).splitlines()[0]


@pytest.mark.parametrize(
    ("name", "url"), [("no_name.example", None), ("a.example", "dyn.example"), ("a.example", "ftp://x")]
)
def test_a_new_key_for_nonsense(name: str, url: str | None) -> None:
    with pytest.raises(Mistake):
        new_key(name, url)


def test_the_lines_for_clients_name_the_server() -> None:
    text = new_key("home.dyn.example", "http://dyn.example:8080/")
    assert "curl -sS --fail 'http://dyn.example:8080/" in text
    assert "server=dyn.example:8080\nssl=no" in text
    assert "curl -sS --fail 'https://dyn.example/" in new_key("home.dyn.example", None)


# What outlives a restart, a reload or another hand


def test_offline_after_a_restart_and_behind_its_back(ask: Callable[[str], Doors], bind: Bind) -> None:
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


def test_a_first_offline_fails_no_neighbour(ask: Callable[[str], Doors], bind: Bind) -> None:
    names = [f"off{n}.dyn.example" for n in range(20)]
    bind.edit("zone dyn.example", *(f"update add {name} 30 A 192.0.2.7" for name in names))
    get = ask("".join(f'clients["k{n}"] = "{name}"\n' for n, name in enumerate(names)))
    targets = [f"/k{n}?offline=YES" if n % 2 else f"/k{n}?ip=192.0.2.8" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert [answer.text for answer in pool.map(get, targets)] == ["OK"] * 20
    assert [bind.lookup(name) for name in names] == [[] if n % 2 else ["192.0.2.8"] for n in range(20)]


def test_a_script_knows_of_a_removal(ask: Callable[[str], Doors], bind: Bind) -> None:
    get = ask(
        'clients[KEY] = "scripted.dyn.example"\n'
        "def nsupdatecommands(host, ip, headers):\n"
        "    return [f'update delete {host}', f'update add {host} 44 A {ip}', 'send']\n"
    )
    assert [get(f"/{KEY}?ip=192.0.2.7").text for _ in range(2)] == ["OK", "UPTODATE"]
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert get(f"/{KEY}?ip=192.0.2.7").text == "OK"
    assert bind.lookup("scripted.dyn.example") == ["192.0.2.7"]


def test_many_hostnames_in_one_request_are_one_change(ask: Callable[[str], Doors], bind: Bind) -> None:
    names = [f"many{n}.dyn.example" for n in range(12)]
    get = ask(f"max_changes = 2\nclients[KEY] = {names}\n")
    target = f"/nic/update?hostname={','.join(names)},{names[0]}&myip="
    assert get(target + "192.0.2.7", KEY).text == "\n".join(["good 192.0.2.7"] * 13)
    assert get(target + "192.0.2.7", KEY).text == "\n".join(["nochg 192.0.2.7"] * 13)
    assert get(target + "192.0.2.8", KEY).text.startswith("good")
    assert get(target + "192.0.2.9", KEY).text == "\n".join(["abuse"] * 13)
    assert get(target + "192.0.2.8", KEY).text.startswith("nochg")


def test_a_failing_get_host_at_the_dyndns2_door(ask: Callable[[str], Doors]) -> None:
    get = ask("def get_host(querystring, ip):\n    return {}[KEY]\n")
    assert (get("/nic/update", KEY).status, get("/nic/update", KEY).text) == (200, "911")
