"""How many requests a credential sends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sftdyn.providers.cloudflare.budget import SHARE, TURN, Budget
from sftdyn.providers.desk.backend import Health

WELL, ILL, SILENT = Health.WELL, Health.ILL, Health.SILENT

ALLOWED, PERIOD = 1200, 300.0  # requests, seconds: Cloudflare's


@settings(deadline=None)  # a busy machine takes its time
@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 60))
def test_however_it_is_used_it_stays_within_what_is_allowed(pauses: list[float], at_once: int) -> None:
    now = 1000.0
    budget = Budget(now)
    sent: list[float] = []
    for pause in pauses:
        now += pause
        for _ in range(at_once):
            now += budget.wait(now, WELL)
            budget.take(now, WELL)
            sent.append(now)
    for start in sent:
        assert len([at for at in sent if start <= at < start + PERIOD]) < ALLOWED


def test_whoever_sends_as_fast_as_possible_stays_within_it() -> None:
    now = 0.0
    budget = Budget(now)
    sent = []
    for _ in range(3000):
        now += budget.wait(now, WELL)
        budget.take(now, WELL)
        sent.append(now)
    assert max(len([at for at in sent if start <= at < start + PERIOD]) for start in sent[::50]) in (1099, 1100)


def sent_in(seconds: float, step: float, *wanted: Health, burst_is_used: bool = True) -> dict[Health, int]:
    """How many requests each of these gets, which all want one at each step."""
    budget = Budget(0.0)
    now = 1e-9
    while burst_is_used and not budget.wait(now, WELL):
        budget.take(now, WELL)
    sent = dict.fromkeys(wanted, 0)
    for number in range(round(seconds / step)):
        now = number * step
        for health in wanted:
            if not budget.wait(now, health):
                budget.take(now, health)
                sent[health] += 1
    return sent


def test_a_zone_in_trouble_gets_a_request_each_two_seconds_however_much_the_others_want() -> None:
    sent = sent_in(300, 0.1, WELL, ILL)
    assert 140 <= sent[ILL] <= 150
    assert sent[WELL] >= 440  # of the 600 that come back


def test_zones_that_are_silent_do_not_take_that_share_from_those_that_answer() -> None:
    sent = sent_in(300, 0.1, WELL, SILENT, ILL)
    assert 70 <= sent[ILL] <= 84
    assert 70 <= sent[SILENT] <= 84
    assert sent[WELL] >= 430


def test_a_zone_in_trouble_leaves_a_part_to_the_others() -> None:
    budget = Budget(0.0)
    for _ in range(250):
        assert budget.wait(0.0, ILL) == 0
        budget.take(0.0, ILL)
    assert budget.wait(0.0, ILL) == 0.5
    assert budget.wait(0.0, WELL) == 0


def test_where_nobody_else_wants_the_budget_it_gets_all_that_comes_back() -> None:
    assert sent_in(600, 0.1, ILL)[ILL] > 2 * (600 - 250 / 1.5)


@settings(deadline=None)  # a busy machine takes its time
@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([WELL, ILL, SILENT])), max_size=300))
def test_whoever_sends_none_waits_longer_than_two_seconds_for_a_share(wanted: list[tuple[float, Health]]) -> None:
    budget, now = Budget(0.0), 0.0
    for pause, health in wanted:
        now += pause
        if health is not WELL:
            assert budget.wait(now, health) <= SHARE + TURN
        now += budget.wait(now, health)
        assert budget.wait(now, health) < 1e-6
        budget.take(now, health)


def test_what_did_not_arrive_does_not_count() -> None:
    budget = Budget(0.0)
    for _ in range(1000):
        budget.take(0.0, ILL)
        budget.give_back()
    assert budget.wait(0.0, ILL) == 0
