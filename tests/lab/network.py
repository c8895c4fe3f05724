"""A network of its own, with an interface whose addresses can be changed at will; as root, or as anybody."""

import os
import tempfile
from pathlib import Path

from .machine import run
from .process import Process

INTERFACE, OTHER_END = "wan0", "isp0"
SCRIPT = f"""set -e
ip link set lo up
ip link add {INTERFACE} type veth peer name {OTHER_END}
ip link set {OTHER_END} up
ip link set {INTERFACE} up
echo ready
exec sleep infinity
"""


class Network:
    """Its loopback is up, and so is the interface. `inside` goes in front of a command that shall run there."""

    def __init__(self) -> None:
        is_root = os.geteuid() == 0
        user = [] if is_root else ["--map-root-user"]
        self._process = Process(["unshare", "--net", *user, "sh", "-c", SCRIPT], Path(tempfile.gettempdir()))
        self._process.wait_for("ready")
        enter = () if is_root else ("--user", "--preserve-credentials")
        self.inside = ("nsenter", f"--target={self._process.pid}", "--net", *enter)

    def ip(self, *lines: str) -> None:
        """Change links and addresses: `link set wan0 down`. Raises CannotRun."""
        run("ip", "iproute2", "-batch", "-", text="\n".join([*lines, ""]), inside=self.inside)

    def shown(self) -> str:
        """What `ip` shows of the interface."""
        return run("ip", "iproute2", "address", "show", "dev", INTERFACE, inside=self.inside)

    def empty(self) -> None:
        """The interface is up, and has no address but its own of the link."""
        for one in (INTERFACE, OTHER_END):
            self.ip(f"link set {one} up", f"address flush dev {one} scope global")

    def let_temporary_addresses_be(self) -> None:
        """From now on an address may have temporary ones beside it (RFC 8981)."""
        where = f"/proc/sys/net/ipv6/conf/{INTERFACE}/use_tempaddr"
        run("sh", "dash", "-c", f"echo 2 >{where}", inside=self.inside)

    def close(self) -> None:
        """End it, and what is in it loses its network."""
        self._process.kill()
