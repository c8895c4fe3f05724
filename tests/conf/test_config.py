"""The conf: what it may say, and what is said to someone who got it wrong."""

import os
from pathlib import Path

import pytest

from sftdyn.conf.config import Config, load
from sftdyn.conf.program import ConfigError
from sftdyn.conf.settings import SETTINGS, Setting
from sftdyn.values.specs import Bind, Client, Primary
from tests.lab.machine import ROOT

DOCS = ROOT / "docs/conf.md"  # where the tables of settings and functions are


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for name in ("server.key", "server.crt", "sftdyn.key"):
        (tmp_path / name).write_text("")
    return tmp_path / "conf"


def loaded(path: Path, text: str, **options: object) -> Config:
    path.write_text(text)
    return load(path, options)


MINIMAL = "http = 8080\n"


def test_five_lines_are_enough(path: Path) -> None:
    config = loaded(path, 'http = "8080"\nclients["a secret key"] = "Home.dyn.example"\n')
    assert [str(listener) for listener in config.listeners] == ["http://*:8080"]
    assert config.keyring.find(b"a%20secret%20key") == Client(("home.dyn.example.",))
    assert config.provider == Bind(Primary(), ())
    assert (config.ttl, config.timeout) == (30, 10)


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("8080", ["http://*:8080"]),
        ('"8080"', ["http://*:8080"]),
        ('"192.0.2.1:80"', ["http://192.0.2.1:80"]),
        ('"[2001:db8::1]:80"', ["http://[2001:db8::1]:80"]),
        ('[8080, "127.0.0.1:81", "[::1]:81"]', ["http://*:8080", "http://127.0.0.1:81", "http://[::1]:81"]),
    ],
)
def test_listeners(path: Path, value: str, urls: list[str]) -> None:
    assert [str(listener) for listener in loaded(path, f"http = {value}").listeners] == urls


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ('"ns.example"', "ns.example", 53),
        ('"ns.example:5353"', "ns.example", 5353),
        ('"192.0.2.1"', "192.0.2.1", 53),
        ('"192.0.2.1:5353"', "192.0.2.1", 5353),
        ('"2001:db8::1"', "2001:db8::1", 53),
        ('"[2001:db8::1]"', "2001:db8::1", 53),
        ('"[2001:db8::1]:5353"', "2001:db8::1", 5353),
        ('"fe80::9%eth0"', "fe80::9%eth0", 53),
        ('"[fe80::9%eth0]"', "fe80::9%eth0", 53),
        ('"[fe80::9%br-lan.2]:5353"', "fe80::9%br-lan.2", 5353),
    ],
)
def test_another_primary(path: Path, value: str, host: str, port: int) -> None:
    config = loaded(path, f'{MINIMAL}server = {value}\nnskeyfile = "sftdyn.key"\n')
    assert config.provider == Bind(Primary(host, port, path.parent / "sftdyn.key"))


def test_several_primaries(path: Path) -> None:
    servers = '["ns.example", "192.0.2.1:5353", "ns.example:53"]'
    config = loaded(path, f'{MINIMAL}server = {servers}\nnskeyfile = "sftdyn.key"\n')
    assert isinstance(config.provider, Bind)
    assert config.provider.primary.servers == (("ns.example", 53), ("192.0.2.1", 5353))
    assert str(config.provider).startswith("ns.example port 53, 192.0.2.1 port 5353, key file ")


@pytest.mark.parametrize(
    "value",
    [
        '"192.0.2.1:0"',
        '"ns.example:0"',
        '["ns.example", "ns2.example:0"]',
        '"[fe80::9%eth0]:53]:1"',
        '"fe80::9%a b"',
        "[]",
    ],
)
def test_what_is_no_primary_is_refused(path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="server: "):
        loaded(path, f'{MINIMAL}server = {value}\nnskeyfile = "sftdyn.key"\n')


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ('"a.example"', ("a.example.",)),
        ('["a.example", "b.example", "A.example"]', ("a.example.", "b.example.")),
        ('Client("a.example", "*.example", ttl=5)', ("a.example.", "*.example.")),
        ('"bücher.example"', ("xn--bcher-kva.example.",)),
    ],
)
def test_what_a_key_stands_for(path: Path, entry: str, names: tuple[str, ...]) -> None:
    client = loaded(path, f'{MINIMAL}clients["k"] = {entry}').keyring.find(b"k")
    assert client
    assert client.names == names


def test_an_option_beats_the_conf(path: Path) -> None:
    assert [str(u) for u in loaded(path, MINIMAL, http=["127.0.0.1:1"]).listeners] == ["http://127.0.0.1:1"]


def test_clients_in_capital_letters(path: Path) -> None:
    assert loaded(path, MINIMAL + 'CLIENTS = {"k": "a.example"}').keyring.find(b"k")


def test_beside_get_host_clients_may_be_anything(path: Path) -> None:
    config = loaded(
        path, MINIMAL + 'CLIENTS = {1: ("not a", None), "": 7}\ndef get_host(querystring, ip): return None\n'
    )
    assert config.hooks.get_host


def test_the_confs_own_variables_are_its_own(path: Path) -> None:
    loaded(
        path, MINIMAL + "keys = {'a': 'a.example'}\nfor key_ in keys: clients[key_] = keys[key_]\n_htps = 1\nx = 2\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "nothing to listen on; add http = 8080"),
        ("http = \n", 1, "the conf is not valid Python"),
        ("x = 1\n\0", None, "null byte"),
        (MINIMAL + "x = s3cr3t\n", 2, "NameError: a name that is not defined; a text needs quotes"),
        (
            MINIMAL + "client['s3cr3t'] = 'a.example'\n",
            2,
            "NameError: a name that is not defined; did you mean clients?",
        ),
        (MINIMAL + "for line in ['k a', '']: key_, name = line.split()\n", 2, "skip the empty ones: if line.strip()"),
        (MINIMAL + "\n\nx = {}['s3cr3t']\n", 4, "the conf stopped with KeyError"),
        (MINIMAL + "raise SystemExit('s3cr3t')\n", 2, "the conf stopped with SystemExit"),
        (MINIMAL + "open('/no/such/s3cr3t')\n", 2, "FileNotFoundError: No such file or directory"),
        (MINIMAL + "htps = 4443\n", 2, "htps: there is no such setting; did you mean https?"),
        (MINIMAL + "Timeout = 4\n", 2, "did you mean timeout?"),
        (MINIMAL + "trusted_proxy: list = []\n", 2, "did you mean trusted_proxies?"),
        (MINIMAL + "def get_hosts(q, ip): return None\n", 2, "did you mean get_host?"),
        ("http = 's3cr3t'\n", 1, "http: a port is a number from 0 to 65535"),
        ("http = 65536\n", 1, "a port is a number"),
        ("http = True\n", 1, "write a port or an address with one"),
        ("http = 's3cr3t:80'\n", 1, "not an address; write IP:PORT"),
        ("http = '::1:80x'\n", 1, "a port is a number"),
        ("http = '2001:db8::1::80'\n", 1, "with the brackets"),
        ("https = 4443\n", 1, 'needs a certificate; add key = "server.key" and cert = "server.crt"'),
        (MINIMAL + 'cert = "server.crt"\n', 2, 'a certificate needs its private key; add key = "server.key"'),
        (MINIMAL + 'key = "server.key"\n', 2, 'a private key needs its certificate; add cert = "server.crt"'),
        (MINIMAL + 'nskeyfile = "s3cr3t"\n', 2, "nskeyfile: cannot read the file: No such file or directory"),
        (MINIMAL + "nskeyfile = 7\n", 2, "not a path"),
        (MINIMAL + 'server = "ns.example"\n', 2, "another name server wants signed updates; add nskeyfile ="),
        (MINIMAL + 'nskeyfile = "sftdyn.key"\nserver = "ns.s3cr3t_.example"\n', 3, "server: a host name has letters"),
        (MINIMAL + "ttl = -1\n", 2, "ttl: a TTL is a whole number of seconds from 0 to 2147483647"),
        (MINIMAL + "ttl = 2**31\n", 2, "a TTL is"),
        (MINIMAL + "ttl = '60'\n", 2, "a TTL is"),
        (MINIMAL + "timeout = 0\n", 2, "timeout: a number of seconds above 0, at most 3600"),
        (MINIMAL + "zone = 'dyn_.example'\n", 2, 'zone: "dyn_.example": a host name has letters'),
        (MINIMAL + "trusted_proxies = '10.0.0.1/8'\n", 2, "addresses or networks in a list"),
        (MINIMAL + "get_ip = 7\n", 2, "get_ip: not a function; write it with def"),
        (MINIMAL + "clients = []\nclients = ['s3cr3t']\n", 3, "clients: not a dict"),
        (MINIMAL + "clients['s3cr3t'] = 'dyn_.example'\n", 2, 'clients: "dyn_.example": a host name has letters'),
        (
            MINIMAL + "CLIENTS = {\n'other': 'a.example',\n's3cr3t': 'dyn_.example'}\n",
            4,
            'CLIENTS: "dyn_.example": a host name has',
        ),
        # Of keys that a file has, the line is the name's; where none has it, its name is all there is.
        (MINIMAL + "key = __file__ * 2\nclients[key] = 'dyn_.example'\n", 3, 'clients: "dyn_.example"'),
        (
            MINIMAL
            + "for line in ['s3cr3t-1 a.example', 's3cr3t-2 b_.example']:\n    key, name = line.split()\n    clients[key] = name\n",
            None,
            'clients: "b_.example": a host',
        ),
        (MINIMAL + "clients['dyn.example'] = 's3cr3t_.x'\n", 2, "clients: a host name has letters"),
        (MINIMAL + "clients['dyn'] = 's3cr3t_'\n", 2, "clients: a host name has letters"),
        (MINIMAL + "clients['s3cr3t'] = '192.0.2.1'\n", 2, "this is an address or a number; write the host's name"),
        (MINIMAL + "clients['s3cr3t'] = None\n", 2, 'not a host name; write it like "home.dyn.example"'),
        (MINIMAL + "clients['s3cr3t'] = []\n", 2, "a client needs a host name"),
        (MINIMAL + "clients['s3cr3t'] = ['a%d.example' % n for n in range(101)]\n", 2, "at most 100 names"),
        (MINIMAL + "clients['s3cr3t'] = Client('a.example', ttl=-1)\n", 2, "a TTL is a whole number"),
        (MINIMAL + "clients['s3cr3t'] = Client()\n", 2, "a client needs a host name"),
        (MINIMAL + "clients['s3cr3t'] = Client('a.example', lan=['b.example'])\n", 2, "lan: write {"),
        (MINIMAL + "clients['s3cr3t'] = Client('a.example', lan={'b.example': 'x'})\n", 2, "lan: write the part of"),
        (
            MINIMAL + "c = Client('a.example', lan={'B.example': '::5', 'b.example.': '::6'})\n",
            2,
            "lan: the same name twice",
        ),
        (MINIMAL + "clients['s3cr3t'] = Client('a.example', prefix_length=128)\n", 2, "prefix_length: a number"),
        (MINIMAL + "clients['s3cr3t'] = Client('a.example', networks=['x'])\n", 2, "addresses or networks in a list"),
        (MINIMAL + "addresses = 's3cr3t'\n", 2, 'addresses: write "connection"'),
        (MINIMAL + "dyndns2 = 'no'\n", 2, "dyndns2: write True or False"),
        ("http = 10**5000\n", 1, "a port is a number from 0 to 65535"),
        (MINIMAL + "max_changes = 10**400\n", 2, "a whole number of changes in an hour, at most 1000000"),
        (MINIMAL + "clients = dict(s3cr3t='a.example', s3cr3t='b.example')\n", 2, "keyword argument"),
        (MINIMAL + "dyndns2 = no\n", 2, "write True or False"),
        (MINIMAL + "c = Client('a.example', tll=60)\n", 2, "tll: there is no such setting; did you mean ttl?"),
        (
            MINIMAL + "c = Client('a.example', size=60)\n",
            2,
            "size: there is no such setting, only ttl, lan, prefix_len",
        ),
        (MINIMAL + "clients['change-me-s3cr3t'] = 'a.example'\n", 2, "the sample's key, which everybody knows; make"),
        (MINIMAL + "clients['s3cr3t'] = 'straße.example'\n", 2, "write xn--strae-oqa (IDNA 2008) or strasse (IDNA"),
        (MINIMAL + "clients[7] = 'a.example'\n", 2, "a key that is no text"),
        (MINIMAL + "clients['/'] = 'a.example'\n", 2, "the empty key would be everybody's"),
        (MINIMAL + "clients['sha256:s3cr3t'] = 'a.example'\n", 2, "64 hexadecimal digits"),
        (MINIMAL + "clients['\\ud800'] = 'a.example'\n", 2, "half a character"),
        (MINIMAL + "clients['a b'] = 'a.example'\nclients['/a%20b'] = 'b.example'\n", 3, "this key is written twice"),
        (MINIMAL + "clients['k'] = 'a.example'\nCLIENTS = {'l': 'a.example'}\n", 3, "keep all entries in one of them"),
        (MINIMAL + "zone = 'dyn.example'\nclients['k'] = 'a.example'\n", 3, '"a.example": the host name is in none'),
    ],
)
def test_errors_say_where_and_what_and_quote_no_value(path: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(path, text)
    said = str(error.value)
    assert said.startswith(f"{path}:{line}: " if line else f"{path}: "), said
    assert message in said
    assert "s3cr3t" not in said


def test_a_line_of_an_error_is_that_of_the_conf_as_it_is_read(path: Path) -> None:
    text = f"import pathlib\n{MINIMAL}pathlib.Path(__file__).unlink()\nttl = -1\n"
    with pytest.raises(ConfigError, match="ttl: a TTL is") as error:
        loaded(path, text)  # a file that is gone has no lines
    assert str(error.value).startswith(f"{path}: ")


def test_an_option_that_cannot_work_names_the_option(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--http: a port is a number"):
        loaded(path, MINIMAL, http=["x"])


def test_no_conf() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the conf: No such file or directory; write one \(docs/setup"):
        load(Path("/no/such/conf"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_conf_that_may_not_be_read(path: Path) -> None:
    path.write_text(MINIMAL)
    path.chmod(0)
    with pytest.raises(ConfigError, match="as root put sudo in front"):
        load(path)


# The docs


def test_the_docs_example_of_many_clients_works(path: Path) -> None:
    [example] = [part for part in DOCS.read_text().split("```python\n") if part.startswith("with open(")]
    (path.parent / "clients").write_text("".join(f"secret-{n} h{n}.dyn.example\n" for n in range(100)))
    program = example.partition("```")[0].replace("/etc/sftdyn/clients", str(path.parent / "clients"))
    assert loaded(path, MINIMAL + program).keyring.find(b"secret-7") == Client(("h7.dyn.example.",))


def table(heading: str) -> list[tuple[str, ...]]:
    """The cells of the docs' table whose first column has this heading."""
    lines = DOCS.read_text().partition(f"\n| {heading} |")[2].splitlines()[2:]
    rows = lines[: lines.index("")]
    return [tuple(cell.replace("\\|", "|") for cell in row.strip("| ").split(" | ")) for row in rows]


def shown_default(setting: Setting) -> str:
    if setting.default is None:
        return setting.without
    written = repr(setting.default).replace("'", '"')
    return written if written.isdigit() else f"`{written}`"


def test_the_docs_table_of_settings_says_what_the_settings_say() -> None:
    rows: dict[tuple[str, str], list[str]] = {}
    for setting in SETTINGS.values():
        if setting.meaning and not setting.arguments:
            rows.setdefault((shown_default(setting), setting.meaning), []).append(f"`{setting.name}`")
    assert table("setting") == [(", ".join(names), *rest) for rest, names in rows.items()]


def test_the_docs_table_of_functions_says_what_the_settings_say() -> None:
    functions = [setting for setting in SETTINGS.values() if setting.arguments]
    assert table("function") == [(f"`{one.name}({one.arguments})`", one.meaning) for one in functions]


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("8053", ["http://127.0.0.1:8053"]),
        ('["8053", "192.0.2.1:80"]', ["http://127.0.0.1:8053", "http://192.0.2.1:80"]),
        ('"[::]:8053"', ["http://[::]:8053"]),
    ],
)
def test_a_bare_status_port_is_for_this_machine(path: Path, value: str, urls: list[str]) -> None:
    assert [str(listener) for listener in loaded(path, f"{MINIMAL}status = {value}").status] == urls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status = 8080\n", "status: 8080 is the port of http or https, which routers reach; choose another"),
        ('status = "192.0.2.1:8080"\n', "status: 8080 is the port of http"),
        ("status = True\n", "status: write a port or an address with one"),
        ("status_token = 5\n", "status_token: not a text; make one with: openssl rand -hex 16"),
        ('status_token = ""\n', "status_token: not a text"),
        ('status_token = "change-me"\n', "status_token: this is a sample's token"),
        ('status_token = "sha256:s3cr3t"\n', "status_token: sha256: wants 64 hexadecimal digits"),
        ('status_token = "s3cr3t\\n"\n', "status_token: a header holds no such token"),
        ('status_token = " s3cr3t"\n', "status_token: a header holds no such token"),
        ('status_token = "s3cr\u00e9t"\n', "status_token: a header holds no such token"),
    ],
)
def test_a_status_that_cannot_be_is_refused(path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(path, MINIMAL + text)
    assert message in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_what_almost_is_status_may_be_an_old_confs_own(path: Path) -> None:
    [doubt] = loaded(path, f"{MINIMAL}Status = 5\n").doubts
    assert "did you mean status?" in doubt


def test_a_status_token_is_in_no_repr(path: Path) -> None:
    config = loaded(path, MINIMAL + 'status = 8053\nstatus_token = "s3cr3t of some length"\n')
    assert config.status_token
    assert config.status_token.fits(b"s3cr3t of some length")
    assert "s3cr3t" not in repr(config)
