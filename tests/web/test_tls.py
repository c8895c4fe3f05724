"""HTTPS: certificates, versions, renewal."""

import signal
import subprocess
from pathlib import Path

import pytest

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
    assert too_old.returncode == 35
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
