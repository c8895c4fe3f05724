"""The conf as a Python program: it is read, searched for typing mistakes, and run."""

import ast
import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..values.mistake import Mistake

# How alike, from 0 to 1, an unknown name must be to a setting's to be taken for a typing mistake.
ALIKE = 0.75


class ConfigError(Mistake):
    """The conf cannot work. The message says where, why and what to write instead, and quotes no value."""


class Source:
    """The text of a conf. Raises ConfigError where it cannot be read or is not Python."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._text = path.read_bytes()
            self._tree = ast.parse(self._text, str(path))
        except OSError as error:
            raise ConfigError(f"{path}: cannot read the conf: {error.strerror}") from None
        except SyntaxError as error:
            raise ConfigError(f"{self._place(error.lineno)}: the conf is not valid Python: {error.msg}") from None
        except ValueError:
            raise ConfigError(f"{path}: the conf is not valid Python: it holds a null byte") from None
        except (RecursionError, MemoryError):
            raise ConfigError(f"{path}: the conf is too deeply nested") from None
        self._lines = {name: node.lineno for node in self._tree.body for name in _defined(node)}

    def run(self, names: Mapping[str, Any], settings: Collection[str]) -> dict[str, Any]:
        """What the conf leaves behind when it runs with `names` already there. Raises ConfigError."""
        self._refuse_typing_mistakes(settings)
        namespace = {"__file__": str(self.path), "__name__": "sftdyn_conf", **names}
        try:
            exec(compile(self._text, str(self.path), "exec"), namespace)
        except BaseException as error:
            place = self._place(error_line(error, self.path))
            raise ConfigError(f"{place}: the conf stopped with {_described(error)}") from None
        return namespace

    def error(self, setting: str, reason: object, line: int | None = None) -> ConfigError:
        """The error that `setting` cannot be as it is, at its last definition or at `line`."""
        return ConfigError(f"{self._place(line or self._lines.get(setting))}: {setting}: {reason}")

    def line_of_key(self, key: object) -> int | None:
        """The last line in which the conf writes `key` out."""
        constants = [part for part in ast.walk(self._tree) if isinstance(part, ast.Constant)]
        return max((constant.lineno for constant in constants if constant.value == key), default=None)

    def _place(self, line: int | None) -> str:
        return f"{self.path}:{line}" if line else str(self.path)

    def _refuse_typing_mistakes(self, settings: Collection[str]) -> None:
        """Refuse a name that nothing reads and that is almost a setting's: `htps = 4443`."""
        used = {n.id for n in ast.walk(self._tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for name in self._lines.keys() - used - set(settings):
            near = difflib.get_close_matches(name.lower(), settings, n=1, cutoff=ALIKE)
            if near and not name.startswith("_"):
                raise self.error(name, f"there is no such setting; did you mean {near[0]}?")


def error_line(error: BaseException, path: Path) -> int | None:
    """The last line of the file at `path` that the exception came through."""
    line, step = None, error.__traceback__
    while step:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    return line


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for part in (part for target in targets for part in ast.walk(target)):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _described(error: BaseException) -> str:
    """The exception's type, and its text only where that cannot hold a value of the conf."""
    kind = type(error).__name__
    if isinstance(error, Mistake):
        return f"an error: {error}"
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}"
    if isinstance(error, NameError):
        return f"{kind}: a name that is not defined; a text needs quotes"
    return kind
