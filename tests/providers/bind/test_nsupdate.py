"""The room of the processes."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sftdyn.providers.bind import nsupdate
from sftdyn.providers.bind.message import Word, verdict
from sftdyn.providers.bind.nsupdate import Child
from sftdyn.providers.bind.route import TCP_BURST, TCP_INTERVAL, Route
from sftdyn.providers.bind.sayings import diagnosis
from sftdyn.values.specs import Primary
from tests.lab.bind import Bind
from tests.lab.process import Sftdyn
from tests.providers.bind.conftest import update


def test_an_idle_child_is_woken_before_a_large_message(bind: Bind) -> None:
    large = "".join(f"prereq nxrrset idle{n}.dyn.example. TXT\n" for n in range(60))

    async def talk() -> list[Word]:
        child = Child(Route(Primary("127.0.0.1", bind.port, bind.keyfile)))
        verdicts = [verdict(await child.send("dyn.example.", large))]
        await asyncio.sleep(nsupdate.UDP_TIMEOUT + 0.5)
        verdicts.append(verdict(await child.send("dyn.example.", large)))
        await child.stop()
        return verdicts

    assert asyncio.run(talk()) == [Word.DONE] * 2


def test_large_messages_keep_their_distance(bind: Bind) -> None:
    large = "".join(f"prereq nxrrset far{n}.dyn.example. TXT\n" for n in range(30))

    async def talk() -> float:
        child = Child(Route(Primary("127.0.0.1", bind.port, bind.keyfile)))
        await child.send("dyn.example.", large)
        start = time.monotonic()
        for _ in range(300):
            await child.send("dyn.example.", large)
        await child.stop()
        return time.monotonic() - start

    assert asyncio.run(talk()) >= (300 * TCP_INTERVAL - TCP_BURST) * 0.95


def test_a_hung_child_is_ended(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsupdate, "STUCK", 0.5)

    async def talk() -> list[Word]:
        child = Child(Route(Primary("127.0.0.1", bind.port, bind.keyfile)))
        question = "prereq nxrrset hung.dyn.example. TXT\n"
        verdicts = [verdict(await child.send("dyn.example.", question))]
        assert child._process
        os.kill(child._process.pid, signal.SIGSTOP)
        verdicts.append(verdict(await child.send("dyn.example.", question)))
        verdicts.append(verdict(await child.send("dyn.example.", question)))
        await child.stop()
        return verdicts

    assert asyncio.run(talk()) == [Word.DONE, Word.UNKNOWN, Word.DONE]


@pytest.mark.parametrize(
    "text",
    [
        "s3cr3t\n",
        "sftdyn-demo:s3cr3t\n",
        'key "sftdyn-demo" { algorithm hmac-sha256; secret "s3cr3t: !"; };\n',
        'key "sftdyn-demo" { algorithm s3cr3t; secret "c2VjcmV0"; };\n',
        'key "sftdyn-demo" { secret "s3cr3t"; };\n',
        'key "sftdyn-demo" { algorithm hmac-sha256; secret s3cr3t\n',
        'key "sftdyn-demo" { algorithm hmac-sha256; secret "s3cr3t\ns3cr3t"; };\n',
    ],
)
def test_a_broken_key_file_is_said_to_be_one_and_not_quoted(bind: Bind, tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)

    async def talk() -> str:
        child = Child(Route(Primary("127.0.0.1", bind.port, tmp_path / "key")))
        transcript = await child.send("dyn.example.", "prereq nxrrset broken.dyn.example. TXT\n")
        await child.stop()
        return transcript

    transcript = asyncio.run(talk())
    assert verdict(transcript) is Word.BAD_KEY
    assert "key" in diagnosis(transcript)
    assert "s3cr3t" not in diagnosis(transcript)


def test_a_killed_child_is_replaced(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    served = proxied(bind, {"k": "child1.dyn.example"})
    for n in range(1, 6):
        assert update(served, "k", f"192.0.2.{n}") == "OK"
        for child in served.children():
            os.kill(child, signal.SIGKILL)
    assert len(served.children()) <= 1


def test_an_idle_child_takes_a_large_batch_at_once(proxied: Callable[..., Sftdyn], bind: Bind) -> None:
    names = [f"idle{n}.dyn.example" for n in range(60)]
    served = proxied(bind, {"k": names}, timeout=1)
    assert update(served, "k", "192.0.2.1") == "OK"
    time.sleep(2.5)  # nsupdate's timers go to sleep
    assert update(served, "k", "192.0.2.2") == "OK"
