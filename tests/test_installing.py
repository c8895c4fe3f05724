"""What etc/install computes; tests/machine.py runs it as a whole."""

import shutil
import subprocess
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from etc.installing import acme, addresses, arguments, made, texts, zones
from sftdyn.check import delegation
from sftdyn.values.mistake import Mistake
from sftdyn.values.update import Shown
from tests.lab.bind import Bind
from tests.lab.machine import ROOT

ZONE = "dyn.example.org"
KEY, TOKEN = "0" * 32, "1" * 32
V4, V6 = ip_address("203.0.113.10"), ip_address("2001:db8::10")


def run(*command: str | Path, stdin: str = "", folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, command)), input=stdin, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


# What it is called with


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("example 203.0.113.10", "a whole top-level domain: write a name below a domain of yours"),
        ("*.example.org 203.0.113.10", "is no zone"),
        ("dyn.example.org 203.0.113", "203.0.113 is no IPv4 address"),
        ("dyn.example.org 2001:db8::10", "the IPv4 address comes first"),
        ("dyn.example.org 203.0.113.10 203.0.113.11", "203.0.113.11 is no IPv6 address"),
        ("dyn.example.org 203.0.113.10 2001:db8::10%eth0", "is no IPv6 address"),
        ("203.0.113.10 dyn.example.org", "203.0.113.10: this is an address"),
        ("--cloudflare a\";b", "a host name has letters"),
        ("--cloudflare home.example.org --at fe80::1", "link-local"),
        ("--cloudflare home.example.org --at server.example.org --own eth0", "leave one of them out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_with_what_to_write_instead(words: str, said: str) -> None:
    with pytest.raises(Mistake) as mistake:
        arguments.wanted(words.split())
    assert said in str(mistake.value)


@pytest.mark.parametrize("words", ["", "--cloudflare", "--own eth0", "a b c d", "--cloudflare a.example --at", "-h"])
def test_what_is_no_call_at_all_shows_the_usage(words: str) -> None:
    with pytest.raises(arguments.Usage):
        arguments.wanted(words.split())


def test_the_shell_gets_what_was_said_and_nothing_that_it_would_run() -> None:
    words = ["--cloudflare", "Home.Example.ORG.", "--token-file", "it's $(mine)"]
    shell = f'{arguments.assignments(arguments.wanted(words))}\nprintf \'%s|\' "$way" "$name" "$token_file" "$own"'
    assert run("sh", "-euc", shell).stdout == "cloudflare|home.example.org|it's $(mine)||"


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1", "255.255.255.255", "::", "::1", "fe80::1", "ff02::1"]
)
def test_an_address_that_is_nobodys_is_refused(text: str) -> None:
    with pytest.raises(Mistake, match="write the address by which the world reaches this server"):
        addresses.server_address(text, 6 if ":" in text else 4)


@pytest.mark.parametrize(("text", "number"), [("192.168.1.5", 1), ("fd00::1", 1), ("100.64.0.1", 1), ("1.1.1.1", 0)])
def test_a_private_address_is_doubted_and_taken(text: str, number: int) -> None:
    address = addresses.server_address(text, 6 if ":" in text else 4)
    assert len(addresses.doubts([address])) == number


def test_a_domain_that_somebody_has_registered_is_asked_about() -> None:
    assert arguments.is_whole_domain("example.org")
    assert not arguments.is_whole_domain(ZONE)


# The zone


def test_a_zone_is_served_only_where_its_own_soa_is_answered(bind: Bind) -> None:
    """The server of the zone above answers for a name that does not exist with authority, too."""
    reply = bind.dig("dyn.example", "SOA", "+norecurse")
    assert zones.is_served(reply, "dyn.example")
    assert not zones.is_served(reply, "dynxexample")
    missing = bind.dig("no.such.dyn.example", "SOA", "+norecurse")
    assert " aa" in missing
    assert "NXDOMAIN" in missing
    assert not zones.is_served(missing, "no.such.dyn.example")
    assert not zones.is_served(bind.dig("elsewhere.test", "SOA", "+norecurse"), "elsewhere.test")
    assert not zones.is_served("", "dyn.example")


def test_the_zone_is_one_that_bind_loads(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text(zones.zone_file(ZONE, [V4, V6]))
    assert "loaded serial 1" in run("named-checkzone", ZONE, tmp_path / "zone").stdout
    (tmp_path / "conf").write_text(zones.statement(ZONE))
    shown = run("named-checkconf", "-p", tmp_path / "conf").stdout
    assert zones.is_configured(shown, ZONE)
    assert not zones.is_configured(shown, "dynxexample.org")


BEFORE = '// mine\nzone "a.example.org" { type primary; file "/a"; };\n'


def test_a_zone_goes_without_a_trace_and_takes_no_other_along() -> None:
    conf = BEFORE + zones.statement("a-b.example.org") + zones.statement("a.b.example.org") + "// the end\n"
    assert zones.without(conf, "a.b.example.org") == BEFORE + zones.statement("a-b.example.org") + "// the end\n"


@pytest.mark.parametrize(
    ("old", "new"), [(f"// {ZONE}: end\n", ""), ("update-policy local;", "update-policy { grant k zonesub A; };")]
)
def test_a_zone_whose_lines_were_changed_stays(old: str, new: str) -> None:
    conf = BEFORE + zones.statement(ZONE).replace(old, new) + "// the end\n"
    assert zones.is_ours(conf, ZONE)
    with pytest.raises(Mistake, match="not as they were made"):
        zones.without(conf, ZONE)


def test_another_address_of_the_server_is_carried_into_the_zone(bind: Bind) -> None:
    def present() -> str:
        return bind.dig("+noall", "+answer", "+norecurse", "server.dyn.example", "A", "server.dyn.example", "AAAA")

    def carried(*words: str) -> str:
        script = zones.renumbering("server.dyn.example", present(), map(ip_address, words))
        if script:
            bind.edit(*script.splitlines()[1:-1])
        return script

    assert carried("198.51.100.1", "2001:db8::1")
    assert (bind.lookup("server.dyn.example"), bind.lookup("server.dyn.example", "AAAA")) == (
        ["198.51.100.1"],
        ["2001:db8::1"],
    )
    assert carried("198.51.100.2")
    assert (bind.lookup("server.dyn.example"), bind.lookup("server.dyn.example", "AAAA")) == (
        ["198.51.100.2"],
        ["2001:db8::1"],
    )
    assert carried("198.51.100.2", "2001:db8::1") == ""
    bind.edit("update add server.dyn.example. 60 A 198.51.100.3")
    with pytest.raises(Mistake, match="several A records"):
        carried("198.51.100.4")


# The certificate


def test_the_certificate_has_the_server_and_its_addresses(tmp_path: Path) -> None:
    wanted = addresses.alternative_names(ZONE, [V4, V6, V4])
    assert wanted == f"DNS:{ZONE},IP:203.0.113.10,IP:2001:db8::10"
    assert addresses.alternative_names("203.0.113.10", [V4, V6]) == "IP:203.0.113.10,IP:2001:db8::10"
    request = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout key -out crt -addext".split()
    )
    assert run("openssl", *request, f"subjectAltName={wanted}", folder=tmp_path).returncode == 0
    shown = run("openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", "crt", folder=tmp_path).stdout
    assert not addresses.lacks(shown, wanted)
    assert not addresses.lacks(shown, f"DNS:{ZONE.upper()},IP:2001:db8:0::10")
    assert addresses.lacks(shown, f"DNS:{ZONE},IP:203.0.113.11")


@pytest.mark.parametrize(
    ("host", "found", "name"),
    [
        ("server.example.org", ["1.1.1.1"], "server.example.org"),
        ("server", ["192.168.1.5", "2606:4700::1", "1.1.1.1"], "1.1.1.1"),
        ("localhost.localdomain", ["192.168.1.5"], "192.168.1.5"),
        ("server", [], "server"),
    ],
)
def test_the_url_has_a_name_that_others_know(host: str, found: list[str], name: str) -> None:
    assert addresses.server_name(host, list(map(ip_address, found))) == name


def test_the_printed_lines_are_those_of_this_server() -> None:
    said = texts.for_the_router("home.example.org", "2001:db8::10", KEY, "curl …")
    assert said.startswith(f"https://[2001:db8::10]:4443/{KEY}\nhttp://[2001:db8::10]:8080/{KEY} ")
    assert "\nFor a router: sftdyn --lines home.example.org ROUTER --url https://[2001:db8::10]:4443\n" in said
    assert "--url" not in texts.for_the_router(f"home.{ZONE}", ZONE, KEY, "curl …")


# The confs


@pytest.mark.parametrize(
    "text",
    [
        texts.conf_with_bind("home.example.org", KEY, TOKEN),
        texts.conf_for_routers("home.example.org", KEY, TOKEN),
        texts.conf_of_its_own("home.example.org", "lo"),
        texts.conf_of_its_own("home.example.org", "web"),
    ],
    ids=["bind", "routers", "interface", "web"],
)
def test_its_confs_work(text: str, tmp_path: Path, certificate: Path) -> None:
    for name in ("server.key", "server.crt"):
        shutil.copy(certificate / name, tmp_path)
    (tmp_path / "cloudflare.token").write_text("token")
    (tmp_path / "conf").write_text(text)
    (tmp_path / "conf").chmod(0o600)
    (tmp_path / "cloudflare.token").chmod(0o600)
    done = run("bin/sftdyn", "--check", tmp_path / "conf")
    assert done.returncode == 0, done.stderr
    assert "status: http://127.0.0.1:8053" in done.stdout or "own = " in text
    assert texts.key_in(text, "home.example.org") == (KEY if KEY in text else "")
    assert texts.key_in(text, "home-example.org") == ""


# What is still as it was made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with what etc/install has made there."""
    files = {
        "etc/sftdyn/conf": texts.conf_with_bind("home.example.org", KEY, TOKEN),
        "etc/sftdyn/server.key": "a key",
        "etc/systemd/system/sftdyn.service": "a unit",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    lines = (f"{sha256(text.encode()).hexdigest()}  /{name}\n" for name, text in files.items())
    (tmp_path / "etc/sftdyn/.made").write_text("".join(lines))
    return tmp_path


def test_what_is_as_it_was_made_goes(root: Path) -> None:
    (root / "etc/sftdyn/conf.new").touch()
    going, staying = made.leaving(root)
    assert set(going) == {
        "/etc/sftdyn/conf",
        "/etc/sftdyn/conf.new",
        "/etc/sftdyn/server.key",
        "/etc/systemd/system/sftdyn.service",
    }
    assert staying == []


def test_what_its_owner_changed_or_made_stays(root: Path) -> None:
    """A conf with more clients, certbot's key in the place of ours, a socket unit and a drop-in made by hand."""
    by_hand = {
        "etc/sftdyn/conf": texts.conf_with_bind("home.example.org", KEY, TOKEN) + "# mine\n",
        "etc/sftdyn/server.key": "certbot's",
        "etc/sftdyn/my own.new": "mine",
        "etc/systemd/system/sftdyn.service": "another unit",
        "etc/systemd/system/sftdyn.socket": "mine",
        "etc/systemd/system/sftdyn.service.d/user.conf": "[Service]\nUser=mine\n",
    }
    for name, text in by_hand.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    going, staying = made.leaving(root)
    assert (going, set(staying)) == ([], {f"/{name}" for name in by_hand})


def test_a_link_is_nothing_that_it_made(root: Path) -> None:
    (root / "etc/sftdyn/server.key").rename(root / "elsewhere")
    (root / "etc/sftdyn/server.key").symlink_to(root / "elsewhere")
    assert "/etc/sftdyn/server.key" in made.leaving(root)[1]


def test_what_1_1_has_made_is_known_where_it_can_be(root: Path) -> None:
    """It noted the names of files alone."""
    (root / "etc/sftdyn/.made").write_text("/etc/sftdyn/conf\n/etc/sftdyn/server.key\n")
    (root / "etc/sftdyn/conf").write_text(texts.conf_with_bind("home.example.org", KEY))
    folder = root / "etc/systemd/system"
    (folder / "sftdyn-own.service.d").mkdir()
    (folder / "sftdyn-own.service.d/user.conf").write_text(texts.user_conf("sftdyn-own.service"))
    going, staying = made.leaving(root)
    assert going == ["/etc/systemd/system/sftdyn-own.service.d/user.conf", "/etc/sftdyn/conf"]
    assert staying == ["/etc/systemd/system/sftdyn.service", "/etc/sftdyn/server.key"]
    (root / "etc/sftdyn/conf").write_text(texts.conf_with_bind("home.example.org", KEY) + "# mine\n")
    assert "/etc/sftdyn/conf" in made.leaving(root)[1]


def test_the_units_of_1_1_are_known() -> None:
    """Those of this release are noted when they are made."""
    for digest, name in made.RELEASED.items():
        assert len(digest) == 64
        assert name in made.UNIT_NAMES


# The certificate of an authority


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--letsencrypt me", "me is no mail address"),
        ("--letsencrypt -x@example.org", "-x@example.org is no mail address"),
        ("--server https://a.example/dir", "it needs --letsencrypt MAIL, too"),
        ("--letsencrypt me@example.org --server http://a.example/dir", "write its URL, https://"),
    ],
)
def test_an_authority_wants_a_mail_address_and_is_asked_over_https(words: str, said: str) -> None:
    with pytest.raises(Mistake) as mistake:
        arguments.wanted([ZONE, "203.0.113.10", *words.split()])
    assert said in str(mistake.value)


def test_the_authority_stands_behind_one_address_or_two() -> None:
    for given in (["203.0.113.10"], ["203.0.113.10", "2001:db8::10"]):
        known = arguments.wanted([ZONE, *given, "--letsencrypt", "me@example.org"])
        assert (known.mail, known.authority, known.ipv6) == ("me@example.org", "", "".join(given[1:]))
    for words in ("--letsencrypt", "--at a.example", "203.0.113.11 x", "--own web --letsencrypt me@example.org"):
        with pytest.raises((arguments.Usage, Mistake)):
            arguments.wanted([ZONE, "203.0.113.10", *words.split()])


def test_bind_lets_the_key_change_the_challenge_and_nothing_else(tmp_path: Path) -> None:
    """With the lines as they are written, but for the places of files."""
    acme_key = tmp_path / "acme.key"
    acme_key.write_text(run("tsig-keygen", acme.key_name(ZONE)).stdout)
    lines = zones.statement_with_acme(ZONE).replace(acme.key_path(ZONE), str(acme_key))
    (tmp_path / "zone").write_text(zones.zone_file(ZONE, [V4]))
    folder = tmp_path / "bind"
    folder.mkdir()
    server = Bind(folder, {}, extra=lines.replace(zones.zone_path(ZONE), str(tmp_path / "zone")))
    server.start()
    try:
        challenge = f"_acme-challenge.{ZONE}."
        may = [f"add {challenge} 60 TXT x", f"delete {challenge} TXT"]
        may_not = [f"add {ZONE}. 60 A 192.0.2.1", f"add x.{challenge} 60 TXT x", f"add home.{ZONE}. 60 TXT x"]
        codes = [_updated(server, acme_key, f"update {change}") for change in (*may, *may_not)]
        assert codes == [0, 0, 2, 2, 2]
        assert (
            _updated(server, folder / "session.key", f"update add home.{ZONE}. 60 A 192.0.2.1") == 0
        )  # as with `local`
        question = acme.harmless(ZONE).removesuffix("send\n").partition(f"zone {ZONE}.\n")[2]
        before = server.serial(ZONE)
        assert _updated(server, acme_key, question) == 0
        assert server.serial(ZONE) == before
    finally:
        server.kill()


def _updated(server: Bind, key: Path, line: str) -> int:
    script = f"server 127.0.0.1 {server.port}\nzone {ZONE}.\n{line}\nsend\n"
    return run("nsupdate", "-k", key, stdin=script).returncode


def test_a_zone_gets_its_key_only_where_its_lines_are_as_they_were_made() -> None:
    conf = BEFORE + zones.statement(ZONE) + "// the end\n"
    more = zones.with_acme(conf, ZONE)
    assert not zones.has_acme(conf, ZONE)
    assert zones.has_acme(more, ZONE)
    assert zones.is_ours(more, ZONE)
    assert zones.without(more, ZONE) == BEFORE + "// the end\n"
    with pytest.raises(Mistake, match="not as they were made"):
        zones.with_acme(conf.replace("local", "{ grant k zonesub A; }"), ZONE)
    assert acme.grant(ZONE) in acme.by_hand(ZONE)


def test_certbot_is_told_the_key_as_tsig_keygen_writes_it() -> None:
    key = run("tsig-keygen", acme.key_name(ZONE)).stdout
    said = dict(line.split(" = ") for line in acme.settings(ZONE, key).splitlines()[1:])
    assert said["dns_rfc2136_name"] == f"sftdyn-acme.{ZONE}."
    assert said["dns_rfc2136_algorithm"] == "HMAC-SHA256"
    assert f'secret "{said["dns_rfc2136_secret"]}"' in key
    with pytest.raises(Mistake, match="remove it, and try again"):
        acme.settings(ZONE, "")


def test_an_authority_is_asked_only_where_it_would_find_the_zone() -> None:
    fine = Shown(delegation.FINE.format(server=ZONE, addresses="203.0.113.10"))
    silent = delegation.SILENT.format(server=ZONE, address="203.0.113.10")  # behind a router it may be this machine
    wrong = delegation.NO_ADDRESS.format(server=ZONE)
    assert acme.obstacles(ZONE, [wrong, fine]) == acme.obstacles(ZONE, [silent]) == []
    assert acme.obstacles(ZONE, [wrong]) == [wrong]
    assert "no NS records" in acme.obstacles(ZONE, [])[0]


def test_what_certbot_has_made_goes_with_the_rest(root: Path) -> None:
    """Also a copy that was renewed since; what its owner has of other ways stays."""
    (root / "etc/letsencrypt/renewal-hooks/deploy").mkdir(parents=True)
    for zone, credentials in ((ZONE, "/etc/sftdyn/acme.ini"), ("b.example", "/root/mine.ini")):
        (root / "etc/letsencrypt/renewal").mkdir(exist_ok=True)
        conf = f"version = 2\n[renewalparams]\ndns_rfc2136_credentials = {credentials}\n"
        (root / f"etc/letsencrypt/renewal/{zone}.conf").write_text(conf)
        (root / f"etc/letsencrypt/archive/{zone}").mkdir(parents=True)
    for number in (1, 2):
        (root / f"etc/letsencrypt/archive/{ZONE}/privkey{number}.pem").write_text(f"key {number}")
    (root / "etc/sftdyn/server.key").write_text("key 1")
    (root / "etc/letsencrypt/renewal-hooks/deploy/sftdyn").write_text("mine")
    assert made.certified(root) == [ZONE]
    going, staying = made.leaving(root)
    assert "/etc/sftdyn/server.key" in going
    assert staying == ["/etc/letsencrypt/renewal-hooks/deploy/sftdyn"]
    (root / "etc/sftdyn/server.key").write_text("key 3")
    assert "/etc/sftdyn/server.key" in made.leaving(root)[1]
