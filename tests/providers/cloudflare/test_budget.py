"""How many requests a credential sends."""

from hypothesis import given
from hypothesis import strategies as st

from sftdyn.providers.cloudflare.budget import Budget

ALLOWED, PERIOD = 1200, 300.0  # requests, seconds: Cloudflare's


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 60))
def test_however_it_is_used_it_stays_within_what_is_allowed(pauses: list[float], at_once: int) -> None:
    now = 1000.0
    budget = Budget(now)
    sent: list[float] = []
    for pause in pauses:
        now += pause
        for _ in range(at_once):
            now += budget.wait(now, is_ill=False)
            budget.take(now)
            sent.append(now)
    for start in sent:
        assert len([at for at in sent if start <= at < start + PERIOD]) < ALLOWED


def test_whoever_sends_as_fast_as_possible_stays_within_it() -> None:
    now = 0.0
    budget = Budget(now)
    sent = []
    for _ in range(3000):
        now += budget.wait(now, is_ill=False)
        budget.take(now)
        sent.append(now)
    assert max(len([at for at in sent if start <= at < start + PERIOD]) for start in sent[::50]) in (1099, 1100)


def test_a_zone_in_trouble_leaves_a_part_to_the_others() -> None:
    budget = Budget(0.0)
    for _ in range(250):
        assert budget.wait(0.0, is_ill=True) == 0
        budget.take(0.0)
    assert budget.wait(0.0, is_ill=True) == 0.5
    assert budget.wait(0.0, is_ill=False) == 0


def test_what_did_not_arrive_does_not_count() -> None:
    budget = Budget(0.0)
    for _ in range(1000):
        budget.take(0.0)
        budget.give_back()
    assert budget.wait(0.0, is_ill=True) == 0
