"""What real clients do next, after each answer: the table of docs/clients.md, from real runs.

A small HTTP server says the answer, whatever is asked; so this is about the clients alone.
"""

import re
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import pytest

from sftdyn.conf.newkey import as_it_is
from sftdyn.conf.printed import chosen
from sftdyn.conf.reached import Reached
from tests.conftest import KEY, ServeFixture
from tests.lab.bind import Bind
from tests.lab.machine import ROOT, find_program
from tests.test_container import CACHE
from tests.test_install import SUDO, as_root, debootstrap

PATIENCE = 120  # seconds
AT_ONCE = 8  # clients
PERIOD = 3  # seconds between two looks of inadyn, which takes no less
ADDRESS, OTHER = "192.0.2.7", "192.0.2.8"
TABLE = re.compile(r"^\| answer \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)
PAPER = ROOT / "docs/clients.md"


class Answer(NamedTuple):
    status: int
    body: str


class Event(NamedTuple):
    """What a client did: it asked for its address, asked for an update, said something, or ended."""

    kind: str
    text: str = ""


class Scripted(ThreadingHTTPServer):
    """Tells at `/` an address, and elsewhere always the same; but first, if `good`, that all is well."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.good = False
        self._updates = 0
        self.events: Queue[Event] = Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def updates(self) -> int:
        """How many there were so far."""
        return self._updates

    def note(self, kind: str) -> None:
        """A client asked for this."""
        self._updates += kind == "update"
        self.events.put(Event(kind))


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        is_look = self.path == "/"
        is_good = self.server.good and not self.server.updates()
        status, body = Answer(200, ADDRESS if is_good else OTHER) if is_look else self.server.answer
        if is_good and not is_look:
            status, body = 200, f"good {ADDRESS}"
        self.server.note("look" if is_look else "update")
        self.send_response(status)
        for name, value in {401: [("WWW-Authenticate", 'Basic realm="x"')], 503: [("Retry-After", "300")]}.get(
            status, []
        ):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # of an error, some read the first line only
            self.wfile.write(body.encode())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


class System(NamedTuple):
    """Where clients run: here, or in another Debian."""

    root: Path
    prefix: tuple[str, ...] = ()

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, program if self.prefix else find_program(program, "as tests/run says"), *arguments]

    def version(self, program: str) -> str:
        done = subprocess.run(self.command(program, "--version"), capture_output=True, text=True, check=False)
        found = re.search(r"[0-9]+\.[0-9]+", done.stdout + done.stderr)
        assert found, done
        return found[0]


Client = Callable[[System, Scripted, Path], str]


def inadyn(system: System, server: Scripted, folder: Path, *options: str) -> str:
    """As a daemon: all is well, then the address changes. Until it is clear what it does next."""
    server.good = True
    (folder / "conf").write_text(
        f"allow-ipv6 = true\nperiod = {PERIOD}\ncustom sftdyn {{\nssl = false\nddns-server = {server.place}\n"
        'ddns-path = "/nic/update?hostname=%h&myip=%i"\nhostname = home.dyn.example\nusername = any\npassword = KEY\n'
        f"checkip-server = {server.place}\ncheckip-path = /\ncheckip-ssl = false\n}}\n"
    )
    inside = f"/{folder.relative_to(system.root)}"
    command = system.command("inadyn", "--foreground", "--no-pidfile", "-f", f"{inside}/conf", *options)
    process = subprocess.Popen(
        [*command, "--cache-dir", inside], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        hearing = threading.Thread(target=_hear, args=(process, server.events), daemon=True)
        hearing.start()
        try:
            return _what_inadyn_does(server.events)
        finally:
            process.terminate()
            hearing.join(PATIENCE)


def _hear(process: "subprocess.Popen[str]", events: "Queue[Event]") -> None:
    assert process.stdout
    for line in process.stdout:
        events.put(Event("line", line))
    events.put(Event("end"))


def _what_inadyn_does(events: "Queue[Event]") -> str:
    updates = looks = 0
    while True:
        kind, text = events.get(timeout=PATIENCE)
        updates += kind == "update"
        looks += kind == "look" and updates > 1
        if found := re.search(r"Will retry again in ([0-9]+) sec", text):
            return f"again in {found[1]} s"
        if kind == "end":
            return "ends"
        if updates > 2:
            return "again"
        if looks > 1:
            return "well"


def inadyn_that_continues(system: System, server: Scripted, folder: Path) -> str:
    return inadyn(system, server, folder, "-C")


def ddclient(system: System, server: Scripted, folder: Path) -> str:
    """Two runs in a row, with its pause of five minutes after an error left out."""
    (folder / "conf").write_text(
        f"protocol=dyndns2\nuse=web, web=http://{server.place}/\nserver={server.place}\nssl=no\nmin-error-interval=0\n"
        "login=any\npassword=KEY\nhome.dyn.example\n"
    )
    (folder / "conf").chmod(0o600)
    inside = f"/{folder.relative_to(system.root)}"
    options = ("-daemon=0", "-noquiet", "-timeout=20", "-file", f"{inside}/conf", "-cache", f"{inside}/cache")
    runs = [
        subprocess.run(
            system.command("ddclient", *options), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        for _ in range(2)
    ]
    said = runs[0].stdout + runs[0].stderr
    word = "FAILED" if "FAILED" in said else "well" if re.search("SUCCESS|nochg: No update", said) else "silent"
    return f"{word}, again" if server.updates() > 1 else word


def exit_of(*command: str) -> Client:
    def run(system: System, server: Scripted, folder: Path) -> str:
        url = f"http://{server.place}/nic/update?hostname=home.dyn.example"
        done = subprocess.run(
            system.command(*command, url), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
        return f"exit {done.returncode}"

    return run


CLIENTS: dict[str, Client] = {
    "inadyn": inadyn,
    "inadyn -C": inadyn_that_continues,
    "ddclient": ddclient,
    "wget": exit_of("wget", "-q", "-O", "/dev/null", "--user", "any", "--password", "KEY"),
    "busybox wget": exit_of("busybox", "wget", "-q", "-O", "/dev/null"),
    "curl --fail": exit_of("curl", "-sS", "--fail", "-o", "/dev/null", "-u", "any:KEY"),
}
VERSIONED = ("inadyn", "ddclient")  # whose versions differ, and have a column each


def table() -> dict[str, dict[Answer, str]]:
    """The paper's: client → answer → what it does next."""
    text = PAPER.read_text()
    [found] = [match for match in TABLE.finditer(text) if "inadyn" in match[0]]
    heads, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in found[0].splitlines())
    read: dict[str, dict[Answer, str]] = {head: {} for head in heads[1:]}
    for first, *cells in rows:
        status, body = re.findall("([0-9]{3}) `([^`]*)`", first)[0]
        for head, cell in zip(heads[1:], cells, strict=True):
            read[head][Answer(int(status), body)] = cell
    return read


def column(name: str, system: System) -> str:
    """How the table calls a client."""
    program, _, option = name.partition(" ")
    return f"{program} {system.version(program)} {option}".strip() if program in VERSIONED else name


def compare(name: str, system: System, folder: Path) -> None:
    head = column(name, system)
    expected = table().get(head)
    if expected is None:
        pytest.skip(f"docs/clients.md has no column for {head}")

    def does(numbered: tuple[int, Answer]) -> tuple[Answer, str]:
        number, answer = numbered
        own = folder / str(number)
        own.mkdir()
        with Scripted(answer) as server:
            try:
                return answer, CLIENTS[name](system, server, own)
            finally:
                server.shutdown()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert dict(pool.map(does, enumerate(expected))) == expected


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_next_what_the_table_of_the_paper_says(name: str, tmp_path: Path) -> None:
    compare(name, System(Path("/")), tmp_path)


@pytest.fixture(scope="module")
def trixie() -> System:
    """A Debian 13 with its clients; made once."""
    root = CACHE.with_name("sftdyn-clients") / "trixie"
    if not (root / "usr/bin/ddclient").exists():
        as_root("mkdir", "-p", str(root.parent))
        debootstrap("trixie", root, "--include=ddclient,inadyn")
    return System(root, (*SUDO, "chroot", str(root)))


@pytest.mark.extra
@pytest.mark.xdist_group("debootstrap")  # one at a time
@pytest.mark.parametrize("name", ["inadyn", "inadyn -C", "ddclient"])
def test_a_client_of_debian_13_does_next_what_the_table_of_the_paper_says(name: str, trixie: System) -> None:
    folder = trixie.root / "tmp" / name.replace(" ", "")
    as_root("rm", "-rf", str(folder))
    as_root("mkdir", "-m", "777", str(folder))
    try:
        compare(name, trixie, folder)
    finally:
        as_root("rm", "-rf", str(folder))


@pytest.mark.extra
@pytest.mark.xdist_group("debootstrap")  # one at a time
def test_ddclient_of_debian_13_publishes_both_families_by_the_lines_that_are_printed(
    trixie: System, client_of: ServeFixture, bind: Bind
) -> None:
    served = client_of("both.dyn.example")
    four, six = (url.removesuffix("/") for url in served.urls)
    [template] = chosen(["ddclient"])
    both = "\n".join(line.strip() for line in template.limits if line.startswith("  usev"))
    server = Reached("http", "127.0.0.1", served.port())
    text = as_it_is(template, "both.dyn.example", KEY, server).replace(f"use=web, web={server.url}/", both)
    text = text.replace("webv4=https://dyn.example", f"webv4={four}").replace(
        "webv6=https://dyn.example", f"webv6={six}"
    )
    folder = trixie.root / "tmp/both"
    as_root("rm", "-rf", str(folder))
    as_root("mkdir", "-m", "777", str(folder))
    (folder / "conf").write_text(text)
    (folder / "conf").chmod(0o600)
    command = trixie.command("ddclient", "-daemon=0", "-file", "/tmp/both/conf", "-cache", "/tmp/both/cache")
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    as_root("rm", "-rf", str(folder))
    found = bind.lookup("both.dyn.example"), bind.lookup("both.dyn.example", "AAAA")
    assert found == (["127.0.0.1"], ["::1"]), said
