"""What the conf and the command line mean: one frozen Config, checked, or a ConfigError that says what to write."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..values.addresses import Network
from ..values.mistake import Mistake
from ..values.specs import Bind, Client, Listener, Own, Spec
from ..values.targets import Ping, Target
from .acme import Permits, read_permits
from .clients import CLIENT, Entries, EntryMistake, read_clients
from .keyring import Keyring
from .notify import MAIL, PING, POST
from .own import INTERFACE, WEB, settle_own
from .permissions import others_can_read, others_can_write
from .program import ConfigError, Program
from .proof import PROOF
from .providers import PROVIDERS, Resolver, primary, readable
from .settings import NEW, SETTINGS
from .token import Token

# What the conf finds there already.
NAMES = PROVIDERS | {one.name: one for one in (CLIENT, PROOF, INTERFACE, WEB, MAIL, POST, PING)}


# Settings that mean what they say, whatever the others say.
PLAIN = (
    *("ttl", "timeout", "trusted_proxies", "dyndns2", "max_changes", "reuse_port"),
    *("expect", "notify", "notify_after", "heartbeat", "on_change"),
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions of the conf that sftdyn 0.10 called, where the conf defines them."""

    get_ip: Callable[..., Any] | None = None
    get_host: Callable[..., Any] | None = None
    nsupdatecommands: Callable[..., Any] | None = None

    @property
    def can_delay(self) -> bool:
        """Whether there is one that could let a later request overtake an earlier one."""
        return bool(self.get_ip or self.get_host or self.nsupdatecommands)


@dataclass(frozen=True, slots=True)
class Config:
    """All that the conf and the command line say."""

    path: Path
    listeners: tuple[Listener, ...]
    status: tuple[Listener, ...]  # where health, metrics and the status page are
    status_token: Token | None
    state: Path | None  # where what was seen outlives a restart
    state_by_default: bool  # the conf does not name it
    history: int  # addresses that are kept of each record set
    notify: tuple[Target, ...]  # who is told
    notify_after: float  # seconds that a failure lasts before it is told
    heartbeat: Ping | None  # asked for while all is well
    on_change: Callable[..., Any] | None  # called after a change
    expect: float | None  # seconds within which clients that say nothing else should be heard from
    cert: Path | None
    key: Path | None
    keyring: Keyring
    own: tuple[Own, ...]
    permits: Permits  # which keys are good for which certificates
    provider: Spec  # of clients that name none
    resolver: Resolver  # for clients that get_host makes
    ttl: int  # seconds
    timeout: float  # seconds
    trusted_proxies: tuple[Network, ...]
    peer_only: bool  # addresses given in a request do not count
    dyndns2: bool
    max_changes: int  # of one client in an hour; 0: no limit
    reuse_port: bool  # other processes may listen on the same addresses
    hooks: Hooks
    doubts: tuple[str, ...]  # what is dangerous about how the conf is written; without any key

    @property
    def clients(self) -> Iterator[Client]:
        """Those that call, and those that sftdyn publishes by itself."""
        yield from self.keyring.clients.values()
        yield from (own.client for own in self.own)

    @property
    def special(self) -> Iterator[Client]:
        """Those of them that may say more than a name."""
        yield from self.keyring.clients.special
        yield from (own.client for own in self.own)

    @property
    def providers(self) -> Mapping[Spec, int]:
        """What publishes for its clients, and for how many, most first; none: whatever get_host says."""
        special = Counter(client.provider for client in self.special)
        named = special + Counter({None: len(self.keyring.clients) - len(self.keyring.clients.special)})
        used = Counter({self.provider: named.pop(None, 0)}) + Counter({s: n for s, n in named.items() if s})
        for spec in self.permits.providers:
            used.setdefault(spec, 0)
        if self.hooks.get_host or not used:
            used.setdefault(self.provider, 0)
        return dict(used.most_common())

    @property
    def own_providers(self) -> Collection[Spec]:
        """What publishes for the clients of `own`."""
        return dict.fromkeys(own.client.provider or self.provider for own in self.own)


def load(path: Path, options: Mapping[str, object] = MappingProxyType({})) -> Config:
    """Run the conf at `path`; `options`, from the command line, beat its settings. Raises ConfigError."""
    return _Reader(Program(path), options).config()


class _Reader:
    """Turns the names that a conf leaves behind into a Config."""

    def __init__(self, program: Program, options: Mapping[str, object]) -> None:
        self._program = program
        self._options = options
        self._names = program.run(NAMES | {"clients": Entries(), "acme": Entries()}, SETTINGS, NEW) | dict(options)
        self._folder = program.path.absolute().parent

    def config(self) -> Config:
        hooks = Hooks(self._setting("get_ip"), self._setting("get_host"), self._setting("nsupdatecommands"))
        resolver = self._resolver()
        keyring, doubts = (Keyring(), []) if hooks.get_host else self._clients(resolver)
        own = self._own(keyring, resolver)
        permits, about_acme = self._permits(keyring, own, resolver)
        cert, key = self._certificate()
        listeners = self._listeners(has_certificate=cert is not None, may_be_none=bool(own))
        token: Token | None = self._setting("status_token")
        return Config(
            path=self._program.path,
            listeners=listeners,
            status=self._status(listeners),
            status_token=token,
            **self._memory(),
            **{name: self._setting(name) for name in PLAIN},
            cert=cert,
            key=key,
            keyring=keyring,
            own=own,
            permits=permits,
            provider=resolver.default,
            resolver=resolver,
            peer_only=self._setting("addresses"),
            hooks=hooks,
            doubts=(
                *others_can_write(self._program.path),
                *itertools.chain(*map(others_can_read, resolver.secret_files)),
                *self._program.doubts,
                *(token.doubts() if token else ()),
                *doubts,
                *about_acme,
            ),
        )

    def _setting(self, name: str) -> Any:
        """What a setting means; its default if the conf does not say; None if there is none."""
        setting = SETTINGS[name]
        value = self._names.get(name)
        if value is None:
            value = setting.default
        try:
            return None if value is None else setting.parse(value)
        except Mistake as mistake:
            raise self._error(name, mistake) from None

    def _error(self, name: str, reason: object) -> ConfigError:
        if name in self._options:
            return ConfigError(f"--{name}: {reason}")
        return self._program.error(name, reason)

    def _file(self, name: str) -> Path | None:
        """A file that can be read, relative to the conf; an option's too, as in 0.10."""
        relative = self._setting(name)
        if relative is None:
            return None
        try:
            return readable(self._folder, relative)
        except Mistake as mistake:
            raise self._error(name, mistake) from None

    def _certificate(self) -> tuple[Path | None, Path | None]:
        cert, key = self._file("cert"), self._file("key")
        if cert and not key:
            raise self._error("cert", 'a certificate needs its private key; add key = "server.key"')
        if key and not cert:
            raise self._error("key", 'a private key needs its certificate; add cert = "server.crt"')
        return cert, key

    def _listeners(self, has_certificate: bool, may_be_none: bool) -> tuple[Listener, ...]:
        plain, tls = self._setting("http") or (), self._setting("https") or ()
        if not plain and not tls and not may_be_none:
            raise ConfigError(
                f"{self._program.path}: nothing to listen on; add http = 8080, or https with key and cert"
            )
        if tls and not has_certificate:
            raise self._error("https", 'needs a certificate; add key = "server.key" and cert = "server.crt"')
        return (*plain, *tls)

    def _status(self, others: Sequence[Listener]) -> tuple[Listener, ...]:
        """Never where routers call: whoever reaches them would reach these."""
        listeners: tuple[Listener, ...] = self._setting("status") or ()
        ports = {listener.port for listener in others if listener.port}
        for shared in (listener.port for listener in listeners if listener.port in ports):
            raise self._error("status", f"{shared} is the port of http or https, which routers reach; choose another")
        return listeners

    def _memory(self) -> dict[str, Any]:
        """Where what was seen is kept: as the conf says, or else where systemd has a folder for it."""
        said: Path | bool | None = self._setting("state")
        path = self._folder / said if isinstance(said, Path) else None
        folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        if is_default := bool(said is None and folder and not self._setting("reuse_port")):
            path = Path(folder, "state.json")
        return {"state": path, "state_by_default": is_default, "history": self._setting("history")}

    def _resolver(self) -> Resolver:
        """Of providers; `Bind()` is what server, nskeyfile and zone say."""
        keyfile, server = self._file("nskeyfile"), self._setting("server")
        zones, provider = self._setting("zone") or (), self._setting("provider") or Bind()
        try:
            where = primary(server, keyfile, 'nskeyfile = "sftdyn.key"')
        except Mistake as mistake:
            raise self._error("server", mistake) from None
        try:
            return Resolver(self._folder, Bind(where, zones), provider)
        except Mistake as mistake:
            raise self._error("provider", mistake) from None

    def _clients(self, resolver: Resolver) -> tuple[Keyring, list[str]]:
        name = "CLIENTS" if self._names.get("CLIENTS") else "clients"
        if name == "CLIENTS" and self._names.get("clients"):
            raise self._error("CLIENTS", "clients is set, too; keep all entries in one of them")
        try:
            keyring, doubts = read_clients(self._setting(name), resolver)
        except EntryMistake as mistake:
            raise self._entry_error(name, mistake) from None
        return keyring, doubts.sentences(self._program.lines_of)

    def _entry_error(self, name: str, mistake: EntryMistake) -> ConfigError:
        """At the last line that writes the entry's key out, or else its host name."""
        lines = self._program.lines_of([mistake.key, mistake.name])
        return self._program.error(name, mistake, max(lines[mistake.key] or lines[mistake.name], default=None))

    def _permits(self, keyring: Keyring, own: Sequence[Own], resolver: Resolver) -> tuple[Permits, list[str]]:
        """What is no mapping of texts is an old conf's own variable."""
        ignored: list[str] = []
        try:
            entries = self._setting("acme")
        except ConfigError as error:
            entries, ignored = {}, [f"{error}; it counts for nothing as it is"]
        try:
            permits, doubts = read_permits(entries, keyring, [one.client for one in own], resolver)
            permits = replace(permits, of_others=bool(self._setting("get_host")) or permits.of_others)
        except EntryMistake as mistake:
            raise self._entry_error("acme", mistake) from None
        return permits, [*ignored, *doubts.sentences(self._program.lines_of)]

    def _own(self, keyring: Keyring, resolver: Resolver) -> tuple[Own, ...]:
        own = self._setting("own")
        try:
            return settle_own(own, keyring.clients.values(), resolver)
        except Mistake as mistake:
            raise self._error("own", mistake) from None
