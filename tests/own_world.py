"""A world of its own: a resolver, which also serves the zone above, and a primary with two zones, one not delegated.

Run as `python -m tests.own_world FOLDER COMMAND…` in a network and a mount namespace of its own. Runs the command with
the conf of an sftdyn behind it: where the machine asks the resolver; where it asks the primary, which resolves, too; and
where it asks nobody. Prints each time the last line of what is said, and the exit code.
"""

import subprocess
import sys
from pathlib import Path

from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import run
from tests.lab.nameserver import ZONE

RESOLVER, PRIMARY, NOBODY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
ROOT_ZONE = 'zone "." { type primary; file "root.zone"; };'
HINT = 'zone "." { type hint; file "root.hint"; };'


def make_resolver(folder: Path) -> Bind:
    server = named(folder, RESOLVER, Bind(folder, {"example": ""}, port=53, extra=ROOT_ZONE))
    (folder / "root.zone").write_text(ZONE)
    with (folder / "example.zone").open("a") as zone:
        zone.write(f"seen NS ns.seen\nns.seen A {PRIMARY}\n")
    return server


def make_primary(folder: Path) -> Bind:
    server = named(folder, PRIMARY, Bind(folder, {"seen.example": ALL, "lost.example": ALL}, port=53, extra=HINT))
    (folder / "root.hint").write_text(f". 60 NS ns.\nns. 60 A {RESOLVER}\n")
    return server


def named(folder: Path, address: str, server: Bind) -> Bind:
    """The server at port 53 of an address of its own, as a resolver, too."""
    text = (folder / "named.conf").read_text()
    text = text.replace("53 { 127.0.0.1; }", f"53 {{ {address}; }}").replace("53 { ::1; }", "53 { none; }")
    (folder / "named.conf").write_text(text.replace("recursion no", "recursion yes"))
    return server


def main(folder: Path, *command: str) -> None:
    """Make the world, and run the command in it."""
    run("ip", "iproute2", "link", "set", "lo", "up")
    run("ip", "iproute2", "address", "add", f"{PRIMARY}/32", "dev", "lo")  # named takes addresses that are listed only
    servers = []
    for name, make in (("resolver", make_resolver), ("primary", make_primary)):
        (folder / name).mkdir()
        servers.append(make(folder / name))
        servers[-1].start()
    keyfile, clients = servers[-1].keyfile, {"a key that is long enough": ["a.seen.example", "a.lost.example"]}
    (folder / "conf").write_text(conf(clients=clients, server=PRIMARY, nskeyfile=keyfile))
    for address in (RESOLVER, PRIMARY, NOBODY):
        (folder / "resolv.conf").write_text(f"nameserver {address}\n")
        run("mount", "mount", "--bind", str(folder / "resolv.conf"), "/etc/resolv.conf")
        done = subprocess.run([*command, folder / "conf"], stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout.splitlines()[-1], done.returncode)
    for server in servers:
        server.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
