"""What once went wrong in the engines, each as the smallest scene that shows it, in virtual time."""

import asyncio
import itertools

from .stage import LAST, NEW, OLD, OTHER, ZONES, Stage, by, cloudflare, desec, host, lines, perform, shown, txt

HOST = "h.a.example."
STRANGERS = "203.0.113.9"
ONE, TWO = by("one.key"), by("two.key")
MENDED = 5.0  # seconds within which a late write is undone at a primary


async def given_up(stage: Stage, spec: object = ONE, address: str = OTHER) -> None:
    """A change was sent and not answered, and its client has been told so; the primary answers again."""
    stage.primary.set((HOST, "A"), (STRANGERS,))
    stage.primary.planned += ["withheld"]
    asked = stage.begin(spec, host(HOST, address))
    while not stage.primary.withheld:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.01)
    stage.primary.weather.set("", "nobody")
    assert await asked == ["TIMEOUT"]
    stage.primary.weather.heal()


def test_a_mend_without_an_answer_is_tried_again() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.planned += ["never"]  # the mend
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        await asyncio.sleep(30)
        assert not stage.primary.planned, "there was a mend"
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_late_mend_is_a_late_write_too() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.planned += ["withheld"]  # the mend
        stage.primary.deliver()
        while not stage.primary.withheld:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
        assert await stage.publish(ONE, host(HOST, OTHER)) == ["UPTODATE"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (NEW,)
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (OTHER,)

    perform(scene)


def test_nothing_is_mended_while_a_newer_request_waits_for_its_next_try() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, OLD)) == ["OK"]
        stage.primary.planned += ["at once"]  # it is done, and the answer is lost
        stage.primary.withholds = OLD  # a mend would come late
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        assert shown(stage, HOST) == (NEW,)
        stage.primary.withholds = ""
        stage.primary.deliver()
        await asyncio.sleep(60)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_scripts_and_record_sets_are_written_in_the_order_of_their_arrival() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        first = stage.begin(ONE, lines(HOST, OLD))
        second = stage.begin(ONE, host(HOST, NEW))
        assert (await first, await second) == (["OK"], ["OK"])
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_script_waits_for_a_record_set_that_came_before_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.planned += ["slow"]
        stage.primary.set((HOST, "A"), (STRANGERS,))
        first = stage.begin(ONE, host(HOST, OLD))
        second = stage.begin(ONE, lines(HOST, NEW))
        assert (await first, await second) == (["OK"], ["OK"])
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_what_a_script_wrote_is_not_taken_for_a_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        assert await stage.publish(ONE, lines(HOST, OTHER)) == ["OK"]
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (OTHER,)

    perform(scene)


def test_a_reload_to_another_key_forgets_no_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        stage.conf(TWO)
        assert await stage.publish(TWO, host(HOST, NEW)) == ["OK"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_conf_that_leaves_a_server_and_comes_back_forgets_no_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        stage.conf(cloudflare("one-token"))
        await asyncio.sleep(15)  # what was under way there has come to its end
        stage.conf(TWO)
        assert await stage.publish(TWO, host(HOST, NEW)) == ["OK"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_late_writes_of_one_way_to_a_server_are_mended_to_what_another_way_wrote() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        await given_up(stage, ONE)
        assert await stage.publish(TWO, host(HOST, NEW)) == ["OK"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_what_another_way_to_a_server_wrote_is_not_taken_for_a_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        await given_up(stage, ONE)
        assert await stage.publish(ONE, host(HOST, OLD)) == ["OK"]
        assert await stage.publish(TWO, host(HOST, OTHER)) == ["OK"]
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (OTHER,)

    perform(scene)


def test_a_reload_that_adds_another_way_to_a_server_forgets_no_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage, ONE)
        stage.conf(TWO, ONE)
        assert await stage.publish(TWO, host(HOST, NEW)) == ["OK"]
        stage.conf(TWO)
        stage.primary.deliver()
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_what_a_question_confirmed_is_mended() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, STRANGERS), ask_only=True) == ["UPTODATE"]
        stage.primary.deliver()
        assert shown(stage, HOST) == (OTHER,)
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (STRANGERS,)

    perform(scene)


def test_another_way_to_a_server_waits_for_what_is_still_under_way_of_a_request_that_was_given_up() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE, TWO)
        stage.primary.set((HOST, "A"), (STRANGERS,))
        stage.primary.weather.set("a.example.", "frozen")
        first = stage.begin(ONE, host(HOST, OLD))
        await asyncio.sleep(8.6)
        stage.primary.planned += ["slow"]
        stage.primary.weather.heal()
        assert await first == ["TIMEOUT"]
        assert shown(stage, HOST) == (STRANGERS,), "it is still under way"
        assert await stage.publish(TWO, host(HOST, NEW)) == ["OK"]
        await asyncio.sleep(MENDED)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_each_name_of_several_zones_has_its_own_result() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        stage.primary.refused.add("no.b.example.")
        update = [host(HOST, NEW), host("no.b.example.", NEW), host("home.nowhere.test.", NEW)]
        assert await stage.publish(ONE, *update) == ["OK", "REFUSED", "NOZONE"]
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_late_writes_at_cloudflare_are_mended_to_what_another_token_wrote() -> None:
    async def scene(stage: Stage) -> None:
        spec = cloudflare(None)
        stage.conf(spec)
        stage.api.set((HOST, "A"), (OLD,))
        stage.api.planned += ["withheld"]
        asked = stage.begin(spec, host(HOST, OTHER), secret="one-token")
        while not stage.api.withheld:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)
        stage.api.weather.set("", "dead")
        assert await asked == ["TIMEOUT"]
        stage.api.weather.heal()
        assert await stage.publish(spec, host(HOST, NEW), secret="other-token") == ["OK"]
        stage.api.deliver()
        assert shown(stage, HOST, online=True) == (OTHER,)
        for _ in range(20):
            await asyncio.sleep(3)
            await stage.publish(spec, host("other.a.example.", NEW), secret="other-token")
        assert shown(stage, HOST, online=True) == (NEW,)

    perform(scene)


def test_a_zone_that_was_in_trouble_recovers_at_cloudflare_while_others_work() -> None:
    async def scene(stage: Stage) -> None:
        spec = cloudflare("one-token")
        stage.conf(spec)
        busy, ill = ZONES
        stage.api.weather.set(ill, "500")

        async def neighbour(number: int) -> None:
            for turn in itertools.count():
                await stage.publish(spec, host(f"n{number}.{busy}", f"192.0.2.{turn % 9 + 1}"))
                await asyncio.sleep(0.1)

        neighbours = [asyncio.ensure_future(neighbour(number)) for number in range(4)]
        await stage.publish(spec, host(f"h.{ill}", NEW))
        await asyncio.sleep(120)
        stage.api.weather.heal()
        outcomes = [await stage.publish(spec, host(f"h.{ill}", LAST)) for _ in range(10)]
        for neighbouring in neighbours:
            neighbouring.cancel()
        assert outcomes[-1] in (["OK"], ["UPTODATE"])

    perform(scene)


def test_a_look_after_late_writes_during_a_reload_blocks_no_name() -> None:
    async def scene(stage: Stage) -> None:
        api = cloudflare("one-token")
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.weather.set("", "silent")
        await asyncio.sleep(2.5)  # a look is under way
        stage.conf(ONE, api)
        stage.conf(api)
        stage.primary.weather.heal()
        await asyncio.sleep(30)
        assert await stage.publish(api, host(HOST, LAST)) == ["OK"]

    perform(scene)


def test_two_tokens_that_write_txt_values_of_one_name_at_the_same_instant_keep_both() -> None:
    async def scene(stage: Stage) -> None:
        one, two = desec("one-token"), desec("other-token")
        stage.conf(one, two)
        for turn in range(20):
            keys = [(f"h{turn}.a.example.", "TXT", f"{number:043}") for number in range(4)]
            asked = [stage.begin((one, two)[n % 2], txt(key[0], key[2])) for n, key in enumerate(keys)]
            assert await asyncio.gather(*asked) == [["OK"]] * len(keys)
            assert [stage.desec.value(key) for key in keys] == [(value,) for _, _, value in keys]

    perform(scene)


def test_what_was_asked_and_answered_too_late_is_no_reason_to_leave_a_late_write() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        await given_up(stage)
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        stage.primary.weather.set("a.example.", "frozen")
        asked = stage.begin(ONE, host(HOST, OTHER), ask_only=True)
        await asyncio.sleep(8.6)
        stage.primary.deliver()
        stage.primary.weather.heal()
        stage.primary.slow_answers += 5
        assert await asked == ["TIMEOUT"]
        await asyncio.sleep(20)
        assert shown(stage, HOST) == (NEW,)

    perform(scene)


def test_a_late_write_is_mended_where_a_reload_has_put_the_tokens_of_requests_in_the_place_of_the_confs() -> None:
    async def scene(stage: Stage) -> None:
        spec = cloudflare("one-token")
        stage.conf(spec)
        stage.api.set((HOST, "A"), (OLD,))
        stage.api.planned += ["withheld"]
        asked = stage.begin(spec, host(HOST, OTHER))
        while not stage.api.withheld:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)
        stage.api.weather.set("", "dead")
        assert await asked == ["TIMEOUT"]
        stage.api.weather.heal()
        assert await stage.publish(spec, host(HOST, NEW)) == ["OK"]
        stage.conf(cloudflare(None), cloudflare("other-token"))
        stage.api.deliver()
        assert shown(stage, HOST, online=True) == (OTHER,)
        await asyncio.sleep(60)
        assert shown(stage, HOST, online=True) == (NEW,)

    perform(scene)


def test_what_is_under_way_is_not_said_to_have_failed_as_a_reload_takes_its_token_away() -> None:
    async def scene(stage: Stage) -> None:
        spec = cloudflare("one-token")
        stage.conf(spec)
        asked = stage.begin(spec, host(HOST, NEW))
        while not stage.api.changes:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.001)
        stage.conf(cloudflare(None))
        assert await asked == ["OK"]
        assert shown(stage, HOST, online=True) == (NEW,)

    perform(scene)


def test_what_a_script_did_is_forgotten_as_a_record_set_takes_its_place() -> None:
    async def scene(stage: Stage) -> None:
        stage.conf(ONE)
        assert await stage.publish(ONE, lines(HOST, OLD)) == ["OK"]
        assert await stage.publish(ONE, host(HOST, NEW)) == ["OK"]
        assert await stage.publish(ONE, lines(HOST, OLD)) == ["OK"]
        assert shown(stage, HOST) == (OLD,)

    perform(scene)
