"""Values of challenges over a restart: the file for what was seen says which are there, until they have to go."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sftdyn.doors.watch.shelf import read
from tests.conftest import KEY, ServeFixture
from tests.doors.test_certificates import ONE, TWO, present, quoted, values
from tests.lab.bind import Bind
from tests.lab.cloudflare import Cloudflare
from tests.lab.conf import conf
from tests.lab.process import Sftdyn

HOST = "stays.acme.dyn.example"


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def kept(path: Path) -> list[list[object]]:
    """What the file says of challenges; nothing where it is not there yet."""
    rows: list[list[object]] = json.loads(path.read_text())["challenges"] if path.exists() else []
    return rows


@pytest.fixture
def start(serve: ServeFixture, bind: Bind, tmp_path: Path) -> Callable[[], Sftdyn]:
    """sftdyn with a state file; again and again."""
    text = conf(bind, f'acme["{KEY}"] = "{HOST}"\n', state=tmp_path / "state.json")
    bind.edit("zone dyn.example", f"update delete _acme-challenge.{HOST} TXT")
    return lambda: serve(text)


def test_a_restart_disturbs_no_client_and_its_cleanup_comes_through(
    start: Callable[[], Sftdyn], bind: Bind, tmp_path: Path
) -> None:
    first = start()
    assert [present(first, HOST, value)[0] for value in (ONE, TWO)] == [200, 200]
    assert first.stop() == 0
    assert values(bind, HOST) == quoted(ONE, TWO)
    second = start()
    assert present(second, HOST, ONE, path="/cleanup")[0] == 200
    assert values(bind, HOST) == quoted(TWO)
    assert second.stop() == 0
    assert [value for _, value, *_ in kept(tmp_path / "state.json")] == [TWO]


def test_what_was_added_before_a_kill_goes_when_its_hour_is_over(
    start: Callable[[], Sftdyn], bind: Bind, tmp_path: Path
) -> None:
    path = tmp_path / "state.json"
    first = start()
    assert [present(first, HOST, value)[0] for value in (ONE, TWO)] == [200, 200]
    wait_until(lambda: len(kept(path)) == 2, "the file has them a few seconds after they were added")
    first.kill()
    said = json.loads(path.read_text())
    ends = {value: until - time.time() for _, value, _, until in said["challenges"]}
    assert all(3500 < left <= 3600 for left in ends.values())
    for row in said["challenges"]:
        row[3] -= 4000 if row[1] == ONE else 0  # an hour later
    path.write_text(json.dumps(said))
    second = start()
    second.wait_for(f"_acme-challenge.{HOST}: what its client did not clean up is removed")
    assert values(bind, HOST) == quoted(TWO)


def test_a_place_that_the_conf_has_no_more_is_named(start: Callable[[], Sftdyn], tmp_path: Path) -> None:
    row = [f"_acme-challenge.{HOST}.", ONE, "the moon", time.time()]
    (tmp_path / "state.json").write_text(json.dumps({"version": 1, "challenges": [row], "rows": []}))
    start().wait_for(f"values of challenges are left at _acme-challenge.{HOST}: remove them (TXT)")


def test_what_no_file_has_goes_at_the_end(start: Callable[[], Sftdyn], bind: Bind) -> None:
    """A second instance leaves the file to the first."""
    first, second = start(), start()
    assert present(first, HOST, ONE)[0] == 200
    assert present(second, HOST, TWO)[0] == 200
    assert second.stop() == 0
    assert values(bind, HOST) == quoted(ONE)


def test_a_token_of_a_request_is_in_no_file_so_its_values_go_at_the_end(
    serve: ServeFixture, cloudflare: Cloudflare, certificate: Path, tmp_path: Path
) -> None:
    token, path = cloudflare.add_token(), tmp_path / "state.json"
    provider = f'Cloudflare(url="{cloudflare.url}", ca="{certificate}/server.crt")'
    more = f'clients["{token}"] = Client("home.example.org", acme=True, provider={provider})\n'
    served = serve(conf(None, more, state=path))
    assert present(served, "home.example.org", key=token)[0] == 200
    assert served.stop() == 0
    assert cloudflare.records("_acme-challenge.home.example.org") == []
    assert kept(path) == []
    assert token not in path.read_text()


def test_systemd_s_folder_has_them_and_nobody_s_address(
    serve: ServeFixture, bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has asked for notes of what was seen."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    bind.edit("zone dyn.example", f"update delete _acme-challenge.{HOST} TXT")
    served = serve(conf(bind, f'clients["{KEY}"] = Client("{HOST}", acme=True)\n'))
    assert served.update(KEY) in ("OK", "UPTODATE")
    assert present(served, HOST)[0] == 200
    assert served.stop() == 0
    assert values(bind, HOST) == quoted(ONE)
    assert [value for _, value, *_ in kept(tmp_path / "state.json")] == [ONE]
    assert json.loads((tmp_path / "state.json").read_text())["rows"] == []


@pytest.mark.parametrize(
    "row",
    [7, [], ["_acme-challenge.a.example.", ONE, "x"], ["_acme-challenge.a b.", ONE, "x", 1.0], ["a", ONE, "x", {}]],
)
def test_a_row_that_nobody_can_have_written_counts_for_nothing(row: object) -> None:
    good = ["_acme-challenge.a.example.", ONE, "x", 1]
    assert [left.value for left in read([row, good])] == [ONE]
    assert read({"challenges": row}) == []
