"""TXT values, as records show them: strings in quotes, of at most 255 octets each (RFC 1035, 5.1). Pure."""

import re

STRING_LENGTH = 255  # octets
STRINGS = re.compile(r'(?:[ \t]*"(?:[^"\\]|\\.)*")+[ \t]*', re.DOTALL)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPED = re.compile(r"\\(?:([0-9]{3})|(.))", re.DOTALL)
PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\')


def quoted(value: str) -> str:
    """What a record shows for a value."""
    octets = value.encode("utf-8", "replace")
    starts = range(0, max(len(octets), 1), STRING_LENGTH)
    return " ".join(f'"{_escaped(octets[start : start + STRING_LENGTH])}"' for start in starts)


def unquoted(content: str) -> str:
    """The value that a record shows; without quotes it is what it is."""
    if not STRINGS.fullmatch(content):
        return content
    value = ESCAPED.sub(lambda part: chr(int(part[1])) if part[1] else part[2], "".join(STRING.findall(content)))
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _escaped(octets: bytes) -> str:
    return "".join(chr(octet) if octet in PLAIN else f"\\{octet:03}" for octet in octets)
