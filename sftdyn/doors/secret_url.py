"""The door of the secret URL: four words."""

from dataclasses import replace
from http import HTTPStatus

from ..values.outcome import Outcome, Result
from ..web.reply import Reply

REPLIES: dict[Outcome, Reply] = {
    Outcome.ADDRESS: Reply(200, ""),  # the body is the address
    Outcome.UPTODATE: Reply(200, "UPTODATE"),
    Outcome.OK: Reply(200, "OK"),
    Outcome.CHALLENGE: Reply(403, "BADKEY"),  # not at this door
    Outcome.BADKEY: Reply(403, "BADKEY"),
    Outcome.NOTFQDN: Reply(400, "FAIL"),  # not at this door
    Outcome.NOHOST: Reply(400, "FAIL"),  # not at this door
    Outcome.BADADDRESS: Reply(400, "FAIL"),
    Outcome.BADREQUEST: Reply(400, "FAIL"),
    Outcome.BADMETHOD: Reply(405, "FAIL", (("Allow", "GET"),)),
    Outcome.UNPUBLISHABLE: Reply(500, "FAIL"),
    Outcome.NOZONE: Reply(500, "FAIL"),
    Outcome.REFUSED: Reply(500, "FAIL"),
    Outcome.HOOK: Reply(500, "FAIL"),
    Outcome.TIMEOUT: Reply(500, "FAIL"),
    Outcome.ABUSE: Reply(503, "FAIL"),
    Outcome.OVERTAKEN: Reply(503, "FAIL"),
    Outcome.OVERLOADED: Reply(503, "FAIL"),
    Outcome.INTERNAL: Reply(500, "FAIL"),
}


def refusal(status: int) -> Reply:
    """The reply to something that is no request."""
    return replace(REPLIES[Outcome.BADREQUEST], status=status)


def reply(result: Result, address: str = "") -> Reply:
    """The reply that says `result`; `address` for who asks only for that."""
    said = REPLIES[result.outcome]
    if said.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return replace(said, headers=(("Retry-After", str(result.retry_after)),))
    return replace(said, body=address) if address else said
