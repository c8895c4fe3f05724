"""Certificates by the same key, against who means harm with a key: floods, and requests of every kind that want more."""

import asyncio
import json
import time
from collections import Counter

import pytest

from tests.conftest import KEY, ServeFixture
from tests.doors.test_certificates import ONE, OTHER, RAW, basic, certified, post, present, values
from tests.lab.bind import Bind
from tests.lab.conf import conf
from tests.lab.process import Sftdyn

__all__ = ["certified"]  # the fixture

HOME, FIRST = "home.acme.dyn.example", "one.acme.dyn.example"
PRESENTS = 10_000
AT_ONCE = 32
NEIGHBOUR = "e" * 32


async def answered(served: Sftdyn, octets: bytes) -> int:
    """The status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port())
    try:
        writer.write(octets)
        return int((await reader.read()).split(b" ", 2)[1])
    finally:
        writer.close()


def presenting(name: str, value: str) -> bytes:
    body = json.dumps({"fqdn": f"_acme-challenge.{name}.", "value": value})
    head = f"POST /present HTTP/1.1\r\n{basic(KEY)}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


@pytest.mark.extra
def test_ten_thousand_presents_harm_nobody(serve: ServeFixture, bind: Bind) -> None:
    """Half of them one after the other at each of seven names, half of them for names that are nobody's."""
    names = [f"f{n}.acme.dyn.example" for n in range(7)]
    more = f'acme["{KEY}"] = {names}\nclients["{NEIGHBOUR}"] = "neighbour.dyn.example"\n'
    served = serve(conf(bind, more, max_changes=0))
    warm = [presenting("stranger.dyn.example", ONE)] * 200
    statuses: Counter[int] = Counter()
    waited: list[float] = []

    async def flood(requests: list[bytes]) -> None:
        while requests:
            statuses[await answered(served, requests.pop())] += 1

    async def neighbour(done: asyncio.Event) -> None:
        number = 0
        while not done.is_set():
            number, began = number + 1, time.perf_counter()
            target = f"GET /{NEIGHBOUR}?myip=192.0.2.{number % 200} HTTP/1.1\r\nConnection: close\r\n\r\n"
            assert await answered(served, target.encode()) == 200
            waited.append(time.perf_counter() - began)

    async def all_of_it(requests: list[bytes]) -> None:
        done = asyncio.Event()
        beside = asyncio.create_task(neighbour(done))
        await asyncio.gather(*(flood(requests) for _ in range(AT_ONCE)))
        done.set()
        await beside

    asyncio.run(all_of_it(warm))
    statuses.clear()
    before = served.resident()
    known = [presenting(names[n % 7], f"{n:043d}") for n in range(PRESENTS // 2)]
    nobodys = [presenting("stranger.dyn.example", f"{n:043d}") for n in range(PRESENTS // 2)]
    asyncio.run(all_of_it([one for pair in zip(known, nobodys, strict=True) for one in pair]))
    print(statuses, f"neighbour p99 {sorted(waited)[-1 - len(waited) // 100]:.3f} s of {len(waited)}")
    assert set(statuses) == {200, 403, 503}
    assert statuses[403] == PRESENTS // 2
    assert 100 <= statuses[200] <= 105  # an hour's, and what comes back while this lasts
    assert sum(len(values(bind, name)) for name in names) == statuses[200]
    assert served.resident() - before < 10_000  # KiB
    assert sorted(waited)[-1 - len(waited) // 100] < 1.0  # seconds; of a machine that does all of this at once
    assert served.stop() == 0
    assert [value for name in names for value in values(bind, name)] == []


def test_no_request_about_certificates_moves_an_address(certified: Sftdyn, bind: Bind) -> None:
    bind.edit("zone dyn.example", *(f"update add {name} 60 A 192.0.2.1" for name in (HOME, FIRST)))
    told = {"fqdn": f"_acme-challenge.{HOME}.", "value": ONE}
    fields = {"myip": "192.0.2.9", "ip": "192.0.2.9", "type": "A", "name": HOME, "hostname": HOME}
    for path in ("/present", "/cleanup"):
        assert post(certified, f"{path}?myip=192.0.2.9&hostname={HOME}", {**told, **fields}, basic(KEY))[0] == 200
        assert post(certified, path, {"domain": HOME, "token": "t", "keyAuth": RAW, **fields}, basic(KEY))[0] == 200
    asked = {"subdomain": "one", "txt": ONE, **fields}
    assert post(certified, "/update?myip=192.0.2.9", asked, f"X-Api-Key: {OTHER}")[0] == 200
    for target in (f"/{KEY}?txt={ONE}&myip=192.0.2.9", f"/{KEY}?txt={ONE}&offline=YES", f"/{KEY}?txt=x&ip=192.0.2.9"):
        certified.get(target)
        certified.get(f"{target}&clear=true")
    for key in (OTHER, "wrong"):
        present(certified, HOME, key=key)
    assert [bind.lookup(name) for name in (HOME, FIRST)] == [["192.0.2.1"]] * 2


def test_a_name_of_another_key_is_nobodys_for_this_one(certified: Sftdyn, bind: Bind) -> None:
    """Whatever is there: also a value that the other key has added."""
    assert present(certified, HOME, ONE)[0] == 200
    for name in (HOME, HOME.upper(), f"{HOME}.", f"*.{HOME}", f"{HOME}\\000", HOME.replace("o", "ｏ", 1)):
        for path in ("/present", "/cleanup"):
            assert present(certified, name, ONE, OTHER, path)[0] == 403
    assert values(bind, HOME) == [f'"{ONE}"']


@pytest.mark.parametrize("length", [0, 1, 42, 44, 255, 256, 3000])
@pytest.mark.parametrize("path", ["/present", "/cleanup"])
def test_a_value_of_another_length_is_none(certified: Sftdyn, bind: Bind, length: int, path: str) -> None:
    before = bind.serial("dyn.example")
    assert present(certified, HOME, "a" * length, path=path)[0] == 400
    assert bind.serial("dyn.example") == before


@pytest.mark.parametrize(
    "body",
    [
        '{"fqdn": "_acme-challenge.' + HOME + '.", "value": "' + ONE + '", "more": ' + "[" * 1500 + "]" * 1500 + "}",
        '{"fqdn": ' + '{"a": ' * 500 + "1" + "}" * 500 + ', "value": "' + ONE + '"}',
        '{"value": ' + "-" + "9" * 4000 + "}",
        '{"value": 1e999, "fqdn": NaN}',
        "{" + '"a": 1, ' * 500 + '"a": 1}',
        "\x00" * 4096,
        '"' + "\\u0000" * 600 + '"',
    ],
)
def test_deep_or_huge_json_is_answered_at_once(certified: Sftdyn, body: str) -> None:
    """4 KiB at most; the deep but harmless one may count, if Python can read it."""
    began = time.perf_counter()
    status, _ = post(certified, "/present", body, basic(KEY))
    assert status in (400, 403) or (status == 200 and "more" in body)
    assert time.perf_counter() - began < 2
    assert present(certified, HOME)[0] == 200


@pytest.mark.parametrize("octets", ["[" * 5_000_000, "9" * 5_000_000], ids=["deep", "huge"])
def test_what_is_larger_is_not_read(certified: Sftdyn, octets: str) -> None:
    """The answer comes before it; a client that goes on sending may find the connection closed."""
    try:
        assert post(certified, "/present", octets, basic(KEY))[0] == 413
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert present(certified, HOME)[0] == 200
