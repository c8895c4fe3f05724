"""TLS hellos: what is read of them, and that no client chooses what its handshake costs everybody."""

import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.web.hello import CHEAP, USUAL, Hello, read_hello
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.machine import find_program
from tests.lab.process import Sftdyn
from tests.web.conftest import run_curl

X25519, P256, P384, FFDHE8192 = 0x1D, 0x17, 0x18, 0x104
KEY = "a-secret-key-0123456789"
EXPENSIVE = ["ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192", "P-521", "X448"]


def hello_of(*options: str) -> bytes:
    """The first record that openssl's client sends with these options."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [find_program("openssl", "openssl"), "s_client", "-connect", "127.0.0.1:%d", *options]
        command[3] %= listening.getsockname()[1]
        nothing = subprocess.DEVNULL
        with subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing) as client:
            listening.settimeout(10)
            connection, _ = listening.accept()
            with connection:
                record = b""
                while len(record) < 5 or len(record) < 5 + int.from_bytes(record[3:5]):
                    record += connection.recv(65536)
            client.wait(10)
    return record


@pytest.fixture
def secure(serve: ServeFixture, bind: Bind, certificate: Path) -> Sftdyn:
    return serve(conf(bind, clients={KEY: "hello.dyn.example"}, https="127.0.0.1:0", **tls(certificate)))


def handshake(served: Sftdyn, *options: str) -> "subprocess.CompletedProcess[str]":
    address = f"127.0.0.1:{served.port('https')}"
    command = [find_program("openssl", "openssl"), "s_client", "-connect", address, *options]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)


def test_a_hello_of_openssl_is_read() -> None:
    new = read_hello(hello_of("-tls1_3", "-groups", "ffdhe8192:P-256"))
    assert new == Hello((0x304,), (FFDHE8192, P256), (FFDHE8192,))
    old = read_hello(hello_of("-tls1_2", "-groups", "X25519:P-384"))
    assert old == Hello((0x303,), (X25519, P384))
    assert str(old) == "offered TLS 1.2"
    none = read_hello(hello_of("-tls1_3", "-groups", "ffdhe2048"))
    assert str(none) == "offered TLS 1.3, and none of X25519, P-256 and P-384"


@pytest.mark.parametrize(
    ("groups", "shares", "chosen"),
    [
        ((X25519, P256), (X25519,), "X25519"),
        ((FFDHE8192, P384, P256), (FFDHE8192, P384), "secp384r1"),  # what is there already spares a round
        ((FFDHE8192, P384, X25519), (FFDHE8192,), "X25519"),
        ((FFDHE8192,), (FFDHE8192,), USUAL),
        ((), (), USUAL),
    ],
)
def test_of_what_a_client_offers_the_cheap_group_is_taken(
    groups: tuple[int, ...], shares: tuple[int, ...], chosen: str
) -> None:
    assert Hello((0x304,), groups, shares).group == chosen


HELLO = hello_of("-tls1_3", "-groups", "X25519:P-256")


@given(st.integers(5, len(HELLO)), st.binary(max_size=8), st.booleans())
def test_any_octets_are_an_offer_or_none(place: int, octets: bytes, cut: bool) -> None:
    broken = HELLO[:place] + octets + (b"" if cut else HELLO[place + len(octets) :])
    hello = read_hello(broken)
    assert hello is None or hello.group in CHEAP.values()


@pytest.mark.parametrize(
    ("version", "groups", "chosen"),
    [
        ("-tls1_3", "X25519", "X25519"),
        ("-tls1_3", "P-256", "ECDH, prime256v1"),
        ("-tls1_3", "P-384", "ECDH, secp384r1"),
        ("-tls1_3", "ffdhe8192:X25519", "X25519"),  # the client would rather have another, and sends only its half
        ("-tls1_3", "P-521:P-384", "ECDH, secp384r1"),
        ("-tls1_2", "X25519:P-256", "X25519"),
        ("-tls1_2", "P-521:P-256", "ECDH, prime256v1"),
    ],
)
def test_who_has_one_cheap_group_gets_it(secure: Sftdyn, version: str, groups: str, chosen: str) -> None:
    said = handshake(secure, version, "-groups", groups).stdout
    assert f"Server Temp Key: {chosen}, " in said, said


@pytest.mark.parametrize("group", EXPENSIVE)
def test_who_has_none_gets_no_handshake_and_a_line_in_the_log(secure: Sftdyn, group: str) -> None:
    assert handshake(secure, "-tls1_3", "-groups", group).returncode != 0
    secure.wait_for("offered TLS 1.3, and none of X25519, P-256 and P-384")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), "unsupported protocol (offered TLS 1.1)"),
        (("-tls1_2", "-cipher", "AES128-SHA"), "no shared cipher (offered TLS 1.2)"),
        (("-tls1_3", "-verify_return_error"), "alert unknown ca (offered TLS 1.3)"),
    ],
)
def test_a_handshake_that_fails_is_one_line(secure: Sftdyn, options: tuple[str, ...], line: str) -> None:
    handshake(secure, *options)
    found = secure.wait_for(line)
    assert "BADREQUEST from 127.0.0.1: no TLS handshake: " in found
    assert run_curl(secure, f"https://127.0.0.1:{secure.port('https')}/").stdout == "127.0.0.1"
    assert len([said for said in secure.log if "BADREQUEST" in said]) == 1


def test_who_leaves_in_the_middle_of_a_handshake_is_a_line_and_who_only_knocks_is_none(secure: Sftdyn) -> None:
    for octets in (b"", HELLO[:40]):
        with socket.create_connection(("127.0.0.1", secure.port("https")), timeout=10) as connection:
            connection.sendall(octets)
    with socket.create_connection(("127.0.0.1", secure.port("https")), timeout=10) as connection:
        connection.sendall(HELLO)
        assert connection.recv(1)
    secure.wait_for("no TLS handshake: the client left (offered TLS 1.3)")
    assert len([line for line in secure.log if "BADREQUEST" in line]) == 1


def test_a_hello_in_pieces_is_understood(secure: Sftdyn, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate / "server.crt")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", secure.port("https")), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for octet in outgoing.read():
                    connection.sendall(bytes([octet]))
                incoming.write(connection.recv(65536))


class Stranger:
    """Sends the same hello again and again, from an address of its own."""

    def __init__(self, served: Sftdyn, hello: bytes, each_second: float) -> None:
        self._target = ("127.0.0.1", served.port("https"))
        self._hello = hello
        self._pause = 1 / each_second
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _send(self) -> None:
        with ExitStack() as stack:
            while not self._end.wait(self._pause):
                connection = socket.create_connection(self._target, timeout=10, source_address=("127.0.0.2", 0))
                stack.enter_context(connection).sendall(self._hello)


@pytest.fixture(scope="module")
def costly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate whose key takes some ms to sign with."""
    folder = tmp_path_factory.mktemp("costly")
    command = "req -x509 -newkey rsa:4096 -nodes -days 30 -keyout server.key -out server.crt -subj /CN=x -addext"
    names = "subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *command.split(), names], cwd=folder, capture_output=True, timeout=60, check=True)
    return folder


def used(served: Sftdyn) -> float:
    """Seconds of the processor."""
    stat = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / 100


def test_a_stranger_with_the_most_expensive_hello_costs_nothing(secure: Sftdyn) -> None:
    """Before: 25 s for a neighbour's request."""
    before, began = used(secure), time.monotonic()
    with Stranger(secure, hello_of("-groups", "ffdhe8192"), 20):
        while time.monotonic() < began + 5:
            asked = time.monotonic()
            assert secure.get("/").text == "127.0.0.1"
            assert time.monotonic() - asked < 2
            time.sleep(0.1)  # the neighbour's own requests are not what is measured
    assert used(secure) - before < 1.5


def test_a_stranger_has_a_third_of_the_time_at_most(serve: ServeFixture, bind: Bind, costly: Path) -> None:
    """With a key that is slow, however fast the hellos come; who comes from elsewhere is not behind them."""
    served = serve(conf(bind, https="127.0.0.1:0", **tls(costly)))
    url = f"https://127.0.0.1:{served.port('https')}/"
    before, began = used(served), time.monotonic()
    with Stranger(served, HELLO, 300):
        while time.monotonic() < began + 5:
            asked = time.monotonic()
            assert run_curl(served, "--interface", "127.0.0.3", url).stdout == "127.0.0.3"
            assert time.monotonic() - asked < 2
            time.sleep(0.2)
    share = (used(served) - before) / (time.monotonic() - began)
    assert share < 0.6, share
