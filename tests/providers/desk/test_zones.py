"""In which zone is a name? What is learned, believed and forgotten."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftdyn.providers.desec import MANNER
from sftdyn.providers.desk.backend import Fact, Listing
from sftdyn.providers.desk.zones import DOUBTFUL, NOWHERE, Zones, upwards

LABELS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5)
NAMES = LABELS.map(lambda labels: ".".join(labels) + ".")
NOW = 1000.0  # seconds


def test_the_nearest_of_the_given_zones_holds_a_name() -> None:
    zones = Zones(["example.", "sub.example."], MANNER)
    where = {name: zones.zone_of(name, NOW, NOW) for name in ("h.sub.example.", "h.example.", "example.", "h.test.")}
    assert where == {
        "h.sub.example.": "sub.example.",
        "h.example.": "example.",
        "example.": "example.",
        "h.test.": NOWHERE,
    }
    assert zones.zone_of("hsub.example.", NOW, NOW) == "example.", "whole labels count"


@given(NAMES, st.sets(NAMES))
def test_what_is_asked_for_tells_the_zone_of_a_name(name: str, apexes: set[str]) -> None:
    zones = Zones((), MANNER)
    while zones.zone_of(name, NOW, NOW) is None:
        asked = zones.unknown(name, NOW, NOW)
        assert asked, "something is to be asked for"
        zones.learn(Fact(asked[0], asked[0] if asked[0] in apexes else None), NOW)
    nearest = next((place for place in upwards(name) if place in apexes), NOWHERE)
    assert zones.zone_of(name, NOW, NOW) == nearest


@given(NAMES, st.sets(NAMES))
def test_a_list_of_all_zones_answers_every_question(name: str, apexes: set[str]) -> None:
    zones = Zones((), MANNER)
    zones.learn_all(Listing({apex: apex for apex in apexes}), NOW)
    nearest = next((place for place in upwards(name) if place in apexes), NOWHERE)
    assert zones.zone_of(name, NOW, NOW) == nearest
    assert zones.zone_of(name, NOW + MANNER.remembered + 1, NOW) is None


def learned(facts: Mapping[str, str | None], is_sure: bool = True) -> Zones:
    """Facts that were learned now."""
    zones = Zones((), MANNER)
    for place, zone in facts.items():
        zones.learn(Fact(place, zone, is_sure), NOW)
    return zones


def test_of_a_new_name_only_the_name_itself_is_asked_for() -> None:
    zones = learned({"example.": "example.", "h.example.": None})
    assert zones.zone_of("h.example.", NOW, NOW) == "example."
    assert zones.unknown("new.example.", NOW, NOW) == ["new.example."]


@pytest.mark.parametrize(("is_sure", "seconds"), [(True, MANNER.remembered), (False, DOUBTFUL)])
def test_what_is_learned_is_forgotten_after_a_while(is_sure: bool, seconds: float) -> None:
    zones = learned({"example.": "example."}, is_sure)
    assert zones.zone_of("example.", NOW + 0.49 * seconds, NOW) == "example."
    assert zones.zone_of("example.", NOW + seconds, NOW) is None


def test_that_a_name_is_in_no_zone_counts_for_who_came_before_and_for_a_while() -> None:
    zones = learned({"h.": None, ".": None})
    later = NOW + MANNER.missed + 1
    assert zones.zone_of("h.", later, arrived=NOW - 1) == NOWHERE
    assert zones.zone_of("h.", NOW + MANNER.missed - 1, arrived=NOW + 1) == NOWHERE
    assert zones.zone_of("h.", later, arrived=NOW + 1) is None
    assert zones.unknown("h.", later, NOW + 1) == ["h.", "."], "somebody may have added the zone meanwhile"


def test_only_what_is_remembered_from_before_a_request_may_have_moved() -> None:
    zones = learned({"example.": "example.", "h.example.": None})
    assert zones.was_known("h.example.", NOW + 1)
    assert not zones.was_known("h.example.", NOW)


def test_a_name_that_turned_out_to_be_elsewhere_is_asked_for_anew() -> None:
    facts = {"example.": "example.", "h.example.": None, "other.example.": None}
    hidden, gone = learned(facts), learned(facts)
    hidden.forget("example.", ["h.example."], is_there=True)
    assert hidden.unknown("h.example.", NOW, NOW) == ["h.example."]
    assert hidden.zone_of("other.example.", NOW, NOW) == "example."
    gone.forget("example.", ["h.example."], is_there=False)
    assert gone.unknown("h.example.", NOW, NOW) == ["example.", "."]
    assert gone.zone_of("other.example.", NOW, NOW) is None


def test_after_a_reload_everything_is_asked_for_anew() -> None:
    zones = learned({"example.": "example."})
    zones.learn_all(Listing({"other.": "other."}), NOW)
    zones.doubt()
    assert [zones.zone_of(name, NOW, NOW) for name in ("example.", "other.")] == [None, None]
