"""`sftdyn --check --online`: what it says of the certificate, and of a conf as a whole."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.lab.machine import free_port
from tests.lab.machine import run as run_program
from tests.test_command import run

# Its names are published by a function, of which nothing can be asked.
CONF = """
https = "127.0.0.1:0"
key = "server.key"
cert = "server.crt"
def provider(name, type, ttl, addresses, secret): return "OK"
clients["a key that is long enough"] = "home.dyn.example"
"""
AUTHORITY = """[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
default_md = sha256
rand_serial = yes
policy = policy
{extensions}
[policy]
commonName = supplied
[extensions]
"""
NAMED = "subjectAltName = DNS:dyn.example"
SELF = "-selfsign -keyfile server.key"


def certify(
    folder: Path, begins: timedelta, ends: timedelta, extension: str = NAMED, *, by: str = SELF, curve: str = "P-256"
) -> None:
    """server.key, and server.crt, which is good from one time to the other, from now."""
    names = "x509_extensions = extensions" if extension else ""
    (folder / "ca.conf").write_text(AUTHORITY.format(extensions=names) + extension)
    (folder / "index").touch()
    command = f"req -new -newkey ec -pkeyopt ec_paramgen_curve:{curve} -nodes -keyout server.key -out csr -subj /CN=dyn.example"
    run_program("openssl", "openssl", *command.split(), folder=folder)
    now = datetime.now(UTC)
    start, end = (f"{now + after:%Y%m%d%H%M%SZ}" for after in (begins, ends))
    command = f"ca -config ca.conf -batch -notext {by} -in csr -out server.crt -startdate {start} -enddate {end}"
    run_program("openssl", "openssl", *command.split(), folder=folder)


def problems(folder: Path) -> list[str]:
    """What is found with CONF."""
    (folder / "conf").write_text(CONF)
    (folder / "conf").chmod(0o600)
    usual, checked = run("--check", str(folder / "conf")), run("--check", "--online", str(folder / "conf"))
    assert usual.returncode == 0, usual.stderr
    assert checked.stdout.startswith(usual.stdout)
    said = checked.stdout.removeprefix(usual.stdout).splitlines()
    lines = [line for line in said if not line.startswith("certificate: ")]
    assert checked.returncode == (1 if lines else 0), checked.stderr
    return [line.removeprefix("problem: ") for line in lines]


def day(after: timedelta) -> str:
    return f"{datetime.now(UTC) + after:%Y-%m-%d}"


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(-DAY, 15 * DAY), (-75 * DAY, 15 * DAY), (-2 * DAY, 4 * DAY)],
    ids=["young", "old", "of a few days"],
)
def test_a_good_certificate_is_no_problem(tmp_path: Path, begins: timedelta, ends: timedelta) -> None:
    certify(tmp_path, begins, ends)
    assert problems(tmp_path) == []


def test_the_names_of_the_certificate_are_shown(tmp_path: Path) -> None:
    certify(tmp_path, -DAY, 90 * DAY, NAMED + ", IP:203.0.113.10")
    assert problems(tmp_path) == []
    shown = f"certificate: for dyn.example, 203.0.113.10; until {day(90 * DAY)}"
    assert shown in run("--check", "--online", str(tmp_path / "conf")).stdout.splitlines()


@pytest.mark.parametrize(
    ("begins", "ends"), [(-77 * DAY, 13 * DAY), (-5 * DAY, DAY)], ids=["of months", "of a few days"]
)
def test_a_certificate_that_ends_soon_is_said_to(tmp_path: Path, begins: timedelta, ends: timedelta) -> None:
    certify(tmp_path, begins, ends)
    [problem] = problems(tmp_path)
    assert problem.startswith(
        f"the certificate {tmp_path}/server.crt ends in {ends.days} days, on {day(ends)}: renew it"
    )


def test_a_certificate_that_has_expired_is_said_to(tmp_path: Path) -> None:
    certify(tmp_path, -90 * DAY, -DAY)
    assert problems(tmp_path) == [f"the certificate {tmp_path}/server.crt has expired on {day(-DAY)}: renew it"]


def test_a_certificate_of_the_future_is_said_to_be_one(tmp_path: Path) -> None:
    certify(tmp_path, 2 * DAY, 90 * DAY)
    [problem] = problems(tmp_path)
    assert problem.startswith(f"the certificate {tmp_path}/server.crt begins on {day(2 * DAY)}: wait, or set")


def test_a_certificate_without_names_is_said_to_have_none(tmp_path: Path) -> None:
    certify(tmp_path, -DAY, 90 * DAY, "")
    [problem] = problems(tmp_path)
    assert problem.startswith(f"the certificate {tmp_path}/server.crt has no subjectAltName")


def test_a_certificate_that_is_not_for_servers_is_said_to_be_none(tmp_path: Path) -> None:
    certify(tmp_path, -DAY, 90 * DAY, f"{NAMED}\nextendedKeyUsage = clientAuth")
    [problem] = problems(tmp_path)
    assert problem.startswith(f"no client would take the certificate {tmp_path}/server.crt: unsuitable")


def test_a_certificate_that_no_client_can_use_is_said_to_be_none(tmp_path: Path) -> None:
    certify(tmp_path, -DAY, 90 * DAY, curve="secp256k1")
    [problem] = problems(tmp_path)
    assert problem.startswith(f"no client would take the certificate {tmp_path}/server.crt: no handshake comes about")


def test_a_machine_that_speaks_only_tls_1_2_can_look_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(tmp_path, -90 * DAY, -DAY)
    sections = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n"
    (tmp_path / "openssl.cnf").write_text(sections)
    monkeypatch.setenv("OPENSSL_CONF", str(tmp_path / "openssl.cnf"))
    assert problems(tmp_path) == [f"the certificate {tmp_path}/server.crt has expired on {day(-DAY)}: renew it"]


@pytest.mark.parametrize("chain", [0, 1, 2], ids=["alone", "with the next one", "with all"])
def test_of_a_chain_the_first_certificate_is_looked_at(tmp_path: Path, chain: int) -> None:
    (tmp_path / "ca.ext").write_text("basicConstraints = CA:TRUE")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 90 -keyout root.key -out root.crt -subj /CN=root",
        "req -new -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj /CN=CA",
        "x509 -req -in ca.csr -CA root.crt -CAkey root.key -days 90 -out ca.crt -extfile ca.ext",
    ):
        run_program("openssl", "openssl", *command.split(), folder=tmp_path)
    certify(tmp_path, -2 * DAY, -DAY, by="-cert ca.crt -keyfile ca.key")
    with (tmp_path / "server.crt").open("a") as file:
        file.write("".join((tmp_path / name).read_text() for name in ("ca.crt", "root.crt")[:chain]))
    assert problems(tmp_path) == [f"the certificate {tmp_path}/server.crt has expired on {day(-DAY)}: renew it"]


def test_a_key_of_another_certificate_cannot_work_at_all(tmp_path: Path) -> None:
    certify(tmp_path, -DAY, 90 * DAY)
    other = "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out server.key"
    run_program("openssl", "openssl", *other.split(), folder=tmp_path)
    (tmp_path / "conf").write_text(CONF)
    result = run("--check", "--online", str(tmp_path / "conf"))
    assert result.returncode == 2
    assert "key and cert do not belong together" in result.stderr


def test_online_alone_is_refused(tmp_path: Path) -> None:
    result = run("--online", str(tmp_path / "conf"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "--online is a part of --check; write: sftdyn --check --online" in result.stderr


def test_the_sources_of_own_are_looked_at(tmp_path: Path) -> None:
    """An interface that has no address for the world, and a server that does not answer; both once, for each conf."""
    port = free_port()
    (tmp_path / "conf").write_text(
        'http = "127.0.0.1:0"\ndef provider(name, type, ttl, addresses, secret): return "OK"\n'
        'own = [Client("lo.dyn.example", address=Interface("lo")),\n'
        f'       *(Client(name, address=Web("http://127.0.0.1:{port}/")) for name in ("a.example", "b.example")),\n'
        '       Client("fine.dyn.example", address=lambda: "192.0.2.1")]\n'
    )
    (tmp_path / "conf").chmod(0o600)
    checked = run("--check", "--online", str(tmp_path / "conf"))
    found = [line for line in checked.stdout.splitlines() if line.startswith("problem: ")]
    assert checked.returncode == 1
    assert found[0].startswith("problem: own: lo: it has no address that can be published")
    assert found[1].startswith(f"problem: own: 127.0.0.1:{port}: over IPv4 127.0.0.1:{port}: no connection")
    assert len(found) == 2
