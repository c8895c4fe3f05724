"""The door of the secret URL: a request becomes an update, and its result one of four words."""

import logging
import traceback
from asyncio import gather
from dataclasses import dataclass, replace

from .addresses import client_address, parse_address, peer_address, publishable, record_type
from .config import Config
from .hooks import Arrivals, HookFailed, HookRunner, Script, Scripts
from .keys import Client
from .mistake import Mistake
from .outcome import LOG, Outcome, Result, worst
from .reply import Reply
from .request import BadRequest, Request
from .update import Publisher, RRset, Update

log = logging.getLogger(__name__)

RETRY_AFTER = ("Retry-After", "60")  # seconds

REPLIES: dict[Outcome, Reply] = {
    Outcome.ADDRESS: Reply(200, ""),  # the body is the address
    Outcome.UPTODATE: Reply(200, "UPTODATE"),
    Outcome.OK: Reply(200, "OK"),
    Outcome.BADKEY: Reply(403, "BADKEY"),
    Outcome.BADADDRESS: Reply(400, "FAIL"),
    Outcome.BADREQUEST: Reply(400, "FAIL"),
    Outcome.BADMETHOD: Reply(405, "FAIL", (("Allow", "GET"),)),
    Outcome.UNPUBLISHABLE: Reply(500, "FAIL"),
    Outcome.NOZONE: Reply(500, "FAIL"),
    Outcome.REFUSED: Reply(500, "FAIL"),
    Outcome.HOOK: Reply(500, "FAIL"),
    Outcome.TIMEOUT: Reply(500, "FAIL"),
    Outcome.OVERTAKEN: Reply(503, "FAIL", (RETRY_AFTER,)),
    Outcome.OVERLOADED: Reply(503, "FAIL", (RETRY_AFTER,)),
    Outcome.INTERNAL: Reply(500, "FAIL"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, and of which record sets."""

    result: Result
    update: Update = ()
    address: str = ""


class SecretUrl:
    """Answers requests as one conf says."""

    def __init__(self, config: Config, publisher: Publisher) -> None:
        self._config = config
        self._publisher = publisher
        self._hooks = HookRunner(config)
        self._scripts = Scripts(config.primary, config.timeout)
        self._arrivals = Arrivals()

    async def answer(self, request: Request, peer: str) -> Reply:
        """The reply to a request from the address `peer`; one line about it goes to the log."""
        source = peer
        try:
            forwarded = request.headers.get_all("X-Forwarded-For", [])
            source = str(client_address(peer_address(peer), forwarded, self._config.trusted_proxies))
            answer = await self._answer(request, source)
        except Mistake as mistake:
            answer = Answer(Result(Outcome.BADADDRESS, str(mistake)))
        except HookFailed as failure:
            answer = Answer(Result(Outcome.HOOK, str(failure)))
        except Exception as defect:  # its text could hold anything
            place = traceback.extract_tb(defect.__traceback__)[-1]
            answer = Answer(Result(Outcome.INTERNAL, f"{type(defect).__name__} at {place.filename}:{place.lineno}"))
        log_answer(answer.result, answer.update, source if source == peer else f"{source} via {peer}")
        reply = REPLIES[answer.result.outcome]
        return replace(reply, body=answer.address) if answer.address else reply

    def refuse(self, error: BadRequest, peer: str) -> Reply:
        """The reply to something that is no request."""
        log_answer(Result(Outcome.BADREQUEST, str(error)), (), peer)
        return replace(REPLIES[Outcome.BADREQUEST], status=error.status)

    def close(self) -> None:
        """Start no more hooks."""
        self._hooks.close()

    async def _answer(self, request: Request, source: str) -> Answer:
        if request.method != "GET":
            return Answer(Result(Outcome.BADMETHOD))
        hooks = self._config.hooks
        if hooks.get_ip or hooks.get_host or hooks.nsupdatecommands:
            return await self._answer_with_hooks(request, source)
        if not request.target:
            return Answer(Result(Outcome.ADDRESS), address=source)
        client = self._config.keyring.find(request.target)
        if client is None:
            return Answer(Result(Outcome.BADKEY))
        update = self._update(client, source)
        return Answer(await self._publisher.publish(update), update)

    async def _answer_with_hooks(self, request: Request, source: str) -> Answer:
        key = request.target.decode("utf-8", "surrogateescape")
        with self._arrivals.enter() as number:
            address = await self._hooks.address(source, request.headers, key)
            if not key:
                return Answer(Result(Outcome.ADDRESS), address=address)
            if self._config.hooks.get_host:
                client = await self._hooks.client(key, address)
            else:
                client = self._config.keyring.find(request.target)
            if client is None:
                return Answer(Result(Outcome.BADKEY))
            update = self._update(client, address)
            scripts: list[Script] = []
            if self._config.hooks.nsupdatecommands:
                commands = await gather(*(self._hooks.commands(rrset, request.headers) for rrset in update))
                scripts = [command for command in commands if isinstance(command, Script)]
                update = [rrset for command in commands if not isinstance(command, Script) for rrset in command]
            wanted = {rrset.key: rrset for rrset in update} | {script.key: script for script in scripts}
            if self._arrivals.overtaken(number, wanted):
                return Answer(Result(Outcome.OVERTAKEN, "a newer request for the name was faster"), update)
            pending = [self._scripts.run(script) for script in scripts]
            results = [await self._publisher.publish(update)] if update else []
            results += await gather(*pending)
        return Answer(worst(results), update)

    def _update(self, client: Client, address: str) -> Update:
        """Each name of the client gets exactly this address. Raises Mistake."""
        parsed = publishable(parse_address(address))
        ttl = self._config.ttl if client.ttl is None else client.ttl
        return [RRset(name, record_type(parsed), (str(parsed),), ttl) for name in client.names]


def log_answer(result: Result, update: Update, who: str) -> None:
    """The one line about a request. It holds nothing that a client sent but addresses."""
    word, level = LOG[result.outcome]
    if not log.isEnabledFor(level):
        return
    what = ", ".join(f"{r.name.rstrip('.')} {r.type} {' '.join(r.addresses) or 'removed'}" for r in update)
    log.log(level, "%s%s from %s%s", word, what and f" {what}", who, result.reason and f": {result.reason}")
