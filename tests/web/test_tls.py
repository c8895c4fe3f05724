"""HTTPS: certificates, versions, renewal."""

import re
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.machine import make_certificate, run
from tests.lab.process import Sftdyn, exchange
from tests.web.conftest import run_curl


def test_plain_http_at_the_https_port_is_told_so(served: Sftdyn) -> None:
    assert exchange(served, b"GET /plain HTTP/1.1\r\n\r\n", "https").startswith(b"HTTP/1.1 400 ")
    served.wait_for("plain HTTP at an https port")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_curl_with_a_self_signed_certificate(
    kind: str, serve: ServeFixture, bind: Bind, tmp_path: Path, certificate: Path
) -> None:
    folder = certificate
    if kind == "rsa":
        folder = tmp_path
        command = "req -x509 -newkey rsa:2048 -nodes -days 30 -keyout server.key -out server.crt -subj /CN=x -addext"
        run("openssl", "openssl", *command.split(), "subjectAltName=IP:127.0.0.1", folder=folder)
    served = serve(conf(bind, clients={"k": f"{kind}.dyn.example"}, http=None, https="127.0.0.1:0", **tls(folder)))
    url = f"https://127.0.0.1:{served.port('https')}/k"
    assert run_curl(served, url).stdout == "OK"
    assert run_curl(served, "--tlsv1.2", "--tls-max", "1.2", url).stdout == "UPTODATE"
    too_old = run_curl(served, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", url)
    no_forward_secrecy = run_curl(served, "--tls-max", "1.2", "--ciphers", "AES128-GCM-SHA256:AES256-SHA256", url)
    assert (too_old.returncode, no_forward_secrecy.returncode) == (35, 35)
    stranger = subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=30, check=False)
    assert stranger.returncode == 60


def serial_of(port: int) -> str:
    """The serial number of the certificate that a new connection gets."""
    hello = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    command = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(command, input=hello.stdout, capture_output=True, timeout=20, check=True).stdout.decode()


def test_a_renewed_certificate_is_used(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    """As certbot does it: links are switched to new files, one after the other."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        make_certificate(tmp_path / name)
    live = tmp_path / "live"
    live.mkdir()

    def switch(file: str, target: str) -> None:
        (live / "new").symlink_to(tmp_path / target / file)
        (live / "new").rename(live / file)

    switch("server.key", "one")
    switch("server.crt", "one")
    served = serve(conf(bind, http=None, https="127.0.0.1:0", **tls(live)))
    port = served.port("https")
    first = serial_of(port)

    switch("server.crt", "two")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("do not belong together")
    assert serial_of(port) == first

    switch("server.key", "two")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    second = serial_of(port)
    assert second != first

    seen = len(served.log)
    switch("server.key", "three")
    switch("server.crt", "three")
    served.wait_for("the certificate is read again", seen, seconds=60)  # without a signal
    assert serial_of(port) not in (first, second)


def expanded(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1) with an empty context."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)


def half_a_key_update(port: int, request: bytes, folder: Path) -> socket.socket:
    """A TLS 1.3 connection with a request, and behind it half of a KeyUpdate message."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(folder / "keys")
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    layer = context.wrap_bio(incoming, outgoing)
    while True:
        try:
            layer.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
    connection.sendall(outgoing.read())
    [secret] = re.findall(r"CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)", (folder / "keys").read_text())
    key, iv = (expanded(bytes.fromhex(secret), label, length) for label, length in ((b"key", 32), (b"iv", 12)))
    for number, (kind, text) in enumerate(((23, request), (22, b"\x18\0\0\x01"))):
        head = b"\x17\x03\x03" + (len(text) + 17).to_bytes(2, "big")
        nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
        connection.sendall(head + AESGCM(key).encrypt(nonce, text + bytes([kind]), head))
    return connection


def test_half_a_message_of_tls_behind_a_request_holds_up_nothing(
    serve: ServeFixture, bind: Bind, certificate: Path, tmp_path: Path
) -> None:
    """The fixture wants it to end at once, too."""
    served = serve(conf(bind, clients={"k": "half.dyn.example"}, http=None, https="127.0.0.1:0", **tls(certificate)))
    for request in (b"GET / HTTP/1.0\r\n\r\n", b"GET /k HTTP/1.0\r\n\r\n"):
        with half_a_key_update(served.port("https"), request, tmp_path) as connection:
            assert connection.recv(65536) is not None  # an end, if not an answer
            while connection.recv(65536):
                pass
        (tmp_path / "keys").unlink()
    assert not [line for line in served.log if "SSLWantReadError" in line]


def test_a_hello_that_announces_too_much_costs_nothing(serve: ServeFixture, bind: Bind, certificate: Path) -> None:
    served = serve(conf(bind, http=None, https="127.0.0.1:0", **tls(certificate)))
    before = served.resident()
    with ExitStack() as stack:
        for _ in range(500):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port("https")), timeout=10))
            connection.sendall(b"\x16\x03\x01\x00\x04\x01\x01\xff\xb8")
    with socket.create_connection(("127.0.0.1", served.port("https")), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x00\x04\x01\x01\xff\xb8")
        assert connection.recv(1) == b""
    assert served.resident() - before < 20_000
