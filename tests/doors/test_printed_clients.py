"""What clients send that cannot be had here, octet by octet from the lines that are printed for them.

The sources of each are named. Where a router's form becomes the configuration of a program, that program is run.
"""

import re
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sftdyn.conf.newkey import as_it_is
from sftdyn.conf.printed import chosen
from sftdyn.conf.reached import Reached
from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf, tls
from tests.lab.machine import find_program
from tests.lab.process import Sftdyn
from tests.lab.process import exchange as raw

NAME = "printed.dyn.example"
FOUR, SIX = "192.0.2.7", "2001:db8::7"
WRONG = "f" * 32
ClientOf = Callable[..., Sftdyn]


def printed(title: str, server: Reached | None = None, key: str = KEY) -> str:
    """The lines for a client."""
    [template] = chosen([title])
    whole = as_it_is(template, NAME, key, server or Reached("https", "dyn.example", 443))
    return whole.partition("\n\n")[2]


def value(title: str, field: str) -> str:
    """What goes into a field of a form."""
    [found] = re.findall(rf"^{re.escape(field)}: (.*)$", printed(title), re.MULTILINE)
    return str(found)


def path_of(url: str) -> str:
    return url.partition("https://dyn.example")[2]


def basic(user: str, password: str) -> str:
    return f"Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


class Sent(NamedTuple):
    """Request line without GET, and headers behind Host; the words for changed and unchanged."""

    target: str
    headers: str
    words: tuple[str, str] = ("OK", "UPTODATE")


DYNDNS2 = (f"good {FOUR}", f"nochg {FOUR}")


def draytek() -> Sent:
    """DrayTek, knowledge base, "How to set up a customized DDNS": the placeholder is replaced; Basic by the form."""
    target = value("DrayTek", "Service API").replace("###IP###", FOUR)
    return Sent(f"{target} HTTP/1.1", basic("any", "any") + "User-Agent: DrayTek/VigorRouter\r\n")


def cisco() -> Sent:
    """Cisco, Dynamic DNS Support for IOS: <a> is the address, <h> the host name; HTTP/1.0."""
    [url] = re.findall("add (https://.*)", printed("Cisco IOS"))
    assert "@" not in url
    return Sent(f"{path_of(url).replace('<a>', FOUR)} HTTP/1.0", "User-Agent: cisco-IOS\r\n")


def lancom() -> Sent:
    """LANCOM, reference of the action table: %a is the WAN's IPv4 address."""
    [url] = re.findall("Action: (https://.*)", printed("LANCOM"))
    return Sent(f"{path_of(url).replace('%a', FOUR)} HTTP/1.1", "Connection: close\r\n")


def speedport() -> Sent:
    """nsupdate.info's help for the Speedport Hybrid, whose server speaks dyndns2 alone."""
    assert (value("Speedport", "Update server address"), value("Speedport", "Port")) == ("dyn.example", "443")
    target = f"/nic/update?hostname={value('Speedport', 'Domain name')}&myip={FOUR}"
    headers = basic(value("Speedport", "User name"), value("Speedport", "Password"))
    return Sent(f"{target} HTTP/1.1", headers, DYNDNS2)


def freshtomato() -> Sent:
    """Its mdu.c, update_custom: the first @IP (or @IP6) of the path is replaced, which has room for 255 octets."""
    first, second = re.findall("^URL: (.*)$", printed("FreshTomato"), re.MULTILINE)
    assert "@IP6" not in first
    assert second.endswith("myipv6=@IP6")
    assert len(first) < 255
    return Sent(f"{path_of(first).replace('@IP', FOUR)} HTTP/1.1", "Accept: */*\r\nUser-Agent: mdu\r\n")


def qnap() -> Sent:
    """QTS's user guide, customized DDNS: %IP% and %HOST% in the URL."""
    return Sent(f"{path_of(value('QNAP', 'URL')).replace('%IP%', FOUR)} HTTP/1.1", basic("any", "any"))


def ddns_go() -> Sent:
    """Its dns/callback.go: GET where the body is empty, with a Content-Type all the same."""
    assert "\nRequestBody:\n" in printed("ddns-go")
    target = path_of(value("ddns-go", "URL")).replace("#{ip}", FOUR)
    headers = "User-Agent: Go-http-client/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return Sent(f"{target} HTTP/1.1", f"{headers}Accept-Encoding: gzip\r\n")


@pytest.mark.parametrize(
    "client", [draytek, cisco, lancom, speedport, freshtomato, qnap, ddns_go], ids=lambda one: str(one.__name__)
)
def test_a_router_that_names_its_address(client_of: ClientOf, bind: Bind, client: Callable[[], Sent]) -> None:
    sent = client()
    served = client_of(NAME)
    request = f"GET {sent.target}\r\nHost: dyn.example\r\n{sent.headers}\r\n".encode()
    for word in sent.words:
        answer = raw(served, request)
        assert answer.startswith(b"HTTP/1.")
        assert answer.endswith(f"\r\n\r\n{word}".encode())
    assert bind.lookup(NAME) == [FOUR]


@pytest.mark.parametrize(
    ("title", "headers"),
    [
        (
            "PowerShell",
            "User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1\r\n",
        ),
        ("Home Assistant", "User-Agent: HomeAssistant/2025.1.0 aiohttp/3.11.11 Python/3.13\r\nAccept: */*\r\n"),
    ],
)
def test_a_program_whose_connection_has_the_address(client_of: ClientOf, bind: Bind, title: str, headers: str) -> None:
    served = client_of(NAME)
    [path] = re.findall(r"""https://dyn\.example(/[^'"]*)['"]""", printed(title))
    request = f"GET {path} HTTP/1.1\r\nHost: dyn.example\r\n{headers}Connection: Keep-Alive\r\n\r\n".encode()
    assert raw(served, request).endswith(b"\r\n\r\nOK")
    assert bind.lookup(NAME) == ["127.0.0.1"]


@pytest.mark.parametrize("families", [1, 2])
def test_mikrotik(client_of: ClientOf, bind: Bind, families: int) -> None:
    """RouterOS' manual, Scripting: \\3F is a question mark. Versions 6 and 7 send this User-Agent."""
    served = client_of(NAME)
    script = printed("MikroTik")
    [start] = re.findall(r'https://dyn\.example(/.*?myip=)"', script)
    [more] = re.findall(r'"(&myipv6=)"', script)
    target = start.replace("\\3F", "?") + FOUR + (more + SIX) * (families - 1)
    request = f"GET {target} HTTP/1.1\r\nHost: dyn.example\r\nUser-Agent: Mikrotik/6.x Fetch\r\n\r\n".encode()
    assert raw(served, request).endswith(b"\r\n\r\nOK")
    assert raw(served, request).endswith(b"\r\n\r\nUPTODATE")
    assert (bind.lookup(NAME), bind.lookup(NAME, "AAAA")) == ([FOUR], [SIX] * (families - 1))


# Programs that are here.


def here(served: Sftdyn) -> Reached:
    return Reached("http", "127.0.0.1", served.port())


def run(*command: str, folder: Path, status: int = 0) -> str:
    done = subprocess.run(
        [find_program(command[0], "the packages that tests/run names"), *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_asus_merlin_tells_the_firmware_whether_it_worked(client_of: ClientOf, bind: Bind, tmp_path: Path) -> None:
    """The firmware's wiki, Custom DDNS: the address is the first argument; ddns_custom_updated wants 1 or 0."""
    served = client_of(NAME)
    told = tmp_path / "ddns_custom_updated"
    told.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/told\n")
    told.chmod(0o755)
    for key in (KEY, KEY, WRONG):
        script = printed("ASUS Merlin", here(served), key).replace("/sbin/ddns_custom_updated", str(told))
        (tmp_path / "ddns-start").write_text(script)
        run("sh", str(tmp_path / "ddns-start"), FOUR, folder=tmp_path)
    assert (tmp_path / "told").read_text().split() == ["1", "1", "0"]
    assert bind.lookup(NAME) == [FOUR]


def test_dd_wrt_runs_inadyn_with_what_its_form_says(client_of: ClientOf, bind: Bind, tmp_path: Path) -> None:
    """Its services/ddns.c writes this block, and starts inadyn with -C."""
    served = client_of(NAME)
    form = dict(re.findall("^(.*?): (.*)$", printed("DD-WRT", here(served)), re.MULTILINE))
    (tmp_path / "conf").write_text(
        f'custom namecheap {{\nusername = "{form["User Name"]}"\npassword = "{form["Password"]}"\n'
        f'hostname = {{"{form["Host Name"]}"}}\nssl = {"true" if form["Use SSL"] == "yes" else "false"}\n'
        f'ddns-server = "{form["DYNDNS Server"]}"\nddns-path = "{form["URL"]}"\n'
        f'checkip-command = "/bin/echo {FOUR}"\n}}\n'
    )
    folder = str(tmp_path)
    said = run(
        "inadyn",
        "-1",
        "-n",
        "--force",
        "-f",
        f"{folder}/conf",
        "--cache-dir",
        folder,
        "-C",
        "-l",
        "info",
        folder=tmp_path,
    )
    assert "Successful alias table update" in said
    assert bind.lookup(NAME) == [FOUR]


def test_the_command_of_inadyns_unit_runs_with_the_lines_below_it(
    client_of: ClientOf, bind: Bind, tmp_path: Path
) -> None:
    served = client_of(NAME)
    [template] = chosen(["inadyn"])
    [options] = re.findall("ExecStart=/usr/sbin/inadyn (.*)", "\n".join(template.limits))
    assert "--continue-on-error" in options
    text = printed("inadyn", here(served)).replace(
        "checkip-server", f'checkip-command = "/bin/echo {FOUR}"\ncheckip-server'
    )
    (tmp_path / "conf").write_text(text)
    run("inadyn", *options.split(), "-1", "-f", "conf", "--cache-dir", str(tmp_path), folder=tmp_path)
    assert bind.lookup(NAME) == [FOUR]


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("EdgeOS", {"login": "login", "password": "password", "server": "server", "host": "host-name"}),
        ("VyOS", {"login": "username", "password": "password", "server": "server", "host": "host-name"}),
    ],
)
def test_edgeos_and_vyos_run_ddclient_with_what_is_set(
    client_of: ClientOf, bind: Bind, tmp_path: Path, title: str, words: dict[str, str]
) -> None:
    """VyOS's template ddclient.conf.j2, and EdgeOS' vyatta-dynamic-dns.pl: these keys, and ssl=yes."""
    served = client_of(NAME)
    said = {kind: re.findall(rf"^set service .* {word} (\S+)$", printed(title), re.M) for kind, word in words.items()}
    assert said == {"login": ["any"], "password": [KEY], "server": ["dyn.example"], "host": [NAME]}
    assert " protocol dyndns2\n" in printed(title)
    (tmp_path / "conf").write_text(
        f"ssl=no\nuse=cmd, cmd='/bin/echo {FOUR}'\nprotocol=dyndns2\nlogin=any\npassword={KEY}\n"
        f"server={here(served).place}\n{NAME}\n"
    )
    (tmp_path / "conf").chmod(0o600)
    run("ddclient", "-daemon=0", "-file", f"{tmp_path}/conf", "-cache", f"{tmp_path}/cache", folder=tmp_path)
    assert bind.lookup(NAME) == [FOUR]


def test_the_lines_for_wget_and_busybox_run_as_they_are(client_of: ClientOf, bind: Bind, tmp_path: Path) -> None:
    served = client_of(NAME)
    commands = [line for line in printed("wget", here(served)).splitlines() if not line.startswith("#")]
    assert [run("sh", "-c", line, folder=tmp_path) for line in commands] == ["OK", "UPTODATE", "UPTODATE"]
    assert bind.lookup(NAME) == ["127.0.0.1"]
    wrong = [line for line in printed("wget", here(served), WRONG).splitlines() if not line.startswith("#")]
    for line, status in zip(wrong, (8, 8, 1), strict=True):
        run("sh", "-c", line, folder=tmp_path, status=status)


# A certificate that no authority vouches for.


def ddclient_over_tls(server: Reached, folder: Path) -> str:
    (folder / "conf").write_text(printed("ddclient", server).replace("/etc/sftdyn.crt", str(server.own)))
    (folder / "conf").chmod(0o600)
    if subprocess.run(["perl", "-MIO::Socket::SSL", "-e1"], capture_output=True, check=False).returncode:
        pytest.skip("without libio-socket-ssl-perl, ddclient has no TLS")
    (folder / "cache").unlink(missing_ok=True)  # or it would wait for five minutes
    command = ["ddclient", "-daemon=0", "-file", "conf", "-cache", "cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False).stderr


def inadyn_over_tls(server: Reached, folder: Path) -> str:
    text = printed("inadyn", server).replace("/etc/sftdyn.crt", str(server.own))
    (folder / "conf").write_text(
        text.replace("checkip-server", f'checkip-command = "/bin/echo {FOUR}"\n    checkip-server')
    )
    command = ["inadyn", "-1", "-n", "--force", "-f", "conf", "--cache-dir", str(folder), "-C", "-l", "info"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if "retry" in line or "Updating cache" in line:
                process.terminate()
        return said


def shell_over_tls(title: str) -> Callable[[Reached, Path], str]:
    def run(server: Reached, folder: Path) -> str:
        line = printed(title, server).splitlines()[0].replace("/etc/sftdyn.crt", str(server.own))
        done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    ("client", "host"),
    [
        (ddclient_over_tls, "127.0.0.1"),
        (inadyn_over_tls, "localhost"),
        (shell_over_tls("curl"), "localhost"),
        (shell_over_tls("wget"), "localhost"),
    ],
    ids=["ddclient", "inadyn", "curl", "wget"],
)
def test_the_line_for_a_certificate_of_ones_own_makes_a_client_believe_it_and_it_alone(
    serve: ServeFixture,
    bind: Bind,
    tmp_path: Path,
    certificate: Path,
    client: Callable[[Reached, Path], str],
    host: str,
) -> None:
    bind.edit("zone dyn.example", f"update delete {NAME}")
    served = serve(conf(bind, clients={KEY: NAME}, http=None, https=["127.0.0.1:0"], **tls(certificate)))
    for own in (None, certificate / "server.crt"):
        said = client(Reached("https", host, served.port("https"), own), tmp_path)
        assert bool(bind.lookup(NAME)) == bool(own), said
