"""A primary with several addresses, of which some do not work: in networks of their own, and the choice by itself."""

from pathlib import Path

import pytest

from sftdyn.providers.bind.addresses import Address, Choice, Over, Passage, Sighting, Worth
from tests.worlds import run_scenario

A, B, C = (Address(f"192.0.2.{n}", 53) for n in (1, 2, 3))


@pytest.mark.parametrize(
    "scenario",
    [
        "a_name_with_one_family_survives_a_restart",
        "an_address_without_a_route_is_passed_over",
        "a_name_that_moves_is_followed",
        "the_first_of_two_addresses_is_silent",
        "the_first_of_two_addresses_refuses",
        "it_falls_silent_in_the_midst",
        "one_without_the_zone_or_the_key_is_passed_over",
        "tcp_does_not_get_through",
        "udp_does_not_get_through",
        "two_names_of_one_server_are_one_place",
        "two_places_turn_out_to_be_one",
        "what_goes_in_parts_has_results_of_its_own",
        "what_comes_late_at_an_address_that_was_left_is_mended_there",
        pytest.param("a_standby_is_left_when_the_first_is_back", marks=pytest.mark.extra),
    ],
)
def test_addresses_of_one_primary(tmp_path: Path, scenario: str) -> None:
    run_scenario("tests.providers.bind.addressed", scenario, tmp_path)


def choice(*addresses: Address) -> Choice:
    one = Choice()
    one.learn(addresses)
    return one


def test_the_first_address_is_taken_and_kept_over_a_renewal() -> None:
    one = choice(A, B)
    assert one.way == Passage(A)
    assert one.weigh(Sighting(Passage(B), Worth.ALL), than=Worth.NOTHING)
    one.learn([A, B, C])
    assert one.way == Passage(B)
    one.learn([A, C])
    assert one.way == Passage(A)


def test_nobody_moves_to_an_address_that_is_no_better() -> None:
    one = choice(A, B)
    assert not one.weigh(Sighting(Passage(B), Worth.NOTHING), than=Worth.NOTHING)
    assert not one.weigh(Sighting(Passage(B), Worth.SOMETHING), than=Worth.SOMETHING)
    assert not one.weigh(Sighting(Passage(C), Worth.ALL), than=Worth.NOTHING)
    assert one.way == Passage(A)


def test_what_was_better_is_looked_at_again() -> None:
    one = choice(A, B, C)
    assert one.better() == ()
    one.weigh(Sighting(Passage(C, Over.UDP), Worth.ALL), than=Worth.NOTHING)
    assert one.better() == (A, B, C)
    one.weigh(Sighting(Passage(C), Worth.ALL), than=Worth.NOTHING)
    assert one.better() == (A, B)


def test_an_address_that_answered_is_not_asked_what_else_it_says() -> None:
    assert list(choice(A, B).others(has_answered=True)) == [B]
    assert list(choice(A, B).others(has_answered=False)) == [A, B]
