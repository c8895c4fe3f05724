"""What may come late, and what is somebody else's."""

import pytest

from sftdyn.providers.cloudflare.api import Zone
from sftdyn.providers.cloudflare.late import FIRST_LOOK, WATCHED, LateWrites
from sftdyn.values.update import RRset

ZONE = Zone("1", "example.org.")
LATE, NEWEST = "192.0.2.66", "192.0.2.7"


def rrset(*addresses: str) -> RRset:
    return RRset("home.example.org.", "A", addresses, 300)


@pytest.fixture
def late() -> LateWrites:
    """A change without an answer, and a newer one that was acknowledged."""
    writes = LateWrites()
    writes.unanswered(ZONE, [rrset(LATE)], 0.0)
    writes.acknowledged([rrset(NEWEST)])
    return writes


@pytest.mark.parametrize(
    ("shown", "is_late"),
    [((LATE,), True), ((NEWEST, LATE), True), ((NEWEST,), False), (("192.0.2.3",), False), ((), False)],
)
def test_only_what_was_sent_is_late(late: LateWrites, shown: tuple[str, ...], is_late: bool) -> None:
    assert late.came_late(rrset(NEWEST), shown) == ((LATE,) if is_late else None)


def test_what_was_sent_once_comes_once(late: LateWrites) -> None:
    assert late.came_late(rrset(NEWEST), [LATE]) == (LATE,)
    late.mended(rrset(NEWEST), (LATE,))
    assert late.came_late(rrset(NEWEST), [LATE]) is None


def test_after_somebody_else_has_written_nothing_is_touched(late: LateWrites) -> None:
    assert late.came_late(rrset(NEWEST), ["192.0.2.3"]) is None
    assert late.came_late(rrset(NEWEST), [LATE]) is None


def test_a_removal_may_come_late_too() -> None:
    late = LateWrites()
    late.unanswered(ZONE, [rrset()], 0.0)
    late.acknowledged([rrset(NEWEST)])
    assert late.came_late(rrset(NEWEST), []) == ()


def test_looks_become_rarer_until_nothing_can_come_any_more(late: LateWrites) -> None:
    now, looks = 0.0, []
    while late.is_watching():
        now += 0.5
        late.expire(now)
        if late.due(now):
            assert late.look(ZONE, now) == [rrset(NEWEST)]
            looks.append(now)
    assert looks[0] == FIRST_LOOK
    assert len(looks) < 14
    assert now == WATCHED
    assert not late.look(ZONE, now)


def test_what_was_acknowledged_before_is_not_restored() -> None:
    late = LateWrites()
    late.acknowledged([rrset(NEWEST)])
    late.unanswered(ZONE, [rrset(LATE)], 0.0)
    assert late.look(ZONE, 2.0) == []
