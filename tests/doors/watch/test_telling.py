"""Who is told: once, soon, of what matters, and never at a request's cost."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from sftdyn.conf.config import load
from sftdyn.doors.watch.clock import Clock
from sftdyn.doors.watch.courier import Courier, Undelivered
from sftdyn.doors.watch.delivery import Delivery
from sftdyn.doors.watch.events import DAY, Event, Kind, Told, about_name, about_provider, about_wrong_keys
from sftdyn.doors.watch.messages import compose
from sftdyn.doors.watch.seen import Row
from sftdyn.doors.watch.states import Expected
from sftdyn.doors.watch.telling import Telling
from sftdyn.doors.watch.watch import Watch
from sftdyn.doors.watch.wrongkeys import WrongKey, WrongKeys
from sftdyn.providers.running import Providers
from sftdyn.values.targets import Mail, Post, Tell, Wishes
from sftdyn.web.tls import Certificate
from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port

NAME = "home.dyn.example."
NOW = 1_000_000.0
AFTER = 600.0
HOURLY = Expected(names={NAME: 3600.0}, since={NAME: 0.0})


def row(seen: float, failing_since: float | None = None) -> Row:
    return Row(
        (NAME, "A"), seen, failures=failing_since is not None, first_failed=failing_since, failed=seen, reason="refused"
    )


def kinds(told: Told, rows: list[Row], now: float, is_away: bool = False) -> list[str]:
    return [event.kind for event in about_name(NAME, rows, HOURLY, told, now, AFTER, is_away)]


def test_a_failure_is_told_once_when_it_has_lasted_and_when_it_is_over() -> None:
    told = Told()
    assert kinds(told, [row(NOW, NOW)], NOW + 599) == []
    assert kinds(told, [row(NOW + 600, NOW)], NOW + 601) == ["failing"]
    assert kinds(told, [row(NOW + 700, NOW)], NOW + 700) == []
    assert kinds(told, [row(NOW + 800)], NOW + 800) == ["recovered"]
    assert kinds(told, [row(NOW + 900)], NOW + 900) == []
    assert kinds(Told(), [row(NOW, NOW)], NOW + 10) == []
    assert kinds(Told(), [row(NOW + 20)], NOW + 20) == []  # what was not told does not end, either


def test_silence_is_told_once_and_that_it_is_over() -> None:
    told = Told()
    assert [kinds(told, [row(NOW)], NOW + ago) for ago in (3500, 3700, 9000)] == [[], ["silent"], []]
    assert kinds(told, [row(NOW + 9100)], NOW + 9100) == ["heard"]


def test_a_name_whose_provider_is_away_is_not_told_singly() -> None:
    told, provider = Told(), Told()
    assert kinds(told, [row(NOW + 700, NOW)], NOW + 700, is_away=True) == []
    [away] = about_provider("ns.example", NOW, [NAME] * 3, provider, NOW + 700, AFTER)
    assert compose([away]).text.endswith("3 host names wait for it")
    assert list(about_provider("ns.example", NOW, [NAME], provider, NOW + 800, AFTER)) == []
    assert [event.kind for event in about_provider("ns.example", None, [], provider, NOW + 900, AFTER)] == ["back"]


def test_a_name_that_flaps_for_a_day_makes_a_handful_of_events() -> None:
    told, events = Told(), []
    for minute in range(24 * 60):
        now = NOW + 60 * minute
        began = NOW + 1800 * (minute // 30)  # it fails for twenty minutes of each half an hour
        events += kinds(told, [row(now, began if minute % 30 < 20 else None)], now)
    assert 2 <= len(events) <= 6
    later = NOW + 3 * DAY
    assert kinds(told, [row(later + 700, later)], later + 700) == ["failing"]  # and is told as ever after a quiet day


def test_one_message_is_about_all_and_says_nothing_that_could_be_a_command() -> None:
    flood = [Event(Kind.FAILING, (f"h{n}.example",), NOW, "bad\x1b[31m\r\nBcc: x") for n in range(3000)]
    message = compose([*flood, Event(Kind.HEARD, ("other.example",), NOW)], lost=7)
    assert message.subject == "sftdyn: 3,000 host names failing; other.example heard again"
    assert len(message.text) < 3000
    assert "and 2,980 more failing" in message.text
    assert "7 more events were lost" in message.text
    assert "\x1b" not in message.text
    assert "\r" not in message.text


class Delivered:
    """Whom a courier brings it to: refuses so often, then takes it."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.messages: list[tuple[list[Event], int]] = []
        self.news = asyncio.Event()

    async def __call__(self, events: list[Event], lost: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Undelivered("away")
        self.messages.append((events, lost))
        self.news.set()


@pytest.mark.parametrize("refusals", [0, 3])
def test_three_thousand_at_once_are_one_message_also_where_it_takes_some_tries(refusals: int) -> None:
    async def flood() -> Delivered:
        delivered = Delivered(refusals)
        courier = Courier(Tell(print), delivered, minute=0.02)
        for number in range(3000):
            courier.take(Event(Kind.FAILING, (f"h{number}.example",)))
        courier.take(Event(Kind.CHANGED, ("h.example",)))  # nobody has asked for these
        await asyncio.wait_for(delivered.news.wait(), 20)
        courier.close()
        return delivered

    [(events, lost)] = asyncio.run(flood()).messages
    assert (len(events), lost) == (3000, 0)


def test_what_is_beyond_the_bound_is_counted_and_told() -> None:
    async def flood() -> Delivered:
        delivered = Delivered()
        courier = Courier(Tell(print, Wishes(names=("*.club.example",))), delivered, minute=0.02)
        for number in range(10_500):
            courier.take(Event(Kind.FAILING, (f"h{number}.club.example",)))
            courier.take(Event(Kind.FAILING, (f"h{number}.other.example",)))
        await asyncio.wait_for(delivered.news.wait(), 20)
        courier.close()
        return delivered

    [(events, lost)] = asyncio.run(flood()).messages
    assert (len(events), lost) == (10_000, 500)


EVENT = Event(Kind.FAILING, ("home.dyn.example",), NOW, "refused „so“")


def deliver(target: Any) -> None:
    async def once() -> None:
        delivery = Delivery(target, Path("conf"))
        try:
            await delivery([EVENT], 0)
        finally:
            delivery.close()

    asyncio.run(once())


class Mailbox:
    """Where mail arrives."""

    def __init__(self, refuses: bool = False) -> None:
        self.letters: list[Any] = []
        self.refuses = refuses

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuses:
            return "554 no"
        self.letters.append((session.ssl is not None, envelope))
        return "250 OK"


@pytest.mark.parametrize("tls", [None, "starttls"])
def test_mail_arrives_in_clear_on_this_machine_and_with_starttls(tls: str | None, certificate: Path) -> None:
    box, port = Mailbox(), free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "server.crt", certificate / "server.key")
    server = Controller(box, "127.0.0.1", port, tls_context=context if tls else None, require_starttls=bool(tls))
    server.start()
    try:
        ca = certificate / "server.crt" if tls else None
        deliver(Mail(("me@example.org",), "localhost" if tls else "127.0.0.1", port, "dyn@example.org", tls, ca=ca))
        if tls:  # whose certificate nobody vouches for gets nothing
            with pytest.raises(Undelivered):
                deliver(Mail(("me@example.org",), "localhost", port, "dyn@example.org", tls))
    finally:
        server.stop()
    [(was_tls, envelope)] = box.letters
    assert was_tls is bool(tls)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("dyn@example.org", ["me@example.org"])
    assert b"Subject: sftdyn: home.dyn.example failing" in envelope.content


def test_a_mail_server_that_refuses_and_one_that_is_not_there_are_told_apart() -> None:
    port = free_port()
    server = Controller(Mailbox(refuses=True), "127.0.0.1", port)
    server.start()
    try:
        with pytest.raises(Undelivered, match=r"^SMTPDataError 554$"):
            deliver(Mail(("me@example.org",), "127.0.0.1", port, "dyn@example.org", None))
    finally:
        server.stop()
    with pytest.raises(Undelivered, match="Connection refused"):
        deliver(Mail(("me@example.org",), "127.0.0.1", port, "dyn@example.org", None))


class Web(ThreadingHTTPServer):
    """A web server that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], str]] = []
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            server: Web

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length).decode()
                self.server.got.append((self.command, self.path, dict(self.headers), body))
                self.send_response(self.server.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_post_has_its_fields_where_they_belong(web: Web) -> None:
    url = f"http://127.0.0.1:{web.server_port}"
    headers = (("Title", "{subject}"), ("Priority", "{priority}"))
    deliver(Post(f"{url}/sftdyn?about={{names}}", headers=headers))  # as ntfy wants it
    deliver(
        Post(f"{url}/message", json={"title": "{subject}", "message": "{text}", "priority": "{priority}"})
    )  # Gotify
    (_, path, got, body), (_, _, _, said) = web.got
    assert path == "/sftdyn?about=home.dyn.example"
    assert (got["Title"], got["Priority"]) == ("sftdyn: home.dyn.example failing", "4")
    assert body == "home.dyn.example: failing since 1970-01-12 13:46 UTC: refused „so“"
    assert json.loads(said) == {"title": "sftdyn: home.dyn.example failing", "message": body, "priority": 4}
    web.status = 403
    with pytest.raises(Undelivered, match="it answers 403"):
        deliver(Post(url))


def test_notify_test_says_of_each_what_came_of_it(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text(
        "http = 8080\nclients['a-key-of-some-length'] = 'home.dyn.example'\n"
        "def tell(event):\n    raise ValueError('secret')\n"
        f"notify = [Post('http://127.0.0.1:{web.server_port}/hidden-topic'), tell]\n"
    )
    command = [sys.executable, "-m", "sftdyn", "--notify-test", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == [
        f"FAIL the conf's function tell: {path}:4: notify raised ValueError",
        f"OK POST to 127.0.0.1:{web.server_port}",
    ]
    assert [path for _, path, _, _ in web.got] == ["/hidden-topic"]
    shown = repr(load(path).notify)
    assert "hidden-topic" not in shown


def test_check_says_who_is_told_without_their_secrets(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text(
        "http = 8080\nclients['a-key-of-some-length'] = 'home.dyn.example'\n"
        "notify = [Post('https://ntfy.example/hidden-topic'), Mail('me@example.org')]\n"
        "heartbeat = Ping('https://watcher.example/hidden-id')\n"
    )
    command = [sys.executable, "-m", "sftdyn", "--check", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    for line in ("POST to ntfy.example", "mail to me@example.org"):
        assert f"notify: {line}" in done.stdout
    assert "heartbeat: watcher.example, every 60 s" in done.stdout
    assert "hidden" not in done.stdout


def test_a_reload_that_first_needs_notes_says_that_it_needs_a_restart(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "home.dyn.example"}))
    path = served.folder / "conf0"
    path.write_text(path.read_text() + "expect = 3600\ndef tell(event): pass\nnotify = [tell]\n")
    served.signal(signal.SIGHUP)
    served.wait_for("needs notes of names is new; this needs a restart")


def test_on_change_is_called_for_each_change_and_the_heartbeat_beats(serve: ServeFixture, bind: Bind, web: Web) -> None:
    bind.edit("zone dyn.example", "update delete called.dyn.example")
    more = (
        "def on_change(name, type, old, new):\n    import pathlib\n"
        "    with pathlib.Path(__file__).with_name('changes').open('a') as file:\n"
        "        print(name, type, old, new, file=file)\n"
        "    raise ValueError('said so that the log has a line')\n"
        f"heartbeat = Ping('http://127.0.0.1:{web.server_port}/ping', every=1)\n"
    )
    served = serve(conf(bind, more, clients={"k": "called.dyn.example"}))
    for number, source in enumerate(("127.0.0.1", "127.0.0.2", "127.0.0.2"), 1):
        assert served.update("k", source) == ("OK" if number < 3 else "UPTODATE")
        served.wait_for("on_change raised ValueError")
    served.stop()
    assert (served.folder / "changes").read_text().splitlines() == [
        "called.dyn.example A () ('127.0.0.1',)",
        "called.dyn.example A ('127.0.0.1',) ('127.0.0.2',)",
    ]
    assert ("GET", "/ping") in {(method, path) for method, path, _, _ in web.got}


def test_three_wrong_keys_within_an_hour_are_told_once_a_day() -> None:
    """On 1.1 they were lines of the log."""
    told, keys = Told(), [WrongKey(NOW + 60 * one, "198.51.100.8", "FRITZ!Box") for one in range(4)]
    assert list(about_wrong_keys(NAME, keys[:2], told, NOW + 60)) == []
    [event] = about_wrong_keys(NAME, keys, told, NOW + 240)
    assert (event.kind, event.names) == ("badkey", ("home.dyn.example",))
    text = compose([event]).text
    assert "home.dyn.example: wrong keys since 1970-01-12" in text
    assert "last from 198.51.100.8 (FRITZ!Box)" in text
    assert list(about_wrong_keys(NAME, keys, told, NOW + 3000)) == []
    tomorrow = [WrongKey(NOW + DAY + 300 + one, "198.51.100.8", "") for one in range(3)]
    assert len(list(about_wrong_keys(NAME, tomorrow, told, NOW + DAY + 400))) == 1
    assert list(about_wrong_keys(NAME, keys, Told(), NOW + 2 * 3600)) == []


def test_wrong_keys_are_noted_for_names_of_the_conf_alone_and_ten_for_each() -> None:
    found = WrongKeys()
    found.is_known = {NAME, "b.dyn.example."}.__contains__
    for number in range(1000):
        query = b"myip=192.0.2.1&hostname=HOME.dyn.example,stranger.example,n%d.example" % number
        found.note(query, WrongKey(NOW + number, "198.51.100.8", ""))
    assert {name: len(its) for name, its in found.found(NOW + 999).items()} == {NAME: 10}
    assert found.found(NOW + 999 + DAY + 1) == {}


def test_a_certificate_that_should_have_been_renewed_is_told_once_and_once_when_it_has_ended(
    tmp_path: Path, certificate: Path
) -> None:
    """By the rule of --check --online: less than a third of a short life is left."""
    path = tmp_path / "conf"
    path.write_text(
        "https = 8443\nclients['a-key-of-some-length'] = 'home.dyn.example'\nstatus = 8053\ntold = []\n"
        f"cert, key = '{certificate}/server.crt', '{certificate}/server.key'\n"
        "notify = [told.append]\n"
    )

    async def tell() -> list[Event]:
        config = load(path)
        watch = Watch(config, Clock())
        telling = Telling(config, watch, Providers(config.provider, {}, config.timeout), minute=0.01)
        told: list[Event] = []
        telling.emit = told.append  # type: ignore[assignment, method-assign]
        now = int(time.time())
        for left in (6, 2, 2, -1, -1, 6):  # days, of nine; at last it was renewed
            telling.certificate = Certificate(now - 9 * 86400, now + left * 86400, ("dyn.example",))
            await telling.look()
        telling.close()
        return told

    soon, ended = asyncio.run(tell())
    assert (soon.kind, ended.kind) == ("certificate", "certificate")
    assert "ends in 2 days" in compose([soon]).text
    assert "has expired on" in compose([ended]).text
    assert compose([ended]).priority == 4


def test_a_function_for_changes_that_hangs_delays_no_other_name_and_is_said(serve: ServeFixture, bind: Bind) -> None:
    bind.edit("zone dyn.example", "update delete hangs.dyn.example", "update delete other.dyn.example")
    more = """
def on_change(name, type, old, new):
    import time
    while name.startswith("hangs"):
        time.sleep(0.1)
    raise ValueError("said so that the log has a line")
"""
    served = serve(conf(bind, more, clients={KEY: "hangs.dyn.example", KEY[::-1]: "other.dyn.example"}))
    for source in ("127.0.0.1", "127.0.0.2"):
        assert served.update(KEY, source) == "OK"
    assert served.update(KEY[::-1]) == "OK"
    served.wait_for("on_change raised ValueError")
    served.wait_for("on_change has not returned for hangs.dyn.example")
