"""Behind real proxies, each with its file of etc/proxies: only ports and paths are others, and what stands around it."""

import csv
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import KEY, KEYS, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, find_program, free_port
from tests.lab.process import START_DEADLINE, Process

NAME = "behind.dyn.example"
STRANGER = "203.0.113.66"  # whom a forger names
CALLERS, CONNECTIONS, REQUESTS = 4, 5, 1250  # 5 000 requests over 20 connections
CADDYS_PATIENCE = 90  # seconds
MODULES = "mpm_event authz_core ssl proxy proxy_http"


@dataclass(frozen=True)
class Proxy:
    """A proxy from Debian: how it is started, and what a configuration needs besides the file of etc/proxies."""

    name: str
    command: tuple[str, ...]
    around: str
    listen: dict[str, str] = field(default_factory=dict)  # what the file says → what keeps it on the loopback

    def configured(self, folder: Path, upstream: int, port: int) -> Path:
        """The file of etc/proxies, for the sftdyn at a port."""
        site = (ROOT / "etc/proxies" / self.name).read_text()
        here = {"127.0.0.1:8080": f"127.0.0.1:{upstream}", **self.listen}
        assert all(old in site for old in here)
        for old, new in {**here, "/etc/ssl/dyn.example": "{folder}", "/var/log/apache2": "{folder}"}.items():
            site = site.replace(old, new.format(folder=folder, port=port))
        path = folder / "conf"
        path.write_text(self.around.format(folder=folder, port=port, site=site))
        return path


NGINX = Proxy(
    "nginx",
    ("nginx", "-p", "{folder}", "-c", "{conf}"),
    "daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; events {{}}\n"
    "http {{ client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};\n"
    "uwsgi_temp_path {folder}; scgi_temp_path {folder};\n{site} }}\n",
    {"listen 443": "listen 127.0.0.1:{port}", "listen [::]:443": "listen [::1]:{port}"},
)
HAPROXY = Proxy(
    "haproxy",
    ("haproxy", "-db", "-f", "{conf}"),
    "global\n    stats socket {folder}/stats\n{site}",
    {"bind :443": "bind 127.0.0.1:{port}", "bind [::]:443": "bind [::1]:{port}"},
)
CADDY = Proxy(
    "caddy",
    ("caddy", "run", "--adapter", "caddyfile", "--config", "{conf}"),
    "{{\n admin off\n https_port {port}\n auto_https disable_redirects\n local_certs\n skip_install_trust\n"
    " default_bind 127.0.0.1 [::1]\n}}\n{site}",
)
APACHE = Proxy(
    "apache",
    ("apache2", "-D", "FOREGROUND", "-f", "{conf}"),
    "ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error\n"
    "ServerName localhost\nUser www-data\nGroup www-data\nListen 127.0.0.1:{port}\nListen [::1]:{port}\n"
    + "".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so\n" for one in MODULES.split())
    + "{site}",
    {"*:443": "*:{port}"},
)
EACH = [NGINX, *(pytest.param(proxy, marks=pytest.mark.extra) for proxy in (HAPROXY, CADDY, APACHE))]
each_proxy = pytest.mark.parametrize("proxy", EACH, ids=lambda proxy: proxy.name)


@dataclass(frozen=True)
class Running:
    """A proxy in front of sftdyn."""

    folder: Path
    port: int

    def curl(self, path: str, source: str, *options: str) -> list[str]:
        """The command of a client at `source`. Whose certificate it is makes no difference here."""
        host = "[::1]" if ":" in source else "127.0.0.1"
        to_here = ("--connect-to", f"::{host}:{self.port}", "--interface", source)
        fixed = (
            find_program("curl", "curl"),
            *"-sS --no-progress-meter --insecure --http1.1 --path-as-is --max-time 60".split(),
        )
        return [*fixed, *to_here, *options, f"https://dyn.example:{self.port}{path}"]

    def ask(self, path: str, source: str, *options: str) -> str:
        """What a client at `source` gets."""
        command = self.curl(path, source, "--globoff", *options)
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False).stdout


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, certificate: Path) -> Iterator[Start]:
    """Start a proxy in front of the sftdyn at a port, with some text of its configuration replaced."""
    running: list[Process] = []

    def begin(proxy: Proxy, upstream: int, replaced: tuple[str, str] = ("", "")) -> Running:
        folder = tmp_path / proxy.name
        folder.mkdir()
        for name in ("server.key", "server.crt"):
            (folder / name).write_bytes((certificate / name).read_bytes())
        pem = folder / "server.pem"
        pem.write_bytes((folder / "server.crt").read_bytes() + (folder / "server.key").read_bytes())
        port = free_port()
        path = proxy.configured(folder, upstream, port)
        text = path.read_text()
        assert replaced[0] in text
        path.write_text(text.replace(*replaced) if replaced[0] else text)
        words = [word.format(folder=folder, conf=path) for word in proxy.command]
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        package = words[0].replace("nginx", "nginx-light")
        running.append(Process([find_program(words[0], package), *words[1:]], folder, env=home))
        running[-1].wait_for_port("127.0.0.1", port)
        wait_for_certificate(port)
        return Running(folder, port)

    yield begin
    for process in running:
        process.stop()


def wait_for_certificate(port: int) -> None:
    """Caddy listens before it has made one, and tries again after a minute where that has failed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    deadline = time.monotonic() + CADDYS_PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=START_DEADLINE) as plain:
                context.wrap_socket(plain, server_hostname="dyn.example").close()
                return
        except ssl.SSLError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@each_proxy
def test_the_callers_own_address_is_published(proxy: Proxy, client_of: ServeFixture, bind: Bind, start: Start) -> None:
    through = start(proxy, client_of(NAME, trusted_proxies=["127.0.0.1"]).port())
    assert through.ask(f"/{KEY}", "127.0.0.5") == "OK"
    assert bind.lookup(NAME) == ["127.0.0.5"]
    assert through.ask(f"/{KEY}", "::1") == "OK"
    assert bind.lookup(NAME, "AAAA") == ["::1"]
    assert bind.lookup(NAME) == ["127.0.0.5"]
    assert through.ask(f"/{KEY}", "127.0.0.5") == "UPTODATE"
    assert through.ask("/", "127.0.0.6") == "127.0.0.6"
    assert through.ask(f"/{KEY}?myip=192.0.2.7", "127.0.0.5") == "OK"
    assert through.ask("/update?myip=192.0.2.7", "127.0.0.5", "-u", f"any:{KEY}") == "UPTODATE"
    assert bind.lookup(NAME) == ["192.0.2.7"]


FORGED = [
    [f"X-Forwarded-For: {STRANGER}"],
    [f"X-Forwarded-For: {STRANGER}", f"X-Forwarded-For: {STRANGER}, 127.0.0.1"],
    [f"x-forwarded-for: {STRANGER},"],
    ["X-Forwarded-For: rubbish, ,%"],
    [f"Forwarded: for={STRANGER}"],
    [f"X-Real-IP: {STRANGER}"],
    [f"X-Forwarded-For: {STRANGER}", f"Forwarded: for={STRANGER};by=127.0.0.1", f"X-Real-IP: {STRANGER}"],
    [f"X-Forwarded-For: {STRANGER}", "Connection: close, X-Forwarded-For"],
]


@each_proxy
def test_forged_headers_make_no_difference(proxy: Proxy, client_of: ServeFixture, bind: Bind, start: Start) -> None:
    through = start(proxy, client_of(NAME, trusted_proxies=["127.0.0.1"]).port())
    for number, headers in enumerate(FORGED):
        options = [word for header in headers for word in ("-H", header)]
        source = f"127.0.0.{10 + number}"
        assert through.ask(f"/{KEY}", source, *options) == "OK", headers
        assert bind.lookup(NAME) == [source], headers
        assert through.ask("/", "::1", *options) == "::1", headers


@each_proxy
def test_a_key_arrives_as_it_was_sent(proxy: Proxy, serve: ServeFixture, bind: Bind, start: Start) -> None:
    clients = {key: f"arrives{number}.dyn.example" for number, key in enumerate(KEYS)}
    bind.edit("zone dyn.example", *(f"update delete {name}" for name in clients.values()))
    through = start(proxy, serve(conf(bind, clients=clients, trusted_proxies=["127.0.0.1"])).port())
    answers = {sent: through.ask(f"/{sent}", "127.0.0.5") for sent in KEYS.values()}
    assert answers == dict.fromkeys(KEYS.values(), "OK")


@each_proxy
def test_a_forgotten_trusted_proxies_is_refused_and_named(
    proxy: Proxy, client_of: ServeFixture, bind: Bind, start: Start
) -> None:
    served = client_of(NAME)
    through = start(proxy, served.port())
    assert through.ask(f"/{KEY}", "127.0.0.5") == "FAIL"
    served.wait_for("trusted_proxies")
    assert bind.lookup(NAME) == []


@pytest.mark.parametrize(
    ("proxy", "line"),
    [
        (NGINX, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"),
        pytest.param(HAPROXY, "option forwardfor", marks=pytest.mark.extra),
    ],
    ids=["nginx", "haproxy"],
)
def test_a_line_forgotten_at_the_proxy_is_refused_and_explained(
    proxy: Proxy, line: str, client_of: ServeFixture, bind: Bind, start: Start
) -> None:
    served = client_of(NAME, trusted_proxies=["127.0.0.1"])
    through = start(proxy, served.port(), (line, ""))
    assert through.ask(f"/{KEY}", "127.0.0.5") == "FAIL"
    served.wait_for("trusted_proxies")
    assert bind.lookup(NAME) == []
    assert through.ask(f"/{KEY}?myip=192.0.2.7", "127.0.0.5") == "OK"


@pytest.mark.extra
@pytest.mark.parametrize("check", ["GET /", "HEAD /", "OPTIONS /", ""])
def test_the_health_check_of_haproxy_finds_sftdyn_well(check: str, client_of: ServeFixture, start: Start) -> None:
    served = client_of(NAME, trusted_proxies=["127.0.0.1"])
    through = start(HAPROXY, served.port(), ("option httpchk GET /", f"option httpchk {check}".rstrip()))
    assert haproxy_check(through.folder) == ("L7OK", "200")
    assert through.ask("/", "127.0.0.5") == "127.0.0.5"


def haproxy_check(folder: Path) -> tuple[str, str]:
    """What came of the first check of the server, and the HTTP status."""
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as asking, asking.makefile() as lines:
            asking.connect(str(folder / "stats"))
            asking.sendall(b"show stat\n")
            rows = list(csv.DictReader(lines))
        [server] = [row for row in rows if row["svname"] == "sftdyn"]
        if server["check_status"] and "INI" not in server["check_status"]:
            return server["check_status"], server["check_code"]
        time.sleep(0.01)
    raise AssertionError("HAProxy has not checked the server")


@pytest.mark.extra
def test_the_health_check_of_caddy_finds_sftdyn_well(client_of: ServeFixture, start: Start) -> None:
    served = client_of(NAME, trusted_proxies=["127.0.0.1"])
    upstream = f"reverse_proxy 127.0.0.1:{served.port()}"
    through = start(CADDY, served.port(), (upstream, f"{upstream} {{\n health_uri /\n health_interval 50ms\n }}"))
    seen = len(served.log)
    served.wait_for("ADDRESS", seen)
    assert through.ask(f"/{KEY}", "127.0.0.5") == "OK"


@pytest.mark.extra
@pytest.mark.parametrize("proxy", [NGINX, HAPROXY, CADDY, APACHE], ids=lambda proxy: proxy.name)
def test_five_thousand_requests_without_an_error(
    proxy: Proxy, client_of: ServeFixture, bind: Bind, start: Start
) -> None:
    """From several addresses at once, so that some change the name, and others find it right."""
    through = start(proxy, client_of(NAME, trusted_proxies=["127.0.0.1"], max_changes=0).port())
    many = ("--parallel", "--parallel-max", str(CONNECTIONS), "-o", os.devnull, "-w", "%{http_code} %{errormsg}\n")
    began = time.monotonic()
    callers = [
        subprocess.Popen(
            through.curl(f"/{KEY}?request=[1-{REQUESTS}]", f"127.0.0.{20 + number}", *many),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(CALLERS)
    ]
    said = [line.strip() for caller in callers for line in caller.communicate(timeout=300)[0].splitlines()]
    seconds = time.monotonic() - began
    print(f"{proxy.name:8} {len(said)} requests, {len(said) - said.count('200')} errors, {seconds:.1f} s")
    assert said == ["200"] * CALLERS * REQUESTS
    assert re.fullmatch("OK|UPTODATE", through.ask(f"/{KEY}", "127.0.0.5"))
    assert bind.lookup(NAME) == ["127.0.0.5"]
