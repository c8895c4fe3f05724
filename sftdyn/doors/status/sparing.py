"""Sends no octet more than it must: nothing that the reader has already, and what is long, compressed. Pure."""

import gzip
import re
from dataclasses import replace
from hashlib import sha256

from ...web.reply import UNCHANGED, Reply
from ...web.request import Request

SHORT = 1400  # octets that go into one packet anyway
LEVEL = 4  # of compression: beyond it, twice the time for a tenth less
PASSING = "</time>"  # ends what tells how long ago something was: the reader's script keeps that true by itself


def spared(reply: Reply, request: Request) -> Reply:
    """The reply as `request` can take it (RFC 9110, 12.5.3 and 13.1.2)."""
    if reply.status != 200 or not isinstance(reply.body, str):
        return reply
    body = reply.body.encode()
    *before, rest = reply.body.split(PASSING)
    lasting = "".join([*(part.rpartition(">")[0] for part in before), rest])
    tag = f'W/"{sha256(lasting.encode()).hexdigest()[:32]}"'
    headers = (*reply.headers, ("ETag", tag), ("Vary", "Accept-Encoding"))
    if tag in (text.strip() for line in request.values("If-None-Match") for text in line.split(",")):
        return replace(reply, status=UNCHANGED, body=b"", headers=headers)
    if len(body) > SHORT and _takes_gzip(request):
        body, headers = gzip.compress(body, LEVEL, mtime=0), (*headers, ("Content-Encoding", "gzip"))
    return replace(reply, body=body, headers=headers)


def _takes_gzip(request: Request) -> bool:
    codings = (text for line in request.values("Accept-Encoding") for text in line.lower().split(","))
    parts = (coding.partition(";") for coding in codings)
    return any(name.strip() == "gzip" and not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) for name, _, weight in parts)
