"""No history of calls, reloads and troubles makes the engine break a promise."""

import pytest

from tests.lab.machine import ROOT

from . import mutate, runner
from .casts import CASTS


@pytest.mark.parametrize("kind", CASTS)
def test_promises_hold_in_twenty_histories(kind: str) -> None:
    clean(runner.Seeds(kind, 0, 20))


@pytest.mark.extra
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", CASTS)
def test_promises_hold_in_a_thousand_histories(kind: str) -> None:
    clean(runner.Seeds(kind, 1000, 1000))


def clean(seeds: runner.Seeds) -> None:
    """Asserts that nothing broke."""
    found = list(runner.reports(seeds))
    broken = [report for report in found if report.problems]
    assert not broken, "\n".join(runner.told(seeds, report) for report in broken[:3])
    assert len(found) == seeds.count


def test_a_history_is_the_same_each_time() -> None:
    seeds = runner.Seeds("mixed", 7, 1)
    assert list(runner.reports(seeds)) == list(runner.reports(seeds))


@pytest.mark.parametrize("mutation", mutate.MUTATIONS, ids=lambda mutation: mutation.rule)
def test_each_mutation_fits_the_source(mutation: mutate.Mutation) -> None:
    assert (ROOT / "sftdyn/providers" / mutation.file).read_text().count(mutation.old) == 1


@pytest.mark.extra
@pytest.mark.timeout(7200)
def test_each_rule_of_the_engine_is_missed_where_it_is_not() -> None:
    assert mutate.main(20, 0, (), runner.JOBS, "") == 0
