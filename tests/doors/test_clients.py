"""The real programs, each with the configuration that `sftdyn --new-key` prints for it, and what it calls each case."""

import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sftdyn.conf.newkey import as_it_is
from sftdyn.conf.printed import chosen, templates
from sftdyn.conf.reached import Reached
from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import find_program, free_port
from tests.lab.process import Sftdyn
from tests.lab.process import exchange as raw

CLIENTS = {one.title: one.lines for one in templates()}
WRONG = "f" * 32


SECONDS = 8  # that a client may take


@dataclass(frozen=True)
class Call:
    """One run of a client: where, with which key, for which address."""

    folder: Path
    server: str
    key: str
    address: str

    def run(self, *command: str) -> "Said":
        command = (find_program(command[0], "the packages that tests/run names"), *command[1:])
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        with process:
            try:
                text, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:  # it waits before it tries again
                process.terminate()
                text, _ = process.communicate()
        return Said(process.returncode, text)

    def configured(self, title: str, *, replaced: dict[str, str]) -> Path:
        """A file with the lines that --new-key prints for a client, changed for a server without TLS and names."""
        host, _, port = self.server.rpartition(":")
        [template] = chosen([title])
        text = as_it_is(template, "client.dyn.example", self.key, Reached("http", host, int(port)))
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "client.conf"
        path.write_text(text)
        path.chmod(0o600)
        return path


@dataclass(frozen=True)
class Said:
    status: int
    text: str


def curl(call: Call) -> Said:
    return call.run("curl", "-sS", "--fail", f"http://{call.server}/{call.key}?ip={call.address}")


def curl_with_password(call: Call) -> Said:
    return call.run(
        "curl", "-sS", "--fail", "-u", f"any:{call.key}", f"http://{call.server}/update?myip={call.address}"
    )


def wget(call: Call) -> Said:
    url = f"http://{call.server}/nic/update?hostname=client.dyn.example&myip={call.address}"
    return call.run("wget", "-nv", "-O-", "--tries=1", "--user", "any", "--password", call.key, url)


def busybox_wget(call: Call) -> Said:
    return call.run("busybox", "wget", "-O-", f"http://{call.server}/{call.key}?myip={call.address}")


def ddclient(call: Call) -> Said:
    replaced = {"use=web, web=http://" + call.server + "/": f"use=ip, ip={call.address}"}
    path = call.configured("ddclient", replaced=replaced)
    return _ddclient(call, path)


def ddclient_two_hosts(call: Call) -> Said:
    replaced = {
        "use=web, web=http://" + call.server + "/": f"use=ip, ip={call.address}",
        "\nclient.dyn.example": "\nclient.dyn.example,second.dyn.example",
    }
    return _ddclient(call, call.configured("ddclient", replaced=replaced))


def _ddclient(call: Call, path: Path) -> Said:
    cache = call.folder / "ddclient.cache"
    cache.unlink(missing_ok=True)  # or it would not even ask a second time
    return call.run("ddclient", "-daemon=0", "-noquiet", "-timeout=10", "-file", str(path), "-cache", str(cache))


def inadyn(call: Call) -> Said:
    checkip = f"checkip-server = {call.server}\n    checkip-path = /"
    replaced = {checkip: f'checkip-command = "/bin/echo {call.address}"'}
    return _inadyn(call, call.configured("inadyn", replaced=replaced))


def inadyn_secret_url(call: Call) -> Said:
    """Without a `%` in the path, inadyn appends the host name, so the path ends as a parameter that is ignored."""
    path = call.folder / "client.conf"
    path.write_text(
        f'allow-ipv6 = true\ncustom sftdyn {{\n ssl = false\n ddns-server = {call.server}\n ddns-path = "/{call.key}?ip={call.address}&host="\n'
        " ddns-response = { OK, UPTODATE }\n hostname = client.dyn.example\n username = any\n password = any\n"
        f' checkip-command = "/bin/echo {call.address}"\n}}\n'
    )
    return _inadyn(call, path)


def _inadyn(call: Call, path: Path) -> Said:
    command = ("inadyn", "--once", "--foreground", "--force", "-f", str(path), "--cache-dir", str(call.folder))
    return call.run(*command, "--loglevel=info")


@dataclass(frozen=True)
class Case:
    """A client, and what it says when all is well, when nothing changed, for a wrong password, without a server."""

    client: Callable[[Call], Said]
    changed: str
    same: str
    wrong: tuple[int, str]
    down: tuple[int, str]
    trouble: str


SILENT = r"FAILED|\A\s*\Z"  # ddclient up to 3.11 says nothing of a 503, and asks again at its next turn
# Where there are two wordings, the second is that of Debian 13. ddclient 3.11 names the family, and for each host all
# hosts of the request; inadyn 2.11 has words of its own and does not show ours.
CASES = [
    Case(curl, r"^OK$", r"^UPTODATE$", (22, "403"), (7, "connect to"), "500"),
    Case(curl_with_password, r"^OK$", r"^UPTODATE$", (22, "403"), (7, "connect to"), "500"),
    Case(wget, r"^good {}", r"^nochg {}", (6, "Authentication Failed"), (4, "Connection refused"), "503"),
    Case(busybox_wget, r"^OK", r"^UPTODATE", (1, "403 Forbidden"), (1, "Connection refused"), "500"),
    Case(
        ddclient,
        r"^SUCCESS: +updating client.dyn.example: good: IP({family})? address set to {}$",
        r"^WARNING: +updating client.dyn.example: nochg: No update required",
        (1, "FAILED: +.*badauth"),
        (1, "FAILED"),
        SILENT,
    ),
    Case(
        ddclient_two_hosts,
        r"^SUCCESS: +updating (second.dyn.example: good: IP|{both}: good: IP{family}) address set to {}$",
        r"^WARNING: +updating (second.dyn.example|{both}): nochg: No update required",
        (1, "FAILED: +.*badauth"),
        (1, "FAILED"),
        SILENT,
    ),
    Case(
        inadyn,
        r"Successful alias table update for client.dyn.example => new IP# {}",
        r"Successful alias table update",
        (50, "badauth|Error code 50: Authentication failure"),
        (0, "Failed connecting"),
        "911|DDNS server busy, try later",
    ),
    Case(
        inadyn_secret_url,
        r"Successful alias table update for client.dyn.example => new IP# {}",
        r"Successful alias table update",
        (50, r"403 Forbidden\] BADKEY|Error code 50: Authentication failure"),
        (0, "Failed connecting"),
        r"500 Internal Server Error\] FAIL|Temporary error in DDNS server response: DDNS server busy, try later",
    ),
]


@pytest.fixture(scope="session")
def matrix() -> Iterator[dict[str, dict[str, str]]]:
    """Client → case → what the client said; printed by `pytest -s`."""
    table: dict[str, dict[str, str]] = {}
    yield table
    for client, said in table.items():
        for case, gist in said.items():
            print(f"{client:20} {case:8} {gist}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.client.__name__))
@pytest.mark.parametrize(
    "addresses", [("192.0.2.7", "192.0.2.8"), ("2001:db8::7", "2001:db8::8")], ids=["IPv4", "IPv6"]
)
def test_a_client_calls_each_case_what_it_is(
    case: Case,
    addresses: tuple[str, str],
    serve: ServeFixture,
    bind: Bind,
    tmp_path: Path,
    matrix: dict[str, dict[str, str]],
) -> None:
    first, second = addresses
    names = ["client.dyn.example", "second.dyn.example"]
    bind.edit("zone dyn.example", *(f"update delete {name}" for name in names))
    served = serve(conf(bind, clients={KEY: names}))
    server = f"127.0.0.1:{served.port()}"
    said = matrix.setdefault(f"{case.client.__name__} {'v6' if ':' in first else 'v4'}", {})

    def call(name: str, key: str, address: str, expected: str, status: int | None = 0) -> None:
        what = case.client(Call(tmp_path, server, key, address))
        family = "v6" if ":" in address else "v4"
        wanted = expected.format(re.escape(address), family=family, both=",".join(names))
        found = re.search(wanted, what.text, re.M)
        assert found, what.text
        line = next((line for line in what.text.splitlines() if found[0] in line), "")
        said[name] = f"{line.strip()[-100:]} (exit {what.status})"
        assert status is None or what.status == status, what.text

    kind = "AAAA" if ":" in first else "A"
    call("first", KEY, first, case.changed)
    assert bind.lookup(names[0], kind) == [first]
    call("repeated", KEY, first, case.same)
    call("changed", KEY, second, case.changed)
    assert bind.lookup(names[0], kind) == [second]
    call("wrong", WRONG, first, case.wrong[1], case.wrong[0])
    assert bind.lookup(names[0], kind) == [second]
    served.stop()
    call("down", KEY, first, case.down[1], case.down[0])

    if ":" in first:
        return  # it makes no difference, and inadyn takes its time
    alone = serve(conf(bind, clients={KEY: names}, server=f"127.0.0.1:{free_port()}", timeout=0.5))
    server = f"127.0.0.1:{alone.port()}"
    call("trouble", KEY, first, case.trouble, None)


def test_inadyn_asks_for_the_address_itself(client_of: Callable[..., Sftdyn], bind: Bind, tmp_path: Path) -> None:
    hook = "def get_ip(source_ip, headers, key): return '192.0.2.7'\n"  # inadyn takes no loopback address
    served = client_of("client.dyn.example", more=hook)
    call = Call(tmp_path, f"127.0.0.1:{served.port()}", KEY, "")
    path = call.configured("inadyn", replaced={})
    assert "new IP# 192.0.2.7" in _inadyn(call, path).text
    assert bind.lookup("client.dyn.example") == ["192.0.2.7"]


def test_ddclient_asks_for_the_address_itself(client_of: Callable[..., Sftdyn], bind: Bind, tmp_path: Path) -> None:
    served = client_of("client.dyn.example")
    call = Call(tmp_path, f"127.0.0.1:{served.port()}", KEY, "")
    said = _ddclient(call, call.configured("ddclient", replaced={})).text
    assert re.search("good: IP(v4)? address set to 127.0.0.1$", said, re.M), said
    assert bind.lookup("client.dyn.example") == ["127.0.0.1"]


@pytest.mark.parametrize("bits", [64, 56])
def test_fritzbox(client_of: Callable[..., Sftdyn], bind: Bind, bits: int) -> None:
    """Octet by octet what the box sends, placeholders filled in without escaping, made-up credentials included."""
    lan = '{"nas.dyn.example": "::21f:3bff:fe12:3456", "web.dyn.example": "0:0:0:fc::8"}'
    served = client_of("fritz.dyn.example", "nas.dyn.example", "web.dyn.example")
    served.stop()
    served = client_of("nas.dyn.example", more=f'clients["{KEY}"] = Client("fritz.dyn.example", lan={lan})\n')
    [line] = [line for line in CLIENTS["FRITZ!Box"].splitlines() if line.startswith("Update URL:")]
    path = line.partition("https://dyn.example")[2].replace("KEY", KEY)
    values = {"ipaddr": "192.0.2.7", "ip6addr": "2001:db8:b045:de00::7", "ip6lanprefix": f"2001:db8:b045:de00::/{bits}"}
    for name, value in values.items():
        path = path.replace(f"<{name}>", value)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: dyn.example\r\nUser-Agent: Fritz!Box DDNS/1.0.1\r\n"
        "Authorization: Basic YW55OmFueQ==\r\nConnection: close\r\n\r\n"
    ).encode()
    assert raw(served, request).endswith(b"\r\n\r\nOK")
    assert bind.lookup("fritz.dyn.example") == ["192.0.2.7"]
    assert bind.lookup("fritz.dyn.example", "AAAA") == ["2001:db8:b045:de00::7"]
    assert bind.lookup("nas.dyn.example", "AAAA") == ["2001:db8:b045:de00:21f:3bff:fe12:3456"]
    assert bind.lookup("web.dyn.example", "AAAA") == ["2001:db8:b045:defc::8"]
    assert raw(served, request).endswith(b"\r\n\r\nUPTODATE")


def test_fritzbox_dyndns2(client_of: Callable[..., Sftdyn], bind: Bind) -> None:
    served = client_of("fritz.dyn.example")
    token = "YW55OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"
    request = (
        "GET /nic/update?hostname=fritz.dyn.example&myip=192.0.2.7,2001:db8::7 HTTP/1.1\r\nHost: dyn.example\r\n"
        f"Authorization: Basic {token}\r\nUser-Agent: Fritz!Box DDNS/1.0.1\r\n\r\n"
    ).encode()
    assert raw(served, request).endswith(b"\r\n\r\ngood 192.0.2.7,2001:db8::7")
    assert raw(served, request).endswith(b"\r\n\r\nnochg 192.0.2.7,2001:db8::7")


def test_two_urls_of_old_fritzbox_firmware_in_one_path(client_of: Callable[..., Sftdyn], bind: Bind) -> None:
    served = client_of("fritz.dyn.example")
    for path, answer in (
        (f"/{KEY}?myip=192.0.2.7 http://dyn.example/{KEY}?myip=2001:db8::7", b"OK"),
        (f"/{KEY}?myip=192.0.2.7 https://dyn.example/{KEY}?myip=2001:db8::7", b"UPTODATE"),
        (f"/{KEY} http://dyn.example/{KEY}", b"OK"),
        (f"/{WRONG} http://dyn.example/{KEY}", b"BADKEY"),
    ):
        assert raw(served, f"GET {path} HTTP/1.1\r\nHost: dyn.example\r\n\r\n".encode()).endswith(b"\r\n\r\n" + answer)


@pytest.mark.parametrize(
    "path", ["//nic/update", "/%5c/nic/update", "/%5C/nic/update", "/\\/nic/update", "/nic/update"]
)
def test_unifi(client_of: Callable[..., Sftdyn], bind: Bind, path: str) -> None:
    """inadyn's own request, to the paths that the form makes of what users write."""
    served = client_of("unifi.dyn.example")
    request = (
        f"GET {path}?hostname=unifi.dyn.example&myip=2001%3adb8%3a%3a7 HTTP/1.0\r\nHost: dyn.example\r\n"
        "Authorization: Basic YW55OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm\r\n"
        "User-Agent: inadyn/2.9.1 https://github.com/troglobit/inadyn/issues\r\nConnection: keep-alive\r\n\r\n"
    ).encode()
    assert raw(served, request).endswith(b"\r\n\r\ngood 2001:db8::7")
    assert bind.lookup("unifi.dyn.example", "AAAA") == ["2001:db8::7"]


@pytest.mark.parametrize(
    ("title", "marker", "placeholder"),
    [
        ("pfSense", "https://dyn.example", "%IP%"),
        ("OPNsense", "https://dyn.example", "__MYIP__"),
    ],
)
def test_routers_with_a_url_of_their_own(
    client_of: Callable[..., Sftdyn], bind: Bind, title: str, marker: str, placeholder: str
) -> None:
    served = client_of("router.dyn.example")
    [line] = [line for line in CLIENTS[title].splitlines() if marker in line]
    path = line.partition("https://dyn.example")[2].replace("KEY", KEY)
    answers = [
        served.get(path.replace(placeholder, address)).text for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8")
    ]
    assert answers == ["OK", "UPTODATE", "OK"]
    assert bind.lookup("router.dyn.example") == ["192.0.2.8"]


def json_of(title: str) -> Any:
    """What stands in braces in a client's file."""
    return json.loads(re.findall(r"^\{.*?^\}", CLIENTS[title], re.M | re.S)[0])


@pytest.mark.parametrize("transfer", ["curl -RsS -o", "wget -nv -t 1 --no-proxy -O"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_openwrt(client_of: Callable[..., Sftdyn], bind: Bind, tmp_path: Path, transfer: str, family: str) -> None:
    """What ddns-scripts runs: one of its programs, and a grep for the provider's answer."""
    served = client_of("router.dyn.example")
    kind, first, second = {
        "ipv4": ("A", "192.0.2.7", "192.0.2.8"),
        "ipv6": ("AAAA", "2001:db8::7", "2001:db8::8"),
    }[family]
    provider = json_of("OpenWrt")
    assert f"option service_name '{provider['name']}'" in CLIENTS["OpenWrt"]

    def is_success(key: str, address: str) -> bool:
        said = tmp_path / "said"
        said.write_text("")
        url = provider[family]["url"].replace("[PASSWORD]", key).replace("[IP]", address)
        url = url.replace("https://dyn.example", f"http://127.0.0.1:{served.port()}")
        got = subprocess.run([*transfer.split(), said, url], capture_output=True, timeout=30, check=False)
        found = ["grep", "-i", "-E", provider[family]["answer"], said]
        return not got.returncode and not subprocess.run(found, capture_output=True, check=False).returncode

    assert [is_success(KEY, address) for address in (first, first, second)] == [True, True, True]
    assert bind.lookup("router.dyn.example", kind) == [second]
    assert not is_success(WRONG, first)
    assert not is_success(KEY, "127.0.0.1.2")
    assert bind.lookup("router.dyn.example", kind) == [second]


def test_ddns_updater(client_of: Callable[..., Sftdyn], bind: Bind) -> None:
    """Octet by octet what it sends; it keeps the first family's parameter in the URL when it sends the other's."""
    served = client_of("updater.dyn.example")
    [settings] = json_of("ddns-updater")["settings"]
    assert settings["url"].startswith("https://")

    def answer(key: str, **addresses: str) -> tuple[bytes, bool]:
        query = "&".join(f"{settings[family]}={quote(address)}" for family, address in addresses.items())
        target = settings["url"].partition("https://dyn.example")[2].replace("KEY", key)
        request = (
            f"GET {target}?{query} HTTP/1.1\r\nHost: dyn.example\r\nUser-Agent: DDNS-Updater\r\n"
            "Accept-Encoding: gzip\r\n\r\n"
        ).encode()
        head, _, body = raw(served, request).partition(b"\r\n\r\n")
        status = head.split()[1]
        return status, status == b"200" and bool(re.search(settings["success_regex"], body.decode()))

    assert answer(KEY, ipv4key="192.0.2.7") == (b"200", True)
    assert answer(KEY, ipv4key="192.0.2.7", ipv6key="2001:db8::7") == (b"200", True)
    assert answer(KEY, ipv4key="192.0.2.7", ipv6key="2001:db8::7") == (b"200", True)
    assert bind.lookup("updater.dyn.example") == ["192.0.2.7"]
    assert bind.lookup("updater.dyn.example", "AAAA") == ["2001:db8::7"]
    assert answer(WRONG, ipv4key="192.0.2.8") == (b"403", False)
    assert bind.lookup("updater.dyn.example") == ["192.0.2.7"]


@pytest.mark.parametrize("more", ["", "&username=__USERNAME__&password=__PASSWORD__"], ids=["header", "query"])
@pytest.mark.parametrize("upper", [False, True], ids=["small", "CAPITALS"])
def test_synology(client_of: Callable[..., Sftdyn], bind: Bind, upper: bool, more: str) -> None:
    """The query URL with the form's values in it; Synology's own example has the names in capitals, and all four."""
    served = client_of("synology.dyn.example")
    [line] = [line for line in CLIENTS["Synology"].splitlines() if line.startswith("Query URL:")]
    path = line.partition("https://dyn.example")[2] + more
    assert "__PASSWORD__" not in line
    if upper:
        path = re.sub(r"(\w+)=", lambda name: name[0].upper(), path)

    def answer(key: str, hostname: str = "synology.dyn.example", address: str = "192.0.2.7") -> bytes:
        target = path
        values = {"HOSTNAME": hostname, "MYIP": address, "USERNAME": "any", "PASSWORD": key}
        for name, value in values.items():
            target = target.replace(f"__{name}__", value)
        head = f"Host: dyn.example\r\nAccept: */*\r\n{'' if more else basic(key)}"
        return raw(served, f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())

    assert answer(KEY).endswith(b"\r\n\r\ngood 192.0.2.7")
    assert answer(KEY).endswith(b"\r\n\r\nnochg 192.0.2.7")
    assert bind.lookup("synology.dyn.example") == ["192.0.2.7"]
    assert answer(WRONG, address="192.0.2.8").endswith(b"\r\n\r\nbadauth")
    assert answer(KEY, "other.dyn.example", "192.0.2.8").endswith(b"\r\n\r\nnohost")
    assert bind.lookup("synology.dyn.example") == ["192.0.2.7"]


def basic(key: str) -> str:
    """The header of Basic authentication."""
    return f"Authorization: Basic {b64encode(f'any:{key}'.encode()).decode()}\r\n"


def test_opnsense_dyndns2(client_of: Callable[..., Sftdyn], bind: Bind) -> None:
    served = client_of("opn.dyn.example")
    headers = {"Authorization": "Basic YW55OjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"}
    target = "/nic/update?hostname=opn.dyn.example&myip=192.0.2.7&system=dyndns&wildcard=NOCHG"
    assert served.get(target, headers=headers).text == "good 192.0.2.7"
