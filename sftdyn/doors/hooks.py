"""The hooks of sftdyn 0.10: get_ip, get_host and nsupdatecommands, called in threads, and what they mean."""

import asyncio
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from ..conf.clients import as_client
from ..conf.config import Config
from ..conf.parsers import MAX_TTL
from ..conf.source import error_line
from ..providers.bind.message import FAILED_FOR_GOOD, Verdict, diagnosis, verdict
from ..providers.bind.nsupdate import NotInstalled, converse, other_family
from ..values.addresses import Address, parse_address, publishable, record_type
from ..values.mistake import Mistake
from ..values.names import host_name
from ..values.outcome import Outcome, Result, worst
from ..values.specs import Client, Primary
from ..values.update import Key, Publisher, RRset, RRType, Update
from ..web.request import Headers, Request

MAX_LINES = 1000  # of nsupdatecommands
THREADS = 64  # hooks that can block at once before others wait for them
SCRIPT_DEADLINE = 10.0  # seconds that one nsupdate may take
PAUSE = 0.5  # seconds between two tries of a script at a primary that is away

DELETE = re.compile(r"(?:update\s+)?del(?:ete)?\s+(\S+)\s+(?:\d+\s+)?(?:IN\s+)?(A|AAAA)", re.I)
ADD = re.compile(r"(?:update\s+)?add\s+(\S+)\s+(\d{1,10})\s+(?:IN\s+)?(A|AAAA)\s+(\S+)", re.I)


class HookFailed(Exception):
    """A hook raised, took too long or returned nonsense. The message is for the log."""


@dataclass(frozen=True, slots=True)
class Script:
    """Lines of nsupdatecommands that do more than to replace the host's addresses."""

    name: str
    type: RRType
    address: str
    lines: str

    @property
    def key(self) -> Key:
        return self.name, self.type


class Hooked:
    """What a conf's hooks make of its clients and addresses; where it has none, what it says itself.

    One for all confs: the order of arrival, and what scripts did last, outlive a reload.
    """

    def __init__(self, config: Config, publisher: Publisher) -> None:
        self._arrivals = Arrivals()
        self._scripts = Scripts()
        self._pool = ThreadPoolExecutor(THREADS, "hook")
        self.use(config, publisher)

    def use(self, config: Config, publisher: Publisher) -> None:
        """From now on, this conf and publisher."""
        self._config = config
        self._hooks = config.hooks
        self._publisher = publisher

    def arrival(self) -> AbstractContextManager[int]:
        """A number in the order of arrival, for a request on its way through the hooks."""
        return self._arrivals.enter()

    async def address(self, source: Address, request: Request) -> Address:
        """The client's address, as get_ip sees it. Raises HookFailed."""
        if self._hooks.get_ip is None:
            return source
        answer = await self._call("get_ip", self._hooks.get_ip, str(source), request.headers, _text(request.target))
        try:
            return parse_address(str(answer))
        except Mistake as mistake:
            raise HookFailed(f"get_ip returned something that is {mistake}") from None

    async def find(self, key: bytes, address: Address) -> Client | None:
        """The client whose key this is. Raises HookFailed."""
        if self._hooks.get_host is None:
            return self._config.keyring.find(key)
        answer = await self._call("get_host", self._hooks.get_host, _text(key), str(address))
        try:
            return as_client(answer) if answer else None
        except Mistake as mistake:
            raise HookFailed(f"get_host returned {mistake}") from None

    async def publish(self, update: Update, ask_only: bool, request: Request, arrival: int) -> Result:
        """Publish, or only ask, with the lines that nsupdatecommands wants for it. Raises HookFailed."""
        if not self._hooks.can_delay:
            return await self._publisher.publish(update, ask_only)
        scripts: list[Script] = []
        if self._hooks.nsupdatecommands:
            update, scripts = await self._commanded(update, request.headers)
        wanted = {rrset.key: rrset for rrset in update} | {script.key: script for script in scripts}
        if self._arrivals.overtaken(arrival, wanted):
            return Result(Outcome.OVERTAKEN, "a newer request for the name was faster")
        self._scripts.forget(update)
        publishing = [self._publisher.publish(update, ask_only)] if update else []
        where = self._config.primary, self._config.timeout
        running = [self._scripts.run(script, ask_only, *where) for script in scripts]
        return worst(await asyncio.gather(*publishing, *running))

    async def _commanded(self, update: Update, headers: Headers) -> tuple[Update, list[Script]]:
        """What nsupdatecommands wants for each address; it does not know of removals."""
        pairs = [(rrset, address) for rrset in update for address in rrset.addresses]
        calls = [self._commands(rrset, address, headers) for rrset, address in pairs]
        commands = await asyncio.gather(*calls)
        sets: dict[Key, RRset] = {rrset.key: rrset for rrset in update if not rrset.addresses}
        for rrset in (rrset for command in commands if not isinstance(command, Script) for rrset in command):
            other = sets.get(rrset.key, rrset)
            sets[rrset.key] = replace(rrset, addresses=tuple(sorted({*rrset.addresses, *other.addresses})))
        return list(sets.values()), [command for command in commands if isinstance(command, Script)]

    async def _commands(self, rrset: RRset, address: str, headers: Headers) -> Update | Script:
        assert self._hooks.nsupdatecommands
        name = rrset.name.rstrip(".")
        lines = await self._call("nsupdatecommands", _lines, self._hooks.nsupdatecommands, name, address, headers)
        if not isinstance(lines, str):
            raise HookFailed("nsupdatecommands returned no list of lines")
        return replacement(lines, rrset.name) or Script(rrset.name, rrset.type, address, lines)

    async def _call(self, name: str, function: Callable[..., Any], *arguments: object) -> Any:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._config.timeout):
                answer = await loop.run_in_executor(self._pool, _caught, function, *arguments)
        except TimeoutError:
            raise HookFailed(f"{name} took longer than {self._config.timeout:g} s") from None
        if isinstance(answer, _Raised):
            line = error_line(answer.error, self._config.path)
            place = f"{self._config.path}:{line}" if line else self._config.path
            raise HookFailed(f"{place}: {name} raised {type(answer.error).__name__}")
        return answer


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a hook raised, as a value: some exceptions do not pass from a thread to the event loop."""

    error: BaseException


def _caught(function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return function(*arguments)
    except BaseException as error:
        return _Raised(error)


def _takes_headers(function: Callable[..., Any]) -> bool:
    """Whether nsupdatecommands takes three arguments; in older versions it took two."""
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say
        return True
    return True


def _lines(function: Callable[..., Any], host: str, address: str, headers: Headers) -> str | None:
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
                address = publishable(parse_address(add[4]))
                if record_type(address) != add[3].upper() or add[3].upper() not in found:
                    return None
                found[add[3].upper()][str(address)] = None
                ttls[add[3].upper()] = int(add[2])
            elif line.lower() not in ("", "send"):
                return None
        except Mistake:
            return None
    types: tuple[RRType, ...] = ("A", "AAAA")
    sets = (RRset(name, kind, tuple(sorted(found[kind])), ttls.get(kind, 0)) for kind in types if kind in found)
    return tuple(sets) or None


class Scripts:
    """Runs scripts, each in an nsupdate of its own, those for one name in order.

    What such lines do to the zone cannot be asked for, so the last success of each name and type is remembered.
    """

    def __init__(self) -> None:
        self._last: dict[Key, str] = {}
        self._family = "-4"
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def forget(self, update: Update) -> None:
        """These record sets are written by other means."""
        for rrset in update:
            self._last.pop(rrset.key, None)

    async def run(self, script: Script, ask_only: bool, primary: Primary, seconds: float) -> Result:
        """UPTODATE if the last success was for the same address; else what nsupdate made of the lines."""
        trouble = ["no answer from the name server"]
        try:
            async with asyncio.timeout(seconds):
                async with self._locks.setdefault(script.name, asyncio.Lock()):
                    if self._last.get(script.key) == script.address:
                        return Result(Outcome.UPTODATE)
                    if ask_only:
                        return Result(Outcome.ABUSE, "this client has changed too often")
                    self._last.pop(script.key, None)  # from here on, who knows
                    return await self._try(script, primary, trouble)
        except TimeoutError:
            return Result(Outcome.TIMEOUT, f"not within {seconds:g} s: {trouble[-1]}")

    async def _try(self, script: Script, primary: Primary, trouble: list[str]) -> Result:
        """Until the primary takes or refuses it; `trouble` collects what is in the way."""
        while True:
            try:
                code, said = await converse(primary, self._family, script.lines + "\n", SCRIPT_DEADLINE)
            except (OSError, NotInstalled) as error:
                code, said = None, f"could not start nsupdate: {error}"
            if code == 0:
                self._last[script.key] = script.address
                return Result(Outcome.OK)
            trouble.append(diagnosis(said) or trouble[-1])
            meaning = verdict(said)
            if meaning in FAILED_FOR_GOOD or "syntax error" in said:
                return Result(Outcome.REFUSED, f"nsupdate said: {trouble[-1]}")
            if meaning is Verdict.NOBODY:
                self._family = other_family(self._family)
            await asyncio.sleep(PAUSE)


class Arrivals:
    """Keeps the order of arrival where hooks take their time: an older request must not undo a newer one."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._inside: set[int] = set()
        self._newest: dict[Key, tuple[int, object]] = {}

    @contextmanager
    def enter(self) -> Iterator[int]:
        """A number for a request that goes through the hooks."""
        number = next(self._numbers)
        self._inside.add(number)
        try:
            yield number
        finally:
            self._inside.discard(number)
            if not self._inside:
                self._newest.clear()

    def overtaken(self, number: int, wanted: Mapping[Key, object]) -> bool:
        """Whether a later arrival was here first, and wants something else; if not, this one was here."""
        known = {key: self._newest[key] for key in wanted if key in self._newest}
        newer = {key: want for key, (other, want) in known.items() if other > number}
        if any(want != wanted[key] for key, want in newer.items()):
            return True
        self._newest.update({key: (number, want) for key, want in wanted.items() if key not in newer})
        return False
