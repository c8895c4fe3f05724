"""The drill's part "strangers": who means harm, or hangs, all at once; good clients beside notice nothing.

Strangers, a client with a key, a hostile server, own names and hooks that hang, and an operator who reloads. The good
clients are measured alone first.
"""

import asyncio
import os
import signal
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.drilling import SCALE, Quiet, check
from tests.fetch.peers import says, serving
from tests.fetch.test_answer import HOSTILE
from tests.lab.bind import ALL, Bind
from tests.lab.machine import free_port, make_certificate
from tests.web.test_hello import hello_of

SECONDS = max(20.0, 300 * SCALE)  # of all at once
ALONE = max(8.0, SECONDS / 5)
GOOD = 20  # clients, half of them over TLS
PAUSE = 0.5  # seconds between two requests of one of them
WORSE = 3.0  # times the undisturbed p99,
GRAIN = 0.02  # seconds, and at least: what the machine has other things to do for
STRANGER, GUEST = "127.0.0.9", "127.0.0.8"
NAMES = ",".join("%EF%B7%BA" * 14 + f".a{number}.xyz" for number in range(100))  # one letter that stands for 18

CONF = """
import socket, threading, time
never = threading.Event()
real = socket.getaddrinfo
def getaddrinfo(host, *arguments):  # a resolver that does not answer for some names
    if str(host).endswith(".invalid"):
        never.wait(30)
    return real(host, *arguments)
socket.getaddrinfo = getaddrinfo

def get_ip(source_ip, headers, key):
    if key.startswith("wrong"):
        time.sleep(1)
    return source_ip

def mine(name, type, ttl, addresses, secret):
    if name.startswith("hang"):
        never.wait(60)
    return "OK"

clients["hangs"] = Client(*[f"hang{n}.example" for n in range(100)], provider=mine)
clients["works"] = Client("works.example", provider=mine)
own = [Client(f"own{n}.dyn.example", address=Web(f"http://h{n}.invalid/"), every=1) for n in range(5)]
own += [Client("told.dyn.example", address=Web("HOSTILE"), every=1)]
own += [Client("stuck.dyn.example", address=lambda: never.wait(600), every=1)]
"""


@dataclass
class Asked:
    """What the good clients got."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


async def ask(port: int, request: bytes, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> bytes:
    """What is answered; what cannot be had is no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=(source, 0))
    try:
        writer.write(request)
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


async def each(seconds: float, what: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Again and again, whether it has ended or not; whatever comes of it."""
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_try(what))
            await asyncio.sleep(seconds)


async def _try(what: Callable[[], Coroutine[Any, Any, object]]) -> None:
    try:
        await what()
    except (OSError, TimeoutError, ssl.SSLError):
        pass


class Street:
    """A sftdyn, its good clients, and the others."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        bind = Bind(folder, {"dyn.example": ALL})
        bind.start()
        stack.callback(bind.kill)
        make_certificate(folder)
        self.tls_port, self.status_port = free_port(), free_port()
        self.hostile = stack.enter_context(serving(says(HOSTILE["blanks in values"])))
        clients: dict[str, object] = {f"good{n}": f"good{n}.dyn.example" for n in range(GOOD)}
        self.served = Quiet(
            folder,
            bind,
            {**clients, "guest": "guest.dyn.example"},
            CONF.replace("HOSTILE", f"http://127.0.0.1:{self.hostile.port}/"),
            https=f"127.0.0.1:{self.tls_port}",
            status=f"127.0.0.1:{self.status_port}",
            key="server.key",
            cert="server.crt",
        )
        stack.callback(self.served.kill)
        self.port = self.served.port_number
        self._trusting = ssl.create_default_context(cafile=folder / "server.crt")
        self._trusting.check_hostname = False
        self._hello = hello_of("-groups", "ffdhe8192")

    async def good(self, seconds: float) -> Asked:
        """The good clients, for so long."""
        asked = Asked()
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(number, end, asked) for number in range(GOOD)), self._works(end, asked))
        return asked

    async def _client(self, number: int, end: float, asked: Asked) -> None:
        await asyncio.sleep(PAUSE * number / GOOD)
        turn = 0
        while time.monotonic() < end:
            turn += 1
            tls = self._trusting if number % 2 else None
            target = f"good{number}?ip=10.1.{turn // 5 % 250}.{number + 1}"
            await self._ask(target, tls, asked)
            await asyncio.sleep(PAUSE)

    async def _works(self, end: float, asked: Asked) -> None:
        """Of a function, beside one with a hundred names that hang."""
        while time.monotonic() < end:
            await self._ask("works?ip=192.0.2.1", None, asked)
            await asyncio.sleep(PAUSE)

    async def _ask(self, target: str, tls: ssl.SSLContext | None, asked: Asked) -> None:
        begun = time.monotonic()
        request = f"GET /{target} HTTP/1.0\r\n\r\n".encode()
        try:
            answer = (await ask(self.tls_port if tls else self.port, request, tls=tls)).rpartition(b"\n")[2].decode()
        except (OSError, TimeoutError) as error:
            answer = type(error).__name__
        asked.seconds.append(time.monotonic() - begun)
        if answer not in ("OK", "UPTODATE"):
            asked.wrong.append(f"{target}: {answer}")

    def troubles(self) -> list[Coroutine[Any, Any, None]]:
        """All that is done to it."""
        password = b64encode(b"any:guest").decode()
        names = f"GET /nic/update?hostname={NAMES} HTTP/1.0\r\nAuthorization: Basic {password}\r\n\r\n".encode()
        wrong, hangs = b"GET /wrong HTTP/1.0\r\n\r\n", b"GET /hangs?ip=192.0.2.9 HTTP/1.0\r\n\r\n"
        return [
            each(1 / 20, lambda: ask(self.tls_port, self._hello, STRANGER)),
            each(1 / 200, lambda: ask(self.port, wrong, STRANGER)),
            each(1 / 5, lambda: ask(self.port, names, GUEST)),
            each(1, lambda: ask(self.port, hangs, GUEST)),
            each(1 / 10, lambda: ask(self.status_port, b"GET / HTTP/1.0\r\n", STRANGER)),
            each(SECONDS / 10, self._reload),
        ]

    async def _reload(self) -> None:
        for _ in range(1000):
            os.kill(self.served.process.pid, signal.SIGHUP)


async def strangers(folder: Path) -> str:
    """Everything at once, and good clients beside: none of them fails, or waits noticeably longer."""
    with ExitStack() as stack:
        street = await asyncio.to_thread(Street, folder, stack)
        await street.good(2)
        alone = await street.good(ALONE)
        troubles = [asyncio.create_task(trouble) for trouble in street.troubles()]
        try:
            beside = await street.good(SECONDS)
        finally:
            for trouble in troubles:
                trouble.cancel()
            await asyncio.gather(*troubles, return_exceptions=True)
        log = street.served.log
    figures = (
        f"{len(beside.seconds)} requests, {len(alone.wrong + beside.wrong)} FAIL, "
        f"p99 {alone.p99 * 1000:.0f} to {beside.p99 * 1000:.0f} ms ({beside.p99 / alone.p99:.1f}x), "
        f"longest {max(alone.seconds) * 1000:.0f} to {max(beside.seconds) * 1000:.0f} ms"
    )
    check(not alone.wrong + beside.wrong, f"{figures}: {(alone.wrong + beside.wrong)[:3]}")
    check(beside.p99 < max(WORSE * alone.p99, GRAIN), figures)
    check(not [line for line in log if "Traceback" in line or "calls of hooks hang" in line], log[:3])
    return figures
