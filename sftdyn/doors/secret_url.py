"""The door of the secret URL: four words."""

from collections.abc import Sequence
from dataclasses import replace

from ..values.outcome import Outcome
from ..web.reply import Reply
from .notes import Part

NAME = "url"
ALLOW = ("Allow", "GET")
CHALLENGE = ("WWW-Authenticate", 'Basic realm="sftdyn", charset="UTF-8"')

REPLIES: dict[Outcome, Reply] = {
    Outcome.ADDRESS: Reply(200, ""),  # the body is the address
    Outcome.UPTODATE: Reply(200, "UPTODATE"),
    Outcome.OK: Reply(200, "OK"),
    Outcome.NOTHING: Reply(404, ""),
    Outcome.CHALLENGE: Reply(401, "BADKEY", (CHALLENGE,)),
    Outcome.BADKEY: Reply(403, "BADKEY"),
    Outcome.BADADDRESS: Reply(400, "FAIL"),
    Outcome.BADREQUEST: Reply(400, "FAIL"),
    Outcome.BADMETHOD: Reply(405, "FAIL", (ALLOW,)),
    Outcome.UNPUBLISHABLE: Reply(500, "FAIL"),
    Outcome.NOZONE: Reply(500, "FAIL"),
    Outcome.REFUSED: Reply(500, "FAIL"),
    Outcome.HOOK: Reply(500, "FAIL"),
    Outcome.TIMEOUT: Reply(500, "FAIL"),
    Outcome.UNPROVEN: Reply(503, "FAIL"),
    Outcome.ABUSE: Reply(503, "FAIL"),
    Outcome.OVERTAKEN: Reply(503, "FAIL"),
    Outcome.OVERLOADED: Reply(503, "FAIL"),
    Outcome.INTERNAL: Reply(500, "FAIL"),
    Outcome.LOOKUP: Reply(503, "FAIL"),
    Outcome.FORBIDDEN: Reply(403, "FAIL"),
}
LATER = 503  # the status with which a client is told when to come back


def reply(parts: Sequence[Part], address: str = "") -> Reply:
    """The reply that says what became of the client's names; `address` for who asks only for that."""
    [part] = parts
    result = part.whole
    said = REPLIES[result.outcome]
    if said.status == LATER:
        return replace(said, headers=(("Retry-After", str(result.retry_after)),))
    return replace(said, body=address) if address else said
