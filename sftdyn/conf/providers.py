"""What the conf writes as a provider, `Bind(…)` or another one, or a function, and what it means where the conf is."""

import re
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from ..values.mistake import Mistake
from ..values.specs import CLOUDFLARE, DESEC, DNS_PORT, TOKEN, Bind, Cloudflare, Desec, Function, Primary, Proof, Spec
from . import parsers
from .named import checked, only_named, optional
from .proof import certificates

BIND_PARAMETERS = ("server", "keyfile", "zone")
CLOUDFLARE_PARAMETERS = (
    *("token", "token_file", "email", "key", "key_file"),
    *("zone", "create", "proxied", "url", "ca"),
)
DESEC_PARAMETERS = ("token", "token_file", "url", "ca")
ZONE_ID = re.compile("[0-9a-f]{32}")
UNSAID = object()  # a None may come from an environment that lacks a variable
MAX_SECRET = 4096  # octets of a file that holds one
MANY = 1000  # providers, and proofs, that are remembered
ANOTHER_SERVER = "another name server wants signed updates"


def readable(folder: Path, relative: Path) -> Path:
    """The path of a file that can be read, relative to the conf's folder. Raises Mistake."""
    path = folder.joinpath(relative)
    try:
        path.open("rb").close()
    except OSError as error:
        raise Mistake(f"cannot read the file: {error.strerror}; name a file that this user may read") from None
    return path


def primary(server: tuple[str, int] | None, keyfile: Path | None) -> Primary:
    """The name server that these two name. Raises Mistake."""
    host, port = server or (None, DNS_PORT)
    if host and not keyfile:
        raise Mistake(ANOTHER_SERVER)
    return Primary(host, port, keyfile)


def make_bind(
    *values: object, server: object = None, keyfile: object = None, zone: object = None, **unknown: object
) -> Bind:
    """`Bind(server="ns.example", keyfile="ns.key", zone="dyn.example")` of the conf. Raises Mistake."""
    only_named("Bind", 'server="ns.example"', values, unknown, BIND_PARAMETERS)
    try:
        where = primary(optional("server", parsers.server, server), optional("keyfile", parsers.path, keyfile))
    except Mistake as mistake:
        reason = f'{mistake}; add keyfile="ns.key"' if str(mistake) == ANOTHER_SERVER else mistake
        raise Mistake(f"Bind: {reason}") from None
    return Bind(where, optional("zone", parsers.zones, zone) or ())


def make_cloudflare(
    *values: object,
    token: object = UNSAID,
    token_file: object = UNSAID,
    email: object = None,
    key: object = UNSAID,
    key_file: object = UNSAID,
    zone: object = None,
    create: object = False,
    proxied: object = None,
    url: object = CLOUDFLARE,
    ca: object = None,
    **unknown: object,
) -> Cloudflare:
    """`Cloudflare(token_file="cloudflare.token")` of the conf. Raises Mistake."""
    only_named("Cloudflare", 'token_file="cloudflare.token"', values, unknown, CLOUDFLARE_PARAMETERS)
    said = _said("Cloudflare", token=token, token_file=token_file, key=key, key_file=key_file)
    if (email is None) != said.keys().isdisjoint(("key", "key_file")):
        raise Mistake(
            "Cloudflare: the global key goes with the account's address: email and key, or email and key_file"
        )
    return Cloudflare(
        token=optional("token", _secret, said.get("token")),
        token_file=optional("token_file", parsers.path, said.get("token_file")),
        email=optional("email", _secret, email),
        key=optional("key", _secret, said.get("key")),
        key_file=optional("key_file", parsers.path, said.get("key_file")),
        zone=optional("zone", _cloudflare_zone, zone),
        create=checked("create", parsers.yes_or_no, create),
        proxied=optional("proxied", parsers.yes_or_no, proxied),
        url=checked("url", _base_url, url),
        ca=optional("ca", parsers.path, ca),
    )


def make_desec(
    *values: object,
    token: object = UNSAID,
    token_file: object = UNSAID,
    url: object = DESEC,
    ca: object = None,
    **unknown: object,
) -> Desec:
    """`Desec(token_file="desec.token")` of the conf. Raises Mistake."""
    only_named("Desec", 'token_file="desec.token"', values, unknown, DESEC_PARAMETERS)
    said = _said("Desec", token=token, token_file=token_file)
    return Desec(
        token=optional("token", _secret, said.get("token")),
        token_file=optional("token_file", parsers.path, said.get("token_file")),
        url=checked("url", _base_url, url),
        ca=optional("ca", parsers.path, ca),
    )


def _said(provider: str, **secrets: object) -> dict[str, object]:
    """The one of these that is said, if any. Raises Mistake."""
    said = {name: value for name, value in secrets.items() if value is not UNSAID}
    for name, value in said.items():
        if value is None:
            raise Mistake(f"{provider}: {name} is None; where each request shall bring its own token, leave it out")
    if len(said) > 1:
        *others, last = secrets
        raise Mistake(f"{provider}: more than one of {', '.join(others)} and {last}; keep one of them")
    return said


def provider(value: object) -> Spec:
    """What may stand for a provider. Raises Mistake."""
    if isinstance(value, Bind | Cloudflare | Desec | Function):
        return value
    if value in (make_bind, make_cloudflare, make_desec):
        raise Mistake("the brackets are missing; write Bind() or Cloudflare()")
    if callable(value):
        return Function(value)
    raise Mistake("write Bind(…), Cloudflare(…), Desec(…), or a function: def mine(name, type, ttl, addresses, secret)")


class Resolver:
    """Providers, and proofs, as they are meant in the conf in `folder`: files read, paths absolute, `Bind()` as the
    settings say.
    """

    def __init__(self, folder: Path, of_settings: Bind, default: Spec) -> None:
        self._folder = folder
        self._of_settings = of_settings
        self._known: dict[Spec, Spec] = {}
        self.proof = lru_cache(MANY)(self._proof)
        self.secret_files: dict[Path, None] = {}
        self.default = self.resolve(default)

    def resolve(self, spec: Spec) -> Spec:
        """What `spec` means here. Raises Mistake."""
        known = self._known.get(spec)
        if known is None:
            if len(self._known) >= MANY:  # get_host may make a new one for each request
                self._known.clear()
            known = self._known[spec] = self._resolved(spec)
        return known

    def _resolved(self, spec: Spec) -> Spec:
        if isinstance(spec, Bind):
            if spec == Bind():
                return self._of_settings
            keyfile = spec.primary.keyfile and self._readable("keyfile", spec.primary.keyfile)
            return replace(spec, primary=replace(spec.primary, keyfile=keyfile))
        if isinstance(spec, Cloudflare):
            return replace(
                spec,
                token=(spec.token_file and self._content("token_file", spec.token_file)) or spec.token,
                key=(spec.key_file and self._content("key_file", spec.key_file)) or spec.key,
                ca=spec.ca and self._certificates(spec.ca),
            )
        if isinstance(spec, Desec):
            token = (spec.token_file and self._content("token_file", spec.token_file)) or spec.token
            return replace(spec, token=token, ca=spec.ca and self._certificates(spec.ca))
        return spec

    def _proof(self, proof: Proof) -> Proof:
        """What `proof` means here. Raises Mistake."""
        return replace(proof, ca=proof.ca and self._certificates(proof.ca))

    def _readable(self, name: str, path: Path) -> Path:
        return checked(name, partial(readable, self._folder), path)

    def _certificates(self, relative: Path) -> Path:
        path = self._readable("ca", relative)
        checked("ca", certificates, path)
        return path

    def _content(self, name: str, relative: Path) -> str:
        path = self._readable(name, relative)
        self.secret_files[path] = None
        with path.open("rb") as file:
            return checked(name, _secret, file.read(MAX_SECRET).decode("ascii", "replace").strip())


def _secret(value: object) -> str:
    """What goes into a header as it is."""
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise Mistake("empty, or with characters that no header can hold; copy it as it was shown")
    return value


def _cloudflare_zone(value: object) -> str:
    """A zone's id, or its name without the last dot."""
    if isinstance(value, str) and ZONE_ID.fullmatch(value.lower()):
        return value.lower()
    return parsers.host(value).rstrip(".")


def _base_url(value: object) -> str:
    """The whole base of an API."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        good = parts.scheme == "https" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not isinstance(value, str) or not good or set("?#") & set(value) or not TOKEN.fullmatch(value):
        raise Mistake(f'write the whole base of the API, with https, as in "{CLOUDFLARE}"')
    return value.rstrip("/")
