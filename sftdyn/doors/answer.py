"""Whose request is it? A request comes in at a door, its client is found, and a reply goes out.

Rule. A visit begins in `answer` and ends in `_leave`, whatever happens: there it is noted and answered, and nowhere
else. What lies between is `publishing`, where there is something to publish.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from time import time

from ..conf.acme import of_client
from ..conf.config import Config
from ..conf.keyring import digest
from ..providers.running import Providers
from ..values.addresses import Address
from ..values.mistake import Mistake
from ..values.outcome import Outcome, Result
from ..values.specs import Client
from ..values.update import Subject
from ..web.connection import Respond
from ..web.peer import Caller
from ..web.reply import Reply
from ..web.request import BadRequest, Request, basic
from .certificates import Certificates, Holder
from .challenges import Challenge, Spoken, read_challenge
from .demand import Parameters, kept, read_demand, read_parameters, wanted
from .hooks import HookFailed, HookThreads
from .keys import DYNDNS2, SECRET_URL, SHOW, Door, Opened, Way, door_of, hosts, takes_body, ways, without_client
from .notes import Notes, Part, failure
from .publishing import Errand, Names, Publishing, Visit
from .secret_url import LATER
from .status.own_view import OwnView
from .watch.watch import Watch

CHECKS = ("HEAD", "OPTIONS")  # with which proxies ask whether we live
PROBLEMS = {
    Outcome.NUMHOST: "more host names than a client can have",
    Outcome.NOTFQDN: "the hostname in the request is not a full host name",
}
AT_ONCE = 256  # requests of one client; more only wait for each other
HELD = 1.0  # seconds until a request beyond that is refused
FULL = Result(Outcome.OVERLOADED, f"{AT_ONCE} requests of this client are under way", retry_after=10)
NO_CERTIFICATE = Result(Outcome.FORBIDDEN, "txt and clear are about certificates, and this key may not have any")
NOT_HERE = Result(
    Outcome.FORBIDDEN, "txt and clear are about certificates: not at the dyndns2 paths, send it to /update"
)
CERTIFICATES_ALONE = Result(Outcome.FORBIDDEN, "this key is good for certificates alone")
NOT_OURS = "the hostname in the request is none of this client's"


class Doors:
    """Answers requests as the conf says; one for all confs, so that a reload makes nobody forget.

    `count` is told each result, and what it is about. `notes` is the watch that keeps what was seen; None: nothing is
    noted. `watch` remembers values of challenges over a restart; None: nobody does.
    """

    def __init__(
        self,
        config: Config,
        providers: Providers,
        count: Callable[[Result, Subject], None],
        notes: Watch | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._open(config)
        self._watch = notes
        self._notes = Notes(count, notes.journal if notes else None)
        self._hooks = HookThreads(config)
        self._publishing = Publishing(config, providers, self._hooks, self._done, self._fail)
        self._certificates = Certificates(config, providers, self._leave, watch=watch)
        self._under_way: dict[Hashable, int] = {}  # requests of each client

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._open(config)
        self._hooks.use(config)
        self._publishing.use(config)
        self._certificates.use(config)

    async def close(self) -> None:
        """Clean up; there are no more requests."""
        await self._certificates.close()

    def takes_body(self, request: Request) -> bool:
        """Whether the body of a request with this head, a POST, is wanted."""
        return takes_body(request, self._opened)

    def _open(self, config: Config) -> None:
        self._config = config
        self._opened = Opened(config.dyndns2, config.permits.are_possible)

    def answer(self, request: Request, caller: Caller, respond: Respond) -> None:
        """Reply to a request, now or later."""
        visit = Visit(request, caller, respond, time() if self._notes.keeps_times else None)
        if self._config.hooks.can_delay:
            visit.arrival = self._publishing.arrive()
            self._publishing.spawn(self._guided(visit))
            return
        try:
            self._enter(visit)
        except Exception as error:
            self._fail(visit, error)

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to something that is no request."""
        outcome = Outcome.OVERLOADED if error.status == LATER else Outcome.BADREQUEST
        parts = [Part([Result(outcome, str(error), retry_after=10)])]
        self._notes.leave(SECRET_URL.NAME, parts, peer)
        return replace(SECRET_URL.reply(parts), status=error.status)

    # In: whose key is it, and what does the client want?

    def _enter(self, visit: Visit) -> None:
        if self._is_welcome(visit):
            for way in ways(visit.request, self._opened):
                held = self._config.keyring.held(way.key)
                if held and self._is_taken(held[1], way):
                    if errand := self._errand(visit, way, *held, visit.caller.address):
                        self._publishing.publish(errand)
                    return
                if self._is_permitted(visit, way):
                    return
            self._turn_away(visit, visit.caller.address)

    async def _guided(self, visit: Visit) -> None:
        """The same with a conf that has hooks."""
        try:
            if self._is_welcome(visit):
                address = await self._address(visit)
                for way in ways(visit.request, self._opened):
                    client = await self._find(visit, way, address)
                    if client and self._is_taken(client, way):
                        if self._watch and self._config.hooks.get_host:
                            self._watch.learn(client)
                        if errand := self._errand(visit, way, self._who(way, client), client, address):
                            await self._publishing.publish_all(errand)
                        return
                    if self._is_permitted(visit, way):
                        return
                self._turn_away(visit, address)
        except Exception as error:
            self._fail(visit, error)

    async def _find(self, visit: Visit, way: Way, address: Address) -> Client | None:
        """The client whose key this is; the setting acme is asked before get_host. Raises LookupFailed."""
        config = self._config
        if config.hooks.get_host and config.permits.find(way.key) and self._challenge(way, read_parameters(way.query)):
            return None
        return await self._hooks.find(way.key, address, visit.caller.address)

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
        if request.method == "GET" or (request.method == "POST" and self.takes_body(request)):
            return True
        if request.method in CHECKS and not request.target:
            self._leave(visit, SECRET_URL, [Part([Result(Outcome.ADDRESS)])])
        else:
            self._leave(visit, door_of(request, self._opened), [Part([Result(Outcome.BADMETHOD)])])
        return False

    def _turn_away(self, visit: Visit, address: Address) -> None:
        """No client has this key."""
        door, outcome = without_client(visit.request, self._opened)
        self._leave(visit, door, [Part([Result(outcome)])], str(address) if outcome is Outcome.ADDRESS else "")

    def _is_taken(self, client: Client, way: Way) -> bool:
        """Whether the client's provider can do with what was found to be a key: it may be the token for it."""
        provider = client.provider or self._config.provider
        return not provider.passes_secret or provider.takes(self._secret(way))

    def _secret(self, way: Way) -> str:
        """What matched the key; for get_host, what it was called with."""
        if self._config.permits.find(way.key):
            key = self._config.permits.matched(way.key)
        else:
            key = way.key if self._config.hooks.get_host else self._config.keyring.matched(way.key)
        return key.decode("utf-8", "surrogateescape")

    def _who(self, way: Way, client: Client) -> Hashable:
        """Whose key it is; with get_host, which may know any number of keys, whose names."""
        return client.names if self._config.hooks.get_host else digest(self._config.keyring.matched(way.key))

    # What is about certificates

    def _challenge(self, way: Way, parameters: Parameters) -> Challenge | None:
        """What is wanted of a certificate's challenge; None: it is about addresses."""
        return way.door.challenge if isinstance(way.door, Spoken) else read_challenge(parameters)

    def _is_permitted(self, visit: Visit, way: Way) -> bool:
        """Whether the key is one of the setting acme alone; then it is answered, now or later."""
        permit = self._config.permits.find(way.key)
        if not permit or not all(spec.takes(self._secret(way)) for spec in permit.values()):
            return False
        if challenge := self._challenge(way, read_parameters(way.query)):
            self._certify(visit, way, challenge)
        else:
            self._leave(visit, way.door, [Part([CERTIFICATES_ALONE], name=next(iter(permit)))])
        return True

    def _certify(self, visit: Visit, way: Way, challenge: Challenge, client: Client | None = None) -> None:
        """What the key is good for as a client's, and by the setting acme."""
        config, secret = self._config, self._secret(way)
        own = of_client(client, config.provider) if client else {}
        permit = {**own, **(config.permits.find(way.key) or {})}
        names = client.names if client else tuple(permit)
        if way.door is DYNDNS2 or not permit:
            self._leave(visit, way.door, [Part([NOT_HERE if permit else NO_CERTIFICATE], name=names[0])])
        else:
            who = names if config.hooks.get_host else digest(secret.encode("utf-8", "surrogateescape"))
            if not self._has_room(visit, way.door, who, names, 1):
                return
            self._certificates.take(visit, way.door, Holder(who, permit, secret), challenge)

    def _has_room(self, visit: Visit, door: Door, who: Hashable, names: tuple[str, ...], hosts: int) -> bool:
        """Whether one more request of this client is in order; if not, it will be answered.

        Not at once: who asks again as soon as there is an answer would keep us from accepting others.
        """
        under_way = self._under_way.get(who, 0)
        if under_way >= AT_ONCE:
            parts = [Part([FULL], names)] * hosts
            asyncio.get_running_loop().call_later(HELD, self._leave, visit, door, parts)
            return False
        self._under_way[who] = under_way + 1
        visit.counted = who
        return True

    def _errand(self, visit: Visit, way: Way, who: Hashable, client: Client, address: Address) -> Errand | None:
        """What the client wants; None where that is answered already."""
        if way.door is SHOW:
            names = (*client.names, *(name for name, _ in client.lan))
            what = Outcome.ADDRESS if self._watch else Outcome.NOTHING
            self._leave(visit, OwnView(self._watch, names), [Part([Result(what)])])
            return None
        parameters = read_parameters(way.query)
        if challenge := self._challenge(way, parameters):
            self._certify(visit, way, challenge, client)
            return None
        wanted_hosts = hosts(way.door, client, parameters)
        if not self._has_room(visit, way.door, who, client.names, len(wanted_hosts)):
            return None
        provider = client.provider or self._config.provider
        secret = self._secret(way) if provider.passes_secret else None
        errand = Errand(visit, way.door, client, who, wanted_hosts, provider, secret)
        own: list[Names] = []
        for host in dict.fromkeys(wanted_hosts):
            if isinstance(host, Outcome):
                errand.parts[host] = Part([Result(host, PROBLEMS.get(host, NOT_OURS))], name=client.names[0])
            else:
                own.append(host)
        self._find_updates(errand, own, parameters, address)
        return errand

    def _find_updates(self, errand: Errand, own: Sequence[Names], parameters: Parameters, address: Address) -> None:
        """What the parameters mean for those of the client's names that they are about."""
        try:
            demand = read_demand(parameters, self._config.peer_only)
            if not demand.names_address and not self._config.hooks.get_ip:
                self._trust(errand.visit.caller)
            updates = {host: wanted(errand.client, host, demand, address, self._config.ttl) for host in own}
            for host, update in updates.items():
                if update:
                    errand.updates[host] = update
                else:
                    errand.looks[host] = kept(errand.client, host, demand, address, self._config.ttl)
        except Mistake as mistake:
            bad = Result(Outcome.BADADDRESS, str(mistake))
            errand.parts.update({host: Part([bad], host, host[0]) for host in own})

    def _trust(self, caller: Caller) -> None:
        """The client shall have its caller's address. Raises Mistake if that is known to be another's."""
        if caller.doubt:
            raise Mistake(caller.doubt)
        if caller.remark:
            self._notes.remark(caller.remark)

    # Out: the one exit.

    def _done(self, errand: Errand) -> None:
        self._leave(errand.visit, errand.door, [errand.parts[host] for host in errand.hosts])

    def _fail(self, visit: Visit, error: Exception) -> None:
        self._leave(visit, door_of(visit.request, self._opened), [Part([failure(error)])])

    def _leave(self, visit: Visit, door: Door, parts: Sequence[Part], address: str = "") -> None:
        if visit.has_left:
            return
        visit.has_left = True
        if visit.arrival:
            self._publishing.depart(visit)
        if visit.counted and (left := self._under_way.pop(visit.counted) - 1):
            self._under_way[visit.counted] = left
        self._notes.leave(door.NAME, parts, visit.caller.shown, visit.request, visit.began)
        visit.respond(door.reply(parts, address))
