"""The house: where things may be."""

import ast
import sys
from pathlib import Path

from tests import lab
from tests.lab.machine import ROOT

PACKAGE = ROOT / "sftdyn"


def module_name(path: Path) -> str:
    """`doors.quota` for sftdyn/doors/quota.py, `doors` for the folder itself, "" for the package."""
    return ".".join(part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__")


MODULES = {module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def own_imports(module: str) -> set[str]:
    """The package's modules that a module imports."""
    found: set[str] = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = ["", *module.split(".")][: -node.level]
            place = ".".join([*base[1:], *([node.module] if node.module else [])])
            found |= {place} | {f"{place}.{alias.name}".strip(".") for alias in node.names}
    return found & set(MODULES) - {""}


def imports(tree: ast.Module) -> set[str]:
    """The modules of others that it imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module or ""}
    return found


def test_imports_run_in_one_direction() -> None:
    own = {name: own_imports(name) for name in MODULES}
    while free := [name for name, needs in own.items() if not needs]:
        own = {name: needs - set(free) for name, needs in own.items() if name not in free}
    assert not own, f"these import each other: {own}"


def test_nothing_but_the_standard_library_is_imported() -> None:
    used = {name.partition(".")[0] for tree in MODULES.values() for name in imports(tree)}
    assert used <= set(sys.stdlib_module_names)


def test_sockets_and_processes_have_one_room_each() -> None:
    def rooms(*modules: str) -> set[str]:
        return {name for name, tree in MODULES.items() if imports(tree) & set(modules)}

    assert rooms("socket") == {"web.server", "systemd"}
    assert rooms("subprocess", "asyncio.subprocess") == {"providers.bind.nsupdate"}


def test_the_lab_imports_nothing_of_sftdyn() -> None:
    """Nor of anybody else: the demo runs it with the machine's own Python."""
    trees = [ast.parse(path.read_text()) for path in Path(lab.__file__).parent.glob("*.py")]
    assert {name.partition(".")[0] for tree in trees for name in imports(tree)} <= set(sys.stdlib_module_names)
    assert {node.level for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} <= {0, 1}
