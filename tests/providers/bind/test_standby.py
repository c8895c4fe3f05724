"""A BIND and its standby, as docs/growing.md has them: the standby takes over by hand, and sftdyn goes on there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ServeFixture
from tests.lab.bind import ALL, Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port, wait_until

NOTIFY = "notify explicit; also-notify {{ 127.0.0.1 port {port}; }}; notify-delay 0; allow-transfer {{ 127.0.0.1; }};"
STANDBY = """zone "dyn.example" {{
  type secondary; primaries {{ 127.0.0.1 port {port}; }}; file "dyn.example.zone"; masterfile-format text;
}};"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Bind, Bind]]:
    """A primary, and its standby, with one key."""
    folders = [tmp_path / "first", tmp_path / "standby"]
    for folder in folders:
        folder.mkdir()
    standby = Bind(folders[1], {}, extra=STANDBY.format(port=(port := free_port())))
    first = Bind(folders[0], {"dyn.example": ALL + NOTIFY.format(port=standby.port)}, port=port)
    standby.keyfile.write_text(first.keyfile.read_text())
    first.start()
    standby.start()
    yield first, standby
    for server in (first, standby):
        server.kill()


def test_a_standby_that_is_made_the_primary_goes_on_with_all_that_was_acknowledged(
    serve: ServeFixture, pair: tuple[Bind, Bind]
) -> None:
    first, standby = pair
    both = [f"127.0.0.1:{server.port}" for server in pair]
    served = serve(
        conf(clients={"a": "a.dyn.example", "b": "b.dyn.example"}, server=both, nskeyfile=first.keyfile, timeout=3)
    )
    assert served.update("a?myip=192.0.2.1") == "OK"
    wait_until(lambda: standby.lookup("a.dyn.example") == ["192.0.2.1"], "the standby has it")
    first.kill()
    assert served.update("b?myip=192.0.2.2") == "FAIL", "a standby takes nothing, and nothing is said to be there"
    standby.promote("dyn.example", ALL)
    assert served.update("b?myip=192.0.2.2") == "OK"
    assert served.update("a?myip=192.0.2.1") == "UPTODATE"
    assert standby.lookup("a.dyn.example") + standby.lookup("b.dyn.example") == ["192.0.2.1", "192.0.2.2"]
