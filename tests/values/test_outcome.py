"""How a request can end."""

from sftdyn.values.outcome import Outcome, Result, worst


def test_the_worst_part_is_the_whole() -> None:
    ok, same, refused = Result(Outcome.OK), Result(Outcome.UPTODATE), Result(Outcome.REFUSED)
    assert worst([same, ok]) is ok
    assert worst([ok, refused, same]) is refused
