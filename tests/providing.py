"""The drill's part "provider": names at Cloudflare, whose API fails in every way, beside a name at BIND.

What is acknowledged must be there. A change without an answer may be carried out later, over a newer one: that may be
seen for a moment, and must be mended. At the end, when all is well again, every name has its newest address.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

from tests.drilling import RANDOM, SCALE, Quiet, check
from tests.lab.api import Fault, closed, dripping, enormous, error, garbage, redirect, silent, slow
from tests.lab.bind import ALL, Bind
from tests.lab.cloudflare import Cloudflare, broken, too_many
from tests.lab.machine import make_certificate

SECONDS = 120 * SCALE
LATEST = 14.0  # seconds until a change is carried out for whose answer nobody waits any more
WATCHED = 35.0  # seconds until what came late is looked for again, at most
NAMES = 30
ZONES = [f"zone{number}.example" for number in range(3)]
BESIDE = "beside.dyn.example"

Update: TypeAlias = Callable[[int, str, str], Coroutine[Any, Any, str]]  # port, key, address → the answer
FAULTS: dict[str, Callable[[], Fault]] = {
    "500": lambda: error(RANDOM.choice((500, 502, 503)), made=RANDOM.random() < 0.5),
    "500 in JSON": lambda: broken(made=RANDOM.random() < 0.5),
    "closed": lambda: closed(made=RANDOM.random() < 0.5, octets=RANDOM.choice((0, 60))),
    "garbage": lambda: garbage(made=RANDOM.random() < 0.5),
    "enormous": lambda: enormous(made=RANDOM.random() < 0.5),
    "redirect": lambda: redirect("https://localhost:1/"),
    "silent": lambda: silent(made=RANDOM.random() < 0.5),
    "slow": lambda: slow(RANDOM.uniform(0, 8), made=RANDOM.random() < 0.5),
    "late": lambda: slow(RANDOM.uniform(8, LATEST), made=False),
    "dripping": lambda: dripping(0.2),
    "429": lambda: too_many(RANDOM.choice((1, 2))),
}


class Expression(str):
    """Python as it stands in a conf."""

    def __repr__(self) -> str:
        return str(self)


class Names:
    """What was acknowledged for each name, and what is there."""

    def __init__(self, api: Cloudflare) -> None:
        self._api = api
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.late: list[float] = []  # seconds that a value which came late was seen
        self._sent: dict[str, set[str]] = {name: set() for name in names()}
        self._acknowledged: dict[str, str] = {}  # while nothing newer is asked for
        self._late_since: dict[str, float] = {}

    def ask(self, name: str, address: str) -> None:
        """An update is sent."""
        self._acknowledged.pop(name, None)
        self._sent[name].add(address)

    def answer(self, name: str, address: str, answer: str) -> None:
        """And answered."""
        self.answers[answer] += 1
        if answer != "FAIL":
            self._acknowledged[name] = address
            self.look(name)

    def look(self, name: str) -> None:
        """What is acknowledged must be there, or what came late over it."""
        there, wanted = self._api.addresses(name), self._acknowledged.get(name)
        if wanted is None or there == [wanted]:
            if since := self._late_since.pop(name, 0.0):
                self.late.append(time.monotonic() - since)
        elif set(there) <= self._sent[name]:
            self._late_since.setdefault(name, time.monotonic())
        else:
            self.wrong.append(f"{name}: {wanted} was acknowledged, but there is {there}")


def names() -> list[str]:
    return [f"h{number}.{ZONES[number % len(ZONES)]}" for number in range(NAMES)]


async def provider(folder: Path, update: Update) -> str:
    """Two minutes of faults."""
    make_certificate(folder)
    bind = Bind(folder, {"dyn.example": ALL})
    bind.start()
    with Cloudflare(folder) as api:
        for zone in ZONES:
            api.add_zone(zone)
        for name in names():
            api.add(name, "A", "192.0.2.1", proxied=True, comment="stays")
        where = Expression(f"Cloudflare(token={api.add_token()!r}, url={api.url!r}, ca={str(api.ca)!r})")
        clients: dict[str, object] = {f"k{number}": name for number, name in enumerate(names())}
        clients["b"] = Expression(f"Client({BESIDE!r}, provider=Bind())")
        served = Quiet(folder, bind, clients, provider=where)
        try:
            figure = await Drill(api, served.port_number, update).run()
        finally:
            code = served.stop()
            bind.kill()
        check(code == 0, f"exit code {code}")
        check(not api.complaints, api.complaints[:3])
    return figure


class Drill:
    """Clients, trouble, and somebody beside."""

    def __init__(self, api: Cloudflare, port: int, update: Update) -> None:
        self._api = api
        self._port = port
        self._update = update
        self._names = Names(api)
        self._end = time.monotonic() + SECONDS
        self._is_away = False
        self._times: list[float] = []  # seconds of changes at BIND
        self._times_away: list[float] = []  # while Cloudflare was away

    async def run(self) -> str:
        """What came of it."""
        await self._beside(time.monotonic() + max(1, 5 * SCALE))
        alone, self._times = self._times, []
        clients = [self._client(number, name) for number, name in enumerate(names())]
        trouble, beside = asyncio.create_task(self._trouble()), asyncio.create_task(self._beside(self._end))
        watch = asyncio.create_task(self._watch())
        final = await asyncio.gather(*clients)
        events = await trouble
        await beside
        await self._settle(dict(zip(names(), final, strict=True)))
        watch.cancel()
        seen = self._names
        check(not seen.wrong, seen.wrong[:3])
        check({(record.proxied, record.comment) for record in self._api.records()} == {(True, "stays")}, "the fields")
        times = {"alone": alone, "beside": self._times, "while Cloudflare is away": self._times_away}
        medians = {when: 1000 * statistics.median(some) for when, some in times.items() if some}
        figures = ", ".join(f"{median:.1f} ms {when}" for when, median in medians.items())
        check(max(medians.values()) < 2 * medians["alone"] + 5, figures)
        return (
            f"{dict(events)} with {dict(seen.answers)}, {len(self._api.requests)} requests: 0 wrong of {NAMES} names,"
            f" {len(seen.late)} late and mended within {max(seen.late, default=0):.0f} s; BIND's median {figures}"
        )

    async def _client(self, number: int, name: str) -> str:
        """One router, with a new address each time; its last one, which was acknowledged."""
        night = 0
        while time.monotonic() < self._end:
            night += 1
            address = f"198.{night // 250}.{night % 250}.{number + 1}"
            for _ in range(RANDOM.choice((1, 2))):
                await self._ask(number, name, address)
            await asyncio.sleep(RANDOM.random() * RANDOM.choice((0.5, 15)))
        final = f"192.0.2.{number + 1}"
        while await self._ask(number, name, final) == "FAIL":
            pass
        return final

    async def _ask(self, number: int, name: str, address: str) -> str:
        self._names.ask(name, address)
        answer = await self._update(self._port, f"k{number}", address)
        self._names.answer(name, address, answer)
        return answer

    async def _watch(self) -> None:
        """Look at all names, again and again."""
        while True:
            for name in names():
                self._names.look(name)
            await asyncio.sleep(0.1)

    async def _trouble(self) -> Counter[str]:
        """One fault after the other, for some requests."""
        events: Counter[str] = Counter()
        while time.monotonic() < self._end:
            event = RANDOM.choice(["away", "late", *FAULTS])
            events[event] += 1
            if event == "away":
                await asyncio.to_thread(self._api.stop)
                self._is_away = True
                await asyncio.sleep(RANDOM.uniform(0, 6))
                self._is_away = False
                await asyncio.to_thread(self._api.start)
            else:
                method = "POST" if event == "late" else RANDOM.choice(("GET", "POST", "POST"))
                self._api.fail(FAULTS[event](), RANDOM.choice((1, 1, 2)), method)
            await asyncio.sleep(RANDOM.uniform(0, 4))
            if RANDOM.random() < 0.3:
                self._api.heal()
        self._api.heal()
        return events

    async def _beside(self, end: float) -> None:
        """Note how many seconds a change at BIND takes."""
        number = 0
        while time.monotonic() < end:
            number += 1
            start, away = time.perf_counter(), self._is_away
            answer = await self._update(self._port, "b", f"192.0.2.{number % 250}")
            (self._times_away if away and self._is_away else self._times).append(time.perf_counter() - start)
            check(answer in ("OK", "UPTODATE"), f"{answer} of BIND")
            await asyncio.sleep(0.02)

    async def _settle(self, final: dict[str, str]) -> None:
        """Until nothing can come late any more, and is mended. Raises Failed."""
        await asyncio.sleep(LATEST)
        deadline = time.monotonic() + WATCHED
        while lost := [name for name, address in final.items() if self._api.addresses(name) != [address]]:
            check(time.monotonic() < deadline, f"not the newest address: {lost}")
            await asyncio.sleep(0.1)
