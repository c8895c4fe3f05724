"""Where the key may be."""

import subprocess

import pytest

from sftdyn.conf.newkey import new_key
from tests.conftest import ServeFixture
from tests.doors.conftest import KEY, Ask
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import find_program


def test_the_key_as_a_password(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: "pw.dyn.example", "update2": "pw2.dyn.example"})
    assert get("/", KEY).text == "OK"
    assert get("/update", KEY).text == "UPTODATE"
    assert get("/update?ip=192.0.2.7&prefix=2001:db8::/64", KEY).text == "OK"
    assert get("/?ip=192.0.2.7", KEY).text == "UPTODATE"
    for path in ("/", "/update", "/?ip=192.0.2.8"):
        assert (get(path, "wrong").status, get(path, "wrong").text) == (403, "BADKEY")
    assert get("/").text == get("/", "").text == "127.0.0.1"
    assert get("/update").status == get("/update", "").status == 401
    assert get(f"/{KEY}", "wrong").text == "OK"  # credentials beside a secret URL are made up by routers


def test_a_client_whose_key_is_a_doors_path_wins(ask: Ask, bind: Bind) -> None:
    get = ask(clients={"nic/update": "path.dyn.example", "update": "path2.dyn.example", KEY: "x.dyn.example"})
    assert get("/nic/update", KEY).text == "OK"
    assert get("/nic/update?myip=192.0.2.7", KEY).text == "OK"
    assert bind.lookup("path.dyn.example") == ["192.0.2.7"]
    assert get("/update", KEY).text == "OK"
    assert bind.lookup("path2.dyn.example") == ["127.0.0.1"]
    assert get("/v2/update", KEY).text == "good 127.0.0.1"


def test_a_new_key_works_as_it_is_and_as_its_hash(ask: Ask, bind: Bind) -> None:
    lines = new_key("new.dyn.example").splitlines()
    key = lines[0].removeprefix("# key: ")
    assert len(bytes.fromhex(key)) == 16
    plain, hashed = (line.removeprefix("# ") for line in lines if "clients[" in line)
    assert key not in hashed
    get = ask(hashed + "\n")
    assert get(f"/{key}").text == "OK"
    assert get("/" + hashed.split('"')[1]).text == "BADKEY"
    assert ask(plain + "\n")(f"/{key}").text == "UPTODATE"
    assert lines[0] != new_key("new.dyn.example").splitlines()[0]


@pytest.mark.parametrize("path", ["/", "/update", "/update/"])
def test_the_key_as_a_parameter_or_a_user_name(ask: Ask, bind: Bind, path: str) -> None:
    get = ask(clients={KEY: "param.dyn.example"})
    for query in (f"token={KEY}", f"KEY={KEY}", f"password={KEY}", f"token=&key={KEY}"):
        assert get(f"{path}?zone=x&username=y&{query}&ipv4=192.0.2.7").text in ("OK", "UPTODATE"), query
    assert bind.lookup("param.dyn.example") == ["192.0.2.7"]
    assert get(f"{path}?token={KEY}&myip=192.0.2.8", "wrong").text == "OK"  # the parameter is looked at last
    assert get(f"{path}?token=wrong&key={KEY}").text == "BADKEY"  # only the first that is given
    assert get(f"{path}?ipv4=192.0.2.9", user=f"{KEY}:").text == "OK"
    assert get(f"{path}?user={KEY}").text == "BADKEY"


def test_a_user_name_that_is_nobodys_key_is_no_credentials(ask: Ask) -> None:
    get = ask(clients={KEY: "user.dyn.example"})
    assert (get("/", user="somebody:").status, get("/", user="somebody:").text) == (200, "127.0.0.1")
    for path in ("/update", "/nic/update"):
        challenge = get(path, user="somebody:")
        assert challenge.status == 401
        assert challenge.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_who_sends_a_password_only_when_asked_is_asked_at_update(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "asked.dyn.example"}))
    url = f"http://127.0.0.1:{served.port()}"
    wget = [find_program("wget", "wget"), "-qO-", "--user", "any", "--password", KEY, f"{url}/update?ip=192.0.2.7"]
    assert subprocess.run(wget, capture_output=True, text=True, timeout=20, check=True).stdout == "OK"
    curl = [find_program("curl", "curl"), "-sS", "--anyauth", "-u", f"any:{KEY}", f"{url}/update?ip=192.0.2.7"]
    assert subprocess.run(curl, capture_output=True, text=True, timeout=20, check=True).stdout == "UPTODATE"
    assert any("CHALLENGE from" in line for line in served.log)
    assert not any("BADKEY" in line for line in served.log)


def test_nas_guides(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: "nas.dyn.example"})
    target = f"/nic/update?hostname=nas.dyn.example&myip=192.0.2.7&username=any&password={KEY}"
    assert [get(target).text for _ in range(2)] == ["good 192.0.2.7", "nochg 192.0.2.7"]
    assert get("/nic/update/?hostname=nas.dyn.example&MyIP=192.0.2.8", KEY).text == "good 192.0.2.8"
    assert get(f"/?token={KEY}&zone=dyn.example&IPV4=192.0.2.9").text == "OK"
    assert bind.lookup("nas.dyn.example") == ["192.0.2.9"]


def test_what_browsers_ask_for_bans_nobody(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "browser.dyn.example", "robots.txt": "robots.dyn.example"}))
    for path in ("/favicon.ico", "/apple-touch-icon.png", "/apple-touch-icon-120x120-precomposed.png"):
        answer = served.get(path)
        assert (answer.status, answer.text) == (404, "")
    assert served.get("/robots.txt").text == "OK"  # a client's key is a key
    assert served.get("/favicon.icon").status == 403
    served.wait_for("BADKEY")
    assert len([line for line in served.log if "BADKEY" in line]) == 1


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_proxys_check_is_answered(serve: ServeFixture, bind: Bind, method: str) -> None:
    served = serve(conf(bind, clients={KEY: "check.dyn.example"}))
    answer = served.get("/", method=method)
    assert (answer.status, answer.text) == (200, "")
    assert served.get(f"/{KEY}", method=method).status == 405
    assert served.get("/nic/update", method=method).status == 405
    assert bind.lookup("check.dyn.example") == []


def test_another_method_at_dyndns2_is_a_bad_agent(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={KEY: "post.dyn.example"}))
    answer = served.get("/nic/update?hostname=post.dyn.example", method="POST")
    assert (answer.status, answer.text) == (405, "badagent")


def test_a_key_with_a_plus_or_a_blank_is_found_as_a_parameter(ask: Ask, bind: Bind) -> None:
    get = ask(clients={"ab+cd==0123456789": "plus.dyn.example", "ef gh 0123456789abc": "blank.dyn.example"})
    for sent in ("ab+cd==0123456789", "ab%2Bcd%3D%3D0123456789"):
        assert get(f"/update?myip=192.0.2.7&password={sent}").text in ("OK", "UPTODATE")
    for sent in ("ef+gh+0123456789abc", "ef%20gh%200123456789abc"):
        assert get(f"/update?myip=192.0.2.7&token={sent}").text in ("OK", "UPTODATE")
