"""Pictures of the page (`python -m minidl.live`) for docs/live.md and the README, made in a Chromium by Playwright.

    python tools/screenshots.py            all of them, into docs/pictures/live
    python tools/screenshots.py --look DIR all panels in both themes and at a phone's width, to be looked at

Needs the extras `live` and `image`, Playwright, and a Chromium that is found by its name or named by CHROMIUM.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from driving import THREE, drag, launched
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PANELS = ("train", "draw", "inside", "step", "model")
WAIT = 300_000
"""Milliseconds: the machine may be busy."""
WIDTH = 1000
"""Pixels of a picture in the docs."""
COLOURS = 256
"""Of a picture: pages have few, and files with a palette are a third as large."""
HEIGHTS = {"train": 900, "draw": 860, "inside": 860, "step": 900, "model": 900}


def visit(page: Any, folder: Path, panel: str) -> None:
    """Bring a panel into the state that its picture is to show."""
    page.click(f"#tab-{panel}")
    if panel == "train":
        if page.locator("#change").is_visible():  # a phone has the settings folded up
            page.select_option("#change", "shift")
        page.fill("#image", "7")
        page.locator("#image").blur()
    elif panel == "draw":
        drag(page, THREE)
        page.wait_for_selector("#bars b.best")
    elif panel == "inside":
        page.wait_for_selector("#in-code tr")
        page.fill("#in-number", "7")
        page.locator("#in-number").blur()
        for field, value in (("#in-map", "5"), ("#in-row", "8"), ("#in-column", "12")):
            page.fill(field, value)
            page.locator(field).blur()
    elif panel == "step":
        page.wait_for_selector("#st-show canvas")
        page.click("#st-next")
        page.click("#st-next")
    else:
        page.set_input_files("#mo-file", folder / "model.safetensors")
        page.wait_for_selector("#mo-graph svg")
        page.set_input_files("#mo-picture", folder / "digit.png")
        page.wait_for_selector("#mo-answer canvas")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)


def files(folder: Path) -> None:
    """A model and a picture for the panel of one's own models."""
    import minidl
    from minidl.data import load_digits_mini

    minidl.seed(0)
    train, (x, _) = load_digits_mini()
    body = [minidl.Conv2D(8, 8, 3, padding=1, bias=False), minidl.BatchNorm2D(8)]
    model = minidl.Model(
        *(minidl.Conv2D(1, 8, 3, padding=1), minidl.Relu(), minidl.MaxPool2D(2)),
        *(minidl.Residual(minidl.Sequential(*body, minidl.Relu())), minidl.Flatten(), minidl.Linear(8 * 14 * 14, 10)),
    )
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.02, momentum=0.9))
    trainer.fit(train, epochs=3, seed=0, verbose=False)
    model.save(folder / "model.safetensors")
    Image.fromarray(x[7, 0]).save(folder / "digit.png")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, help="a folder for all panels in both themes and at a phone's width")
    args = parser.parse_args()
    out = args.look or ROOT / "docs" / "pictures" / "live"
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "minidl.live", "--port", "0", "--no-browser"]
    looks = [("light", 1400)] if args.look is None else [("light", 1400), ("dark", 1400), ("light", 390), ("dark", 390)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            files(Path(folder))
            browser = launched(playwright)
            address = server.stdout.readline().strip()
            for theme, width in looks:
                photograph(browser, address, theme, width, Path(folder), out, args.look is not None)
            browser.close()
    finally:
        server.terminate()
        server.wait()
    pictures = list(out.glob("*.png"))
    print(f"{len(pictures)} pictures, {sum(file.stat().st_size for file in pictures):,} bytes: {out}")


def photograph(browser: Any, address: str, theme: str, width: int, folder: Path, out: Path, whole: bool) -> None:
    """All panels in one theme and width; whole: as long as they are, else as the docs show them."""
    context = browser.new_context(viewport={"width": width, "height": 900 if width > 400 else 844}, color_scheme=theme)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#numbers div")
    page.wait_for_selector("#layers input", state="attached")
    if page.inner_text("#go") == "Start":
        page.click("#go")
        while float(page.locator("#numbers dd").nth(2).inner_text().replace(",", "")) < 6:
            time.sleep(0.02)
        page.click("#go")
    for panel in PANELS:
        visit(page, folder, panel)
        if whole:
            height = page.viewport_size["height"]
            page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
            page.wait_for_timeout(500)  # what was out of sight is drawn now
            page.screenshot(path=out / f"{panel}-{theme}-{width}.png")
            page.set_viewport_size({"width": width, "height": height})
            continue
        page.set_viewport_size({"width": width, "height": HEIGHTS[panel]})
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture = picture.resize((WIDTH, picture.height * WIDTH // picture.width), Image.Resampling.LANCZOS)
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(out / f"{panel}.png", optimize=True)
    context.close()


if __name__ == "__main__":
    main()
