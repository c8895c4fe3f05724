"""The name server goes away, hangs, is full, or has another key."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.bind import ALL, Bind
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import in_background, update


def test_the_name_server_is_killed_and_started_while_a_request_waits(
    proxied: Callable[..., Sftdyn], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example", "new": "new.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.kill()
    with (
        in_background(lambda: update(served, "k", "192.0.2.2")) as known,
        in_background(lambda: update(served, "new", "192.0.2.2")) as new,
    ):
        time.sleep(0.5)  # it is away for a while
        own_bind.start()
    assert (known, new) == (["OK"], ["OK"])
    assert own_bind.lookup("home.dyn.example") == own_bind.lookup("new.dyn.example") == ["192.0.2.2"]


def test_an_ok_survives_that_the_name_server_is_killed_right_after(
    proxied: Callable[..., Sftdyn], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    for n in range(1, 4):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        own_bind.kill()
        own_bind.start()
        assert own_bind.lookup("home.dyn.example") == [f"192.0.2.{n}"]


def test_the_name_server_is_down_at_the_start(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    own_bind.kill()
    served = proxied(own_bind, {"k": "home.dyn.example"}, timeout=1)
    reply = served.get("/k", headers={"X-Forwarded-For": "192.0.2.1"})
    assert (reply.status, reply.text) == (500, "FAIL")
    served.wait_for("not within 1 s: ")
    served.wait_for("connection refused")
    own_bind.start()
    deadline = time.monotonic() + 20
    while update(served, "k", "192.0.2.7") == "FAIL":  # for a moment it answers SERVFAIL
        assert time.monotonic() < deadline
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.7"]


def test_a_hung_name_server_delays_and_loses_nothing(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.signal(signal.SIGSTOP)
    with in_background(lambda: update(served, "k", "192.0.2.2")) as answers:
        time.sleep(3)  # longer than one try
        own_bind.signal(signal.SIGCONT)
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]


def test_the_wrong_key_is_put_right_without_a_restart(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"}, timeout=2)
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.stop()
    right = own_bind.keyfile.read_text()
    own_bind.write_key()
    wrong = own_bind.keyfile.read_text()
    own_bind.keyfile.write_text(right)
    own_bind.start()
    own_bind.keyfile.write_text(wrong)
    assert update(served, "k", "192.0.2.2") == "OK"  # the child has read the right key long ago
    for child in served.children():
        os.kill(child, signal.SIGKILL)
    assert update(served, "k", "192.0.2.3") == "FAIL"
    served.wait_for("another secret for the key (BADSIG)")
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.2"]
    own_bind.keyfile.write_text(right)
    # Another one: the try that was on its way when the time was up may have got the right key, and published 192.0.2.3.
    assert update(served, "k", "192.0.2.4") == "OK"
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.4"]


def test_a_restarted_name_server_with_another_key_is_served_at_once(
    proxied: Callable[..., Sftdyn], own_bind: Bind
) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    assert update(served, "k", "192.0.2.1") == "OK"
    own_bind.stop()
    own_bind.write_key()
    own_bind.start()
    assert update(served, "k", "192.0.2.2") == "OK"


def test_a_full_disk_under_the_journal(proxied: Callable[..., Sftdyn], tmp_path: Path) -> None:
    """The journal is on a small tmpfs, which only this name server sees."""
    journals = tmp_path / "journals"
    journals.mkdir()
    mount = f'mount -t tmpfs -o size=64k tmpfs {journals} && exec "$@"'
    user = () if os.getuid() == 0 else ("--map-root-user",)
    zone = f'journal "{journals}/journal"; {ALL}'
    bind = Bind(tmp_path, {"dyn.example": zone}, command=("unshare", "--mount", *user, "sh", "-c", mount, "sh"))
    bind.start()
    try:
        served = proxied(bind, {"k": "home.dyn.example"}, timeout=2, max_changes=0)
        assert update(served, "k", "192.0.2.1") == "OK"
        filler = Path(f"/proc/{bind.pid}/root{journals}/filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as full:
            while True:
                full.write(b"x" * 100)
        last = next(n for n in range(1, 200) if update(served, "k", f"192.0.2.{n + 1}") == "FAIL")
        served.wait_for("SERVFAIL")
        assert bind.lookup("home.dyn.example") == [f"192.0.2.{last}"]
        assert update(served, "k", f"192.0.2.{last}") == "UPTODATE"
        filler.unlink()
        assert update(served, "k", "192.0.2.99") == "OK"
        assert bind.lookup("home.dyn.example") == ["192.0.2.99"]
    finally:
        bind.kill()


def test_sigterm_finishes_what_is_in_flight(proxied: Callable[..., Sftdyn], own_bind: Bind) -> None:
    served = proxied(own_bind, {"k": "home.dyn.example"})
    own_bind.kill()
    with in_background(lambda: update(served, "k", "192.0.2.7")) as answers:
        time.sleep(0.5)  # the request is in flight
        served.process.send_signal(signal.SIGTERM)
        own_bind.start()
        assert served.process.wait(20) == 0
    assert answers == ["OK"]
    assert own_bind.lookup("home.dyn.example") == ["192.0.2.7"]
