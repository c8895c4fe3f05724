"""Which late writes are watched for, how long, and what a look makes of them."""

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from sftdyn.providers import desec
from sftdyn.providers.bind.backend import MANNER
from sftdyn.providers.desk.backend import Addresses, Fate
from sftdyn.providers.desk.late import LateWrites
from sftdyn.providers.desk.tickets import Account
from sftdyn.values.update import Record, RRset, Text

ZONE = "example."
HERE, THERE = Account("here"), Account("there")
NOW = 1000.0  # seconds
ADDRESSES = st.sampled_from([f"192.0.2.{n}" for n in range(1, 4)])


def host(*addresses: str) -> RRset:
    return RRset("h.example.", "A", addresses, 60)


def text(value: str, is_there: bool = True) -> Text:
    return Text("h.example.", value, is_there, 60)


def seen(late: LateWrites, now: float = NOW, by: Account = HERE) -> Sequence[tuple[Record, Collection[Addresses]]]:
    """What a look there would look at."""
    return late.watched(ZONE, lambda account, key: account is by, now)


@given(st.lists(ADDRESSES, min_size=1, max_size=4), ADDRESSES)
def test_what_was_sent_without_an_answer_may_stand_in_the_place_of_what_is_confirmed(sent: list[str], ok: str) -> None:
    late = LateWrites(MANNER)
    for address in sent:
        late.unanswered(ZONE, [host(address)], NOW)
    assert not seen(late), "nobody knows what should be there"
    late.acknowledged([host(ok)], HERE)
    [(record, values)] = seen(late)
    assert record == host(ok)
    assert set(values) == {(address,) for address in sent if address != ok}
    assert late.threaten([host(ok)]) is bool(set(sent) - {ok})


def test_who_acknowledged_it_looks() -> None:
    late = LateWrites(MANNER)
    late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], THERE)
    assert (seen(late), len(seen(late, by=THERE))) == ([], 1)
    assert late.due(NOW + 1) == [(ZONE, THERE)]


def test_what_cannot_come_any_more_is_forgotten() -> None:
    late = LateWrites(MANNER)
    late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], HERE)
    end = NOW + MANNER.watched
    assert late.due(end - 1) == [(ZONE, HERE)]
    assert late.due(end - 1) == [], "the next look has its time"
    assert late.due(end + 1) == []
    assert not late.is_watching()
    assert not late.threaten([host("192.0.2.2")])


def test_looks_become_seldom() -> None:
    late, now, rests = LateWrites(desec.MANNER), NOW, []
    late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], HERE)
    while now < NOW + desec.MANNER.watched:
        before, now = (
            now,
            next(now + tenth / 10 for tenth in range(1, 2000) if late.due(now + tenth / 10) or tenth > 1990),
        )
        rests.append(round(now - before))
    first, _, longest = desec.MANNER.rests
    assert rests[:5] == [first, first, 2 * first, 4 * first, 8 * first]
    assert max(rests[:-1]) <= longest


def test_what_was_sent_once_can_come_late_once() -> None:
    late = LateWrites(MANNER)
    for _ in range(2):
        late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], HERE)
    counts = []
    for _ in range(2):
        late.found(host("192.0.2.2"), Fate.MENDED, ("192.0.2.1",), NOW)
        counts.append(len(seen(late)[0][1]))
    assert (counts, late.mended) == ([1, 0], 2)


def test_a_mend_without_an_answer_may_itself_come_late() -> None:
    late = LateWrites(MANNER)
    late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], HERE)
    late.found(host("192.0.2.2"), Fate.UNKNOWN, ("192.0.2.1",), NOW + 9)
    late.acknowledged([host("192.0.2.3")], HERE)
    [(_, values)] = seen(late, NOW + MANNER.watched + 1)
    assert set(values) == {("192.0.2.1",), ("192.0.2.2",)}


def test_what_somebody_else_wrote_is_left_alone_until_there_is_something_newer() -> None:
    late = LateWrites(MANNER)
    late.unanswered(ZONE, [host("192.0.2.1")], NOW)
    late.acknowledged([host("192.0.2.2")], HERE)
    late.found(host("192.0.2.3"), Fate.FOREIGN, (), NOW)
    assert seen(late), "that was about something older"
    late.found(host("192.0.2.2"), Fate.FOREIGN, (), NOW)
    assert not seen(late)
    late.acknowledged([host("192.0.2.2")], HERE)
    assert seen(late)
    late.leave_alone([host().key])
    assert not seen(late), "a script has written it"


def test_texts_that_are_written_together_are_watched_together() -> None:
    together, singly = LateWrites(desec.MANNER), LateWrites(MANNER)
    for late in (together, singly):
        late.unanswered(ZONE, [text("lost")], NOW)
        late.acknowledged([text("new"), text("old", is_there=False)], HERE)
    assert not seen(singly), "they are in nobody's way"
    assert seen(together) == [(text("new"), {()}), (text("old", is_there=False), {("old",)})]
    together.found(text("new"), Fate.MENDED, (), NOW)
    together.unanswered(ZONE, [text("lost")], NOW + 9)
    assert len(seen(together, NOW + desec.MANNER.watched + 1)) == 2, "each may undo them once more"
    together.due(NOW + 2 * desec.MANNER.watched)
    together.acknowledged([text("later")], HERE)
    assert not seen(together)
