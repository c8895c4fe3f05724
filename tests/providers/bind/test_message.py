"""What is said to nsupdate, and what its answers mean."""

import pytest

from sftdyn.providers.bind.message import RCODES, Word, change, octets, question, verdict
from sftdyn.providers.bind.sayings import diagnosis
from sftdyn.values.update import RRset
from tests.providers.bind.conftest import HOME


def test_a_question_changes_nothing() -> None:
    gone = RRset("gone.dyn.example.", "AAAA", (), 30)
    text = question([HOME, gone], {HOME.key: ("192.0.2.6",), gone.key: ()})
    assert text == "prereq yxrrset home.dyn.example. A 192.0.2.6\nprereq nxrrset gone.dyn.example. AAAA\n"


def test_a_change_is_guarded_by_what_is_believed() -> None:
    assert change([HOME], {HOME.key: ("192.0.2.6",)}, "dyn.example.").splitlines() == [
        "prereq nxrrset home.dyn.example. NS",
        "prereq nxrrset dyn.example. DNAME",
        "prereq yxrrset home.dyn.example. A 192.0.2.6",
        "update delete home.dyn.example. A",
        "update add home.dyn.example. 30 A 192.0.2.7",
    ]


def test_what_is_right_already_is_only_asked_about() -> None:
    assert "update" not in change([HOME], {HOME.key: HOME.addresses}, "dyn.example.")


def test_where_nothing_is_known_a_cname_is_looked_for() -> None:
    assert "prereq nxrrset home.dyn.example. CNAME\n" in change([HOME], {HOME.key: None}, "dyn.example.")
    assert "prereq nxrrset home.dyn.example. CNAME\n" in change([HOME], {HOME.key: ()}, "dyn.example.")


def test_the_apex_of_a_zone_may_have_its_ns_records() -> None:
    apex = RRset("dyn.example.", "A", ("192.0.2.7",), 30)
    assert " NS" not in change([apex], {apex.key: None}, "dyn.example.")


ANSWER = "Answer:\n;; ->>HEADER<<- opcode: UPDATE, status: {}, id:  1\n;; flags: qr;\n"


@pytest.mark.parametrize("rcode", RCODES)
def test_rcodes(rcode: str) -> None:
    complaint = "" if rcode == "NOERROR" else f"update failed: {rcode}\n"
    assert verdict(complaint + ANSWER.format(rcode)) is RCODES[rcode]


@pytest.mark.parametrize(
    ("transcript", "meaning"),
    [
        ("", Word.UNKNOWN),
        (ANSWER.format("BADCOOKIE"), Word.AWAY),
        ("; TSIG error with server: tsig verify failure\n" + ANSWER.format("NOERROR"), Word.BAD_KEY),
        ("; TSIG error with server: tsig indicates error\nupdate failed: NOTAUTH(BADKEY)\n", Word.BAD_KEY),
        ("; TSIG error with server: expected a TSIG or SIG(0)\nupdate failed: REFUSED\n", Word.BAD_KEY),
        ("; TSIG error with server: expected a TSIG or SIG(0)\nupdate failed: NOTAUTH\n", Word.NOT_ITS_ZONE),
        ("; TSIG error with server: tsig verify failure\nupdate failed: NOTAUTH\n", Word.BAD_KEY),
        ("could not read key from a.key: file not found\n" + ANSWER.format("NOERROR"), Word.BAD_KEY),
        (
            "could not create key from hmac-sha256:a:x: bad base64 encoding\n" + ANSWER.format("REFUSED"),
            Word.BAD_KEY,
        ),
        ("; Communication with 127.0.0.1#53 failed: connection refused\n", Word.NOBODY),
        ("; Communication with ::1#53 failed: network unreachable\n", Word.NOBODY),
        ("; Communication with 127.0.0.1#53 failed: timed out\n", Word.UNKNOWN),
        ("; Communication with 127.0.0.1#53 failed: operation canceled\n", Word.NOBODY),
    ],
)
def test_transcripts(transcript: str, meaning: Word) -> None:
    assert verdict(transcript) is meaning


def test_a_diagnosis_is_one_line() -> None:
    said = "; Communication with 127.0.0.1#53 failed: timed out\nupdate failed: SERVFAIL\n" + ANSWER.format("SERVFAIL")
    assert diagnosis(said).startswith("no answer from 127.0.0.1#53 (timed out)")
    assert diagnosis(ANSWER.format("NOERROR")) == ""


@pytest.mark.parametrize(
    "said",
    [
        "01-Dec-2026 03:00:00.000 own.key:1: unknown option 's3cr3t'\n",
        "could not create key from hmac-sha256:a:s3cr3t\nupdate failed: s3cr3t\n",
        "; Communication with s3cr3t failed: connection refused\n",
        "s3cr3t\n; TSIG error with server: s3cr3t\n",
        "update failed: s3cr3t\n",
        "unknown key type s3cr3t\ns3cr3t\n",
        "\ncould not start nsupdate: s3cr3t\n",
    ],
)
def test_nothing_that_nsupdate_says_gets_into_the_log_as_it_is(said: str) -> None:
    for transcript in (said, said + ANSWER.format("REFUSED")):
        assert diagnosis(transcript)
        assert "s3cr3t" not in diagnosis(transcript)


def test_of_what_is_unknown_the_log_says_how_to_see_it() -> None:
    assert "may hold a secret; run it by hand: nsupdate -d" in diagnosis("something new\n")


def test_the_size_of_a_message_is_never_guessed_too_small() -> None:
    """A header, the zone, two records a name of which one has an address, and a signature of hmac-sha256."""
    lines = [f"update delete h{n:02}.a.example. A\nupdate add h{n:02}.a.example. 30 A 192.0.2.7\n" for n in range(20)]
    for count in (1, 5, 20):
        least = 12 + 15 + count * (4 + 2 + 10 + 2 + 10 + 4) + 12 + 10 + 13 + 48
        assert least <= octets("a.example.", "".join(lines[:count])) <= 2 * least
