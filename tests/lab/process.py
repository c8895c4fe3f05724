"""Programs as processes: started, waited for, watched and ended; and sftdyn as one, with a client of it."""

import http.client
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .machine import ROOT, CannotRun, accepts, children, is_stopped, resident, wait_until

START_DEADLINE = 20.0  # seconds
STOP_DEADLINE = 20.0

Show = Callable[[str], object]


class Process:
    """A program in a session of its own, so that a Ctrl-C at the terminal is not for it.

    What it prints goes to the file `output`; without one it is kept in `log`, and passed line by line to `show`.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        output: Path | None = None,
        show: Show = lambda line: None,
    ) -> None:
        self.log: list[str] = []
        self._command = command
        self.news = threading.Condition()
        self._output = output
        self._show = show
        stdout = output.open("w") if output else subprocess.PIPE
        try:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=folder,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        finally:
            if not isinstance(stdout, int):
                stdout.close()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        for line in self.process.stdout or ():
            self._show(line.rstrip())
            with self.news:
                self.log.append(line.rstrip())
                self.news.notify_all()
        if self.process.stdout:
            self.process.stdout.close()
        with self.news:
            self.news.notify_all()

    def wait_for(self, text: str, since: int = 0, seconds: float = START_DEADLINE) -> str:
        """The first line of the log with `text`, from line `since` on. Raises CannotRun if it does not come."""
        return self.wait_for_line(lambda line: text in line, repr(text), since, seconds)

    def wait_for_line(
        self, is_it: Callable[[str], bool], what: str, since: int = 0, seconds: float = START_DEADLINE
    ) -> str:
        """As wait_for, for a line that `is_it` tells from others; `what` it is, for the error."""

        def found() -> str | None:
            return next((line for line in self.log[since:] if is_it(line)), None)

        with self.news:
            self.news.wait_for(lambda: found() or self.process.poll() is not None, seconds)
            line = found()
        if line is None:
            raise self._failure(f"did not say {what}")
        return line

    def wait_for_port(self, host: str, port: int, seconds: float = START_DEADLINE) -> None:
        """Return when it listens there. Raises CannotRun if it ends before, or takes longer."""
        deadline = time.monotonic() + seconds
        while not accepts(host, port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise self._failure(f"does not listen on {host}:{port}")
            time.sleep(0.001)

    def _failure(self, what: str) -> CannotRun:
        said = self._output.read_text() if self._output else "\n".join(self.log)
        return CannotRun(f"{shlex.join(self._command)} {what}:\n{said}")

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGSTOP has stopped it thereafter, with all its threads."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            wait_until(lambda: is_stopped(self.pid), "it stops")

    def kill(self) -> None:
        """End it at once, without a chance to write anything."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as systemd would, by force where it does not follow; the exit code."""
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(STOP_DEADLINE)
        return self.process.returncode

    def children(self) -> list[int]:
        """The processes that it has started and that still run."""
        return children(self.pid)

    def resident(self) -> int:
        """Memory in KiB."""
        return resident(self.pid)


@dataclass(frozen=True)
class Answer:
    """What a client of sftdyn gets."""

    status: int
    text: str
    headers: http.client.HTTPMessage


class Sftdyn(Process):
    """sftdyn of this checkout with `conf`, and a client of it. `command` goes in front of its own. Raises CannotRun."""

    def __init__(self, conf: Path, *options: str, command: Sequence[str] = (), show: Show = lambda line: None) -> None:
        self.folder = conf.parent
        self.urls: list[str] = []
        super().__init__([*command, sys.executable, "-m", "sftdyn", "-v", *options, str(conf)], ROOT, show=show)
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def wait_until_ready(self) -> None:
        """Return when it serves, with its URLs known."""
        self.wait_for(" ready")
        self.urls = [line.split()[-1] for line in self.log if " listening on " in line]

    def port(self, scheme: str = "http") -> int:
        """Where it listens, on 127.0.0.1."""
        return next(urlsplit(url).port or 0 for url in self.urls if url.startswith(scheme + ":"))

    def get(
        self,
        target: str,
        *,
        source: str = "127.0.0.1",
        scheme: str = "http",
        method: str = "GET",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request, from the loopback address `source`; "::1" goes over IPv6."""
        host = "::1" if ":" in source else "127.0.0.1"
        connection: http.client.HTTPConnection
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.folder / "server.crt")
            connection = http.client.HTTPSConnection(
                host, self.port(scheme), timeout=30, source_address=(source, 0), context=context
            )
        else:
            connection = http.client.HTTPConnection(host, self.port(scheme), timeout=30, source_address=(source, 0))
        try:
            connection.request(method, target, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), response.headers)
        finally:
            connection.close()

    def update(self, key: str, source: str = "127.0.0.1") -> str:
        """The answer of the secret URL."""
        return self.get("/" + key, source=source).text


def exchange(served: Sftdyn, octets: bytes, scheme: str = "http") -> bytes:
    """What comes back for these octets until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", served.port(scheme)), timeout=10) as connection:
        connection.sendall(octets)
        return b"".join(iter(lambda: connection.recv(65536), b""))
