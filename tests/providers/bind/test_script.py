"""What nsupdatecommands may say."""

import pytest

from sftdyn.doors.hooks import replacement
from tests.providers.bind.conftest import HOME


@pytest.mark.parametrize(
    "lines",
    [
        "update delete home.dyn.example A\nupdate add home.dyn.example 30 A 192.0.2.7\nsend",
        " del HOME.dyn.example. IN A\nadd home.dyn.example 30 in a 192.0.2.7 \nsend\n\n",
    ],
)
def test_lines_that_replace_the_address_are_a_normal_update(lines: str) -> None:
    assert replacement(lines, "home.dyn.example.") == (HOME,)


@pytest.mark.parametrize(
    "line",
    [
        *("server 192.0.2.53", "zone dyn.example", "update delete home.dyn.example", "update delete other.example A"),
        *("update add home.dyn.example 30 AAAA 2001:db8::1", "update add home.dyn.example 30 A nonsense"),
        *("update add home.dyn.example 30 TXT x", "prereq yxdomain home.dyn.example", "key a b", "rubbish"),
        *("update add home.dyn.example 30 A ::1", "update add home.dyn.example 2147483648 A 192.0.2.7"),
    ],
)
def test_other_lines_are_a_script(line: str) -> None:
    plain = "update delete home.dyn.example A\nupdate add home.dyn.example 30 A 192.0.2.7\n"
    assert replacement(f"{plain}{line}\nsend", "home.dyn.example.") is None


def test_no_lines_are_a_script() -> None:
    assert replacement("", "home.dyn.example.") is None
