"""What a look after late writes makes of what it sees: which late values stand there, and what became of them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from ..values.update import Record
from .desk.backend import Addresses, Fate, Interrupted, Settlement, Verdict, Watched

RIGHT: tuple[Fate, Addresses] = (Fate.RIGHT, ())
FATES = {
    Verdict.DONE: Fate.MENDED,
    Verdict.REFUSED: Fate.FOREIGN,  # it cannot be mended
    Verdict.HIDDEN: Fate.FOREIGN,
    Verdict.UNKNOWN: Fate.UNKNOWN,
}


async def mend(
    watched: Watched,
    shown: Sequence[Collection[str]],
    mend_them: Callable[[Sequence[int]], Awaitable[Mapping[int, Settlement]]],
    is_mixed: bool = False,
) -> list[tuple[Fate, Addresses]]:
    """What comes of each, where these values are shown. `mend_them` makes those with these numbers what they should be.

    `is_mixed`: a late write adds and takes away single records, so a part of what is right may stand beside it, or be
    gone. Raises Interrupted if no mend could be sent.
    """
    fates = [_fate(set(values), *one, is_mixed) for one, values in zip(watched, shown, strict=True)]
    late = [number for number, (fate, _) in enumerate(fates) if fate is Fate.MENDED]
    settled = await mend_them(late) if late else {}
    unsent = [settlement for settlement in settled.values() if _is_unsent(settlement)]
    if unsent and len(unsent) == len(settled):
        raise Interrupted(unsent[0])
    for number, settlement in settled.items():  # what was not sent, the next look finds again
        fates[number] = RIGHT if _is_unsent(settlement) else (FATES[settlement.verdict], fates[number][1])
    return fates


def _fate(
    shown: Collection[str], wanted: Record, late: Collection[Addresses], is_mixed: bool
) -> tuple[Fate, Addresses]:
    """MENDED stands for a late value that is to be mended. Pure."""
    if shown == set(wanted.addresses):
        return RIGHT
    more = set(shown) - set(wanted.addresses)
    for value in late:
        if shown == set(value):
            return Fate.MENDED, value
    if is_mixed and more <= {address for value in late for address in value}:  # several late writes, or a part of one
        return Fate.MENDED, next((value for value in late if more & set(value)), ())
    return Fate.FOREIGN, ()


def _is_unsent(settlement: Settlement) -> bool:
    """Whether nothing is changed, for reasons that are not of this value."""
    is_open = settlement.verdict is Verdict.UNKNOWN and settlement.changed
    return settlement.moved or not (is_open or settlement.verdict in FATES.keys() - {Verdict.UNKNOWN})
