"""The conf as a Python program: it is compiled, searched for typing mistakes, and run.

Text and code are dropped as soon as it has run; who wants to know a line then has the file read once more.
"""

import ast
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from ..threads import error_line
from ..values.mistake import Mistake
from .constructors import did_you_mean, nearest

LARGE = 1 << 20  # octets of a conf whose compilation takes much memory
CURES = {
    FileNotFoundError: "; write one (docs/setup.md, step 3), or name yours behind sftdyn",
    PermissionError: "; as root put sudo in front. For the service: its user must be able to read it, such as by "
    "chgrp bind and chmod 640",
}
TOO_FEW = re.compile(r"not enough values to unpack \(expected \d+, got \d+\)")
TRUTH = frozenset("no yes on off true false".split())


class ConfigError(Mistake):
    """The conf cannot work. The message says where, why and what to write instead, and quotes no value."""


class Program:
    """The conf at `path`. What Python warns of while it is compiled and run is in `doubts` afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.doubts: list[str] = []  # file, line and category: the warning's own text quotes the conf

    def run(self, names: Mapping[str, Any], settings: Collection[str], new: Collection[str]) -> dict[str, Any]:
        """What the conf leaves behind when it runs with `names` already there. Raises ConfigError.

        What is almost a setting's name is refused; if that setting is `new`, it may be an old conf's own variable,
        and is in `doubts`.
        """
        namespace = {"__file__": str(self.path), "__name__": "sftdyn_conf", **names}
        text = self._read()
        with warnings.catch_warnings(record=True) as caught:
            self._run(text, namespace, settings, new)
        met = (f"{warning.filename}:{warning.lineno}: {warning.category.__name__}" for warning in caught)
        self.doubts += dict.fromkeys(met)
        if len(text) > LARGE:
            _give_back_memory()
        return namespace

    def error(self, setting: str, reason: object, line: int | None = None) -> ConfigError:
        """The error that `setting` cannot be as it is, at its last definition or at `line`."""
        place = self._place(line or _definitions(self._tree()).get(setting))
        return ConfigError(f"{place}: {setting}: {reason}")

    def lines_of(self, keys: Collection[object]) -> dict[object, list[int]]:
        """The lines in which the conf writes each of these keys out, in order."""
        constants = [part for part in ast.walk(self._tree()) if isinstance(part, ast.Constant)]
        lines: dict[object, set[int]] = {key: set() for key in keys}
        for constant in constants:
            if constant.value in lines:
                lines[constant.value].add(constant.lineno)
        return {key: sorted(found) for key, found in lines.items()}

    def _run(self, text: bytes, namespace: dict[str, Any], settings: Collection[str], new: Collection[str]) -> None:
        code = self._compiled(text)
        self._look_for_typing_mistakes(set(code.co_names) - set(namespace), settings, new)
        known = {*settings, *namespace}
        try:
            exec(code, namespace)
        except BaseException as error:
            place = self._place(error_line(error, self.path))
            raise ConfigError(f"{place}: the conf stopped with {_described(error, known)}") from None

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            cure = CURES.get(type(error), "")
            raise ConfigError(f"{self.path}: cannot read the conf: {error.strerror}{cure}") from None

    def _compiled(self, text: bytes) -> CodeType:
        try:
            return compile(text, str(self.path), "exec")
        except SyntaxError as error:
            what = error.msg.partition("repeated:")[0]  # a name of the conf stands behind it
            raise ConfigError(f"{self._place(error.lineno)}: the conf is not valid Python: {what}") from None
        except ValueError:
            raise ConfigError(f"{self.path}: the conf is not valid Python: it holds a null byte") from None
        except (RecursionError, MemoryError):
            raise ConfigError(f"{self.path}: the conf is too deeply nested") from None

    def _tree(self) -> ast.Module:
        """The syntax of the conf, as it is now: some KiB for each line, so it is not kept."""
        try:
            text = self._read() if self.path.is_file() else b""  # a pipe has nothing more to say
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text)
        except (ConfigError, SyntaxError, ValueError, RecursionError, MemoryError):  # it has changed since
            return ast.Module([], [])

    def _place(self, line: int | None) -> str:
        return f"{self.path}:{line}" if line else str(self.path)

    def _look_for_typing_mistakes(
        self, names: Collection[str], settings: Collection[str], new: Collection[str]
    ) -> None:
        """Refuse a name that nothing reads and that is almost a setting's: `htps = 4443`. Raises ConfigError."""
        meant = {name: near for name in set(names) - set(settings) if (near := nearest(name, settings))}
        if not meant:
            return
        tree = self._tree()
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for name, line in _definitions(tree).items():
            if name in used or name not in meant or name.startswith("_"):
                continue
            if meant[name] not in new:
                raise self.error(name, did_you_mean(meant[name]))
            self.doubts.append(f"{self._place(line)}: {name}: {did_you_mean(meant[name])}")


def _give_back_memory() -> None:
    """Hand to the system what was freed, where glibc would keep it: 500 MiB after 300 000 lines."""
    try:
        import ctypes  # a small conf needs none of it

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError, MemoryError):
        pass  # another libc, or a sandbox that forbids it


def _definitions(tree: ast.Module) -> dict[str, int]:
    """The names that the conf's own statements define, with the last line of each."""
    return {name: node.lineno for node in tree.body for name in _defined(node)}


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for part in (part for target in targets for part in ast.walk(target)):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _described(error: BaseException, known: Collection[str]) -> str:
    """The exception's type, and its text only where that cannot hold a value of the conf."""
    kind = type(error).__name__
    if isinstance(error, Mistake):
        return f"an error: {error}"
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}"
    if isinstance(error, NameError):
        return f"{kind}: a name that is not defined; {_instead(str(error.name), known)}"
    if isinstance(error, ValueError) and TOO_FEW.fullmatch(str(error)):
        return f"{kind}: {error}; if it is a line of a file, skip the empty ones: if line.strip()"
    return kind


def _instead(name: str, known: Collection[str]) -> str:
    """What a name that is not defined should have been."""
    if name.lower() in TRUTH:
        return "write True or False"
    near = nearest(name, [one for one in known if not one.startswith("_")])
    return f"did you mean {near}?" if near else "a text needs quotes"
