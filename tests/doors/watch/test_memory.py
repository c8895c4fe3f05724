"""What was seen outlives a restart."""

import asyncio
import json
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sftdyn.doors.watch.memory import Memory, Unusable, read
from sftdyn.doors.watch.seen import Journal, Note, Row
from sftdyn.values.outcome import Outcome, Result
from sftdyn.values.update import RRset
from tests.conftest import KEY, ServeFixture
from tests.doors.test_status import Watched
from tests.lab.bind import Bind
from tests.lab.machine import free_port

NAME = "kept.dyn.example"
NOW = 1_000_000.0
ROW = Row(
    (f"{NAME}.", "A"),
    NOW - 5,
    Outcome.REFUSED,
    addresses=("192.0.2.1",),
    changed=NOW - 1000,
    worked=NOW - 100,
    failures=3,
    first_failed=NOW - 60,
    failed=NOW - 5,
    reason='it says "no"',
    who="192.0.2.9",
    program="inadyn/2.9",
    door="url",
    history=((NOW - 2000, ("192.0.2.7",)), (NOW - 1000, ("192.0.2.1",))),
)


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state.json")
    assert memory.open(NOW) == ([], {})
    memory.write([ROW] * 100, {"told": {}}, 0.0)
    rows, _ = read(memory.path.read_bytes(), NOW)
    assert [repr(row) for row in rows] == [repr(ROW)] * 100
    assert stat.S_IMODE(memory.path.stat().st_mode) == 0o600
    [later, *_], _ = read(memory.path.read_bytes(), NOW - 500)
    assert (later.seen, later.changed) == (
        NOW - 500,
        NOW - 1000,
    )  # a clock that is behind: nobody was heard in the future


def test_after_a_restart_all_is_known_as_before(serve: ServeFixture, bind: Bind, tmp_path: Path) -> None:
    """On 1.1 last contact, address and since when were gone, and with them the alert for a router that was dead."""
    bind.edit("zone dyn.example", f"update delete {NAME}")
    settings: dict[str, Any] = {"state": "state.json", "clients": {KEY: NAME, "k" * 20: "refused.policy.example"}}
    first = Watched(serve, bind, **settings)
    assert [first.update("192.0.2.1"), first.update("192.0.2.2"), first.update("192.0.2.2")] == ["OK", "OK", "UPTODATE"]
    assert first.update("192.0.2.3", "k" * 20) == "FAIL"
    before, metrics = first.widget()["names"], first.metrics()
    assert first.served.stop() == 0
    [row] = [row for row in json.loads((first.served.folder / "state.json").read_text())["rows"] if NAME in row[0][0]]
    assert [addresses for _, addresses in row[-1]] == [["192.0.2.1"], ["192.0.2.2"]]
    second = Watched(serve, bind, **settings)
    assert second.widget()["names"] == before
    series = [name for name in metrics if name.startswith("sftdyn_host_")]
    assert series
    assert {name: second.metrics()[name] for name in series} == {name: metrics[name] for name in series}


def test_history_may_be_short_and_nothing() -> None:
    for entries, kept in ((10, 10), (2, 2), (0, 0)):
        journal = Journal(lambda: NOW)
        journal.entries = entries
        for number in range(20):
            update = [RRset(f"{NAME}.", "A", (f"192.0.2.{number}",), 30)]
            journal.note("url", [Note(Result(Outcome.OK), update)], "192.0.2.9")
        [row] = journal.rows()
        assert [found for _, found in row.history] == [(f"192.0.2.{n}",) for n in range(20 - kept, 20)]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"version": 1, "rows": [[1]]}', '{"version": 2, "rows": []}', "[" * 100_000]
)
def test_a_broken_file_is_set_aside_with_one_warning(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(Unusable):
        read(text.encode(), NOW)
    memory = Memory(path)
    assert memory.open(NOW) == ([], {})
    assert (tmp_path / "state.json.unusable").read_text() == text
    memory.write([ROW], {}, 0.0)
    assert len(read(path.read_bytes(), NOW)[0]) == 1
    assert len(caplog.records) == 1


def test_where_nothing_can_be_written_it_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory(tmp_path / "not-there" / "state.json")
    memory.open(NOW)
    for _ in range(3):
        memory.write([ROW], {}, 0.0)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["state"]
    (tmp_path / "not-there").mkdir()
    memory.write([ROW], {}, 0.0)
    assert memory.path.exists()  # the trouble is over


def test_a_second_instance_leaves_the_file_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Memory(tmp_path / "state.json"), Memory(tmp_path / "state.json")
    first.open(NOW)
    first.write([ROW], {}, 0.0)
    assert second.open(NOW) == ([], {})
    second.write([], {}, 0.0)
    assert "another sftdyn has" in caplog.text
    assert len(read(first.path.read_bytes(), NOW)[0]) == 1
    first.close()
    third = Memory(tmp_path / "state.json")
    assert len(third.open(NOW)[0]) == 1


def test_a_hundred_thousand_names_are_written_without_a_long_step_of_the_loop(tmp_path: Path) -> None:
    """The loop ticks each millisecond meanwhile; what the slowest of a hundred waits is what a request would."""
    rows = [Row((f"h{n}.dyn.example.", "A"), NOW, addresses=("192.0.2.1",), who="192.0.2.9") for n in range(100_000)]
    memory = Memory(tmp_path / "state.json")

    async def ticks() -> list[float]:
        writing = threading.Thread(target=memory.write, args=(rows, {}, 0.0))
        writing.start()
        late = []
        while writing.is_alive():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)
        return sorted(late)

    late = asyncio.run(ticks())
    print(
        f"{len(late)} ticks, median {late[len(late) // 2] * 1000:.2f} ms, 99 % {late[-len(late) // 100] * 1000:.2f} ms"
    )
    assert len(read(memory.path.read_bytes(), NOW)[0]) == 100_000
    assert late[-max(len(late) // 100, 1)] < 0.05


def test_systemd_s_folder_is_the_default_and_only_where_something_is_watched(
    serve: ServeFixture, bind: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    clients = {KEY: NAME}
    several: list[dict[str, Any]] = [
        {},
        {"status": free_port(), "state": False},
        {"status": free_port(), "reuse_port": True},
    ]
    for more in several:
        served = Watched(serve, bind, clients=clients, **{"status": None, "status_token": None, **more}).served
        served.update(KEY)
        served.stop()
        assert not (tmp_path / "state.json").exists()
    watched = Watched(serve, bind, clients=clients)
    watched.served.update(KEY)
    watched.served.stop()
    assert (tmp_path / "state.json").exists()
