"""What others see of a zone, read from what dig(1) prints. Pure text in, text out."""

import re

# Arguments of dig; the zone goes behind them.
COPY = ("+norecurse", "+expire", "+noall", "+comments", "+answer", "-t", "SOA", "-q")
DELEGATION = ("+noall", "+comments", "+authority", "-t", "SOA", "-q")
AT_THE_PARENT = ("+noall", "+comments", "+authority", "-t", "DS", "-q")  # the parent answers this (RFC 4035, 3.1.4.1)

NO_NAME = "NXDOMAIN"

HEADER = re.compile(r"status: (\w+), .*\n;; flags: ([a-z ]*);.* ANSWER: (\d+),")
EXPIRE = re.compile(r"^; EXPIRE: (\d+)", re.M)
SOA = re.compile(r"\sIN\sSOA\s\S+ \S+ \d+ \d+ \d+ (\d+) \d+$", re.M)


def is_copy(text: str) -> bool:
    """Whether a server's answer to COPY says that it is a secondary: its zone is good for less time than the SOA says.

    That is the EXPIRE option of RFC 7314. A copy that was compared with its primary in this very second is not told.
    """
    left, whole = EXPIRE.search(text), SOA.search(text)
    return bool(left and whole and int(left[1]) < int(whole[1]))


def is_own(text: str) -> bool:
    """Whether the resolver serves the zone itself (AA), and so need not know of any delegation."""
    header = HEADER.search(text)
    return bool(header and "aa" in header[2].split() and header[3] != "0")


def denial(text: str) -> str:
    """NXDOMAIN if there is no such name, NOERROR if it has no such records, "" if neither was said.

    A denial has the SOA of the zone that it is from (RFC 2308, 3). One without, as some routers give it, is none.
    """
    header = HEADER.search(text)
    denied = header and header[1] in (NO_NAME, "NOERROR") and header[3] == "0" and SOA.search(text)
    return header[1] if header and denied else ""
