"""Asks where own addresses come from: an interface, web servers, or a function of the conf.

A source gives at least one address that can be published, or none at all and says why. It never gives "no address":
what it does not give stays as it is.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ...fetch.answer import Failed, Obstacle
from ...fetch.fetcher import Fetcher
from ...fetch.route import Dialer
from ...threads import Ended, Returned, in_thread, raised_at
from ...values.addresses import Address, is_private, parse_address
from ...values.mistake import Mistake
from ...values.specs import AddressFunction, Client, Interface, Own, Web
from .answers import Held, NoAddress, read_address, settled
from .rtnetlink import Untold, stable_addresses

MAX_ADDRESSES = 16  # of one source
WEB_DEADLINE = 5.0  # seconds
WEB_LIMIT = 4096  # octets of an answer
HEADERS = {"Accept": "text/plain"}
ITEMS = 1000  # that are read of what a function returns: of a network returned by mistake, there is no end
FUNCTIONS = 64  # calls under way, those that hang included

Version: TypeAlias = Literal[4, 6]
VERSIONS: tuple[Version, ...] = (4, 6)
# A machine without this version of IP: nothing to wonder at.
NOT_THERE = frozenset({Obstacle.NO_ADDRESS, Obstacle.NO_CONNECTION})


@dataclass(frozen=True, slots=True)
class Look:
    """What a source gave. Two are equal if there is nothing new to publish."""

    addresses: tuple[Address, ...] = ()
    reason: str = ""  # why there is none
    remark: str = field(default="", compare=False)  # what is odd about a source that has given some


@dataclass(frozen=True, slots=True)
class OneVersion:
    """What web servers said over one version of IP."""

    address: Address | None
    reason: str
    is_odd: bool = False  # some have answered, and yet there is no address


class Call(NamedTuple):
    """A call of a function of the conf."""

    ends: "asyncio.Future[Ended]"
    until: float  # event loop time; who comes later need not wait for it


class Unknown(Exception):
    """A source gives no address. The message is for the log."""


class Sources:
    """Asks them; made inside a running event loop."""

    def __init__(self) -> None:
        self._dialers = {version: Dialer(family=version) for version in VERSIONS}
        self._calls: dict[Hashable, Call] = {}  # by what stays over a reload
        self._asking: dict[tuple[Web, Version], asyncio.Future[OneVersion]] = {}
        self._held: dict[tuple[Web, Version], Held] = {}

    async def look(self, own: Own, patience: float) -> Look:
        """What the source of a client gives now; a function has `patience` seconds for it."""
        source = own.source
        try:
            if isinstance(source, Interface):
                return Look(_of_interface(source, own.client))
            if isinstance(source, Web):
                return await self._ask_web(own, source)
            return Look(_checked(await self._call(source, patience), own.client))
        except (Unknown, Untold) as problem:
            return Look(reason=str(problem))

    async def _ask_web(self, own: Own, web: Web) -> Look:
        """Over each version of IP that the client may have; one must work. Raises Unknown."""
        wanted = {network.version for network in own.client.networks} or set(VERSIONS)
        asked = [version for version in VERSIONS if version in wanted]
        said = await asyncio.gather(*(self._ask_once(web, version) for version in asked))
        addresses = [one.address for one in said if one.address]
        reasons = "; ".join(f"over IPv{v} {one.reason}" for v, one in zip(asked, said, strict=True) if one.reason)
        if not addresses:
            raise Unknown(reasons)
        is_odd = any(one.is_odd for one in said)
        return Look(_checked(addresses, own.client), remark=f"{web}: {reasons}" if is_odd else "")

    async def _ask_once(self, web: Web, version: Version) -> OneVersion:
        """What others who look at the same moment share."""
        asking = self._asking.get((web, version))
        if asking is None:
            asking = self._asking[web, version] = asyncio.ensure_future(self._ask_over(web, version, web.urls))
            asking.add_done_callback(lambda _: self._asking.pop((web, version)))
        await asyncio.wait([asking])  # if who waits goes, the others wait still
        return asking.result()

    async def _ask_over(self, web: Web, version: Version, urls: Sequence[str]) -> OneVersion:
        """New connections each time: one that was kept could still show an old address."""
        fetcher = Fetcher(self._dialers[version], WEB_LIMIT, at_once=len(urls))
        try:
            told = await asyncio.gather(*(_ask(fetcher, url, version) for url in urls))
        finally:
            fetcher.close()
        votes = [one for one in told if isinstance(one, IPv4Address | IPv6Address)]
        held = self._held.get((web, version), Held())
        address, self._held[web, version] = settled(held, votes, len(urls))
        if address:
            return OneVersion(address, "")
        reasons = ["no two agree"] if len(urls) > 1 else []
        reasons += [f"{urlsplit(url).netloc}: {_said(one)}" for url, one in zip(urls, told, strict=True) if _said(one)]
        return OneVersion(None, ", ".join(reasons), is_odd=any(one not in NOT_THERE for one in told))

    async def _call(self, source: AddressFunction, patience: float) -> list[Address]:
        """What a function of the conf returns; who looks at the same moment shares the call. Raises Unknown."""
        now, which = asyncio.get_running_loop().time(), _code_of(source.function)
        call = self._calls.get(which)
        if call and now >= call.until:
            raise Unknown(f"the last call of {source} has not come back; it is not called again before")
        if not call and len(self._calls) >= FUNCTIONS:
            raise Unknown(f"{source} is not called: {FUNCTIONS} calls of functions are under way, or hang")
        if not call:
            ends = in_thread(_addresses_of, source.function, late=lambda: None)
            call = self._calls[which] = Call(ends, now + patience)
            ends.add_done_callback(lambda _: self._calls.pop(which))
        await asyncio.wait([call.ends], timeout=call.until - now)
        if not call.ends.done():
            raise Unknown(f"{source} took longer than {patience:g} s")
        ended = call.ends.result()
        if isinstance(ended, Returned):
            return list(ended.value)
        if isinstance(ended.error, Mistake):
            raise Unknown(f"{source} returned something that is not an address")
        code = getattr(source.function, "__code__", None)
        raise Unknown(raised_at(str(source), ended.error, Path(code.co_filename if code else str(source))))


async def _ask(fetcher: Fetcher, url: str, version: Version) -> Address | Obstacle | str:
    """The address that one server tells, or why it does not."""
    try:
        return read_address(await fetcher.fetch("GET", url, WEB_DEADLINE, HEADERS), version)
    except Failed as failed:
        return failed.trouble
    except (NoAddress, Mistake) as problem:
        return str(problem)


def _said(told: Address | Obstacle | str) -> str:
    """Why there is no address, if there is none."""
    return told.value if isinstance(told, Obstacle) else told if isinstance(told, str) else ""


def _addresses_of(function: Callable[[], Any]) -> set[Address]:
    """One address or several, as texts or as the ipaddress module has them. Raises what it raises, and Mistake.

    In the function's thread: where it is a generator, its code runs only now.
    """
    value = function()
    several = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
    return {parse_address(str(item)) for item in islice(several, ITEMS)}


def _code_of(function: Callable[..., Any]) -> Hashable:
    """What stays over a reload, which makes another function of the same code: one that hangs would keep each conf."""
    is_plain = not getattr(function, "__closure__", None) and not getattr(function, "__defaults__", None)
    return getattr(function, "__code__", id(function)) if is_plain else id(function)


def _of_interface(interface: Interface, client: Client) -> tuple[Address, ...]:
    """Those of its addresses that this client may have. Raises Unknown, Untold."""
    there = stable_addresses(interface.name)
    found = [address for address in there if may_be_published(address, client)]
    if not found:
        cure = "; behind a router that translates addresses, Web(…) says which one the world sees" if there else ""
        raise Unknown(f"it has no address that can be published{cure}")
    return _bounded(found)


def _checked(addresses: Sequence[Address], client: Client) -> tuple[Address, ...]:
    """All of them, or none. Raises Unknown."""
    if not addresses:
        raise Unknown("it gave no address")
    for address in addresses:
        if not may_be_published(address, client):
            raise Unknown(f"it gave {address}, which {_why_not(address, client)}")
    return _bounded(addresses)


def _why_not(address: Address, client: Client) -> str:
    """Why it is not published."""
    if is_private(address) and not any(address in network and network.prefixlen for network in client.networks):
        return "is one of private networks"
    return "is not in the networks of this client"


def _bounded(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Each once, sorted. Raises Unknown."""
    found = tuple(sorted(set(addresses), key=lambda address: (address.version, int(address))))
    if len(found) > MAX_ADDRESSES:
        raise Unknown(f"it has more than {MAX_ADDRESSES} addresses; choose by networks")
    return found


def may_be_published(address: Address, client: Client) -> bool:
    """Whether the networks of the client, or else of the whole world, have the address.

    Those of private networks are published only if they are named: all addresses of IPv4 are not a name.
    """
    if not client.networks:
        return not is_private(address)
    names = [network for network in client.networks if address in network]
    return any(network.prefixlen or not is_private(address) for network in names)
