"""New addresses are proven by TLS before they are published."""

import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copy
from typing import Any, NamedTuple, Protocol

import pytest

from sftdyn.doors.proof import TRY
from tests.conftest import ServeFixture
from tests.doors.far_away import OWN
from tests.doors.hosts import (
    NEVER,
    Authority,
    Held,
    Host,
    InTurn,
    Serve,
    Tls,
    closes,
    ends,
    http,
    resets,
    settings,
    silent,
)
from tests.lab.bind import Bind
from tests.lab.cloudflare import Cloudflare
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port, make_certificate, wait_until
from tests.lab.process import Answer, Sftdyn
from tests.providers.bind.conftest import in_background
from tests.values.test_reachable import NOWHERE

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
LOOPBACK = ["127.0.0.0/8", "::1"]

NUMBERS = itertools.count()


class Published(Protocol):
    """Where names are published: what its tests need to know."""

    @property
    def text(self) -> str:
        """Of the conf."""

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        """The addresses that a name has there."""


class AtBind(NamedTuple):
    """A zone of BIND."""

    server: Bind

    @property
    def text(self) -> str:
        return conf(self.server, http=None)

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        return self.server.lookup(name, kind)


class AtCloudflare(NamedTuple):
    """A zone of an API like Cloudflare's."""

    api: Cloudflare

    @property
    def text(self) -> str:
        self.api.add_zone("dyn.example")
        arguments = {"url": self.api.url, "ca": str(self.api.ca), "token": self.api.add_token(), "create": True}
        return f"provider = Cloudflare(**{arguments})\n"

    def lookup(self, name: str, kind: str = "A") -> list[str]:
        return sorted(self.api.addresses(name, kind))


# What makes a place of the fixture with this name.
PLACES: dict[str, Callable[[Any], Published]] = {"bind": AtBind, "cloudflare": AtCloudflare}
EVERYWHERE = pytest.mark.parametrize("published", PLACES, indirect=True)


@pytest.fixture
def published(request: pytest.FixtureRequest) -> Published:
    """Where names are published: at BIND, or EVERYWHERE."""
    place = getattr(request, "param", "bind")
    return PLACES[place](request.getfixturevalue(place))


@pytest.fixture
def name() -> str:
    """A host name that nobody else uses."""
    return f"proof{next(NUMBERS)}.dyn.example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Hosts:
    """What is at the addresses of the loopback, all on one port."""

    def __init__(self, stack: ExitStack) -> None:
        self.port = free_port()
        self._stack = stack

    def at(self, address: str, serve: Serve) -> Host:
        host = Host(address, self.port, serve)
        self._stack.callback(host.close)
        return host


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack)


class Served:
    """sftdyn, and a client of it."""

    def __init__(self, sftdyn: Sftdyn) -> None:
        self.sftdyn = sftdyn

    def update(self, *addresses: str, key: str = KEY, more: str = "") -> str:
        return self.get(f"/{key}?ip={','.join(addresses)}{more}").text

    def get(self, target: str) -> Answer:
        return self.sftdyn.get(target)

    def has_read(self) -> None:
        """Return when requests that have been sent are under way: those after them are answered."""
        assert [self.get("/").text for _ in range(3)] == ["127.0.0.1"] * 3

    def why(self, since: int = 0) -> str:
        """What the log says of the last failure."""
        return self.sftdyn.wait_for(": not proven that ", since)


Proving = Callable[..., Served]


@pytest.fixture
def proving(serve: ServeFixture, published: Published, authority: Authority, hosts: Hosts) -> Proving:
    """Start sftdyn with a client whose addresses are proven by this authority, unless the test says otherwise."""

    def start(*names: str, proof: str = "", more: str = "", options: str = "", **other: Any) -> Served:
        proof = proof or f"Proof(port={hosts.port}, ca={str(authority.ca)!r})"
        client = f"Client(*{names}, prove={proof}, networks={other.pop('networks', LOOPBACK)}, {options})"
        text = conf(None, f"clients[{KEY!r}] = {client}\n{more}", **{"timeout": 1.0, **other})
        return Served(serve(published.text + text))

    return start


# What is at the address, what may stand in the conf, and what comes of it.

KINDS: dict[str, tuple[Callable[[Authority, str], Serve | None], str, str]] = {
    "a certificate for the name": (lambda ca, name: Tls(ca.server(name)), "", ""),
    "one for several names": (lambda ca, name: Tls(ca.server("a.example", name)), "", ""),
    "a wildcard": (lambda ca, name: Tls(ca.server("*.dyn.example")), "", ""),
    "another name": (lambda ca, name: Tls(ca.server("a.example")), "", "Hostname mismatch"),
    "the name in the subject only": (lambda ca, name: Tls(ca.server(common_name=name)), "", "Hostname mismatch"),
    "expired": (lambda ca, name: Tls(ca.server(name, dates=NEVER)), "", "has expired; Proof(expired_ok=True) takes it"),
    "expired, which is in order": (lambda ca, name: Tls(ca.server(name, dates=NEVER)), "expired_ok=True", ""),
    "expired, for another name": (
        lambda ca, name: Tls(ca.server("a.example", dates=NEVER)),
        "expired_ok=True",
        "Hostname mismatch",
    ),
    "nobody": (lambda ca, name: None, "", "Connection refused"),
    "silence": (lambda ca, name: silent, "", "no answer"),
    "plain HTTP": (lambda ca, name: http, "", "it does not speak TLS as it should"),
    "a closed connection": (lambda ca, name: closes, "", "it closes the connection"),
    "an ended session": (lambda ca, name: ends, "", "it closes the connection"),
    "a reset connection": (lambda ca, name: resets, "", "it closes the connection"),
    "a closed connection, then silence": (lambda ca, name: InTurn(closes, silent), "", "it closes the connection"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_what_is_published_for_each_kind_of_host(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str, kind: str, address: str
) -> None:
    make, more, reason = KINDS[kind]
    serve = make(authority, name)
    host = hosts.at(address, serve) if serve else None
    served = proving(name, proof=f"Proof(port={hosts.port}, ca={str(authority.ca)!r}, {more})")
    begun = time.monotonic()
    answer = served.get(f"/{KEY}?ip={address}")
    took = time.monotonic() - begun
    record = "AAAA" if ":" in address else "A"
    if not reason:
        assert (answer.status, answer.text) == (200, "OK")
        assert published.lookup(name, record) == [address]
        assert host
        assert isinstance(serve, Tls)
        assert served.update(address) == "UPTODATE"
        assert serve.names == [name]  # once: UPTODATE connects nowhere
        return
    assert (answer.status, answer.text, answer.headers["Retry-After"]) == (503, "FAIL", "60")
    assert published.lookup(name, record) == []
    assert 1.0 <= took < TRY
    line = served.why()
    assert f"FAIL {name} {record} {address} from 127.0.0.1: not proven that {name} is at {address} port" in line
    assert reason in line


@EVERYWHERE
def test_who_is_proven_is_published_and_asked_again_only_for_a_change(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    tls = [Tls(authority.server(name)) for _ in range(2)]
    for number, one in enumerate(tls, 2):
        hosts.at(f"127.0.0.{number}", one)
    served = proving(name)
    answers = [served.update(f"127.0.0.{number}") for number in (2, 2, 4, 2, 3)]
    assert answers == ["OK", "UPTODATE", "FAIL", "UPTODATE", "OK"]
    assert published.lookup(name) == ["127.0.0.3"]
    assert [one.names for one in tls] == [[name]] * 2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_nothing_but_a_handshake_is_sent(
    proving: Proving, authority: Authority, hosts: Hosts, name: str, version: ssl.TLSVersion
) -> None:
    context = authority.server(name)
    context.minimum_version = context.maximum_version = version
    tls = Tls(context)
    hosts.at("127.0.0.2", tls)
    assert proving(name).update("127.0.0.2") == "OK"
    wait_until(lambda: tls.ends or tls.octets, "the end of the session")
    assert (tls.ends, tls.octets) == (1, b"")


def test_a_self_signed_certificate_is_taken_where_the_conf_has_it(
    proving: Proving, hosts: Hosts, tmp_path: Path
) -> None:
    """And once it is renewed, without a reload."""
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        make_certificate(tmp_path / str(number))
    hosts.at("127.0.0.2", Tls(settings(tmp_path / "1/server.crt", tmp_path / "1/server.key")))
    hosts.at("127.0.0.3", Tls(settings(tmp_path / "2/server.crt", tmp_path / "2/server.key")))
    copy(tmp_path / "1/server.crt", tmp_path / "home.crt")
    proof = f'Proof(port={hosts.port}, name="localhost", %s)'
    served = proving("self.dyn.example", proof=proof % "")
    assert served.update("127.0.0.2") == "FAIL"
    assert served.why().endswith('self-signed certificate; Proof(ca="FILE") says which certificates to believe')
    served = proving("self.dyn.example", proof=proof % 'ca="home.crt"')
    assert [served.update(address) for address in ("127.0.0.2", "127.0.0.3")] == ["OK", "FAIL"]
    copy(tmp_path / "2/server.crt", tmp_path / "home.crt")
    assert [served.update(address) for address in ("127.0.0.3", "127.0.0.2")] == ["OK", "FAIL"]


def test_a_certificate_is_taken_where_the_conf_has_it_and_not_the_authority_that_issued_it(
    proving: Proving, authority: Authority, hosts: Hosts, tmp_path: Path, name: str
) -> None:
    hosts.at("127.0.0.2", Tls(authority.server(name)))
    copy(tmp_path / "server.pem", tmp_path / "home.crt")
    hosts.at("127.0.0.3", Tls(authority.server(name)))
    served = proving(name, proof=f'Proof(port={hosts.port}, ca="home.crt")')
    assert [served.update(address) for address in ("127.0.0.2", "127.0.0.3")] == ["OK", "FAIL"]


def test_without_ca_the_systems_certificates_are_believed(
    serve: ServeFixture, bind: Bind, authority: Authority, hosts: Hosts, name: str
) -> None:
    tls = Tls(authority.server(name))
    hosts.at("127.0.0.2", tls)
    text = conf(bind, f'clients["{KEY}"] = Client("{name}", prove={hosts.port}, networks={LOOPBACK})', timeout=1)
    assert Served(serve(text)).update("127.0.0.2") == "FAIL"
    believing = serve(text, command=("env", f"SSL_CERT_FILE={authority.ca}"))
    assert Served(believing).update("127.0.0.2") == "OK"


def test_a_server_that_needs_a_moment_is_waited_for(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    server = InTurn(closes, Tls(authority.server(name)))
    hosts.at("127.0.0.2", server)
    assert proving(name, timeout=10).update("127.0.0.2") == "OK"
    assert server.tries == 2
    assert published.lookup(name) == ["127.0.0.2"]


@EVERYWHERE
def test_each_name_is_proven_at_each_address(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts
) -> None:
    first, second = Tls(authority.server("a1.dyn.example", "a2.dyn.example")), Tls(authority.server("a1.dyn.example"))
    hosts.at("127.0.0.2", first)
    hosts.at("::1", second)
    served = proving("a1.dyn.example", "a2.dyn.example")
    assert served.update("127.0.0.2", "::1") == "FAIL"
    assert "not proven that a2.dyn.example is at ::1 port" in served.why()
    assert published.lookup("a1.dyn.example") == published.lookup("a1.dyn.example", "AAAA") == []
    assert served.update("127.0.0.2") == "OK"
    assert published.lookup("a2.dyn.example") == ["127.0.0.2"]
    assert {"a1.dyn.example", "a2.dyn.example"} == set(first.names)


@EVERYWHERE
def test_with_a_name_in_the_proof_each_address_is_asked_once(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts
) -> None:
    tls = [Tls(authority.server("www.wild.dyn.example")) for _ in range(2)]
    hosts.at("127.0.0.2", tls[0])
    hosts.at("127.0.0.3", tls[1])
    proof = f'Proof(port={hosts.port}, ca="{authority.ca}", name="www.wild.dyn.example")'
    served = proving("wild.dyn.example", "*.wild.dyn.example", proof=proof)
    assert served.update("127.0.0.2", "127.0.0.3") == "OK"
    assert [one.names for one in tls] == [["www.wild.dyn.example"]] * 2
    assert published.lookup("*.wild.dyn.example") == ["127.0.0.2", "127.0.0.3"]


@EVERYWHERE
def test_at_dyndns2_one_unproven_name_publishes_none(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts
) -> None:
    hosts.at("127.0.0.2", Tls(authority.server("b1.dyn.example")))
    served = proving("b1.dyn.example", "b2.dyn.example")
    both = f"/nic/update?hostname=b1.dyn.example,b2.dyn.example&myip=127.0.0.2&password={KEY}"
    answer = served.get(both)
    assert (answer.status, answer.text) == (503, "911\n911")
    assert published.lookup("b1.dyn.example") == []
    assert served.get(both.replace(",b2.dyn.example", "")).text == "good 127.0.0.2"
    assert served.get(both).text == "nochg 127.0.0.2\n911"  # what is there need not be proven


@EVERYWHERE
def test_to_go_offline_needs_no_proof(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    tls = Tls(authority.server(name))
    hosts.at("127.0.0.2", tls)
    served = proving(name)
    assert served.update("127.0.0.2") == "OK"
    assert served.update("", more="&offline=YES") == "OK"
    assert published.lookup(name) == []
    assert len(tls.names) == 1


@EVERYWHERE
def test_a_failed_proof_costs_no_quota_and_who_has_none_is_not_connected_to(
    proving: Proving, authority: Authority, hosts: Hosts, name: str
) -> None:
    tls = Tls(authority.server(name))
    hosts.at("127.0.0.2", tls)
    hosts.at("127.0.0.3", tls)
    served = proving(name, max_changes=1, timeout=0.2)
    assert [served.update("127.0.0.9") for _ in range(3)] == ["FAIL"] * 3
    assert served.update("127.0.0.2") == "OK"
    since = len(served.sftdyn.log)
    assert served.update("127.0.0.3") == "FAIL"
    assert "this client has changed too often" in served.sftdyn.wait_for("FAIL", since)
    assert len(tls.names) == 1


def test_what_a_function_published_last_is_handed_on_without_proof(
    serve: ServeFixture, authority: Authority, hosts: Hosts, tmp_path: Path
) -> None:
    tls = Tls(authority.server("home.example"))
    hosts.at("127.0.0.2", tls)
    text = f"""
def provider(name, type, ttl, addresses, secret):
    with open({str(tmp_path / "calls")!r}, "a") as calls:
        print(*addresses, file=calls)
    return "OK"

proof = Proof(port={hosts.port}, ca={str(authority.ca)!r})
clients[{KEY!r}] = Client("home.example", prove=proof, networks={LOOPBACK})
"""
    served = Served(serve(conf(None, text, timeout=0.3)))
    assert [served.update(f"127.0.0.{n}") for n in (2, 2, 3, 2)] == ["OK", "OK", "FAIL", "OK"]
    assert (tmp_path / "calls").read_text().split() == ["127.0.0.2"] * 3
    assert len(tls.names) == 1


def test_what_hooks_make_of_a_request_is_proven(
    serve: ServeFixture, bind: Bind, authority: Authority, hosts: Hosts
) -> None:
    """A client of get_host, and the address in the lines of nsupdatecommands."""
    hosts.at("127.0.0.2", Tls(authority.server("hooked.dyn.example")))
    text = f"""
def get_host(querystring, ip):
    proof = Proof(port={hosts.port}, ca="ca.pem")
    return Client("hooked.dyn.example", prove=proof, networks={LOOPBACK}) if querystring == {KEY!r} else None

def nsupdatecommands(host, new_ip, headers):
    new_ip = {{"127.0.0.4": "127.0.0.2"}}.get(new_ip, new_ip)
    more = [f"update add {{host}} 30 TXT more"] if new_ip == "127.0.0.5" else []
    return [f"update delete {{host}} A", f"update add {{host}} 30 A {{new_ip}}", *more, "send"]
"""
    served = Served(serve(conf(bind, text, timeout=0.3)))
    assert [served.update(f"127.0.0.{n}") for n in (3, 4, 2, 5)] == ["FAIL", "OK", "UPTODATE", "FAIL"]
    assert "not proven that hooked.dyn.example is at 127.0.0.3 port" in served.why()
    served.sftdyn.wait_for("not proven that hooked.dyn.example is at 127.0.0.5 port")
    assert bind.lookup("hooked.dyn.example") == ["127.0.0.2"]


# Who delays whom.


def test_a_silent_address_delays_nobody_else(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    quiet = hosts.at("127.0.0.2", silent)
    hosts.at("127.0.0.3", Tls(authority.server("*.dyn.example")))
    more = f"""
clients["proven"] = Client("1{name}", prove=Proof(port={hosts.port}, ca={str(authority.ca)!r}), networks={LOOPBACK})
clients["unproven"] = "2{name}"
"""
    served = proving(name, more=more, timeout=5)
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: quiet.accepted, "the first try")
        assert [served.update("127.0.0.3", key=key) for key in ("proven", "unproven")] == ["OK", "OK"]
        assert first == []
    assert first == ["FAIL"]


def test_a_client_has_one_connection_at_a_time_and_its_newer_request_waits_for_one_try_only(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    quiet = hosts.at("127.0.0.2", silent)
    hosts.at("127.0.0.3", Tls(authority.server(name)))
    served = proving(name, timeout=2 * TRY, max_changes=1)  # the older one does not use it up
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: quiet.accepted, "the first try")
        begun = time.monotonic()
        assert served.update("127.0.0.3") == "OK"
        assert 0.8 * TRY < time.monotonic() - begun < 1.8 * TRY
        assert first == []
    assert first == ["FAIL"]
    assert published.lookup(name) == ["127.0.0.3"]


def test_who_has_another_key_for_the_same_name_does_not_wait_for_the_proofs_of_the_first(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    quiet = hosts.at("127.0.0.2", silent)
    hosts.at("127.0.0.3", Tls(authority.server(name)))
    more = f"""
clients["other"] = Client("{name}", prove=Proof(port={hosts.port}, ca={str(authority.ca)!r}), networks={LOOPBACK})
"""
    served = proving(name, more=more, timeout=4 * TRY)
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: quiet.accepted, "the first try")
        begun = time.monotonic()
        assert served.update("127.0.0.3", key="other") == "OK"
        assert time.monotonic() - begun < 0.8 * TRY
        assert first == []
    assert first == ["FAIL"]


@EVERYWHERE
@pytest.mark.parametrize("already", [False, True], ids=["changed", "confirmed"])
@pytest.mark.parametrize("proven", [False, True], ids=["unproven", "proven"])
def test_a_newer_request_wins_over_one_that_is_still_being_proven(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str, proven: bool, already: bool
) -> None:
    held = Held(Tls(authority.server(name)))
    older = hosts.at("127.0.0.2", held)
    hosts.at("127.0.0.3", Tls(authority.server(name)))
    prove = f"prove=Proof(port={hosts.port}, ca={str(authority.ca)!r}, name={name!r})" if proven else ""
    client = f"Client({name!r}, '2{name}', networks={LOOPBACK}, {prove})"
    served = proving(name, more=f"clients['newer'] = {client}", timeout=10)
    if already:
        assert served.update("127.0.0.3", key="newer") == "OK"
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: older.accepted, "the older request's proof")
        assert served.update("127.0.0.3", key="newer") == ("UPTODATE" if already else "OK")
        held.gate.set()
    assert first == ["FAIL"]
    served.sftdyn.wait_for(f"FAIL {name} A 127.0.0.2 from 127.0.0.1: a newer request for the name was faster")
    assert published.lookup(name) == ["127.0.0.3"]


def test_a_newer_request_that_is_not_proven_takes_nothing_from_an_older_one(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str
) -> None:
    held = Held(Tls(authority.server(name)))
    older = hosts.at("127.0.0.2", held)
    proof = f"Proof(port={hosts.port}, ca={str(authority.ca)!r})"
    more = f"clients['newer'] = Client({name!r}, '2{name}', prove={proof}, networks={LOOPBACK})"
    served = proving(name, more=more, timeout=2)
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: older.accepted, "the older request's proof")
        with in_background(lambda: served.update("127.0.0.3", key="newer")) as second:
            served.has_read()
            held.gate.set()
    assert first + second == ["OK", "FAIL"]
    assert published.lookup(name) == ["127.0.0.2"]


@pytest.mark.parametrize("count", [1, 2], ids=["one update", "two updates"])
def test_a_newer_request_that_has_changed_too_often_takes_nothing_from_an_older_one(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str, count: int
) -> None:
    held = Held(Tls(authority.server(name)))
    older = hosts.at("127.0.0.2", held)
    served = proving(name, more=f"clients['newer'] = Client({name!r}, '2{name}')", max_changes=1, timeout=10)
    both = f"/nic/update?password=newer&hostname={','.join([name, '2' + name][:count])}&myip="
    assert served.get(both + "127.0.0.3").text.startswith("good")
    with in_background(lambda: served.update("127.0.0.2")) as first:
        wait_until(lambda: older.accepted, "the older request's proof")
        assert served.get(both + "127.0.0.4").text.startswith("abuse")
        held.gate.set()
    assert first == ["OK"]
    assert published.lookup(name) == ["127.0.0.2"]


def test_what_an_older_request_published_while_a_newer_one_asked_is_asked_about_again(
    serve: ServeFixture, own_bind: Bind, authority: Authority, hosts: Hosts
) -> None:
    """Else the newer one would hear UPTODATE, and the older one's address would stay."""
    held = Held(Tls(authority.server("home.dyn.example")))
    older = hosts.at("127.0.0.2", held)
    newer = hosts.at("127.0.0.3", Tls(authority.server("home.dyn.example")))
    proof = f"prove=Proof(port={hosts.port}, ca={str(authority.ca)!r}, name='home.dyn.example'), networks={LOOPBACK}"
    text = f"""
clients["older"] = Client("home.dyn.example", {proof})
clients["newer"] = Client("home.dyn.example", "also.dyn.example", {proof})
"""
    served = Served(serve(conf(own_bind, text, timeout=20)))
    assert served.update("127.0.0.3", key="newer") == "OK"
    with in_background(lambda: served.update("127.0.0.2", key="older")) as first:
        wait_until(lambda: older.accepted, "the older request's proof")
        own_bind.signal(signal.SIGSTOP)
        with in_background(lambda: served.update("127.0.0.3", key="newer")) as second:
            served.has_read()
            held.gate.set()
            wait_until(lambda: held.serve.names, "the end of the older request's proof")
            served.has_read()
            own_bind.signal(signal.SIGCONT)
    assert first + second == ["OK", "OK"]
    assert own_bind.lookup("home.dyn.example") == ["127.0.0.3"]
    assert len(newer.accepted) == 2


def test_all_clients_have_sixteen_connections_in_turns(
    proving: Proving, hosts: Hosts, authority: Authority, name: str
) -> None:
    quiet = hosts.at("127.0.0.2", silent)
    hosts.at("127.0.0.3", Tls(authority.server(name)))
    more = f"""
for number in range(16):
    proof = Proof(port={hosts.port}, ca={str(authority.ca)!r})
    clients[f"key{{number}}"] = Client(f"many{{number}}.dyn.example", prove=proof, networks={LOOPBACK})
"""
    served = proving(name, more=more, timeout=2 * TRY)
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda number: served.update("127.0.0.2", key=f"key{number}"), range(16))
        wait_until(lambda: len(quiet.accepted) == 16, "all places are taken")
        begun = time.monotonic()
        assert served.update("127.0.0.3") == "OK"
        assert 0.8 * TRY < time.monotonic() - begun < 1.8 * TRY
        assert list(answers) == ["FAIL"] * 16


# Where nobody connects to.


@pytest.mark.parametrize("networks", [[], ["0.0.0.0/0", "::/0"]], ids=["none", "all"])
def test_a_forbidden_address_is_not_connected_to_and_looks_like_a_silent_one(
    proving: Proving, published: Published, authority: Authority, hosts: Hosts, name: str, networks: list[str]
) -> None:
    there, quiet = hosts.at("127.0.0.2", Tls(authority.server(name))), hosts.at("127.0.0.3", silent)
    more = f"clients['k'] = Client({name!r}, prove={hosts.port}, networks={networks})"
    served = proving(name, networks=["127.0.0.3"], more=more)
    for address, key in (("127.0.0.3", KEY), ("127.0.0.2", "k")):
        begun = time.monotonic()
        answer = served.get(f"/{key}?ip={address}")
        assert (answer.status, answer.text) == (503, "FAIL")
        assert 1.0 <= time.monotonic() - begun < TRY
    assert there.accepted == []
    assert len(quiet.accepted) == 1
    assert "it is not reachable from the whole Internet" in served.sftdyn.wait_for("127.0.0.2 port")


def test_only_what_everybody_reaches_is_connected_to(authority: Authority, tmp_path: Path) -> None:
    """In a network of its own, where a server with the right certificate is at every address."""
    authority.server("*.dyn.example")
    nowhere = [row[1] for row in NOWHERE.values()]
    public = ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450::1"]
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--net", *user, sys.executable, "-m", "tests.doors.far_away", str(tmp_path)]
    done = subprocess.run(
        [*command, *nowhere, *public], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    lan = ["2a00:1450:9::1", "2a00:1450:9:0:21f:3bff:fe12:3456"]
    assert said["reached"] == sorted([*public, "10.9.9.9", *lan])
    assert {address for address, answer in said["answers"].items() if answer == "OK"} == {*public, "private", "lan"}
    assert {said["answers"][address] for address in [*nowhere, *OWN]} == {"FAIL"}
