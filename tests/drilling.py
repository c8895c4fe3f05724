"""What all drills share: how long and how random they are, how they fail, and a quiet sftdyn."""

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port
from tests.lab.process import Sftdyn
from tests.lab.progress import Progress

SCALE = float(os.environ.get("DRILL_SCALE", "1"))
RANDOM = random.Random(int(os.environ.get("DRILL_SEED", "1")))
PROGRESS = Progress()
FINDER_RESTS = 30.0  # seconds within which the children that find zones end, when nothing is asked of them


class Failed(Exception):
    """What should have held and did not."""


def check(holds: bool, what: object) -> None:
    if not holds:
        raise Failed(str(what))


class Quiet(Sftdyn):
    """sftdyn that logs errors only, so it does not say where it listens."""

    def __init__(
        self,
        folder: Path,
        bind: Bind | None,
        clients: Mapping[str, object],
        more: str = "",
        *,
        port: int = 0,
        **settings: Any,
    ) -> None:
        self.port_number = port or free_port()
        http = f"127.0.0.1:{self.port_number}"
        path = folder / "conf"
        said = {"trusted_proxies": ["127.0.0.1"], "max_changes": 0, **settings}
        path.write_text(conf(bind, more, clients=clients, http=http, **said))
        super().__init__(path, "-qq")

    def wait_until_ready(self) -> None:
        self.wait_for_port("127.0.0.1", self.port_number)

    def writer(self) -> int:
        """The child that writes, when those that found the zones have ended. Raises Failed."""
        deadline = time.monotonic() + FINDER_RESTS
        while len(children := self.children()) != 1:
            check(time.monotonic() < deadline, f"{len(children)} children, though nothing happens")
            time.sleep(0.05)
        return children[0]
