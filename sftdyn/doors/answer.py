"""A request comes in, and a reply and a line in the log come out: the one way through all doors.

Rule 1. A visit begins in `answer` and ends in `_leave`, whatever happens: there it is logged, counted and answered,
and nowhere else.

Rule 2. Without hooks, a request for the client's names together is answered by plain calls: the provider's promise
calls back. Hooks, which may take their time in a thread, proofs, and several groups of names need a task.

Rule 3. A client that has changed too often may only ask. What its quota grants is settled when the provider has
spoken: only what was changed counts.

Rule 4. A client whose addresses are to be proven asks first, proves what would change, all of it, and then publishes.
Whom hooks or a proof delay has its place in the order of arrival from the beginning. Another request is newer than it
when it publishes, or when it was told that there is nothing to change.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from time import monotonic, time
from typing import Any, TypeAlias

from ..conf.config import Config
from ..providers.running import Providers
from ..values.addresses import Address
from ..values.mistake import Mistake
from ..values.outcome import SUCCESSES, Outcome, Result, worst
from ..values.specs import Bind, Client, Spec
from ..values.update import Promise, RRset, Script, Update
from ..web.connection import Respond
from ..web.peer import Caller
from ..web.reply import Reply
from ..web.request import BadRequest, Request, basic
from .arrivals import Arrivals
from .demand import read_demand, read_parameters, wanted
from .hooks import HookFailed, HookThreads
from .keys import SECRET_URL, Door, Way, door_of, takes_body, ways, without_client
from .log import LogBook
from .proof import Proofs
from .quota import Grant, Quota
from .secret_url import LATER
from .status.seen import Journal

# The host names that are updated and answered together, or what is wrong with those of the request.
Host: TypeAlias = tuple[str, ...] | Outcome
Items: TypeAlias = Sequence[RRset | Script]
Subject: TypeAlias = Update | Sequence[str]
CHECKS = ("HEAD", "OPTIONS")  # with which proxies ask whether we live
PROBLEMS = {
    Outcome.NUMHOST: "more host names than a client can have",
    Outcome.NOTFQDN: "the hostname in the request is not a full host name",
}
AT_ONCE = 256  # requests of one client; more only wait for each other
HELD = 1.0  # seconds until a request beyond that is refused
FULL = Result(Outcome.OVERLOADED, f"{AT_ONCE} requests of this client are under way", retry_after=10)
NOT_OURS = "the hostname in the request is none of this client's"
LINES = 8  # of the log, about one request; one more sums up the others
OVERTAKEN = Result(Outcome.OVERTAKEN, "a newer request for the name was faster")
TOO_OFTEN = "there is something to change, but this client has changed too often"


@dataclass(slots=True)
class Visit:
    """One request on its way."""

    request: Request
    caller: Caller
    respond: Respond
    began: float | None = None  # seconds since 1970, if there is a journal
    arrival: int = 0  # its number in the order of arrival, where hooks or a proof could change that order
    counted: tuple[str, ...] = ()  # the client among whose requests under way it is counted
    has_left: bool = False


@dataclass(slots=True, eq=False)
class Part:
    """What became of some host names, or of the whole request."""

    result: Result
    subject: Subject = ()  # record sets or host names, for the log
    update: Update = ()


@dataclass(slots=True)
class Errand:
    """What a client wants, and what is known of it already."""

    visit: Visit
    door: Door
    client: Client
    hosts: Sequence[Host]  # in the order of the reply
    provider: Spec
    secret: str | None  # what matched the key, where the provider wants it
    parts: dict[Host, Part]  # settled
    updates: dict[Host, Update]  # for the provider


class Doors:
    """Answers requests as the conf says; one for all confs, so that a reload makes nobody forget.

    `count` is told each result, and what it is about. The `journal` is for the status listener; None: there is none.
    """

    def __init__(
        self,
        config: Config,
        providers: Providers,
        count: Callable[[Result, Subject], None],
        journal: Journal | None = None,
    ) -> None:
        self._config = config
        self._providers = providers
        self._count = count
        self._journal = journal
        self._hooks = HookThreads(config)
        self._arrivals = Arrivals()
        self._proofs = Proofs()
        self._quota = Quota(config.max_changes)
        self._book = LogBook()
        self._under_way: Counter[tuple[str, ...]] = Counter()  # requests of each client
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._config = config
        self._hooks.use(config)
        self._quota.allow(config.max_changes, monotonic())

    def answer(self, request: Request, caller: Caller, respond: Respond) -> None:
        """Reply to a request, now or later."""
        if self._config.hooks.can_delay:
            self._spawn(self._guided(request, caller, respond))
        else:
            visit = Visit(request, caller, respond, time() if self._journal else None)
            self._guarded(visit, self._enter, visit)

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to something that is no request."""
        outcome = Outcome.OVERLOADED if error.status == LATER else Outcome.BADREQUEST
        reply = self._record(SECRET_URL, [Part(Result(outcome, str(error), retry_after=10))], peer)
        return replace(reply, status=error.status)

    # In: whose key is it, and what does the client want?

    def _enter(self, visit: Visit) -> None:
        if self._is_welcome(visit):
            for way in ways(visit.request, self._config.dyndns2):
                client = self._config.keyring.find(way.key)
                if client and self._is_taken(client, way):
                    if self._has_room(visit, way, client):
                        self._publish(self._errand(visit, way, client, visit.caller.address))
                    return
            self._turn_away(visit, visit.caller.address)

    async def _guided(self, request: Request, caller: Caller, respond: Respond) -> None:
        """The same with a conf that has hooks."""
        visit = Visit(request, caller, respond, time() if self._journal else None, self._arrivals.arrive())
        try:
            if self._is_welcome(visit):
                address = await self._address(visit)
                for way in ways(request, self._config.dyndns2):
                    client = await self._hooks.find(way.key, address, caller.address)
                    if client and self._is_taken(client, way):
                        if self._has_room(visit, way, client):
                            await self._publish_all(self._errand(visit, way, client, address))
                        return
                self._turn_away(visit, address)
        except Exception as error:
            self._fail(visit, error)

    async def _address(self, visit: Visit) -> Address:
        """The client's address, as get_ip sees it. Raises HookFailed, but not for the bare `/`."""
        try:
            return await self._hooks.address(visit.caller.address, visit.request)
        except HookFailed:
            if visit.request.target or any(basic(visit.request)):
                raise
            return visit.caller.address

    def _is_welcome(self, visit: Visit) -> bool:
        """Whether it is a request that can be for a client; if not, it has been answered."""
        request = visit.request
        if request.method == "GET" or takes_body(request, self._config.dyndns2):
            return True
        if request.method in CHECKS and not request.target:
            self._leave(visit, SECRET_URL, [Part(Result(Outcome.ADDRESS))])
        else:
            self._leave(visit, door_of(request, self._config.dyndns2), [Part(Result(Outcome.BADMETHOD))])
        return False

    def _turn_away(self, visit: Visit, address: Address) -> None:
        """No client has this key."""
        door, outcome = without_client(visit.request, self._config.dyndns2)
        self._leave(visit, door, [Part(Result(outcome))], str(address) if outcome is Outcome.ADDRESS else "")

    def _is_taken(self, client: Client, way: Way) -> bool:
        """Whether the client's provider can do with what was found to be a key: it may be the token for it."""
        provider = client.provider or self._config.provider
        return not provider.passes_secret or provider.takes(self._secret(way))

    def _secret(self, way: Way) -> str:
        """What matched the key; for get_host, what it was called with."""
        key = way.key if self._config.hooks.get_host else self._config.keyring.matched(way.key)
        return key.decode("utf-8", "surrogateescape")

    def _has_room(self, visit: Visit, way: Way, client: Client) -> bool:
        """Whether one more request of this client is in order; if not, it will be answered.

        Not at once: who asks again as soon as there is an answer would keep us from accepting others.
        """
        if self._under_way[client.names] >= AT_ONCE:
            hosts = way.door.hosts(client, read_parameters(way.query))
            parts = [Part(FULL, client.names)] * len(hosts)
            asyncio.get_running_loop().call_later(HELD, self._leave, visit, way.door, parts)
            return False
        self._under_way[client.names] += 1
        visit.counted = client.names
        return True

    def _errand(self, visit: Visit, way: Way, client: Client, address: Address) -> Errand:
        parameters = read_parameters(way.query)
        hosts = way.door.hosts(client, parameters)
        own = [host for host in dict.fromkeys(hosts) if not isinstance(host, Outcome)]
        parts: dict[Host, Part] = {
            host: Part(Result(host, PROBLEMS.get(host, NOT_OURS))) for host in hosts if isinstance(host, Outcome)
        }
        updates: dict[Host, Update] = {}
        try:
            demand = read_demand(parameters, self._config.peer_only)
            if not demand.names_address and not self._config.hooks.get_ip:
                self._trust(visit.caller)
            updates.update({host: wanted(client, host, demand, address, self._config.ttl) for host in own})
        except Mistake as mistake:
            parts.update({host: Part(Result(Outcome.BADADDRESS, str(mistake)), host) for host in own})
        provider = client.provider or self._config.provider
        secret = self._secret(way) if provider.passes_secret else None
        return Errand(visit, way.door, client, hosts, provider, secret, parts, updates)

    def _trust(self, caller: Caller) -> None:
        """The client shall have its caller's address. Raises Mistake if that is known to be another's."""
        if caller.doubt:
            raise Mistake(caller.doubt)
        if caller.remark:
            self._book.remark(caller.remark)

    # To the provider.

    def _publish(self, errand: Errand) -> None:
        """Without hooks. One update that needs no proof needs no task."""
        only_asks = self._arrivals.inside and self._quota.is_used_up(errand.client.names, monotonic())
        if errand.client.prove or only_asks:
            errand.visit.arrival = self._arrivals.arrive()
        if errand.visit.arrival or len(errand.updates) != 1:  # if none, all parts are known
            self._spawn(self._publish_all(errand))
            return
        grant = self._quota.ask(errand.client.names, monotonic())
        [(host, update)] = errand.updates.items()
        if self._arrivals.inside:
            self._arrivals.overtaken(0, {rrset.key: rrset for rrset in update})
        promise = self._providers.publish(errand.provider, update, not grant.granted, errand.secret)
        promise.add_done_callback(partial(self._guarded, errand.visit, self._settled, errand, grant, host))

    def _settled(self, errand: Errand, grant: Grant, host: Host, promise: Promise) -> None:
        if not self._conclude(errand, grant, {host: worst(promise.result())}):
            self._publish(errand)

    async def _publish_all(self, errand: Errand) -> None:
        """All updates at once; the request counts as one change."""
        publish = self._publish_proven if errand.client.prove else self._publish_each
        try:
            concluded = False
            while not concluded:
                grant, results = await publish(errand)
                concluded = self._conclude(errand, grant, dict(zip(errand.updates, results, strict=True)))
        except Exception as error:
            self._fail(errand.visit, error)

    async def _publish_each(self, errand: Errand) -> tuple[Grant, list[Result]]:
        grant = self._quota.ask(errand.client.names, monotonic())
        publishing = [self._publish_one(errand, update, not grant.granted) for update in errand.updates.values()]
        return grant, await asyncio.gather(*publishing)

    async def _publish_one(self, errand: Errand, update: Update, ask_only: bool) -> Result:
        """One update, as nsupdatecommands wants it."""
        if ask_only:
            return (await self._ask(errand, update))[1]
        try:
            return await self._hand_over(errand, await self._items(errand, update))
        except Exception as error:
            return failure(error)

    async def _publish_proven(self, errand: Errand) -> tuple[Grant, list[Result]]:
        """Each update, once all that would change is proven (Rule 4). A proof that is under way costs no quota."""
        names = errand.client.names
        asked = await asyncio.gather(*(self._ask(errand, update) for update in errand.updates.values()))
        new = [items for items, result in asked if result.outcome is Outcome.WOULD_CHANGE]
        if not new or self._quota.is_used_up(names, monotonic()):
            return self._quota.ask(names, monotonic()), [result for _, result in asked]
        trouble = await self._proofs.prove(errand.client, chain(*new), self._config.timeout)
        unproven = Result(Outcome.UNPROVEN, trouble) if trouble else None
        grant = self._quota.ask(names, monotonic())
        refused = unproven or (None if grant.granted else Result(Outcome.WOULD_CHANGE))
        return grant, await asyncio.gather(*(self._after_proof(errand, *one, refused) for one in asked))

    async def _ask(self, errand: Errand, update: Update) -> tuple[Items, Result]:
        """What would be published, and whether that is a change. What was published meanwhile is asked about again."""
        items: Items = ()
        try:
            items = await self._items(errand, update)
            by_key = {item.key: item for item in items}
            while True:
                before = self._arrivals.newest(by_key)
                result = worst(await self._providers.publish(errand.provider, items, True, errand.secret))
                if result.outcome not in SUCCESSES:
                    return items, result
                if self._arrivals.newest(by_key) == before:
                    self._arrivals.overtaken(errand.visit.arrival, by_key)
                    return items, result
        except Exception as error:
            return items, failure(error)

    async def _after_proof(self, errand: Errand, items: Items, asked: Result, refused: Result | None) -> Result:
        """What was asked about, published if it is new and not refused."""
        if asked.outcome is not Outcome.WOULD_CHANGE:
            return asked
        return refused or await self._hand_over(errand, items)

    async def _items(self, errand: Errand, update: Update) -> Items:
        """What nsupdatecommands makes of an update, for those whose lines it writes. Raises HookFailed."""
        if isinstance(errand.provider, Bind):
            return await self._hooks.commands(update, errand.visit.request.headers, errand.visit.caller.address)
        return update

    async def _hand_over(self, errand: Errand, items: Items) -> Result:
        """Publish, if no newer request was faster."""
        by_key = {item.key: item for item in items}
        if self._arrivals.inside and self._arrivals.overtaken(errand.visit.arrival, by_key):
            return OVERTAKEN
        return worst(await self._providers.publish(errand.provider, items, False, errand.secret))

    # Out: the one exit.

    def _conclude(self, errand: Errand, grant: Grant, results: Mapping[Host, Result]) -> bool:
        """Leave with the provider's results; False if all should be tried again, as the quota is not used up after all.

        What was under way when this request came may have turned out to be no change.
        """
        outcomes = [result.outcome for result in results.values() if not result.repeats]
        grant.settle(changed=Outcome.OK in outcomes)
        if Outcome.WOULD_CHANGE in outcomes:
            now = monotonic()
            if not self._quota.is_used_up(errand.client.names, now):
                return False
            abuse = Result(Outcome.ABUSE, TOO_OFTEN, self._quota.wait(errand.client.names, now))
            results = {h: abuse if r.outcome is Outcome.WOULD_CHANGE else r for h, r in results.items()}
        for host, result in results.items():
            errand.parts[host] = Part(result, errand.updates[host], errand.updates[host])
        self._leave(errand.visit, errand.door, [errand.parts[host] for host in errand.hosts])
        return True

    def _guarded(self, visit: Visit, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except Exception as error:
            self._fail(visit, error)

    def _fail(self, visit: Visit, error: Exception) -> None:
        self._leave(visit, door_of(visit.request, self._config.dyndns2), [Part(failure(error))])

    def _leave(self, visit: Visit, door: Door, parts: Sequence[Part], address: str = "") -> None:
        if visit.has_left:
            return
        visit.has_left = True
        if visit.arrival:
            self._arrivals.leave(visit.arrival)
        if visit.counted:
            self._under_way[visit.counted] -= 1
            if not self._under_way[visit.counted]:
                del self._under_way[visit.counted]
        visit.respond(self._record(door, parts, visit.caller.shown, address, visit))

    def _record(
        self, door: Door, parts: Sequence[Part], who: str, address: str = "", visit: Visit | None = None
    ) -> Reply:
        """Log and count each part, and say it in the door's words."""
        distinct = list(dict.fromkeys(parts)) if len(parts) > 1 else parts
        if self._journal:
            request, began = (visit.request, visit.began) if visit else (None, None)
            self._journal.note(door.NAME, distinct, who, request, began)
        for number, part in enumerate(distinct):
            self._count(part.result, part.subject)
            if number < LINES:
                self._book.write(part.result, part.subject, who)
        if len(distinct) > LINES:
            rest = worst(part.result for part in distinct[LINES:])
            self._book.write(rest, [f"{len(distinct) - LINES} more host names"], who)
        return door.reply([(part.result, part.update) for part in parts], address)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def failure(error: Exception) -> Result:
    """What an exception on the way means. The text of a defect's could hold anything, so it is not told."""
    if isinstance(error, Mistake):
        return Result(Outcome.BADADDRESS, str(error))
    if isinstance(error, HookFailed):
        return Result(Outcome.HOOK, str(error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Result(Outcome.INTERNAL, f"{type(error).__name__} at {place.filename}:{place.lineno}")
