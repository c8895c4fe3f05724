"""Certificates by the same key: TXT values at a real BIND, by raw requests of each kind that clients send."""

import asyncio
import json
import re
import socket
from base64 import b64encode
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.conf.config import load
from sftdyn.doors.certificates import Certificates, Holder
from sftdyn.doors.challenges import Challenge, Stranger, Unreadable, checked_value, door_of, meant, read_challenge
from sftdyn.doors.keys import SECRET_URL
from sftdyn.doors.publishing import Visit
from sftdyn.providers.running import Providers
from sftdyn.values.outcome import Outcome
from sftdyn.web.peer import Caller
from sftdyn.web.request import Request
from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.cloudflare import Cloudflare
from tests.lab.conf import conf
from tests.lab.machine import ROOT, CannotRun, free_port
from tests.lab.process import Sftdyn, exchange

OTHER = "f" * 32
VISIT = Visit(
    Request("POST", b"present", "HTTP/1.1", b"\r\n"),
    Caller(ip_address("127.0.0.1"), "127.0.0.1"),
    lambda reply: None,
)
ONE, TWO = "-" + "a" * 42, "B_" + "9" * 41
HOME, FIRST, SECOND = (f"{name}.acme.dyn.example" for name in ("home", "one", "two"))
RAW = "token-1.thumb_print-2"
OF_RAW = "40lQJ0SUYzY__1VhKqbDsh5uOrWZgp2JpGO2wHuztOo"


def basic(key: str, user: str = "any") -> str:
    return "Authorization: Basic " + b64encode(f"{user}:{key}".encode()).decode()


def post(served: Sftdyn, path: str, body: object, *headers: str) -> tuple[int, str]:
    """Status and body of the answer to a POST; what is no text goes as JSON."""
    octets = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: dyn.example", f"Content-Length: {len(octets)}", *headers]
    answer = exchange(served, ("\r\n".join(lines) + "\r\n\r\n").encode() + octets)
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), text.decode()


def present(served: Sftdyn, name: str, value: str = ONE, key: str = KEY, path: str = "/present") -> tuple[int, str]:
    return post(served, path, {"fqdn": f"_acme-challenge.{name}.", "value": value}, basic(key))


def values(bind: Bind, name: str) -> list[str]:
    return bind.lookup(f"_acme-challenge.{name}", "TXT")


def quoted(*texts: str) -> list[str]:
    return sorted(f'"{text}"' for text in texts)


@pytest.fixture
def certified(serve: ServeFixture, bind: Bind) -> Sftdyn:
    """One client, whose key is good for its certificate, and a key that can do nothing else, for two names."""
    more = f'acme["{OTHER}"] = ["one.acme.dyn.example", "two.acme.dyn.example"]\n'
    names = ["home.acme", "one.acme", "two.acme"]
    bind.edit(
        "zone dyn.example",
        *(f"update delete _acme-challenge.{name}.dyn.example TXT" for name in names),
        "update delete home.acme.dyn.example A",
    )
    return serve(conf(bind, f'{more}clients["{KEY}"] = Client("home.acme.dyn.example", acme=True)\n'))


def test_lego_adds_two_values_at_a_name_and_removes_each(certified: Sftdyn, bind: Bind) -> None:
    for value in (ONE, TWO):
        body = json.dumps({"fqdn": f"_acme-challenge.{HOME}.", "value": value})
        headers = (basic(KEY), "Content-Type: application/json", "User-Agent: Go-http-client/1.1")
        assert post(certified, "/present", body, *headers) == (200, body)
    assert values(bind, HOME) == quoted(ONE, TWO)
    assert bind.ttl(f"_acme-challenge.{HOME}", "TXT") <= 60
    assert present(certified, HOME, ONE, path="/cleanup")[0] == 200
    assert values(bind, HOME) == quoted(TWO)
    assert present(certified, HOME, TWO, path="/cleanup")[0] == 200
    assert values(bind, HOME) == []
    assert bind.lookup(HOME) == []  # no address of any of it


def test_lego_in_raw_mode_gets_the_value_computed(certified: Sftdyn, bind: Bind) -> None:
    body = {"domain": HOME, "token": "token-1", "keyAuth": RAW}
    assert post(certified, "/present", body, basic(KEY)) == (200, json.dumps(body))
    assert values(bind, HOME) == quoted(OF_RAW)
    assert post(certified, "/cleanup", body, basic(KEY))[0] == 200
    assert values(bind, HOME) == []


def test_old_acmeproxy_clients_write_their_words_in_another_case(certified: Sftdyn, bind: Bind) -> None:
    body = {"FQDN": f"_acme-challenge.{FIRST}", "Value": ONE}
    assert post(certified, "/present", body, basic(OTHER)) == (200, json.dumps(body))
    assert values(bind, FIRST) == quoted(ONE)


@pytest.mark.parametrize("subdomain", [FIRST, "one", f"_acme-challenge.{FIRST}.", "ONE"])
def test_acme_dns_names_the_host_or_its_first_label(certified: Sftdyn, bind: Bind, subdomain: str) -> None:
    body = {"subdomain": subdomain, "txt": ONE}
    headers = (f"X-Api-Key: {OTHER}", "X-Api-User: whoever", "Content-Type: application/x-www-form-urlencoded")
    assert post(certified, "/update", body, *headers) == (200, json.dumps({"txt": ONE}))
    assert values(bind, FIRST) == quoted(ONE)


@pytest.mark.parametrize(
    ("body", "key", "status", "word"),
    [
        ({"subdomain": "one", "txt": ONE}, "wrong", 401, "forbidden"),
        ({"subdomain": "home", "txt": ONE}, OTHER, 401, "forbidden"),
        ({"subdomain": "deeper.one", "txt": ONE}, OTHER, 401, "forbidden"),
        ({"subdomain": f"x.{FIRST}", "txt": ONE}, OTHER, 401, "forbidden"),
        ({"txt": ONE}, OTHER, 400, "bad_subdomain"),
        ({"subdomain": 7, "txt": ONE}, OTHER, 400, "bad_subdomain"),
        ({"subdomain": "one", "txt": ONE + "a"}, OTHER, 400, "bad_txt"),
        ({"subdomain": "one", "txt": '"; update delete'}, OTHER, 400, "bad_txt"),
        ({"subdomain": "one"}, OTHER, 400, "bad_txt"),
        ("[]", OTHER, 400, "malformed_json_payload"),
        ("", OTHER, 400, "malformed_json_payload"),
        ("[" * 4096, OTHER, 400, "malformed_json_payload"),
        ('{"txt":' * 500, OTHER, 400, "malformed_json_payload"),
        ("9" * 4096, OTHER, 400, "malformed_json_payload"),
    ],
)
def test_acme_dns_hears_its_own_words_of_what_is_wrong(
    certified: Sftdyn, bind: Bind, body: object, key: str, status: int, word: str
) -> None:
    assert post(certified, "/update", body, f"X-Api-Key: {key}") == (status, json.dumps({"error": word}))
    assert values(bind, FIRST) == []


def paper() -> dict[str, list[str]]:
    """The table of answers in docs/certificates.md: case → what each of the three doors says."""
    table = (ROOT / "docs/certificates.md").read_text().partition("### Answers\n")[2].partition("\nA value")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines()[3:] if line]
    return {case: [*cells, "", "", ""][:3] for case, *cells in rows}


@pytest.mark.parametrize(
    ("case", "name", "label", "value", "key"),
    [
        ("the name server serves it; it is gone", FIRST, "one", ONE, OTHER),
        ("nobody's key", FIRST, "one", ONE, "wrong"),
        ("a name that is not the key's, a key that may have no certificates", HOME, "home", ONE, OTHER),
        ("a name that is not the key's, a key that may have no certificates", FIRST, "one", ONE, "addresses" * 2),
        ("which of the key's names?", "", "", ONE, OTHER),
        ("no value of a challenge", FIRST, "one", ONE[1:], OTHER),
        ("it could not be done, or not in time", "x.child.dyn.example", "x", ONE, "d" * 32),
    ],
)
def test_the_paper_s_table_of_answers_is_what_clients_get(
    serve: ServeFixture, bind: Bind, case: str, name: str, label: str, value: str, key: str
) -> None:
    clients = {KEY: HOME, "addresses" * 2: "addresses.acme.dyn.example"}
    more = f'acme["{OTHER}"] = ["{FIRST}", "{SECOND}"]\nacme["{"d" * 32}"] = "x.child.dyn.example"\n'
    served = serve(conf(bind, more, clients=clients))
    hostname = name and f"&hostname={name}"
    plain = served.get(f"/{key}?txt={value}{hostname}")
    answers = [
        post(served, "/present", {"fqdn": name and f"_acme-challenge.{name}.", "value": value}, basic(key)),
        post(served, "/update", {"subdomain": label, "txt": value}, f"X-Api-Key: {key}"),
        (plain.status, plain.text),
    ]
    for said, (status, text) in zip(paper()[case], answers, strict=True):
        assert said.startswith(str(status))
        word = json.loads(text).get("error", "") if text.startswith("{") else text
        assert word in said


def test_an_account_is_the_key(certified: Sftdyn) -> None:
    assert post(certified, "/register", "") == (403, '{"error": "forbidden"}')


def test_txt_beside_a_key_says_ok_and_clear_removes_it(certified: Sftdyn, bind: Bind) -> None:
    assert certified.get(f"/{KEY}?txt={ONE}&myip=192.0.2.9").text == "OK"
    assert values(bind, HOME) == quoted(ONE)
    assert certified.get(f"/update?domains=x&token={KEY}&txt={TWO}").text == "OK"
    assert values(bind, HOME) == quoted(ONE, TWO)
    for value in (ONE, TWO):
        assert certified.get(f"/{KEY}?txt={value}&clear=true").text in ("OK", "UPTODATE")
    assert values(bind, HOME) == []
    assert bind.lookup(HOME) == []
    form = f"hostname=_acme-challenge.{SECOND}&password={OTHER}&txt={ONE}"
    assert post(certified, "/update", form) == (200, "OK")
    assert values(bind, SECOND) == quoted(ONE)


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        (f"/wrong?txt={ONE}", 403, "BADKEY"),
        (f"/{OTHER}?txt={ONE}&hostname={HOME}", 403, "FAIL"),
        (f"/{OTHER}?txt={ONE}", 400, "FAIL"),
        (f"/{OTHER}?txt={ONE}&hostname={FIRST}&hostname={SECOND}", 400, "FAIL"),
        (f"/{OTHER}?txt={ONE}&hostname=*.{FIRST}", 403, "FAIL"),
        (f"/{KEY}?txt={ONE[1:]}", 400, "FAIL"),
        (f"/{KEY}?txt={ONE}%0A", 400, "FAIL"),
        (f"/{KEY}?clear=true", 400, "FAIL"),
        (f"/{OTHER}", 403, "FAIL"),
        (f"/{OTHER}?offline=YES&hostname={FIRST}", 403, "FAIL"),
        (f"/nic/update?password={KEY}&txt={ONE}", 405, "badagent"),
        (f"/nic/update?hostname={FIRST}&password={OTHER}", 405, "badagent"),
    ],
)
def test_what_is_wrong_changes_nothing(certified: Sftdyn, bind: Bind, target: str, status: int, text: str) -> None:
    before = bind.serial("dyn.example")
    answer = certified.get(target)
    assert (answer.status, answer.text) == (status, text)
    assert bind.serial("dyn.example") == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"fqdn": f"_acme-challenge.{FIRST}.", "value": ONE}, 403),
        ({"fqdn": f"_acme-challenge.x.{HOME}.", "value": ONE}, 403),
        ({"fqdn": f"_acme-challenge._acme-challenge.{HOME}.", "value": ONE}, 403),
        ({"fqdn": f"{HOME}.", "value": ONE}, 403),
        ({"fqdn": "\ud800" * 300, "value": ONE}, 403),
        ({"domain": f"*.{HOME}", "keyAuth": RAW}, 403),
        ({"fqdn": f"_acme-challenge.{HOME}.", "value": [ONE]}, 400),
        ({"fqdn": f"_acme-challenge.{HOME}.", "value": "é" * 43}, 400),
        ("not JSON", 400),
    ],
)
def test_lego_is_told_what_is_wrong_by_the_status(certified: Sftdyn, bind: Bind, body: object, status: int) -> None:
    before = bind.serial("dyn.example")
    assert post(certified, "/present", body, basic(KEY))[0] == status
    assert bind.serial("dyn.example") == before


def test_who_brings_no_key_is_asked_for_it(certified: Sftdyn) -> None:
    answer = exchange(certified, b"POST /present HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nWWW-Authenticate: Basic " in answer
    assert present(certified, HOME, key="wrong")[0] == 401
    certified.wait_for("CHALLENGE from 127.0.0.1")
    certified.wait_for("BADKEY from 127.0.0.1")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"411"),
        ("Content-Length: 4097\r\n\r\n", b"413"),
        ("\r\n", b"400"),
    ],
)
def test_bodies_are_bounded(certified: Sftdyn, head: str, status: bytes) -> None:
    octets = f"POST /present HTTP/1.1\r\n{basic(KEY)}\r\n{head}".encode()
    assert exchange(certified, octets).split()[1] == status


def test_a_body_that_does_not_come_is_not_waited_for_longer_than_a_head(certified: Sftdyn) -> None:
    with socket.create_connection(("127.0.0.1", certified.port()), timeout=15) as connection:
        connection.sendall(f"POST /present HTTP/1.1\r\n{basic(KEY)}\r\nContent-Length: 9\r\n\r\n{{".encode())
        assert connection.recv(1) == b""


def test_without_acme_nobody_reads_these_bodies(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "noacme.dyn.example"}))
    for path in ("/present", "/cleanup", "/register"):
        octets = f"POST {path} HTTP/1.1\r\n{basic(KEY)}\r\nContent-Length: 99\r\n\r\n".encode()
        assert exchange(served, octets).startswith(b"HTTP/1.1 405 ")
    assert post(served, "/update", f"token={KEY}", f"X-Api-Key: {KEY}") == (200, "OK")  # a form, as ever


def test_a_value_goes_when_sftdyn_ends(certified: Sftdyn, bind: Bind) -> None:
    assert present(certified, HOME)[0] == 200
    assert certified.stop() == 0
    assert values(bind, HOME) == []


def test_a_name_has_twenty_values_at_most_and_a_key_a_hundred_changes_an_hour(certified: Sftdyn, bind: Bind) -> None:
    def answer(n: int, name: str, path: str = "/present") -> int:
        return present(certified, name, f"{n:043d}", OTHER, path)[0]

    assert [answer(n, FIRST) for n in range(22)] == [200] * 20 + [503] * 2
    assert len(values(bind, FIRST)) == 20
    assert answer(0, FIRST) == 200  # the same again
    assert [answer(n, FIRST, "/cleanup") for n in range(20)] == [200] * 20  # costs nothing
    said = [status for n in range(90) for status in (answer(n, SECOND), answer(n, SECOND, "/cleanup"))]
    assert 79 <= said[::2].count(200) <= 82
    assert said[-2] == 503
    assert present(certified, HOME)[0] == 200  # another key's quota
    certified.wait_for(f"FAIL _acme-challenge.{SECOND} from 127.0.0.1: this key has changed challenges too often")


def test_keys_and_values_are_in_no_log_line(certified: Sftdyn) -> None:
    present(certified, HOME)
    present(certified, HOME, "x" * 43 + "y")
    post(certified, "/update", {"subdomain": "one", "txt": ONE}, f"X-Api-Key: {OTHER}")
    certified.get(f"/{OTHER}?txt={TWO}")
    certified.wait_for("FAIL")
    log = "\n".join(certified.log)
    assert [secret for secret in (KEY, OTHER, ONE, TWO) if secret in log] == []


def test_a_name_that_nobody_would_see_is_no_ok(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, f'acme["{KEY}"] = "x.child.dyn.example"\n'))
    assert present(served, "x.child.dyn.example")[0] == 500
    served.wait_for("FAIL _acme-challenge.x.child.dyn.example from 127.0.0.1: ")


@pytest.mark.parametrize("entry", ['"a.hook.dyn.example"', 'Client("a.hook.dyn.example", acme=True)'])
def test_the_setting_is_asked_beside_get_host(serve: ServeFixture, bind: Bind, entry: str) -> None:
    more = f"""
acme["{OTHER}"] = "b.hook.dyn.example"
def get_host(querystring, ip):
    assert querystring != "{OTHER}" or "txt" not in querystring
    return {entry} if querystring == "{KEY}" else None
"""
    served = serve(conf(bind, more))
    assert served.get(f"/{OTHER}?txt={ONE}").text == "OK"
    assert values(bind, "b.hook.dyn.example") == quoted(ONE)
    assert present(served, "a.hook.dyn.example")[0] == (200 if "acme" in entry else 403)
    assert served.get(f"/{OTHER}").text == "FAIL"
    assert served.get(f"/{KEY}").status == 200


def test_a_hashed_key_is_as_good(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, f'acme["sha256:{sha256(KEY.encode()).hexdigest()}"] = "hashed.acme.dyn.example"\n'))
    assert present(served, "hashed.acme.dyn.example")[0] == 200
    assert values(bind, "hashed.acme.dyn.example") == quoted(ONE)


def test_two_instances_do_not_disturb_each_other(serve: ServeFixture, bind: Bind) -> None:
    text = conf(bind, f'acme["{KEY}"] = "both.acme.dyn.example"\n')
    one, two = serve(text), serve(text)
    assert present(one, "both.acme.dyn.example", ONE)[0] == 200
    assert present(two, "both.acme.dyn.example", TWO)[0] == 200
    assert values(bind, "both.acme.dyn.example") == quoted(ONE, TWO)
    assert present(two, "both.acme.dyn.example", ONE, path="/cleanup")[0] == 200
    assert values(bind, "both.acme.dyn.example") == quoted(TWO)


def test_behind_one_port_one_instance_cleans_up_what_another_has_added(serve: ServeFixture, bind: Bind) -> None:
    name, port = "shared.acme.dyn.example", free_port()
    text = conf(bind, f'acme["{KEY}"] = "{name}"\n', http=f"127.0.0.1:{port}", reuse_port=True)
    pair = [serve(text), serve(text)]

    def answering(value: str, path: str) -> int:
        """Which of them the kernel has chosen."""
        before = [len(served.log) for served in pair]
        assert present(pair[0], name, value, path=path)[0] == 200
        return next(n for n, served in enumerate(pair) if _says(served, f"OK _acme-challenge.{name}", before[n]))

    for number in range(64):
        value = f"{number:043d}"
        added, removed = answering(value, "/present"), answering(value, "/cleanup")
        assert values(bind, name) == []
        if added != removed:
            return
    pytest.fail("the kernel has chosen the same one each time")


def _says(served: Sftdyn, text: str, since: int) -> bool:
    """Whether this instance answered: it logs before it answers, and what it prints comes soon."""
    try:
        served.wait_for(text, since, seconds=1)
    except CannotRun:
        return False
    return True


def test_a_restart_of_the_name_server_is_waited_for(own_bind: Bind, serve: ServeFixture) -> None:
    served = serve(conf(own_bind, f'acme["{KEY}"] = "away.dyn.example"\n', timeout=30))
    own_bind.stop()
    request = json.dumps({"fqdn": "_acme-challenge.away.dyn.example.", "value": ONE}).encode()
    with socket.create_connection(("127.0.0.1", served.port()), timeout=30) as connection:
        head = f"POST /present HTTP/1.1\r\n{basic(KEY)}\r\nContent-Length: {len(request)}\r\n\r\n"
        connection.sendall(head.encode() + request)
        own_bind.start()
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 200 ")
    assert values(own_bind, "away.dyn.example") == quoted(ONE)


def test_cloudflare_gets_the_content_in_quotes(serve: ServeFixture, cloudflare: Cloudflare, certificate: Path) -> None:
    token = cloudflare.add_token()
    provider = f'Cloudflare(url="{cloudflare.url}", ca="{certificate}/server.crt")'
    served = serve(conf(None, f'clients["{token}"] = Client("home.example.org", acme=True, provider={provider})\n'))
    assert present(served, "home.example.org", key=token)[0] == 200
    assert [r.content for r in cloudflare.records("_acme-challenge.home.example.org")] == quoted(ONE)
    assert present(served, "home.example.org", key=token, path="/cleanup")[0] == 200
    assert cloudflare.records("_acme-challenge.home.example.org") == []


MINE = """
def mine(name, type, ttl, addresses, secret):
    with open(LOG, "a") as log:
        print(name, type, *addresses, file=log)
    return "OK"
"""


def test_a_function_that_takes_txt_gets_all_values_of_a_name(serve: ServeFixture, tmp_path: Path) -> None:
    log = tmp_path / "log"
    more = f"""LOG = {str(log)!r}{MINE}mine.types = ("A", "AAAA", "TXT")
clients[{KEY!r}] = Client("f.dyn.example", provider=mine, acme=True)\n"""
    served = serve(conf(None, more))
    for value, path in ((ONE, "/present"), (TWO, "/present"), (ONE, "/cleanup"), (TWO, "/cleanup")):
        assert present(served, "f.dyn.example", value, path=path)[0] == 200
    name = "_acme-challenge.f.dyn.example TXT"
    assert log.read_text().splitlines() == [f"{name} {ONE}", f"{name} {ONE} {TWO}", f"{name} {TWO}", name]


@given(st.binary(max_size=200), st.sampled_from([b"present", b"cleanup", b"update"]))
def test_any_body_is_a_name_and_a_value_or_is_refused(body: bytes, path: bytes) -> None:
    request = Request("POST", path, "HTTP/1.1", b"X-Api-Key: k\r\n\r\n", body)
    try:
        spoken = door_of(request, path)
        name, value = meant(spoken.challenge, ["home.dyn.example."]), checked_value(spoken.challenge)
    except (Unreadable, Stranger):
        return
    assert name == "home.dyn.example."
    assert len(value) == 43


@given(st.lists(st.tuples(st.sampled_from(["txt", "clear", "hostname", "myip"]), st.text()), max_size=5))
def test_parameters_with_a_txt_are_never_about_addresses(parameters: list[tuple[str, str]]) -> None:
    challenge = read_challenge(parameters)
    assert (challenge is None) == all(
        name != "txt" and (name != "clear" or value.strip().lower() != "true") for name, value in parameters
    )


def test_what_its_client_forgets_goes_and_presented_again_the_time_begins_anew(bind: Bind, tmp_path: Path) -> None:
    """An hour in sftdyn, here a moment."""
    name = "forgotten.acme.dyn.example."
    path = tmp_path / "conf"
    path.write_text(conf(bind, f'acme["{KEY}"] = "{name}"\n'))
    config = load(path)
    permit = config.permits.find(KEY.encode())
    assert permit
    holder = Holder("who", permit, KEY)

    async def work() -> float:
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[Outcome] = asyncio.Queue()
        providers = Providers(config.provider, config.providers, config.timeout)
        certificates = Certificates(
            config, providers, lambda visit, door, parts: said.put_nowait(parts[0].whole.outcome), seconds=2
        )
        began = loop.time()
        for pause in (0.0, 1.2):
            loop.call_later(pause, certificates.take, VISIT, SECRET_URL, holder, Challenge(ONE))
            assert await said.get() is Outcome.OK
            assert values(bind, name) == quoted(ONE)
        while values(bind, name):  # noqa: ASYNC110 - a name server tells nobody
            await asyncio.sleep(0.05)
        took = loop.time() - began
        await certificates.close()
        await providers.close()
        return took

    assert asyncio.run(work()) > 3
