"""What a look after late writes makes of what it sees."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from sftdyn.providers.desk.backend import Fate, Interrupted, Settlement, Verdict
from sftdyn.providers.mending import Watched, mend
from sftdyn.values.update import RRset

WATCHED: Watched = [(RRset(f"h{n}.example.", "A", ("192.0.2.7",), 60), [("192.0.2.66",)]) for n in range(2)]
LATE = [{"192.0.2.66"}, {"192.0.2.66"}]


def fates(shown: Sequence[set[str]], *settled: Settlement, is_mixed: bool = False) -> list[Fate]:
    """Of both, where mends become these."""

    async def mend_them(numbers: Sequence[int]) -> Mapping[int, Settlement]:
        return dict(zip(numbers, settled, strict=True))

    return [fate for fate, _ in asyncio.run(mend(WATCHED, shown, mend_them, is_mixed))]


@pytest.mark.parametrize(
    ("verdict", "changed", "fate"),
    [
        (Verdict.DONE, True, Fate.MENDED),
        (Verdict.UNKNOWN, True, Fate.UNKNOWN),
        (Verdict.REFUSED, False, Fate.FOREIGN),
        (Verdict.HIDDEN, False, Fate.FOREIGN),
        *((verdict, False, Fate.RIGHT) for verdict in (Verdict.AGAIN, Verdict.AWAY, Verdict.ELSEWHERE)),
    ],
)
def test_each_has_its_own_fate(verdict: Verdict, changed: bool, fate: Fate) -> None:
    assert fates(LATE, Settlement(Verdict.DONE), Settlement(verdict, changed)) == [Fate.MENDED, fate]


def test_where_no_mend_could_be_sent_it_was_no_look() -> None:
    for unsent in (Settlement(Verdict.AWAY), Settlement(Verdict.REFUSED, moved=True)):
        with pytest.raises(Interrupted):
            fates(LATE, unsent, unsent)


def test_what_somebody_else_wrote_is_left_alone() -> None:
    assert fates([{"192.0.2.3"}, {"192.0.2.7"}]) == [Fate.FOREIGN, Fate.RIGHT]
    mixed = [{"192.0.2.7", "192.0.2.66"}, {"192.0.2.66", "192.0.2.3"}]
    assert fates(mixed, Settlement(Verdict.DONE), is_mixed=True) == [Fate.MENDED, Fate.FOREIGN]
    assert fates(mixed) == [Fate.FOREIGN, Fate.FOREIGN]
