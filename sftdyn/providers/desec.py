"""deSEC as a provider: a question for the zone, a list of its record sets, one PATCH that is all or nothing.

Sources: deSEC's documentation, "Domain Management", "Retrieving and Creating DNS Records", "Rate Limits".
"""

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..fetch.answer import Answer, Failed, read_json
from ..fetch.fetcher import Fetcher
from ..fetch.route import Dialer
from ..values.outcome import Outcome, Result
from ..values.update import Key, Place, RRset, Update
from .desk.backend import Addresses, Fact, Fate, Health, Interrupted, Manner, Settlement, State, Unfound, Verdict

MANNER = Manner(
    called="deSEC",
    no_zone=Result(Outcome.NOZONE, "this token shows no domain that has the name"),
    at_once=(2, 1, 1),
    capacity=500,  # record sets; an answer has no more of them
    is_exclusive=True,
    pauses=(0.5, 4.0),
    lot=1,
    remembered=1800.0,
    missed=15.0,
    watched=150.0,
    rests=(2.0, 2.0, 60.0),
)
SECONDS = 5.0  # for an answer
THROTTLED = 1.0  # seconds, where a 429 does not say how many
MINIMUM_TTL = 3600  # seconds; where the domain does not say
REFUSED = "deSEC does not take this"
CNAME = "a CNAME at the name hides it; delete it, or choose another name"


class Trouble(Exception):
    """A request has failed."""

    def __init__(self, verdict: Verdict, reason: str, wait: float = 0.0, maybe_done: bool = False) -> None:
        super().__init__(reason)
        self.settlement = Settlement(verdict, maybe_done, reason, wait)


class DesecBackend:
    """deSEC as one token sees it; made inside a running event loop."""

    manner = MANNER
    given: Sequence[str] = ()

    def __init__(self, url: str, token: str, dialer: Dialer) -> None:
        self._url = url
        self._headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._fetcher = Fetcher(dialer)
        self._ttls: dict[str, int] = {}  # the least of each domain

    def channel(self, asks: bool = False) -> "DesecBackend":
        return self

    def weigh(self, rrset: RRset, zone: str) -> int:
        return 1

    def wait(self, health: Health) -> float:
        return 0.0

    async def apexes(self, places: Sequence[str]) -> AsyncIterator[Fact]:
        """Raises Unfound."""
        name = places[0].removesuffix(".")
        try:
            found = await self._ask("GET", f"/domains/?owns_qname={quote(name)}")
        except Trouble as trouble:
            verdict, _, reason, wait, *_ = trouble.settlement
            raise Unfound(reason, wait, Outcome.REFUSED if verdict is Verdict.REFUSED else None) from None
        zone = f"{found[0]['name']}." if found else None
        self._ttls.update({f"{domain['name']}.": domain.get("minimum_ttl", MINIMUM_TTL) for domain in found})
        for place in places:
            yield Fact(place, zone if place == zone else None)

    async def settle(
        self, zone: State, updates: Sequence[Update], ask_only: bool, is_wanted: Callable[[int], bool]
    ) -> list[Settlement]:
        """A list, and a PATCH; without those that it does not take, another one."""
        try:
            there = await self._look(zone.name, [rrset for update in updates for rrset in update])
            settled = {n: self._without_change(update, there, ask_only) for n, update in enumerate(updates)}
            left = [n for n, settlement in settled.items() if settlement is None]
            while left and (refused := await self._patch(zone.name, [rrset for n in left for rrset in updates[n]])):
                bad = [n for n in left if any(rrset.key in refused for rrset in updates[n])]
                settled |= dict.fromkeys(bad, Settlement(Verdict.REFUSED, reason=REFUSED))
                left = [n for n in left if n not in bad]
        except Trouble as trouble:
            return [trouble.settlement] * len(updates)
        return [settlement or Settlement(Verdict.DONE, changed=True) for settlement in settled.values()]

    async def mend(
        self, zone: State, watched: Sequence[tuple[RRset, Collection[Addresses]]]
    ) -> list[tuple[Fate, Addresses]]:
        """Raises Interrupted."""
        try:
            there = await self._look(zone.name, [rrset for rrset, _ in watched])
            late = [
                (rrset, there.get(rrset.key, ())) for rrset, values in watched if there.get(rrset.key, ()) in values
            ]
            if late:
                await self._patch(zone.name, [rrset for rrset, _ in late])
        except Trouble as trouble:
            raise Interrupted(trouble.settlement) from None
        mended = {rrset.key: value for rrset, value in late}
        right = (Fate.RIGHT, ())
        return [
            (Fate.MENDED, mended[rrset.key])
            if rrset.key in mended
            else right
            if there.get(rrset.key, ()) == rrset.addresses
            else (Fate.FOREIGN, ())
            for rrset, _ in watched
        ]

    async def findings(self, keys: Sequence[Place]) -> list[str]:
        return []

    def stop(self) -> None:
        self._fetcher.close()

    async def close(self) -> None: ...

    def _without_change(self, update: Update, there: Mapping[Any, Addresses], ask_only: bool) -> Settlement | None:
        if any((rrset.name, "CNAME") in there for rrset in update):
            return Settlement(Verdict.HIDDEN, reason=CNAME)
        changed = any(there.get(rrset.key, ()) != rrset.addresses for rrset in update)
        return Settlement(Verdict.DONE, changed) if ask_only or not changed else None

    async def _look(self, zone: str, wanted: Sequence[RRset]) -> dict[Any, Addresses]:
        """The record sets of these names. Raises Trouble."""
        names = {rrset.name for rrset in wanted}
        which = f"?subname={quote(_subname(wanted[0].name, zone))}" if len(names) == 1 else ""
        found = await self._ask("GET", f"/domains/{zone.removesuffix('.')}/rrsets/{which}")
        return {(one["name"], one["type"]): tuple(sorted(one["records"])) for one in found if one["name"] in names}

    async def _patch(self, zone: str, rrsets: Sequence[RRset]) -> set[Key]:
        """Make them so, all or none; which of them it does not take. Raises Trouble."""
        least = self._ttls.get(zone, MINIMUM_TTL)
        items = [
            {"subname": _subname(r.name, zone), "type": r.type, "ttl": max(r.ttl, least), "records": list(r.addresses)}
            for r in rrsets
        ]
        errors = await self._ask("PATCH", f"/domains/{zone.removesuffix('.')}/rrsets/", items)
        return {rrset.key for rrset, error in zip(rrsets, errors, strict=False) if error and "subname" not in error}

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Raises Trouble."""
        octets = b"" if body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if octets else {})
        changes = method != "GET"
        try:
            answer = await self._fetcher.fetch(method, self._url + path, SECONDS, headers, octets)
            return _read(answer, changes)
        except Failed as failed:
            done = changes and failed.sent
            raise Trouble(Verdict.UNKNOWN, f"no answer: {failed.trouble.value}", maybe_done=done) from None


def _read(answer: Answer, changes: bool) -> Any:
    """What it says; for a PATCH that it does not take, what is wrong with each item. Raises Trouble."""
    if answer.status == 429:
        after = answer.headers.get("retry-after", "")
        raise Trouble(Verdict.AWAY, "deSEC wants fewer requests (429)", float(after) if after.isdigit() else THROTTLED)
    if answer.status >= 500:
        raise Trouble(Verdict.UNKNOWN, f"deSEC is in trouble (status {answer.status})", maybe_done=changes)
    if answer.status in (401, 403):
        raise Trouble(Verdict.REFUSED, "deSEC does not let this token do that")
    try:
        said = read_json(answer.body)
    except ValueError:
        raise Trouble(Verdict.UNKNOWN, "the answer is not deSEC's", maybe_done=changes) from None
    if answer.status >= 300 and not (changes and answer.status == 400 and isinstance(said, list)):
        raise Trouble(Verdict.REFUSED, f"{REFUSED} (status {answer.status})")
    return said if answer.status == 400 or not changes else []


def _subname(name: str, zone: str) -> str:
    return name.removesuffix(zone).removesuffix(".")
