"""Behind trusted proxies, and a real nginx."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import find_program, free_port
from tests.lab.process import Sftdyn


def test_a_trusted_proxy_tells_the_address(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "proxied.dyn.example"}, trusted_proxies=["127.0.0.1", "10.0.0.0/8"]))

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


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Start nginx in front of a server; its port."""
    running: list[subprocess.Popen[bytes]] = []

    def start(upstream: str) -> int:
        port = free_port()
        folder = tmp_path / f"nginx{len(running)}"
        folder.mkdir()
        temporary = "".join(
            f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; events {{}}\n"
            f"http {{ access_log off; {temporary}\n"
            f" server {{ listen 127.0.0.1:{port}; listen [::1]:{port};\n"
            f"  location / {{ proxy_pass http://{upstream};\n"
            "   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } } }\n"
        )
        command = [find_program("nginx", "nginx-light"), "-p", str(folder), "-c", str(folder / "conf")]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def through(port: int, path: str, source: str, *options: str) -> str:
    """What a client at `source` gets through a proxy, which may still be starting."""
    host = "[::1]" if ":" in source else "127.0.0.1"
    command = [*"curl -sS -g --retry 20 --retry-connrefused --retry-delay 0 --max-time 20 --interface".split(), source]
    command += [*options, f"http://{host}:{port}{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


def test_behind_nginx(client_of: Callable[..., Sftdyn], bind: Bind, nginx: Callable[[str], int]) -> None:
    served = client_of("nginx.dyn.example", trusted_proxies=["127.0.0.1"])
    port = nginx(f"127.0.0.1:{served.port()}")
    assert through(port, f"/{KEY}", "127.0.0.5") == "OK"
    assert bind.lookup("nginx.dyn.example") == ["127.0.0.5"]
    assert through(port, f"/{KEY}", "::1") == "OK"
    assert bind.lookup("nginx.dyn.example", "AAAA") == ["::1"]
    assert through(port, "/", "127.0.0.6") == "127.0.0.6"
    forged = ("-H", "X-Forwarded-For: 203.0.113.66")
    assert through(port, f"/{KEY}", "127.0.0.7", *forged) == "OK"  # nginx appends the true one
    assert bind.lookup("nginx.dyn.example") == ["127.0.0.7"]
    assert through(port, f"/{KEY}", "127.0.0.7", "-H", "X-Forwarded-For: rubbish, ,%") == "UPTODATE"
    assert through(served.port(), f"/{KEY}", "127.0.0.8", *forged) == "OK"  # who is no proxy speaks for itself
    assert bind.lookup("nginx.dyn.example") == ["127.0.0.8"]
    assert through(port, f"/{KEY}?myip=192.0.2.7", "127.0.0.5") == "OK"
    assert through(port, "/update?myip=192.0.2.7", "127.0.0.5", "-u", f"any:{KEY}") == "UPTODATE"


def test_behind_several_proxies(client_of: Callable[..., Sftdyn], bind: Bind, nginx: Callable[[str], int]) -> None:
    served = client_of("nginx.dyn.example", trusted_proxies=["127.0.0.1", "::1"])
    outer = nginx(f"127.0.0.1:{nginx(f'127.0.0.1:{served.port()}')}")
    assert through(outer, f"/{KEY}", "127.0.0.9") == "OK"
    assert bind.lookup("nginx.dyn.example") == ["127.0.0.9"]
