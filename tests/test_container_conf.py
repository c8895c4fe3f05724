"""The container's conf: what it makes of each variable of the environment."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sftdyn.conf.config import Config, load
from sftdyn.conf.program import ConfigError
from sftdyn.values.specs import Cloudflare
from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port

CONF = ROOT / "etc/container/conf"
VARIABLES = re.findall(r"^#   ([A-Z_]+) ", CONF.read_text(), re.MULTILINE)

TOKEN = {"HOST_LIST": "home.example", "CLOUDFLARE_API_TOKEN": "secret-of-the-api"}
KEY = {"HOST_LIST": "home.example", "CLOUDFLARE_API_KEY": "secret-of-the-account"}
ACCOUNT = {**KEY, "CLOUDFLARE_API_EMAIL": "owner@home.example"}

Configured = Callable[[dict[str, str]], Config]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configured]:
    """What the conf says with these variables alone."""
    level = logging.getLogger().level
    for name in [*VARIABLES, "CLOUDFLARE_EMAIL"]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)

    def configure(variables: dict[str, str]) -> Config:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load(CONF)

    yield configure
    logging.getLogger().setLevel(level)


def provider(config: Config) -> Cloudflare:
    [own] = config.own
    assert isinstance(own.client.provider, Cloudflare)
    return own.client.provider


def credentials(config: Config) -> tuple[str | None, ...]:
    spec = provider(config)
    return spec.token, spec.email, spec.key


def names(config: Config) -> list[str]:
    return [name for own in config.own for name in own.client.names]


# Of each variable: those beside it, another value, what it then does.
CASES: list[tuple[str, dict[str, str], str, Callable[[Config], bool]]] = [
    ("HOST_LIST", TOKEN, "a.example, B.example a.example.", lambda it: names(it) == ["a.example.", "b.example."]),
    ("CLOUDFLARE_API_TOKEN", TOKEN, "another", lambda it: credentials(it) == ("another", None, None)),
    (
        "CLOUDFLARE_API_KEY",
        ACCOUNT,
        "another",
        lambda it: credentials(it) == (None, "owner@home.example", "another"),
    ),
    ("CLOUDFLARE_API_EMAIL", ACCOUNT, "me@home.example", lambda it: provider(it).email == "me@home.example"),
    ("CLOUDFLARE_EMAIL", KEY, "me@home.example", lambda it: provider(it).email == "me@home.example"),
    ("CLOUDFLARE_ZONE_ID", TOKEN, "0" * 32, lambda it: provider(it).zone == "0" * 32),
    ("IP_FAMILY", TOKEN, "4, 6", lambda it: {one.version for one in it.own[0].client.networks} == {4, 6}),
    ("UPDATE_INTERVAL", TOKEN, "30", lambda it: it.own[0].every == 30),
    ("ALLOW_CREATE_HOSTS", TOKEN, "True", lambda it: provider(it).create),
    ("API_PORT", TOKEN, "8101", lambda it: [str(one) for one in it.status] == ["http://0.0.0.0:8101"]),
    ("API_TOKEN", TOKEN, "t" * 32, lambda it: bool(it.status_token and it.status_token.fits(b"t" * 32))),
    ("DEBUG", TOKEN, "yes", lambda it: logging.getLogger().level == logging.DEBUG),
]
EACH = pytest.mark.parametrize(("name", "others", "value", "works"), CASES, ids=[case[0] for case in CASES])


def test_each_variable_has_its_test_and_its_row_in_the_docs() -> None:
    every = {*VARIABLES, "CLOUDFLARE_EMAIL"}
    assert {name for name, *_ in CASES} == every
    assert every <= set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs/packages.md").read_text()))


def test_without_the_optional_ones_it_is_as_the_conf_says(configured: Configured) -> None:
    config = configured(TOKEN)
    assert (config.own[0].every, provider(config).create, config.status_token) == (120, False, None)
    assert (provider(config).zone, [str(one) for one in config.own[0].client.networks]) == (None, ["0.0.0.0/0"])
    assert [str(one) for one in config.status] == ["http://0.0.0.0:5000"]
    assert logging.getLogger().level != logging.DEBUG


@EACH
def test_a_variable(
    configured: Configured, name: str, others: dict[str, str], value: str, works: Callable[[Config], bool]
) -> None:
    assert works(configured({**others, name: value}))


@EACH
def test_a_variable_in_a_file(
    configured: Configured,
    tmp_path: Path,
    name: str,
    others: dict[str, str],
    value: str,
    works: Callable[[Config], bool],
) -> None:
    (tmp_path / "secret").write_text(f"{value}\n")
    beside = {other: text for other, text in others.items() if other != name}
    assert works(configured({**beside, f"{name}_FILE": str(tmp_path / "secret")}))


@EACH
def test_a_variable_and_its_file_that_differ_are_refused(
    configured: Configured,
    tmp_path: Path,
    name: str,
    others: dict[str, str],
    value: str,
    works: Callable[[Config], bool],
) -> None:
    (tmp_path / "secret").write_text("s3cr3t")
    with pytest.raises(ConfigError, match=f"{name} and {name}_FILE: they are set, and differ") as error:
        configured({**others, name: value, f"{name}_FILE": str(tmp_path / "secret")})
    assert "s3cr3t" not in str(error.value)
    (tmp_path / "secret").write_text(value)
    assert works(configured({}))


def test_each_name_stands_by_itself_and_there_may_be_any_number(configured: Configured) -> None:
    config = configured({**TOKEN, "HOST_LIST": ",".join(f"h{n}.example" for n in range(300))})
    assert [own.client.names for own in config.own] == [(f"h{n}.example.",) for n in range(300)]
    assert len(config.own_providers) == 1
    assert [str(network) for network in configured({"IP_FAMILY": "6"}).own[0].client.networks] == ["::/0"]


def test_each_name_has_the_token_and_the_zone_that_are_for_it(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("# of our zones\nexample.org first\n\nHome.example.org second\nrest\n")
    config = configured(
        {
            "HOST_LIST": "a.example.org,home.example.org,b.home.example.org,other.example",
            "CLOUDFLARE_API_TOKEN_FILE": str(tmp_path / "tokens"),
            "CLOUDFLARE_ZONE_ID": f"example.org {'1' * 32}",
        }
    )
    given = [own.client.provider for own in config.own]
    assert [one.token for one in given if isinstance(one, Cloudflare)] == ["first", "second", "second", "rest"]
    assert [one.zone for one in given if isinstance(one, Cloudflare)] == ["1" * 32] * 3 + [None]


def test_port_0_is_for_the_container_alone(configured: Configured) -> None:
    assert [str(one) for one in configured({**TOKEN, "API_PORT": "0"}).status] == ["http://127.0.0.1:5000"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "HOST_LIST is missing"),
        ({"HOST_LIST": " , "}, "HOST_LIST is missing"),
        ({"HOST_LIST": "home.example"}, "CLOUDFLARE_API_TOKEN is missing"),
        (KEY, "CLOUDFLARE_API_TOKEN is missing"),
        ({**ACCOUNT, "CLOUDFLARE_EMAIL": "s3cr3t"}, "CLOUDFLARE_API_EMAIL and CLOUDFLARE_EMAIL: they are set, and"),
        ({**TOKEN, "UPDATE_INTERVAL": "s3cr3t"}, "UPDATE_INTERVAL: write a whole number from 1 to 999999, such as 120"),
        ({**TOKEN, "UPDATE_INTERVAL": "0"}, "UPDATE_INTERVAL: write a whole number from 1"),
        ({**TOKEN, "API_PORT": "70000"}, "API_PORT: write a whole number from 0 to 65535, such as 5000"),
        ({**TOKEN, "HOST_LIST": "a.example,s3cr3t_.example"}, "HOST_LIST: one of its names: a host name has letters"),
        ({**TOKEN, "HOST_LIST": "home.example Bx7kq0Zt-s3cr3t-of-the-api"}, "HOST_LIST: one of its names has no dot"),
        ({**TOKEN, "HOST_LIST": "ß.example"}, "HOST_LIST: one of its names: ß and ς have two ASCII forms"),
        ({**TOKEN, "IP_FAMILY": "5"}, "IP_FAMILY: write 4, 6 or 4,6"),
        ({**TOKEN, "CLOUDFLARE_API_TOKEN": "a.example b s3cr3t"}, "CLOUDFLARE_API_TOKEN: write one value, or lines"),
        ({**TOKEN, "CLOUDFLARE_API_TOKEN": "s3cr3t\nother"}, "CLOUDFLARE_API_TOKEN: two values for the same names"),
        ({**TOKEN, "CLOUDFLARE_API_TOKEN": "b_.example s3cr3t"}, "CLOUDFLARE_API_TOKEN: one of its names: a host"),
        ({**TOKEN, "CLOUDFLARE_API_TOKEN": "b.example s3cr3t"}, "CLOUDFLARE_API_TOKEN: no token is for one of the"),
        ({**TOKEN, "ALLOW_CREATE_HOSTS": "s3cr3t"}, "ALLOW_CREATE_HOSTS: write true or false"),
        ({**TOKEN, "API_TOKEN_FILE": "/no/such/s3cr3t"}, "API_TOKEN_FILE: No such file or directory$"),
        ({**TOKEN, "API_TOKEN_FILE": sys.executable}, "API_TOKEN_FILE: this file holds no text$"),
    ],
)
def test_what_cannot_be_is_refused(configured: Configured, variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        configured(variables)
    assert "s3cr3t" not in str(error.value)


def test_check_says_what_the_environment_means() -> None:
    command = [sys.executable, "-m", "sftdyn", "--check", str(CONF)]
    path = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=ROOT, env={**path, **TOKEN}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "own: home.example from www.cloudflare.com" in done.stdout
    assert TOKEN["CLOUDFLARE_API_TOKEN"] not in done.stdout + done.stderr


HEALTHCHECK = re.compile(r"^HEALTHCHECK CMD (\[.*\])$", re.MULTILINE)


def test_the_health_check_asks_the_sftdyn_that_runs_with_a_conf_of_its_own(serve: ServeFixture, bind: Bind) -> None:
    """The image's own conf reads variables that are not there then."""
    served = serve(conf(bind, f'status = "127.0.0.1:{free_port()}"\n', clients={"k": "health.dyn.example"}))
    [check] = HEALTHCHECK.findall((ROOT / "etc/container/Containerfile").read_text())
    command = json.loads(check.replace("/proc/1/", f"/proc/{served.process.pid}/"))
    healthy = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (healthy.returncode, healthy.stdout) == (0, "ok\n"), healthy.stderr


@pytest.mark.parametrize("folder", ["bind", "caddy"])
def test_the_confs_of_compose_are_ones(folder: str, tmp_path: Path) -> None:
    text = (ROOT / f"etc/container/{folder}/conf").read_text().replace("# clients[", "clients[")
    (tmp_path / "update.key").write_text('key "k" { algorithm hmac-sha256; secret "c2VjcmV0"; };')
    text = (
        text.replace("/run/secrets/", f"{tmp_path}/")
        .replace("change-me-to-a-new-key", 32 * "0")
        .replace("sha256:…", f"sha256:{64 * '0'}")
    )
    (tmp_path / "conf").write_text(text)
    config = load(tmp_path / "conf")
    assert len(config.keyring.clients) == 1
    assert config.status
