"""The load generators: our own (load.c) for HTTP, and dnsperf for DNS. Each gives a Sample."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from tests.lab.machine import find_program

from .fleet import Fleet
from .processes import HttpServer

BUILD = Path(__file__).parent / "build"


class WrongAnswers(Exception):
    """A server answered something else than it must; the message says what."""


@dataclass
class Sample:
    """One measurement. Latencies in seconds."""

    rate: float  # answers per second; of a storm: changes per second
    p50: float
    p99: float
    longest: float
    seconds: float
    requests: int  # that got the right answer
    shares: dict[str, float] = field(default_factory=dict)  # process → the share of one core that it used
    wrong: int = 0  # other answers

    @property
    def cost(self) -> float:
        """What the server needs for one request, in seconds of a processor."""
        return self.shares["server"] * self.seconds / self.requests


@dataclass(frozen=True)
class Load:
    """What to ask for. See load.c."""

    changes: int  # in a thousand requests
    connections: int = 128
    seconds: float | None = None
    requests: int | None = None
    rate: float = 0.0  # requests per second; 0: as many as the connections carry
    quiet_rounds: int = 0
    tls: bool = False
    expected: str = ""
    way: Literal["direct", "parameter", "proxy", "dyndns2"] = "direct"  # on which key and address come

    def arguments(self) -> list[str]:
        """The options of load."""
        options = ["-m", self.changes, "-c", self.connections, "-r", self.rate, "-q", self.quiet_rounds]
        options += ["-w", self.way]
        options += ["-t", self.seconds] if self.seconds else []
        options += ["-n", self.requests] if self.requests else []
        options += ["-e", self.expected] if self.expected else []
        return [*map(str, options), *(["-s"] if self.tls else [])]


class RunningLoad:
    """A load under way."""

    def __init__(self, load: Load, addresses: Path, host: str, port: int) -> None:
        command = [str(BUILD / "load"), *load.arguments(), str(addresses), host, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self) -> Sample:
        """Wait for its end. Raises WrongAnswers."""
        sample, said = self._finish()
        if sample is None or sample.wrong:
            raise WrongAnswers(said)
        return sample

    def count(self) -> Sample:
        """Wait for its end, whatever was answered. Raises WrongAnswers if nothing more was."""
        sample, said = self._finish()
        if sample is None:
            raise WrongAnswers(said)
        return sample

    def stop(self) -> Sample:
        """End it now; what there was until then."""
        self._process.terminate()
        return self.count()

    def _finish(self) -> tuple[Sample | None, str]:
        output, errors = self._process.communicate()
        text = f"{errors.strip()}\n{output.strip()}"
        if not output:
            return None, text
        said = json.loads(output)
        count = said["ok"] + said["uptodate"]
        shares = {"load": said["cpu"] / said["seconds"]}
        times = (said["p50"], said["p99"], said["longest"], said["seconds"])
        return Sample(said["rate"], *times, count, shares, said["wrong"]), text


def run_load(load: Load, fleet: Fleet, server: HttpServer, port: int | None = None) -> Sample:
    """Load on `server`, or another port of it, from the clients of `fleet`. Raises WrongAnswers."""
    return RunningLoad(load, fleet.addresses, server.host, port or server.port).result()


class Dnsperf:
    """`dnsperf -u` on the zone of a fleet: each message replaces the address of one name, as sftdyn does."""

    def __init__(self, fleet: Fleet, port: int, keyfile: Path) -> None:
        self._fleet = fleet
        self._port = port
        self._keyfile = keyfile
        self._file = fleet.folder / f"{fleet.zone}.messages"
        self._next = 0  # number of the name

    def run(self, in_flight: int, messages: int) -> Sample:
        """So many messages. Their number is given, not the time, so that the last address of each name is known."""
        addresses = self._write(messages)
        command = [find_program("dnsperf", "dnsperf"), "-u", "-v", "-s", "127.0.0.1", "-p", str(self._port)]
        command += ["-q", str(in_flight), "-n", "1", "-d", str(self._file), "-y", tsig(self._keyfile)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        latencies = sorted(map(float, re.findall(r"^> NOERROR \S+ ([0-9.]+)", output, re.M)))
        seconds = re.search(r"Run time \(s\): +([0-9.]+)", output)
        if len(latencies) != messages or not seconds:
            raise WrongAnswers(f"dnsperf: {len(latencies)} of {messages} updates succeeded\n{output[-800:]}")
        self._fleet.write_addresses(addresses)
        p50, p99 = (latencies[int((messages - 1) * part)] for part in (0.5, 0.99))
        return Sample(messages / float(seconds[1]), p50, p99, latencies[-1], float(seconds[1]), messages)

    def _write(self, messages: int) -> list[IPv4Address]:
        """Write dnsperf's input; the addresses of all names thereafter."""
        zone = self._fleet.zone
        labels = list(self._fleet.labels())
        addresses = self._fleet.read_addresses()
        with self._file.open("w") as file:
            for number in range(self._next, self._next + messages):
                i = number % len(labels)
                addresses[i] += 1
                file.write(f"{zone}\ndelete {labels[i]} A\nadd {labels[i]} 30 A {addresses[i]}\nsend\n")
        self._next += messages
        return addresses


def tsig(keyfile: Path) -> str:
    """The key of a file, as dnsperf wants it."""
    found = re.search(r'key "(.+?)" {\s*algorithm (.+?);\s*secret "(.+?)"', keyfile.read_text())
    assert found
    return f"{found[2]}:{found[1]}:{found[3]}"
