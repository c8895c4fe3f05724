"""Own addresses, on a real interface in a network of its own, and from web servers and functions."""

import errno
import itertools
import os
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sftdyn.doors.own import rtnetlink
from sftdyn.doors.own.answers import Held, agreed, settled
from sftdyn.doors.own.keeper import FIRST_PATIENCE, patience
from sftdyn.values.addresses import Address, parse_address
from tests.conftest import ServeFixture
from tests.fetch.peers import Peer, Server, Talk
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, wait_until
from tests.lab.network import Network
from tests.lab.process import Sftdyn

NAME = "own.dyn.example"
OWN = f'own = [Client("{NAME}", address=Interface("wan0"))]\n'
EVERY_SECOND = OWN.replace("))]", "), every=1)]")

Place = Callable[..., Sftdyn]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


@pytest.fixture(scope="module")
def inner_bind(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """The name server in that network."""
    server = Bind(tmp_path_factory.mktemp("inner"), {"dyn.example": ALL}, inside=network.inside)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def wan(network: Network, inner_bind: Bind) -> Network:
    """The network without addresses, and without names that have some."""
    network.empty()
    inner_bind.edit("zone dyn.example", *(f"update delete {name}.dyn.example" for name in ("own", "nas", "other")))
    return network


@pytest.fixture
def start(serve: ServeFixture, wan: Network, inner_bind: Bind) -> Place:
    """Start sftdyn in the network, with no listener."""

    def start(more: str = OWN, **settings: Any) -> Sftdyn:
        return serve(conf(inner_bind, more, http=None, **settings), command=wan.inside)

    return start


def addresses(bind: Bind, name: str = NAME) -> tuple[list[str], list[str]]:
    return bind.lookup(name, "A"), bind.lookup(name, "AAAA")


def has(bind: Bind, expected: list[str]) -> bool:
    """Whether the name has these IPv4 addresses."""
    return bind.lookup(NAME) == expected


def add(*texts: str) -> list[str]:
    """As lines for `ip`; without waiting for a proof that nobody else has the address."""
    return [f"address add {text} dev wan0" + (" nodad" if ":" in text else "") for text in texts]


def delete(*texts: str) -> list[str]:
    return [f"address delete {text} dev wan0" for text in texts]


# An interface.


def test_the_name_follows_the_interface_within_a_second(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.ip(*add("192.0.2.1/32"))
    start().wait_for(f"OK {NAME} A 192.0.2.1 from own wan0")
    times = []
    for number in range(10, 30):
        there, gone = sorted(["192.0.2.1", f"192.0.2.{number}"]), ["192.0.2.1"]
        for change, expected in ((add, there), (delete, gone)):
            begun = time.monotonic()
            wan.ip(*change(f"192.0.2.{number}/32"))
            wait_until(partial(has, inner_bind, expected), f"{expected}", 5)
            times.append(time.monotonic() - begun)
    assert statistics.median(times) < 0.5
    assert max(times) < 1, times


def test_a_hundred_changes_in_a_row_end_with_the_last_and_count_for_no_quota(
    start: Place, wan: Network, inner_bind: Bind
) -> None:
    served = start(max_changes=1)
    for number in range(1, 101):
        wan.ip(*add(f"192.0.2.{number}/32", f"2001:db8::{number}/64"))
        wan.ip(*delete(f"192.0.2.{number}/32", f"2001:db8::{number}/64") if number < 100 else [])
    wait_until(lambda: addresses(inner_bind) == (["192.0.2.100"], ["2001:db8::100"]), "the last ones")
    written = len(served.log)
    wan.ip(*add("192.0.2.200/32"))
    served.wait_for("A 192.0.2.100 192.0.2.200", written)
    assert not [line for line in served.log if "changed too often" in line]


def test_what_is_not_for_others_is_left_out(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.let_temporary_addresses_be()
    wan.ip(
        *add("10.0.0.1/8", "100.64.0.1/10", "192.168.1.1/24", "fd00::1/64", "2001:db8::7/64"),
        "address add 2001:db8::8/64 dev wan0 nodad preferred_lft 0",
        "address add 192.0.2.8/24 dev wan0 preferred_lft 0",
        "address add 198.51.100.9/24 dev wan0 scope link",
        "address add 2001:db8:0:1::5/64 dev wan0 nodad mngtmpaddr",
        "address add 192.0.2.7/24 dev wan0",  # a second one of its network, which is no flaw
        "address add 203.0.113.1/24 dev isp0",  # of another interface
    )
    wait_until(lambda: " temporary dynamic" in wan.shown(), "a temporary address that is not tentative any more")
    assert all(f" {word} " in wan.shown() for word in ("temporary", "deprecated", "secondary"))
    start().wait_for("2001:db8::7")
    assert addresses(inner_bind) == (["192.0.2.7"], ["2001:db8:0:1::5", "2001:db8::7"])


def test_an_address_is_published_when_it_is_sure_that_nobody_else_has_it(
    start: Place, wan: Network, inner_bind: Bind
) -> None:
    """Without a carrier, nobody can be asked whether he has it: it stays tentative."""
    wan.ip("link set isp0 down", "address add 2001:db8::9/64 dev wan0", *add("192.0.2.9/32"))
    served = start()
    served.wait_for(f"OK {NAME} A 192.0.2.9 from")
    assert addresses(inner_bind) == (["192.0.2.9"], [])
    wan.ip("link set isp0 up")
    wait_until(lambda: addresses(inner_bind) == (["192.0.2.9"], ["2001:db8::9"]), "the IPv6 address")
    wan.ip("address add 2001:db8::8/64 dev isp0 nodad", "address add 2001:db8::8/64 dev wan0", *add("192.0.2.8/32"))
    wait_until(lambda: " dadfailed " in wan.shown(), "the kernel says that somebody else has it")
    wan.ip(*delete("192.0.2.8/32"))
    served.wait_for(f"OK {NAME} A 192.0.2.9, {NAME} AAAA 2001:db8::9 from")


def test_of_several_addresses_one_that_goes_is_taken_out_but_never_the_last(
    start: Place, wan: Network, inner_bind: Bind
) -> None:
    wan.ip(*add("192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/64", "2001:db8::2/64"))
    served = start()
    served.wait_for("OK ")
    assert addresses(inner_bind) == (["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"])
    wan.ip(*delete("2001:db8::1/64", "192.0.2.1/32"))
    served.wait_for(f"OK {NAME} A 192.0.2.2, {NAME} AAAA 2001:db8::2 from own wan0")
    wan.ip(*delete("192.0.2.2/32"))
    served.wait_for(f"UPTODATE {NAME} AAAA 2001:db8::2 from own wan0")
    wan.ip(*delete("2001:db8::2/64"))
    served.wait_for(f"FAIL {NAME} from own wan0: it has no address that can be published")
    assert addresses(inner_bind) == (["192.0.2.2"], ["2001:db8::2"])


def test_behind_a_router_that_translates_addresses_the_reason_says_what_to_write(start: Place, wan: Network) -> None:
    wan.ip(*add("192.168.1.5/24"))
    start().wait_for("no address that can be published; behind a router that translates addresses, Web(…) says which")


def test_a_link_that_goes_down_takes_nothing_along(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.ip(*add("192.0.2.1/32", "2001:db8::1/64"))
    served = start()
    served.wait_for("OK ")
    wan.ip("link set wan0 down")  # with which the kernel drops the IPv6 addresses
    served.wait_for(f"UPTODATE {NAME} A 192.0.2.1 from")
    assert addresses(inner_bind) == (["192.0.2.1"], ["2001:db8::1"])
    wan.ip("link set wan0 up", *add("2001:db8::2/64"))
    served.wait_for(f"OK {NAME} A 192.0.2.1, {NAME} AAAA 2001:db8::2 from")
    assert addresses(inner_bind) == (["192.0.2.1"], ["2001:db8::2"])


def test_addresses_that_go_one_after_the_other_are_not_taken_out_before_the_last_is_gone(
    start: Place, wan: Network, inner_bind: Bind
) -> None:
    wan.ip(*add("192.0.2.1/32", "2001:db8::1/64", "2001:db8::2/64"))
    served = start()
    served.wait_for("OK ")
    for address in ("2001:db8::1/64", "2001:db8::2/64"):
        wan.ip(*delete(address))
    served.wait_for(f"UPTODATE {NAME} A 192.0.2.1 from")
    assert addresses(inner_bind) == (["192.0.2.1"], ["2001:db8::1", "2001:db8::2"])


def test_an_interface_may_come_later_and_come_back_as_another(start: Place, wan: Network, inner_bind: Bind) -> None:
    served = start(OWN.replace("wan0", "ppp0"))
    served.wait_for("own ppp0: there is no such interface")
    for address in ("192.0.2.1", "192.0.2.2"):
        wan.ip("link add ppp0 type veth peer name ppp1", f"address add {address}/32 dev ppp0")
        wait_until(partial(has, inner_bind, [address]), address, 2)
        wan.ip("link delete ppp0")


def test_hosts_behind_the_router_get_its_prefix(start: Place, wan: Network, inner_bind: Bind) -> None:
    lan = ', lan={"nas.dyn.example": "::1:2"}, prefix_length=56)]'
    served = start(OWN.replace(")]", lan))
    wan.ip(*add("2001:db8:0:ff::1/64"))
    served.wait_for(f"OK {NAME} AAAA 2001:db8:0:ff::1 from own wan0")
    served.wait_for("OK nas.dyn.example AAAA 2001:db8::1:2 from own wan0")
    assert inner_bind.lookup("nas.dyn.example", "AAAA") == ["2001:db8::1:2"]


def test_networks_choose_among_the_addresses(start: Place, wan: Network, inner_bind: Bind) -> None:
    """Private ones, too, where they are named."""
    wan.ip(*add("192.0.2.1/32", "192.168.1.1/24", "2001:db8::1/64", "fd00::1/64"))
    only_ipv4 = OWN.replace(")]", ', networks=["0.0.0.0/0"])]')
    served = start(only_ipv4)
    served.wait_for(f"OK {NAME} A 192.0.2.1 from")
    assert served.stop() == 0
    start(OWN.replace(")]", ', networks=["192.168.0.0/16", "fd00::/8"])]')).wait_for("192.168.1.1")
    assert addresses(inner_bind) == (["192.168.1.1"], ["fd00::1"])


def test_it_asks_again_until_the_name_server_is_back(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.ip(*add("192.0.2.1/32"))
    inner_bind.signal(signal.SIGSTOP)
    try:
        served = start(EVERY_SECOND, timeout=0.5)
        served.wait_for(f"FAIL {NAME} A 192.0.2.1 from own wan0: ")
    finally:
        inner_bind.signal(signal.SIGCONT)
    served.wait_for(f" {NAME} A 192.0.2.1 from own wan0", len(served.log))
    wait_until(lambda: inner_bind.lookup(NAME) == ["192.0.2.1"], "the address")


def test_what_others_write_to_the_name_is_mended_every_so_often(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.ip(*add("192.0.2.1/32"))
    served = start(EVERY_SECOND)
    served.wait_for(f"UPTODATE {NAME} A 192.0.2.1 from own wan0")
    inner_bind.edit("zone dyn.example", f"update delete {NAME} A", f"update add {NAME} 60 A 192.0.2.66")
    wait_until(lambda: inner_bind.lookup(NAME) == ["192.0.2.1"], "the address", 5)


def test_own_follows_a_reload(start: Place, wan: Network, inner_bind: Bind) -> None:
    wan.ip(*add("192.0.2.1/32"))
    served = start(EVERY_SECOND)
    served.wait_for("OK ")
    since = reload(served, NAME, "other.dyn.example")
    wan.ip(*add("192.0.2.2/32"))
    served.wait_for("OK other.dyn.example A 192.0.2.1 192.0.2.2 from own wan0", since)
    for _ in range(3):
        served.wait_for("UPTODATE other.dyn.example", len(served.log))
    assert not [line for line in served.log[since:] if f" {NAME} " in line]
    assert inner_bind.lookup(NAME) == ["192.0.2.1"]
    since = reload(served, "wan0", "isp0")
    served.wait_for("FAIL other.dyn.example from own isp0: it has no address", since)
    wan.ip("address add 203.0.113.1/32 dev isp0")
    served.wait_for("OK other.dyn.example A 203.0.113.1 from own isp0", since)


def reload(served: Sftdyn, old: str, new: str) -> int:
    """With another conf; how many lines the log had before it was read."""
    path = served.folder / "conf0"
    path.write_text(path.read_text().replace(old, new))
    since = len(served.log)
    served.signal(signal.SIGHUP)
    served.wait_for("the conf is read again", since)
    return since


def message(kind: int, body: bytes, flags: int = 0, sequence: int = 7) -> bytes:
    return rtnetlink.HEADER.pack(rtnetlink.HEADER.size + len(body), kind, flags, sequence, 0) + body


def test_an_answer_that_changed_while_it_was_read_is_torn_and_an_error_is_one() -> None:
    """For an address that is missing in it would be taken out of the name."""
    address = (
        rtnetlink.ADDRESS.pack(2, 32, 0x80, 0, 3)
        + rtnetlink.ATTRIBUTE.pack(8, rtnetlink.IFA_LOCAL)
        + b"\xc0\x00\x02\x01"
    )
    whole = message(rtnetlink.NEW_ADDRESS, address) + message(rtnetlink.DONE, bytes(4))
    assert rtnetlink.read(whole, 7) == ([(3, parse_address("192.0.2.1"), 0, 0x80)], True, False)
    assert rtnetlink.read(message(rtnetlink.NEW_ADDRESS, address, rtnetlink.INTERRUPTED), 7).is_torn
    assert rtnetlink.read(whole, 8) == ([], False, False)
    with pytest.raises(PermissionError):
        rtnetlink.read(message(rtnetlink.ERROR, struct.pack("=i", -errno.EPERM)), 7)


# Once.


def once(conf: Path, inside: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*inside, sys.executable, "-m", "sftdyn", "--own", str(conf)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_once_says_a_line_for_each_name(wan: Network, inner_bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    two = 'own = [Client("own.dyn.example", "other.dyn.example", address=Interface("wan0"))'
    path.write_text(conf(inner_bind, f"{two}]\n", http=None))
    wan.ip(*add("192.0.2.1/32", "2001:db8::1/64"))
    for word in ("OK", "UPTODATE"):
        done = once(path, wan.inside)
        said = [f"{word} {name}.dyn.example 192.0.2.1 2001:db8::1 from wan0" for name in ("own", "other")]
        assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, said, "")
    path.write_text(conf(inner_bind, f'{two}, Client("nas.dyn.example", address=Interface("eth7"))]\n', http=None))
    done = once(path, wan.inside)
    failure = "FAIL nas.dyn.example from eth7: there is no such interface"
    assert (done.returncode, sorted(done.stdout.splitlines())) == (1, sorted([failure, *said]))


def test_once_fails_where_the_name_server_does_or_the_conf_has_no_own(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    refused = 'own = [Client("refused.policy.example", address=lambda: "192.0.2.1")]\n'
    path.write_text(conf(bind, refused))
    done = once(path)
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL refused.policy.example 192.0.2.1 from <lambda>: ")
    path.write_text(conf(bind))
    done = once(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing in own; add own = [Client(" in done.stderr


def test_once_publishes_though_nobody_reads_what_it_says(bind: Bind, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(conf(bind, OWN.replace('Interface("wan0")', 'lambda: "192.0.2.1"')))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "sftdyn", "--own", str(tmp_path / "conf")]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_once_ends_though_a_function_hangs(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    more = "import time\ndef mine():\n    time.sleep(1000)\n" + OWN.replace('Interface("wan0")', "mine")
    path.write_text(conf(bind, more, timeout=0.5))
    done = once(path)
    assert (done.returncode, done.stdout) == (1, f"FAIL {NAME} from mine: mine took longer than 0.5 s\n")


# The web.


def saying(body: str, head: str = "200 OK") -> Talk:
    """Answer each request of a connection so."""

    def talk(peer: Peer) -> None:
        while peer.request():
            peer.say(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    return talk


def hanging(peer: Peer) -> None:
    peer.connection.recv(65536)
    peer.connection.recv(65536)  # until the client goes away


def endless(peer: Peer) -> None:
    peer.request()
    peer.say(b"HTTP/1.1 200 OK\r\n\r\n" + b"192.0.2.1 " * 1_000_000)


Servers = Callable[..., Server]


@pytest.fixture
def server() -> Iterator[Servers]:
    """Start a web server on the loopback; all end with the test."""
    running: list[Server] = []

    def start(*talks: Talk, **options: str | int) -> Server:
        running.append(Server(*talks, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for one in running:
        one.close()


_names = itertools.count(1)


class Asking:
    """sftdyn that asks servers for the address of a name."""

    def __init__(
        self, serve: ServeFixture, bind: Bind, urls: Sequence[str], more: str = "", command: tuple[str, ...] = ()
    ) -> None:
        self.name = f"web{next(_names)}-{os.getpid()}.dyn.example"
        self._bind = bind
        web = f"Web({', '.join(map(repr, urls))})"
        own = f'own = [Client("{self.name}", address={web}, every=1{more})]\n'
        self.served = serve(conf(bind, own, http=None), command=command)

    def says(self, text: str, since: int = 0) -> str:
        return self.served.wait_for(text, since)

    def lookup(self) -> tuple[list[str], list[str]]:
        return addresses(self._bind, self.name)


Ask = Callable[..., Asking]


@pytest.fixture
def ask(serve: ServeFixture, bind: Bind) -> Ask:
    def start(*servers: Server, more: str = "") -> Asking:
        return Asking(serve, bind, [f"http://127.0.0.1:{server.port}/ip?a=s3cr3t" for server in servers], more)

    return start


@pytest.mark.parametrize(
    "body", ["192.0.2.1", "192.0.2.1\n", "fl=1\nh=a.example\nip=192.0.2.1\nts=1.2\n", "::ffff:192.0.2.1"]
)
def test_what_a_web_server_tells_is_published(ask: Ask, server: Servers, body: str) -> None:
    [first, *_] = servers = [server(saying(body))]
    asking = ask(*servers)
    asking.says(f"OK {asking.name} A 192.0.2.1 from own 127.0.0.1:{first.port}")
    assert asking.lookup() == (["192.0.2.1"], [])
    assert not [line for line in asking.served.log if "s3cr3t" in line]


def test_each_look_is_over_a_new_connection(ask: Ask, server: Servers) -> None:
    """One that was kept would keep the old address."""
    is_closed = threading.Event()

    def first(peer: Peer) -> None:
        saying("192.0.2.1")(peer)
        is_closed.set()

    asking = ask(server(first, saying("192.0.2.2")))
    asking.says("OK ")
    assert is_closed.wait(1)
    wait_until(lambda: asking.lookup() == (["192.0.2.2"], []), "the second answer", 10)


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (saying("<html>192.0.2.1</html>"), "what it answers is not an address"),
        (saying(""), "what it answers is not an address"),
        (saying("192.0.2.1 192.0.2.2"), "what it answers is not an address"),
        (saying("ip=192.0.2.1\nip=192.0.2.2"), "what it answers is not one IPv4 address"),
        (saying("2001:db8::1"), "what it answers is not one IPv4 address"),
        (saying("192.168.1.1"), "it gave 192.168.1.1, which is one of private networks"),
        (saying("127.0.0.1"), "it gave 127.0.0.1, which is one of private networks"),
        (saying("224.0.0.1"), "a multicast address cannot be published"),
        (saying("192.0.2.1", "302 Found\r\nLocation: /other"), "it redirects, which is not followed"),
        (saying("192.0.2.1", "500 No"), "it answers 500"),
        (saying("192.0.2.1" + " " * 4096), "its answer is too large"),
        (endless, "its answer is too large"),
        (hanging, "no answer in time"),
        (lambda peer: peer.connection.close(), "it closed the connection"),
        (lambda peer: peer.say(b"192.0.2.1\r\n\r\n"), "what it answers is not HTTP"),
    ],
)
def test_nothing_is_published_from_a_server_that_tells_no_address(
    ask: Ask, server: Servers, talk: Talk, reason: str
) -> None:
    asking = ask(server(talk))
    assert reason in asking.says(f"FAIL {asking.name} from own 127.0.0.1:")
    assert asking.lookup() == ([], [])
    assert not [line for line in asking.served.log if "OK " in line or "html" in line]


def test_nothing_is_published_where_no_two_servers_agree(ask: Ask, server: Servers) -> None:
    """What was published while they did agree stays."""
    asking = ask(server(saying("192.0.2.1"), saying("192.0.2.2")), server(saying("192.0.2.1"), saying("192.0.2.3")))
    asking.says(f"OK {asking.name} A 192.0.2.1 from")
    assert "over IPv4 no two agree" in asking.says("FAIL ")
    assert asking.lookup() == (["192.0.2.1"], [])


def test_where_two_lines_share_the_load_the_name_does_not_flip(ask: Ask, server: Servers) -> None:
    """Each server is asked over a line of its own, now this, now that; one of them still shows the published address."""
    here, there = saying("192.0.2.1"), saying("192.0.2.2")
    asking = ask(*(server(*talks) for talks in ([here], [here, *[there, here] * 9], [here, there, there, here, there])))
    asking.says(f"OK {asking.name} A 192.0.2.1 from")
    for _ in range(3):
        asking.says(f"UPTODATE {asking.name} A 192.0.2.1 from", len(asking.served.log))
    assert asking.lookup() == (["192.0.2.1"], [])
    assert not [line for line in asking.served.log if "192.0.2.2" in line]


def test_of_three_servers_one_may_hang_lie_or_be_gone(ask: Ask, server: Servers) -> None:
    good, other, gone = saying("192.0.2.1"), saying("192.0.2.2"), server(hanging)
    gone.close()
    for third in (server(hanging), server(other), gone):
        asking = ask(server(good), third, server(good))
        asking.says(f"OK {asking.name} A 192.0.2.1 from")


@pytest.mark.parametrize(
    ("told", "asked", "expected"),
    [
        ("", 1, None),
        ("1", 1, "1"),
        ("1", 2, None),
        ("1 2", 2, None),
        ("1 1", 2, "1"),
        ("1 2 1", 3, "1"),
        ("1 2 3", 3, None),
        ("1 1 2 2", 4, None),
        ("1 1 2 2 2", 5, "2"),
    ],
)
def test_two_must_agree_and_no_other_two_on_something_else(told: str, asked: int, expected: str | None) -> None:
    def address(digit: str) -> Address:
        return parse_address(f"192.0.2.{digit}")

    assert agreed([address(digit) for digit in told.split()], asked) == (address(expected) if expected else None)


@pytest.mark.parametrize(
    ("looks", "asked", "published"),
    [
        ("11 12 22", 2, "1 1 2"),  # none tells the old one any more
        ("111 122 122 111 122 122 122 222", 3, "1 1 1 1 1 1 2 2"),  # won three looks in a row
        ("111 122 133 122 133 122", 3, "1 1 1 1 1 1"),  # not the same one
        ("111 122 12 122 122", 3, "1 1 1 1 1"),  # not in a row
        ("111 23 22 23", 3, "1 - 2 2"),
        ("- 12 11", 3, "- - 1"),
        ("1 2 1", 1, "1 2 1"),  # a single server is always right
    ],
)
def test_a_new_address_replaces_one_that_is_still_told_when_it_has_won_three_times(
    looks: str, asked: int, published: str
) -> None:
    held, found = Held(), []
    for look in looks.split():
        told = [parse_address(f"192.0.2.{digit}") for digit in look.strip("-")]
        address, held = settled(held, told, asked)
        found.append(str(address)[-1] if address else "-")
    assert " ".join(found) == published


def test_each_name_of_a_client_is_published_and_reported_by_itself(serve: ServeFixture, bind: Bind) -> None:
    names = [f"each{n}-{os.getpid()}.dyn.example" for n in range(101)]
    bad = ["refused.policy.example", "elsewhere.nowhere.example"]
    said = ", ".join(map(repr, [names[0], *bad, *names[1:]]))
    served = serve(conf(bind, f"own = [Client({said}, address=lambda: '192.0.2.1', every=60)]\n", http=None))
    for name in (names[0], names[-1]):
        served.wait_for(f"OK {name} A 192.0.2.1 from own <lambda>")
        assert bind.lookup(name) == ["192.0.2.1"]
    assert "refuses this name" in served.wait_for(f"FAIL {bad[0]} A 192.0.2.1 from own <lambda>: ")
    served.wait_for(f"FAIL {bad[1]} A 192.0.2.1 from own <lambda>: ")


def test_clients_with_an_equal_source_share_one_look(
    serve: ServeFixture, bind: Bind, server: Servers, tmp_path: Path
) -> None:
    asked = []

    def counting(peer: Peer) -> None:
        asked.append(time.monotonic())
        saying("192.0.2.1")(peer)

    calls = tmp_path / "calls"
    port = server(counting).port
    names = [f"share{n}-{os.getpid()}.dyn.example" for n in range(10)]
    served = serve(
        conf(
            bind,
            f"def mine():\n    open({str(calls)!r}, 'a').write('.')\n    return '192.0.2.2'\n"
            f"own = [Client(name, address=Web('http://127.0.0.1:{port}/'), every=2) for name in {names!r}]\n"
            f"own += [Client('f' + name, address=mine, every=2) for name in {names!r}]\n",
            http=None,
        )
    )
    for prefix in ("", "f"):
        for name in names:
            served.wait_for(f"OK {prefix}{name} A ")
            for _ in range(2):
                served.wait_for(f"UPTODATE {prefix}{name} A ")
    assert len(asked) <= 2 + (asked[-1] - asked[0]) / 2
    assert len(calls.read_text()) <= len(asked) + 1


AskBoth = Callable[..., Asking]


@pytest.fixture
def ask_both(serve: ServeFixture, bind: Bind, server: Servers, tmp_path: Path) -> AskBoth:
    """Start sftdyn that asks a server over both families, under one name, which a file of its own says."""
    (tmp_path / "hosts").write_text("127.0.0.1 both.example\n::1 both.example\n")
    mount = f'mount --bind {tmp_path}/hosts /etc/hosts && exec "$@"'
    user = [] if os.getuid() == 0 else ["--map-root-user"]

    def start(over_ipv4: Talk, over_ipv6: Talk, more: str = "") -> Asking:
        port = server(over_ipv4).port
        server(over_ipv6, host="::1", port=port)
        command = ("unshare", "--mount", *user, "sh", "-c", mount, "sh")
        return Asking(serve, bind, [f"http://both.example:{port}/"], more, command)

    return start


def test_both_families_are_asked(ask_both: AskBoth) -> None:
    asking = ask_both(saying("192.0.2.1"), saying("2001:db8::1"))
    asking.says("OK ")
    assert asking.lookup() == (["192.0.2.1"], ["2001:db8::1"])


def test_a_family_that_fails_does_not_hold_up_the_other_and_is_warned_of(ask_both: AskBoth) -> None:
    asking = ask_both(saying("192.0.2.1"), saying("nonsense"))
    asking.says("own both.example:")
    asking.says("over IPv6 both.example:")
    asking.says("OK ")
    assert asking.lookup() == (["192.0.2.1"], [])


def test_networks_of_one_family_ask_over_it_alone(ask_both: AskBoth) -> None:
    answers = saying("192.0.2.1"), saying("2001:db8::1")
    asking = ask_both(*answers, ', networks=["::/0"]')
    asking.says("OK ")
    assert asking.lookup() == ([], ["2001:db8::1"])
    asking = ask_both(*answers, ', networks=["192.0.2.64/26"]')
    asking.says("it gave 192.0.2.1, which is not in the networks of this client")
    asking = ask_both(saying("192.168.1.1"), saying("nonsense"), ', networks=["0.0.0.0/0"]')
    asking.says("it gave 192.168.1.1, which is one of private networks")
    assert asking.lookup() == ([], [])


# A function.

FUNCTION = """
def mine():
    with open({answers!r}) as answers:
        return eval(answers.read(), {{"sleep": __import__("time").sleep}})
own = [Client({name!r}, address=mine, every=1)]
"""


@pytest.fixture
def function(serve: ServeFixture, bind: Bind, tmp_path: Path) -> Callable[[str, str], Sftdyn]:
    """Start sftdyn with a function that returns what the first line of a file is worth."""

    def start(name: str, answer: str) -> Sftdyn:
        (tmp_path / "answers").write_text(answer)
        return serve(conf(bind, FUNCTION.format(name=name, answers=str(tmp_path / "answers")), timeout=0.5))

    return start


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("None", "mine returned something that is not an address"),
        ("[]", "it gave no address"),
        ("'192.0.2.1, 192.0.2.2'", "mine returned something that is not an address"),
        ("['192.0.2.1', '10.0.0.1']", "it gave 10.0.0.1, which is one of private networks"),
        ("1/0", "conf0:8: mine raised ZeroDivisionError"),
        ("sleep(1000)", "mine took longer than 0.5 s"),
        ("(sleep(1000) for _ in 'a')", "mine took longer than 0.5 s"),  # as a generator does, when it is read
        ("['192.0.2.%d' % n for n in range(100)]", "it has more than 16 addresses"),
        ("__import__('ipaddress').ip_network('2001:db8::/64')", "it has more than 16 addresses"),
    ],
)
def test_nothing_is_published_from_a_function_that_fails(
    function: Callable[[str, str], Sftdyn], bind: Bind, answer: str, reason: str
) -> None:
    served = function("function1.dyn.example", answer)
    assert reason in served.wait_for("FAIL function1.dyn.example from own mine: ")
    assert addresses(bind, "function1.dyn.example") == ([], [])


def test_what_a_function_returns_is_published(
    function: Callable[[str, str], Sftdyn], bind: Bind, tmp_path: Path
) -> None:
    served = function("function2.dyn.example", "'192.0.2.1'")
    served.wait_for("OK function2.dyn.example A 192.0.2.1 from own mine")
    (tmp_path / "answers").write_text("{'192.0.2.2', '2001:db8::1', '192.0.2.3'}")
    served.wait_for("OK function2.dyn.example A 192.0.2.2 192.0.2.3, function2.dyn.example AAAA 2001:db8::1 from")


def test_a_function_that_hangs_has_one_thread(function: Callable[[str, str], Sftdyn]) -> None:
    served = function("function3.dyn.example", "sleep(1000)")
    served.wait_for("mine has not come back")
    assert len(os.listdir(f"/proc/{served.pid}/task")) < 5


# Patience.


def test_after_failures_it_waits_longer_and_longer_but_never_longer_than_without() -> None:
    assert patience(300, 0) == 300
    longest = [max(patience(300, failures) for _ in range(200)) for failures in (1, 2, 3, 8, 1000)]
    assert longest[0] <= FIRST_PATIENCE < longest[1] < longest[2] < longest[3]
    assert 250 < longest[-1] <= 300
    assert {patience(1, failures) <= 1 for failures in range(20)} == {True}
    assert len({patience(300, 1) for _ in range(10)}) > 1
