"""What is remembered of host names, for the status page."""

from collections.abc import Sequence

import pytest

from sftdyn.doors.watch.seen import TIMES, Journal, Note, Row, program
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.update import RRset
from sftdyn.web.request import Request

NAME = "home.dyn.example."
REFUSED = Result(Outcome.REFUSED, "refused")


class Clock:
    """Time as the journal sees it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def request(agent: str) -> Request:
    return Request("GET", b"k", "HTTP/1.1", f"User-Agent: {agent}\r\n\r\n".encode())


def told(
    journal: Journal, clock: Clock, result: Result, *addresses: str, agent: str = "inadyn", name: str = NAME
) -> Row:
    """The row of the name's A record, a minute after the last one."""
    clock.now += 60
    update = [RRset(name, "A", addresses, 30)]
    journal.note("url", [Note(result, update)], "192.0.2.9", request(agent), clock.now - 1)
    [row] = [row for row in journal.seen().rows if row.place == (name, "A")]
    return row


OK, SAME = Result(Outcome.OK), Result(Outcome.UPTODATE)


def test_since_when_a_name_has_its_address(clock: Clock) -> None:
    journal = Journal(clock)
    assert told(journal, clock, SAME, "192.0.2.1").changed is None  # before the start
    assert told(journal, clock, OK, "192.0.2.2").changed == clock.now
    changed = clock.now
    assert told(journal, clock, SAME, "192.0.2.2").changed == changed
    assert told(journal, clock, REFUSED, "192.0.2.3").changed == changed
    assert told(journal, clock, OK, "192.0.2.2").changed == changed  # another record set of the update has changed
    assert told(journal, clock, SAME, "192.0.2.4").changed == clock.now  # somebody else has written it
    assert told(journal, clock, OK).changed == clock.now  # removed


def test_failures_are_counted_since_the_last_success_and_the_last_reason_is_kept(clock: Clock) -> None:
    journal = Journal(clock)
    row = told(journal, clock, SAME, "192.0.2.1")
    worked = clock.now
    for count in (1, 2, 3):
        row = told(journal, clock, REFUSED, "192.0.2.2")
        assert (row.failures, row.failed, row.reason, row.confirmed) == (count, clock.now, "refused", worked)
    assert row.addresses == ("192.0.2.1",)
    failed = clock.now
    row = told(journal, clock, SAME, "192.0.2.1")
    assert (row.failures, row.failed, row.reason, row.confirmed) == (0, failed, "refused", clock.now)


def test_the_last_contact_is_by_the_last_program(clock: Clock) -> None:
    journal = Journal(clock)
    for agent in ("inadyn", "inadyn", "ddclient"):
        row = told(journal, clock, SAME, "192.0.2.1", agent=agent)
        assert (row.program, row.who, row.door, row.seen) == (agent, "192.0.2.9", "url", clock.now)


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        ("inadyn/2.9.1", "inadyn/2.9.1"),
        ("", ""),
        ("a\x1b[31m\x00b\xa0\xe9c", "a [31m b c"),
        ("x" * 41, "x" * 39 + "…"),
    ],
)
def test_programs_are_shown_in_plain_letters_and_short(agent: str, shown: str) -> None:
    assert program(agent) == shown


def test_all_requests_are_counted_by_door_and_outcome(clock: Clock) -> None:
    journal = Journal(clock)
    for _ in range(TIMES + 5):
        journal.note("dyndns2", [Note(SAME), Note(REFUSED)], "192.0.2.9", None, clock.now)
    journal.note("url", [Note(Result(Outcome.BADKEY))], "192.0.2.9")
    found = journal.seen()
    assert found.answers["dyndns2"][Outcome.UPTODATE] == found.answers["dyndns2"][Outcome.REFUSED] == TIMES + 5
    assert found.answers["url"][Outcome.BADKEY] == 1
    assert sum(found.seconds["dyndns2"].counts) == TIMES + 5
    assert sum(found.seconds["url"].counts) == 0


def test_the_oldest_names_go_when_there_are_too_many(clock: Clock) -> None:
    journal = Journal(clock, most=10)
    for number in range(30):
        told(journal, clock, SAME, "192.0.2.1", name=f"h{number}.example.")
    assert names(journal.seen().rows) == [f"h{number}.example." for number in range(20, 30)]


def names(rows: Sequence[Row]) -> list[str]:
    return [row.place[0] for row in rows]
