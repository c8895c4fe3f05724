"""Certificates end to end: real clients of ACME, Let's Encrypt's own test server, which looks at the real BIND."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sftdyn.conf.newkey import as_it_is
from sftdyn.conf.printed import chosen
from sftdyn.conf.reached import Reached
from tests.conftest import KEY, ServeFixture
from tests.lab import knot, powerdns
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.knot import Knot
from tests.lab.machine import ROOT, find_program, free_port
from tests.lab.nameserver import NameServer
from tests.lab.powerdns import PowerDns
from tests.lab.process import Process, Sftdyn

NOBODY = "admin@dyn.example"
CERTBOT = ROOT / "tests/.venv-certbot/bin/certbot"  # with the plugins of tests/requirements-certbot.txt


class Lab(NamedTuple):
    """What a client is told: where sftdyn is, the authority, and what to believe."""

    endpoint: str
    directory: str
    believed: Path
    resolver: str
    folder: Path


@pytest.fixture
def primary(request: pytest.FixtureRequest, bind: Bind, tmp_path: Path) -> Iterator[NameServer]:
    """The name server: BIND, if nothing else is asked for."""
    make = getattr(request, "param", None)
    if make is None:
        yield bind
        return
    folder = tmp_path / "primary"
    folder.mkdir()
    server = make(folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def directory(primary: NameServer, certificate: Path, tmp_path: Path) -> Iterator[str]:
    """An authority that asks `primary`."""
    with authority(primary.port, certificate, tmp_path) as url:
        yield url


@contextmanager
def authority(port: int, certificate: Path, folder: Path) -> Iterator[str]:
    """The directory of an authority that asks the name server at this port of the loopback."""
    listens, manages = free_port(), free_port()
    said = {
        "listenAddress": f"127.0.0.1:{listens}",
        "managementListenAddress": f"127.0.0.1:{manages}",
        "certificate": str(certificate / "server.crt"),
        "privateKey": str(certificate / "server.key"),
        "httpPort": 1,
        "tlsPort": 1,
    }
    config = folder / "pebble.json"
    config.write_text(json.dumps({"pebble": said}))
    command = [find_program("pebble", "pebble"), "-config", str(config), "-dnsserver", f"127.0.0.1:{port}"]
    pebble = Process(command, folder, env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"})
    try:
        pebble.wait_for_port("127.0.0.1", listens)
        yield f"https://127.0.0.1:{listens}/dir"
    finally:
        pebble.kill()


@pytest.fixture
def lab_for(
    primary: NameServer, serve: ServeFixture, directory: str, certificate: Path, tmp_path: Path
) -> Callable[[str], tuple[Sftdyn, Lab]]:
    """sftdyn with a key that is good for the certificates of one name alone."""

    def start(name: str) -> tuple[Sftdyn, Lab]:
        served = serve(conf(primary, f'acme["{KEY}"] = "{name}"\n'))
        endpoint = f"http://127.0.0.1:{served.port()}"
        return served, Lab(endpoint, directory, certificate / "server.crt", f"127.0.0.1:{primary.port}", tmp_path)

    return start


def run(*command: str | Path, **env: str) -> None:
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **env}, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def names_in(*places: Path) -> set[str]:
    """The names of the one certificate that is there."""
    [path] = places
    shown = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-ext", "subjectAltName"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"DNS:([^,\s]+)", shown.stdout))


def lego(lab: Lab, name: str, **mode: str) -> set[str]:
    folder = lab.folder / name
    env = {"HTTPREQ_ENDPOINT": lab.endpoint, "HTTPREQ_USERNAME": "any", "HTTPREQ_PASSWORD": KEY}
    told = ("--dns", "httpreq", "--dns.disable-cp", "--dns.resolvers", lab.resolver)
    who = ("--server", lab.directory, "--accept-tos", "--path", folder, "--email", NOBODY)
    run(
        find_program("lego", "lego"),
        *(*who, *told, "-d", name, "-d", f"*.{name}", "run"),
        **env,
        **mode,
        LEGO_CA_CERTIFICATES=str(lab.believed),
    )
    return names_in(folder / "certificates" / f"{name}.crt")


def hook(lab: Lab, name: str) -> Path:
    """The script that is printed for this server."""
    [template] = chosen(["certbot"])
    whole = as_it_is(template, name, KEY, Reached("https", "dyn.example", 443)).partition("\n\n")[2]
    path = lab.folder / "hook"
    path.write_text(whole.replace("https://dyn.example", lab.endpoint) + "\n")
    path.chmod(0o700)
    return path


def lego_raw(lab: Lab, name: str) -> set[str]:
    return lego(lab, name, HTTPREQ_MODE="RAW")


def certbot(lab: Lab, name: str) -> set[str]:
    script = hook(lab, name)
    hooks = ("--manual-auth-hook", f"{script} add", "--manual-cleanup-hook", f"{script} clear")
    manual = ("--manual", "--preferred-challenges", "dns", *hooks)
    return certified_by_certbot(find_program("certbot", "certbot"), lab, name, *manual)


def certbot_with_multi(lab: Lab, name: str) -> set[str]:
    """The plugin has lego inside, with all its providers."""
    credentials = private(lab.folder / "multi.ini", in_paper(0, lab))
    told = ("--dns-multi-credentials", credentials, "--dns-multi-nameservers", lab.resolver)
    wait = ("--dns-multi-propagation-seconds", "0")
    return certified_by_certbot(CERTBOT, lab, name, "--authenticator", "dns-multi", *told, *wait)


def certbot_with_acmedns(lab: Lab, name: str) -> set[str]:
    """The plugin for acme-dns, with the file of accounts that is printed. It never cleans up."""
    whole = as_it_is(chosen(["cert-manager"])[0], name, KEY, Reached("https", "dyn.example", 443))
    account = whole[whole.index("{") : whole.index("# in the Issuer")].replace("https://dyn.example", lab.endpoint)
    accounts = private(lab.folder / "accounts.json", account)
    lines = in_paper(1, lab).replace("/etc/acmedns.json", str(accounts))
    credentials = private(lab.folder / "acmedns.ini", lines)
    told = ("--dns-acmedns-credentials", credentials, "--dns-acmedns-propagation-seconds", "0")
    return certified_by_certbot(CERTBOT, lab, name, "--authenticator", "dns-acmedns", *told)


def in_paper(number: int, lab: Lab) -> str:
    """The lines for one of certbot's plugins in docs/certificates.md, filled in."""
    blocks = re.findall(r"(?ms)^```ini\n(.*?)^```$", (ROOT / "docs/certificates.md").read_text())
    text: str = blocks[number]
    return text.replace("https://dyn.example", lab.endpoint).replace("KEY", KEY)


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def certified_by_certbot(program: str | Path, lab: Lab, name: str, *how: str | Path) -> set[str]:
    folder = lab.folder / "certbot"
    places = [part for kind in ("config", "work", "logs") for part in (f"--{kind}-dir", folder / kind)]
    quiet = ("--non-interactive", "--agree-tos", "--register-unsafely-without-email")
    names = ("--server", lab.directory, "-d", name, "-d", f"*.{name}")
    run(program, "certonly", *quiet, *places, *how, *names, REQUESTS_CA_BUNDLE=str(lab.believed))
    return names_in(folder / "config/live" / name / "cert.pem")


def dehydrated(lab: Lab, name: str) -> set[str]:
    script, folder = hook(lab, name), lab.folder / "dehydrated"
    folder.mkdir()
    config = folder / "config"
    config.write_text(f'CA="{lab.directory}"\nCURL_OPTS="--cacert {lab.believed}"\nBASEDIR="{folder}"\n')
    program = find_program("dehydrated", "dehydrated")
    run(program, "--config", config, "--register", "--accept-terms")
    names = ("--domain", f"{name} *.{name}", "--alias", "both")
    run(program, "--config", config, "--cron", "--challenge", "dns-01", "--hook", script, *names)
    return names_in(folder / "certs/both/cert.pem")


def uacme(lab: Lab, name: str) -> set[str]:
    script, folder = hook(lab, name), lab.folder / "uacme"
    bundle = lab.folder / "bundle"
    bundle.write_text(lab.believed.read_text())
    told = ("-a", lab.directory, "-c", folder)
    mounted = 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt; exec "$@"'
    inside = ("unshare", "--mount", "sh", "-ec", mounted, bundle)
    program = find_program("uacme", "uacme")
    run(*inside, program, *told, "-y", "new")
    run(*inside, program, *told, "-h", script, "issue", name, f"*.{name}")
    return names_in(folder / name / "cert.pem")


CLIENTS = {
    "lego": lego,
    "lego-raw": lego_raw,
    "certbot": certbot,
    "certbot-multi": certbot_with_multi,
    "certbot-acmedns": certbot_with_acmedns,
    "dehydrated": dehydrated,
    "uacme": uacme,
}
FORGETFUL = {"certbot-acmedns"}  # as acme-dns removes nothing, its clients do not ask for it


@pytest.mark.parametrize(
    "client", [one if one == "lego" else pytest.param(one, marks=pytest.mark.extra) for one in CLIENTS]
)
def test_a_client_gets_a_certificate_for_a_name_and_its_wildcard(
    lab_for: Callable[[str], tuple[Sftdyn, Lab]], bind: Bind, client: str
) -> None:
    name = f"{client}.certified.dyn.example"
    served, lab = lab_for(name)
    assert CLIENTS[client](lab, name) == {name, f"*.{name}"}
    assert len(bind.lookup(f"_acme-challenge.{name}", "TXT")) == (2 if client in FORGETFUL else 0)
    assert bind.lookup(name) == []
    assert not [line for line in served.log if "FAIL" in line or "BADKEY" in line]


@pytest.mark.extra
def test_two_clients_get_certificates_for_a_name_at_the_same_time(
    lab_for: Callable[[str], tuple[Sftdyn, Lab]], bind: Bind
) -> None:
    name = "twice.certified.dyn.example"
    _, lab = lab_for(name)
    one, two = (lab._replace(folder=lab.folder / place) for place in ("one", "two"))
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda each: lego(each, name), (one, two)))
    assert found == [{name, f"*.{name}"}] * 2
    assert bind.lookup(f"_acme-challenge.{name}", "TXT") == []


def make_bind(folder: Path) -> NameServer:
    return Bind(folder, {"dyn.example": ALL})


@pytest.mark.extra
@pytest.mark.parametrize("primary", [make_bind], indirect=True)
def test_a_restart_of_the_name_server_in_the_midst_of_a_run_is_not_noticed(
    lab_for: Callable[[str], tuple[Sftdyn, Lab]], primary: NameServer
) -> None:
    name = "restarted.certified.dyn.example"
    served, lab = lab_for(name)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(lego, lab, name)
        served.wait_for(f"OK _acme-challenge.{name}")  # the first of two
        primary.stop()
        primary.start()
        assert running.result() == {name, f"*.{name}"}
    assert primary.lookup(f"_acme-challenge.{name}", "TXT") == []
    assert sum(f"OK _acme-challenge.{name}" in line for line in served.log) == 4


@pytest.mark.extra
def test_a_client_of_two_instances_behind_one_port_gets_its_certificate(
    serve: ServeFixture, bind: Bind, directory: str, certificate: Path, tmp_path: Path
) -> None:
    """The kernel chooses one for each connection; test_certificates has a cleanup that goes to the other one."""
    name, port = "shared.certified.dyn.example", free_port()
    text = conf(bind, f'acme["{KEY}"] = "{name}"\n', http=f"127.0.0.1:{port}", reuse_port=True)
    pair = [serve(text), serve(text)]
    lab = Lab(f"http://127.0.0.1:{port}", directory, certificate / "server.crt", f"127.0.0.1:{bind.port}", tmp_path)
    assert lego(lab, name) == {name, f"*.{name}"}
    assert bind.lookup(f"_acme-challenge.{name}", "TXT") == []
    assert sum(f"OK _acme-challenge.{name}" in line for served in pair for line in served.log) == 4


def make_knot(folder: Path) -> NameServer:
    return Knot(folder, {"dyn.example": knot.ALL})


def make_powerdns(folder: Path) -> NameServer:
    return PowerDns(folder, {"dyn.example": powerdns.ALL})


@pytest.mark.extra
@pytest.mark.parametrize("primary", [make_knot, make_powerdns], indirect=True)
def test_other_primaries_hold_the_challenge_as_well(
    lab_for: Callable[[str], tuple[Sftdyn, Lab]], primary: NameServer
) -> None:
    name = "primary.certified.dyn.example"
    _, lab = lab_for(name)
    assert lego(lab, name) == {name, f"*.{name}"}
    assert primary.lookup(f"_acme-challenge.{name}", "TXT") == []
