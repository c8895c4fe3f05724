"""sftdyn with an Internet of its own, in which there is a TLS server at every address.

Run as `unshare --net python -m tests.doors.far_away FOLDER`, where FOLDER has `server.pem` and `ca.pem`, for names in
`dyn.example`. This network is near, with addresses of its own. A second one, behind a pair of virtual cables, takes every
packet for its own. Prints, as JSON: what was answered to each request, and at which addresses somebody connected.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from socket import create_connection, socket

from tests.doors.hosts import Host, Tls, settings
from tests.lab.conf import conf
from tests.lab.machine import PATH, wait_until
from tests.lab.process import Sftdyn

PORT = 4433
GATEWAYS = ["9.9.9.1", "2600::1"]
OWN = ["9.9.9.9", "9.9.9.8", "2600::9"]

NEAR = """
ip link set lo up
ip link add near type veth peer name far netns {far}
ip addr add 9.9.9.9/24 dev near
ip addr add 9.9.9.8/24 dev near
ip addr add 2600::9/64 dev near nodad
ip link set near up
ip route add default via 9.9.9.1
ip -6 route add default via 2600::1
"""
FAR = """
ip link set lo up
ip addr add 9.9.9.1/24 dev far
ip addr add 2600::1/64 dev far nodad
ip link set far up
ip route add local default dev lo table main
ip -6 route add local default dev lo table main metric 1
"""
CONF = """
def provider(name, type, ttl, addresses, secret):
    return "OK"

def client(number, **more):
    return Client(f"n{{number}}.dyn.example", prove=Proof(port={port}, ca="ca.pem"), **more)

for number in range({many}):
    clients[f"key{{number}}"] = client(number)
clients["private"] = client("private", networks=["10.0.0.0/8"])
clients["lan"] = client("lan", lan={{"nas.dyn.example": "::21f:3bff:fe12:3456"}}, prefix_length=64)
"""


def configure(commands: str) -> None:
    """Run ip(8), line by line."""
    for command in commands.split("\n"):
        if command:
            subprocess.run(command.split(), check=True)


class Everywhere:
    """A TLS server at all addresses of a network."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.reached: list[str] = []
        self._tls = Tls(settings(folder / "server.pem", folder / "server.pem"))
        for address in ("0.0.0.0", "::"):
            stack.enter_context(closing(Host(address, PORT, self._serve)))

    def _serve(self, connection: socket) -> None:
        self.reached.append(connection.getsockname()[0])
        self._tls(connection)


def far(folder: Path) -> None:
    """The other network: it is there from the first line to standard input on, and says whom it met at the end."""
    print("here", flush=True)
    sys.stdin.readline()
    configure(FAR)
    with ExitStack() as stack:
        servers = Everywhere(folder, stack)
        print("ready", flush=True)
        sys.stdin.readline()
    print(json.dumps(servers.reached))


def near(folder: Path, addresses: list[str]) -> None:
    """This network."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.doors.far_away", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        other.stdout.readline()
        configure(NEAR.format(far=other.pid))
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "ready\n"
        wait_until(lambda: all(map(is_there, GATEWAYS)), "the cable is plugged in")
        with ExitStack() as stack:
            servers = Everywhere(folder, stack)
            answers = ask(folder, [*addresses, *OWN])
        said, _ = other.communicate("\n")
    reached = {*servers.reached, *json.loads(said)} - {*GATEWAYS}
    print(json.dumps({"answers": answers, "reached": sorted(reached)}))


def is_there(address: str) -> bool:
    """Whether there is a way to the other network."""
    try:
        create_connection((address, PORT), timeout=0.1).close()
    except OSError:
        return False
    return True


def ask(folder: Path, addresses: list[str]) -> dict[str, str]:
    """What sftdyn answers to updates with these addresses, each by a client of its own, and to two more."""
    path = folder / "conf"
    path.write_text(conf(None, CONF.format(port=PORT, many=len(addresses)), timeout=1))
    targets = {address: f"/key{number}?ip={address}" for number, address in enumerate(addresses)}
    targets |= {"private": "/private?ip=10.9.9.9", "lan": "/lan?ip=2a00:1450:9::1"}
    served = Sftdyn(path)
    try:
        with ThreadPoolExecutor(16) as threads:  # as many as are proven at once
            return dict(
                zip(targets, threads.map(lambda target: served.get(target).text, targets.values()), strict=True)
            )
    finally:
        served.stop()


if __name__ == "__main__":
    os.environ["PATH"] = PATH
    if len(sys.argv) == 2:
        far(Path(sys.argv[1]))
    else:
        near(Path(sys.argv[1]), sys.argv[2:])
