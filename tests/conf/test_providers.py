"""Providers in the conf: what may be written, what it means, and what is said to someone who got it wrong."""

from pathlib import Path

import pytest

from sftdyn.conf.config import Config, load
from sftdyn.conf.program import ConfigError
from sftdyn.values.specs import Bind, Cloudflare, Desec, Function, Primary, Spec

TOKEN = "a-token-0123456789-0123456789-0123456789"


@pytest.fixture
def path(tmp_path: Path, certificate: Path) -> Path:
    authority = (certificate / "server.crt").read_text()
    for name, content in (("ns.key", ""), ("ca.pem", authority), ("token", f"{TOKEN}\n"), ("empty", " \n")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "conf"


def loaded(path: Path, text: str) -> Config:
    path.write_text("http = 8080\n" + text)
    return load(path)


def provider_of(path: Path, written: str) -> Spec | None:
    client = loaded(path, f'clients["k"] = Client("a.example", provider={written})').keyring.find(b"k")
    assert client
    return client.provider


def test_bind_with_nothing_is_what_the_settings_say(path: Path) -> None:
    config = loaded(
        path, 'server = "192.0.2.1"\nnskeyfile = "ns.key"\nzone = "a.example"\nclients["k"] = "a.example"\n'
    )
    assert config.provider == Bind(Primary("192.0.2.1", 53, path.parent / "ns.key"), ("a.example.",))
    settings = 'server = "192.0.2.1"\nnskeyfile = "ns.key"\nprovider = Cloudflare(token="t")\n'
    config = loaded(path, settings + 'clients["k"] = Client("a.example", provider=Bind())')
    client = config.keyring.find(b"k")
    assert client
    assert client.provider == Bind(Primary("192.0.2.1", 53, path.parent / "ns.key"))
    assert config.provider == Cloudflare(token="t")


def test_files_are_relative_to_the_conf_and_read(path: Path) -> None:
    folder = path.parent
    there = provider_of(path, 'Bind(server="ns.example:5353", keyfile="ns.key", zone=["a.example", "b.example"])')
    assert there == Bind(Primary("ns.example", 5353, folder / "ns.key"), ("a.example.", "b.example."))
    cloudflare = provider_of(path, 'Cloudflare(token_file="token", zone="Bücher.example", create=True, ca="ca.pem")')
    assert isinstance(cloudflare, Cloudflare)
    assert (cloudflare.token, cloudflare.zone, cloudflare.ca) == (TOKEN, "xn--bcher-kva.example", folder / "ca.pem")
    assert not cloudflare.passes_secret
    assert TOKEN not in repr(cloudflare) + str(cloudflare)
    (folder / "token").write_text("another\n")
    renewed = provider_of(path, 'Cloudflare(token_file="token")')
    assert isinstance(renewed, Cloudflare)
    assert renewed.token == "another"


def test_desec_is_a_provider_with_the_clients_token_or_one_of_its_own(path: Path) -> None:
    own = provider_of(path, 'Desec(token_file="token", ca="ca.pem")')
    assert own == Desec(TOKEN, Path("token"), ca=path.parent / "ca.pem")
    assert TOKEN not in repr(own) + str(own)
    theirs = provider_of(path, "Desec()")
    assert isinstance(own, Desec)
    assert isinstance(theirs, Desec)
    assert (own.passes_secret, theirs.passes_secret) == (False, True)
    assert [theirs.takes(secret) for secret in ("a-token", "no token", "")] == [True, False, False]


def test_a_function_is_a_provider(path: Path) -> None:
    text = "def mine(name, type, ttl, addresses, secret): return 'OK'\nprovider = mine\n"
    config = loaded(path, text)
    assert isinstance(config.provider, Function)
    assert str(config.provider) == "the conf's function mine"


def test_names_are_held_against_the_zone_of_their_own_provider(path: Path) -> None:
    loaded(path, 'zone = "dyn.example"\nclients["k"] = Client("a.example", provider=Cloudflare(token="t"))')
    with pytest.raises(ConfigError, match="in none of the zones"):
        loaded(path, 'clients["k"] = Client("a.example", provider=Bind(zone="b.example"))')


def test_files_with_secrets_that_everybody_can_read_are_warned_of(path: Path) -> None:
    (path.parent / "token").chmod(0o644)
    config = loaded(path, 'clients["k"] = Client("a.example", provider=Cloudflare(token_file="token"))')
    assert [doubt for doubt in config.doubts if f"can read {path.parent / 'token'}" in doubt]


def test_what_is_almost_a_new_setting_may_be_an_old_confs_own_variable(path: Path) -> None:
    config = loaded(path, "providers = 7\n")
    assert config.doubts == (f"{path}:2: providers: there is no such setting; did you mean provider?",)


@pytest.mark.parametrize(
    ("written", "reply"),
    [
        ('Cloudflare("t")', 'Cloudflare: name what you give it, such as Cloudflare(token_file="cloudflare.token")'),
        ('Cloudflare(tokn="t")', "Cloudflare: tokn: there is no such setting; did you mean token?"),
        ('Cloudflare(token="")', "token: empty, or with characters that no header can hold"),
        ('Cloudflare(comment="a\\nb")', "comment: write a line of at most 500 characters"),
        ('Cloudflare(comment="")', "comment: write a line of at most 500 characters"),
        ("Cloudflare(token=None)", "token is None; where each request shall bring its own token, leave it out"),
        ('Cloudflare(token="a\\nb")', "token: empty, or with characters that no header can hold"),
        ('Cloudflare(token_file="empty")', "token_file: empty, or with characters"),
        ('Cloudflare(token_file="nowhere")', "token_file: cannot read the file: No such file or directory"),
        ('Cloudflare(token="a", token_file="token")', "more than one of token, token_file, key and key_file"),
        ('Cloudflare(key="a")', "the global key goes with the account's address"),
        ('Cloudflare(token="a", email="a@b.example")', "the global key goes with the account's address"),
        ('Cloudflare(token="a", create="yes")', "create: write True or False"),
        ('Cloudflare(token="a", proxied=1)', "proxied: write True or False"),
        ('Cloudflare(token="a", zone="..")', "zone: two dots in a row"),
        ('Cloudflare(token="a", url="http://api.example/v4")', "url: write the whole base of the API, with https"),
        ('Cloudflare(token="a", url="https://api.example/v4?x=1")', "url: write the whole base of the API"),
        ('Cloudflare(token="a", url="https://user@api.example")', "url: write the whole base of the API"),
        ('Cloudflare(token="a", url="https://api.example:99999")', "url: write the whole base of the API"),
        ('Cloudflare(token="a", url="https://api.example/v4?")', "url: write the whole base of the API"),
        ('Cloudflare(token="a", url="https://api.example/v4#")', "url: write the whole base of the API"),
        ('Cloudflare(token="a", ca="nowhere.pem")', "ca: cannot read the file"),
        ('Cloudflare(token="a", ca="empty")', "ca: no PEM file of certificates"),
        ('Bind("ns.example")', 'Bind: name what you give it, such as Bind(server="ns.example")'),
        ('Bind(server="ns.example")', 'another name server wants signed updates; add keyfile="ns.key"'),
        ('Bind(nskeyfile="ns.key")', "Bind: nskeyfile: there is no such setting; did you mean keyfile?"),
        ('Bind(keyfile="nowhere")', "keyfile: cannot read the file"),
        ('Desec("t")', 'Desec: name what you give it, such as Desec(token_file="desec.token")'),
        ('Desec(zone="a.example")', "Desec: zone: there is no such setting"),
        ("Desec(token=None)", "token is None; where each request shall bring its own token, leave it out"),
        ('Desec(token="a", token_file="token")', "more than one of token and token_file; keep one of them"),
        ('Desec(token="a", url="http://desec.io/api/v1")', "url: write the whole base of the API, with https"),
        ("Web", "the brackets are missing; write Bind() or Cloudflare() or Desec()"),
        ("Bind", "the brackets are missing; write Bind() or Cloudflare() or Desec()"),
        ("7", "write Bind(…), Cloudflare(…), Desec(…), or a function"),
    ],
)
def test_mistakes_are_answered(path: Path, written: str, reply: str) -> None:
    for line in (f'clients["k"] = Client("a.example", provider={written})', f"provider = {written}"):
        with pytest.raises(ConfigError) as error:
            loaded(path, line)
        assert reply in str(error.value)
        assert str(error.value).startswith(f"{path}:2: ")
