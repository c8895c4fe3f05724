"""Very many clients: 100 000 that change within minutes, and names that are asked for the first time."""

import time
from pathlib import Path
from types import TracebackType

from .fleet import Fleet
from .load import Load, run_load
from .processes import start_bind
from .rivals import Sftdyn

CLIENTS = 100_000
CHANGES_PER_HOUR = 10  # so a client that has changed is remembered for six minutes, and may change ten times in them
REMEMBERED = 300.0  # seconds after which all of them change once more; within the six minutes
NEWCOMERS = 10_000


class Crowd:
    """A name server with both fleets; a sftdyn with a quota for the crowd, and one that knows no name yet."""

    def __init__(self, folder: Path) -> None:
        self.fleet = Fleet("crowd.example", CLIENTS, folder)
        self.newcomers = Fleet("newcomers.example", NEWCOMERS, folder)
        self.bind = start_bind(folder / "crowd-named", [self.fleet, self.newcomers])
        self.sftdyn = Sftdyn(self.fleet, self.bind, name="crowd", max_changes=CHANGES_PER_HOUR)
        self.newcomer = self._fresh()
        self._stirred = float("-inf")

    def _fresh(self) -> Sftdyn:
        return Sftdyn(self.newcomers, self.bind, name="newcomer")

    def start_anew(self) -> None:
        """From now on, no name of the newcomers is known."""
        self.newcomer.stop()
        self.newcomer = self._fresh()

    def stir(self) -> None:
        """All of the crowd have changed within the last minutes."""
        if time.monotonic() > self._stirred + REMEMBERED:
            self._stirred = time.monotonic()
            run_load(Load(1000, requests=CLIENTS), self.fleet, self.sftdyn)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.newcomer.stop()
        self.sftdyn.stop()
        self.bind.kill()
