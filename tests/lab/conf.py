"""Confs of sftdyn, in a line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .nameserver import NameServer

EVERYBODY = ["127.0.0.1:0", "[::1]:0"]  # free ports of the loopback, over both families


def conf(
    bind: NameServer | None = None, more: str = "", /, *, clients: Mapping[str, object] | None = None, **settings: Any
) -> str:
    """The text of a conf that publishes to `bind` and has these clients and settings; None: not set.

    `more` is Python that stands below them. Where nothing else is said, it listens for HTTP.
    """
    where = {"server": f"127.0.0.1:{bind.port}", "nskeyfile": bind.keyfile} if bind else {}
    said = {**where, "http": EVERYBODY, **settings}
    lines = [f"{name} = {_written(value)}\n" for name, value in said.items() if value is not None]
    lines += [f"clients[{key!r}] = {value!r}\n" for key, value in (clients or {}).items()]
    return "".join(lines) + more


def _written(value: object) -> str:
    return repr(str(value) if isinstance(value, Path) else value)


def tls(folder: Path) -> dict[str, Any]:
    """The settings for the certificate in a folder."""
    return {"key": folder / "server.key", "cert": folder / "server.crt"}
