"""The tour: a private name server, sftdyn in front of it, and the commands that a user would type."""

import argparse
import base64
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
START_DEADLINE = 20.0  # seconds
KEY_NAME = "sftdyn-demo"
PORTS = range(10_000, 32_000)
DNSUTILS = "bind9-dnsutils"

ZONE = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
"""

CONF = """http = {http}
https = "127.0.0.1:0"
key = "server.key"
cert = "server.crt"
server = "127.0.0.1:{port}"
nskeyfile = "update.key"
clients["{secret}"] = "home.dyn.example"
"""


class CannotRun(Exception):
    """A program is missing or does not start; the message says which, and what to install."""


def find_program(name: str, package: str) -> str:
    """The path of a program, also where only root looks. Raises CannotRun."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise CannotRun(f"{name} is not installed: apt install {package}")
    return found


def free_port() -> int:
    """A port of the loopback that nobody uses, below those that the kernel lends to outgoing connections."""
    while True:
        port = secrets.choice(PORTS)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.socket(type=socket.SOCK_DGRAM) as udp:
                udp.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue


class NameServer:
    """A private BIND in `folder`, with its own zones and TSIG key, on a free port of the loopback.

    `zones` maps a zone to what named.conf says of it besides type and file. `command` goes in front of
    named's own. Raises CannotRun.
    """

    def __init__(
        self, folder: Path, zones: Mapping[str, str], *, extra: str = "", port: int = 0, command: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.keyfile = folder / "update.key"
        self.log: list[str] = []
        self._zones = dict(zones)
        self._extra = extra
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        # Where AppArmor confines named to its own folders, it does so by the program's path.
        self._program = shutil.copy(find_program("named", "bind9"), folder / "named")
        self.write_key()
        for zone in zones:
            (folder / f"{zone}.zone").write_text(ZONE)
        self.write_conf()

    def write_key(self, name: str = KEY_NAME) -> None:
        """A fresh TSIG key, in the form of tsig-keygen(8)."""
        secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self.keyfile.touch(mode=0o600)
        self.keyfile.write_text(f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n')

    def write_conf(self) -> None:
        """named.conf, anew."""
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "{zone}.zone"; {rest} }};\n' for zone, rest in self._zones.items()
        )
        (self.folder / "named.conf").write_text(
            f'include "{self.keyfile}";\n'
            f'options {{ directory "{self.folder}"; pid-file none; session-keyfile "{self.folder}/session.key";\n'
            f"  listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 port {self.port} {{ ::1; }};\n"
            f"  recursion no; dnssec-validation no; notify no; }};\n"
            f"{'' if 'controls' in self._extra else 'controls { };'}\n{self._extra}\n{zones}"
        )

    def start(self) -> None:
        """Start named, and wait until it serves."""
        self._process = subprocess.Popen(
            [*self._command, str(self._program), "-g", "-c", str(self.folder / "named.conf"), "-n", "2"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            start_new_session=True,
        )
        running = threading.Event()
        threading.Thread(target=self._read_log, args=(self._process, running), daemon=True).start()
        if not running.wait(START_DEADLINE) or self._process.poll() is not None:
            self.kill()
            raise CannotRun("named does not start:\n" + "\n".join(self.log[-15:]))

    def _read_log(self, process: subprocess.Popen[str], running: threading.Event) -> None:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                self.log.append(line.rstrip())
                if line.rstrip().endswith(" running"):
                    running.set()
        running.set()

    @property
    def pid(self) -> int:
        """The process id of named."""
        assert self._process
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to named."""
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        """End named at once, without a chance to write anything."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Let named end as on a system's shutdown."""
        if self._process:
            self._process.terminate()
            self._process.wait(START_DEADLINE)
            self._process = None


class Sftdyn:
    """sftdyn as a process of its own, with `conf`. Its log is kept, and passed line by line to `show`."""

    def __init__(self, conf: Path, *options: str, show: Callable[[str], object] = lambda line: None) -> None:
        self.urls: list[str] = []
        self.log: list[str] = []
        self.news = threading.Condition()
        self._show = show
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sftdyn", "-v", *options, str(conf)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def wait_until_ready(self) -> None:
        """Return when it serves, with its URLs known."""
        self.wait_for(" ready")
        self.urls = [line.split()[-1] for line in self.log if " listening on " in line]

    def _read_log(self) -> None:
        assert self.process.stderr
        with self.process.stderr:
            for line in self.process.stderr:
                self._show(line.rstrip())
                with self.news:
                    self.log.append(line.rstrip())
                    self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait_for(self, text: str, since: int = 0, seconds: float = START_DEADLINE) -> str:
        """The first line of the log with `text`, from line `since` on. Raises CannotRun if it does not come."""

        def found() -> str | None:
            return next((line for line in self.log[since:] if text in line), None)

        with self.news:
            self.news.wait_for(lambda: found() or self.process.poll() is not None, seconds)
            line = found()
        if line is None:
            raise CannotRun(f"sftdyn did not say {text!r}:\n" + "\n".join(self.log))
        return line

    def stop(self) -> int:
        """End it as systemd would; the exit code."""
        self.process.terminate()
        code = self.process.wait(START_DEADLINE)
        self._reader.join(START_DEADLINE)
        return code


def has_ipv6() -> bool:
    """Whether this machine's loopback has IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def make_certificate(folder: Path, openssl: str = "openssl") -> None:
    """server.key and a self-signed server.crt, as the README says."""
    command = [openssl, *"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650".split()]
    command += ["-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


class Tour:
    """Shows commands with what they print, and counts what is not as it should be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.failures = 0

    def step(self, text: str, command: str, expected: str) -> None:
        """Run a command line, and compare its output."""
        words = shlex.split(command)
        result = subprocess.run(
            words, cwd=self._folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        said = (result.stdout or result.stderr).strip()
        print(f"\n# {text}\n$ {command}\n{said}")
        if said != expected:
            self.failures += 1
            print(f"** expected: {expected}")


def run_demo(once: bool) -> int:
    """The tour; then, unless `once`, serve until Ctrl-C or the end of the input. 0 if every step was as it should."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        for program, package in (("curl", "curl"), ("dig", DNSUTILS), ("nsupdate", DNSUTILS), ("openssl", "openssl")):
            find_program(program, package)
        with tempfile.TemporaryDirectory(prefix="sftdyn-demo-") as folder:
            return _demo(Path(folder), once)
    except CannotRun as problem:
        print(f"sftdyn: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # who read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _demo(folder: Path, once: bool) -> int:
    nameserver = NameServer(folder, {"dyn.example": f"update-policy {{ grant {KEY_NAME} zonesub ANY; }};"})
    sftdyn = None
    try:
        nameserver.start()
        make_certificate(folder)
        secret = secrets.token_hex(16)
        conf = folder / "conf"
        conf.touch(mode=0o600)
        http = '["127.0.0.1:0", "[::1]:0"]' if has_ipv6() else '"127.0.0.1:0"'
        conf.write_text(CONF.format(http=http, port=nameserver.port, secret=secret))
        print(f"A private name server on port {nameserver.port}, and sftdyn with this conf:\n\n{conf.read_text()}")
        sftdyn = Sftdyn(conf, show=lambda line: print(f"    sftdyn: {line}", flush=True))
        failures = _tour(folder, nameserver.port, secret, sftdyn.urls)
        if failures:
            print(f"\n{failures} steps were not as they should be.")
        elif not once:
            print(f"\nNow try it yourself; Ctrl-C or the end of the input ends it.\n\n  curl {sftdyn.urls[0]}/{secret}")
            print(f"  dig +short @127.0.0.1 -p {nameserver.port} home.dyn.example A", flush=True)
            sys.stdin.read()
        return 1 if failures else 0
    finally:
        if sftdyn:
            sftdyn.stop()
        nameserver.kill()


def _tour(folder: Path, dns_port: int, secret: str, urls: list[str]) -> int:
    http, *http6, https = urls
    dig = f"dig +short @127.0.0.1 -p {dns_port} home.dyn.example"
    tour = Tour(folder)
    tour.step("The router opens its secret URL", f"curl -s {http}/{secret}", "OK")
    tour.step("and the name points at it", f"{dig} A", "127.0.0.1")
    tour.step("Nothing has changed since", f"curl -s {http}/{secret}", "UPTODATE")
    tour.step("A new night, a new address", f"curl -s --interface 127.0.0.2 {http}/{secret}", "OK")
    tour.step("and the name follows", f"{dig} A", "127.0.0.2")
    tour.step("A wrong key", f"curl -s {http}/guessed", "BADKEY")
    tour.step("No key: which address have I?", f"curl -s {http}/", "127.0.0.1")
    tour.step(
        "The same over HTTPS, with a self-signed certificate", f"curl -s --cacert server.crt {https}/{secret}", "OK"
    )
    for url in http6:
        tour.step("IPv6 has a record of its own", f"curl -s -g {url}/{secret}", "OK")
        tour.step("beside the other", f"{dig} AAAA", "::1")
        tour.step("which stays", f"{dig} A", "127.0.0.1")
    return tour.failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="etc/demo", description="sftdyn and a private name server, at work.")
    parser.add_argument("--once", action="store_true", help="stop after the tour, instead of serving until Ctrl-C")
    return run_demo(once=parser.parse_args().once)


if __name__ == "__main__":
    sys.exit(main())
