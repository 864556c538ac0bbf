"""The house: imports run downhill from room to room, and no files import each other in a circle.

Every import counts: inside a function, under TYPE_CHECKING, and a `cimport`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = next(path for path in (ROOT / "minidl", ROOT / "minidl.source") if path.exists())
"""The sources: an installation has no .pyx. `make sdist-check` renames them."""

FLOORS: tuple[tuple[str, ...], ...] = (
    ("support", "version"),
    ("_ext",),
    ("kernels",),
    ("config", "data", "functional", "layers", "losses", "metrics", "safetensors"),
    ("compiled",),
    ("model", "optim"),
    ("networks", "onnx", "plots"),
    ("training",),
    ("checks", "mpi", "sklearn"),
    ("live",),
    ("__init__",),
)
"""From the ground up: a room may import from the floors below its own, and from itself."""

FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for ending in ("py", "pyx", "pxd") for path in PACKAGE.rglob(f"*.{ending}"))


def module(path: Path) -> str:
    """ "training.callbacks.base" of that file; "" is the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path) for path in FILES}


def target(name: str) -> str | None:
    """The module of minidl that "minidl.training.history.History" lies in; None for a name of another package."""
    parts = name.split(".")
    if parts[0] != "minidl":
        return None
    while ".".join(parts[1:]) not in MODULES:
        parts.pop()
    return ".".join(parts[1:])


def imports(path: Path) -> set[str]:
    """Modules of minidl that a file imports."""
    text = path.read_text(encoding="utf-8")
    names: list[str] = []
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                names += [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        for found in re.finditer(r"(?m)^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n]*)", text):
            members = re.findall(r"(\w+)(?:\s+as\s+\w+)?\s*(?:,|$|\))", found[2].strip("()") + ",")
            names += [f"{found[1]}.{member}" for member in members]
        names += re.findall(r"(?m)^\s*c?import\s+([\w.]+)", text)
    return {found for name in names if (found := target(name)) is not None}


IMPORTS: dict[str, set[str]] = {}
for _path in FILES:
    IMPORTS.setdefault(module(_path), set()).update(imports(_path) - {module(_path)})


def room(name: str) -> str:
    return name.partition(".")[0] or "__init__"


def test_every_room_has_a_floor():
    assert {room(name) for name in MODULES} == FLOOR.keys()


def test_the_test_sees_imports():
    assert "kernels.contract" in IMPORTS["layers.fused"]
    assert "kernels.checks" in IMPORTS["layers.base"]
    assert "_ext.lanearray" in IMPORTS["_ext.linear"]
    assert sum(map(len, IMPORTS.values())) > 300


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_downhill(name):
    here = room(name)
    uphill = [other for other in IMPORTS[name] if room(other) != here and FLOOR[room(other)] >= FLOOR[here]]
    assert uphill == []


def test_no_circles():
    """A package's face (`__init__`) hands names on; who imports it from inside the package would close a circle."""
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> None:
        assert name not in path, f"circle: {' -> '.join([*path[path.index(name) :], name])}"
        if name not in done:
            for other in sorted(IMPORTS[name]):
                follow(other, [*path, name])
            done.add(name)

    for name in sorted(MODULES):
        follow(name, [])
