"""The door of dyndns2."""

from base64 import b64encode

from tests.conftest import ServeFixture
from tests.doors.conftest import KEY, Ask
from tests.lab.bind import Bind
from tests.lab.conf import conf


def test_dyndns2(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: ["one.dyn.example", "two.dyn.example"], "o" + KEY: "not.dyn.example"})

    def said(query: str, password: str | None = KEY) -> str:
        answer = get(f"/nic/update?{query}", password)
        assert answer.status == 200
        return answer.text

    for password in (None, "", "wrong"):
        answer = get("/nic/update?hostname=one.dyn.example", password)
        assert (answer.status, answer.text) == (401, "badauth")
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert said("hostname=one.dyn.example&myip=192.0.2.7") == "good 192.0.2.7"
    assert said("hostname=ONE.dyn.example.&myip=192.0.2.7") == "nochg 192.0.2.7"
    assert bind.lookup("two.dyn.example") == []
    assert said("hostname=one.dyn.example&myip=2001:db8::7,192.0.2.7") == "good 192.0.2.7,2001:db8::7"
    assert said("hostname=one.dyn.example,two.dyn.example&myip=192.0.2.7") == "nochg 192.0.2.7\ngood 192.0.2.7"
    assert said("hostname=two.dyn.example&hostname=not.dyn.example,short,a..b,one.dyn.example") == (
        "good 127.0.0.1\nnohost\nnotfqdn\nnotfqdn\ngood 127.0.0.1"
    )
    assert said("") == said("hostname=") == "nochg 127.0.0.1"
    assert said("hostname=one.dyn.example,nobodys.example&myip=nonsense") == "dnserr\nnohost"
    assert said("myip=224.0.0.1") == "dnserr"
    assert said("offline=YES&hostname=one.dyn.example") == "good"
    assert said("offline=YES&hostname=one.dyn.example") == "nochg"
    assert bind.lookup("one.dyn.example") == []
    assert bind.lookup("two.dyn.example") == ["127.0.0.1"]
    for path in ("/v2/update", "/v3/update", "//nic/update", "/%5c/nic/update"):
        assert get(f"{path}?hostname=two.dyn.example", KEY).text == "nochg 127.0.0.1"


def test_a_closed_door(ask: Ask) -> None:
    get = ask(clients={KEY: "closed.dyn.example"}, dyndns2=False)
    assert get("/nic/update?hostname=closed.dyn.example", KEY).status == 403


def test_many_hostnames_in_one_request_are_one_change(ask: Ask, bind: Bind) -> None:
    names = [f"many{n}.dyn.example" for n in range(12)]
    get = ask(clients={KEY: names}, max_changes=2)
    target = f"/nic/update?hostname={','.join(names)},{names[0]}&myip="
    assert get(target + "192.0.2.7", KEY).text == "\n".join(["good 192.0.2.7"] * 13)
    assert get(target + "192.0.2.7", KEY).text == "\n".join(["nochg 192.0.2.7"] * 13)
    assert get(target + "192.0.2.8", KEY).text.startswith("good")
    assert get(target + "192.0.2.9", KEY).text == "\n".join(["abuse"] * 13)
    assert get(target + "192.0.2.8", KEY).text.startswith("nochg")


def test_a_host_name_in_a_request_that_means_two_or_is_too_long_is_no_host_name(ask: Ask) -> None:
    get = ask(clients={KEY: "strasse.dyn.example"})
    for hostname in ("stra%C3%9Fe.dyn.example", "%E5%AD%97" * 1500 + ".dyn.example"):
        assert get(f"/nic/update?hostname={hostname}", KEY).text == "notfqdn"
    assert get("/nic/update?hostname=strasse.dyn.example", KEY).text.startswith("good ")


def test_more_host_names_than_a_client_can_have(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "many.dyn.example"}))
    names = ",".join(f"h{n}.dyn.example" for n in range(101))
    password = {"Authorization": "Basic " + b64encode(f"any:{KEY}".encode()).decode()}
    answer = served.get(f"/nic/update?hostname={names}", headers=password)
    assert (answer.status, answer.text) == (200, "numhost")
    assert served.get(f"/nic/update?hostname={names.rpartition(',')[0]}", headers=password).text == "\n".join(
        ["nohost"] * 100
    )


def test_one_request_writes_a_few_lines_at_most(serve: ServeFixture, bind: Bind) -> None:
    names = [f"line{n}.dyn.example" for n in range(100)]
    served = serve(conf(bind, clients={KEY: names}))
    password = {"Authorization": "Basic " + b64encode(f"any:{KEY}".encode()).decode()}
    before = len(served.log)
    answer = served.get(f"/nic/update?hostname={','.join(names)}", headers=password)
    assert answer.text == "\n".join(["good 127.0.0.1"] * 100)
    served.wait_for("OK 92 more host names from 127.0.0.1")
    assert len(served.log) - before < 12


def test_preserve_leaves_a_family_alone(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: "keep.dyn.example"})
    assert get(f"/{KEY}?myip=192.0.2.7&myipv6=2001:db8::7").text == "OK"
    assert get("/nic/update?myip=192.0.2.8&myipv6=preserve", KEY).text == "good 192.0.2.8"
    assert bind.lookup("keep.dyn.example", "AAAA") == ["2001:db8::7"]
    assert get("/nic/update?myip=192.0.2.9,nonsense", KEY).text == "dnserr"
    assert bind.lookup("keep.dyn.example") == ["192.0.2.8"]
