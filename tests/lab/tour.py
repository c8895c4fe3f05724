"""The tour: a private name server, sftdyn in front of it, and the commands that a user would type."""

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .bind import ALL, Bind
from .machine import DNSUTILS, CannotRun, find_program, has_ipv6, make_certificate
from .process import Sftdyn

CONF = """http = {http}
https = "127.0.0.1:0"
key = "server.key"
cert = "server.crt"
server = "127.0.0.1:{port}"
nskeyfile = "update.key"
clients["{secret}"] = "home.dyn.example"
"""


class Tour:
    """Shows commands with what they print and sftdyn logs, and counts what is not as it should be."""

    def __init__(self, folder: Path, sftdyn: Sftdyn) -> None:
        self._folder = folder
        self._sftdyn = sftdyn
        self.failures = 0

    def step(self, text: str, command: str, expected: str) -> None:
        """Run a command line, and compare its output."""
        words = shlex.split(command)
        logged = len(self._sftdyn.log)
        result = subprocess.run(
            words, cwd=self._folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        said = (result.stdout or result.stderr).strip()
        print(f"\n# {text}\n$ {command}\n{said}")
        if said != expected:
            self.failures += 1
            print(f"** expected: {expected}")
        elif words[0] == "curl":
            show(self._sftdyn.wait_for(" from ", since=logged))


def show(line: str) -> None:
    """Print a line of sftdyn's log, as such."""
    print(f"    sftdyn: {line}", flush=True)


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
    nameserver = Bind(folder, {"dyn.example": ALL})
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
        watching = threading.Event()  # from then on the log is shown as it comes
        sftdyn = Sftdyn(conf, show=lambda line: show(line) if watching.is_set() else None)
        print(*(f"    sftdyn: {line}" for line in sftdyn.log), sep="\n")
        failures = _tour(folder, nameserver.port, secret, sftdyn)
        watching.set()
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


def _tour(folder: Path, dns_port: int, secret: str, sftdyn: Sftdyn) -> int:
    http, *http6, https = sftdyn.urls
    dig = f"dig +short @127.0.0.1 -p {dns_port} home.dyn.example"
    tour = Tour(folder, sftdyn)
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
