"""How challenges are published: single TXT values, each added and removed by itself, and kept for an hour at most.

Rule 1. What was added is kept in mind until its client has it removed, an hour is over, or sftdyn ends: then it goes.
Until then it is known, too, with which secret of the request it can be removed, where the provider wants one. Where
there is a file for what was seen, it says what is there, and sftdyn leaves that to its next start; secrets are in no
file, so what needs one goes at the end all the same.

Rule 2. A value is kept from the moment at which it is handed to the provider, and let go when the provider has refused
it: one that got no answer in time may be there.

Rule 3. Adding costs the key's own quota, and removing what is not kept does.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic, time
from typing import NamedTuple

from ..conf.acme import Permit, published
from ..conf.config import Config
from ..providers.running import Providers
from ..values.names import listed
from ..values.outcome import SUCCESSES, Outcome, Result
from ..values.specs import Spec
from ..values.update import CHALLENGE, Key, Promise, Text
from .challenges import Challenge, Spoken, Stranger, Unreadable, checked_value, meant
from .keys import Door
from .notes import Part, failure
from .publishing import Visit
from .quota import HOUR, Grant, Quota
from .watch.shelf import Left
from .watch.watch import Watch

log = logging.getLogger("sftdyn")

VALUES = 20  # at one name
CHANGES = 100  # of one key in an hour
MAX_TTL = 60  # seconds
AGAIN = 300.0  # seconds until another try to remove what is too old
REFUSED = frozenset([Outcome.REFUSED, Outcome.NOZONE, Outcome.UNPUBLISHABLE, Outcome.HOOK])  # it is not there
TOO_MANY = Result(Outcome.ABUSE, f"{VALUES} values are at this name already; let clients clean up")
TOO_OFTEN = "this key has changed challenges too often"

LEFT = "values of challenges are left at %s: remove them (TXT)"

Leave = Callable[[Visit, Door, Sequence[Part]], None]


class Holder(NamedTuple):
    """Whose key a request has."""

    who: Hashable  # whose quota it is
    permit: Permit
    secret: str  # what matched the key


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A value that is to be removed."""

    item: Text
    spec: Spec
    secret: str | None
    timer: asyncio.TimerHandle


class Certificates:
    """Publishes challenges, each for `seconds` at most. `leave` is called with what became of a request.

    The `watch` remembers them over a restart; None: nobody does.
    """

    def __init__(
        self, config: Config, providers: Providers, leave: Leave, seconds: float = HOUR, watch: Watch | None = None
    ) -> None:
        self._config = config
        self._providers = providers
        self._leave = leave
        self._seconds = seconds
        self._quota = Quota(CHANGES, burst=CHANGES)
        self._kept: dict[Key, Kept] = {}
        self._at_name: Counter[str] = Counter()
        self._watch = watch
        if watch:
            self._take_over(watch.shelf.before)
            watch.shelf.rows = self._rows

    def use(self, config: Config) -> None:
        """From now on, this conf."""
        self._config = config

    def take(self, visit: Visit, door: Door, holder: Holder, challenge: Challenge) -> None:
        """Do what a request wants; it is answered now or later."""
        try:
            name = meant(challenge, holder.permit)
            value = checked_value(challenge)
        except Stranger as stranger:
            self._refuse(visit, door, holder, Result(Outcome.FORBIDDEN, str(stranger)))
        except Unreadable as mistake:
            blaming = replace(door, wrong=mistake.word) if isinstance(door, Spoken) else door
            self._refuse(visit, blaming, holder, Result(Outcome.BADADDRESS, str(mistake)))
        else:
            item = Text(CHALLENGE + name, value, challenge.is_there, min(self._config.ttl, MAX_TTL))
            self._publish(visit, door, holder, holder.permit[name], item)

    def _refuse(self, visit: Visit, door: Door, holder: Holder, result: Result) -> None:
        self._leave(visit, door, [Part([result], name=next(iter(holder.permit)))])

    def _publish(self, visit: Visit, door: Door, holder: Holder, spec: Spec, item: Text) -> None:
        kept, now = self._kept.get(item.key), monotonic()
        if item.is_there and not kept and self._at_name[item.name] >= VALUES:
            self._leave(visit, door, [Part([TOO_MANY], name=item.name)])
            return
        grant = self._quota.ask(holder.who, now) if item.is_there or not kept else None
        if grant and not grant.granted:
            too_often = Result(Outcome.ABUSE, TOO_OFTEN, self._quota.wait(holder.who, now))
            self._leave(visit, door, [Part([too_often], name=item.name)])
            return
        secret = holder.secret if spec.passes_secret else None
        is_new = kept is None
        if item.is_there:
            kept = self._keep(item, spec, secret, self._seconds)
        promise = self._providers.publish(spec, [item], False, secret)
        promise.add_done_callback(partial(self._published, visit, door, grant, item, kept, is_new))

    def _published(
        self,
        visit: Visit,
        door: Door,
        grant: Grant | None,
        item: Text,
        kept: Kept | None,
        is_new: bool,
        promise: Promise,
    ) -> None:
        """The provider has spoken."""
        try:
            [result] = promise.result()
        except Exception as error:
            result = failure(error)
        if grant:
            grant.settle(changed=result.outcome is Outcome.OK)
        is_gone = result.outcome in SUCCESSES if not item.is_there else is_new and result.outcome in REFUSED
        if kept and is_gone:
            self._forget(kept)
        self._leave(visit, door, [Part([result], name=item.name)])

    # What is kept

    def _keep(self, item: Text, spec: Spec, secret: str | None, seconds: float) -> Kept:
        """From now on, so long; what is kept already begins anew."""
        if before := self._kept.get(item.key):
            self._forget(before)
        timer = asyncio.get_running_loop().call_later(seconds, self._end, item.key)
        self._at_name[item.name] += 1
        kept = self._kept[item.key] = Kept(item, spec, secret, timer)
        self._tell_watch()
        return kept

    def _forget(self, kept: Kept) -> None:
        """Unless it has been added again meanwhile."""
        kept.timer.cancel()
        if self._kept.get(kept.item.key) is kept:
            del self._kept[kept.item.key]
            self._at_name[kept.item.name] -= 1
            self._at_name += Counter()  # without those that are 0
            self._tell_watch()

    def _end(self, key: Key) -> None:
        """Its client has forgotten it."""
        kept = self._kept[key]
        self._remove(kept).add_done_callback(partial(self._ended, kept))

    def _remove(self, kept: Kept) -> Promise:
        return self._providers.publish(kept.spec, [kept.item._replace(is_there=False)], False, kept.secret)

    def _ended(self, kept: Kept, promise: Promise) -> None:
        """A secret is not kept for longer; without one it is tried again, as long as it takes."""
        is_known = self._kept.get(kept.item.key) is kept
        self._forget(kept)
        if _is_removed(promise):
            log.info("%s: what its client did not clean up is removed", kept.item.name.rstrip("."))
        elif is_known and kept.secret is None:
            self._keep(kept.item, kept.spec, None, AGAIN)
        elif is_known:
            log.warning("%s: what its client did not clean up could not be removed", kept.item.name.rstrip("."))

    async def close(self) -> None:
        """Remove what the next start will not know of, which takes at most as long as the provider may take."""
        for kept in self._kept.values():
            kept.timer.cancel()
        is_written = bool(self._kept and self._watch and await self._watch.secure())
        some = [kept for kept in self._kept.values() if kept.secret is not None or not is_written]
        removing = {self._remove(kept): kept.item.name for kept in some}
        if removing:
            await asyncio.wait(removing, timeout=self._config.timeout)
            if left := [name for promise, name in removing.items() if not _is_removed(promise)]:
                log.warning(LEFT, listed(left))

    # What outlives a restart

    def _tell_watch(self) -> None:
        if self._watch:
            self._watch.shelf.changed()

    def _rows(self) -> Iterator[Left]:
        """What the file is to say; asked for it by another thread."""
        wall = time() - monotonic()  # the event loop's clock
        for kept in list(self._kept.values()):
            if kept.secret is None:
                yield Left(kept.item.name, kept.item.value, str(kept.spec), wall + kept.timer.when())

    def _take_over(self, before: Sequence[Left]) -> None:
        """What was there when sftdyn ended, at the places that the conf still names."""
        now, lost = time(), []
        places = {str(spec): spec for spec in self._config.providers if not spec.passes_secret}
        named = published(self._config.permits, self._config.clients, self._config.provider) if before else {}
        for left in before:
            if spec := named.get((left.name, left.place)) or places.get(left.place):
                item = Text(left.name, left.value, True, MAX_TTL)
                self._keep(item, spec, None, min(max(left.until - now, 0.0), self._seconds))
            else:
                lost.append(left.name)
        if lost:
            log.warning(LEFT, listed(lost))


def _is_removed(promise: Promise) -> bool:
    if not promise.done() or promise.cancelled() or promise.exception():
        return False
    return all(result.outcome in SUCCESSES for result in promise.result())
