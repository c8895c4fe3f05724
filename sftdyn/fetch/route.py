"""The way to a server: its addresses, one after the other, until one of them lets us in.

The system's resolver cannot be cancelled, so it has daemon threads, and few of them. Source: RFC 8305.
"""

import asyncio
import socket
import ssl
from collections.abc import Hashable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

from ..places import Places
from ..threads import Returned, in_thread
from ..trust import Trust
from .answer import Failed, Obstacle
from .stream import Origin, Stream, open_stream

ALL_AT_ONCE = 128  # requests by one Dialer; 40 MiB while as many servers are silent
LOOKUPS = 20  # threads that ask the system for addresses, all together; each Dialer has its share
OF_ONE_NAME = 2  # of these for one Dialer
LOOKUP = 5.0  # seconds after which a lookup is not waited for by others any more, and that one waits for its thread
VERIFICATIONS = {  # X509_V_ERR_… of x509_vfy.h
    9: Obstacle.NOT_YET,
    10: Obstacle.EXPIRED,
    **dict.fromkeys((2, 18, 19, 20, 21), Obstacle.UNKNOWN_ISSUER),
    **dict.fromkeys((62, 64), Obstacle.OTHER_NAME),  # of a host, of an address
}
FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}

Family: TypeAlias = Literal[4, 6] | None  # of addresses; None: any


class Dialer:
    """Connects to servers, over one family or both; `ca` says whose certificates are believed (None: the system's).

    Several Fetchers may share one. Made and used inside one running event loop.
    """

    def __init__(self, ca: Path | None = None, family: Family = None) -> None:
        self.turns = asyncio.Semaphore(ALL_AT_ONCE)
        self._ca = ca
        self._family = family
        self._trust = Trust(["http/1.1"])
        self._lookups: dict[Origin, list[Lookup]] = {}  # under way, the newest last
        self._worked: str | None = None  # the address of the last connection

    async def connect(self, origin: Origin, deadline: float) -> Stream:
        """A connection by `deadline` (event loop time): each address gets its share of the time. Raises Failed."""
        loop = asyncio.get_running_loop()
        context = await self._tls() if origin.tls else None
        addresses = sorted(await self._addresses(origin), key=lambda address: address != self._worked)
        obstacle = Obstacle.NO_ADDRESS
        for tried, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - tried)
            attempt = await _attempt(origin, address, context, share)
            if isinstance(attempt, Stream):
                self._worked = address
                return attempt
            obstacle = attempt
        raise Failed(obstacle)

    async def _tls(self) -> ssl.SSLContext:
        """Raises Failed."""
        try:
            return await self._trust.context(self._ca)
        except OSError:
            raise Failed(Obstacle.BAD_CA) from None

    async def _addresses(self, origin: Origin) -> list[str]:
        """Raises Failed."""
        if version := _version(origin.host):
            return [origin.host] if self._family in (None, version) else []
        now = asyncio.get_running_loop().time()
        lookups = self._lookups[origin] = [one for one in self._lookups.get(origin, ()) if not one.has_ended]
        if not lookups or (lookups[-1].is_late(now) and len(lookups) < OF_ONE_NAME):
            lookups.append(Lookup(origin, FAMILIES[self._family], now, self))
        return await lookups[-1].addresses()


class Lookup:
    """A question to the system's resolver, which may take its time. All who want to know the same may wait for it.

    `who` wants it, and has its share of the threads. Made inside a running event loop.
    """

    places = Places(LOOKUPS)

    def __init__(self, origin: Origin, family: socket.AddressFamily, now: float, who: Hashable) -> None:
        self._until = now + LOOKUP
        self._who = who
        self._end = asyncio.ensure_future(self._ask(origin, family))

    async def _ask(self, origin: Origin, family: socket.AddressFamily) -> list[str] | Obstacle:
        """The addresses, or why there are none."""
        try:
            async with asyncio.timeout(LOOKUP):
                await self.places.take(self._who)
        except TimeoutError:
            return Obstacle.NO_LOOKUP
        try:
            ended = await in_thread(self._run, asyncio.get_running_loop(), origin, family, late=lambda: None)
        except RuntimeError:  # no more threads
            self.places.leave(self._who)
            return Obstacle.NO_LOOKUP
        return ended.value if isinstance(ended, Returned) and ended.value else Obstacle.NO_ADDRESS

    def _run(self, loop: asyncio.AbstractEventLoop, origin: Origin, family: socket.AddressFamily) -> list[str]:
        """In its thread. Raises OSError and UnicodeError."""
        try:
            found = socket.getaddrinfo(origin.host, origin.port, family, socket.SOCK_STREAM)
        finally:
            try:
                loop.call_soon_threadsafe(self.places.leave, self._who)
            except RuntimeError:  # the service has ended meanwhile, and nobody waits
                self.places.leave(self._who)
        return _in_turn([(kind, str(address[0])) for kind, *_, address in found])

    @property
    def has_ended(self) -> bool:
        """Whether the answer is there."""
        return self._end.done()

    def is_late(self, now: float) -> bool:
        """Whether others had better ask anew."""
        return self._until <= now

    async def addresses(self) -> list[str]:
        """Raises Failed."""
        await asyncio.wait([self._end])
        found = self._end.result()
        if isinstance(found, Obstacle):
            raise Failed(found)
        return list(found)


def _version(host: str) -> int | None:
    """Of an address; None for a name."""
    try:
        return ip_address(host).version
    except ValueError:
        return None


def _in_turn(found: Sequence[tuple[int, str]]) -> list[str]:
    """Addresses, each once, one family after the other (RFC 8305, 4): if one leads nowhere, the other is next."""
    first = [address for family, address in found if family == found[0][0]]
    second = [address for family, address in found if family != found[0][0]]
    return [address for address in dict.fromkeys(chain(*zip_longest(first, second))) if address]


async def _attempt(origin: Origin, address: str, context: ssl.SSLContext | None, seconds: float) -> Stream | Obstacle:
    """A connection to one address, or what is in the way."""
    try:
        async with asyncio.timeout(seconds):
            return await open_stream(origin, address, context)
    except ssl.SSLCertVerificationError as error:
        return VERIFICATIONS.get(error.verify_code, Obstacle.BAD_CERTIFICATE)
    except ssl.SSLError:
        return Obstacle.NO_TLS
    except OSError:  # TimeoutError is one
        return Obstacle.NO_CONNECTION
