"""What a look after late writes makes of what it sees."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from sftdyn.providers.desk.backend import Fate, Interrupted, Settlement, Verdict, Watched
from sftdyn.providers.mending import mend
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


def test_where_single_records_are_written_several_late_writes_may_stand_together_or_have_taken_what_is_right() -> None:
    late = [("192.0.2.66",), ("192.0.2.67",)]
    watched: Watched = [(RRset("h.example.", "A", ("192.0.2.7",), 60), late)] * 4
    shown = [{"192.0.2.66", "192.0.2.67"}, {"192.0.2.7", "192.0.2.66", "192.0.2.67"}, set[str](), {"192.0.2.3"}]

    async def mend_them(numbers: Sequence[int]) -> Mapping[int, Settlement]:
        return {number: Settlement(Verdict.DONE, True) for number in numbers}

    found = asyncio.run(mend(watched, shown, mend_them, is_mixed=True))
    assert [fate for fate, _ in found] == [Fate.MENDED, Fate.MENDED, Fate.MENDED, Fate.FOREIGN]
    assert found[2] == (Fate.MENDED, ()), "which one took it away nobody knows"
