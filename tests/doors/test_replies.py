"""Each door's words."""

import pytest

from sftdyn.doors.dyndns2 import WORDS
from sftdyn.doors.secret_url import REPLIES
from sftdyn.values.outcome import LOG, Outcome


@pytest.mark.parametrize("table", [LOG, REPLIES, WORDS], ids=["log", "secret URL", "dyndns2"])
def test_every_outcome_has_its_row(table: dict[Outcome, object]) -> None:
    assert set(table) == set(Outcome)
