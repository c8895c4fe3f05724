"""The closed set of what can become of a request. Every table over it names every member."""

import logging
from dataclasses import dataclass
from enum import Enum, auto


class Outcome(Enum):
    """What became of a request, in the order of severity: of several, the last one counts."""

    ADDRESS = auto()  # no key: the client asked for its own address
    UPTODATE = auto()  # the primary confirmed during this request that there is nothing to change
    OK = auto()  # the primary accepted the change
    CHALLENGE = auto()  # no credentials where some are needed: many clients send them only when asked
    BADKEY = auto()  # no client has this key
    NOTFQDN = auto()  # a host name that is none
    NOHOST = auto()  # a host name of somebody else
    BADADDRESS = auto()  # the request means no address, or one that cannot be published
    BADREQUEST = auto()  # not HTTP
    BADMETHOD = auto()  # not GET
    UNPUBLISHABLE = auto()  # a CNAME, delegation or DNAME hides the name: nobody would see the record
    NOZONE = auto()  # the primary serves no zone for the name
    REFUSED = auto()  # the primary refuses this name
    HOOK = auto()  # a hook of the conf failed
    TIMEOUT = auto()  # the primary did not answer in time
    ABUSE = auto()  # the client has changed too often
    OVERTAKEN = auto()  # a newer request for the name was faster through the hooks
    OVERLOADED = auto()  # too many requests wait already
    INTERNAL = auto()  # a defect of sftdyn


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome, and for a failure the reason, for the log only."""

    outcome: Outcome
    reason: str = ""
    retry_after: int = 60  # seconds, where a later try makes sense


def worst(results: list[Result]) -> Result:
    """The result of a whole whose parts ended as `results` (at least one)."""
    return max(results, key=lambda result: result.outcome.value)


# The first word of the log line, at which level it is written, and nothing else decides.
LOG: dict[Outcome, tuple[str, int]] = {
    Outcome.ADDRESS: ("ADDRESS", logging.INFO),
    Outcome.UPTODATE: ("UPTODATE", logging.INFO),
    Outcome.OK: ("OK", logging.INFO),
    Outcome.CHALLENGE: ("CHALLENGE", logging.INFO),
    Outcome.BADKEY: ("BADKEY", logging.WARNING),
    Outcome.NOTFQDN: ("FAIL", logging.WARNING),
    Outcome.NOHOST: ("FAIL", logging.WARNING),
    Outcome.BADADDRESS: ("FAIL", logging.WARNING),
    Outcome.BADREQUEST: ("BADREQUEST", logging.INFO),
    Outcome.BADMETHOD: ("BADMETHOD", logging.INFO),
    Outcome.UNPUBLISHABLE: ("FAIL", logging.WARNING),
    Outcome.NOZONE: ("FAIL", logging.WARNING),
    Outcome.REFUSED: ("FAIL", logging.WARNING),
    Outcome.HOOK: ("FAIL", logging.ERROR),
    Outcome.TIMEOUT: ("FAIL", logging.ERROR),
    Outcome.ABUSE: ("FAIL", logging.WARNING),
    Outcome.OVERTAKEN: ("FAIL", logging.WARNING),
    Outcome.OVERLOADED: ("FAIL", logging.INFO),
    Outcome.INTERNAL: ("FAIL", logging.ERROR),
}
