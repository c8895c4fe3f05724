"""A new key, and the lines for clients."""

import re

import pytest

from sftdyn.conf.newkey import CLIENTS, new_key
from sftdyn.values.mistake import Mistake
from tests.lab.machine import ROOT


@pytest.mark.parametrize("title", CLIENTS)
def test_each_client_has_a_file_with_the_same_lines(title: str) -> None:
    stem = re.sub("[^a-z0-9]+", "-", title.lower())
    text = (ROOT / "etc/clients" / stem).read_text()
    values = {"url": "https://dyn.example", "server": "dyn.example", "name": "home.dyn.example", "key": "KEY"}
    lines = CLIENTS[title].format(**values, ssl="yes", ssl_bool="true", https="1").splitlines()
    missing = [line for line in lines if not line.startswith("#") and line not in text]
    assert not missing


@pytest.mark.parametrize(
    ("name", "url"), [("no_name.example", None), ("a.example", "dyn.example"), ("a.example", "ftp://x")]
)
def test_a_new_key_for_nonsense(name: str, url: str | None) -> None:
    with pytest.raises(Mistake):
        new_key(name, url)


def test_the_lines_for_clients_name_the_server() -> None:
    text = new_key("home.dyn.example", "http://dyn.example:8080/")
    assert "curl -sS --fail 'http://dyn.example:8080/" in text
    assert "server=dyn.example:8080\nssl=no" in text
    assert "curl -sS --fail 'https://dyn.example/" in new_key("home.dyn.example", None)
