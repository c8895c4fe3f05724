"""The API behind a running sftdyn: what a client gets, and what the log says."""

import base64
import hashlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ServeFixture
from tests.doors.test_status import Watched
from tests.lab.api import error, silent, slow
from tests.lab.bind import Bind
from tests.lab.cloudflare import EDIT_DNS, READ_ZONE, Cloudflare, too_many
from tests.lab.conf import conf
from tests.lab.machine import ROOT
from tests.lab.process import Answer, Sftdyn
from tests.providers.bind.conftest import in_background
from tests.providers.cloudflare.conftest import HOME

LIST, BATCH, ZONES = "GET /zones/{}/dns_records", "POST /zones/{}/dns_records/batch", "GET /zones"
CLIENT = f'clients["k"] = Client({HOME!r})\n'


def written(api: Cloudflare, **said: object) -> str:
    """The provider as a conf has it."""
    arguments = {
        "url": api.url,
        "ca": str(api.ca),
        **{name: value for name, value in said.items() if value is not None},
    }
    return f"Cloudflare({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def sha256(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def served(serve: ServeFixture, cloudflare: Cloudflare) -> Callable[..., Sftdyn]:
    """Start sftdyn with this text below a conf that publishes through the API, with a token for everything, or None."""

    def start(more: str = CLIENT, bind: Bind | None = None, **said: object) -> Sftdyn:
        settings: dict[str, Any] = {name: said.pop(name) for name in ("timeout", "max_changes") if name in said}
        if not {"token", "token_file", "key"} & set(said):
            said["token"] = cloudflare.add_token()
        return serve(conf(bind, f"provider = {written(cloudflare, **said)}\n{more}", **settings))

    return start


def ask(server: Sftdyn, address: str, key: str = "k") -> str:
    return server.get(f"/{key}?ip={address}").text


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"user:{token}".encode()).decode()}


def test_a_client_publishes_at_cloudflare(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True)
    server = served()
    assert [ask(server, address) for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8")] == ["OK", "UPTODATE", "OK"]
    assert [(record.content, record.proxied) for record in cloudflare.records()] == [("192.0.2.8", True)]
    assert server.wait_for(f"OK {HOME} A 192.0.2.8 from 127.0.0.1")


def test_own_addresses_are_published_at_cloudflare(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare, tmp_path: Path
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1", proxied=True)
    (tmp_path / "address").write_text("192.0.2.7")
    source = f"lambda: open({str(tmp_path / 'address')!r}).read().split()"
    server = served(f"own = [Client({HOME!r}, address={source}, every=1)]\n")
    server.wait_for(f"OK {HOME} A 192.0.2.7 from own <lambda>")
    server.wait_for(f"UPTODATE {HOME} A 192.0.2.7 from own <lambda>")
    (tmp_path / "address").write_text("192.0.2.8")
    server.wait_for(f"OK {HOME} A 192.0.2.8 from own <lambda>")
    assert [(record.content, record.proxied) for record in cloudflare.records()] == [("192.0.2.8", True)]


def test_the_token_may_be_in_a_file(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    token = cloudflare.ca.parent / "token"
    token.write_text(cloudflare.add_token() + "\n")
    token.chmod(0o600)
    assert ask(served(token_file=str(token)), "192.0.2.7") == "OK"


def test_what_is_missing_is_made_and_removed_with_create_only(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare
) -> None:
    server = served()
    assert ask(server, "192.0.2.7") == "FAIL"
    server.wait_for("create=True")
    server = served(create=True)
    assert ask(server, "192.0.2.7") == "OK"
    assert server.get("/k?ip=192.0.2.7&offline=YES").text == "OK"
    assert not cloudflare.records()


def test_the_day_a_name_gets_ipv6_too_its_a_record_goes_on(serve: ServeFixture, cloudflare: Cloudflare) -> None:
    """Its owner has no AAAA record: that is said once, and nowhere is it shown as published."""
    cloudflare.add(HOME, "A", "192.0.2.1")
    watched = Watched(serve, None, f"provider = {written(cloudflare, token=cloudflare.add_token())}\n{CLIENT}")
    server = watched.served
    for number, word in ((7, "OK"), (7, "UPTODATE"), (8, "OK")):
        assert server.get(f"/k?ipv4=192.0.2.{number}&ipv6=2001:db8::{number}").text == word
    assert cloudflare.addresses(HOME) == ["192.0.2.8"]
    said = server.get("/nic/update?hostname=&myip=192.0.2.8,2001:db8::8", headers=basic("k")).text
    assert said == "nochg 192.0.2.8"
    server.wait_for(f"UPTODATE {HOME} A 192.0.2.8 from 127.0.0.1")
    assert len([line for line in server.log if "AAAA is left out" in line]) == 1
    assert not [line for line in server.log if "FAIL" in line or "AAAA 2001" in line]
    names = watched.widget()["names"]
    assert [(one["type"], one["address"], one["outcome"]) for one in names] == [("A", "192.0.2.8", "UPTODATE")]
    assert server.get("/k?ip=2001:db8::9").text == "FAIL"


def test_the_token_of_the_request_serves_router_and_hosts_behind_it(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare
) -> None:
    """Both shapes that guides for the FRITZ!Box use; neither conf nor log has the token."""
    token = cloudflare.add_token()
    names = ["home.example.org", "nas.example.org", "tv.example.org"]
    lan = {name: f"::{n}" for n, name in enumerate(names) if n}
    client = f"clients[{sha256(token)!r}] = Client({HOME!r}, lan={lan!r})\n"
    cloudflare.add(HOME, "A", "192.0.2.1")
    for name in names:
        cloudflare.add(name, "AAAA", "2001:db8:1::1")
    server = served(client, token=None)

    def by_url(number: int) -> Answer:
        return server.get(
            f"/?token={token}&zone=example.org&ipv4=192.0.2.{number}&ipv6=2001:db8:{number}::7&prefix=2001:db8:{number}::/64"
        )

    def by_basic(number: int) -> Answer:
        parameters = f"ipv4=192.0.2.{number}&ipv6=2001:db8:{number}::7&prefix=2001:db8:{number}::/64"
        return server.get(f"/update?{parameters}", headers=basic(token))

    for number, way in enumerate((by_url, by_basic), 7):
        assert [way(number).text for _ in range(2)] == ["OK", "UPTODATE"]
        assert cloudflare.addresses(HOME) == [f"192.0.2.{number}"]
        assert [cloudflare.addresses(name, "AAAA") for name in names] == [
            [f"2001:db8:{number}::{host}"] for host in (7, 1, 2)
        ]
    assert cloudflare.counts()[BATCH] == 2
    assert server.get("/update?ipv4=192.0.2.9", headers=basic(token + "x")).text == "BADKEY"
    assert token not in "\n".join(server.log)
    assert token not in (server.folder / "conf0").read_text()


def test_one_token_without_permission_fails_alone(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    tokens = [cloudflare.add_token(may=[READ_ZONE] if n == 2 else [READ_ZONE, EDIT_DNS]) for n in range(5)]
    names = [f"h{n}.example.org" for n in range(5)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    clients = "".join(f"clients[{sha256(t)!r}] = Client({n!r})\n" for t, n in zip(tokens, names, strict=True))
    server = served(clients, token=None)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda token: server.get(f"/?token={token}&ipv4=192.0.2.7").text, tokens))
    assert answers == ["OK", "OK", "FAIL", "OK", "OK"]
    assert "DNS Edit" in server.wait_for("FAIL h2.example.org")
    assert not [token for token in tokens if token in "\n".join(server.log)]


def test_a_token_that_is_revoked_fails_and_the_log_says_why(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    token = cloudflare.add_token()
    server = served(token=token)
    assert ask(server, "192.0.2.7") == "OK"
    cloudflare.revoke(token)
    assert ask(server, "192.0.2.8") == "FAIL"
    assert "403" in server.wait_for(f"FAIL {HOME}")
    assert token not in "\n".join(server.log)


def test_two_instances_at_once_make_one_record(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    both = [served(create=True, max_changes=0) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for n in range(10):
            answers = set(pool.map(lambda server: ask(server, f"192.0.2.{n}"), both))
            assert answers <= {"OK", "UPTODATE"}
            assert cloudflare.addresses(HOME) == [f"192.0.2.{n}"]


def test_hand_edits_are_put_right(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    record = cloudflare.add(HOME, "A", "192.0.2.1")
    server = served()
    assert ask(server, "192.0.2.7") == "OK"
    cloudflare.change(record, content="192.0.2.66")
    assert ask(server, "192.0.2.7") == "OK"
    cloudflare.add(HOME, "A", "192.0.2.67")
    assert ask(server, "192.0.2.7") == "OK"
    cloudflare.remove(cloudflare.records(HOME)[0].id)
    assert ask(server, "192.0.2.7") == "FAIL"  # no record to change any more
    assert not cloudflare.records(HOME)


def test_200_names_in_a_minute(served: Callable[..., Sftdyn], cloudflare: Cloudflare) -> None:
    """Within the budget of 1200 requests in five minutes, one after the other and at once."""
    names = [f"h{n}.example.org" for n in range(200)]
    for name in names:
        cloudflare.add(name, "A", "192.0.2.1")
    server = served("".join(f"clients['k{n}'] = Client({name!r})\n" for n, name in enumerate(names)))
    assert {ask(server, "192.0.2.7", f"k{n}") for n in range(200)} == {"OK"}
    apart = len(cloudflare.requests)
    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(lambda n: ask(server, "192.0.2.8", f"k{n}"), range(200))) == {"OK"}
    at_once = len(cloudflare.requests) - apart
    assert apart <= 405
    assert at_once < 100
    assert {record.content for record in cloudflare.records()} == {"192.0.2.8"}


@pytest.mark.parametrize("how", ["away", "silent", "slow", "limited", "failing"])
def test_cloudflare_in_trouble_does_not_delay_bind(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare, bind: Bind, how: str
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    at_bind = f'clients["b"] = Client("beside-{how}.dyn.example", provider=Bind())\n'
    server = served(CLIENT + at_bind, bind, timeout=2, max_changes=0)
    assert [ask(server, "192.0.2.1"), ask(server, "192.0.2.1", "b")] == ["UPTODATE", "OK"]

    def median() -> float:
        times = []
        for n in range(100):
            start = time.perf_counter()
            assert ask(server, f"192.0.2.{n}", "b") in ("OK", "UPTODATE")
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    alone = median()
    faults = {"silent": silent(), "slow": slow(5), "limited": too_many(60), "failing": error(502)}
    if how == "away":
        cloudflare.stop()
    else:
        cloudflare.fail(faults[how])
    with in_background(lambda: ask(server, "192.0.2.7")) as answers:
        beside = median()
    assert answers == ["FAIL"]
    assert beside < 3 * alone + 0.005
    if how == "away":
        cloudflare.start()


def test_a_reload_brings_a_new_token_while_a_write_is_slow(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    server = served()
    cloudflare.fail(slow(1, made=False), 1, "POST")
    with in_background(lambda: ask(server, "192.0.2.7")) as older:
        cloudflare.wait_for(lambda: cloudflare.counts()[BATCH])
        text = conf(None, f"provider = {written(cloudflare, token=cloudflare.add_token(), create=True)}\n{CLIENT}")
        (server.folder / "conf0").write_text(text)
        server.signal(signal.SIGHUP)
        server.wait_for("the conf is read again")
        with in_background(lambda: ask(server, "192.0.2.8")) as newer:
            pass
    assert (older, newer) == (["OK"], ["OK"])
    assert cloudflare.addresses(HOME) == ["192.0.2.8"]


def test_a_name_moves_from_bind_to_cloudflare_by_a_reload(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare, bind: Bind
) -> None:
    cloudflare.add_zone("dyn.example")
    server = served('clients["k"] = Client("moving.dyn.example", provider=Bind())\n', bind, create=True)
    assert ask(server, "192.0.2.7") == "OK"
    conf0 = server.folder / "conf0"
    conf0.write_text(conf0.read_text().replace(", provider=Bind()", ""))
    server.signal(signal.SIGHUP)
    server.wait_for("the conf is read again")
    assert ask(server, "192.0.2.8") == "OK"
    assert (bind.lookup("moving.dyn.example"), cloudflare.addresses("moving.dyn.example")) == (
        ["192.0.2.7"],
        ["192.0.2.8"],
    )


def test_what_the_end_of_sftdyn_finds_under_way_is_finished(
    served: Callable[..., Sftdyn], cloudflare: Cloudflare
) -> None:
    cloudflare.add(HOME, "A", "192.0.2.1")
    server = served()
    cloudflare.fail(slow(0.5, made=False), 1, "POST")
    with in_background(lambda: ask(server, "192.0.2.7")) as answers:
        cloudflare.wait_for(lambda: cloudflare.counts()[BATCH])
        assert server.stop() == 0
    assert answers == ["OK"]
    assert cloudflare.addresses(HOME) == ["192.0.2.7"]


def test_check_online_says_whether_the_token_sees_the_names(cloudflare: Cloudflare, tmp_path: Path) -> None:
    token = cloudflare.add_token([cloudflare.add_zone("example.net")])
    cloudflare.add("there.example.net", "A", "192.0.2.9")
    names = ["there.example.net", "missing.example.net", "home.example.org"]
    clients = {f"0123456789abcdef{n}": name for n, name in enumerate(names)}
    path = tmp_path / "conf"
    path.write_text(conf(None, f"provider = {written(cloudflare, token=token)}\n", clients=clients))
    command = [sys.executable, "-m", "sftdyn", "--check", "--online", str(path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 1, said.stderr
    problems = [line for line in said.stdout.splitlines() if line.startswith("problem: ")]
    unseen, missing = sorted(problems)
    assert "missing.example.net: it has no record of this type; make it by hand once, or set create=True" in missing
    assert "home.example.org: the API shows these credentials no zone with the name" in unseen
    assert "there.example.net" not in missing + unseen
    assert token not in said.stdout + said.stderr
