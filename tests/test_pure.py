"""The rooms without sockets and processes: values in, values out."""

import re
import time
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.clients import Keyring, conf_digest, normal_digest
from sftdyn.doors.dyndns2 import WORDS
from sftdyn.doors.hooks import replacement
from sftdyn.doors.secret_url import REPLIES
from sftdyn.providers.bind.message import RCODES, Verdict, change, diagnosis, question, verdict
from sftdyn.values.addresses import client_address, parse_address, peer_address, publishable
from sftdyn.values.mistake import Mistake
from sftdyn.values.names import ancestors, host_name, is_within
from sftdyn.values.outcome import LOG, Outcome, Result, worst
from sftdyn.values.specs import Client
from sftdyn.values.update import RRset
from sftdyn.web.request import MAX_HEAD, BadRequest, decode, parse, split_head

# Names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("home.dyn.example", "home.dyn.example."),
        ("Home.DYN.example.", "home.dyn.example."),
        ("*.dyn.example", "*.dyn.example."),
        ("bücher.example", "xn--bcher-kva.example."),
        ("a" * 63 + ".example", "a" * 63 + ".example."),
        ("1.dyn.example", "1.dyn.example."),
    ],
)
def test_host_names(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "a*.example", "*", "x.*.example"),
        *("a/b.example", "a.example\n", "a.example\nsend", "192.0.2.1", "2001:db8::1", "a" * 64 + ".example"),
        *("ab." * 100 + "example", "a\0.example", "ü" * 63 + ".example", "\ud800.example"),
    ],
)
def test_texts_that_are_no_host_name(text: str) -> None:
    with pytest.raises(Mistake) as mistake:
        host_name(text)
    assert len(text) < 2 or text not in str(mistake.value)


@given(st.text())
def test_a_host_name_is_safe_for_nsupdate_whatever_the_text(text: str) -> None:
    try:
        name = host_name(text)
    except Mistake:
        return
    assert name.endswith(".")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.*")
    assert host_name(name) == name


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("straße.example", "xn--strae-oqa (IDNA 2008) or strasse (IDNA 2003)"),
        ("STRAẞE.example", "xn--strae-oqa (IDNA 2008) or strasse (IDNA 2003)"),
        ("βόλος.example", "xn--nxasmm1c (IDNA 2008) or xn--nxasmq6b (IDNA 2003)"),
    ],
)
def test_a_name_that_means_two_is_refused_with_both(text: str, forms: str) -> None:
    with pytest.raises(Mistake, match=re.escape(forms)):
        host_name(text)


def test_a_greek_capital_at_the_end_means_one_name() -> None:
    assert host_name("ΣΑΣ.example") == host_name("σασ.example")


LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))


@pytest.mark.parametrize("text", [LETTERS + ".example", LETTERS[:240], ".".join(LETTERS), LETTERS[:63] + ".example"])
def test_a_long_name_costs_no_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(Mistake):
        host_name(text)
    assert time.process_time() - start < 0.05


def test_where_a_name_stands() -> None:
    assert is_within("a.dyn.example.", "dyn.example.")
    assert is_within("dyn.example.", "dyn.example.")
    assert not is_within("adyn.example.", "dyn.example.")
    assert ancestors("a.b.dyn.example.", "dyn.example.") == ["b.dyn.example.", "dyn.example."]
    assert ancestors("dyn.example.", "dyn.example.") == []
    assert ancestors("example.", ".") == ["."]


# Addresses


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


# Keys


def ring(*keys: str) -> Keyring:
    return Keyring({conf_digest(key): Client((f"h{n}.example.",), 30) for n, key in enumerate(keys)})


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("plain", b"plain"),
        ("/plain", b"plain"),
        ("?host=a&key=b", b"?host=a&key=b"),
        ("host=a,key=b", b"host=a%2ckey=b"),
        ("with blank", b"with%20blank"),
        ("with blank", b"with blank"),
        ("a%20b", b"a%20b"),
        ("a%20b", b"a%2520b"),
        ("schlüssel", b"schl%C3%BCssel"),
        ("schlüssel", "schlüssel".encode()),
        ("a/b//c", b"a/b//c"),
        ("100%", b"100%"),
        ("100%", b"100%25"),
        ("sha256:" + conf_digest("hidden").hex(), b"hidden"),
        ("sha256:" + conf_digest("hidden").hex().upper(), b"hidden"),
    ],
)
def test_a_key_is_found_as_sent_and_decoded(key: str, target: bytes) -> None:
    assert ring(key).find(target)


def test_a_hash_is_no_key() -> None:
    hashed = "sha256:" + conf_digest("hidden").hex()
    assert ring(hashed).find(hashed.encode()) is None
    assert ring("hidden").find(hashed.encode()) is None


@pytest.mark.parametrize("key", ["", "/", "sha256:", "sha256:abc"])
def test_texts_that_are_no_key(key: str) -> None:
    with pytest.raises(Mistake):
        conf_digest(key)


@pytest.mark.parametrize(("one", "other"), [("a b", "a%20b"), ("/a", "a"), ("x", "sha256:" + conf_digest("x").hex())])
def test_keys_that_mean_the_same(one: str, other: str) -> None:
    assert normal_digest(one) == normal_digest(other)


@given(st.text(min_size=1).filter(lambda key: key.strip("/") and not key.startswith("sha256:")))
def test_every_character_is_allowed_in_a_key(key: str) -> None:
    try:
        octets = key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return  # a lone surrogate: no request can mean it
    sent = "".join(f"%{octet:02x}" for octet in octets.lstrip(b"/"))
    assert decode(sent.encode()) == octets.lstrip(b"/")
    assert ring(key).find(sent.encode())


# Requests


@pytest.mark.parametrize(
    ("octets", "method", "target", "version"),
    [
        (b"GET /key HTTP/1.1\r\nHost: a\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key HTTP/1.0\r\n\r\n", "GET", b"key", "HTTP/1.0"),
        (b"GET /key HTTP/1.1\n\n", "GET", b"key", "HTTP/1.1"),
        (b"\r\n\r\nGET /key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key\r\n", "GET", b"key", "HTTP/0.9"),
        (b"GET /\n", "GET", b"", "HTTP/0.9"),
        (b"GET ///key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET http://dyn.example/key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET HTTPS://dyn.example:8443/key?x HTTP/1.1\r\n\r\n", "GET", b"key?x", "HTTP/1.1"),
        (b"GET http://dyn.example?x HTTP/1.1\r\n\r\n", "GET", b"?x", "HTTP/1.1"),
        (b"GET http://dyn.example HTTP/1.1\r\n\r\n", "GET", b"", "HTTP/1.1"),
        (b"GET /http://x/key HTTP/1.1\r\n\r\n", "GET", b"http://x/key", "HTTP/1.1"),
        (b"GET /a key & more HTTP/1.1\r\n\r\n", "GET", b"a key & more", "HTTP/1.1"),
        (b"GET  /key HTTP/1.1\r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /key HTTP/1.1 \r\n\r\n", "GET", b"key", "HTTP/1.1"),
        (b"GET /schl\xc3\xbcssel\xff\x00 HTTP/1.1\r\n\r\n", "GET", b"schl\xc3\xbcssel\xff\x00", "HTTP/1.1"),
        (b"GET /a\xa0b\x85c\x0bd\x1ce HTTP/1.1\r\n\r\n", "GET", b"a\xa0b\x85c\x0bd\x1ce", "HTTP/1.1"),
        (b"POST /key HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "POST", b"key", "HTTP/1.1"),
    ],
)
def test_requests_whole_and_octet_by_octet(octets: bytes, method: str, target: bytes, version: str) -> None:
    head = next(head for end in range(1, len(octets) + 1) if (head := split_head(octets[:end])))
    assert head == split_head(octets)
    request = parse(head)
    assert (request.method, request.target, request.version) == (method, target, version)
    assert split_head(octets + b"GET /second HTTP/1.1\r\n\r\n") == head or version == "HTTP/0.9"


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"hello\r\n", 400),
        (b"GET\r\n", 400),
        (b"GET /key\tHTTP/1.1\r\n\r\n", 400),
        (b"GET /key FTP/1.1\r\n\r\n", 400),
        (b"GET /key HTTP/x.y\r\n\r\n", 400),
        (b"GET /key HTTP/1\r\n\r\n", 400),
        (b"GET /key HTTP/2.0\r\n\r\n", 505),
        (b"POST /key\r\n", 400),
        (b"GET /ke\ry HTTP/1.1\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /key HTTP/1.1\r\nHost: a\r\nno colon\r\nB: c\r\n\r\n", 400),
        (b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /" + b"x" * MAX_HEAD, 431),
        (b"GET /key HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_what_is_no_request(octets: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as error:
        parse(split_head(octets) or b"")
    assert error.value.status == status


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"GET /" + tail + b" HTTP/1.1\r\n\r\n"))
def test_any_octets_are_a_request_or_a_bad_one(octets: bytes) -> None:
    try:
        head = split_head(octets)
        if head is not None:
            assert parse(head).method
    except BadRequest as error:
        assert error.status in (400, 431, 505)


def test_headers_are_found_in_any_letter_case_and_missing_ones_raise() -> None:
    headers = parse(b"GET / HTTP/1.1\r\nX-Real-IP: 192.0.2.7\r\nA: 1\r\na: 2\r\n\r\n").headers
    assert "x-real-ip" in headers
    assert headers["X-REAL-IP"] == headers.get("x-real-ip") == "192.0.2.7"
    assert headers.getall("A") == ["1", "2"]
    with pytest.raises(KeyError):
        headers["Missing"]
    with pytest.raises(KeyError):
        headers.getall("Missing")


# Messages to nsupdate

HOME = RRset("home.dyn.example.", "A", ("192.0.2.7",), 30)


def test_a_question_changes_nothing() -> None:
    gone = RRset("gone.dyn.example.", "AAAA", (), 30)
    text = question([HOME, gone], {HOME.key: ("192.0.2.6",), gone.key: ()})
    assert text == "prereq yxrrset home.dyn.example. A 192.0.2.6\nprereq nxrrset gone.dyn.example. AAAA\n"


def test_a_change_is_guarded_by_what_is_believed() -> None:
    assert change([HOME], {HOME.key: ("192.0.2.6",)}, "dyn.example.").splitlines() == [
        "prereq nxrrset home.dyn.example. NS",
        "prereq nxrrset dyn.example. DNAME",
        "prereq yxrrset home.dyn.example. A 192.0.2.6",
        "update delete home.dyn.example. A",
        "update add home.dyn.example. 30 A 192.0.2.7",
    ]


def test_what_is_right_already_is_only_asked_about() -> None:
    assert "update" not in change([HOME], {HOME.key: HOME.addresses}, "dyn.example.")


def test_where_nothing_is_known_a_cname_is_looked_for() -> None:
    assert "prereq nxrrset home.dyn.example. CNAME\n" in change([HOME], {HOME.key: None}, "dyn.example.")
    assert "prereq nxrrset home.dyn.example. CNAME\n" in change([HOME], {HOME.key: ()}, "dyn.example.")


def test_the_apex_of_a_zone_may_have_its_ns_records() -> None:
    apex = RRset("dyn.example.", "A", ("192.0.2.7",), 30)
    assert " NS" not in change([apex], {apex.key: None}, "dyn.example.")


ANSWER = "Answer:\n;; ->>HEADER<<- opcode: UPDATE, status: {}, id:  1\n;; flags: qr;\n"


@pytest.mark.parametrize("rcode", RCODES)
def test_rcodes(rcode: str) -> None:
    complaint = "" if rcode == "NOERROR" else f"update failed: {rcode}\n"
    assert verdict(complaint + ANSWER.format(rcode)) is RCODES[rcode]


@pytest.mark.parametrize(
    ("transcript", "meaning"),
    [
        ("", Verdict.UNKNOWN),
        (ANSWER.format("BADCOOKIE"), Verdict.AWAY),
        ("; TSIG error with server: tsig verify failure\n" + ANSWER.format("NOERROR"), Verdict.BAD_KEY),
        ("; TSIG error with server: tsig indicates error\nupdate failed: NOTAUTH(BADKEY)\n", Verdict.BAD_KEY),
        ("could not read key from a.key: file not found\n" + ANSWER.format("NOERROR"), Verdict.BAD_KEY),
        ("; Communication with 127.0.0.1#53 failed: connection refused\n", Verdict.NOBODY),
        ("; Communication with ::1#53 failed: network unreachable\n", Verdict.NOBODY),
        ("; Communication with 127.0.0.1#53 failed: timed out\n", Verdict.UNKNOWN),
        ("; Communication with 127.0.0.1#53 failed: operation canceled\n", Verdict.UNKNOWN),
    ],
)
def test_transcripts(transcript: str, meaning: Verdict) -> None:
    assert verdict(transcript) is meaning


def test_a_diagnosis_is_one_line() -> None:
    said = "; Communication with 127.0.0.1#53 failed: timed out\nupdate failed: SERVFAIL\n" + ANSWER.format("SERVFAIL")
    assert diagnosis(said) == "Communication with 127.0.0.1#53 failed: timed out; update failed: SERVFAIL"


# What nsupdatecommands may say


@pytest.mark.parametrize(
    "lines",
    [
        "update delete home.dyn.example A\nupdate add home.dyn.example 30 A 192.0.2.7\nsend",
        " del HOME.dyn.example. IN A\nadd home.dyn.example 30 in a 192.0.2.7 \nsend\n\n",
    ],
)
def test_lines_that_replace_the_address_are_a_normal_update(lines: str) -> None:
    assert replacement(lines, "home.dyn.example.") == (HOME,)


@pytest.mark.parametrize(
    "line",
    [
        *("server 192.0.2.53", "zone dyn.example", "update delete home.dyn.example", "update delete other.example A"),
        *("update add home.dyn.example 30 AAAA 2001:db8::1", "update add home.dyn.example 30 A nonsense"),
        *("update add home.dyn.example 30 TXT x", "prereq yxdomain home.dyn.example", "key a b", "rubbish"),
        *("update add home.dyn.example 30 A ::1", "update add home.dyn.example 2147483648 A 192.0.2.7"),
    ],
)
def test_other_lines_are_a_script(line: str) -> None:
    plain = "update delete home.dyn.example A\nupdate add home.dyn.example 30 A 192.0.2.7\n"
    assert replacement(f"{plain}{line}\nsend", "home.dyn.example.") is None


def test_no_lines_are_a_script() -> None:
    assert replacement("", "home.dyn.example.") is None


# Outcomes


@pytest.mark.parametrize("table", [LOG, REPLIES, WORDS], ids=["log", "secret URL", "dyndns2"])
def test_every_outcome_has_its_row(table: dict[Outcome, object]) -> None:
    assert set(table) == set(Outcome)


def test_the_worst_part_is_the_whole() -> None:
    ok, same, refused = Result(Outcome.OK), Result(Outcome.UPTODATE), Result(Outcome.REFUSED)
    assert worst([same, ok]) is ok
    assert worst([ok, refused, same]) is refused
