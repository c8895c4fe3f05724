"""What `sftdyn --check --online` says, and does not say, in networks of their own."""

from pathlib import Path

import pytest

from tests.worlds import run_scenario


@pytest.mark.parametrize(
    "scenario",
    [
        "delegations_that_lead_nowhere_are_said",
        "a_filter_that_is_silent_about_other_zones_is_no_trouble_where_the_zone_is_given",
        "what_gets_through_is_said",
        "another_ttl_is_remarked",
        "an_address_that_does_not_answer_is_said_and_the_key_is_not_blamed",
        "of_two_views_the_one_of_the_key_is_looked_at",
    ],
)
def test_what_is_found(tmp_path: Path, scenario: str) -> None:
    run_scenario("tests.check.checked", scenario, tmp_path)
