"""Whose address is published, where the connection's may be another's."""

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.conftest import Ask
from tests.lab.bind import Bind
from tests.lab.conf import conf

FORWARDING = ["X-Forwarded-For", "Forwarded", "X-Real-IP"]


@pytest.mark.parametrize("header", FORWARDING)
def test_a_forgotten_line_publishes_nothing(serve: ServeFixture, bind: Bind, header: str) -> None:
    served = serve(conf(bind, clients={KEY: "forgotten.dyn.example"}))
    headers = {header: "203.0.113.9"}
    answer = served.get(f"/{KEY}", headers=headers)
    assert (answer.status, answer.text) == (400, "FAIL")
    served.wait_for(
        "FAIL forgotten.dyn.example from 127.0.0.1: a proxy on this machine passed the request on, and trusted_proxies"
    )
    assert bind.lookup("forgotten.dyn.example") == []
    assert served.get("/", headers=headers).status == 200
    assert served.get("/wrong", headers=headers).text == "BADKEY"
    assert served.get(f"/{KEY}?myip=192.0.2.7", headers=headers).text == "OK"
    assert served.get(f"/{KEY}?offline=YES", headers=headers).text == "OK"
    dyndns2 = served.get(f"/nic/update?key={KEY}", headers=headers)
    assert (dyndns2.status, dyndns2.text) == (200, "dnserr")
    assert bind.lookup("forgotten.dyn.example") == []


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": ""}, {"X-Forwarded-For": " , "}, {"X-Real-IP": "1.2.3.4"}])
def test_a_trusted_proxy_that_names_nobody_publishes_nothing(
    serve: ServeFixture, bind: Bind, headers: dict[str, str]
) -> None:
    served = serve(conf(bind, clients={KEY: "nobody.dyn.example"}, trusted_proxies=["127.0.0.1"]))
    assert served.get(f"/{KEY}", headers=headers).status == 400
    served.wait_for("trusted_proxies, names no client")
    assert served.get("/", headers=headers).status == 200
    assert bind.lookup("nobody.dyn.example") == []


def test_get_ip_decides_for_itself(serve: ServeFixture, bind: Bind) -> None:
    hook = "def get_ip(source_ip, headers, key):\n    return headers['X-Real-IP']\n"
    served = serve(conf(bind, hook, clients={KEY: "hookip.dyn.example"}))
    assert served.get(f"/{KEY}", headers={"X-Real-IP": "192.0.2.7"}).text == "OK"
    assert bind.lookup("hookip.dyn.example") == ["192.0.2.7"]


def test_this_machines_own_address_is_published_with_a_warning_once_an_hour(
    ask: Ask, serve: ServeFixture, bind: Bind
) -> None:
    served = serve(conf(bind, clients={KEY: "own.dyn.example"}))
    assert [served.update(KEY) for _ in range(3)] == ["OK", "UPTODATE", "UPTODATE"]
    assert len([line for line in served.log if "came from this machine itself" in line]) == 1


def test_the_bare_url_answers_also_where_get_ip_wants_a_header(serve: ServeFixture, bind: Bind) -> None:
    hook = "def get_ip(source_ip, headers, key):\n    return headers['X-Forwarded-For']\n"
    served = serve(conf(bind, hook, clients={KEY: "bare.dyn.example"}))
    assert (served.get("/").status, served.get("/").text) == (200, "127.0.0.1")
    assert served.get(f"/{KEY}").status == 500
