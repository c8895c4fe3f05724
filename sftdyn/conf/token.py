"""The token of the status listener. It is kept as its SHA-256; as the conf writes it for `sftdyn --list` only. Pure."""

from dataclasses import dataclass, field
from hmac import compare_digest

from ..values.mistake import Mistake
from .clients import HASHED, SAMPLE, conf_digest
from .doubts import SAFE_KEY
from .keyring import digest

MAKE_ONE = "make one with: openssl rand -hex 16"


@dataclass(frozen=True, slots=True)
class Token:
    """What the status listener wants to see."""

    digest: bytes = field(repr=False)
    plain: str | None = field(repr=False)  # None: the conf has its hash only

    def fits(self, given: bytes) -> bool:
        """Whether this is the token; the time that it takes tells nothing."""
        return compare_digest(digest(given.lstrip(b"/")), self.digest)

    def doubts(self) -> list[str]:
        """A warning if it can be guessed."""
        if self.plain is None or len(self.plain) >= SAFE_KEY:
            return []
        return [f"status_token is shorter than {SAFE_KEY} characters, and can be guessed; {MAKE_ONE}"]


def token(value: object) -> Token:
    """A text, or `sha256:` and the digest of one. Raises Mistake."""
    if not isinstance(value, str) or not value:
        raise Mistake(f"not a text; {MAKE_ONE}")
    if value.startswith(SAMPLE):
        raise Mistake(f"this is a sample's token, which everybody knows; {MAKE_ONE}")
    if not goes_into_a_header(value):
        raise Mistake(f"a header holds no such token, only ASCII, without a blank at its ends; {MAKE_ONE}")
    return Token(conf_digest(value), None if HASHED.fullmatch(value) else value)


def goes_into_a_header(token: str) -> bool:
    """Whether it comes out as it went in."""
    return token.isascii() and token.isprintable() and token == token.strip()
