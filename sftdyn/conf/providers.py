"""What the conf writes as a provider, a constructor's value or a function, and what it means where the conf is."""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from ..values.mistake import Mistake
from ..values.names import is_within
from ..values.specs import (
    CLOUDFLARE,
    DESEC,
    TOKEN,
    Bind,
    Client,
    Cloudflare,
    Desec,
    Function,
    Primary,
    Proof,
    Spec,
)
from . import parsers
from .constructors import Constructor, Parameter, checked
from .proof import certificates

ZONE_ID = re.compile("[0-9a-f]{32}")
Api: TypeAlias = Cloudflare | Desec  # what has files of secrets, and `ca`
FILE = "_file"  # how a parameter ends that names the file with a secret
MAX_SECRET = 4096  # octets of a file that holds one
MAX_COMMENT = 500  # characters, on plans that are paid for
NO_ZONE = "the host name is in none of the zones of the setting zone; add its zone there"
MANY = 1000  # providers, and proofs, that are remembered


def readable(folder: Path, relative: Path) -> Path:
    """The path of a file that can be read, relative to the conf's folder. Raises Mistake."""
    path = folder.joinpath(relative)
    try:
        path.open("rb").close()
    except OSError as error:
        raise Mistake(f"cannot read the file: {error.strerror}; name a file that this user may read") from None
    return path


def primary(servers: Sequence[tuple[str, int]] | None, keyfile: Path | None, cure: str) -> Primary:
    """The name server that these two name. Raises Mistake, with `cure` as what to add."""
    if not servers:
        return Primary(keyfile=keyfile)
    if not keyfile:
        raise Mistake(f"another name server wants signed updates; add {cure}")
    (host, port), *others = servers
    return Primary(host, port, keyfile, tuple(others))


def provider(value: object) -> Spec:
    """What may stand for a provider. Raises Mistake."""
    if isinstance(value, Spec):
        return value
    if isinstance(value, Constructor):
        raise Mistake(f"the brackets are missing; write {' or '.join(f'{name}()' for name in PROVIDERS)}")
    if callable(value):
        return Function(value)
    examples = ", ".join(f"{name}(…)" for name in PROVIDERS)
    raise Mistake(f"write {examples}, or a function: def mine(name, type, ttl, addresses, secret)")


def writes_texts(spec: Spec) -> Spec:
    """The same, if it publishes TXT records. Raises Mistake."""
    if isinstance(spec, Function) and not spec.takes_texts:
        raise Mistake(
            f"certificates need TXT records, and the function {spec.name} is called for addresses only; where it can"
            f' publish them, say so behind it: {spec.name}.types = ("A", "AAAA", "TXT")'
        )
    return spec


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
        self._zones = self.default.zones if isinstance(self.default, Bind) else ()
        self._below = tuple("." + zone.removeprefix(".") for zone in self._zones)

    def resolve(self, spec: Spec) -> Spec:
        """What `spec` means here. Raises Mistake."""
        known = self._known.get(spec)
        if known is None:
            if len(self._known) >= MANY:  # get_host may make a new one for each request
                self._known.clear()
            known = self._known[spec] = self._resolved(spec)
        return known

    def is_served(self, name: str) -> bool:
        """Whether the absolute name can be that of a client that names no provider."""
        return not self._zones or name.endswith(self._below) or name in self._zones

    def settle(self, client: Client) -> Client:
        """The client with its provider and proof as they are meant here. Raises Mistake."""
        if client.provider is not None:
            client = replace(client, provider=self.resolve(client.provider))
        if client.prove is not None:
            client = replace(client, prove=checked("prove", self.proof, client.prove))
        spec = client.provider or self.default
        if client.acme:
            writes_texts(spec)
        zones = spec.zones if isinstance(spec, Bind) else ()
        names = [*client.names, *(name for name, _ in client.lan)]
        for name in names if zones else ():
            if not any(is_within(name, zone) for zone in zones):
                raise parsers.NameMistake(name.rstrip("."), Mistake(NO_ZONE))
        return client

    def _resolved(self, spec: Spec) -> Spec:
        if spec == Bind():
            return self._of_settings
        if isinstance(spec, Bind):
            keyfile = spec.primary.keyfile and self._readable("keyfile", spec.primary.keyfile)
            return replace(spec, primary=replace(spec.primary, keyfile=keyfile))
        return spec if isinstance(spec, Function) else self._with_files(spec)

    def _with_files(self, spec: Api) -> Spec:
        """An API's spec: what stands in the file of `token_file` is its `token`, and so on."""
        files = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name.endswith(FILE)}
        secrets: dict[str, Any] = {
            name.removesuffix(FILE): self._content(name, path) for name, path in files.items() if path
        }
        return replace(spec, ca=spec.ca and self._certificates(spec.ca), **secrets)

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
        raise Mistake("empty, or with characters that no header can hold; copy it as its provider shows it")
    return value


def _cloudflare_zone(value: object) -> str:
    """A zone's id, or its name without the last dot."""
    if isinstance(value, str) and ZONE_ID.fullmatch(value.lower()):
        return value.lower()
    return parsers.host(value).rstrip(".")


def _comment(value: object) -> str:
    """Raises Mistake."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_COMMENT:
        raise Mistake(f"write a line of at most {MAX_COMMENT} characters, in quotes; free plans take 100")
    return value


def _base_url(usual: str, value: object) -> str:
    """The whole base of an API, which is `usual` otherwise."""
    if not parsers.is_url(value, ("https",)) or set("?#") & set(value):
        raise Mistake(f'write the whole base of the API, with https: "{usual}"')
    return value.rstrip("/")


def _bind(server: Sequence[tuple[str, int]] | None, keyfile: Path | None, zone: tuple[str, ...] | None) -> Bind:
    return Bind(primary(server, keyfile, 'keyfile="ns.key"'), zone or ())


def _cloudflare(**given: Any) -> Cloudflare:
    if bool(given["email"]) != bool(given["key"] or given["key_file"]):
        raise Mistake("the global key goes with the account's address: email and key, or email and key_file")
    return Cloudflare(**given)


_TOKEN = (Parameter("token", _secret), Parameter("token_file", parsers.path))
_BIND = Constructor(
    "Bind",
    'server="ns.example"',
    _bind,
    (Parameter("server", parsers.servers), Parameter("keyfile", parsers.path), Parameter("zone", parsers.zones)),
)
_CLOUDFLARE = Constructor(
    "Cloudflare",
    'token_file="cloudflare.token"',
    _cloudflare,
    (
        *_TOKEN,
        Parameter("email", _secret),
        Parameter("key", _secret),
        Parameter("key_file", parsers.path),
        Parameter("zone", _cloudflare_zone),
        Parameter("create", parsers.yes_or_no, default=False),
        Parameter("proxied", parsers.yes_or_no),
        Parameter("comment", _comment),
        Parameter("url", partial(_base_url, CLOUDFLARE), CLOUDFLARE),
        Parameter("ca", parsers.path),
    ),
    secrets=("token", "token_file", "key", "key_file"),
)
_DESEC = Constructor(
    "Desec",
    'token_file="desec.token"',
    Desec,
    (*_TOKEN, Parameter("url", partial(_base_url, DESEC), DESEC), Parameter("ca", parsers.path)),
    secrets=("token", "token_file"),
)
PROVIDERS: dict[str, Constructor[Any]] = {one.name: one for one in (_BIND, _CLOUDFLARE, _DESEC)}
