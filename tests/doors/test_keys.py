"""Where the key may be."""

from sftdyn.conf.newkey import new_key
from tests.doors.conftest import KEY, Ask
from tests.lab.bind import Bind


def test_the_key_as_a_password(ask: Ask, bind: Bind) -> None:
    get = ask(clients={KEY: "pw.dyn.example", "update2": "pw2.dyn.example"})
    assert get("/", KEY).text == "OK"
    assert get("/update", KEY).text == "UPTODATE"
    assert get("/update?ip=192.0.2.7&prefix=2001:db8::/64", KEY).text == "OK"
    assert get("/?ip=192.0.2.7", KEY).text == "UPTODATE"
    for path in ("/", "/update", "/?ip=192.0.2.8"):
        assert (get(path, "wrong").status, get(path, "wrong").text) == (403, "BADKEY")
    assert get("/").text == get("/", "").text == "127.0.0.1"
    assert get("/update").status == get("/update", "").status == 403
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
    lines = new_key("new.dyn.example", None).splitlines()
    key = lines[0].removeprefix("key: ")
    assert len(bytes.fromhex(key)) == 16
    plain, hashed = (line for line in lines if line.startswith("clients["))
    assert key not in hashed
    get = ask(hashed + "\n")
    assert get(f"/{key}").text == "OK"
    assert get("/" + hashed.split('"')[1]).text == "BADKEY"
    assert ask(plain + "\n")(f"/{key}").text == "UPTODATE"
    assert lines[0] != new_key("new.dyn.example", None).splitlines()[0]
