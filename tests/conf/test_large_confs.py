"""Confs of very many clients: what they cost, and that nobody waits while they are read."""

import hashlib
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf as conf_text
from tests.lab.machine import ROOT
from tests.lab.process import Sftdyn

CLIENTS = 100_000
LINES = 50_000
LONGER = 0.3  # seconds that a request may wait because of a reload

# Prints the clients of a conf, the memory that they keep and that it took at its height to read them, in KiB.
MEASURE = """
import sys
from pathlib import Path
from sftdyn.conf.config import load

def memory(name):
    return int(Path("/proc/self/status").read_text().partition(name)[2].split()[0])

before = memory("VmRSS:")
config = load(Path(sys.argv[1]))
print(len(config.keyring.clients), memory("VmRSS:") - before, memory("VmHWM:") - before)
"""


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The lines of a conf that read very many clients from a file, as the docs say."""
    path = tmp_path_factory.mktemp("many") / "clients"
    path.write_text("".join(f"{key(number)} h{number}.dyn.example\n" for number in range(CLIENTS)))
    return (
        f'zone = "dyn.example"\nhttp = "127.0.0.1:0"\nwith open("{path}") as lines:\n'
        "    for line in lines:\n        secret, name = line.split()\n        clients[secret] = name\n"
    )


def measured(conf: Path) -> list[int]:
    command = [sys.executable, "-c", MEASURE, str(conf)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return [int(word) for word in done.stdout.split()]


def test_a_client_from_a_file_costs_less_than_a_kib(tmp_path: Path, many: str) -> None:
    conf = tmp_path / "conf"
    conf.write_text(many)
    number, kept, height = measured(conf)
    assert number == CLIENTS
    assert kept < CLIENTS
    assert height < CLIENTS


def test_a_line_for_each_client_costs_less_than_4_kib_while_it_is_read_and_one_afterwards(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    lines = (f'clients["{key(number)}"] = "h{number}.dyn.example"\n' for number in range(LINES))
    conf.write_text("http = 8080\n" + "".join(lines))
    number, kept, height = measured(conf)
    assert number == LINES
    assert kept < LINES
    assert height < 4 * LINES


def test_check_with_very_many_clients(tmp_path: Path, many: str) -> None:
    conf = tmp_path / "conf"
    conf.write_text(many)
    command = [sys.executable, "-m", "sftdyn", "--check", str(conf)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert f"clients: {CLIENTS}, with {CLIENTS} host names" in said
    assert len(said) < 250


def waited(served: Sftdyn, number: int) -> float:
    """Seconds until the answer."""
    start = time.monotonic()
    assert served.update(key(number)) in ("OK", "UPTODATE")
    return time.monotonic() - start


def test_a_reload_of_very_many_clients_holds_up_nobody(serve: ServeFixture, bind: Bind, many: str) -> None:
    served = serve(conf_text(bind, many))
    calm = max(waited(served, number) for number in range(100))
    reloaded = threading.Event()

    def call(number: int) -> float:
        longest = 0.0
        while not reloaded.is_set():
            longest = max(longest, waited(served, number))
        return longest

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(call, number) for number in range(3)]
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("the conf is read again", seconds=60)
        reloaded.set()
        longest = max(done.result() for done in calls)
    assert 0 < longest < calm + LONGER
