"""Which door does a request come to, and whose key does it bring? Then: update, publish, reply, one log line."""

import traceback
from asyncio import gather
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from ..conf.config import Config
from ..values.addresses import Address, client_address, is_in, peer_address
from ..values.mistake import Mistake
from ..values.outcome import Outcome, Result
from ..values.specs import Client
from ..values.update import Publisher, Update
from ..web.reply import Reply
from ..web.request import BadRequest, Request, password
from . import dyndns2, secret_url
from .demand import read_demand, read_hostnames, wanted
from .hooks import Hooked, HookFailed
from .log import LogBook
from .quota import Quota

# Where the key may come as the password of Basic credentials, so that no proxy's log ever holds it.
PASSWORD_PATHS = (b"", b"update")
# Old FRITZ!Box firmware sends two update URLs as one path: the first one counts.
SECOND_URL = (b" http://", b" https://")


class Doors:
    """Answers requests as the conf says; one for all confs, so that a reload makes nobody forget."""

    def __init__(self, config: Config, publisher: Publisher, count: Callable[[Result], None]) -> None:
        self._config = config
        self._hooked = Hooked(config, publisher)
        self._quota = Quota(config.max_changes)
        self._count = count
        self._book = LogBook()

    def use(self, config: Config, publisher: Publisher) -> None:
        """From now on, this conf and publisher."""
        self._config = config
        self._hooked.use(config, publisher)
        self._quota.allow(config.max_changes)

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to something that is no request."""
        self._book.write(Result(Outcome.BADREQUEST, str(error)), "", peer)
        return secret_url.refusal(error.status)

    async def answer(self, request: Request, peer: str) -> Reply:
        """The reply to a request from the address `peer`; one line about it goes to the log."""
        who = peer
        try:
            source = peer_address(peer)
            if is_in(source, self._config.trusted_proxies):
                forwarded = request.headers.get_all("X-Forwarded-For", [])
                source = client_address(source, forwarded, self._config.trusted_proxies)
                who = f"{source} via {peer}"
            return await self._enter(request, source, who)
        except Mistake as mistake:
            result = Result(Outcome.BADADDRESS, str(mistake))
        except HookFailed as failure:
            result = Result(Outcome.HOOK, str(failure))
        except Exception as defect:  # its text could hold anything
            place = traceback.extract_tb(defect.__traceback__)[-1]
            result = Result(Outcome.INTERNAL, f"{type(defect).__name__} at {place.filename}:{place.lineno}")
        if self._config.dyndns2 and dyndns2.is_door(_split(request.target)[0]):
            self._book.write(result, "", who)
            return dyndns2.reply([(result, ())])
        return self._say(result, who)

    async def _enter(self, request: Request, source: Address, who: str) -> Reply:
        if request.method != "GET":
            return self._say(Result(Outcome.BADMETHOD), who)
        with self._hooked.arrival() as arrival:
            visit = Visit(request, await self._hooked.address(source, request), arrival, who)
            if request.target and (client := await self._hooked.find(request.target, visit.address)):
                return await self._secret_url(visit, client, b"")
            path, query = _split(request.target)
            if path and path != request.target and (client := await self._hooked.find(path, visit.address)):
                return await self._secret_url(visit, client, query)
            key = password(request)
            if path in PASSWORD_PATHS and key:
                if client := await self._hooked.find(key, visit.address):
                    return await self._secret_url(visit, client, query)
            elif not request.target:
                return self._say(Result(Outcome.ADDRESS), who, str(visit.address))
            elif self._config.dyndns2 and dyndns2.is_door(path):
                return await self._dyndns2(visit, key, query)
        return self._say(Result(Outcome.BADKEY), who)

    def _say(self, result: Result, who: str, address: str = "") -> Reply:
        self._book.write(result, "", who)
        return secret_url.reply(result, address)

    async def _secret_url(self, visit: "Visit", client: Client, query: bytes) -> Reply:
        [(result, _)] = await self._update(visit, client, [client.names], query)
        return secret_url.reply(result)

    async def _dyndns2(self, visit: "Visit", key: bytes | None, query: bytes) -> Reply:
        client = await self._hooked.find(key, visit.address) if key else None
        if client is None:
            result = Result(Outcome.BADKEY if key else Outcome.CHALLENGE)
            self._book.write(result, "", visit.who)
            return dyndns2.reply([(result, ())])
        hosts = [dyndns2.own_name(hostname, client.names) for hostname in read_hostnames(query)] or [client.names]
        own = list(dict.fromkeys(host for host in hosts if not isinstance(host, Outcome)))
        done = dict(zip(own, await self._update(visit, client, own, query), strict=True))
        return dyndns2.reply(
            [self._not_ours(host, visit) if isinstance(host, Outcome) else done[host] for host in hosts]
        )

    def _not_ours(self, outcome: Outcome, visit: "Visit") -> tuple[Result, Update]:
        result = Result(outcome, "the hostname in the request is none of this client's")
        self._book.write(result, "", visit.who)
        return result, ()

    async def _update(
        self, visit: "Visit", client: Client, groups: Sequence[Sequence[str]], query: bytes
    ) -> list[tuple[Result, Update]]:
        """Publish what the query wants for each group of the client's names; the request counts as one change.

        A client that has changed too often may only ask.
        """
        granted = self._quota.take(client.names, monotonic())
        results: list[tuple[Result, Update]] = []
        try:
            results = await gather(*(self._publish(visit, client, names, query, not granted) for names in groups))
        finally:
            if granted and not any(result.outcome is Outcome.OK for result, _ in results):
                self._quota.give_back(client.names)
        if not granted and any(result.outcome is Outcome.ABUSE for result, _ in results):
            if self._quota.take(client.names, monotonic()):  # what was under way was no change after all
                self._quota.give_back(client.names)
                return await self._update(visit, client, groups, query)
            wait = self._quota.wait(client.names, monotonic())
            results = [(replace(result, retry_after=wait), update) for result, update in results]
        for (result, update), names in zip(results, groups, strict=True):
            self._count(result)
            self._book.write(result, update or names, visit.who)
        return results

    async def _publish(
        self, visit: "Visit", client: Client, names: Sequence[str], query: bytes, ask_only: bool
    ) -> tuple[Result, Update]:
        update: Update = ()
        try:
            demand = read_demand(query, self._config.peer_only)
            update = wanted(client, names, demand, visit.address, self._config.ttl)
            return await self._hooked.publish(update, ask_only, visit.request, visit.arrival), update
        except Mistake as mistake:
            return Result(Outcome.BADADDRESS, str(mistake)), update
        except HookFailed as failure:
            return Result(Outcome.HOOK, str(failure)), update


@dataclass(frozen=True, slots=True)
class Visit:
    """One request on its way through a door."""

    request: Request
    address: Address  # the client's
    arrival: int  # its number in the order of arrival
    who: str  # the client, for the log


def _split(target: bytes) -> tuple[bytes, bytes]:
    """The target's path and query."""
    for mark in SECOND_URL:
        target = target.partition(mark)[0]
    path, _, query = target.partition(b"?")
    return path, query
