"""The hooks of sftdyn 0.10, get_ip, get_host and nsupdatecommands: called in threads, and what they answer."""

import asyncio
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..conf.clients import as_client
from ..conf.config import Config
from ..conf.parsers import MAX_TTL, NameMistake
from ..threads import Calls, Ended, Hanging, Returned, raised_at
from ..values.addresses import Address, as_record, parse_address
from ..values.mistake import Mistake
from ..values.names import host_name
from ..values.specs import Client
from ..values.update import Key, RRset, RRType, Script, Update
from ..web.request import Request
from ..web.turns import network_of

MAX_LINES = 1000  # of nsupdatecommands
AT_ONCE = 64  # calls that can block before others wait for them
GIVEN_UP = 100  # calls that may hang for ever before hooks are not called any more

DELETE = re.compile(r"(?:update\s+)?del(?:ete)?\s+(\S+)\s+(?:\d+\s+)?(?:IN\s+)?(A|AAAA)", re.I)
ADD = re.compile(r"(?:update\s+)?add\s+(\S+)\s+(\d{1,10})\s+(?:IN\s+)?(A|AAAA)\s+(\S+)", re.I)


class HookFailed(Exception):
    """A hook raised, took too long or returned nonsense. The message is for the log."""


class LookupFailed(HookFailed):
    """It was get_host, so that nobody knows whose key it is."""


class HookThreads:
    """Calls a conf's hooks; where it lacks one, the conf's own answer counts.

    Each call has a daemon thread of its own. Whose they are is the network of the caller: a stranger has his share.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._calls = Calls(AT_ONCE, GIVEN_UP)

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._config = config

    async def address(self, source: Address, request: Request) -> Address:
        """The client's address, as get_ip sees it. Raises HookFailed."""
        get_ip = self._config.hooks.get_ip
        if get_ip is None:
            return source
        answer = await self._call(source, "get_ip", get_ip, str(source), request.headers, _decoded(request.target))
        try:
            return parse_address(str(answer))
        except Mistake as mistake:
            raise HookFailed(f"get_ip returned something that is {mistake}") from None

    async def find(self, key: bytes, address: Address, caller: Address) -> Client | None:
        """The client whose key this is. Raises LookupFailed."""
        get_host = self._config.hooks.get_host
        if get_host is None:
            return self._config.keyring.find(key)
        try:
            answer = await self._call(caller, "get_host", get_host, _decoded(key), str(address))
            return self._config.resolver.settle(as_client(answer)) if answer else None
        except HookFailed as failed:
            raise LookupFailed(str(failed)) from None
        except NameMistake as mistake:  # which may be made of the key
            raise LookupFailed(f"get_host returned {mistake.reason}") from None
        except Mistake as mistake:
            raise LookupFailed(f"get_host returned {mistake}") from None

    async def commands(self, update: Update, headers: Mapping[str, str], caller: Address) -> Sequence[RRset | Script]:
        """What nsupdatecommands makes of an update: record sets and scripts. Raises HookFailed.

        It is called for each address; of removals it does not know.
        """
        if self._config.hooks.nsupdatecommands is None:
            return update
        pairs = [(rrset, address) for rrset in update for address in rrset.addresses]
        answers = await asyncio.gather(*(self._commands(caller, rrset, address, headers) for rrset, address in pairs))
        sets: dict[Key, RRset] = {rrset.key: rrset for rrset in update if not rrset.addresses}
        for rrset in (rrset for answer in answers if not isinstance(answer, Script) for rrset in answer):
            other = sets.get(rrset.key, rrset)
            sets[rrset.key] = rrset._replace(addresses=tuple(sorted({*rrset.addresses, *other.addresses})))
        return [*sets.values(), *(answer for answer in answers if isinstance(answer, Script))]

    async def _commands(
        self, caller: Address, rrset: RRset, address: str, headers: Mapping[str, str]
    ) -> Update | Script:
        hook = self._config.hooks.nsupdatecommands
        name = rrset.name.rstrip(".")
        lines = await self._call(caller, "nsupdatecommands", _lines, hook, name, address, headers)
        if not isinstance(lines, str):
            raise HookFailed("nsupdatecommands returned no list of lines")
        return replacement(lines, rrset.name) or Script(rrset.name, rrset.type, address, lines)

    async def _call(self, caller: Address, name: str, function: Callable[..., Any], *arguments: object) -> Any:
        seconds = self._config.timeout
        call: asyncio.Future[Ended] | None = None
        try:
            async with asyncio.timeout(seconds):
                call = await self._calls.call(network_of(str(caller)), seconds, function, *arguments)
                await asyncio.wait([call])
        except Hanging as hanging:
            raise HookFailed(
                f"{name} is not called: {hanging.calls} calls of hooks hang; mend the hook, and restart"
            ) from None
        except TimeoutError:
            if call is None:
                raise HookFailed(f"{name} was not called: too many calls of hooks are under way") from None
        if not call.done():
            raise HookFailed(f"{name} took longer than {seconds:g} s and is given up")
        return self._value(name, call.result())

    def _value(self, name: str, ended: Ended) -> Any:
        if isinstance(ended, Returned):
            return ended.value
        raise HookFailed(raised_at(name, ended.error, self._config.path))


def _decoded(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _takes_headers(function: Callable[..., Any]) -> bool:
    """Whether nsupdatecommands takes three arguments; in older versions it took two."""
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say
        return True
    return True


def _lines(function: Callable[..., Any], host: str, address: str, headers: Mapping[str, str]) -> str | None:
    """The lines that nsupdatecommands gives; None if it gives something else."""
    answer = function(host, address, headers) if _takes_headers(function) else function(host, address)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        return None
    return "\n".join(map(str, itertools.islice(answer, MAX_LINES)))  # it may be a generator, slow or endless


def replacement(lines: str, name: str) -> Update | None:
    """The record sets that `lines` leave at `name`, if they only delete and add its addresses and send."""
    found: dict[str, dict[str, None]] = {}
    ttls: dict[str, int] = {}
    for line in map(str.strip, lines.split("\n")):
        delete, add = DELETE.fullmatch(line), ADD.fullmatch(line)
        try:
            if delete and host_name(delete[1]) == name:
                found[delete[2].upper()] = {}
            elif add and host_name(add[1]) == name and int(add[2]) <= MAX_TTL:
                kind, text = as_record(parse_address(add[4]))
                if kind != add[3].upper() or kind not in found:
                    return None
                found[kind][text] = None
                ttls[add[3].upper()] = int(add[2])
            elif line.lower() not in ("", "send"):
                return None
        except Mistake:
            return None
    types: tuple[RRType, ...] = ("A", "AAAA")
    sets = (RRset(name, kind, tuple(sorted(found[kind])), ttls.get(kind, 0)) for kind in types if kind in found)
    return tuple(sets) or None
