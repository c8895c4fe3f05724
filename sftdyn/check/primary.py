"""What is not right with a primary, its zones, and what the key may change there. Asking changes nothing.

Rule 1. A question for nobody's zone is about the primary itself: is it there, and does it take the key? If not, there
is nothing else to ask.

Rule 2. Prerequisites alone say whether a zone works: no policy for single names stands in their way.

Rule 3. A change behind a prerequisite that never holds is never made. But BIND (from 9.16.37 and 9.18.11 on) and Knot
look first whether the key may make it, and refuse it instead. What cannot be seen so: whether BIND can write its
journal, and which of several reasons it has to refuse a whole zone. Its log says that.

Rule 4. Silence of the machine's resolver is no finding: who is behind the same router as the zone may not see it.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from ..providers.bind import message
from ..providers.bind.addresses import Over
from ..providers.bind.dialogue import BATCH, HALVED
from ..providers.bind.message import Word
from ..providers.bind.nsupdate import ASKING, Child, dig
from ..providers.bind.questions import Lot
from ..providers.bind.route import Route
from ..providers.bind.sayings import diagnosis
from ..providers.bind.scouts import Scouts, look_at
from ..providers.desk.backend import Manner
from ..providers.desk.zones import NOWHERE, Zones, upwards
from ..values.names import FEW, listed
from ..values.outcome import Outcome, Result
from ..values.specs import Primary
from ..values.update import TXT, Place, Plan, RRset, Text
from . import outside
from .delegation import delegation_findings
from .keyfiles import what_is_wrong
from .ttls import ttl_remarks

AT_ONCE = 8  # processes of dig
LOT = 64  # names that are asked for at once
MANNER_OF_ASKING = Manner("the name server", Result(Outcome.NOZONE), (1, 1, 1), 1, False, (0.1, 1.0))
PATIENCE = 5.0  # seconds that another address, or another transport, has to answer
NOBODYS_VALUE = "-"  # of a TXT record
# Reserved addresses (RFC 1112, 4; RFC 4291, 2.4).
NOBODYS_ADDRESS = {"A": "240.0.0.0", "AAAA": "e000::", "TXT": f'"{NOBODYS_VALUE}"'}
SILENCE = "?"  # stands for a zone
# What nsupdate -l reads, unless it was built otherwise: on Linux, and where /run is not.
SESSION_KEYS = (Path("/run/named/session.key"), Path("/var/run/named/session.key"))
UNHEARD = frozenset({Word.NOBODY, Word.UNKNOWN})
REFUSED = frozenset({Word.REFUSED, Word.BAD_KEY, Word.NOT_ITS_ZONE, Word.TOO_LARGE})

NO_UPDATES = "{where} takes no updates (RFC 2136), or is just starting: try again, or correct the setting server"
# What nsupdate says of a key, and what to do. The first one that is found counts; `{key}` is which, `{where}` whose.
KEYS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile("can't read key .*: permission denied"), "this user may not read {key}: be bind, or use nskeyfile"),
    (
        re.compile("can't read key .*: file not found"),
        "there is no session key: start BIND, or name server and nskeyfile",
    ),
    (
        re.compile("(read|create) key |key type|key must have "),
        "{key} is broken: {why}",
    ),
    (
        re.compile(r"NOTAUTH\(BADKEY\)"),
        "{where} does not know {key}, or has another algorithm for it: include it in its configuration"
        " (named.conf, then rndc reconfig)",
    ),
    (re.compile(r"NOTAUTH\(BADSIG\)"), "{where} has another secret for {key}: copy its file again, then rndc reconfig"),
    (re.compile(r"NOTAUTH\(BADTIME\)"), "the clocks of {where} and of this machine differ: set them"),
    (re.compile("update failed: NOTIMP"), NO_UPDATES),  # unsigned, as of a resolver that has no keys
    (re.compile(""), "{where} does not take {key}: include it in its configuration"),
)
PRIMARY = {
    Word.NOBODY: "nobody listens at {where}: start the name server, or correct the setting server",
    Word.UNKNOWN: "{where} does not answer: it hangs, a firewall is between, or the setting server is wrong",
    **dict.fromkeys((Word.AWAY, Word.FAILED), NO_UPDATES),
    Word.NOT_SENT: "{where} cannot be asked ({said}): correct the setting server",
}
ZONE = {
    Word.NOT_ITS_ZONE: "the name server does not serve it: correct the setting zone, or add it there",
    Word.REFUSED: "every update is refused: it is frozen (rndc thaw {zone}), or not open to this key (BIND:"
    " update-policy or allow-update; PowerDNS: TSIG-ALLOW-DNSUPDATE;"
    " Knot: knotc zone-thaw {zone}, or acl); the name server's log says which",
    Word.BAD_KEY: "the name server does not take this key for it: name it in the zone's acl (Knot)",
    Word.FAILED: "the name server has not loaded it: its log and named-checkzone -j {zone} FILE say why (BIND;"
    " Knot: kzonecheck FILE)",
    Word.AWAY: "the name server cannot change it (it says that it does not implement that): PowerDNS's bind backend"
    " takes no updates, use another one",
    Word.UNKNOWN: "no answer, though the name server answers for others: its log may say why",
}
REFUSES_ALL = (
    "{where} refuses every update, also of {names}: dnsupdate=yes is missing (PowerDNS), this machine is not in"
    " allow-dnsupdate-from, or it serves no zone with these names"
)
SHY = (
    "{where} answers for {zone}, and is silent about what it does not serve (YADIFA, a filter in front): so no zone can"
    ' be found by asking; write zone = "{zone}"'
)
WAYS = {
    Over.UDP: "TCP to {address} does not get through, UDP does: let TCP through (port {port}), or updates of many names"
    " go in parts",
    Over.TCP: "UDP to {address} does not get through, TCP does: let UDP through (port {port}), or updates are slower",
}
BAD_ADDRESS = (
    "{address}, which is one of the addresses of the setting server, does not answer for {zone}, or not with this key:"
    " another one is used; correct it, or take it out"
)
HARMLESS = message.harmless(message.NOBODYS)
COPY = "the name server is only a secondary for it: let the setting server name the primary"
UNSEEN = "the world does not see it: the zone above has no NS records for it; add them there"
MAY_NOT = "the key may not change {names}: allow it that in the zone's update-policy (BIND) or acl (Knot)"
CHALLENGES = (
    "certificates need TXT there: in update-policy, with the name of the key for KEY: {lines} (Knot: update-type:"
    " [A, AAAA, TXT] in its acl; PowerDNS has no such limits)"
)
HIDDEN = "a CNAME there, or a delegation or DNAME above, hides {names}: remove it, or choose other names"
NO_ZONE = (
    "{where} serves no zone with {names}: correct the names, or add their zone there, or (Knot) name the key in its acl"
)


async def findings(route: Route, given: Sequence[str], plan: Plan) -> list[str]:
    """What is not right, a sentence each, with the zones `given`, or else those of `plan`, the sets to be published."""
    inquiry = Inquiry(route)
    try:
        return [finding async for finding in inquiry.findings(given, plan)]
    finally:
        await inquiry.close()


class Inquiry:
    """Questions to one primary."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._child = Child(route, ASKING)
        self._scouts = Scouts(route)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """End the process."""
        self._scouts.stop()
        await self._child.stop()

    async def findings(self, given: Sequence[str], plan: Plan) -> AsyncIterator[str]:
        """What is not right, a sentence each."""
        keys = list(plan)
        if trouble := await self._about_primary(given, keys):
            yield trouble
            return
        where, zones = self._route.primary.where, await self._zones(given, keys)
        if SILENCE in zones:
            yield PRIMARY[Word.UNKNOWN].format(where=where)
            return
        if homeless := zones.pop(NOWHERE, []):
            is_closed = not zones and not given and await self._ask(message.NOBODYS, HARMLESS) is Word.REFUSED
            said = REFUSES_ALL if is_closed else NO_ZONE
            yield said.format(where=where, names=listed(name for name, _ in homeless))
        for zone in list(zones)[:1]:
            async for finding in self._about_ways(zone):
                yield finding
        views = await asyncio.gather(*(self._outside(zone) for zone in zones))
        for zone, (is_copy, is_unseen, delegation) in zip(zones, views, strict=True):
            for finding in delegation:
                yield type(finding)(f"zone {zone.rstrip('.') or zone}: {finding}")
            async for finding in self._about_zone(zone, zones[zone], is_copy, is_unseen and not delegation):
                yield f"zone {zone.rstrip('.') or zone}: {finding}"
        for remark in await ttl_remarks(await self._questions(), {k: plan[k] for some in zones.values() for k in some}):
            yield remark

    async def _about_primary(self, given: Sequence[str], keys: Sequence[Place]) -> str | None:
        """What is in the way of all questions (Rule 1)."""
        transcript = ""
        for zone in given[:FEW] or (message.NOBODYS,):
            transcript = await self._hear(zone)
            if message.is_answered(transcript):
                return None
        verdict, where = message.verdict(transcript), self._route.primary.where
        if verdict is Word.BAD_KEY and given and message.is_answered(await self._hear(message.NOBODYS)):
            return None  # Knot says so of a zone, too
        if verdict is Word.BAD_KEY:
            sentence = next(text for pattern, text in KEYS if pattern.search(transcript))
            return sentence.format(key=_key(self._route.primary), where=where, why=_why(self._route.primary))
        if verdict is Word.UNKNOWN and not given and keys:
            for place in upwards(keys[0][0]):
                if await self._ask(place, message.harmless(place)) in message.SPOKEN:
                    return SHY.format(where=where, zone=place.rstrip(".") or place)
        return PRIMARY[verdict].format(where=where, said=diagnosis(transcript)) if verdict in PRIMARY else None

    async def _hear(self, zone: str) -> str:
        """What is said of a zone, over the way that works best."""
        transcript = await self._child.send(zone, message.harmless(zone))
        verdict = message.verdict(transcript)
        zones = () if zone == message.NOBODYS else (zone,)
        if verdict in UNHEARD and await self._scouts.help(verdict, zones, self._child.way, PATIENCE):
            return await self._child.send(zone, message.harmless(zone))
        return transcript

    async def _about_ways(self, zone: str) -> AsyncIterator[str]:
        """Whether each address answers, over UDP and TCP; not of another family than the one that works here."""
        addresses, used = self._route.choice.addresses, (await self._route.way()).address
        for seen in await asyncio.gather(*(look_at(self._route, address, (zone,), PATIENCE) for address in addresses)):
            address = seen.way.address
            is_meant = self._route.primary.others or (":" in address.host) == (":" in used.host)
            if seen.worth and seen.way.over is not Over.BOTH:
                yield WAYS[seen.way.over].format(address=address, port=address.port)
            elif not seen.worth and address != used and self._route.primary.servers and is_meant:
                yield BAD_ADDRESS.format(address=address, zone=zone.rstrip("."))

    async def _zones(self, given: Sequence[str], keys: Sequence[Place]) -> dict[str, list[Place]]:
        """The zones, given or found, with those of `keys` that are in each; SILENCE where the primary fell silent."""
        zones, now = Zones(given, MANNER_OF_ASKING), asyncio.get_running_loop().time()
        names = list(dict.fromkeys(name for name, _ in keys))
        for start in range(0, 0 if given else len(names), LOT):
            some = (zones.unknown(name, now, now) for name in names[start : start + LOT])
            lot = Lot(list(dict.fromkeys(place for places in some for place in places)))

            def hear(number: int, transcript: str, lot: Lot = lot) -> None:
                for fact in lot.hear(number, transcript):
                    zones.learn(fact, now)

            await self._child.send_all([(place, message.harmless(place)) for place in lot.places], hear)
        found: dict[str, list[Place]] = {zone: [] for zone in given}
        for key in keys:
            zone = zones.zone_of(key[0], now, now)
            found.setdefault(SILENCE if zone is None else zone, []).append(key)
        return found

    async def _about_zone(self, zone: str, keys: Sequence[Place], is_copy: bool, is_unseen: bool) -> AsyncIterator[str]:
        """What is wrong with a zone (Rule 2), or else with its names."""
        verdict = await self._ask(zone, message.harmless(zone))
        if is_copy:
            yield COPY
        elif verdict is not Word.DONE:
            yield ZONE.get(verdict, ZONE[Word.UNKNOWN]).format(zone=zone.rstrip("."))
        else:
            async for finding in self._about_names(zone, keys):
                yield finding
        if is_unseen and verdict is not Word.NOT_ITS_ZONE:
            yield UNSEEN

    async def _about_names(self, zone: str, keys: Sequence[Place]) -> AsyncIterator[str]:
        """What stands in the way of these record sets of a zone that works (Rule 3)."""
        if refused := await self._blamed(zone, keys, lambda part: _vain(part, zone), REFUSED):
            yield MAY_NOT.format(names=listed(f"{name.rstrip('.')} {kind}" for name, kind in refused))
            if lines := " ".join(f"grant KEY name {name} TXT;" for name, kind in refused if kind == TXT):
                yield CHALLENGES.format(lines=lines)
        if hidden := await self._blamed(zone, keys, lambda part: _visible(part, zone), HALVED):
            yield HIDDEN.format(names=listed(name for name, _ in hidden))

    async def _blamed(
        self, zone: str, keys: Sequence[Place], lines: Callable[[Sequence[Place]], str], blame: frozenset[Word]
    ) -> list[Place]:
        """Those of `keys` for whose lines the primary says what is in `blame`, found by halves; at most a few."""
        found: list[Place] = []
        parts = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
        while parts and len(found) <= FEW:
            part = parts.pop(0)
            if await self._ask(zone, lines(part)) in blame:
                half = len(part) // 2
                found += part if len(part) == 1 else ()
                parts[:0] = [part[:half], part[half:]] if half else []
        return found

    async def _ask(self, zone: str, lines: str) -> Word:
        return message.verdict(await self._child.send(zone, lines))

    async def _outside(self, zone: str) -> tuple[bool, bool, list[str]]:
        """Whether the primary has only a copy of the zone, and whether the world does not see it, or is led astray."""
        async with self._places:
            is_copy = outside.is_copy(await dig(*await self._questions(), *outside.COPY, zone))
            delegation = await delegation_findings(zone)
            answer = await dig(*outside.DELEGATION, zone)
            if outside.is_own(answer):
                is_unseen = outside.denial(await dig(*outside.AT_THE_PARENT, zone)) == outside.NO_NAME
                return is_copy, is_unseen, delegation
            return is_copy, bool(outside.denial(answer)), delegation

    async def _questions(self) -> tuple[str, ...]:
        """The arguments of dig for the primary: with the key, so that it is in the same view as updates."""
        keyfile = self._route.primary.keyfile
        if not keyfile and not self._route.primary.servers:
            keyfile = next((path for path in SESSION_KEYS if os.access(path, os.R_OK)), None)
        return (*self._route.questions(await self._route.way()), *(("-k", str(keyfile)) if keyfile else ()))


def _vain(keys: Sequence[Place], zone: str) -> str:
    """A message that would remove an address that nobody has, but is not carried out: every zone has an SOA record."""
    changes = [f"update delete {name} {kind} {NOBODYS_ADDRESS[kind]}\n" for name, kind in keys]
    return "".join([f"prereq nxrrset {zone} SOA\n", *changes])


def _visible(keys: Sequence[Place], zone: str) -> str:
    """A question that is answered DONE if everybody could see addresses there."""
    records = [
        Text(name, NOBODYS_VALUE, True, 0) if kind == TXT else RRset(name, kind, (NOBODYS_ADDRESS[kind],), 0)
        for name, kind in keys
    ]
    return message.change(records, {record.key: None for record in records}, zone, ask_only=True)


def _why(primary: Primary) -> str:
    """What is wrong with a key file that is no good."""
    try:
        text = primary.keyfile.read_text("utf-8", "replace") if primary.keyfile else ""
    except OSError:
        text = ""
    return what_is_wrong(text)


def _key(primary: Primary) -> str:
    return f"the key of {primary.keyfile}" if primary.keyfile else "the session key"
