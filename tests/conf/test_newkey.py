"""A new key, and the lines for clients."""

import re

import pytest

from sftdyn.conf.newkey import new_key, render, templates
from sftdyn.values.mistake import Mistake
from tests.lab.machine import ROOT

CLIENTS = templates()
WRONG = "f" * 32


@pytest.mark.parametrize("title", CLIENTS)
def test_each_client_has_a_file_with_the_same_lines(title: str) -> None:
    stem = re.sub("[^a-z0-9]+", "-", title.lower())
    text = (ROOT / "etc/clients" / stem).read_text()
    printed = section(render("home.dyn.example", "https://dyn.example", "KEY", CLIENTS), title)
    missing = [line for line in printed.splitlines() if not line.startswith("#") and line not in text]
    assert not missing
    assert printed.strip() == text.partition("\n\n")[2].strip()


def section(text: str, title: str) -> str:
    """What --new-key prints for one client."""
    return re.split(rf"^# --- {title}$", text, flags=re.M)[1].partition("\n# ---")[0]


@pytest.mark.parametrize("title", CLIENTS)
def test_nothing_of_the_files_own_values_is_left_where_others_are_filled_in(title: str) -> None:
    printed = section(render("cam.home.test", "http://ddns.test:8080", WRONG, CLIENTS), title)
    left = ("example", "KEY", "https:", "ssl=yes", "ssl = true", "use_https '1'")
    assert not [word for word in left if word in printed]
    assert "cam.home.test" in printed or WRONG in printed


@pytest.mark.parametrize(
    ("name", "url"), [("no_name.example", None), ("a.example", "dyn.example"), ("a.example", "ftp://x")]
)
def test_a_new_key_for_nonsense(name: str, url: str | None) -> None:
    with pytest.raises(Mistake):
        new_key(name, url=url)


def test_the_lines_for_clients_name_the_server() -> None:
    text = new_key("home.dyn.example", url="http://dyn.example:8080/")
    assert "curl -sS --fail 'http://dyn.example:8080/" in text
    assert "server=dyn.example:8080\nssl=no" in text
    assert "curl -sS --fail 'https://dyn.example/" in new_key("home.dyn.example")


@pytest.mark.parametrize("router", ["FRITZ!Box", "fritz-box", "fritzbox"])
def test_one_router_gets_one_block(router: str) -> None:
    text = new_key("home.dyn.example", router)
    assert re.findall("^# --- (.*)$", text, re.M) == ["FRITZ!Box"]
    assert 'clients["' in text


def test_a_router_that_nobody_knows_gets_the_names_of_those_that_are_known() -> None:
    with pytest.raises(Mistake, match=r"write one of: .*FRITZ!Box.*systemd timer"):
        new_key("home.dyn.example", "toaster")
