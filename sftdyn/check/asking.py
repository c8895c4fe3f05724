"""What the results of mere questions say is not right: of a provider that is asked as requests ask it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from ..values.names import listed
from ..values.outcome import Outcome, Result
from ..values.update import TXT, Place, Record, RRset, RRType, Text

Ask: TypeAlias = Callable[[Sequence[Record]], Awaitable[Sequence[Result]]]  # what would become of each of these
LOT = 1000  # record sets that are asked for at once
FINE = frozenset({Outcome.UPTODATE, Outcome.WOULD_CHANGE})
AGAIN = "; try again, and if that stays, see whether url and ca are right, and this machine reaches the API"
NOBODYS_VALUE = "-" * 43  # of a challenge
EXAMPLES: dict[RRType, str] = {"A": "192.0.2.1", "AAAA": "2001:db8::1"}  # nobody's (RFC 5737, RFC 3849)


async def hindrances(keys: Sequence[Place], ask: Ask) -> list[str]:
    """What stands in the way of these record sets, as mere questions find."""
    results: dict[Place, Result] = {}
    for start in range(0, len(keys), LOT):
        lot = keys[start : start + LOT]
        results.update(zip(lot, await ask([question(key) for key in lot]), strict=True))
    return sentences(results)


def question(key: Place) -> Record:
    """What is asked about a record set: would it take an address, or a value?"""
    name, kind = key
    if kind == TXT:
        return Text(name, NOBODYS_VALUE, True, 60)
    return RRset(name, kind, (EXAMPLES[kind],), 60)


def sentences(results: Mapping[Place, Result]) -> list[str]:
    """A sentence for each reason, with the names that it concerns.

    A name of which one type can be published is in order: its router may have addresses of that family only.
    """
    fine = {name for (name, _), result in results.items() if result.outcome in FINE}
    reasons: dict[str, dict[str, None]] = {}
    for (name, _), result in results.items():
        if name not in fine:
            advice = AGAIN if result.outcome is Outcome.TIMEOUT else ""
            reasons.setdefault(result.reason + advice, {}).setdefault(name)
            fine.add(name)
    return [f"{listed(names)}: {reason}" for reason, names in reasons.items()]
