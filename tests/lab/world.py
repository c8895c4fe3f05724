"""A network and a mount namespace of its own, seen from inside: addresses, a hosts file, what gets through.

A module's scenarios are run there by their names: `python -m tests.lab.world MODULE SCENARIO FOLDER`.
"""

import importlib
import sys
from pathlib import Path

from .machine import run


class World:
    """This process has it for itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hosts = folder / "hosts"
        run("ip", "iproute2", "link", "set", "lo", "up")
        self.name()
        run("mount", "mount", "--bind", str(self._hosts), "/etc/hosts")

    def address(self, *addresses: str) -> None:
        """This machine has them, too."""
        for address in addresses:
            run("ip", "iproute2", "address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo", "nodad")

    def name(self, **names: list[str]) -> None:
        """From now on, these names have these addresses, in this order, and others have none."""
        lines = [f"{address} {name}.test\n" for name, addresses in names.items() for address in addresses]
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))

    def block(self, *rules: str) -> None:
        """From now on, this is done to what comes in: `ip daddr 10.0.0.1 drop`; without rules, nothing."""
        table = "".join(f"{rule}\n" for rule in rules)
        chain = f"chain input {{\ntype filter hook input priority 0\n{table}}}\n"
        run(
            "nft",
            "nftables",
            "-f",
            "-",
            text=f"table inet world\ndelete table inet world\ntable inet world {{\n{chain}}}\n",
        )


if __name__ == "__main__":
    getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(World(Path(sys.argv[3])))
