"""The hooks of 0.10, and hooks that fail or hang."""

import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ServeFixture
from tests.doors.conftest import KEY, Ask
from tests.lab.bind import Bind
from tests.lab.conf import conf


def test_all_three_hooks(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        conf(
            bind,
            """
def get_ip(source_ip, headers, key):
    if "X-Real-IP" in headers:
        source_ip = headers["X-Real-IP"]
    return source_ip

def get_host(querystring, ip):
    return {"one": "hook1.dyn.example", "two": ["hook2.dyn.example", "hook3.dyn.example"],
            "obj": Client("hook4.dyn.example", ttl=7)}.get(querystring)

def nsupdatecommands(host, new_ip, headers):
    assert headers.get("x-none") is None
    return [f"update delete {host} A", f"update add {host} 99 A {new_ip}", "send"]
""",
        )
    )

    def via(key: str, address: str) -> str:
        return served.get("/" + key, headers={"x-real-ip": address}).text

    assert via("one", "192.0.2.1") == "OK"
    assert via("one", "192.0.2.1") == "UPTODATE"
    assert bind.lookup("hook1.dyn.example") == ["192.0.2.1"]
    assert bind.ttl("hook1.dyn.example") == 99
    bind.edit("zone dyn.example", "update delete hook1.dyn.example A")
    assert via("one", "192.0.2.1") == "OK"  # verified, not remembered
    assert via("two", "192.0.2.2") == "OK"
    assert bind.lookup("hook2.dyn.example") == bind.lookup("hook3.dyn.example") == ["192.0.2.2"]
    assert via("obj", "192.0.2.3") == "OK"
    assert via("none", "192.0.2.1") == "BADKEY"
    assert via("", "192.0.2.9") == "192.0.2.9"


def test_get_host_decides_alone_and_two_arguments_are_enough(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        conf(
            bind,
            """
CLIENTS = {"k": None, 7: object()}
def get_host(querystring, ip):
    return "alone.dyn.example" if querystring == "a%20b?c" and ip == "127.0.0.5" else None
def nsupdatecommands(host, new_ip):
    return (f"update delete {host} A", f"update add {host} 30 A {new_ip}", "send")
""",
        )
    )
    assert served.update("k") == "BADKEY"
    assert served.update("a%20b?c", "127.0.0.5") == "OK"
    assert bind.lookup("alone.dyn.example") == ["127.0.0.5"]


def test_lines_that_do_more_run_in_an_nsupdate_of_their_own(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        conf(
            bind,
            """
def nsupdatecommands(host, new_ip, headers):
    if host.startswith("bad"):
        return ["rubbish", "send"]
    return [f"update delete {host}", f"update add {host} 30 A {new_ip}", f'update add {host} 30 TXT "by script"', "send"]
""",
            clients={"k": "script.dyn.example", "bad": "bad.dyn.example", "refused": "refused.policy.example"},
        )
    )
    assert served.update("k", "127.0.0.1") == "OK"
    assert bind.lookup("script.dyn.example", "TXT") == ['"by script"']
    assert served.update("k", "127.0.0.1") == "UPTODATE"
    bind.edit("zone dyn.example", "update delete script.dyn.example")
    assert served.update("k", "127.0.0.1") == "UPTODATE"  # remembered: such lines cannot be asked about
    assert served.update("k", "127.0.0.2") == "OK"
    assert bind.lookup("script.dyn.example") == ["127.0.0.2"]
    assert served.update("bad") == "FAIL"
    served.wait_for("nsupdate said: ")
    assert served.update("refused") == "FAIL"


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("def get_ip(source_ip, headers, key):\n raise ValueError(key)", "get_ip raised ValueError"),
        ("def get_ip(source_ip, headers, key):\n return key", "get_ip returned something that is not an address"),
        ("def get_ip(source_ip, headers, key):\n return None", "get_ip returned"),
        ("def get_host(querystring, ip):\n return {}[querystring]", "get_host raised KeyError"),
        ("def get_host(querystring, ip):\n raise SystemExit(querystring)", "get_host raised SystemExit"),
        ("def get_host(querystring, ip):\n return querystring + '_.example'", "get_host returned a host name has"),
        ("def get_host(querystring, ip):\n return 7", "get_host returned not a host name"),
        ("def get_host():\n return 7", "get_host raised TypeError"),
        ("def nsupdatecommands(a, b, c):\n return {}[a]", "nsupdatecommands raised KeyError"),
        ("def nsupdatecommands(a, b, c):\n return None", "nsupdatecommands returned no list of lines"),
        ("def nsupdatecommands(a, b, c):\n return 'send'", "nsupdatecommands returned no list of lines"),
    ],
)
def test_a_hook_that_fails_is_a_failure_with_its_line(serve: ServeFixture, bind: Bind, hook: str, reason: str) -> None:
    served = serve(conf(bind, f"{hook}\n", clients={"verysecret": "hookfail.dyn.example"}))
    reply = served.get("/verysecret")
    assert (reply.status, reply.text) == (503 if "get_host" in hook else 500, "FAIL")
    line = served.wait_for(reason)
    assert "raised" not in reason or f"{served.folder}/conf0:" in line
    assert bind.lookup("hookfail.dyn.example") == []
    assert served.stop() == 0
    assert not [line for line in served.log if "verysecret" in line]


def test_a_hook_that_blocks_delays_its_own_request_only(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        conf(
            bind,
            """
import time
def get_ip(source_ip, headers, key):
    if key == "slow":
        time.sleep(1)
    return source_ip
""",
            clients={"slow": "slowhook.dyn.example", "fast": "fasthook.dyn.example"},
        )
    )
    answers: list[str] = []
    slow = [threading.Thread(target=lambda: answers.append(served.update("slow"))) for _ in range(20)]
    for thread in slow:
        thread.start()
    start = time.monotonic()
    assert served.update("fast") == "OK"
    assert not answers
    for thread in slow:
        thread.join()
    assert sorted(answers) == ["OK"] + ["UPTODATE"] * 19
    assert time.monotonic() - start < 10


def test_a_slow_hook_does_not_let_the_older_request_win(serve: ServeFixture, bind: Bind) -> None:
    served = serve(
        conf(
            bind,
            """
import threading
newer_is_done = threading.Event()
def get_ip(source_ip, headers, key):
    if key == "k" and "Old" in headers:
        newer_is_done.wait(8)
    if key == "done":
        newer_is_done.set()
    return source_ip
""",
            clients={"k": "overtaken.dyn.example"},
        )
    )
    old: list[int] = []
    thread = threading.Thread(target=lambda: old.append(served.get("/k", headers={"Old": "1"}).status))
    thread.start()
    time.sleep(0.3)  # it is in its hook
    assert served.update("k", "127.0.0.2") == "OK"
    served.update("done")
    thread.join()
    assert old == [503]
    served.wait_for("a newer request for the name was faster")
    assert bind.lookup("overtaken.dyn.example") == ["127.0.0.2"]


def test_a_hook_that_blocks_for_ever_fails_in_time_and_does_not_hold_up_the_end(
    serve: ServeFixture, bind: Bind
) -> None:
    hook = "import time\ndef get_ip(source_ip, headers, key):\n    time.sleep(60)\n"
    served = serve(conf(bind, hook, clients={"k": "x.dyn.example"}, timeout=1))
    assert served.get("/k").status == 500
    served.wait_for("get_ip took longer than 1 s")
    start = time.monotonic()
    assert served.stop() == 0
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("return next(iter(()))", "get_host raised StopIteration"),
        ("raise TimeoutError(querystring)", "get_host raised TimeoutError"),
        ("raise KeyboardInterrupt(querystring)", "get_host raised KeyboardInterrupt"),
    ],
)
def test_exceptions_that_mean_something_to_the_event_loop(
    serve: ServeFixture, bind: Bind, hook: str, reason: str
) -> None:
    served = serve(conf(bind, f"def get_host(querystring, ip):\n    {hook}\n"))
    assert served.get("/verysecret").status == 503
    served.wait_for(f"conf0:4: {reason}" if "conf0" in reason else reason)
    assert served.get("/").status == 200
    assert not [line for line in served.log if "verysecret" in line]


def test_lines_from_a_slow_generator_delay_nobody(serve: ServeFixture, bind: Bind) -> None:
    hook = (
        "import time\n"
        "def nsupdatecommands(host, ip, headers):\n    time.sleep(1)\n    yield f'update delete {host} A'\n"
        "    time.sleep(1)\n    yield f'update add {host} 30 A {ip}'\n    yield 'send'\n"
    )
    served = serve(conf(bind, hook, clients={"slow": "gen.dyn.example"}))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(served.update, "slow")
        start = time.monotonic()
        while not slow.done():
            assert served.get("/").text == "127.0.0.1"
            assert time.monotonic() - start < 20
        assert slow.result() == "OK"
    assert bind.lookup("gen.dyn.example") == ["127.0.0.1"]


def test_get_host_knows_the_part_before_the_query_and_passwords(ask: Ask, bind: Bind) -> None:
    get = ask('def get_host(querystring, ip):\n    return {KEY: "gh.dyn.example"}.get(querystring)\n')
    assert get(f"/{KEY}?myip=192.0.2.7").text == "OK"
    assert get("/nic/update?myip=192.0.2.7", KEY).text == "nochg 192.0.2.7"
    assert get("/update?myip=192.0.2.7", KEY).text == "UPTODATE"


def test_nsupdatecommands_gets_each_address(ask: Ask, bind: Bind) -> None:
    get = ask(
        "def nsupdatecommands(host, ip, headers):\n"
        "    kind = 'AAAA' if ':' in ip else 'A'\n"
        "    return [f'update delete {host} {kind}', f'update add {host} 44 {kind} {ip}', 'send']\n",
        clients={KEY: "cmds.dyn.example"},
    )
    assert get(f"/{KEY}?ip=192.0.2.7,192.0.2.8,2001:db8::7").text == "OK"
    assert bind.lookup("cmds.dyn.example") == ["192.0.2.7", "192.0.2.8"]
    assert bind.lookup("cmds.dyn.example", "AAAA") == ["2001:db8::7"]
    assert bind.ttl("cmds.dyn.example", "AAAA") == 44
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert bind.lookup("cmds.dyn.example") == []


def test_a_script_knows_of_a_removal(ask: Ask, bind: Bind) -> None:
    get = ask(
        "def nsupdatecommands(host, ip, headers):\n"
        "    return [f'update delete {host}', f'update add {host} 44 A {ip}', 'send']\n",
        clients={KEY: "scripted.dyn.example"},
    )
    assert [get(f"/{KEY}?ip=192.0.2.7").text for _ in range(2)] == ["OK", "UPTODATE"]
    assert get(f"/{KEY}?offline=YES").text == "OK"
    assert get(f"/{KEY}?ip=192.0.2.7").text == "OK"
    assert bind.lookup("scripted.dyn.example") == ["192.0.2.7"]


def test_hooks_that_hang_are_given_up_and_others_go_on(serve: ServeFixture, bind: Bind) -> None:
    hook = """
import threading
def get_host(querystring, ip):
    if querystring == "hang":
        threading.Event().wait()
    return "hang.dyn.example"
"""
    served = serve(conf(bind, hook, timeout=1))
    with ThreadPoolExecutor(70) as pool:
        assert list(pool.map(lambda _: served.update("hang"), range(70))) == ["FAIL"] * 70
    served.wait_for("get_host took longer than 1 s and is given up")
    assert served.update("good", "127.0.0.2") == "OK"


def test_beyond_a_hundred_hanging_calls_hooks_fail_at_once_and_the_rest_goes_on(
    serve: ServeFixture, bind: Bind
) -> None:
    hook = """
import threading
def nsupdatecommands(host, new_ip, headers):
    threading.Event().wait()
"""
    served = serve(conf(bind, hook, clients={"k": "endless.dyn.example"}, timeout=0.3))
    with ThreadPoolExecutor(50) as pool:
        callers = [f"127.0.{n}.9" for n in range(110)]  # of one, a part of the hundred may hang
        assert set(pool.map(lambda caller: served.update("k", caller), callers)) == {"FAIL"}
    start = time.monotonic()
    assert [served.update("k") for _ in range(10)] == ["FAIL"] * 10
    assert time.monotonic() - start < 3
    said = re.compile(r"nsupdatecommands is not called: 1\d\d calls of hooks hang")
    while not any(map(said.search, served.log)):
        assert served.update("k") == "FAIL"  # until the second is over in which so many lines were written
        assert time.monotonic() - start < 10
    assert served.get("/").text == "127.0.0.1"
    assert served.update("wrong") == "BADKEY"


def test_scripts_have_few_processes_at_once(serve: ServeFixture, own_bind: Bind) -> None:
    hook = """
def get_host(querystring, ip):
    return querystring + ".dyn.example"
def nsupdatecommands(host, new_ip, headers):
    return ["zone dyn.example", f"update add {host} 30 TXT {new_ip}", "send"]
"""
    served = serve(conf(own_bind, hook, timeout=5))
    own_bind.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(60) as pool:
            calls = [pool.submit(served.update, f"s{n}") for n in range(60)]
            most = 0
            while not all(call.done() for call in calls):
                most = max(most, len(served.children()))
            assert 0 < most <= 16 + 2  # two look beside, over UDP and TCP, whether the server is back
    finally:
        own_bind.signal(signal.SIGCONT)


def test_a_hook_that_takes_just_as_long_as_the_timeout_is_not_one_that_hangs(serve: ServeFixture, bind: Bind) -> None:
    hook = "import time\ndef get_host(querystring, ip):\n    time.sleep(0.2)\n    return 'edge.dyn.example'\n"
    served = serve(conf(bind, hook, timeout=0.2, max_changes=0))
    with ThreadPoolExecutor(25) as pool:
        list(pool.map(lambda _: served.update("k"), range(300)))
    assert not [line for line in served.log if "calls of hooks hang" in line]


def test_one_caller_does_not_take_all_places_of_hooks(serve: ServeFixture, bind: Bind) -> None:
    hook = "import time\ndef get_host(querystring, ip):\n    time.sleep(0.2)\n    return None if 'x' in querystring else 'shared.dyn.example'\n"
    served = serve(conf(bind, hook))
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            served.get("/update?token=x", source="127.0.0.9")

    with ThreadPoolExecutor(100) as pool:
        for _ in range(100):
            pool.submit(flood)
        try:
            time.sleep(1)  # until they wait for each other
            start = time.monotonic()
            assert served.get("/k", source="127.0.0.1").text == "OK"
            assert time.monotonic() - start < 1.5
        finally:
            over.set()


FLOOD = 200  # requests a second


def test_wrong_keys_of_one_address_make_nobody_fail_and_no_call_that_ends_is_one_that_hangs(
    serve: ServeFixture, bind: Bind
) -> None:
    hook = "import time\ndef get_ip(source_ip, headers, key):\n    time.sleep(2)\n    return source_ip\n"
    served = serve(conf(bind, hook, clients={"k": "steady.dyn.example"}, timeout=3))
    over = threading.Event()

    def flood(number: int) -> None:
        while not over.is_set():
            served.get("/wrong", source="127.0.0.9")

    with ThreadPoolExecutor(FLOOD) as pool:
        for number in range(FLOOD):
            pool.submit(flood, number)
            time.sleep(1 / FLOOD)
        try:
            end = time.monotonic() + 9
            while time.monotonic() < end:
                start = time.monotonic()
                assert served.get("/k", source="127.0.0.1").text in ("OK", "UPTODATE")
                assert time.monotonic() - start < 3
        finally:
            over.set()
    assert not [line for line in served.log if "calls of hooks hang" in line]
