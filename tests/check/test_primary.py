"""What `sftdyn --check --online` says of a name server, its zones, and what the key may change there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import pytest

from sftdyn.check.outside import denial
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import ROOT, free_port
from tests.lab.nameserver import KEY_NAME, ZONE
from tests.providers.bind.conftest import UNSEEN, in_background, problems, problems_of

SOME = f"update-policy {{ deny {KEY_NAME} name refused.some.example; grant {KEY_NAME} zonesub A AAAA; }};"
IPV4 = f"update-policy {{ grant {KEY_NAME} zonesub A; }};"
OTHERS = "allow-update { 192.0.2.1; };"
COPY = 'zone "copy.example" {{ type secondary; primaries {{ 127.0.0.1 port {} ; }}; file "copy.example.zone"; masterfile-format text; {} }};'
FORWARDING = 'zone "forwarding.example" {{ type secondary; primaries {{ 127.0.0.1 port {} ; }}; file "forwarding.example.zone"; masterfile-format text; allow-update-forwarding {{ any; }}; }};'


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """A name server with a zone for each trouble."""
    folder = tmp_path_factory.mktemp("troubled")
    zones = {"well.example": ALL, "frozen.example": ALL, "unloaded.example": ALL, "some.example": SOME}
    zones |= {"ipv4.example": IPV4, "others.example": OTHERS, "static.example": ""}
    nobody = free_port()
    extra = COPY.format(nobody, "") + FORWARDING.format(nobody)
    server = Bind(folder, zones, extra=extra)
    (folder / "unloaded.example.zone").unlink()
    hour_ago = time.time() - 3600
    for copy in ("copy.example", "forwarding.example"):
        (folder / f"{copy}.zone").write_text(ZONE)
        os.utime(folder / f"{copy}.zone", (hour_ago, hour_ago))
    server.start()
    server.rndc("freeze", "frozen.example")
    yield server
    server.kill()


def test_where_all_is_well_there_is_no_problem(troubled: Bind, tmp_path: Path) -> None:
    assert problems_of(troubled, tmp_path, "home.well.example", "*.home.well.example") == []
    assert problems_of(troubled, tmp_path, "home.some.example", zone="some.example") == []


def test_asking_changes_nothing(troubled: Bind, tmp_path: Path) -> None:
    """Not even where somebody has the address of which the question is."""
    troubled.edit("zone well.example", "update add parked.well.example 60 A 240.0.0.0")
    serial = troubled.serial("well.example")
    assert problems_of(troubled, tmp_path, "parked.well.example", "new.well.example") == []
    assert troubled.lookup("parked.well.example") == ["240.0.0.0"]
    assert troubled.serial("well.example") == serial


REFUSING = "every update is refused: it is frozen (rndc thaw {zone}), or not open to this key (BIND"


@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ("frozen.example", REFUSING),
        ("others.example", REFUSING),
        ("static.example", REFUSING),
        ("unloaded.example", "the name server has not loaded it: its log and named-checkzone -j {zone} FILE say why"),
        ("copy.example", "the name server is only a secondary for it: let the setting server name the primary"),
        ("forwarding.example", "the name server is only a secondary for it: let the setting server name the primary"),
    ],
)
def test_a_zone_in_trouble_has_its_line(troubled: Bind, tmp_path: Path, zone: str, problem: str, given: bool) -> None:
    zones = ["well.example", zone] if given else None
    [found] = problems_of(troubled, tmp_path, "home.well.example", f"home.{zone}", zone=zones)
    assert found.startswith(f"zone {zone}: {problem.format(zone=zone)}")


def test_a_zone_that_is_elsewhere_has_its_line(troubled: Bind, tmp_path: Path) -> None:
    [found] = problems_of(troubled, tmp_path, "home.missing.example", zone="missing.example")
    assert found.startswith("zone missing.example: the name server does not serve it: correct the setting zone")
    [found] = problems_of(troubled, tmp_path, "home.missing.example", "home.well.example", "b.elsewhere.example")
    assert "serves no zone with home.missing.example, b.elsewhere.example: correct the names" in found


def test_a_name_that_the_policy_refuses_has_its_line(troubled: Bind, tmp_path: Path) -> None:
    many = [f"host{n}.some.example" for n in range(600)]
    [found] = problems_of(troubled, tmp_path, *many[:300], "refused.some.example", *many[300:])
    assert found.startswith(
        "zone some.example: the key may not change refused.some.example A, refused.some.example AAAA: allow it"
    )


def test_names_that_are_too_long_for_one_message_are_asked_for_in_several(troubled: Bind, tmp_path: Path) -> None:
    long = [".".join([*(f"{n:03}{letter * 60}" for letter in "abc"), f"{n:048}"]) for n in range(256)]
    client = 'clients["a key that is long enough {}"] = Client("{}.some.example", networks="0.0.0.0/0")\n'
    lines = [client.format(n, name) for n, name in enumerate([*long[:77], "refused", *long[77:]])]
    [found] = problems(tmp_path, conf(troubled) + "".join(lines))
    assert " refused.some.example A: " in found


def test_of_very_many_refused_names_some_are_named(troubled: Bind, tmp_path: Path) -> None:
    [found] = problems_of(troubled, tmp_path, *(f"host{n}.ipv4.example" for n in range(300)))
    assert found.count(" AAAA") == 8
    assert " and others: allow it" in found
    assert " A," not in found


def test_what_a_client_can_never_send_is_not_asked_for(troubled: Bind, tmp_path: Path) -> None:
    client = 'clients["a key that is long enough"] = Client("a.ipv4.example", networks="192.0.2.0/24"{})\n'
    assert problems(tmp_path, conf(troubled) + client.format("")) == []
    assert problems(tmp_path, conf(troubled) + client.format(', lan={"nas.ipv4.example": "::1"}')) == []
    client = client.replace("192.0.2.0/24", "2001:db8::/32").format(', lan={"nas.ipv4.example": "::1"}')
    [found] = problems(tmp_path, conf(troubled) + client)
    assert "may not change a.ipv4.example AAAA, nas.ipv4.example AAAA:" in found


def test_a_name_that_nobody_could_see_has_its_line(bind: Bind, tmp_path: Path) -> None:
    hidden = ["alias.dyn.example", "a.child.dyn.example", "a.renamed.dyn.example"]
    [found] = problems_of(bind, tmp_path, "seen.dyn.example", *hidden)
    assert found == (
        "zone dyn.example: a CNAME there, or a delegation or DNAME above, hides "
        "alias.dyn.example, a.child.dyn.example, a.renamed.dyn.example: remove it, or choose other names"
    )


def test_where_nobody_listens_that_is_the_line(tmp_path: Path, bind: Bind) -> None:
    port = free_port()
    [found] = problems_of(bind, tmp_path, "a.dyn.example", "b.other.example", server=f"127.0.0.1:{port}")
    assert found.startswith(f"nobody listens at 127.0.0.1 port {port}: start the name server, or correct")


def test_a_silent_name_server_has_one_line(tmp_path: Path, own_bind: Bind) -> None:
    own_bind.signal(signal.SIGSTOP)
    [found] = problems_of(own_bind, tmp_path, "a.dyn.example", "b.other.example")
    assert found.startswith(f"127.0.0.1 port {own_bind.port} does not answer: it hangs, a firewall is between, or")


def test_a_resolver_that_has_no_keys_takes_no_updates(tmp_path: Path, bind: Bind) -> None:
    """As Unbound and systemd-resolved answer: unsigned, and with the header alone."""

    def answer() -> str:
        asked, who = resolver.recvfrom(4096)
        return str(resolver.sendto(asked[:2] + b"\xa8\x04" + bytes(8), who))

    with socket(AF_INET, SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{resolver.getsockname()[1]}"
        with in_background(answer):
            [found] = problems_of(bind, tmp_path, "a.dyn.example", server=server)
    assert "takes no updates (RFC 2136), or is just starting: try again, or correct the setting server" in found


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (
            'key "stranger" { algorithm hmac-sha256; secret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICEhISE="; };',
            "127.0.0.1 port {port} does not know the key of {file}, or has another algorithm for it: include it",
        ),
        (
            f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICEhISE="; }};',
            "127.0.0.1 port {port} has another secret for the key of {file}: copy its file again",
        ),
        (
            "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICEhISE=",
            "the key of {file} is broken: it is the secret alone: write key ",
        ),
        (
            'key "a" { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0"; };\n'
            'key "b" { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0"; };\n',
            "the key of {file} is broken: it holds 2 keys: leave the one that",
        ),
        (
            "hmac-sha256:sftdyn:c2VjcmV0c2VjcmV0\n",
            "the key of {file} is broken: it is written as for nsupdate -y, on the command line: write key",
        ),
        (
            "key:\n  - id: sftdyn\n    algorithm: hmac-sha256\n    secret: c2VjcmV0c2VjcmV0\n",
            "the key of {file} is broken: it is in Knot's form, not BIND's: write key",
        ),
        (
            f'key "{KEY_NAME}" {{ algorithm hmac-sha512; secret "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICEhISE="; }};',
            "127.0.0.1 port {port} does not know the key of {file}, or has another algorithm for it: include it",
        ),
    ],
    ids=["unknown", "other secret", "no key", "two keys", "as for -y", "Knot's", "other algorithm"],
)
def test_a_key_that_is_not_taken_has_one_line(tmp_path: Path, bind: Bind, key: str, problem: str) -> None:
    file = tmp_path / "own.key"
    file.write_text(key)
    [found] = problems_of(bind, tmp_path, "a.dyn.example", "b.other.example", nskeyfile=file)
    assert found.startswith(problem.format(port=bind.port, file=file))
    assert "c2Vjcm" not in found


SESSION_KEY = """
mount -t tmpfs tmpfs /run
mkdir /run/named
test $1 = none || install -m $1 /dev/null /run/named/session.key
shift
exec setpriv --bounding-set=-dac_override,-dac_read_search "$@"
"""


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("000", "this user may not read the session key: be bind, or use nskeyfile"),
        ("none", "there is no session key: start BIND, or name server and nskeyfile"),
        ("600", "the session key is broken: make a new one (tsig-keygen; the session key: restart BIND)"),
    ],
)
def test_a_session_key_that_cannot_be_read_is_the_line(tmp_path: Path, mode: str, problem: str) -> None:
    """With a /run of its own, and without root's right to read everything."""
    text = conf(clients={"a key that is long enough": "home.dyn.example"})
    (tmp_path / "conf").write_text(text)
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    inside = ["sh", "-ec", SESSION_KEY, "sh", mode, "python3", "-m", "sftdyn", "--check", "--online"]
    command = ["--mount", *user, *inside, str(tmp_path / "conf")]
    done = subprocess.run(["unshare", *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, f"problem: {problem}")


def test_a_zone_that_is_not_delegated_has_its_line_where_that_can_be_asked(tmp_path: Path) -> None:
    """Of a resolver, or of the primary that is one; where nobody answers, the last line is the usual one."""
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    inside = [
        sys.executable,
        "-m",
        "tests.own_world",
        str(tmp_path),
        sys.executable,
        "-m",
        "sftdyn",
        "--check",
        "--online",
    ]
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", *user, *inside]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    resolver, primary, nobody = done.stdout.splitlines()
    assert resolver == primary
    assert resolver.startswith(f"problem: zone lost.example: {UNSEEN}: the zone above has no NS records for it; add")
    assert resolver.endswith(" 1")
    assert nobody.startswith("warning: ")
    assert nobody.endswith(" 0")


def test_a_denial_that_is_from_no_zone_is_none() -> None:
    """As some routers and firewalls give it."""
    header = (
        ";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 1\n;; flags: qr rd ra; QUERY: 1, ANSWER: 0, AUTHORITY: {}"
    )
    soa = "example.\t60\tIN\tSOA\tns.example. hostmaster.example. 1 3600 600 86400 60\n"
    assert denial(header.format("0, ADDITIONAL: 1\n")) == ""
    assert denial(header.format("1, ADDITIONAL: 1\n\n;; AUTHORITY SECTION:\n" + soa)) == "NXDOMAIN"


def test_where_get_host_knows_the_names_the_zones_are_asked_for(troubled: Bind, tmp_path: Path) -> None:
    hook = "def get_host(querystring, ip): return None\n"
    assert problems(tmp_path, conf(troubled, hook)) == []
    [found] = problems(tmp_path, conf(troubled, hook, zone=["well.example", "unloaded.example"]))
    assert found.startswith("zone unloaded.example: the name server has not loaded it")


def test_names_of_own_are_asked_for_too(troubled: Bind, tmp_path: Path) -> None:
    own = 'own = [Client("home.{}", address=Interface("lo"))]\n'
    nothing = "own: lo: it has no address that can be published"
    assert problems(tmp_path, conf(troubled, own.format("well.example"), http=None)) == [nothing]
    [found] = set(problems(tmp_path, conf(troubled, own.format("frozen.example"), http=None))) - {nothing}
    assert found.startswith("zone frozen.example: every update is refused")


def test_of_several_providers_a_line_says_which_it_is_about(troubled: Bind, bind: Bind, tmp_path: Path) -> None:
    second = f'Bind(server="127.0.0.1:{troubled.port}", keyfile="{troubled.keyfile}", zone="frozen.example")'
    text = conf(bind, clients={"a key that is long enough": "home.dyn.example"})
    text += f'clients["another key that is long enough"] = Client("home.frozen.example", provider={second})\n'
    [found] = problems(tmp_path, text)
    assert found.startswith(f"127.0.0.1 port {troubled.port}, key file {troubled.keyfile}: zone frozen.example: every")
