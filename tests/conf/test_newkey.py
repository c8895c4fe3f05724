"""A new key, and the lines for clients."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sftdyn.conf.config import Config, load
from sftdyn.conf.newkey import as_it_is, commented, lines, new_key
from sftdyn.conf.printed import CERTIFICATE, Template, chosen, templates
from sftdyn.conf.reached import Reached, reached
from sftdyn.values.mistake import Mistake
from tests.conftest import KEY
from tests.lab.conf import conf, tls
from tests.lab.machine import ROOT, run

WRONG = "f" * 32
HERE = Reached("https", "dyn.example", 443)
PLAIN = Reached("http", "ddns.test", 8080)
EACH = pytest.mark.parametrize("template", templates(), ids=lambda template: str(template.title))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "conf"
    path.touch(mode=0o600)
    return path


def loaded(path: Path, text: str) -> Config:
    path.write_text(text)
    return load(path)


def called(path: Path, text: str, url: str | None = None) -> Reached:
    """Where clients of a conf are told to call."""
    return reached("home.dyn.example", loaded(path, text), url)


@pytest.fixture(scope="session")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for dyn.example that no public authority vouches for."""
    return certificate_for(tmp_path_factory.mktemp("own"), "DNS:dyn.example,IP:192.0.2.1")


def certificate_for(folder: Path, names: str) -> Path:
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=x".split()
    files = ["-keyout", "server.key", "-out", "server.crt"]
    run("openssl", "openssl", *command, *files, "-addext", f"subjectAltName={names}", folder=folder)
    return folder


# The files.


@EACH
def test_each_client_has_a_file_whose_lines_and_limits_are_printed(template: Template) -> None:
    text = (ROOT / "etc/clients" / re.sub("[^a-z0-9]+", "-", template.title.lower()).strip("-")).read_text()
    head, _, body = text.partition("\n\n")
    printed = as_it_is(template, "home.dyn.example", "KEY", HERE)
    assert printed.partition("\n\n")[2] == body.strip()
    limits = "\n".join(f"# {line}" if line else "#" for line in template.limits)
    assert limits
    assert limits in printed
    left_out = [line for line in head.splitlines()[1:] if line not in printed]
    assert all(line.startswith(("# Also called: ", "# KEY is the key in the conf; ")) for line in left_out)
    assert len(left_out) <= 2
    assert max(map(len, head.splitlines())) <= 120


@EACH
def test_nothing_of_the_files_own_values_is_left_where_others_are_filled_in(template: Template) -> None:
    printed = as_it_is(template, "cam.home.test", WRONG, PLAIN).partition("\n\n")[2]
    left = ("example", "KEY", "https:", "ssl=yes", "ssl = true", "use_https '1'", "Protocol: https", "Type: Https")
    assert not [word for word in left if word in printed]
    assert "cam.home.test" in printed or WRONG in printed or not printed


def test_two_clients_have_no_name_in_common() -> None:
    names = [re.sub("[^a-z0-9]", "", name.lower()) for one in templates() for name in (one.title, *one.also)]
    assert sorted(names) == sorted(set(names))


# Which clients.


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[(name, "FRITZ!Box") for name in ("FRITZ!Box", "fritz-box", "fritzbox", "fritz", "avm")],
        *[("udm", "UniFi"), ("usg", "EdgeOS"), ("glinet", "OpenWrt"), ("systemd", "systemd timer")],
        *[("routeros", "MikroTik"), ("cisco", "Cisco IOS"), ("busybox", "wget"), ("ASUS", "ASUS Merlin")],
    ],
)
def test_one_router_gets_one_block_by_whatever_name(written: str, meant: str) -> None:
    text = new_key("home.dyn.example", written)
    assert re.findall("^# --- (.*)$", text, re.M) == [meant]


def test_two_names_of_one_router_get_one_block() -> None:
    assert [one.title for one in chosen(["fritz", "avm", "curl"])] == ["FRITZ!Box", "curl"]


def test_a_router_that_nobody_knows_gets_the_names_of_those_that_are_known() -> None:
    with pytest.raises(Mistake, match=r"write one of: .*FRITZ!Box.*systemd timer"):
        new_key("home.dyn.example", "toaster")


# The block.


def test_the_block_can_be_appended_to_the_conf_as_it_is(path: Path) -> None:
    block = new_key("home.dyn.example", config=loaded(path, "http = 8080\n"))
    config = loaded(path, f"http = 8080\n{block}\n")
    assert [client.names for client in config.clients] == [("home.dyn.example.",)]
    assert [line[:9] for line in block.splitlines() if not line.startswith("#")] == ['clients["']
    assert block.count("# --- ") == len(templates())


@EACH
def test_the_lines_come_out_of_the_comments_as_they_are(template: Template) -> None:
    block = commented(template, "home.dyn.example", WRONG, HERE)
    taken = [line.removeprefix("#     ") if line.startswith("#     ") else line for line in block.splitlines()]
    wanted = as_it_is(template, "home.dyn.example", WRONG, HERE).partition("\n\n")[2].splitlines()
    assert taken[-len(wanted) :] == wanted


@pytest.mark.parametrize("name", ["no_name.example", "home", "localhost.", "192.0.2.1"])
def test_a_name_that_is_none_or_has_no_dot_is_refused(name: str) -> None:
    with pytest.raises(Mistake, match=r"a dot|a host name has|an address"):
        new_key(name)


# Where clients call.


@pytest.mark.parametrize(
    "url",
    [
        *["dyn.example", "ftp://dyn.example", "https://", "https://dyn.example:0", "https://dyn.example:x"],
        *["https://dyn.example/update", "https://me@dyn.example", "https://dyn.example/?a=b", "https://dyn.example#a"],
        *["https://:8080", "https://dyn_.example", "https://[::1"],
    ],
)
def test_a_url_that_the_lines_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(Mistake, match=r"--url: write it like https://dyn\.example or http://dyn\.example:8080"):
        new_key("home.dyn.example", url=url)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://dyn.example:8080/", "http://dyn.example:8080"),
        ("HTTPS://DYN.example:443", "https://dyn.example"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
        ("http://192.0.2.1:8080", "http://192.0.2.1:8080"),
        ("https://dyn.exa\nmple", "https://dyn.example"),
    ],
)
def test_a_url_is_what_clients_call(url: str, meant: str) -> None:
    assert reached("home.dyn.example", None, url).url == meant


def test_the_lines_for_clients_name_the_server() -> None:
    text = new_key("home.dyn.example", url="http://dyn.example:8080/")
    assert "#     curl -sS --fail 'http://dyn.example:8080/" in text
    assert "#     server=dyn.example:8080\n#     ssl=no" in text
    assert "Update server address: dyn.example\n#     Protocol: http\n#     Port: 8080" in text
    assert "curl -sS --fail 'https://dyn.example/" in new_key("home.dyn.example")


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ("http = 8080", "http://dyn.example:8080"),
        ("http = 80", "http://dyn.example"),
        ('http = ["127.0.0.1:8000", "[::]:8080"]', "http://dyn.example:8080"),
        ('http = "127.0.0.1:8080"', "https://dyn.example"),
        ('http = ["127.0.0.2:8080", "192.0.2.1:0"]', "https://dyn.example"),
        ('http = 8080\ntrusted_proxies = ["10.0.0.0/8"]', "https://dyn.example"),
        ('http = 8080\nhttps = 4443\nkey = "server.key"\ncert = "server.crt"', "https://dyn.example:4443"),
        ('https = 443\nkey = "server.key"\ncert = "server.crt"', "https://dyn.example"),
    ],
)
def test_scheme_and_port_are_those_of_the_conf(path: Path, own_certificate: Path, settings: str, meant: str) -> None:
    text = settings.replace("server.", f"{own_certificate}/server.")
    assert called(path, text).url == meant
    assert called(path, text, "https://other.example:1").url == "https://other.example:1"


def test_the_host_is_one_that_the_certificate_is_good_for(path: Path, tmp_path: Path) -> None:
    for names, host in (
        ("DNS:ddns.example,DNS:x", "ddns.example"),
        ("DNS:*.example", "dyn.example"),
        ("IP:192.0.2.1,DNS:x", "dyn.example"),
    ):
        folder = tmp_path / host / names[:6]
        folder.mkdir(parents=True)
        text = conf(http=None, https=443, **tls(certificate_for(folder, names)))
        assert called(path, text).url == f"https://{host}"


# A certificate of one's own.


def test_clients_get_the_line_that_makes_them_believe_a_certificate_of_ones_own(
    path: Path, own_certificate: Path
) -> None:
    config = loaded(path, conf(http=None, https=4443, **tls(own_certificate)))
    text = new_key("home.dyn.example", config=config)
    assert f"{own_certificate}/server.crt (or of the certificate that signed it) as {CERTIFICATE}" in text
    for line in (
        f"ssl_ca_file={CERTIFICATE}",
        f'ca-trust-file = "{CERTIFICATE}"',
        f"option cacert '{CERTIFICATE}'",
        f"curl -sS --fail --cacert {CERTIFICATE} 'https://dyn.example:4443/",
        f'cacert = "{CERTIFICATE}"',
        f"wget -qO- --ca-certificate={CERTIFICATE} 'https://dyn.example:4443/",
    ):
        assert f"#     {line}" in text.replace("#         option", "#     option"), line
    assert "busybox wget -qO- 'https" in text
    unifi = text.partition("# --- UniFi")[2].partition("# ---")[0]
    assert "Not with the certificate of this server: it wants one of a public authority." in unifi
    assert "Password" not in unifi
    for elsewhere in ("http://dyn.example", "https://proxy.example"):
        assert "option cacert '/etc/sftdyn.crt'\n" not in new_key("home.dyn.example", config=config, url=elsewhere)


def test_a_certificate_that_this_system_believes_needs_no_line(
    path: Path, own_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = conf(http=None, https=4443, **tls(own_certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(own_certificate / "server.crt"))
    assert called(path, text).own is None
    monkeypatch.delenv("SSL_CERT_FILE")
    assert called(path, text).own == own_certificate / "server.crt"


@pytest.mark.parametrize("title", ["ddns-updater", "UniFi", "EdgeOS", "VyOS"])
def test_a_client_that_calls_https_only_gets_no_lines_for_http(title: str) -> None:
    text = new_key("home.dyn.example", title, url="http://dyn.example")
    assert text.endswith("\n# Not with http://dyn.example: it calls HTTPS only.")


# --lines.


def printed(path: Path, key: str, *clients: str, name: str = "home.dyn.example") -> str:
    return lines(name, *clients, ask=lambda: key, config=load(path))


def test_lines_are_for_a_client_that_the_conf_has_whose_key_it_may_have_as_a_hash(path: Path) -> None:
    from sftdyn.conf.clients import conf_digest

    hashed = f"sha256:{conf_digest(KEY).hex()}"
    path.write_text(f'http = 8080\nclients["{hashed}"] = "home.dyn.example"\nclients["{WRONG}"] = "b.dyn.example"\n')
    text = printed(path, KEY, "curl", "avm")
    assert f"\ncurl -sS --fail 'http://dyn.example:8080/{KEY}'" in text
    assert f"\nUpdate URL: http://dyn.example:8080/{KEY}?myip=" in text
    assert "clients[" not in text
    assert "\ncurl -sS --fail 'http://dyn.example:8080/KEY'" in printed(path, "KEY", "curl")
    for key in (WRONG, hashed, "\udcff"):
        with pytest.raises(Mistake, match="not the key of a client with this name") as error:
            printed(path, key)
        assert key not in str(error.value)
    with pytest.raises(Mistake, match="no client of the conf has this name; --new-key makes one"):
        printed(path, KEY, name="other.dyn.example")
    path.write_text("def get_host(querystring, ip): return 'a.example'\nhttp = 8080\n")
    assert f"8080/{WRONG}'" in printed(path, WRONG, "curl")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sftdyn", *arguments]


def test_without_a_terminal_the_lines_have_KEY(path: Path) -> None:  # noqa: N802
    path.write_text(f'http = 8080\nclients["{KEY}"] = "home.dyn.example"\n')
    done = subprocess.run(
        command(str(path), "--lines", "home.dyn.example", "curl", "--url", "https://d.example"),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\ncurl -sS --fail 'https://d.example/KEY'" in done.stdout


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_at_a_terminal_the_key_is_asked_for_and_not_shown(path: Path, terminal: tuple[int, int]) -> None:
    path.write_text(f'http = 8080\nclients["{KEY}"] = "home.dyn.example"\n')
    mine, theirs = terminal
    arguments = [str(path), "--lines", "home.dyn.example", "curl"]
    with subprocess.Popen(
        ["setsid", "--ctty", *command(*arguments)], cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    ) as asking:
        shown = b""
        while b"stands for it): " not in shown:
            shown += os.read(mine, 1024)
        os.write(mine, f"{KEY}\n".encode())
        assert asking.stdout
        said = asking.stdout.read().decode()
    assert shown.startswith(b"The key of home.dyn.example")
    assert f"/{KEY}'" in said
    os.set_blocking(mine, False)
    assert KEY.encode() not in os.read(mine, 1024)


def test_a_conf_that_cannot_work_is_named_where_a_key_is_made_for_it(path: Path) -> None:
    path.write_text("http = nonsense\n")
    done = subprocess.run(
        command(str(path), "--new-key", "home.dyn.example"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{path}:1" in done.stderr
    text = new_key("home.dyn.example", "curl", trouble="/etc/sftdyn/conf: cannot read the conf: Permission denied")
    assert "# /etc/sftdyn/conf: cannot read the conf: Permission denied, so where clients call is a guess:\n" in text
