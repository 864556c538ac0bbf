"""The pages: links lead somewhere, what they name exists, and the tree of the rooms is that of the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from test_rooms import FLOORS, PACKAGE, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = (".ci", "benchmarks", "docs", "examples", PACKAGE.name, "tests", "tools")

FILE = re.compile(r"(?<![\w/.*>}-])[\w./-]*\w\.(?:pyx|pxd|py|c|h|md)(?![\w(.*/])")
"""A file of the project, by its path or the end of it. What a reader makes in examples has other endings."""

MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}
"""Packages that are imported by another name."""

LOADED = {"mpich"}
"""Libraries, which another package loads."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def endings() -> set[str]:
    """ "minidl/layers/conv.py", "layers/conv.py" and "conv.py" for every file, and folders likewise, with a slash."""
    found = set()
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")] + list(ROOT.iterdir())
    for path in files:
        parts = ["minidl" if part == PACKAGE.name else part for part in path.relative_to(ROOT).parts]
        slash = "/" if path.is_dir() else ""
        found |= {"/".join(parts[i:]) + slash for i in range(len(parts))}
    return found


ENDINGS = endings()


def named_files(text: str) -> list[str]:
    """Paths of files in a page, apart from its links."""
    text = re.sub(r"\]\([^)]*\)|https?://\S+", "", text)
    return [re.sub(r"\A(\.\./)+", "", word) for word in FILE.findall(text)]


def anchors(text: str) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"(?m)^#+ (.*)", re.sub(r"(?s)```.*?```", "", text))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists() or other.relative_to(ROOT).as_posix() in ENDINGS, target
        if anchor:
            assert anchor in anchors(other.read_text("utf-8")), target


@pages
def test_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    assert [name for name in named_files(text) if name not in ENDINGS] == []
    folders = re.findall(
        r"`((?:minidl|tests|docs|examples|benchmarks|tools|kernels|_ext|lanes|core|pixels|isa)/[\w/]*/?)`", text
    )
    assert [name for name in folders if name.rstrip("/") + "/" not in ENDINGS] == []


@pages
def test_names_of_minidl_resolve(page):
    for name in sorted(set(re.findall(r"(?<![\w/.-])minidl(?:\.[A-Za-z_]\w*)+", page.read_text("utf-8")))):
        found = importlib.import_module("minidl")
        for i, part in enumerate(name.split(".")[1:], 2):
            if not hasattr(found, part):
                importlib.import_module(".".join(name.split(".")[:i]))
            found = getattr(found, part)


def test_the_test_sees_names():
    text = "`_ext/core/tile.h`, tools/nothing.py and mine.png; [x](a.md); `kernels/<family>.py`"
    assert named_files(text) == ["_ext/core/tile.h", "tools/nothing.py"]
    assert {"_ext/core/tile.h", "core/", "minidl/layers/conv.py"} <= ENDINGS
    assert anchors("# One `word`: and more\n") == {"one-word-and-more"}


DESIGN = (ROOT / "docs" / "design.md").read_text("utf-8")


def blocks() -> list[list[list[str]]]:
    """The words of each line of each block without a language on the page about the design."""
    return [[line.split() for line in block.splitlines()] for block in re.findall(r"```\n(.*?)```", DESIGN, re.DOTALL)]


def test_the_floors_on_the_page_are_those_of_the_code():
    assert blocks()[1] == [list(floor) for floor in reversed(FLOORS)]


def test_every_room_has_its_line():
    endings = ("py", "c", "h", "gz", "js")
    files = [path.relative_to(PACKAGE) for ending in endings for path in PACKAGE.rglob(f"*.{ending}")]
    rooms = {f"{file.parent.as_posix()}/" for file in files if file.parent != Path()}
    rooms |= {file.name for file in files if file.parent == Path() and file.name != "__init__.py"}
    assert sorted(words[0] for words in blocks()[0]) == sorted(rooms)


def test_the_extras_of_the_readme_are_those_that_the_package_uses():
    """Each is in the table with what it brings, and each of its packages is imported somewhere."""
    text, readme = ((ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "README.md"))
    part = re.search(r"(?s)\[project.optional-dependencies\]\n(.*?)\n\[", text)[1]
    extras = {name: re.findall(r'"([\w-]+)', packages) for name, packages in re.findall(r"(?m)^(\w+) = (\[.*\])", part)}
    assert extras.pop("test")
    table = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \|", readme))
    assert {"plot", "image", "onnx", "mpi", "progress", "sklearn", "live"} == set(extras)
    source = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    for name, packages in extras.items():
        for package in packages:
            assert package in table[name].lower()
            assert package in LOADED or re.search(rf"(import|from) {MODULES.get(package, package)}\b", source)
