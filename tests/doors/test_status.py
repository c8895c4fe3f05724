"""The status listener: health, the widget and the metrics, and what they never tell."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port, wait_until
from tests.lab.process import Answer, Sftdyn

DOCS = ROOT / "docs/status.md"
TOKEN = "fedcba9876543210fedcba9876543210"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BASIC = {"Authorization": "Basic " + b64encode(f"anybody:{TOKEN}".encode()).decode()}
NAME = "status.dyn.example"
PROXY = {"trusted_proxies": ["127.0.0.1"]}


class Watched:
    """sftdyn with a status listener."""

    def __init__(self, serve: ServeFixture, bind: Bind | None, more: str = "", **settings: Any) -> None:
        self.port = free_port()
        said = {"status": self.port, "status_token": TOKEN, **PROXY, **settings}
        self.served: Sftdyn = serve(conf(bind, more, **said))

    def ask(self, path: str, headers: dict[str, str] = BEARER, method: str = "GET") -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, f"/{path}", headers=headers)
            reply = connection.getresponse()
            return Answer(reply.status, reply.read().decode(), reply.headers)
        finally:
            connection.close()

    def widget(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("widget").text)
        return found

    def metrics(self) -> dict[str, float]:
        lines = [line for line in self.ask("metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def update(self, address: str, key: str = KEY, program: str = "inadyn/2.9", target: str = "") -> str:
        headers = {"X-Forwarded-For": address, "User-Agent": program}
        return self.served.get(f"/{key}{target}", headers=headers).text


@pytest.fixture
def watched(serve: ServeFixture, bind: Bind) -> Watched:
    bind.edit("zone dyn.example", f"update delete {NAME}")
    return Watched(serve, bind, clients={KEY: NAME, KEY[::-1]: "refused.policy.example", "x" * 20: "quiet.dyn.example"})


def test_health_needs_no_token_and_all_else_does(watched: Watched) -> None:
    for path in ("livez", "readyz", "health"):
        assert (watched.ask(path, {}).status, watched.ask(path, {}).text) == (200, "ok\n")
    for path in ("", "widget", "metrics", "?q=home", "widget?page=1"):
        refused = watched.ask(path, {})
        assert (refused.status, refused.text) == (401, "BADKEY")
        assert refused.headers["WWW-Authenticate"] == 'Basic realm="sftdyn", charset="UTF-8"'
        assert [watched.ask(path, way).status for way in (BEARER, BASIC)] == [200, 200]
    assert watched.ask("nothing").status == watched.ask("favicon.ico", {}).status == 404


def test_a_wrong_token_is_logged_as_a_wrong_key_and_none_is_not(watched: Watched) -> None:
    assert watched.ask("", {}).status == 401
    watched.served.wait_for("CHALLENGE from 127.0.0.1")
    assert not [line for line in watched.served.log if "BADKEY" in line]
    wrong = b64encode(b"x:" + TOKEN[1:].encode()).decode()
    for headers in ({"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {wrong}"}):
        seen = len(watched.served.log)
        assert watched.ask("metrics", headers).status == 401
        watched.served.wait_for("BADKEY from 127.0.0.1", seen)
    assert TOKEN[1:] not in "\n".join(watched.served.log)


def test_without_a_token_in_the_conf_there_is_health_alone(serve: ServeFixture, bind: Bind) -> None:
    watched = Watched(serve, bind, status_token=None)
    assert watched.ask("health", {}).status == 200
    assert [watched.ask(path).status for path in ("", "widget", "metrics")] == [404] * 3


def test_a_token_may_be_a_hash_and_follows_a_reload(serve: ServeFixture, bind: Bind) -> None:
    digest = "sha256:" + sha256(TOKEN.encode()).hexdigest()
    watched = Watched(serve, bind, status_token=digest)
    assert watched.ask("metrics").status == 200
    assert watched.ask("metrics", {"Authorization": f"Bearer {digest}"}).status == 401
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text().replace(digest, "another-token-of-some-length"))
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("the conf is read again")
    assert watched.ask("metrics").status == 401
    assert watched.ask("metrics", {"Authorization": "Bearer another-token-of-some-length"}).status == 200


def test_only_get_and_head_and_nothing_for_other_sites(watched: Watched) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = watched.ask("", BEARER, method)
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
    head, whole = watched.ask("metrics", method="HEAD"), watched.ask("metrics")
    assert (head.status, head.text) == (200, "")
    assert whole.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for path, headers in (("", BEARER), ("widget", BEARER), ("metrics", BEARER), ("health", {}), ("", {}), ("x", {})):
        reply = watched.ask(path, headers)
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_garbage_gets_an_answer_and_the_next_one_too(watched: Watched) -> None:
    for octets in (
        b"\x16\x03\x01\n\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Basic \xff\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", watched.port), timeout=10) as connection:
            connection.sendall(octets)
            assert connection.recv(20)[9:10] == b"4"
    for query in ("page=x", "page=" + "9" * 5000, "page=-1", "page=0", "state=x", "q=%00%ff", "q=" + "a" * 5000):
        assert watched.ask(f"?{query}").status == 200


def test_the_listeners_of_the_routers_know_nothing_of_it(watched: Watched) -> None:
    for path in ("/livez", "/metrics", "/widget"):
        assert watched.served.get(path, headers=BEARER).status == 403


def test_the_widget_has_flat_keys_and_a_list(watched: Watched) -> None:
    before = watched.widget()
    assert (before["status"], before["host_count"], before["current_ip"]) == ("active", 3, "")
    assert before["last_check"] is before["last_update"] is None
    assert {entry["seen"] for entry in before["names"]} == {None}
    assert watched.update("198.51.100.7") == "OK"
    assert watched.update("198.51.100.7", target="?myip=2001:db8::7") == "OK"
    assert watched.update("198.51.100.7") == "UPTODATE"
    after = watched.widget()
    assert after["hosts"].split("\n") == [NAME, "quiet.dyn.example", "refused.policy.example"]
    assert (after["status"], after["current_ip"]) == ("active", "198.51.100.7")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", after["last_check"])
    four, six = [entry for entry in after["names"] if entry["name"] == NAME]
    assert (four["type"], four["address"], four["outcome"]) == ("A", "198.51.100.7", "UPTODATE")
    assert (six["type"], six["address"], six["outcome"]) == ("AAAA", "2001:db8::7", "OK")
    assert (four["failures"], four["reason"], four["program"], four["door"]) == (0, "", "inadyn/2.9", "url")
    assert four["changed"] <= four["seen"] == after["last_check"]


def test_a_removed_address_is_empty(watched: Watched) -> None:
    assert watched.update("198.51.100.7") == "OK"
    assert watched.update("198.51.100.7", target="?offline=YES") == "OK"
    entries = [entry for entry in watched.widget()["names"] if entry["name"] == NAME]
    assert [(entry["address"], entry["outcome"]) for entry in entries] == [("", "OK"), ("", "OK")]


def test_failures_are_counted_until_the_next_success_and_stand_first(watched: Watched) -> None:
    assert watched.update("198.51.100.7") == "OK"
    for _ in range(3):
        assert watched.update("198.51.100.8", KEY[::-1]) == "FAIL"
    seen = watched.widget()
    assert (seen["status"], seen["failing_count"], seen["names"][0]["name"]) == ("failing", 1, "refused.policy.example")
    assert (seen["names"][0]["failures"], seen["names"][0]["outcome"]) == (3, "REFUSED")
    assert "refuses this name" in seen["names"][0]["reason"]
    assert watched.update("198.51.100.7", target="?myip=224.0.0.1") == "FAIL"  # newer trouble, before there is a type
    seen = watched.widget()
    assert [entry["name"] for entry in seen["names"][:2]] == [NAME, NAME]
    assert {entry["type"]: entry["failures"] for entry in seen["names"][:2]} == {"A": 0, "": 1}
    assert watched.update("198.51.100.7") == "UPTODATE"
    assert [entry["type"] for entry in watched.widget()["names"] if entry["name"] == NAME] == ["A"]


def test_health_follows_what_sftdyn_publishes_by_itself(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    """A revoked token, or no address at all, and all that asks only whether the provider answers says that all is well."""
    told = tmp_path / "told"
    told.write_text("")
    own = f"own = [Client('healthy.dyn.example', address=lambda: open({str(told)!r}).read().split(), every=1)]\n"
    watched = Watched(serve, bind, own)
    watched.served.wait_for("FAIL healthy.dyn.example from own <lambda>: it gave no address")
    wait_until(lambda: watched.ask("health", {}).status == 503, "no address")
    assert watched.ask("health", {}).text == "an own name was not published at the last look\n"
    assert watched.ask("readyz", {}).status == watched.ask("livez", {}).status == 200
    asked = health_of(watched)
    assert (asked.returncode, asked.stderr) == (1, "an own name was not published at the last look\n")
    told.write_text("192.0.2.1")
    watched.served.wait_for("OK healthy.dyn.example A 192.0.2.1")
    wait_until(lambda: watched.ask("health", {}).status == 200, "the name has its address")
    assert health_of(watched).returncode == 0


def health_of(watched: Watched) -> subprocess.CompletedProcess[str]:
    """What a container's health check says."""
    conf = next(watched.served.folder.glob("conf*"))
    command = [sys.executable, "-m", "sftdyn", "--health", str(conf)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_health_follows_the_name_server(serve: ServeFixture, own_bind: Bind) -> None:
    watched = Watched(serve, own_bind, clients={KEY: "health.dyn.example"}, timeout=1)
    assert watched.update("198.51.100.7") == "OK"
    own_bind.kill()
    assert watched.update("198.51.100.8") == "FAIL"
    sick = watched.ask("health", {})
    assert (sick.status, sick.text) == (503, "no provider gave an answer to the last question\n")
    assert watched.ask("readyz", {}).status == 503
    assert watched.ask("livez", {}).status == 200
    assert watched.metrics()['sftdyn_provider_answers{provider="bind"}'] == 0
    own_bind.start()
    assert watched.update("198.51.100.8") == "OK"
    assert watched.ask("health", {}).status == watched.ask("readyz", {}).status == 200


def test_ready_as_long_as_one_provider_answers(serve: ServeFixture, bind: Bind) -> None:
    more = f"""
def broken(name, type, ttl, addresses, secret):
    raise OSError
clients["{KEY[::-1]}"] = Client("function.example", provider=broken)
"""
    watched = Watched(serve, bind, more, clients={KEY: NAME})
    assert watched.ask("health", {}).status == 200  # nobody was asked yet
    assert watched.update("198.51.100.7", KEY[::-1]) == "FAIL"
    assert watched.ask("health", {}).text == "a provider gave no answer to the last question\n"
    assert [watched.ask(path, {}).status for path in ("livez", "readyz", "health")] == [200, 200, 503]
    seen = watched.metrics()
    assert seen['sftdyn_provider_answers{provider="function"}'] == 0
    assert seen['sftdyn_provider_duration_seconds_count{provider="function"}'] == 1
    assert seen['sftdyn_provider_answers{provider="bind"}'] == 1


def test_the_metrics_count_what_happened(watched: Watched) -> None:
    watched.update("198.51.100.7")
    for _ in range(5):
        watched.update("198.51.100.7")
    watched.update("198.51.100.7", "nobody's")
    watched.update("198.51.100.7", KEY[::-1])
    seen = watched.metrics()
    answers = {name: value for name, value in seen.items() if name.startswith("sftdyn_answers_total")}
    assert {name[len("sftdyn_answers_total") :]: value for name, value in answers.items()} == {
        '{door="url",outcome="ok"}': 1,
        '{door="url",outcome="uptodate"}': 5,
        '{door="url",outcome="badkey"}': 1,
        '{door="url",outcome="refused"}': 1,
    }
    assert seen['sftdyn_request_duration_seconds_count{door="url"}'] == 8
    assert seen['sftdyn_request_duration_seconds_bucket{door="url",le="+Inf"}'] == 8
    assert 0 < seen['sftdyn_request_duration_seconds_sum{door="url"}'] < 60
    assert seen['sftdyn_batch_updates_count{provider="bind"}'] >= 7
    assert seen['sftdyn_updates_waiting{provider="bind"}'] == 0
    assert (seen['sftdyn_hosts{state="failing"}'], seen['sftdyn_hosts{state="unheard"}']) == (1, 1)
    assert time.time() - seen[f'sftdyn_host_seen_timestamp_seconds{{host="{NAME}"}}'] < 60
    assert seen['sftdyn_host_failures{host="refused.policy.example"}'] == 1


def test_nothing_shows_a_key_and_no_metric_an_address(watched: Watched) -> None:
    watched.update("198.51.100.7")
    watched.update("198.51.100.7", "a-key-that-nobody-has")
    shown = {path: watched.ask(path).text for path in ("", "widget", "metrics")}
    for text in (*shown.values(), *watched.served.log):
        assert not [secret for secret in (KEY, KEY[::-1], TOKEN, "a-key-that") if secret in text]
    assert "198.51.100" in shown[""]
    assert "198.51.100" not in shown["metrics"]


def test_the_page_is_complete_without_scripts_and_escapes_what_strangers_say(watched: Watched) -> None:
    watched.update("198.51.100.7", program="<script>alert(1)</script>\"'&\x07\xe9 and a very long tail")
    watched.update("198.51.100.9", KEY[::-1])
    page = watched.ask("").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == 1
    assert "\x07" not in page
    assert "1 of 3 host names fail" in page
    assert page.index("refused.policy.example") < page.index(NAME) < page.index("quiet.dyn.example")
    assert "refuses this name" in page
    assert re.search(r'<time datetime="20[^"]*Z" title="20[^"]* UTC">', page)
    assert not re.search(r'(?:src|href|action)="(?!\?|data:)', page)
    assert "https://" not in page
    assert "quiet" not in watched.ask("?q=refuse").text.partition("<tbody")[2]
    assert "Nothing matches “&lt;b&gt;”" in watched.ask("?q=<b>".replace("<b>", "%3Cb%3E")).text


def test_the_page_of_one_of_several_instances_says_so(serve: ServeFixture, bind: Bind) -> None:
    for reuse_port in (False, True):
        page = Watched(serve, bind, clients={KEY: NAME}, reuse_port=reuse_port).ask("").text
        assert ("this instance alone" in page) is reuse_port


def test_a_reload_forgets_names_that_the_conf_has_no_more(watched: Watched) -> None:
    watched.update("198.51.100.7")
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text().replace(NAME, "renamed.dyn.example"))
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("the conf is read again")
    assert watched.widget()["hosts"].split("\n")[1] == "refused.policy.example"
    assert NAME not in watched.ask("widget").text


def test_another_listener_needs_a_restart(watched: Watched) -> None:
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text().replace(f"status = {watched.port}", f"status = {free_port()}"))
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("status has changed; this needs a restart")
    assert watched.ask("livez", {}).status == 200


def test_ten_thousand_names_in_under_a_second_and_more_on_pages(serve: ServeFixture, bind: Bind) -> None:
    more = 'for number in range(12_000): clients[f"a secret key with a {number}"] = f"h{number}.dyn.example"\n'
    watched = Watched(serve, bind, more)
    took = []
    for _ in range(3):  # the machine may have other things to do
        begin = time.monotonic()
        page = watched.ask("?state=all").text
        took.append(time.monotonic() - begin)
    assert min(took) < 1
    assert page.count('<th scope="row">') == 10_000
    assert "Page 1 of 2" in page
    assert watched.ask("?state=all&page=2").text.count('<th scope="row">') == 2_000
    assert watched.ask("?q=h11999").text.count('<th scope="row">') == 1
    assert len(json.loads(watched.ask("widget?page=2").text)["names"]) == 2_000
    assert "sftdyn_host_seen" not in watched.ask("metrics").text


def test_a_large_page_reaches_a_slow_line_too(serve: ServeFixture, bind: Bind) -> None:
    """It takes longer than a client may keep us waiting, but some of it is always on its way."""
    more = """
long = ".".join(letter * 60 for letter in "xyz")
for number in range(10_000):
    clients[f"a secret key with a {number}"] = f"h{number}.{long}.example"
"""
    watched = Watched(serve, bind, more)
    length = int(watched.ask("widget", method="HEAD").headers["Content-Length"])
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.connect(("127.0.0.1", watched.port))
        slow.sendall(f"GET /widget HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        received = 0
        while some := slow.recv(1 << 16):
            received += len(some)
            time.sleep(5 * len(some) / length)  # five seconds in all
    assert received > length


def test_own_addresses_are_seen_like_those_of_routers(serve: ServeFixture, bind: Bind) -> None:
    bind.edit("zone dyn.example", "update delete own.dyn.example")
    more = """
own = [Client("own.dyn.example", address=lambda: "198.51.100.77")]
"""
    watched = Watched(serve, bind, more)
    watched.served.wait_for("OK own.dyn.example A 198.51.100.77")
    [entry] = watched.widget()["names"]
    assert (entry["address"], entry["outcome"], entry["door"]) == ("198.51.100.77", "OK", "own")
    assert time.time() - watched.metrics()["sftdyn_own_confirmed_timestamp_seconds"] < 60
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("UPTODATE own.dyn.example")
    assert watched.widget()["names"][0]["outcome"] == "UPTODATE"


def test_a_source_that_fails_does_not_make_its_address_older(serve: ServeFixture, bind: Bind) -> None:
    more = """
found = ["198.51.100.78"]
own = [Client("source.dyn.example", address=lambda: found.pop(), every=1)]
"""
    watched = Watched(serve, bind, more)
    watched.served.wait_for("FAIL source.dyn.example")
    confirmed = watched.metrics()["sftdyn_own_confirmed_timestamp_seconds"]
    assert time.time() - confirmed < 60


def test_a_name_that_moves_from_own_to_clients_has_no_age_any_more(serve: ServeFixture, bind: Bind) -> None:
    own = 'own = [Client("moved.dyn.example", address=lambda: "198.51.100.79")]\n'
    watched = Watched(serve, bind, own)
    watched.served.wait_for("OK moved.dyn.example")
    path = watched.served.folder / "conf0"
    path.write_text(path.read_text().replace(own, f'clients["{KEY}"] = "moved.dyn.example"\n'))
    watched.served.signal(signal.SIGHUP)
    watched.served.wait_for("the conf is read again")
    assert "sftdyn_own_confirmed_timestamp_seconds" not in watched.metrics()


@pytest.mark.extra
def test_prometheus_finds_nothing_to_say_of_the_metrics(watched: Watched) -> None:
    watched.update("198.51.100.7")
    watched.update("198.51.100.7", KEY[::-1])
    text = watched.ask("metrics").text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_docs_name_each_metric(watched: Watched) -> None:
    watched.update("198.51.100.7")
    named = set(re.findall(r"`(sftdyn_\w+)", DOCS.read_text()))
    found = set(re.findall(r"^# TYPE (\w+)", watched.ask("metrics").text, re.MULTILINE))
    assert named - found == {"sftdyn_certificate_end_timestamp_seconds", "sftdyn_own_confirmed_timestamp_seconds"}
    assert found - named == set()


@pytest.mark.extra
@pytest.mark.parametrize(("kind", "start"), [("config", "scrape_configs:")])
def test_prometheus_takes_the_lines_of_the_docs(tmp_path: Path, kind: str, start: str) -> None:
    [text] = [
        block for block in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL) if block.startswith(start)
    ]
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "lines").write_text(text.replace("/etc/prometheus/sftdyn.token", f"{tmp_path}/token"))
    subprocess.run(["promtool", "check", kind, str(tmp_path / "lines")], check=True, timeout=60)
