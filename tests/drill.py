"""The long drills: each makes things fail for minutes, against real parts, and says in one line what came of it."""

import asyncio
import os
import signal
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from tests import pair
from tests.drilling import PROGRESS, RANDOM, SCALE, Failed, Quiet, check
from tests.lab.bind import ALL, Bind
from tests.lab.machine import free_port, make_certificate
from tests.neighbours import CASES, neighbours
from tests.providing import provider
from tests.strangers import strangers


def addresses_of(bind: Bind, name: str) -> list[str]:
    """The A records that the name server has now."""
    reply = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=bind.port, timeout=5)
    return sorted(str(item) for rrset in reply.answer if rrset.rdtype == dns.rdatatype.A for item in rrset)


async def exchange(port: int, octets: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What comes back for these octets, when we have said all, until the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(octets)
        if context is None:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def update(port: int, key: str, address: str) -> str:
    request = f"GET /{key} HTTP/1.1\r\nX-Forwarded-For: {address}\r\n\r\n".encode()
    return (await exchange(port, request)).rpartition(b"\r\n\r\n")[2].decode()


# Chaos


async def chaos(folder: Path) -> str:
    """Random kills, hangs and restarts of named, kills of the child; what is acknowledged must be there."""
    bind = Bind(folder, {"dyn.example": ALL})
    bind.start()
    names = 50
    served = Quiet(folder, bind, {f"k{n}": f"h{n}.dyn.example" for n in range(names)})
    port = served.port_number
    counts = {"OK": 0, "UPTODATE": 0, "FAIL": 0}
    wrong: list[str] = []
    begin = time.monotonic()
    end = begin + 300 * SCALE
    healthy = asyncio.Event()
    healthy.set()

    async def client(n: int) -> str:
        """One router: each night a new address; the last that was acknowledged."""
        night = 0
        while time.monotonic() < end:
            night += 1
            address = f"10.{night // 250 % 250}.{night % 250}.{n + 1}"
            for _ in range(RANDOM.choice((1, 2))):
                answer = await update(port, f"k{n}", address)
                counts[answer] += 1
            if answer != "FAIL" and healthy.is_set():
                try:
                    seen = await asyncio.to_thread(addresses_of, bind, f"h{n}.dyn.example")
                except dns.exception.Timeout:
                    seen = []
                if healthy.is_set() and seen and seen != [address]:
                    wrong.append(f"h{n}: {answer} for {address}, but the zone has {seen}")
            await asyncio.sleep(RANDOM.random() / 10)
        await healthy.wait()
        final = f"192.0.2.{n + 1}"
        while await update(port, f"k{n}", final) == "FAIL":
            pass
        return final

    async def trouble() -> dict[str, int]:
        events = {"kill": 0, "hang": 0, "restart": 0, "child": 0}
        while time.monotonic() < end:
            PROGRESS.at(time.monotonic() - begin, end - begin)
            await asyncio.sleep(RANDOM.uniform(0.2, 3))
            event = RANDOM.choice(list(events))
            events[event] += 1
            if event == "child":
                for child in served.children():
                    os.kill(child, signal.SIGKILL)
                continue
            healthy.clear()
            if event == "hang":
                bind.signal(signal.SIGSTOP)
                await asyncio.sleep(RANDOM.uniform(0.1, 6))
                bind.signal(signal.SIGCONT)
            else:
                await asyncio.to_thread(bind.kill if event == "kill" else bind.stop)
                await asyncio.sleep(RANDOM.uniform(0, 3))
                await asyncio.to_thread(bind.start)
            healthy.set()
        return events

    try:
        events, *final = await asyncio.gather(trouble(), *(client(n) for n in range(names)))
        await asyncio.sleep(3)  # for what may come late
        lost = [f"h{n}" for n, address in enumerate(final) if addresses_of(bind, f"h{n}.dyn.example") != [address]]
    finally:
        code = served.stop()
        bind.kill()
    check(not wrong, wrong[:3])
    check(not lost, f"not the newest address: {lost}")
    check(code == 0, f"exit code {code}")
    return f"{events} with {counts}: 0 wrong, 0 lost of {names} names"


# Fuzz

SEEDS = [
    b"GET /key HTTP/1.1\r\nHost: dyn.example\r\nUser-Agent: x\r\n\r\n",
    b"GET /key?myip=192.0.2.7,2001:db8::7&prefix=2001:db8::/56&offline=NO HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /nic/update?hostname=fuzz.dyn.example&myip=192.0.2.7 HTTP/1.0\r\nAuthorization: Basic YTprZXk=\r\n\r\n",
    b"GET http://dyn.example/key?myip=%31%39%32.0.2.7%00 HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7, 127.0.0.1\r\n\r\n",
    b"POST /key HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"GET /update HTTP/1.1\r\nAuthorization: Basic YTprZXk=\r\nX-Forwarded-For: [2001:db8::7]:80\r\n\r\n",
    b"GET /key\r\n",
]
WORDS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"%",
    b"%00",
    b"%0a",
    b"?",
    b"&",
    b"=",
    b"/",
    b":",
    b"::1%x\nsend\n",
    b"\xff",
]


def mutated() -> bytes:
    octets = bytearray(RANDOM.choice(SEEDS))
    for _ in range(RANDOM.randint(1, 6)):
        at = RANDOM.randrange(len(octets) + 1)
        kind = RANDOM.randrange(4)
        if kind == 0:
            octets[at:at] = RANDOM.choice(WORDS)
        elif kind == 1:
            del octets[at : at + RANDOM.randint(1, 8)]
        elif kind == 2:
            octets[at : at + 1] = RANDOM.randbytes(1)
        else:
            octets[at:at] = octets[at : at + RANDOM.randint(1, 40)] * RANDOM.choice((1, 1, 1, 200))
    return bytes(octets)


async def fuzz(folder: Path) -> str:
    """Mutated requests: each is answered or closed, nothing is worse than a warning, the child stays."""
    bind = Bind(folder, {"dyn.example": ALL})
    bind.start()
    served = Quiet(folder, bind, {"key": "fuzz.dyn.example"})
    port = served.port_number
    await update(port, "key", "192.0.2.1")
    writer = served.writer()
    count = int(200_000 * SCALE)
    answered = closed = 0

    async def client(requests: int) -> None:
        nonlocal answered, closed
        for _ in range(requests):
            if await exchange(port, mutated()):
                answered += 1
            else:
                closed += 1
            PROGRESS.at(answered + closed, count)

    try:
        await asyncio.gather(*(client(count // 50) for _ in range(50)))
        await update(port, "key", "192.0.2.2")
        check(addresses_of(bind, "fuzz.dyn.example") == ["192.0.2.2"], "the zone")
        check(writer in served.children(), "another child")
    finally:
        served.stop()
        bind.kill()
    check(not served.log, served.log[:3])
    return f"{answered + closed} requests: {answered} answered, {closed} closed, no error logged, the same child"


# Slow clients


async def slow(folder: Path) -> str:
    """2000 clients that stall, in three ways; a normal one's median must not double."""
    bind = Bind(folder, {"dyn.example": ALL})
    bind.start()
    make_certificate(folder)
    tls_port = free_port()
    tls: dict[str, Any] = {"https": f"127.0.0.1:{tls_port}", "key": "server.key", "cert": "server.crt"}
    served = Quiet(folder, bind, {"key": "slow.dyn.example"}, **tls)
    port = served.port_number

    async def median(turn: int) -> float:
        times = []
        for asked in range(300):
            PROGRESS.at(turn * 300 + asked, 900)
            start = time.perf_counter()
            check(await update(port, "key", "192.0.2.1") in ("OK", "UPTODATE"), "the normal client")
            times.append(time.perf_counter() - start)
            await asyncio.sleep(0.005)
        return statistics.median(times) * 1000

    async def stall(n: int) -> None:
        """Silent, a letter every second, or silent in the handshake; again when it is thrown out."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", tls_port if n % 3 == 2 else port)
            try:
                while not reader.at_eof():
                    writer.write(b"" if n % 3 == 0 else b"G" if n % 3 == 1 else b"\x16")
                    await asyncio.sleep(2 + 2 * RANDOM.random())
            except ConnectionError:
                pass
            finally:
                writer.close()

    try:
        await median(0)
        alone = await median(1)
        before = served.resident()
        stalling = [asyncio.create_task(stall(n)) for n in range(2000)]
        await asyncio.sleep(3)
        among = await median(2)
        after = served.resident()
        for task in stalling:
            task.cancel()
        await asyncio.gather(*stalling, return_exceptions=True)
    finally:
        served.stop()
        bind.kill()
    figure = f"median {alone:.2f} ms alone, {among:.2f} ms among 2000 ({among / alone:.2f}x), {(after - before) / 2000:.0f} KiB each"
    check(among <= 2 * alone, figure)
    return figure


# Soak


async def soak(folder: Path) -> str:
    """Hundreds of thousands of requests, one in ten a change: memory stays flat, the child the same."""
    bind = Bind(folder, {"dyn.example": ALL})
    bind.start()
    names = 500
    served = Quiet(folder, bind, {f"k{n}": f"h{n}.dyn.example" for n in range(names)})
    port = served.port_number

    async def client(n: int, rounds: int) -> None:
        for turn in range(rounds):
            answer = await update(port, f"k{n}", f"10.0.{turn // 10 % 250}.{n % 250 + 1}")
            check(answer in ("OK", "UPTODATE"), answer)

    async def rounds(count: int) -> None:
        for start in range(0, names, 100):
            PROGRESS.at(start, names)
            await asyncio.gather(*(client(n, count) for n in range(start, start + 100)))

    try:
        await rounds(int(60 * SCALE) + 20)
        writer = served.writer()
        before = served.resident()
        count = int(600 * SCALE)
        await rounds(count)
        after = served.resident()
        check(writer in served.children(), "another child")
    finally:
        served.stop()
        bind.kill()
    figure = f"{count * names} requests: {before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after, the same child"
    check(after < before * 1.1 + 1024, figure)
    return figure


DRILLS: dict[str, Callable[[Path], Coroutine[Any, Any, str]]] = {
    "chaos": chaos,
    "fuzz": fuzz,
    "slow": slow,
    "soak": soak,
    "provider": partial(provider, update=update),
    "strangers": strangers,
    "pair": pair.drill,
    **{f"neighbours:{case.name}": partial(neighbours, case) for case in CASES},
}


ONLY_BY_NAME = "neighbours:flood-3000"


def is_chosen(name: str, chosen: list[str]) -> bool:
    """Whether a drill shall run: all do if none is chosen; "neighbours" is all its cases."""
    if name in chosen:
        return True
    return name != ONLY_BY_NAME and (not chosen or name.partition(":")[0] in chosen)


def main(chosen: list[str]) -> int:
    failures = 0
    names = [name for name in DRILLS if is_chosen(name, chosen)]
    with PROGRESS:
        for number, name in enumerate(names, 1):
            PROGRESS.now(f"{number} of {len(names)}  {name}")
            start = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="sftdyn-drill-") as folder:
                try:
                    result = "ok    " + asyncio.run(DRILLS[name](Path(folder)))
                except Failed as failed:
                    failures += 1
                    result = f"FAILED {failed}"
            PROGRESS.say(f"{name:21} {time.monotonic() - start:4.0f} s  {result}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
