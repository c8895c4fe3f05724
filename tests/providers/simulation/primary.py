"""A primary as nsupdate tells of it, with everything that can be wrong with one, and who talks to it in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count
from typing import Any

from sftdyn.providers.bind.backend import MAKER
from sftdyn.values.names import is_within
from sftdyn.values.update import TXT, Key

from . import weather
from .clock import now
from .ledger import Cause, Change, Ledger, Value
from .rfc2136 import Records, carried_out
from .weather import WELL, Weather

LATEST = (
    60.0  # seconds until a late message is carried out: 300 in truth, as long as a signature is good (RFC 8945, 10.2)
)
WATCHED = LATEST * MAKER.manner.watched / 300.0  # seconds that the engine watches here
WOKEN = 0.2  # seconds that a primary which was asleep takes to work off what lies in its sockets
LOST = 0.2  # the part of messages of which a lossy way loses one direction
SLOW = 1.9  # seconds that an answer may take, before nsupdate gives up
TROUBLES = (
    "nobody",
    "silent",
    "servfail",
    "badkey",
    "lossy",
    "mute",
    "faint",
    "slow",
    "asleep",
)
TROUBLES_OF_ZONES = ("frozen", "unloaded", "silent")
ANSWER = "Answer:\n;; ->>HEADER<<- opcode: UPDATE, status: {}, id: 1\n"
FAILED = "update failed: {}\n"
COMMUNICATION = "; Communication with 192.0.2.53#53 failed: {}\n"
BAD_KEY = "; TSIG error with server: tsig indicates error\nupdate failed: NOTAUTH(BADKEY)\n"


class Primary:
    """One. All that it does by chance comes from `rng`."""

    latest = LATEST
    has_prerequisites = True  # a change can say what it believes

    def __init__(self, rng: random.Random, zones: Iterable[str], ledger: Ledger) -> None:
        self.ledger = ledger
        self.weather = Weather()
        self.refused: set[str] = set()  # names
        self.revoked: set[object] = set()  # key files
        self.deaf = Counter[str]()  # how many messages to a zone get no answer yet, in a scene
        self.late = 0  # messages that are still to be carried out
        self.messages = 0
        self.delays: Sequence[float] = (5.0, LATEST)  # of what comes late, at most
        self.planned: list[str] = []  # fates of the next changes: well, never, at once, withheld, slow
        self.slow_answers = 0  # how many messages are carried out at once, and answered late
        self.withholds = ""  # changes that add this address are withheld
        self.withheld: list[tuple[str, str]] = []
        self._rng = rng
        self._zones: dict[str, Records] = {zone: {(zone, "SOA"): frozenset({"."})} for zone in zones}
        self._numbers = count(1)
        self._awake = asyncio.Event()
        self._known: set[Key] = set()

    # What it serves

    def zones(self) -> list[str]:
        """The apexes."""
        return list(self._zones)

    def zone_of(self, name: str) -> str | None:
        """Where a name is."""
        return max((zone for zone in self._zones if is_within(name, zone)), key=len, default=None)

    def value(self, key: Key) -> Value:
        """What everybody sees of a record set, or of one TXT value."""
        records = self._zones.get(self.zone_of(key[0]) or "", {})
        found = records.get((key[0], key[1]), frozenset())
        return tuple(sorted(found)) if key[2:] == () else key[2:] if key[2] in found else ()

    def edit(self, lines: str, cause: Cause = Cause.STRANGER) -> None:
        """By lines of nsupdate's, which nobody refuses."""
        name = lines.split()[2]
        self._carry_out(self.zone_of(name) or "", lines, cause, frozenset())

    def set(self, key: Key, value: Value) -> None:
        """Somebody else writes a record set."""
        name, kind = key[:2]
        self.edit(
            "".join([f"update delete {name} {kind}\n", *(f"update add {name} 60 {kind} {one}\n" for one in value)])
        )

    def add_zone(self, zone: str) -> None:
        """Below another, which delegates it."""
        self.edit(f"update add {zone} 60 NS ns.{zone}\n")
        self._zones[zone] = {(zone, "SOA"): frozenset({"."})}
        self._note(self._known, Cause.STRANGER)

    def remove_zone(self, zone: str) -> None:
        """Its names are the other's again."""
        del self._zones[zone]
        self.edit(f"update delete {zone} NS\n")
        self._note(self._known, Cause.STRANGER)

    # Messages

    async def exchange(self, zone: str, lines: str, patience: float, keyfile: object = None) -> str:
        """What nsupdate says of a message."""
        self.messages += 1
        await asyncio.sleep(self._rng.uniform(0.0002, 0.003))
        state = self.weather.state(zone)
        if state == "nobody":
            return COMMUNICATION.format("connection refused")
        if state == "servfail":
            return FAILED.format("SERVFAIL")
        if state == "badkey" or keyfile in self.revoked:
            return BAD_KEY
        if self.deaf[zone]:
            self.deaf[zone] -= 1
            await asyncio.sleep(patience)
            return COMMUNICATION.format("timed out")
        planned = self._plan(lines) if "update " in lines else "well"
        lost = (
            state in ("silent", "asleep")
            or ("update " in lines and self._rng.random() < weather.LOST.get(state, 0.0))
            or (state == "lossy" and self._rng.random() < LOST)
        )
        if lost or planned not in ("well", "slow"):
            self._lose(zone, lines, "woken" if state == "asleep" else planned)
            await asyncio.sleep(patience)
            return COMMUNICATION.format("timed out")
        if planned == "slow":
            await asyncio.sleep(SLOW)
        before, after = self._rng.uniform(0.0, SLOW / 2), self._rng.uniform(0.0, SLOW / 2)
        await asyncio.sleep(before if state == "slow" else 0.0)
        status = self._answer(zone, lines, Cause.OURS)
        if self.slow_answers:
            self.slow_answers -= 1
            await asyncio.sleep(SLOW)
        await asyncio.sleep(after if state == "slow" else self._rng.uniform(0.0002, 0.002))
        return ANSWER.format(status) if status == "NOERROR" else FAILED.format(status)

    async def script(self, lines: str, keyfile: object = None) -> tuple[int | None, str]:
        """Exit code and output of an nsupdate of its own. What is lost of it never comes late: nobody could mend it."""
        self.messages += 1
        await asyncio.sleep(self._rng.uniform(0.005, 0.05))
        zone = self.zone_of(lines.split()[2])
        state = self.weather.state(zone or "")
        if state == "nobody":
            return 1, COMMUNICATION.format("connection refused")
        if state == "badkey" or keyfile in self.revoked:
            return 2, BAD_KEY
        if state in ("silent", "asleep") or (state == "lossy" and self._rng.random() < LOST):
            if zone and state != "asleep" and self._rng.random() < 0.5:
                self._answer(zone, lines, Cause.OURS)
            await asyncio.sleep(9.0)
            return 1, COMMUNICATION.format("timed out")
        status = "SERVFAIL" if state == "servfail" else self._answer(zone or "", lines, Cause.OURS)
        return (0, "") if status == "NOERROR" else (2, FAILED.format(status))

    def wake(self) -> None:
        """It was asleep, and works off what came meanwhile."""
        self._awake.set()
        self._awake = asyncio.Event()

    def _plan(self, lines: str) -> str:
        """What a scene has in mind for this change."""
        if self.planned:
            return self.planned.pop(0)
        return "withheld" if self.withholds and f" {self.withholds}\n" in lines.partition("update ")[2] else "well"

    def deliver(self) -> None:
        """What was withheld comes now."""
        withheld, self.withheld = self.withheld, []
        for zone, lines in withheld:
            self._answer(zone, lines, Cause.LATE)

    def _lose(self, zone: str, lines: str, fate: str) -> None:
        """Of a message to which no answer comes: what becomes of it."""
        if fate == "well":
            fate = self._rng.choice(("never", "at once", "late", "late"))
        if fate == "withheld":
            self.withheld.append((zone, lines))
        elif fate == "at once":
            self._answer(zone, lines, Cause.OURS)
        elif fate == "late":
            self._expect(self._later(zone, lines, self._rng.uniform(0, self._rng.choice(self.delays))))
        elif fate == "woken":
            self._expect(self._woken(zone, lines, now(), self._awake))

    def _expect(self, late: Any) -> None:
        self.late += 1
        task = asyncio.get_running_loop().create_task(late)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _later(self, zone: str, lines: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.late -= 1
        self._answer(zone, lines, Cause.LATE)

    async def _woken(self, zone: str, lines: str, sent: float, awake: asyncio.Event) -> None:
        await awake.wait()
        await asyncio.sleep(self._rng.uniform(0.0, WOKEN))
        self.late -= 1
        if now() < sent + LATEST:
            self._answer(zone, lines, Cause.WOKEN)

    def _answer(self, zone: str, lines: str, cause: Cause) -> str:
        state = self.weather.state(zone) if cause is Cause.OURS else WELL
        if zone not in self._zones:
            return "NOTAUTH"
        if state == "frozen":
            return "REFUSED"
        return "SERVFAIL" if state == "unloaded" else self._carry_out(zone, lines, cause, self.refused)

    def _carry_out(self, zone: str, lines: str, cause: Cause, refused: Collection[str]) -> str:
        status, self._zones[zone], touched = carried_out(zone, self._zones[zone], lines, refused.__contains__)
        keys: set[Key] = {(name, kind) for name, kind in touched if kind != TXT}
        for name, kind in touched:
            if kind == TXT:
                values = self._zones[zone].get((name, kind), frozenset())
                keys |= {(name, kind, value) for value in values}
                keys |= {key for key in self._known if key[:2] == (name, kind)}
        self._known |= keys
        self._note(keys, cause)
        return status

    def _note(self, keys: Iterable[Key], cause: Cause) -> None:
        number = next(self._numbers)
        for key in sorted(keys):
            self.ledger.note(Change(now(), key, self.value(key), cause, number))


tasks: set[asyncio.Task[None]] = set()  # of late messages, that nobody else holds


class Child:
    """Stands where nsupdate.Child stands, and talks to the primaries of `find`."""

    def __init__(self, find: Callable[[Any], Primary | None], route: Any, timers: Sequence[str] = ("-u", "2")) -> None:
        self._find = find
        self._route = route
        self._patience, self._tries = (2.0, 1) if timers[1] == "2" else (1.0, 3)  # seconds; what only asks is repeated
        self._runs = False
        self.way: Any = None

    async def send(self, zone: str, lines: str) -> str:
        """The transcript of one message."""
        primary = self._route.primary
        self._runs = True
        self.way = await self._route.way()
        transcript = COMMUNICATION.format("connection refused")
        for _ in range(self._tries):
            if found := self._find(primary):
                transcript = await found.exchange(zone, lines, self._patience, primary.keyfile)
                if "timed out" not in transcript:
                    break
            else:
                await asyncio.sleep(0.001)
        return transcript

    async def send_all(self, questions: Sequence[tuple[str, str]], hear: Callable[[int, str], None]) -> None:
        """Several small messages."""
        for number, (zone, lines) in enumerate(questions):
            hear(number, await self.send(zone, lines))

    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._runs

    def has_old_key(self) -> bool:
        """Whether its key file has changed."""
        return False

    def is_narrow(self) -> bool:
        """Whether no long message gets through."""
        return False

    def give_up(self, way: Any) -> None:
        """There is no better way here."""

    async def stop(self) -> None:
        """End it."""
        self._runs = False


async def converse(
    find: Callable[[Any], Primary | None], route: Any, lines: str, seconds: float
) -> tuple[int | None, str]:
    """Stands where nsupdate.converse stands."""
    if found := find(route.primary):
        return await found.script(lines, route.primary.keyfile)
    await asyncio.sleep(0.001)
    return 1, COMMUNICATION.format("connection refused")
