"""Reload, and two instances: what makes it a service that runs for years."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conftest import ServeFixture
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.machine import free_port


def test_a_reload_takes_everything_but_the_listeners(serve: ServeFixture, bind: Bind) -> None:
    text = conf(bind, clients={"old": "reload1.dyn.example"})
    served = serve(text)
    path = served.folder / "conf0"
    assert served.update("old") == "OK"
    path.write_text(conf(bind, clients={"new": "reload1.dyn.example"}, ttl=99))
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("old") == "BADKEY"
    assert served.update("new", "127.0.0.2") == "OK"
    assert bind.ttl("reload1.dyn.example") == 99

    seen = len(served.log)
    path.write_text("htps = 1\n")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf stays as it was: ", seen)
    served.wait_for("did you mean https?", seen)
    assert served.update("new", "127.0.0.2") == "UPTODATE"

    path.write_text(text.replace("127.0.0.1:0", "127.0.0.3:0"))
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("http and https have changed; this needs a restart", seen)
    served.wait_for("the conf is read again", seen)
    assert served.update("old", "127.0.0.2") == "OK"  # with the TTL of this conf
    assert served.update("old", "127.0.0.2") == "UPTODATE"


def test_a_reload_to_another_name_server(serve: ServeFixture, bind: Bind, own_bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "moved.dyn.example"}))
    assert served.update("k") == "OK"
    (served.folder / "conf0").write_text(conf(own_bind, clients={"k": "moved.dyn.example"}))
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("k") == "OK"
    assert own_bind.lookup("moved.dyn.example") == ["127.0.0.1"]


def test_a_hundred_reloads_under_load_lose_no_request(serve: ServeFixture, bind: Bind) -> None:
    clients = {f"k{n}": f"reload{n}.dyn.example" for n in range(20)}
    served = serve(conf(bind, clients=clients, trusted_proxies=["127.0.0.1"], max_changes=0))
    done = threading.Event()

    def keep_asking(n: int) -> set[str]:
        answers = set()
        for night in range(100_000):
            if done.is_set():
                break
            address = f"10.0.{night // 2 % 250}.{n + 1}"
            answers.add(served.get(f"/k{n}", headers={"X-Forwarded-For": address}).text)
        return answers

    with ThreadPoolExecutor(20) as pool:
        running = [pool.submit(keep_asking, n) for n in range(20)]
        for _ in range(100):
            seen = len(served.log)
            served.process.send_signal(signal.SIGHUP)
            served.wait_for("the conf is read again", seen)
        done.set()
        assert set().union(*(future.result() for future in running)) <= {"OK", "UPTODATE"}


def test_a_thousand_reloads_while_a_conf_is_read_are_one_and_then_it_ends(serve: ServeFixture, bind: Bind) -> None:
    """A computation in the conf holds the interpreter, so that signals pile up."""
    text = conf(bind, clients={"k": "thousand.dyn.example"})
    served = serve(text)
    (served.folder / "conf0").write_text(text + "[sum(range(100_000)) for _ in range(300)]\n")
    served.signal(signal.SIGHUP)
    for _ in range(10_000):
        served.signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.stop() == 0
    assert not [line for line in served.log if "Traceback" in line or "Exception ignored" in line]
    assert len([line for line in served.log if "the conf is read again" in line]) < 20


def test_reloads_while_a_function_of_own_hangs_keep_one_conf(serve: ServeFixture, bind: Bind) -> None:
    """What hangs in a thread keeps the conf that it is a function of."""
    text = "def mine():\n    import threading\n    threading.Event().wait()\nown = [Client('h.dyn.example', address=mine)]\n"
    served = serve(conf(bind, text, timeout=0.2))
    served.wait_for("mine took longer than 0.2 s")
    before = len(list(Path(f"/proc/{served.process.pid}/task").iterdir()))
    for _ in range(5):
        since = len(served.log)
        served.signal(signal.SIGHUP)
        served.wait_for("the conf is read again", since)
    served.wait_for("the last call of mine has not come back")
    assert len(list(Path(f"/proc/{served.process.pid}/task").iterdir())) <= before + 2  # of asyncio's own
    (served.folder / "conf0").write_text(conf(bind, text.replace("threading.Event().wait()", "return '192.0.2.9'")))
    served.signal(signal.SIGHUP)
    served.wait_for("OK h.dyn.example A 192.0.2.9")


def test_a_reload_while_hooks_run_loses_nothing(serve: ServeFixture, bind: Bind) -> None:
    hook = "import time\ndef get_ip(source_ip, headers, key):\n    time.sleep(1)\n    return source_ip\n"
    served = serve(conf(bind, hook, clients={"k": "hookreload.dyn.example"}))
    with ThreadPoolExecutor(80) as pool:
        running = [pool.submit(served.update, "k") for _ in range(80)]
        time.sleep(0.5)  # they are in their hooks, and some wait for a thread
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("the conf is read again")
        assert {future.result() for future in running} <= {"OK", "UPTODATE"}


def test_a_reload_makes_no_quota_whole_again(serve: ServeFixture, bind: Bind) -> None:
    served = serve(conf(bind, clients={"k": "quotareload.dyn.example"}, max_changes=1))
    assert served.update("k") == "OK"
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("the conf is read again")
    assert served.update("k", "127.0.0.2") == "FAIL"


def test_two_instances_on_one_port(serve: ServeFixture, bind: Bind) -> None:
    port = free_port()
    text = conf(bind, clients={"k": "reuse.dyn.example"}, http=f"127.0.0.1:{port}", reuse_port=True)
    first, second = serve(text), serve(text)
    assert [first.update("k") for _ in range(20)] == ["OK"] + ["UPTODATE"] * 19
    first.stop()
    assert second.update("k") == "UPTODATE"


def test_a_conf_that_never_ends_its_reload_does_not_hold_up_the_end(
    serve: ServeFixture, bind: Bind, tmp_path: Path
) -> None:
    """The fixture wants it to end with 0, and soon."""
    marker = tmp_path / "again"
    served = serve(
        conf(
            bind,
            f"import os, time\nif os.path.exists({str(marker)!r}):\n    time.sleep(1000)\n",
            clients={"k": "slow.dyn.example"},
        )
    )
    marker.touch()
    served.process.send_signal(signal.SIGHUP)
    assert served.update("k") == "OK"
    start = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - start < 10
