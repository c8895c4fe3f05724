"""The closed set of what can become of a request. Every table over it names every member that can happen there."""

from collections.abc import Iterable
from enum import Enum
from logging import ERROR, INFO, WARNING
from typing import NamedTuple


class Outcome(Enum):
    """What became of a request: its severity, the first word of its log line, and that line's level.

    Of several outcomes the most severe one counts. `by_strangers`: anybody can cause it, without a key.
    """

    severity: int
    word: str
    level: int
    by_strangers: bool

    def __init__(self, severity: int, word: str, level: int, by_strangers: bool = False) -> None:
        self.severity = severity
        self.word = word
        self.level = level
        self.by_strangers = by_strangers

    # No key: the client asked for its own address.
    ADDRESS = 1, "ADDRESS", INFO, True
    # The provider confirmed during this request that there is nothing to change.
    UPTODATE = 2, "UPTODATE", INFO
    # The provider accepted the change.
    OK = 3, "OK", INFO
    # Nothing that a client would want: what browsers ask for beside the URL that they are given.
    NOTHING = 4, "NOTHING", INFO, True
    # No credentials where some are needed: many clients send them only when asked.
    CHALLENGE = 5, "CHALLENGE", INFO, True
    # No client has this key.
    BADKEY = 6, "BADKEY", WARNING, True
    # A host name that is none.
    NOTFQDN = 7, "FAIL", WARNING
    # A host name of somebody else.
    NOHOST = 8, "FAIL", WARNING
    # More host names than a request may have.
    NUMHOST = 9, "FAIL", WARNING
    # The request means no address, or one that cannot be published.
    BADADDRESS = 10, "FAIL", WARNING, True
    # Not HTTP.
    BADREQUEST = 11, "BADREQUEST", INFO, True
    # Not GET.
    BADMETHOD = 12, "BADMETHOD", INFO, True
    # A CNAME, delegation or DNAME hides the name: nobody would see the record.
    UNPUBLISHABLE = 13, "FAIL", WARNING
    # The primary serves no zone for the name.
    NOZONE = 14, "FAIL", WARNING
    # The primary refuses this name.
    REFUSED = 15, "FAIL", WARNING
    # A hook of the conf failed.
    HOOK = 16, "FAIL", ERROR, True
    # The provider did not answer in time.
    TIMEOUT = 17, "FAIL", ERROR
    # A provider's word for a request that may only ask: there is something to change. The doors prove it, or make ABUSE
    # of it.
    WOULD_CHANGE = 18, "FAIL", WARNING
    # No TLS server with a certificate for the name was found at a new address.
    UNPROVEN = 19, "FAIL", WARNING
    # The client has changed too often.
    ABUSE = 20, "FAIL", WARNING
    # A newer request for the name was faster through hooks or proof.
    OVERTAKEN = 21, "FAIL", WARNING
    # Too many requests wait already.
    OVERLOADED = 22, "FAIL", INFO, True
    # A defect of sftdyn.
    INTERNAL = 23, "FAIL", ERROR
    # No request: where own addresses come from gives none that can be published.
    SOURCE = 24, "FAIL", WARNING
    # The conf's get_host failed: whose key it is, nobody knows.
    LOOKUP = 25, "FAIL", ERROR, True
    # The key may not have what the request wants of it.
    FORBIDDEN = 26, "FAIL", WARNING


SUCCESSES = (Outcome.OK, Outcome.UPTODATE)  # the name is as wanted


class Result(NamedTuple):
    """An outcome, and for a failure the reason, for the log only."""

    outcome: Outcome
    reason: str = ""
    retry_after: int = 60  # seconds, where a later try makes sense
    repeats: bool = False  # a success once more, where nothing can be asked: no change for the quota
    is_left_out: bool = False  # the owner does not want this record set: it stays as it is, and that is no failure


def worst(results: Iterable[Result]) -> Result:
    """The result of a whole whose parts (at least one) ended as `results`; of equal ones, the latest to try again."""
    return max(results, key=lambda result: (result.outcome.severity, result.retry_after))
