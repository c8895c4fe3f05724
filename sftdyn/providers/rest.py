"""What APIs that speak JSON over HTTP have in common: how long to wait. Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Seconds that an answer may take: a part of the timeout, so that there is time for another try.
SHARE_OF_TIMEOUT = 0.8
SHORTEST, LONGEST = 2.0, 8.0


def patience(timeout: float) -> float:
    """Seconds that an answer may take where updates may take `timeout` seconds."""
    return min(LONGEST, max(SHORTEST, SHARE_OF_TIMEOUT * timeout))


def retry_after(text: str) -> int | None:
    """Seconds (RFC 9110, 10.2.3); None if it says nothing."""
    if re.fullmatch("[0-9]{1,9}", text):
        return int(text)
    try:
        at = parsedate_to_datetime(text[:40]).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0, round((at - datetime.now(UTC)).total_seconds()))
