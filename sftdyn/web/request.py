"""Bytes → Request. Pure.

The request line is read as the standard library's http.server reads it. No stranger's bytes go to the library itself:
its email parser takes time that is quadratic in their number.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from ..values.mistake import Mistake

MAX_HEADERS = 101  # lines, with the empty one

# One header with its continuation lines (RFC 9112, 5.2), and well-formed headers with the empty line behind them.
FIELD = re.compile(rb"([!-9;-~]+):([^\n]*(?:\n[ \t][^\n]*)*)\n")
HEADERS = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*\r?\n")
FOLDED = re.compile(rb"\r?\n[ \t]+")
WRONG_BLANK = re.compile(rb"[\t\v\f]HTTP/")
VERSION = re.compile("HTTP/([0-9]{1,10})[.][0-9]{1,10}")
# RFC 9112, 3.2.2: what a client sends to a proxy, and some to everybody.
ABSOLUTE_FORM = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


class BadRequest(Mistake):
    """Not a request; `status` is the answer's, the message the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Headers(Mapping[str, str]):
    """The headers of a request for the conf's hooks, by name in any letter case; the first of several counts.

    The hooks of sftdyn 0.10 got a multidict: it raises KeyError for what is missing, and knows `getall`.
    """

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self.getall(name)[0]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def getall(self, name: str, default: list[str] | None = None) -> list[str]:
        """All values of the header, in order. Raises KeyError if there is none, and no default."""
        values = [value for other, value in self._fields if other.lower() == name.lower()]
        if values:
            return values
        if default is None:
            raise KeyError(name)
        return default


@dataclass(slots=True)
class Request:
    """One request; the target as it was sent, without scheme, host and leading slashes."""

    method: str
    target: bytes
    version: str  # "HTTP/1.1"; "HTTP/0.9" for the bare line, which wants the bare answer
    header_lines: bytes  # known to be well-formed; few requests need them
    body: bytes = b""  # as it was sent; empty where the path takes none

    @property
    def headers(self) -> Headers:
        """All headers, as hooks get them: names and values (ISO 8859-1, as http.server reads them), in order."""
        return Headers([(name.decode(), _value(octets)) for name, octets in FIELD.findall(self.header_lines)])

    def values(self, name: str) -> list[str]:
        """All values of one header, in order."""
        return [_value(octets) for octets in _field(name).findall(self.header_lines)]


@lru_cache(16)
def _field(name: str) -> re.Pattern[bytes]:
    """Finds the headers of one name, with their continuation lines, in well-formed header lines."""
    return re.compile(rb"^%b:([^\n]*(?:\n[ \t][^\n]*)*)" % re.escape(name.encode()), re.IGNORECASE | re.MULTILINE)


def _value(octets: bytes) -> str:
    """A header's value on one line; a NUL in it is read as a blank (RFC 9110, 5.5)."""
    return FOLDED.sub(b" ", octets).replace(b"\0", b" ").strip(b" \t\r").decode("latin-1")


def parse(head: bytes) -> Request:
    """The request whose complete head this is. Raises BadRequest."""
    line, _, headers = head.partition(b"\n")
    if head.count(b"\r") != head.count(b"\r\n"):
        raise BadRequest(400, "a carriage return inside a line")
    if headers and not HEADERS.fullmatch(headers):
        raise BadRequest(400, "a header line without a colon")
    if headers.count(b"\n") > MAX_HEADERS:
        raise BadRequest(431, f"more than {MAX_HEADERS} header lines")
    method, blank, rest = line.rstrip(b"\r ").partition(b" ")
    target, last_blank, version = rest.rpartition(b" ")
    if not blank or WRONG_BLANK.search(rest):
        raise BadRequest(400, "no request line")
    if not last_blank:  # HTTP/0.9
        target, version = rest, b""
    command, spoken = _read_line(method, version)
    if absolute := ABSOLUTE_FORM.match(target):
        target = target[absolute.end() :]
    return Request(command, target.lstrip(b" ").lstrip(b"/"), spoken, headers)


@lru_cache(64)
def _read_line(method: bytes, version: bytes) -> tuple[str, str]:
    """Method and version; "HTTP/0.9" for none. Raises BadRequest.

    What Unicode takes for blanks in ISO 8859-1, such as a no-break space, may stand around them.
    """
    words = (method + b" " + version).decode("latin-1").split()
    if words == ["GET"]:
        return "GET", "HTTP/0.9"
    spoken = VERSION.fullmatch(words[-1])
    if spoken and len(words) > 1 and int(spoken[1]) > 1:
        raise BadRequest(505, "another HTTP than 1.0 and 1.1")
    if not spoken or len(words) != 2:
        raise BadRequest(400, "no request line")
    return words[0], words[1]


def credentials(request: Request) -> tuple[str, str]:
    """The scheme of the first Authorization, in lower case, and what stands behind it (RFC 9110, 11.6.2)."""
    scheme, _, token = next(iter(request.values("Authorization")), "").partition(" ")
    return scheme.lower(), token.strip()


def basic(request: Request) -> tuple[bytes, bytes]:
    """User name and password of Basic credentials (RFC 7617); empty where there are none. No slash is in front."""
    scheme, token = credentials(request)
    if scheme != "basic":
        return b"", b""
    try:
        name, _, password = b64decode(token, validate=True).partition(b":")
    except ValueError:
        return b"", b""
    return name.lstrip(b"/"), password.lstrip(b"/")


def decode(target: bytes) -> bytes:
    """`target` with its percent-encoding undone."""
    return unquote_to_bytes(target) if b"%" in target else target
