"""In which zone a name is, from what was asked."""

import pytest

from sftdyn.providers.cloudflare.api import Zone
from sftdyn.providers.cloudflare.zones import MISSED, NOWHERE, REMEMBERED, Zones, upwards

ORG, DYN = Zone("1", "example.org."), Zone("2", "dyn.example.org.")


def found(zones: Zones, name: str, now: float) -> Zone | None:
    fact = zones.zone_of(name, now, now)
    return fact.zone if fact else None


def ask(zones: Zones, there: list[Zone], name: str, now: float) -> int:
    """Ask until the zone of a name is known; how many questions that took."""
    count = 0
    while found(zones, name, now) is None:
        place = zones.unknown(name, now, now)[0]
        zones.learn(place, next((zone for zone in there if zone.name == place), None), now)
        count += 1
    return count


def test_no_question_is_asked_for_a_name_that_can_be_no_zone() -> None:
    assert list(upwards("*.a.example.org.")) == ["a.example.org.", "example.org."]
    assert list(upwards("org.")) == []


def test_what_is_known_of_a_parent_serves_all_its_children() -> None:
    zones = Zones()
    assert ask(zones, [ORG], "a.b.example.org.", 0) == 3
    assert ask(zones, [ORG], "c.b.example.org.", 0) == 1
    assert ask(zones, [ORG], "a.b.example.org.", 0) == 0
    assert found(zones, "c.b.example.org.", 0) == ORG


def test_the_nearest_zone_counts() -> None:
    zones = Zones()
    assert ask(zones, [ORG, DYN], "a.dyn.example.org.", 0) == 2
    assert found(zones, "a.dyn.example.org.", 0) == DYN
    zones.learn_all([ORG, DYN], 0)
    assert found(zones, "b.dyn.example.org.", 0) == DYN
    assert found(zones, "b.example.org.", 0) == ORG


@pytest.mark.parametrize("listed", [False, True])
def test_what_is_missing_is_asked_for_again_soon_and_what_is_there_later(listed: bool) -> None:
    zones = Zones()
    if listed:
        zones.learn_all([ORG], 0)
    else:
        ask(zones, [ORG], "a.example.org.", 0)
        ask(zones, [ORG], "a.example.net.", 0)
    assert found(zones, "a.example.net.", MISSED / 2) == NOWHERE
    assert found(zones, "a.example.net.", MISSED + 1) is None
    assert found(zones, "a.example.org.", REMEMBERED / 2) == ORG
    assert found(zones, "a.example.org.", REMEMBERED + 1) is None  # it may be a zone of its own by now


def test_what_was_missed_during_a_request_is_good_for_that_request() -> None:
    zones = Zones()
    ask(zones, [], "a.example.net.", 100)
    later = 100 + 2 * MISSED
    assert zones.zone_of("a.example.net.", later, arrived=99) is not None
    assert zones.zone_of("a.example.net.", later, arrived=later) is None


def test_a_zone_that_is_denied_is_forgotten() -> None:
    zones = Zones()
    ask(zones, [ORG], "a.example.org.", 0)
    zones.learn_all([ORG], 0)
    zones.forget(ORG)
    assert found(zones, "a.example.org.", 0) is None
