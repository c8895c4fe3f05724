"""The house: where things may be."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import lab
from tests.lab.machine import ROOT
from tests.patterns import Slow, look_at

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


def is_in(module: str, places: str) -> bool:
    """Whether it is one of them, or in a folder that is."""
    return any(f"{module}.".startswith(f"{place}.") for place in places.split())


def test_imports_run_in_one_direction() -> None:
    own = {name: own_imports(name) for name in MODULES}
    while free := [name for name, needs in own.items() if not needs]:
        own = {name: needs - set(free) for name, needs in own.items() if name not in free}
    assert not own, f"these import each other: {own}"


# Only to the right, by DESIGN: who is in one of these rooms may import from the same room and from those behind it.
ROOMS = [
    "__main__",
    "cli",
    "service",
    "systemd",
    "doors",
    "check",
    "conf",
    "web providers",
    "fetch trust threads",
    "places",
    "values",
]


def room(module: str) -> int:
    """The number of a module's room, from the left."""
    top = module.partition(".")[0]
    return next(number for number, rooms in enumerate(ROOMS) if top in rooms.split())


def test_imports_run_to_the_right() -> None:
    for module in sorted(set(MODULES) - {""}):
        for needed in own_imports(module):
            assert room(needed) >= room(module), f"{module} imports {needed}"


def test_web_and_providers_do_not_know_each_other() -> None:
    for module in MODULES:
        for here, there in (("web", "providers"), ("providers", "web")):
            if module.startswith(here):
                assert not [name for name in own_imports(module) if name.startswith(there)], module


def test_web_neither_asks_others_nor_starts_threads() -> None:
    """What it believes, where it shows itself its own certificate, it may ask."""
    asking = {name for name in MODULES if is_in(name, "fetch threads")}
    assert not [name for name in MODULES if is_in(name, "web") and own_imports(name) & asking]


def test_a_folder_says_in_one_line_what_it_knows() -> None:
    for path in PACKAGE.rglob("*/__init__.py"):
        assert len(path.read_text().splitlines()) == 1, path


def test_functions_are_short() -> None:
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length < 40, f"{name}.{node.name} has {length} lines: what is its second job?"


def test_rooms_are_seen_at_a_glance() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 320, f"{path} is two rooms"


def test_a_class_has_one_meaning() -> None:
    where: dict[str, str] = {}
    for name, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                assert where.setdefault(node.name, name) == name, f"{node.name} is in {where[node.name]} and in {name}"


# What has more than ten attributes, and why.
MANY = {
    "Config": "the settings, each once",
    "Service": "all that is started and ended",
    "Session": "one account's zones, lanes, suspects and pauses: each has its rule",
    "Ticket": "one update's whole way",
    "Manner": "all that differs from place to place, in numbers",
    "Cloudflare": "what the conf can say of it",
    "Overview": "all that the page shows at one moment",
    "Row": "all that is shown of one record set",
    "StatusDoor": "it shows what all the others know",
    "Providers": "what runs, and what a reload makes of it",
    "Desk": "it puts the rooms of the engine together",
    "Watch": "what was seen, what of it outlives a restart, and what a conf makes of it",
    "Lane": "lines, looks and the workers that serve them",
}


def test_classes_are_small_or_have_a_reason() -> None:
    many = {
        node.name
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        if _attributes(node) > 10
    }
    assert many <= set(MANY)


def _attributes(node: ast.ClassDef) -> int:
    own = {
        field.target.id
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }
    for place in ast.walk(node):
        if isinstance(place, ast.Attribute) and isinstance(place.ctx, ast.Store):
            own |= {place.attr} if isinstance(place.value, ast.Name) and place.value.id == "self" else set()
    return len(own)


def test_nothing_but_the_standard_library_is_imported() -> None:
    used = {name.partition(".")[0] for tree in MODULES.values() for name in imports(tree)}
    assert used <= set(sys.stdlib_module_names)


SOCKETS = "web.server web.connection web.listen systemd fetch doors.own.rtnetlink doors.proof doors.watch"


def test_sockets_and_processes_have_one_room_each() -> None:
    def rooms(*modules: str) -> set[str]:
        return {name for name, tree in MODULES.items() if imports(tree) & set(modules)}

    assert {name for name in rooms("socket", "smtplib") if not is_in(name, SOCKETS)} == set()
    assert rooms("subprocess", "asyncio.subprocess") == {"providers.bind.nsupdate"}


def test_the_lab_imports_nothing_of_sftdyn() -> None:
    """Nor of anybody else: the demo runs it with the machine's own Python."""
    trees = [ast.parse(path.read_text()) for path in Path(lab.__file__).parent.glob("*.py")]
    assert {name.partition(".")[0] for tree in trees for name in imports(tree)} <= set(sys.stdlib_module_names)
    assert {node.level for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} <= {0, 1}


def test_no_pattern_takes_more_than_the_length_of_a_text() -> None:
    for name, tree in MODULES.items():
        for pattern in patterns_of(tree):
            try:
                look_at(pattern)
            except Slow as slow:
                raise AssertionError(f"{name}: {pattern.pattern!r}: {slow}") from None
    for text in (r":[ \t]*(.*?)[ \t]*", "(a+)+", r"x\d*[0-9a-f]+", "(?:a*b?)*c", " +(?:x| +)"):
        with pytest.raises(Slow):
            look_at(re.compile(text))


def patterns_of(tree: ast.Module) -> Iterator[re.Pattern[Any]]:
    """Those that a module writes as a whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args:
            pattern, flags = node.args[0], [ast.unparse(one) for one in node.args if "re." in ast.unparse(one)]
            if isinstance(pattern, ast.Constant):
                yield re.compile(pattern.value, eval("|".join(flags) or "0", {"re": re}))
