"""What docs/nameservers.md says to write works as it stands there: other folders and ports, but nothing added."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import EVERYBODY
from tests.lab.knot import Knot
from tests.lab.machine import DNSUTILS, PATH, ROOT, CannotRun, run
from tests.lab.nameserver import ZONE, NameServer, dig
from tests.lab.powerdns import PowerDns
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import SOON, update
from tests.test_papers import blocks

PAPER = ROOT / "docs" / "nameservers.md"
FOLDERS = ("/etc/knot", "/var/lib/knot", "/etc/powerdns", "/var/lib/powerdns", "/var/lib/bind")


def block(kind: str, word: str) -> str:
    """The block of the paper that has this word."""
    [text] = [text for text in blocks(PAPER, kind) if word in text]
    return text


# BIND with DNSSEC


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Bind]:
    """A BIND with the signed zone of the paper."""
    server = Bind(tmp_path, {}, extra=block("", "dnssec-policy").replace("/var/lib/bind", str(tmp_path)))
    (tmp_path / "db.dyn.example").write_text(ZONE)
    server.keyfile = tmp_path / "session.key"
    server.start()
    deadline = time.monotonic() + 20
    while "RRSIG" not in dig(server.port, "+dnssec", "dyn.example", "SOA"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield server
    server.kill()


def validated(server: Bind, name: str, kind: str = "A") -> list[str]:
    """The lines that delv prints of a name, with a trust anchor made of the zone's own DNSKEY."""
    flags, protocol, algorithm, *key = dig(server.port, "+short", "dyn.example", "DNSKEY").split()
    anchor = f'static-key {flags} {protocol} {algorithm} "{"".join(key)}"'
    (server.folder / "anchors").write_text(f'trust-anchors {{ "dyn.example." {anchor}; }};\n')
    anchors = ("-a", str(server.folder / "anchors"), "+root=dyn.example")
    command = ["delv", "@127.0.0.1", "-p", str(server.port), *anchors, name, kind]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()


def test_a_signed_zone_validates_right_after_ok(proxied: Callable[..., Sftdyn], signed: Bind) -> None:
    name = "home.dyn.example"
    served = proxied(signed, {"k": name}, max_changes=0)
    for n in range(1, 20):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        address, signature = dig(signed.port, "+dnssec", "+noall", "+answer", name).splitlines()
        assert address.split()[-1] == f"192.0.2.{n}"
        assert re.search(r"\tRRSIG\tA ", signature)
    said, record, *_ = validated(signed, name)
    assert (said, record.split()) == ("; fully validated", [f"{name}.", "30", "IN", "A", "192.0.2.19"])
    assert update(served, "k", "192.0.2.19") == "UPTODATE"
    assert update(served, "k", "2001:db8::7") == "OK"
    assert validated(signed, name, "AAAA")[0] == "; fully validated"
    assert served.get("/k?offline=YES").text == "OK"
    assert validated(signed, name)[0] == "; negative response, fully validated"


def test_the_record_for_the_parent_zone_is_that_of_the_key(signed: Bind) -> None:
    command = block("sh", "dnssec-dsfromkey").replace("@127.0.0.1", f"@127.0.0.1 -p {signed.port}")
    printed = run("sh", "dash", "-ec", command)
    tag = dig(signed.port, "+dnssec", "+short", "dyn.example", "SOA").splitlines()[-1].split()[6]
    assert re.fullmatch(rf"dyn\.example\. IN DS {tag} 13 2 [0-9A-F]+\n", printed)


# The others


def do_as_written(word: str, server: NameServer) -> None:
    """The commands of the paper, for a private server; what needs root or changes the machine is left out."""
    commands = re.sub(r"^(apt|systemctl|chown) .*$", "", block("sh", word), flags=re.MULTILINE)
    commands = re.sub(r" -o \w+ -g \w+", "", commands).replace("/etc/sftdyn", str(server.folder / "sftdyn"))
    for folder in FOLDERS:
        commands = commands.replace(folder, str(server.folder))
    commands = commands.replace("0.0.0.0@53, ::@53", f"127.0.0.1@{server.port}, ::1@{server.port}")
    commands = commands.replace("knotc ", f"knotc -c {server.folder}/knot.conf ")
    commands = commands.replace("pdnsutil ", f"pdnsutil --config-dir={server.folder} ")
    run("sh", "dash", "-ec", f"PATH={PATH}\n{commands}")
    server.keyfile = server.folder / "sftdyn" / "sftdyn.key"
    assert server.keyfile.stat().st_mode & 0o777 == 0o600


def as_written(server: NameServer) -> str:
    """The conf of the paper, for a private server; one client more, whose name is in no zone."""
    text = (
        block("python", "nskeyfile")
        .replace("8080", repr(EVERYBODY))
        .replace('127.0.0.1"', f'127.0.0.1:{server.port}"', 1)
    )
    return text.replace('"sftdyn.key"', repr(str(server.keyfile))) + 'clients["no"] = "a.nowhere.example"\n'


def check(served: Sftdyn, server: NameServer) -> None:
    [key] = re.findall(r'clients\["(\w+)"\]', block("python", "nskeyfile"))
    assert [served.update(key, f"127.0.0.{n}") for n in (1, 1, 2)] == ["OK", "UPTODATE", "OK"]
    assert server.lookup("home.dyn.example") == ["127.0.0.2"]
    start = time.monotonic()
    assert served.get("/no").status == 500
    assert time.monotonic() - start < SOON
    served.wait_for("the name server is primary for no zone that contains the name")


@pytest.mark.extra
def test_knot_as_written(serve: ServeFixture, tmp_path: Path) -> None:
    server = Knot(tmp_path, {})
    server.conf.write_text(re.sub(r"^  listen: .*\n", "", server.conf.read_text(), flags=re.MULTILINE))
    do_as_written("knot.conf", server)
    server.start()
    try:
        check(serve(as_written(server)), server)
        with pytest.raises(CannotRun, match="NOTAUTH"):
            server.edit("zone dyn.example", 'update add home.dyn.example 60 TXT "not an address"')
    finally:
        server.kill()


@pytest.mark.extra
def test_powerdns_as_written(serve: ServeFixture, tmp_path: Path) -> None:
    server = PowerDns(tmp_path, {})
    do_as_written("pdnsutil", server)
    server.pdnsutil("load-zone", "other.example", str(tmp_path / "dyn.example.zone"))
    server.start()
    try:
        check(serve(as_written(server)), server)
        for zone in ("dyn.example", "other.example"):
            unsigned = f"server 127.0.0.1 {server.port}\nzone {zone}\nupdate add x.{zone} 60 A 192.0.2.7\nsend\n"
            with pytest.raises(CannotRun, match="REFUSED"):
                run("nsupdate", DNSUTILS, text=unsigned)
    finally:
        server.kill()
