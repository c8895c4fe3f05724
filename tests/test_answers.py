"""The secret URL's answers, over every way in."""

import socket
import subprocess
from contextlib import ExitStack

import pytest
from conftest import Bind, Served, ServeFixture, primary

from sftdyn.demo import find_program, free_port

KEYS = {
    "plain": "plain",
    "?hostname=a.dyn.example&password=123456": "?hostname=a.dyn.example&password=123456",
    "host=a.dyn.example,key=4bea": "host=a.dyn.example,key=4bea",
    "a/b//c": "a/b//c",
    "with blanks in it": "with%20blanks%20in%20it",
    "schlüssel": "schl%C3%BCssel",
    "already%20encoded": "already%20encoded",
}


@pytest.fixture
def served(serve: ServeFixture, bind: Bind, certificate: object) -> Served:
    clients = "".join(f"clients[{key!r}] = 'answer{n}.dyn.example'\n" for n, key in enumerate(KEYS))
    return serve(
        f'{primary(bind)}http = ["127.0.0.1:0", "[::1]:0"]\nhttps = ["127.0.0.1:0"]\n'
        f'key = "{certificate}/server.key"\ncert = "{certificate}/server.crt"\n{clients}'
    )


@pytest.fixture
def everywhere(serve: ServeFixture, bind: Bind, certificate: object) -> Served:
    """Listens on bare ports: both families, plain and TLS. One that the kernel lends may be lent in the other family."""
    served = serve(
        f"{primary(bind)}http = {free_port()}\nhttps = '{free_port()}'\n"
        f'key = "{certificate}/server.key"\ncert = "{certificate}/server.crt"\nclients["k"] = "every.dyn.example"\n'
    )
    served.folder = certificate  # type: ignore[assignment]
    return served


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("source", ["127.0.0.1", "::1"])
def test_each_row_of_the_table(everywhere: Served, bind: Bind, scheme: str, source: str) -> None:
    kind = "AAAA" if ":" in source else "A"
    bind.edit("zone dyn.example", "update delete every.dyn.example")
    get = everywhere.get

    changed = get("/k", scheme=scheme, source=source)
    assert (changed.status, changed.text) == (200, "OK")
    assert bind.lookup("every.dyn.example", kind) == [source]
    assert changed.headers["Content-Length"] == "2"
    assert changed.headers["Content-Type"].startswith("text/plain")
    assert changed.headers["Connection"] == "close"

    same = get("/k", scheme=scheme, source=source)
    assert (same.status, same.text) == (200, "UPTODATE")

    unknown = get("/wrong", scheme=scheme, source=source)
    assert (unknown.status, unknown.text) == (403, "BADKEY")

    bare = get("/", scheme=scheme, source=source)
    assert (bare.status, bare.text) == (200, source)

    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        other = get("/k", scheme=scheme, source=source, method=method)
        assert (other.status, other.headers["Allow"]) == (405, "GET")
    assert get("/k", scheme=scheme, source=source, method="HEAD").status == 405


@pytest.mark.parametrize("key", KEYS)
def test_every_character_is_allowed_in_a_key(served: Served, key: str) -> None:
    assert served.update(KEYS[key]) == "OK"
    assert served.get("///" + KEYS[key]).text == "UPTODATE"
    assert served.update(KEYS[key] + "x") == "BADKEY"


def exchange(served: Served, octets: bytes, scheme: str = "http") -> bytes:
    """What comes back for these octets until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", served.port(scheme)), timeout=10) as connection:
        connection.sendall(octets)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("octets", "start", "end"),
    [
        (b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain\r\n", b"OK", b"OK"),
        (b"GET /wrong\r\n", b"BADKEY", b"BADKEY"),
        (b"GET http://dyn.example/plain HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /with blanks in it HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        ("GET /schlüssel HTTP/1.1\r\n\r\n".encode(), b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.1\r\n\r\nGET /wrong HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"GET /plain HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\nOK"),
        (b"HEAD /plain HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed\r\n", b"\r\n\r\n"),
        (b"POST /plain HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 405 ", b"FAIL"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"hello world\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"GET /plain HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"FAIL"),
        (b"GET /plain HTTP/3.0\r\n\r\n", b"HTTP/1.1 505 ", b"FAIL"),
        (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 431 ", b"FAIL"),
    ],
)
def test_octets_on_the_wire(served: Served, bind: Bind, octets: bytes, start: bytes, end: bytes) -> None:
    bind.edit("zone dyn.example", *(f"update delete answer{n}.dyn.example" for n in range(len(KEYS))))
    reply = exchange(served, octets)
    assert reply.startswith(start)
    assert reply.endswith(end)


def test_a_client_that_has_said_all_and_waits(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert b"127.0.0.1" in connection.recv(65536)


def test_a_client_that_leaves_in_the_middle(served: Served) -> None:
    for octets in (b"", b"GET", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
            connection.sendall(octets)
    assert served.get("/").text == "127.0.0.1"


def test_slow_clients_delay_nobody(served: Served) -> None:
    with ExitStack() as stack:
        for scheme in ("http", "https"):
            for octets in (b"", b"G", b"\x16\x03"):
                for _ in range(30):
                    connection = socket.create_connection(("127.0.0.1", served.port(scheme)), timeout=10)
                    stack.enter_context(connection).sendall(octets)
        assert served.get("/").text == "127.0.0.1"
        assert run_curl(served, f"https://127.0.0.1:{served.port('https')}/").stdout == "127.0.0.1"


def test_an_endless_request_ends(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port()), timeout=15) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert connection.recv(1) == b""  # its time is up


def test_plain_http_at_the_https_port_is_told_so(served: Served) -> None:
    assert exchange(served, b"GET /plain HTTP/1.1\r\n\r\n", "https").startswith(b"HTTP/1.1 400 ")
    served.wait_for("plain HTTP at an https port")


def run_curl(served: Served, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [find_program("curl", "curl"), "-sS", "--cacert", "server.crt", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, cwd=served_certificate(served)
    )


def served_certificate(served: Served) -> str:
    return next(
        line.split('"')[1].rpartition("/")[0]
        for line in (served.folder / "conf0").read_text().splitlines()
        if line.startswith("cert")
    )


def openssl(folder: object, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=str(folder), check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_curl_with_a_self_signed_certificate(
    kind: str, serve: ServeFixture, bind: Bind, tmp_path: object, certificate: object
) -> None:
    folder = certificate
    if kind == "rsa":
        folder = tmp_path
        openssl(
            folder,
            *"req -x509 -newkey rsa:2048 -nodes -days 30 -keyout server.key -out server.crt -subj /CN=x".split(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        )
    served = serve(
        f'{primary(bind)}https = "127.0.0.1:0"\nkey = "{folder}/server.key"\ncert = "{folder}/server.crt"\n'
        f'clients["k"] = "{kind}.dyn.example"\n'
    )
    url = f"https://127.0.0.1:{served.port('https')}/k"
    assert run_curl(served, url).stdout == "OK"
    assert run_curl(served, "--tlsv1.2", "--tls-max", "1.2", url).stdout == "UPTODATE"
    too_old = run_curl(served, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", url)
    assert too_old.returncode == 35
    stranger = subprocess.run(["curl", "-sS", url], capture_output=True, text=True, timeout=30, check=False)
    assert stranger.returncode == 60


def test_the_log_tells_outcome_name_address_and_peer_and_never_a_key(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f'{primary(bind)}http = "127.0.0.1:0"\nclients["verysecretkey"] = "logged.dyn.example"\n', "-vv")
    assert served.update("verysecretkey", "127.0.0.7") == "OK"
    assert served.update("verysecretkey", "127.0.0.7") == "UPTODATE"
    assert served.update("verysecretkeyy", "127.0.0.8") == "BADKEY"
    served.wait_for("OK logged.dyn.example A 127.0.0.7 from 127.0.0.7")
    served.wait_for("UPTODATE logged.dyn.example A 127.0.0.7 from 127.0.0.7")
    served.wait_for("BADKEY from 127.0.0.8")
    assert served.stop() == 0
    assert not [line for line in served.log if "verysecret" in line]


def test_by_default_only_what_went_wrong_is_logged(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f'{primary(bind)}http = "127.0.0.1:0"\nclients["k"] = "quiet.dyn.example"\n')
    assert served.update("k") == "OK"
    assert served.update("wrong") == "BADKEY"
    served.wait_for("BADKEY from 127.0.0.1")


def test_a_trusted_proxy_tells_the_address(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        f'{primary(bind)}http = ["127.0.0.1:0", "[::1]:0"]\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8"]\n'
        'clients["k"] = "proxied.dyn.example"\n'
    )

    def via(header: str, source: str = "127.0.0.1") -> str:
        return served.get("/k", source=source, headers={"X-Forwarded-For": header}).text

    assert via("198.51.100.1, 203.0.113.9, 10.1.1.1") == "OK"
    assert bind.lookup("proxied.dyn.example") == ["203.0.113.9"]
    assert via("2001:db8::9") == "OK"
    assert bind.lookup("proxied.dyn.example", "AAAA") == ["2001:db8::9"]
    assert bind.lookup("proxied.dyn.example") == ["203.0.113.9"]
    assert served.get("/", headers={"X-Forwarded-For": "203.0.113.9"}).text == "203.0.113.9"
    assert served.get("/k", headers={"X-Forwarded-For": "rubbish"}).status == 400
    assert via("fe80::1") == "FAIL"
    assert via("203.0.113.66", source="127.0.0.9") == "OK"  # a stranger's own address, whatever it says
    assert bind.lookup("proxied.dyn.example") == ["127.0.0.9"]
