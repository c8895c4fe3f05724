"""How a primary is reached: its names resolved, the way that works, the key, and the ports of this machine."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from ...fetch.answer import Failed
from ...fetch.route import FAMILIES, Lookup
from ...fetch.stream import Origin
from ...values.specs import Primary
from .addresses import Address, Choice, Over, Passage

RENEWAL = 60.0  # seconds; a name may have got another address
# Each TCP message has a connection of its own, whose local port then rests for a minute. More of them per second
# than this, after a burst, would use up the ports.
TCP_INTERVAL = 1 / 400
TCP_BURST = 0.25
LOOPBACK = ("127.0.0.1", "::1")


class Unresolved(Exception):
    """The system's resolver has none; the text says for whom."""


class Route:
    """All children of one provider share it, and follow it at their next message."""

    def __init__(self, primary: Primary, way: Passage | None = None) -> None:
        """`way`: this one and no other."""
        self.primary = primary
        self.choice = Choice()
        self.talking: set[Callable[[Passage], None]] = set()  # who waits for an answer, and would give that way up
        self._fixed = way
        self._renewed = float("-inf")  # event loop time
        self._renewing: asyncio.Task[None] | None = None
        self._next_tcp = 0.0  # event loop time
        if not self.has_names():
            servers = primary.servers or [(host, primary.port) for host in LOOPBACK]
            self.choice.learn([Address(*server) for server in servers])

    async def way(self) -> Passage:
        """The way to talk to it now. Raises Unresolved."""
        if self._fixed:
            return self._fixed
        if self.choice.way is None:
            await self.renew()
        elif self._renewed + RENEWAL <= asyncio.get_running_loop().time() and self.has_names():
            self._start_renewal()
        if self.choice.way is None:
            names = ", ".join(host for host, _ in self.primary.servers)
            raise Unresolved(f"{names}: the resolver of this machine has no address for it")
        return self.choice.way

    def over(self) -> Over:
        """What gets through to the address that is talked to."""
        way = self._fixed or self.choice.way
        return way.over if way else Over.BOTH

    def has_names(self) -> bool:
        """Whether the resolver has a say."""
        return any(not is_number(host) for host, _ in self.primary.servers)

    async def renew(self) -> None:
        """Ask the resolver, if it has a say. Who is still waiting for its answer waits together."""
        if self.has_names():
            await asyncio.shield(self._start_renewal())

    def _start_renewal(self) -> "asyncio.Task[None]":
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())
        return self._renewing

    async def _renew(self) -> None:
        """What the resolver does not know any more stays as it was."""
        found = await asyncio.gather(*(resolved(host, port) for host, port in self.primary.servers))
        self._renewed = asyncio.get_running_loop().time()
        if any(found):
            self.choice.learn([address for some in found for address in some])

    def arguments(self, way: Passage) -> tuple[str, ...]:
        """The arguments of nsupdate."""
        local = () if self.primary.servers else ("-l", "-6" if ":" in way.address.host else "-4")
        key = ("-k", str(self.primary.keyfile)) if self.primary.keyfile else ()
        return (*local, *(("-v",) if way.over is Over.TCP else ()), *key)

    def greeting(self, way: Passage) -> str:
        """The line that an nsupdate is told before anything else; -l forbids it."""
        return f"server {way.address.host} {way.address.port}\n" if self.primary.servers else ""

    def questions(self, way: Passage) -> tuple[str, ...]:
        """The arguments of dig, for questions to the same server."""
        return (f"@{way.address.host}", "-p", str(way.address.port), *(("+tcp",) if way.over is Over.TCP else ()))

    def key_time(self) -> int | None:
        """When the key file was written (ns since 1970); None where there is none, or it is gone."""
        try:
            return self.primary.keyfile.stat().st_mtime_ns if self.primary.keyfile else None
        except OSError:
            return None

    async def wait_for_port(self) -> None:
        """Until one more TCP connection is in order."""
        clock = asyncio.get_running_loop().time
        self._next_tcp = max(self._next_tcp, clock() - TCP_BURST) + TCP_INTERVAL
        if self._next_tcp > clock():
            await asyncio.sleep(self._next_tcp - clock())


async def resolved(host: str, port: int) -> Sequence[Address]:
    """The addresses of a server, as the system's resolver orders them; none where it knows none."""
    if is_number(host):
        return [Address(host, port)]
    lookup = Lookup(Origin(host, port, tls=False), FAMILIES[None], asyncio.get_running_loop().time(), host)
    try:
        return [Address(found, port) for found in await lookup.addresses()]
    except Failed:
        return []


def is_number(host: str) -> bool:
    """Whether it is an address."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
