"""A Chromium that is driven by Playwright, for the tests of the page, its pictures and its costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
THREE = [(90, 70), (140, 50), (190, 75), (180, 120), (130, 140), (185, 160), (195, 205), (140, 235), (85, 215)]
"""A digit in the drawing area's 280 x 280 pixels."""


def chromium() -> str | None:
    """The browser's program: the one that CHROMIUM names, else one that is found by its name, else None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def launched(playwright: Any) -> Any:
    """A browser. Raises SystemExit where there is none."""
    program = chromium()
    if program is None:
        raise SystemExit("no Chromium was found: install one, or name it by CHROMIUM")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # for whom Chromium has no sandbox
    return playwright.chromium.launch(executable_path=program, args=[*FLAGS, "--no-sandbox"] if root else FLAGS)


def drag(page: Any, points: Sequence[tuple[float, float]]) -> None:
    """Draw a line through points of the drawing area, in its own 280 x 280 pixels."""
    box = page.locator("#pad").bounding_box()
    spots = [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=6)
    page.mouse.up()
