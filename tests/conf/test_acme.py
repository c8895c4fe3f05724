"""Which keys the conf makes good for certificates, what it says of them, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sftdyn.conf.check import describe, warnings
from sftdyn.conf.config import Config, load
from sftdyn.conf.program import ConfigError
from sftdyn.values.specs import Bind, Desec
from tests.lab.bind import Bind as Server
from tests.lab.conf import conf
from tests.test_command import run

KEY, OTHER = "a key that is long enough", "another one of that length"
MINIMAL = "http = '127.0.0.1:0'\nDESEC = Desec(token='t')\ndef mine(name, type, ttl, addresses, secret): return 'OK'\n"


def loaded(folder: Path, text: str) -> Config:
    path = folder / "conf"
    path.write_text(MINIMAL + text)
    path.chmod(0o600)
    return load(path)


def test_a_challenge_is_published_where_its_name_is(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f"""
clients["{KEY}"] = Client("a.example", provider=DESEC, lan={{"b.example": "::5"}})
clients["third key, also long"] = Client("c.example", provider=DESEC)
clients["fourth key, also long"] = Client("a.example")
acme["{KEY}"] = ["a.example", "B.example"]
acme["{OTHER}"] = ["c.example", "nobodys.example"]
""",
    )
    desec = Desec(token="t")
    assert config.permits.find(KEY.encode()) == {"a.example.": desec, "b.example.": desec}
    assert config.permits.find(OTHER.encode()) == {"c.example.": desec, "nobodys.example.": Bind()}
    assert set(config.providers) == {desec, Bind()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('acme["k"] = "*.a.example"', "acme: a key for a name is good for its wildcard, too; write the name without"),
        ('acme["k"] = []', "acme: a key is good for the certificates of 1 to 100 host names"),
        ('acme["k"] = "a_b.example"', 'acme: "a_b.example": a host name has letters'),
        ('acme[""] = "a.example"', "acme: the empty key would be everybody's"),
        ('acme["change-me"] = "a.example"', "acme: this is the sample's key"),
        ('clients["k"] = Client("*.a.example", acme=True)', "acme: a name has its wildcard's certificates, too"),
        ('clients["k"] = Client("a.example", acme=1)', "acme: write True or False"),
        ('own = [Client("a.example", address=Interface("lo"), acme=True)]', "acme: nobody calls for what"),
        ('provider = mine\nacme["k"] = "a.example"', "acme: certificates need TXT records, and the function mine"),
        ('zone = "b.example"\nacme["k"] = "a.example"', '"a.example": the host name is in none of the zones'),
        (
            'clients["k"] = Client("a.example", provider=DESEC)\nclients["l"] = "a.example"\nacme["m"] = "a.example"',
            'acme: clients with "a.example" have different providers',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["acme = 7", "acme = 'mine'", "acme = {1: 'a.example'}", "acme = {'a': None}"])
def test_an_old_confs_own_variable_counts_for_nothing(tmp_path: Path, text: str) -> None:
    config = loaded(tmp_path, text)
    assert not config.permits.are_possible
    assert any("acme: not a dict of texts" in doubt for doubt in config.doubts)


def test_a_function_can_say_that_it_takes_txt(tmp_path: Path) -> None:
    text = 'mine.types = ("A", "AAAA", "TXT")\nclients["k"] = Client("a.example", provider=mine, acme=True)\n'
    assert loaded(tmp_path, text).permits.are_possible


def test_the_check_says_what_such_keys_can_do(tmp_path: Path) -> None:
    more = f'acme["{OTHER}"] = "a.example"\nclients["{KEY}"] = Client("b.example", acme=True, prove=443)\n'
    config = loaded(tmp_path, f"http = 8080\n{more}")
    assert (
        "certificates: with a key for a.example, b.example, each with its wildcard (all names one label below)"
        in describe(config)
    )
    said = "\n".join(warnings(config))
    assert "acme: who has such a key can get the certificate that prove asks for: of b.example; use a key" in said
    assert "acme over plain HTTP: whoever sees the traffic can get certificates" in said


def test_the_check_says_what_the_name_server_has_to_allow(tmp_path: Path, bind_for_addresses: Server) -> None:
    path = tmp_path / "conf"
    path.write_text(conf(bind_for_addresses, f'acme["{OTHER}"] = "a.dyn.example"\n'))
    path.chmod(0o600)
    said = run("--check", "--online", str(path)).stdout
    assert "the key may not change _acme-challenge.a.dyn.example TXT" in said
    assert (
        "in update-policy, with the name of the key for KEY: grant KEY name _acme-challenge.a.dyn.example. TXT;" in said
    )


@pytest.fixture
def bind_for_addresses(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "bind"
    folder.mkdir()
    server = Server(folder, {"dyn.example": "update-policy { grant sftdyn-demo zonesub A AAAA; };"})
    server.start()
    yield server
    server.kill()
