"""The course's pictures, as large as a projector's: python docs/book/slides.py FOLDER [CHAPTER ...]

The cells of a chapter are run as they stand on its page, and every Figure that one of them ends with is a picture. So
a slide shows what the chapter shows, and follows when the chapter changes.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

COURSE = Path(__file__).resolve().parent / "course"
WIDTH, HEIGHT = 1920, 1080
"""Pixels of a projector: a picture is as large as these allow."""


def page(chapter: int) -> Path:
    """The file of a chapter."""
    found = sorted(COURSE.glob(f"{chapter:02}_*.md"))
    if not found:
        raise ValueError(f"slides: there is no chapter {chapter}")
    return found[0]


def last_value(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell; what its last line is worth, if that is an expression, as a notebook would show it."""
    body = ast.parse(cell).body
    shown = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return eval(compile(ast.Expression(shown.value), "cell", "eval"), names) if isinstance(shown, ast.Expr) else None


def pictures(chapter: int) -> list[Any]:
    """The Figures of a chapter in their order."""
    cells = re.findall(r"(?ms)^```\{code-cell\} python\n(?::.*?\n)*(.*?)^```$", page(chapter).read_text("utf-8"))
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        values = [last_value(cell, names) for cell in cells]
    return [value for value in values if hasattr(value, "savefig")]


def png(picture: Any) -> bytes:
    """A Figure as a file with the resolution of a slide."""
    width, height = picture.get_size_inches()
    file = io.BytesIO()
    picture.savefig(file, format="png", dpi=min(WIDTH / width, HEIGHT / height))
    return file.getvalue()


def show(chapter: int) -> None:
    """Show a chapter's pictures below a cell of a notebook."""
    from IPython.display import Image, display

    for picture in pictures(chapter):
        display(Image(png(picture)))


def main() -> None:
    """Write the pictures of the chapters that the command line names, or of all, as PNG files."""
    if len(sys.argv) < 2:
        sys.exit("usage: python docs/book/slides.py FOLDER [CHAPTER ...]")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for chapter in map(int, sys.argv[2:]) if sys.argv[2:] else range(1, 11):
        for i, picture in enumerate(pictures(chapter), 1):
            path = folder / f"{page(chapter).stem}_{i}.png"
            path.write_bytes(png(picture))
            print(path)


if __name__ == "__main__":
    main()
