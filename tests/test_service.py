"""Reload, renewal, limits, abuse, systemd: what makes it a service that runs for years."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Bind, Served, ServeFixture, primary

from sftdyn.demo import free_port, make_certificate
from sftdyn.doors.quota import Quota
from sftdyn.providers.bind import nsupdate
from sftdyn.providers.bind.message import Verdict, verdict
from sftdyn.providers.bind.nsupdate import Child
from sftdyn.providers.bind.queue import BindPublisher
from sftdyn.values.outcome import Outcome
from sftdyn.values.specs import Primary
from sftdyn.values.update import RRset

ROOT = Path(__file__).parent.parent
HTTP = 'http = ["127.0.0.1:0", "[::1]:0"]\n'


# Reload


def test_a_reload_takes_everything_but_the_listeners(serve: ServeFixture, bind: Bind) -> None:
    conf = f'{primary(bind)}{HTTP}clients["old"] = "reload1.dyn.example"\n'
    served = serve(conf)
    path = served.folder / "conf0"
    assert served.update("old") == "OK"
    path.write_text(conf.replace('"old"', '"new"') + "ttl = 99\n")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("old") == "BADKEY"
    assert served.update("new", "127.0.0.2") == "OK"
    assert bind.ttl("reload1.dyn.example") == 99

    seen = len(served.log)
    path.write_text("htps = 1\n")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf stays as it was: ", seen)
    served.wait_for("did you mean https?", seen)
    assert served.update("new", "127.0.0.2") == "UPTODATE"

    path.write_text(conf.replace("127.0.0.1:0", "127.0.0.3:0"))
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("http and https have changed; this needs a restart", seen)
    served.wait_for("the conf is read again", seen)
    assert served.update("old", "127.0.0.2") == "UPTODATE"


def test_a_reload_to_another_name_server(serve: ServeFixture, bind: Bind, own_bind: Bind) -> None:
    served = serve(f'{primary(bind)}{HTTP}clients["k"] = "moved.dyn.example"\n')
    assert served.update("k") == "OK"
    (served.folder / "conf0").write_text(f'{primary(own_bind)}{HTTP}clients["k"] = "moved.dyn.example"\n')
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("k") == "OK"
    assert own_bind.lookup("moved.dyn.example") == ["127.0.0.1"]


def test_a_hundred_reloads_under_load_lose_no_request(serve: ServeFixture, bind: Bind) -> None:
    clients = "".join(f'clients["k{n}"] = "reload{n}.dyn.example"\n' for n in range(20))
    served = serve(f"{primary(bind)}{HTTP}trusted_proxies = ['127.0.0.1']\nmax_changes = 0\n{clients}")
    done = threading.Event()

    def keep_asking(n: int) -> set[str]:
        answers = set()
        for night in range(100_000):
            if done.is_set():
                break
            address = f"10.0.{night // 2 % 250}.{n + 1}"
            answers.add(served.get(f"/k{n}", headers={"X-Forwarded-For": address}).text)
        return answers

    with ThreadPoolExecutor(20) as pool:
        running = [pool.submit(keep_asking, n) for n in range(20)]
        for _ in range(100):
            seen = len(served.log)
            served.process.send_signal(signal.SIGHUP)
            served.wait_for("the conf is read again", seen)
        done.set()
        assert set().union(*(future.result() for future in running)) <= {"OK", "UPTODATE"}


def test_a_reload_while_hooks_run_loses_nothing(serve: ServeFixture, bind: Bind) -> None:
    conf = (
        f'{primary(bind)}{HTTP}import time\nclients["k"] = "hookreload.dyn.example"\n'
        "def get_ip(source_ip, headers, key):\n    time.sleep(1)\n    return source_ip\n"
    )
    served = serve(conf)
    with ThreadPoolExecutor(80) as pool:
        running = [pool.submit(served.update, "k") for _ in range(80)]
        time.sleep(0.5)  # they are in their hooks, and some wait for a thread
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("the conf is read again")
        assert {future.result() for future in running} <= {"OK", "UPTODATE"}


def test_a_reload_makes_no_quota_whole_again(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f'{primary(bind)}{HTTP}max_changes = 1\nclients["k"] = "quotareload.dyn.example"\n')
    assert served.update("k") == "OK"
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("k", "127.0.0.2") == "FAIL"


# The certificate is renewed


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
    served = serve(f'{primary(bind)}https = "127.0.0.1:0"\nkey = "{live}/server.key"\ncert = "{live}/server.crt"\n')
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


# Clients that fail


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch, serve: ServeFixture) -> Callable[[str], Served]:
    """sftdyn with 200 file descriptors."""
    python = sys.executable

    def start(conf: str) -> Served:
        monkeypatch.setattr(sys, "executable", "prlimit")
        monkeypatch.setattr(
            subprocess,
            "Popen",
            lambda command, _popen=subprocess.Popen, **options: _popen(
                ["prlimit", "--nofile=200:200", python, *command[1:]] if command[0] == "prlimit" else command, **options
            ),
        )
        return serve(conf)

    return start


def test_at_the_limit_who_waits_longest_goes(few_files: Callable[[str], Served], bind: Bind) -> None:
    served = few_files(f'{primary(bind)}{HTTP}clients["k"] = "limit.dyn.example"\n')
    idle = [socket.create_connection(("127.0.0.1", served.port()), timeout=10) for _ in range(160)]
    try:
        assert served.update("k") == "OK"
        assert idle[0].recv(1) == b""
        idle[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert idle[-1].recv(100).startswith(b"HTTP/1.1 200 OK")
    finally:
        for connection in idle:
            connection.close()
    assert served.update("k") == "UPTODATE"


def test_a_reply_is_read_whole_by_a_client_that_sends_on(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f"{primary(bind)}{HTTP}")
    body = b"x" * 3_000_000
    request = b"POST /k HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        connection.sendall(request + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 405 ")


def test_blank_lines_without_end_use_no_memory(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f"{primary(bind)}{HTTP}")
    before = served.resident()
    with socket.create_connection(("127.0.0.1", served.port()), timeout=10) as connection:
        for _ in range(300):
            connection.sendall(b"\r\n" * 50_000)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert served.resident() < before + 10_000  # KiB


def test_a_hook_that_blocks_for_ever_fails_in_time_and_does_not_hold_up_the_end(
    serve: ServeFixture, bind: Bind
) -> None:
    served = serve(
        f'{primary(bind)}{HTTP}timeout = 1\nimport time\nclients["k"] = "x.dyn.example"\n'
        "def get_ip(source_ip, headers, key):\n    time.sleep(60)\n"
    )
    assert served.get("/k").status == 500
    served.wait_for("get_ip took longer than 1 s")
    start = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("return next(iter(()))", "get_host raised StopIteration"),
        ("raise TimeoutError(querystring)", "get_host raised TimeoutError"),
        ("raise KeyboardInterrupt(querystring)", "get_host raised KeyboardInterrupt"),
    ],
)
def test_exceptions_that_mean_something_to_the_event_loop(
    serve: ServeFixture, bind: Bind, hook: str, reason: str
) -> None:
    served = serve(f"{primary(bind)}{HTTP}def get_host(querystring, ip):\n    {hook}\n")
    assert served.get("/verysecret").status == 500
    served.wait_for(f"conf0:4: {reason}" if "conf0" in reason else reason)
    assert served.get("/").status == 200
    assert not [line for line in served.log if "verysecret" in line]


def test_lines_from_a_slow_generator_delay_nobody(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        f'{primary(bind)}{HTTP}import time\nclients["slow"] = "gen.dyn.example"\n'
        "def nsupdatecommands(host, ip, headers):\n    time.sleep(1)\n    yield f'update delete {host} A'\n"
        "    time.sleep(1)\n    yield f'update add {host} 30 A {ip}'\n    yield 'send'\n"
    )
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(served.update, "slow")
        start = time.monotonic()
        while not slow.done():
            assert served.get("/").text == "127.0.0.1"
            assert time.monotonic() - start < 20
        assert slow.result() == "OK"
    assert bind.lookup("gen.dyn.example") == ["127.0.0.1"]


# Many, long and strange names


def test_long_names_do_not_make_a_message_too_large(serve: ServeFixture, bind: Bind) -> None:
    label = "x" * 59
    names = [f"n{n}{label[len(str(n)) :]}.{label}.{label}.dyn.example" for n in range(200)]
    clients = "".join(f'clients["k{n}"] = "{name}"\n' for n, name in enumerate(names))
    served = serve(f"{primary(bind)}{HTTP}{clients}")
    with ThreadPoolExecutor(200) as pool:
        for source in ("127.0.0.1", "127.0.0.2"):
            assert set(pool.map(lambda n: served.update(f"k{n}", source), range(200))) == {"OK"}


def test_a_zone_that_is_added_below_another_is_found(serve: ServeFixture, own_bind: Bind) -> None:
    served = serve(f'{primary(own_bind)}{HTTP}clients["k"] = "a.new.dyn.example"\n')
    assert served.update("k") == "OK"
    own_bind.edit("zone dyn.example", "update add new.dyn.example 60 NS ns.dyn.example")
    assert served.update("k") == "FAIL"  # a delegation to nobody
    own_bind.add_zone("new.dyn.example")
    assert served.update("k") == "OK"
    assert own_bind.lookup("a.new.dyn.example") == ["127.0.0.1"]


def test_a_zone_that_does_not_load_holds_up_no_other(serve: ServeFixture, own_bind: Bind) -> None:
    own_bind.stop()
    (own_bind.folder / "other.example.zone").write_text("rubbish\n")
    own_bind.start()
    clients = "".join(f'clients["k{n}"] = "h{n}.dyn.example"\n' for n in range(5))
    served = serve(f'{primary(own_bind)}{HTTP}clients["bad"] = "a.other.example"\n{clients}')
    with ThreadPoolExecutor(1) as pool:
        bad = pool.submit(served.update, "bad")
        start = time.monotonic()
        assert [served.update(f"k{n}") for n in range(5)] == ["OK"] * 5
        assert time.monotonic() - start < 5
        assert bad.result() == "FAIL"


# Late writes, where nothing answers for longer than nsupdate waits


def test_what_comes_late_is_mended(serve: ServeFixture, own_bind: Bind) -> None:
    """The old value is written behind sftdyn's back, as a delayed datagram would write it."""
    served = serve(
        f"{primary(own_bind)}{HTTP}trusted_proxies = ['127.0.0.1']\ntimeout = 4\nclients['k'] = 'h.dyn.example'\n"
    )

    def update(address: str) -> str:
        return served.get("/k", headers={"X-Forwarded-For": address}).text

    assert update("192.0.2.1") == "OK"
    own_bind.signal(signal.SIGSTOP)
    assert update("192.0.2.66") == "FAIL"
    own_bind.signal(signal.SIGCONT)
    start = time.monotonic()
    assert update("192.0.2.2") == "OK"
    assert time.monotonic() - start > 0.2  # looked at twice
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.2"]
    own_bind.edit("zone dyn.example", "update delete h.dyn.example A", "update add h.dyn.example 30 A 192.0.2.66")
    served.wait_for("an update that the name server applied late is mended")
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.2"]
    own_bind.edit("zone dyn.example", "update delete h.dyn.example A", "update add h.dyn.example 30 A 192.0.2.3")
    time.sleep(1.5)  # longer than it takes to look: somebody else's newer value stays
    assert own_bind.lookup("h.dyn.example") == ["192.0.2.3"]


# The room of the processes


def test_an_idle_child_is_woken_before_a_large_message(bind: Bind) -> None:
    large = "".join(f"prereq nxrrset idle{n}.dyn.example. TXT\n" for n in range(60))

    async def talk() -> list[Verdict]:
        child = Child(Primary("127.0.0.1", bind.port, bind.keyfile))
        verdicts = [verdict(await child.send("dyn.example.", large))]
        await asyncio.sleep(nsupdate.UDP_TIMEOUT + 0.5)
        verdicts.append(verdict(await child.send("dyn.example.", large)))
        await child.stop()
        return verdicts

    assert asyncio.run(talk()) == [Verdict.DONE] * 2


def test_large_messages_keep_their_distance(bind: Bind) -> None:
    large = "".join(f"prereq nxrrset far{n}.dyn.example. TXT\n" for n in range(30))

    async def talk() -> float:
        child = Child(Primary("127.0.0.1", bind.port, bind.keyfile))
        await child.send("dyn.example.", large)
        start = time.monotonic()
        for _ in range(300):
            await child.send("dyn.example.", large)
        await child.stop()
        return time.monotonic() - start

    assert asyncio.run(talk()) >= (300 * nsupdate.TCP_INTERVAL - nsupdate.TCP_BURST) * 0.95


def test_a_hung_child_is_ended(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsupdate, "STUCK", 0.5)

    async def talk() -> list[Verdict]:
        child = Child(Primary("127.0.0.1", bind.port, bind.keyfile))
        question = "prereq nxrrset hung.dyn.example. TXT\n"
        verdicts = [verdict(await child.send("dyn.example.", question))]
        assert child._process
        os.kill(child._process.pid, signal.SIGSTOP)
        verdicts.append(verdict(await child.send("dyn.example.", question)))
        verdicts.append(verdict(await child.send("dyn.example.", question)))
        await child.stop()
        return verdicts

    assert asyncio.run(talk()) == [Verdict.DONE, Verdict.UNKNOWN, Verdict.DONE]


def test_when_too_many_wait_the_newest_fail_at_once(
    bind: Bind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sftdyn.providers.bind.queue.WAITING", 10)

    async def pile_up() -> list[Outcome]:
        nobody = Primary("127.0.0.1", free_port(), bind.keyfile)
        publisher = BindPublisher(nobody, ["dyn.example."], timeout=1)
        futures = [publisher.publish([RRset(f"p{n}.dyn.example.", "A", ("192.0.2.7",), 30)]) for n in range(30)]
        results = await asyncio.gather(*futures)
        await publisher.close()
        return [result.outcome for result in results]

    assert asyncio.run(pile_up()) == [Outcome.TIMEOUT] * 10 + [Outcome.OVERLOADED] * 20
    assert len([record for record in caplog.records if "updates wait for the name server" in record.message]) == 1


# Abuse


def test_a_quota_is_per_client_and_hour_with_a_burst() -> None:
    quota = Quota(60)
    assert [quota.take("a", 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert quota.take("b", 0.0)
    assert quota.wait("a", 0.0) == 61
    assert not quota.take("a", 59.0)
    assert quota.take("a", 61.0)
    taken = sum(quota.take("c", minute * 60.0) for minute in range(61) for _ in range(20))
    assert taken <= 60 + 10
    quota.give_back("b")
    assert [quota.take("b", 61.0) for _ in range(11)] == [True] * 10 + [False]
    assert all(Quota(0).take("a", 0.0) for _ in range(1000))
    assert [Quota(3).take("a", 0.0), *(Quota(3).take("a", 0.0) for _ in range(2))] == [True] * 3


def test_who_changes_too_often_is_told_to_wait(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        f'{primary(bind)}{HTTP}max_changes = 3\nclients["k"] = "abuse.dyn.example"\nclients["l"] = "fair.dyn.example"\n'
    )
    assert [served.update("k", f"127.0.0.{n}") for n in (1, 2, 3)] == ["OK"] * 3
    refused = served.get("/k", source="127.0.0.4")
    assert (refused.status, refused.text) == (503, "FAIL")
    assert 1 <= int(refused.headers["Retry-After"]) <= 1201
    assert bind.lookup("abuse.dyn.example") == ["127.0.0.3"]
    assert [served.update("k", "127.0.0.3") for _ in range(5)] == ["UPTODATE"] * 5
    served.wait_for("FAIL abuse.dyn.example A 127.0.0.4 from 127.0.0.4: there is something to change, but")
    assert served.update("l") == "OK"
    token = "Basic YTpr"  # a:k
    door = served.get("/nic/update", source="127.0.0.4", headers={"Authorization": token})
    assert (door.status, door.text) == (200, "abuse")


def test_uptodate_costs_nothing(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f'{primary(bind)}{HTTP}max_changes = 2\nclients["k"] = "free.dyn.example"\n')
    assert served.update("k") == "OK"
    assert [served.update("k") for _ in range(20)] == ["UPTODATE"] * 20
    assert served.update("k", "127.0.0.2") == "OK"


def test_a_flood_of_wrong_keys_does_not_flood_the_log(serve: ServeFixture, bind: Bind) -> None:
    served = serve(f"{primary(bind)}{HTTP}")
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda n: served.update(f"guess{n}"), range(1000))) == {"BADKEY"}
    served.wait_for("BADKEY from 127.0.0.1")
    time.sleep(1.1)  # the next second says how many were left out
    served.update("guess")
    served.wait_for(" more lines like BADKEY were left out")
    assert len([line for line in served.log if "BADKEY" in line]) < 500


def test_fail2ban_matches_the_line(tmp_path: Path) -> None:
    if not shutil.which("fail2ban-regex"):
        pytest.fail("fail2ban is not installed: ./tests/run does it")
    lines = [
        "2026-01-02 03:04:05,678 BADKEY from 192.0.2.7",
        "2026-01-02 03:04:05,678 BADKEY from 2001:db8::7 via 127.0.0.1",
        "Jan 02 03:04:05 host sftdyn[123]: BADKEY from 192.0.2.8",
        "2026-01-02 03:04:05,678 OK home.dyn.example A 192.0.2.7 from 192.0.2.7",
        "2026-01-02 03:04:05,678 FAIL home.dyn.example A 192.0.2.7 from 192.0.2.7: BADKEY from 192.0.2.9",
        "2026-01-02 03:04:05,678 CHALLENGE from 192.0.2.7",
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")
    command = ["fail2ban-regex", "--print-all-matched", str(log), str(ROOT / "etc/fail2ban/filter.d/sftdyn.conf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Lines: 6 lines, 0 ignored, 3 matched, 3 missed" in result.stdout


# systemd


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        yield listener


def test_it_tells_systemd_how_it_is(
    serve: ServeFixture, bind: Bind, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    served = serve(f'{primary(bind)}{HTTP}clients["k"] = "status.dyn.example"\n')
    said: list[str] = []

    def wait_for(text: str) -> None:
        while not any(text in one for one in said):
            said.append(manager.recv(4096).decode())

    wait_for("READY=1\nSTATUS=1 clients, 0 updates, last failure: none")
    served.update("k")
    served.process.send_signal(signal.SIGHUP)
    wait_for("RELOADING=1\nMONOTONIC_USEC=")
    wait_for("READY=1\nSTATUS=1 clients, 1 updates, last failure: none")
    said.clear()
    for _ in range(3):
        wait_for("WATCHDOG=1")
        said.clear()
    served.process.terminate()
    wait_for("STOPPING=1")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socket_activation(bind: Bind, certificate: Path, tmp_path: Path, scheme: str) -> None:
    """systemd opens the port and starts sftdyn at the first connection; a restart refuses nobody."""
    conf = tmp_path / "conf"
    conf.write_text(
        f'{primary(bind)}http = 8080\nkey = "{certificate}/server.key"\ncert = "{certificate}/server.crt"\n'
        f'clients["k"] = "{scheme}.dyn.example"\n'
    )
    port = free_port()
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", f"--fdname=sftdyn-{scheme}", "-E", "PATH"]
    command += [sys.executable, "-m", "sftdyn", "-v", str(conf)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as activated:
        assert activated.stderr
        next(line for line in activated.stderr if "Listening on" in line)
        curl = ["curl", "-sS", "--cacert", f"{certificate}/server.crt", f"{scheme}://127.0.0.1:{port}/k"]
        first = subprocess.run(curl, capture_output=True, text=True, timeout=30, check=False)
        assert first.stdout in ("OK", "UPTODATE"), first.stderr
        assert any(re.search(f"listening on {scheme}://127.0.0.1:{port}", line) for line in activated.stderr)
        activated.terminate()


def test_a_restart_with_a_passed_socket_refuses_and_resets_nobody(bind: Bind, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text(f'{primary(bind)}http = 8080\nclients["k"] = "restart.dyn.example"\n')
    with socket.create_server(("127.0.0.1", 0), backlog=200) as passed:
        port = passed.getsockname()[1]
        script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = ["bash", "-c", script, "bash", sys.executable, "-m", "sftdyn", "-qq", str(conf)]
        done = threading.Event()

        def keep_asking(_: int) -> set[str]:
            answers = set()
            while not done.is_set():
                url = f"http://127.0.0.1:{port}/k"
                with urllib.request.urlopen(url, timeout=30) as response:
                    answers.add(response.read().decode())
            return answers

        with ThreadPoolExecutor(10) as pool:
            running = [pool.submit(keep_asking, n) for n in range(10)]
            for _ in range(5):
                with subprocess.Popen(command, cwd=ROOT, pass_fds=[passed.fileno()]) as process:
                    time.sleep(0.8)  # it serves for a while
                    process.terminate()
                assert process.returncode == 0
            done.set()
            with subprocess.Popen(command, cwd=ROOT, pass_fds=[passed.fileno()]) as process:
                assert set().union(*(future.result() for future in running)) <= {"OK", "UPTODATE"}
                process.terminate()


def test_two_instances_on_one_port(serve: ServeFixture, bind: Bind) -> None:
    port = free_port()
    conf = f'{primary(bind)}http = "127.0.0.1:{port}"\nreuse_port = True\nclients["k"] = "reuse.dyn.example"\n'
    first, second = serve(conf), serve(conf)
    assert [first.update("k") for _ in range(20)] == ["OK"] + ["UPTODATE"] * 19
    first.stop()
    assert second.update("k") == "UPTODATE"


def test_the_unit_is_hardened_and_systemd_has_nothing_to_say_of_it(tmp_path: Path) -> None:
    """In a root of its own, where the program that the unit names is there."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for name in ("sftdyn.service", "sftdyn.socket"):
        text = (ROOT / name).read_text().replace("/opt/sftdyn/bin/sftdyn", "/bin/true")
        (units / name).write_text(text)
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=12", str(units / "sftdyn.service")]
    security = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert security.returncode == 0, security.stdout[-300:]
    command = ["systemd-analyze", "verify", str(units / "sftdyn.service"), str(units / "sftdyn.socket")]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
