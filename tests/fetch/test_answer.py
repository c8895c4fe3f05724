"""What is read of a server's octets, however they come, and what they can cost."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sftdyn.fetch.answer import FRAMING, VALUES, Answer, AnswerParser, Failed, Obstacle, read_json
from sftdyn.fetch.stream import PIECE
from tests.watchdog import watching

LIMIT = 64
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# What answers are made of, so that random ones come far; and any octets.
words = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.0 204", b"HTTP/1.1 100 Continue", b"HTTP/1.1 ", b"Content-Length: 3",
        b"Content-Length: 99", b"content-length:", b"Transfer-Encoding: chunked", b"Connection: close", b"X: \t y \t",
        b"\r\n", b"\r\n\r\n", b"\n", b"\r", b":", b"3\r\nabc", b"0", b"0\r\n\r\n", b"1;x=y", b"abc", b" ", b"\0\xff",
    ]
)  # fmt: skip
octets = st.one_of(
    st.binary(max_size=200),
    st.lists(words, max_size=20).map(b"".join),
    st.lists(words, max_size=8).map(FINE[:-2].__add__(b"").join),
    st.lists(words, max_size=12).map(lambda parts: CHUNKED + b"\r\n".join(parts)),
)


def became(pieces: Iterable[bytes]) -> tuple[Answer | Obstacle | None, Answer | Obstacle]:
    """What was said when all octets were there, and then at the end of the connection."""
    parser = AnswerParser(LIMIT)
    answer: Answer | None = None
    try:
        for piece in pieces:
            answer = parser.feed(piece)
            if answer:
                return answer, answer
    except Failed as failed:
        return failed.trouble, failed.trouble
    try:
        ended = parser.end()
    except Failed as failed:
        return None, failed.trouble
    assert ended
    return None, ended


@given(octets, st.lists(st.integers(0, 200), max_size=5))
@example(CHUNKED + b"2\r\nhi\r\n0\r\nx: y\r\n\r\n", [3])
@example(FINE, [])
def test_the_same_is_read_however_the_octets_come(said: bytes, cuts: Sequence[int]) -> None:
    places = [0, *sorted(cuts), len(said)]
    pieces = [said[start:end] for start, end in pairwise(places)]
    whole = became([said])
    assert became(pieces) == whole
    assert became(bytes([octet]) for octet in said) == whole


@given(octets, octets)
@example(FINE, FINE)
def test_what_stands_behind_an_answer_changes_nothing_of_it(said: bytes, junk: bytes) -> None:
    at_once, at_end = became([said])
    if isinstance(at_once, Answer):
        assert became([said + junk]) == (at_once, at_end)


@pytest.mark.parametrize(("behind", "stays"), [(b"", True), (b"H", False)])
def test_a_connection_with_more_than_the_answer_is_not_kept(behind: bytes, stays: bool) -> None:
    parser = AnswerParser(LIMIT)
    assert parser.feed(FINE + behind)
    assert parser.stays is stays


HEAD = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "blanks in values": HEAD + b"".join(b"x%d: a%sb\r\n" % (n, b" " * 16_000) for n in range(90)) + b"\r\nhi",
    "blanks in front": HEAD + (b"x:" + b" \t" * 8_000 + b"\x0b\r\n") * 90 + b"\r\nhi",
    "one name": HEAD + (b"x: " + b"y" * 16_000 + b"\r\n") * 90 + b"\r\nhi",
    "no colon": HEAD + b"x" * 16_384,
    "line without end": b"H" * (4 << 20),
    "empty lines": b"\n" * (1 << 20),
    "status with blanks": b"HTTP/1.1 200" + b" " * 16_000 + b"\r\n\r\n",
    "interim": (b"HTTP/1.1 103 Early Hints\r\n" + b"x: y\r\n" * 98 + b"\r\n") * 9,
    "chunks of one octet": CHUNKED + b"1\nx\n" * (1 << 18) + b"0\r\n\r\n",
    "extensions": CHUNKED + (b"1;" + b"x" * 16_000 + b"\r\nx\r\n") * 100,
    "blank sizes": CHUNKED + b" " * 16_000 + b"1\r\n",
    "trailers": CHUNKED + b"0\r\n" + b"x: y\r\n" * 101,
    "large body": HEAD + b"\r\n" + b"x" * (4 << 20),
    "large chunk": CHUNKED + b"fffff\r\n" + b"x" * (4 << 20),
}


def read(said: bytes, size: int, limit: int = 1 << 20) -> None:
    """Feed it by pieces of this size, watched: a piece is what the event loop gives at once."""
    parser = AnswerParser(limit)
    with watching() as watch:
        try:
            for start in range(0, len(said), size):
                if watch.timed(said[start : start + 40], lambda: parser.feed(said[start : start + size])):
                    return
            watch.timed("end", parser.end)
        except Failed:
            pass


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_no_piece_of_an_answer_holds_up_others(said: bytes) -> None:
    read(said, PIECE)
    read(said[: 1 << 14], 1)


@pytest.mark.parametrize(
    "said",
    [
        HEAD + (b"x: " + b"y" * 16_000 + b"\r\n") * (FRAMING // 16_000 + 1) + b"\r\n",
        CHUNKED + b"1\r\nx\r\n" * (FRAMING // 5) + b"0\r\n\r\n",
        CHUNKED + (b"1;" + b"x" * 16_000 + b"\r\nx\r\n") * (FRAMING // 16_000 + 1) + b"0\r\n\r\n",
    ],
    ids=["headers", "chunks", "extensions"],
)
def test_what_is_no_body_has_a_bound_for_all_of_it(said: bytes) -> None:
    with pytest.raises(Failed, match="is not HTTP"):
        AnswerParser(1 << 20).feed(said)


MANY = 1 << 21  # octets of a body
HOSTILE_JSON = {
    "lists": b"[" + b"[]," * (VALUES // 2 - 2) + b"[]]",
    "too many lists": b"[" + b"[]," * (MANY // 3) + b"[]]",
    "objects": b"[" + b'{"%s":1},' % (b"x" * 190) * (VALUES // 2 - 2) + b"{}]",
    "keys": b"{" + b",".join(b'"%098x":1' % number for number in range(VALUES - 2)) + b"}",
    "deep": b"[" * VALUES,
    "rather deep": b"[" + (b"[" * 900 + b"]" * 900 + b",") * (VALUES // 901 - 1) + b"1]",
    "long integers": b"[" + (b"1" * 4300 + b",") * (MANY // 4301) + b"1]",
    "one integer": b"1" * MANY,
    "floats": b"[" + b"1e-300," * (VALUES - 2) + b"1]",
    "escapes": b'"' + b"\\u0041" * (MANY // 6) + b'"',
    "other octets": b"\xff\xfe" + b"[\0" * VALUES,
}


@pytest.mark.parametrize("said", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_no_json_holds_up_others(said: bytes) -> None:
    with watching() as watch:
        try:
            watch.timed(said[:40], lambda: read_json(said))
        except ValueError:
            pass


def test_json_is_read_as_it_was_written() -> None:
    value = {
        "result": [{"id": "a", "n": -(1 << 63), "x": 1.5, "y": [True, None], "z": {"ü": "€"}}] * 100,
        "success": True,
    }
    assert read_json(json.dumps(value).encode()) == value


@given(st.binary())
@example(b"[" * 10_000)
@example(b"1" * 5000)
def test_what_is_no_json_is_said_to_be_none(said: bytes) -> None:
    try:
        read_json(said)
    except ValueError:
        pass
