"""Rules of the engine that chance seldom needs, each as the smallest scene that shows it."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from sftdyn.values.specs import Bind
from sftdyn.values.specs import Primary as PrimarySpec

from .ledger import Ledger
from .primary import Primary
from .stage import HOST as PRIMARY
from .stage import LAST, NEW, OLD, OTHER, ZONES, Stage, cloudflare, desec, host, perform, shown, txt
from .test_rows import HOST, MENDED, ONE, STRANGERS, TWO, given_up

API = cloudflare("one-token")
FINDING = Bind(PrimarySpec(PRIMARY, 53, None))  # zones are asked for
REFUSED = "no.a.example."


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def waiting(stage: Stage, spec: Any = ONE) -> "asyncio.Task[Any]":
    """A change of a zone that cannot be written now."""
    stage.primary.weather.set("a.example.", "frozen")
    asked = stage.begin(spec, host(HOST, NEW))
    await asyncio.sleep(1.0)
    return asked


def test_a_request_waits_for_a_look_that_is_under_way() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.planned += ["slow"]  # the mend
        stage.primary.deliver()
        await until(lambda: not stage.primary.planned)
        assert shown(stage, HOST) == (OTHER,)
        await stage.publish(TWO, host(HOST, OTHER))
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (OTHER,)

    perform(scene)


def test_what_somebody_wants_to_change_is_not_looked_at() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        stage.primary.slow_answers += 1
        assert await stage.publish(TWO, host(HOST, OTHER)) == ["UPTODATE"]  # a look was due meanwhile
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (OTHER,)

    perform(scene)


def test_over_a_reload_a_name_waits_for_what_its_old_place_has_under_way() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.planned += ["slow"]
        stage.primary.set((HOST, "A"), (STRANGERS,))
        first = stage.begin(ONE, host(HOST, OLD))
        await until(lambda: not stage.primary.planned)
        stage.conf(API)
        assert await stage.publish(API, host(HOST, NEW)) == ["OK"]
        assert shown(stage, HOST) == (OLD,)
        assert await first == ["OK"]

    perform(scene)


def test_what_is_right_is_seen_by_who_wrote_it_where_another_key_sees_another_view() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        view = stage.world.views["two.key"] = Primary(random.Random(3), ZONES, Ledger())
        view.set((HOST, "A"), (STRANGERS,))
        view.planned += ["never"]
        assert await stage.publish(TWO, host("other.a.example.", NEW)) == ["OK"]  # this one is looked at first
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        await asyncio.sleep(MENDED)
        stage.primary.deliver()
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_late_change_of_txt_values_at_desec_takes_away_no_other_value() -> None:
    async def scene(stage: Stage) -> None:
        spec, name, first, second = desec("one-token"), "_acme-challenge.a.example.", "1" * 43, "2" * 43
        stage.conf(spec)
        stage.desec.planned += ["withheld"]
        asked = stage.begin(spec, txt(name, first))
        await until(lambda: stage.desec.withheld)
        stage.desec.weather.set("", "dead")
        assert await asked == ["TIMEOUT"]
        stage.desec.weather.heal()
        assert await stage.publish(spec, txt(name, second)) == ["OK"]
        stage.desec.deliver()
        assert not stage.desec.value((name, "TXT", second))
        await asyncio.sleep(60)
        assert stage.desec.value((name, "TXT", second))

    perform(scene)


def test_several_late_records_beside_the_right_one_at_cloudflare_are_taken_away() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(API)
        for address in (OLD, OTHER):
            stage.api.planned += ["withheld"]
            asked = stage.begin(API, host(HOST, address))
            await until(lambda: not stage.api.planned)
            stage.api.weather.set("", "dead")
            assert await asked == ["TIMEOUT"]
            stage.api.weather.heal()
        assert await stage.publish(API, host(HOST, NEW)) == ["OK"]
        stage.api.deliver()
        assert shown(stage, HOST, online=True) == (OLD, OTHER, NEW)
        await asyncio.sleep(60)
        assert shown(stage, HOST, online=True) == (NEW,)

    perform(scene)


def test_what_lay_in_the_sockets_of_a_primary_that_wakes_up_undoes_no_ok() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.set((HOST, "A"), (OLD,))
        for turn in range(10):
            stage.primary.weather.set("", "asleep")
            first, second = stage.begin(ONE, host(HOST, OTHER)), stage.begin(ONE, host(HOST, OLD))
            await asyncio.sleep(2 + 0.02 * turn)  # just before the next try
            stage.primary.weather.heal()
            stage.primary.wake()
            assert (await first, await second) == (["OK"], ["OK"])
            await asyncio.sleep(0.25)
            assert shown(stage, HOST) == (OLD,)
            await asyncio.sleep(MENDED)

    perform(scene)


def test_what_waits_is_settled_after_a_reload_by_the_new_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        asked = await waiting(stage)
        stage.conf(TWO)
        stage.primary.weather.heal()
        assert await asked == ["OK"]

    perform(scene)


def test_what_was_under_way_and_failed_is_tried_again_after_a_reload_by_the_new_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.planned += ["never"]
        asked = stage.begin(ONE, host(HOST, NEW))
        await until(lambda: not stage.primary.planned)
        stage.conf(TWO)
        assert await asked == ["OK"]

    perform(scene)


def test_who_asks_for_what_was_just_sent_is_not_told_what_was_true_before() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.set((HOST, "A"), (OLD,))
        stage.primary.slow_answers += 10
        first = stage.begin(ONE, host(HOST, NEW))
        await until(lambda: shown(stage, HOST) == (NEW,))
        stage.primary.set((HOST, "A"), (STRANGERS,))
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        assert await first == ["OK"]
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_zone_that_cannot_be_written_is_not_asked_all_the_time() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        assert await (await waiting(stage)) == ["TIMEOUT"]
        assert stage.primary.messages < 60

    perform(scene)


def test_a_primary_that_is_away_is_not_called_all_the_time() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.weather.set("", "nobody")
        names = [f"h{number}.{zone}" for zone in ZONES for number in range(20)]
        asked = [stage.begin(ONE, host(name, NEW)) for name in names]
        assert await asyncio.gather(*asked) == [["TIMEOUT"]] * len(names)
        assert stage.primary.messages < 300

    perform(scene)


def test_a_zone_for_which_thousands_wait_leaves_turns_to_another() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        assert await stage.publish(ONE, host("h.a.example.", OLD), host("h.b.example.", OLD)) == ["OK", "OK"]
        busy = [stage.begin(ONE, host(f"h{number}.a.example.", NEW)) for number in range(2000)]
        assert await stage.publish(ONE, host("h.b.example.", NEW)) == ["OK"]
        assert sum(asked.done() for asked in busy) < 1000
        await asyncio.gather(*busy)

    perform(scene)


def test_a_name_that_is_refused_again_and_again_costs_its_neighbours_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.refused.add(REFUSED)
        names = [REFUSED, *(f"h{number}.a.example." for number in range(30))]
        messages = 0
        for turn in range(6):
            before = stage.primary.messages
            asked = [stage.begin(ONE, host(name, (OLD, NEW)[turn % 2])) for name in names]
            assert (await asyncio.gather(*asked))[1:] == [["OK"]] * 30
            messages = stage.primary.messages - before
        assert messages < 8

    perform(scene)


def test_a_zone_that_appears_above_a_name_is_found_within_the_request() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(FINDING)
        assert await stage.publish(FINDING, host("h.new.a.example.", OLD)) == ["OK"]
        stage.primary.add_zone("new.a.example.")
        await asyncio.sleep(1.0)
        assert await stage.publish(FINDING, host("h.new.a.example.", NEW)) == ["OK"]
        assert shown(stage, "h.new.a.example.") == (NEW,)

    perform(scene)


def test_of_a_batch_at_cloudflare_only_what_is_refused_fails() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(API)
        names = [f"h{number}.a.example." for number in range(4)]
        asked = [stage.begin(API, host(name, LAST)) for name in names]
        await until(lambda: stage.api.changes)
        stage.api.alias(names[1])  # after the list was read
        outcomes = await asyncio.gather(*asked)
        assert outcomes == [["OK"], ["UNPUBLISHABLE"], ["OK"], ["OK"]]

    perform(scene)


def test_silence_about_a_zone_is_not_taken_for_the_word_that_it_is_one() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(FINDING)
        stage.primary.deaf["h.a.example."] = 8  # questions of the finder, and of the scouts
        assert await stage.publish(FINDING, host(HOST, NEW)) == ["OK"]
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_each_name_of_which_a_primary_in_trouble_told_no_zone_is_asked_for_once_more() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(FINDING)
        stage.primary.weather.set("", "servfail")
        asked = stage.begin(FINDING, host(HOST, NEW), host("i.a.example.", NEW), host("h.b.example.", NEW))
        await asyncio.sleep(1.0)
        stage.primary.weather.heal()
        assert await asked == ["OK", "OK", "OK"]

    perform(scene)
