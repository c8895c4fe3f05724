"""What web servers answer to the question who asks, and whether they agree. Pure."""

from collections import Counter
from collections.abc import Sequence

from ...fetch.answer import Answer
from ...values.addresses import Address, parse_address
from ...values.mistake import Mistake

TRACE = "ip="  # how a line of …/cdn-cgi/trace begins
AGREED = 2  # servers


class NoAddress(Exception):
    """An answer tells none. The message is for the log, and quotes nothing of it."""


def read_address(answer: Answer, version: int) -> Address:
    """The address that asked, over this version of IP. Raises NoAddress."""
    if answer.status != 200:
        what = "redirects, which is not followed" if 300 <= answer.status < 400 else f"answers {answer.status}"
        raise NoAddress(f"it {what}")
    text = answer.body.decode("ascii", "replace").strip()
    told = [line.removeprefix(TRACE).strip() for line in text.splitlines() if line.startswith(TRACE)] or [text]
    try:
        address = parse_address(told[0])
    except Mistake:
        raise NoAddress("what it answers is not an address") from None
    if len(told) > 1 or address.version != version:
        raise NoAddress(f"what it answers is not one IPv{version} address")
    return address


def agreed(told: Sequence[Address], asked: int) -> Address | None:
    """What `asked` servers together say, of which some told an address; None if that is nothing to rely on."""
    votes = Counter(told).most_common(2)
    needed = min(asked, AGREED)
    if not votes or votes[0][1] < needed or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return None
    return votes[0][0]
