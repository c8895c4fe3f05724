"""The drill's part "pair": two of everything, of which one is killed, stopped or cut off, in turn.

Two sftdyn, one behind the other and both behind HAProxy, in front of two PowerDNS on one PostgreSQL. What is
acknowledged must be there, at both; who is answered FAIL, or not at all, asks again, as routers do.
"""

import asyncio
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.message

from tests.drilling import RANDOM, SCALE, Failed, Quiet, check
from tests.lab.machine import ROOT, free_port, make_certificate
from tests.lab.postgresql import Server
from tests.lab.powerdns import ALL, PowerDns
from tests.lab.process import Process
from tests.lab.world import World
from tests.web.test_real_proxies import HAPROXY

SECONDS = max(60.0, 300 * SCALE)
CLIENTS = 200
PAUSE = 10.0  # seconds between two changes of a client, at most
AGAIN = 1.0  # seconds until a client tries again
PATIENCE = 15.0  # seconds that it waits for an answer
LASTS = 8.0  # seconds that a trouble lasts, at most
SLOW = 0.5  # seconds of a change that has met the trouble
WATCHED = 35.0  # seconds until what came late is looked for again, at most
SCHEMA = Path("/usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql")
TROUBLES = ("killed", "stopped", "cut off")
NAMES = [f"h{number}.dyn.example" for number in range(CLIENTS)]


class House:
    """What is doubled, and what is not: the database, and HAProxy, stand for engines that are distributed."""

    def __init__(self, world: World, stack: ExitStack) -> None:
        self._world = world
        folder = world.folder
        database = Server()
        stack.callback(database.close)
        database.run(SCHEMA.read_text())
        self.servers: list[PowerDns] = []
        for number in range(2):
            place = folder / f"pdns{number}"
            place.mkdir()
            twin = self.servers[0] if self.servers else None
            server = PowerDns(place, {} if twin else {"dyn.example": ALL}, database.where, twin)
            server.start()
            stack.callback(server.kill)
            self.servers.append(server)
        self.database = database
        self._stack = stack
        self.ports = [free_port(), free_port()]
        self.sftdyns = [self._serve(number) for number in range(2)]
        self.proxy_port = self._behind_haproxy(folder / "proxy")
        self.now = ""  # which trouble there is
        self._turns = cycle([(kind, number) for number in range(2) for kind in ("server", "sftdyn")])

    def _serve(self, number: int) -> Quiet:
        folder = self._world.folder / f"sftdyn{number}"
        folder.mkdir(exist_ok=True)
        both = [f"127.0.0.1:{server.port}" for server in self.servers]
        clients: dict[str, object] = {f"k{n}": name for n, name in enumerate(NAMES)}
        served = Quiet(folder, None, clients, port=self.ports[number], server=both, nskeyfile=self.servers[0].keyfile)
        self._stack.callback(served.kill)
        return served

    def _behind_haproxy(self, folder: Path) -> int:
        folder.mkdir()
        make_certificate(folder)
        (folder / "server.pem").write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())
        port = free_port()
        path = HAPROXY.configured(folder, self.ports[0], port)
        one = f"server sftdyn 127.0.0.1:{self.ports[0]} check"
        other = f"server other 127.0.0.1:{self.ports[1]} check"
        text = path.read_text().replace(" ssl crt " + str(folder / "server.pem"), "")
        assert one in text
        path.write_text(
            text.replace(one, f"{one}\n    {other}\n    option redispatch\n    retry-on all-retryable-errors")
        )
        proxy = Process([part.format(folder=folder, conf=path) for part in HAPROXY.command], folder)
        self._stack.callback(proxy.kill)
        proxy.wait_for_port("127.0.0.1", port)
        return port

    async def trouble(self, what: str) -> str:
        """One of the four has it for some seconds, the next one in turn; which, and what."""
        kind, number = next(self._turns)
        self.now = f"{kind} {what}"
        seconds = RANDOM.uniform(2, LASTS)
        port = self.servers[number].port if kind == "server" else self.ports[number]
        one: PowerDns | Quiet = self.servers[number] if kind == "server" else self.sftdyns[number]
        if what == "cut off":
            self._world.block(f"tcp dport {port} drop", f"udp dport {port} drop")
            await asyncio.sleep(seconds)
            self._world.block()
        elif what == "stopped":
            one.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            one.signal(signal.SIGCONT)
        else:
            one.kill()
            await asyncio.sleep(seconds)
            if isinstance(one, PowerDns):
                await asyncio.to_thread(one.start)
            else:
                self.sftdyns[number] = await asyncio.to_thread(self._serve, number)
        self.now = ""
        return f"{kind} {what}"


class Streets:
    """The clients, what was acknowledged, and what is seen of it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._acknowledged: dict[str, str] = {}  # while nothing newer is asked for
        self._late_since: dict[str, float] = {}
        self.answers: Counter[str] = Counter()
        self.slow: dict[str, list[float]] = {}  # trouble → seconds of changes that met it
        self.changes = 0
        self.late: list[float] = []  # seconds that a value which came late was seen

    async def client(self, number: int, end: float) -> None:
        """One router, with a new address now and then; a third of them call through the proxy."""
        ways = [[self._house.proxy_port], self._house.ports, self._house.ports[::-1]][number % 3]
        night = 0
        while time.monotonic() < end:
            await asyncio.sleep(RANDOM.uniform(0, PAUSE))
            night += 1
            await self._change(number, f"10.{number}.{night // 250}.{night % 250 + 1}", ways)

    async def _change(self, number: int, address: str, ways: list[int]) -> None:
        """Until it is acknowledged."""
        self._acknowledged.pop(NAMES[number], None)
        self._late_since.pop(NAMES[number], None)
        begun, trouble = time.monotonic(), self._house.now
        for port in cycle(ways):
            answer = await ask(port, f"k{number}?myip={address}")
            self.answers[answer] += 1
            if answer in ("OK", "UPTODATE"):
                break
            check(time.monotonic() < begun + 120, f"{NAMES[number]} is not updated for two minutes: {answer}")
            await asyncio.sleep(0 if answer == "no connection" and port == ways[0] and len(ways) > 1 else AGAIN)
        seconds = time.monotonic() - begun
        self.changes += 1
        if seconds > SLOW:
            self.slow.setdefault(trouble or "beside", []).append(seconds)
        self._acknowledged[NAMES[number]] = address

    async def look(self) -> None:
        """At all names, again and again, at both servers."""
        while True:
            for name in NAMES:
                for server in self._house.servers:
                    await self._compare(name, server.port)
                await asyncio.sleep(0.005)

    async def _compare(self, name: str, port: int) -> None:
        wanted = self._acknowledged.get(name)
        seen = await lookup(name, port) if wanted else None
        if seen is None or self._acknowledged.get(name) != wanted:
            return
        if seen == [wanted]:
            if since := self._late_since.pop(name, 0.0):
                self.late.append(time.monotonic() - since)
        else:
            self._late_since.setdefault(name, time.monotonic())

    async def settled(self) -> None:
        """Until what came late is mended. Raises Failed where it is not."""
        deadline = time.monotonic() + WATCHED
        while True:
            wrong = [
                f"{name} is {seen}, not {wanted}"
                for name, wanted in self._acknowledged.items()
                for server in self._house.servers
                if (seen := await lookup(name, server.port)) != [wanted]
            ]
            if not wrong:
                return
            check(time.monotonic() < deadline, f"{len(wrong)} wrong: {wrong[:3]}")
            await asyncio.sleep(0.5)


async def ask(port: int, target: str) -> str:
    """What is answered; "no connection" or "no answer" otherwise."""
    said = "no connection"
    try:
        async with asyncio.timeout(PATIENCE):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said = "no answer"
            writer.write(f"GET /{target} HTTP/1.0\r\n\r\n".encode())
            answer = (await reader.read()).rpartition(b"\n")[2].decode()
            writer.close()
            return answer if answer in ("OK", "UPTODATE", "FAIL") else said
    except (OSError, TimeoutError):
        return said


async def lookup(name: str, port: int) -> list[str] | None:
    """The addresses that a server has; None where it does not answer."""
    try:
        answer = await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", timeout=1, port=port)
    except (dns.exception.DNSException, OSError):
        return None
    return [str(record) for rrset in answer.answer for record in rrset]


async def run(world: World) -> str:
    """What came of it."""
    with ExitStack() as stack:
        house = await asyncio.to_thread(House, world, stack)
        streets = Streets(house)
        await asyncio.gather(*(streets.client(number, time.monotonic() + 1) for number in range(CLIENTS)))
        streets.slow.clear()
        end = time.monotonic() + SECONDS
        looking = asyncio.create_task(streets.look())
        clients = asyncio.gather(*(streets.client(number, end) for number in range(CLIENTS)))
        events: Counter[str] = Counter()
        for what in cycle(TROUBLES):
            await asyncio.sleep(RANDOM.uniform(2, 5))
            if time.monotonic() > end - LASTS or clients.done():
                break
            events[await house.trouble(what)] += 1
        await clients
        await streets.settled()
        looking.cancel()
        served = [one.stop() for one in house.sftdyns]
        serials = house.database.run("SELECT count(*) FROM records WHERE type = 'SOA'").strip()
    check(served == [0, 0], f"exit codes {served}")
    check(serials == "1", f"{serials} SOA records")
    met = [f"{what} {statistics.median(some):.1f} s, {max(some):.1f} s" for what, some in sorted(streets.slow.items())]
    late = f"{len(streets.late)} late, seen for at most {max(streets.late, default=0):.1f} s"
    return (
        f"{streets.changes} changes by {CLIENTS} clients, {dict(streets.answers)}; {dict(events)}: 0 wrong in the end, {late}; "
        f"changes that met one took, median and worst: {'; '.join(met)}"
    )


def pair(world: World) -> None:
    """Inside a network of its own."""
    print(asyncio.run(run(world)))


async def drill(folder: Path) -> str:
    """In a network of its own, as somebody is cut off there. Raises Failed."""
    inside = [sys.executable, "-m", "tests.lab.world", "tests.pair", "pair", str(folder)]
    command = ["unshare", "--net", "--mount", *inside]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])
    return done.stdout.strip()
