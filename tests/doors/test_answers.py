"""What clients make of an answer depends on its status: whose trouble it is, and when to come back."""

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port
from tests.lab.process import Answer, Sftdyn


def dyndns2(served: Sftdyn, query: str) -> Answer:
    return served.get(f"/nic/update?key={KEY}&{query}")


def test_a_name_server_that_is_away_is_911_with_503(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "home.dyn.example"}, server=f"127.0.0.1:{free_port()}", timeout=0.2))
    answer = dyndns2(served, "myip=192.0.2.7")
    assert (answer.status, answer.text, answer.headers["Retry-After"]) == (503, "911", "60")


@pytest.mark.parametrize("name", ["refused.policy.example", "home.nobodys.example", "alias.dyn.example"])
def test_what_the_owner_has_to_mend_is_dnserr_with_503_and_five_minutes(
    serve: ServeFixture, bind: Bind, name: str
) -> None:
    answer = dyndns2(serve(conf(bind, clients={KEY: name})), "myip=192.0.2.7")
    assert (answer.status, answer.text) == (503, "dnserr")
    assert int(answer.headers["Retry-After"]) >= 300


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("myip=224.0.0.1", "dnserr"),
        ("hostname=other.dyn.example", "nohost"),
        ("hostname=short", "notfqdn"),
        ("hostname=" + ",".join(f"h{n}.dyn.example" for n in range(101)), "numhost"),
    ],
)
def test_what_the_client_has_to_mend_is_200_and_the_log_names_it(
    serve: ServeFixture, bind: Bind, query: str, word: str
) -> None:
    served = serve(conf(bind, clients={KEY: ["mend.dyn.example", "mend2.dyn.example"]}))
    answer = dyndns2(served, query)
    assert (answer.status, answer.text) == (200, word)
    assert "Retry-After" not in answer.headers
    served.wait_for("FAIL mend.dyn.example")


def test_of_several_lines_one_that_is_503_makes_it_so_and_the_longest_wait_counts(
    serve: ServeFixture, bind: Bind
) -> None:
    names = ["fine.dyn.example", "refused.policy.example"]
    served = serve(conf(bind, clients={KEY: names}))
    answer = dyndns2(served, f"hostname={','.join([*names, 'other.dyn.example'])}")
    assert (answer.status, answer.text) == (503, "good 127.0.0.1\ndnserr\nnohost")
    assert answer.headers["Retry-After"] == "300"


@pytest.mark.parametrize(
    "query", ["txt=abc", "clear=true", "txt=abc&myip=192.0.2.7", "txt=x&offline=YES", "TXT=nonsense%00"]
)
def test_a_challenge_of_a_certificate_changes_no_address(serve: ServeFixture, bind: Bind, query: str) -> None:
    """As DuckDNS' hooks send it. It moved the name to the caller, with OK."""
    bind.edit("zone dyn.example", "update delete duck.dyn.example", "update add duck.dyn.example 60 A 192.0.2.1")
    served = serve(conf(bind, clients={KEY: "duck.dyn.example"}))
    refused = served.get(f"/{KEY}?{query}")
    assert (refused.status, refused.text) == (403, "FAIL")
    served.wait_for("FAIL duck.dyn.example from 127.0.0.1: txt and clear are about certificates")
    assert served.get(f"/update?key={KEY}&{query}").status == 403
    assert served.get(f"/wrong?{query}").text == "BADKEY"
    door = dyndns2(served, query)
    assert (door.status, door.text) == (405, "badagent")
    assert bind.lookup("duck.dyn.example") == ["192.0.2.1"]


def test_an_empty_txt_is_none_and_a_key_as_a_whole_stays_one(serve: ServeFixture, bind: Bind) -> None:
    key = f"{KEY}?txt=abc"
    served = serve(conf(bind, clients={KEY: "nottxt.dyn.example", key: "whole2.dyn.example"}))
    assert served.get(f"/{KEY}?txt=&clear=false").text == "OK"
    assert served.get(f"/{key}").text == "OK"
    assert bind.lookup("whole2.dyn.example") == ["127.0.0.1"]


def test_preserve_leaves_what_is_there_and_asks_whether_it_could_be(serve: ServeFixture, bind: Bind) -> None:
    bind.edit("zone dyn.example", "update delete kept.dyn.example", "update add kept.dyn.example 60 A 192.0.2.1")
    served = serve(conf(bind, clients={KEY: "kept.dyn.example", "n": "a.none.example"}), "-v")
    for target in ("?myipv4=preserve", "?myip=no", "?myip=preserve&myipv6=preserve"):
        assert served.get(f"/{KEY}{target}").text == "UPTODATE"
    served.wait_for("UPTODATE kept.dyn.example from 127.0.0.1")
    assert dyndns2(served, "myipv4=preserve").text == "nochg"
    assert dyndns2(served, "myip=192.0.2.1&myipv4=preserve").text == "nochg 192.0.2.1"
    assert bind.lookup("kept.dyn.example") == ["192.0.2.1"]
    assert (served.get("/n?myipv4=preserve").status, served.get("/n?myipv4=preserve").text) == (500, "FAIL")
    served.wait_for("FAIL a.none.example from 127.0.0.1: ")
    assert served.get("/nic/update?key=n&myip=no").text == "dnserr"


def test_what_leaves_all_as_it_is_costs_no_quota_and_is_no_change(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "leave.dyn.example"}, max_changes=1))
    assert served.update(KEY) == "OK"
    assert [served.get(f"/{KEY}?myipv4=preserve", source="127.0.0.9").text for _ in range(5)] == ["UPTODATE"] * 5
    assert bind.lookup("leave.dyn.example") == ["127.0.0.1"]


def test_delete_removes_one_family(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "half.dyn.example"}))
    assert served.get(f"/{KEY}?myip=192.0.2.7,2001:db8::7").text == "OK"
    assert dyndns2(served, "myipv4=192.0.2.8&myipv6=delete").text == "good 192.0.2.8"
    assert (bind.lookup("half.dyn.example"), bind.lookup("half.dyn.example", "AAAA")) == (["192.0.2.8"], [])
    assert served.get(f"/{KEY}?myip=delete&myipv6=preserve").text == "OK"
    assert bind.lookup("half.dyn.example") == []


def test_a_network_is_no_address(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "net.dyn.example"}))
    for network in ("2001:db8:1:100::/56", "192.0.2.0/24"):
        answer = served.get(f"/{KEY}?myip={network}")
        assert (answer.status, answer.text) == (400, "FAIL")
    assert bind.lookup("net.dyn.example") == bind.lookup("net.dyn.example", "AAAA") == []


def test_a_server_behind_the_router_has_its_ipv4_and_an_ipv6_of_its_own(serve: ServeFixture, bind: Bind) -> None:
    client = f'clients["{KEY}"] = Client("www.dyn.example", lan={{"www.dyn.example": "::5"}})\n'
    served = serve(conf(bind, client))
    query = "myip=192.0.2.7&myipv6=2001:db8:0:1::1&prefix=2001:db8:0:1::/64"
    assert dyndns2(served, query).text == "good 192.0.2.7,2001:db8:0:1::5"
    assert dyndns2(served, f"{query}&hostname=www.dyn.example").text == "nochg 192.0.2.7,2001:db8:0:1::5"
    assert bind.lookup("www.dyn.example", "AAAA") == ["2001:db8:0:1::5"]
    assert served.get(f"/{KEY}?offline=YES").text == "OK"
    assert bind.lookup("www.dyn.example") == bind.lookup("www.dyn.example", "AAAA") == []


def test_behind_proxies_alone_the_leftmost_of_them_called(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "inner.dyn.example"}, trusted_proxies=["127.0.0.0/8", "192.0.2.0/24"]))
    headers = {"X-Forwarded-For": "192.0.2.7, 192.0.2.8"}
    assert served.get(f"/{KEY}", headers=headers).text == "OK"
    assert bind.lookup("inner.dyn.example") == ["192.0.2.7"]


def test_a_proxy_that_names_nobody_is_refused_where_a_family_may_come_from_it(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "word.dyn.example"}, trusted_proxies=["127.0.0.1"]))
    assert served.get(f"/{KEY}?myipv6=preserve").status == 400
    assert dyndns2(served, "myip=delete&myipv6=preserve").text == "nochg"
    assert bind.lookup("word.dyn.example") == []


def test_a_name_that_is_not_the_clients_is_no_failure_of_the_client(serve: ServeFixture, bind: Bind) -> None:
    watched = Watched(serve, bind, clients={KEY: "wellknown.dyn.example"})
    assert watched.update("192.0.2.7") == "OK"
    assert dyndns2(watched.served, "hostname=other.dyn.example").text == "nohost"
    [row] = watched.widget()["names"]
    assert (row["name"], row["failures"]) == ("wellknown.dyn.example", 0)
