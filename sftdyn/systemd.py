"""What systemd and a service say to each other (sd_notify(3), sd_listen_fds(3), sd-daemon(3)), without its library."""

import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

FIRST_PASSED = 3  # SD_LISTEN_FDS_START
# sd-daemon(3): the priority in front of a line for the journal.
PRIORITIES = {
    logging.CRITICAL: "<2>",
    logging.ERROR: "<3>",
    logging.WARNING: "<4>",
    logging.INFO: "<6>",
    logging.DEBUG: "<7>",
}


class Notifier:
    """Tells systemd how the service is; does nothing where nobody listens."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        # Taken out of the environment: no child process shall speak for us.
        address = environment.pop("NOTIFY_SOCKET", "")
        pid = environment.pop("WATCHDOG_PID", "")
        watchdog = int(environment.pop("WATCHDOG_USEC", "0"))
        self._socket: socket.socket | None = None
        self.interval = watchdog / 2e6 if pid in ("", str(os.getpid())) else 0.0  # seconds; 0: no watchdog
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._address = "\0" + address[1:] if address.startswith("@") else address

    def say(self, *lines: str) -> None:
        """Send assignments such as `READY=1`, in one datagram."""
        if self._socket:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                pass  # systemd is busy or gone; the service goes on

    def reloading(self) -> None:
        """The conf is being read again; `READY=1` ends it."""
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def has_passed_sockets(environment: Mapping[str, str]) -> bool:
    """Whether systemd opened sockets for us."""
    return environment.get("LISTEN_PID") == str(os.getpid())


def passed_sockets(environment: MutableMapping[str, str]) -> list[tuple[socket.socket, str]]:
    """The listening sockets that systemd opened for us, with their names; none if it did not."""
    mine = has_passed_sockets(environment)
    environment.pop("LISTEN_PID", None)
    count = int(environment.pop("LISTEN_FDS", "0"))
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if not mine:
        return []
    names += [""] * (count - len(names))
    return [(_adopt(FIRST_PASSED + n), names[n]) for n in range(count)]


def _adopt(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    adopted = socket.socket(fileno=number)
    adopted.setblocking(False)
    return adopted


def is_journal() -> bool:
    """Whether stderr is what systemd connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        stderr = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


class JournalFormatter(logging.Formatter):
    """Priorities instead of the time, which the journal knows itself."""

    def format(self, record: logging.LogRecord) -> str:
        return with_priority(record.levelno, super().format(record))


def with_priority(level: int, text: str) -> str:
    """`text`, each line with the priority of a level of `logging`."""
    priority = PRIORITIES.get(level, "<6>")
    return "\n".join(priority + line for line in text.splitlines())
