"""Look at the built book as a browser without a network does: python tools/check_book.py build/docs.

Every link and picture inside leads to a file and an anchor that are there, nothing is fetched from another server, and
every public name has its entry in the reference. Prints what is wrong, a line each, and ends with the exit status 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import minidl

FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
"""Elements that make a browser load something at once."""


class Page(HTMLParser):
    """The anchors of a page, its links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """What the parser calls at each element."""
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag in FETCHED and values.get(FETCHED[tag]):
            self.loaded.append(str(values[FETCHED[tag]]))


def broken(folder: Path) -> Iterator[str]:
    """A line for each link that leads nowhere and each thing from another server."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for target in page.links + page.loaded:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loaded and parts.scheme != "data":
                    yield f"{name}: loads {target}"
                continue
            other = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not other.exists():
                yield f"{name}: {target} is not there"
            elif parts.fragment and other in pages and unquote(parts.fragment) not in pages[other].anchors:
                yield f"{name}: {target} has no such anchor"


def missing(folder: Path) -> Iterator[str]:
    """A line for each name of `minidl` and of its public modules that no page of the reference describes."""
    found: set[str] = set()
    for path in (folder / "book" / "reference").glob("*.html"):
        found |= Page(path).anchors
    rooms = [minidl, *(value for name in minidl.__all__ if isinstance(value := getattr(minidl, name), ModuleType))]
    for room in rooms:
        for name in getattr(room, "__all__", ()):
            value = getattr(room, name)
            known = f"{room.__name__}.{name}" in found or (
                getattr(minidl, name, None) is value and f"minidl.{name}" in found
            )
            if not isinstance(value, ModuleType) and name[:2] != "__" and not known:
                yield f"{room.__name__}.{name} has no entry"


def main() -> None:
    """Check the folder that the command line names."""
    folder = Path(sys.argv[1])
    faults = [*broken(folder), *missing(folder)]
    print(*faults, sep="\n", end="\n" if faults else "")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
