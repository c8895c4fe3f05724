"""Each door's words."""

import json
from logging import ERROR, INFO, WARNING

import pytest

from sftdyn.doors.challenges import Challenge, Spoken
from sftdyn.doors.dyndns2 import WORDS
from sftdyn.doors.notes import Part
from sftdyn.doors.secret_url import REPLIES
from sftdyn.values.outcome import SUCCESSES, Outcome, Result

# The doors make another word of it; and what no request can end with.
NOWHERE = {Outcome.WOULD_CHANGE, Outcome.SOURCE}
NOT_AT_THE_SECRET_URL = {Outcome.NOTFQDN, Outcome.NOHOST, Outcome.NUMHOST}
NOT_AT_DYNDNS2 = {Outcome.ADDRESS, Outcome.BADREQUEST, Outcome.NOTHING}


@pytest.mark.parametrize(
    ("table", "elsewhere"),
    [(REPLIES, NOT_AT_THE_SECRET_URL), (WORDS, NOT_AT_DYNDNS2)],
    ids=["secret URL", "dyndns2"],
)
def test_every_outcome_has_its_row_where_it_can_happen(table: dict[Outcome, object], elsewhere: set[Outcome]) -> None:
    assert set(table) == set(Outcome) - NOWHERE - elsewhere


@pytest.mark.parametrize("outcome", list(REPLIES), ids=lambda one: str(one.name))
def test_where_json_is_spoken_every_outcome_is_told_in_json(outcome: Outcome) -> None:
    said = Spoken(Challenge("value"), '{"txt": "value"}').reply([Part([Result(outcome)])])
    assert (said.content_type, said.status < 300) == ("application/json", outcome in (*SUCCESSES, Outcome.ADDRESS))
    assert ("error" in json.loads(said.body)) == (outcome not in SUCCESSES)
    assert ("Retry-After" in dict(said.headers)) == (said.status == 503)
    assert ("WWW-Authenticate" in dict(said.headers)) == (said.status == 401)


def test_every_outcome_has_its_log_line() -> None:
    assert {outcome.level for outcome in Outcome} == {INFO, WARNING, ERROR}
    assert {outcome.word for outcome in Outcome if outcome.level >= WARNING} == {"FAIL", "BADKEY"}
    assert [outcome.severity for outcome in Outcome] == list(range(1, len(Outcome) + 1))
