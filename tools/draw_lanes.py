"""Draw the pictures of docs/kernels/ (pip install matplotlib).

    python tools/draw_lanes.py [--out docs/pictures]

lanes.png: a batch in memory, as numpy and as the native backend store it. packing.png: what a convolution reads.
tile.png: the register tile.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

IMAGES = ("#f2b8a0", "#f7dd9b", "#bcd9a3", "#a9d4e0", "#b9bfe8", "#e0b8dc")
ACCENT, PLAIN, EMPTY, INK = "#f2b8a0", "#e6edf2", "#ffffff", "#222222"
LANES = 4


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty page whose coordinates are tenths of an inch, y downwards."""
    figure = plt.figure(figsize=(width / 10, height / 10), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def cell(
    axes: Axes,
    x: float,
    y: float,
    text: str = "",
    color: str = PLAIN,
    width: float = 3,
    height: float = 3,
    size: int = 9,
) -> None:
    """One box with its text; a box of colour EMPTY is hatched."""
    hatch = "////" if color == EMPTY else None
    axes.add_patch(Rectangle((x, y), width, height, facecolor=color, edgecolor=INK, linewidth=0.7, hatch=hatch))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, color=INK)


def frame(axes: Axes, x: float, y: float, width: float, height: float, color: str = INK) -> None:
    """A thick outline."""
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=color, linewidth=2.2))


def note(axes: Axes, x: float, y: float, text: str, size: int = 9, ha: str = "left", bold: bool = False) -> None:
    """Lines of text, the first one centred on y."""
    for line in text.split("\n"):
        axes.text(x, y, line, fontsize=size, ha=ha, va="center", color=INK, fontweight="bold" if bold else "normal")
        y += 2.7


def bracket(axes: Axes, x0: float, x1: float, y: float, text: str) -> None:
    """A brace below x0..x1 with a text under it."""
    axes.plot([x0 + 0.2, x0 + 0.2, x1 - 0.2, x1 - 0.2], [y, y + 0.8, y + 0.8, y], color=INK, linewidth=1)
    note(axes, (x0 + x1) / 2, y + 2.1, text, ha="center")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from start to end."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0})


def draw_lanes() -> Figure:
    """Six images of one channel and 2 x 2 pixels, image after image and in lanes of four."""
    figure, axes = canvas(104, 44)
    pixels, left, top = "abcd", 4, 39
    note(axes, left, 2.2, "Six images of 2 x 2 pixels a b c d: a colour and a number each", bold=True)

    note(axes, left, 6.2, "numpy: (N, C, H, W) = (6, 1, 2, 2), image after image")
    for n in range(6):
        for p, name in enumerate(pixels):
            cell(axes, left + 3 * (4 * n + p), 8, f"{name}{n}", IMAGES[n])
        bracket(axes, left + 12 * n, left + 12 * n + 12, 11.4, f"image {n}")

    note(axes, left, 18.2, "in lanes: (blocks, C, H, W, L) = (2, 1, 2, 2, 4); each thick frame is one vector")
    for block, title in enumerate(("block 0: images 0 to 3", "block 1: images 4 and 5, two lanes empty")):
        x = left + 48 * block
        for name in pixels:
            for n in range(LANES * block, LANES * block + LANES):
                cell(axes, x, 20, f"{name}{n}" if n < 6 else "", IMAGES[n] if n < 6 else EMPTY)
                x += 3
            frame(axes, x - 12, 20, 12, 3)
        bracket(axes, x - 48, x, 23.6, title)

    note(
        axes, left, 32.4, "One step of a convolution in block 0, for one output channel and one output pixel", bold=True
    )
    parts = (
        ("the sums so far", "y0 y1 y2 y3", "+"),
        ("pixel c of four images", "c0 c1 c2 c3", "*"),
        ("one weight, broadcast", "w w w w", "="),
        ("the new sums", "y0 y1 y2 y3", ""),
    )
    for i, (title, texts, sign) in enumerate(parts):
        x = left + 25 * i
        note(axes, x + 6, top - 1.8, title, ha="center")
        for lane, text in enumerate(texts.split()):
            cell(axes, x + 3 * lane, top, text, PLAIN if text == "w" else IMAGES[lane])
        frame(axes, x, top, 12, 3)
        note(axes, x + 18.5, top + 1.5, sign, size=16, ha="center")
    return figure


def draw_packing() -> Figure:
    """A band of two output rows of a 3 x 3 convolution with padding 1 over two channels."""
    figure, axes = canvas(104, 59)
    rows, columns, channels, kernel = 4, 7, 2, 3
    left, top, size, y, step = 14, 12, 5, 42, 2.85
    note(
        axes,
        4,
        2.2,
        "The packed input of one band: [row][column][channel], padding (0) included; a square is C vectors",
        bold=True,
    )
    note(axes, 4, 5.0, "3 x 3 kernel, padding 1, image 5 columns wide, C = 2; the band is the first two output rows")
    note(axes, left - 1, top - 1.4, "column", ha="right")
    for r in range(rows):
        note(axes, left - 1, top + size * (r + 0.5), f"row {r}", ha="right")
        for c in range(columns):
            padding = r == 0 or c in (0, columns - 1)
            inside = r < kernel and 1 <= c < 1 + kernel
            x = left + size * c
            cell(axes, x, top + size * r, "0" if padding else f"{r},{c}", ACCENT if inside else PLAIN, size, size)
            if r == 0:
                note(axes, x + size / 2, top - 1.4, f"{c}", ha="center")
    frame(axes, left + size, top, size * kernel, size * kernel)
    text = """The window of output pixel (0, 1), thick, is read in three runs,
one a kernel row. A run is KW x C = 6 vectors without a gap:
its KW columns with all their channels.

Every output pixel of the band uses the same offsets, counted
from its window's first vector: one column further right, all
three runs lie SW x C vectors further."""
    note(axes, left + size * columns + 5, top + 1.5, text)

    note(axes, 4, y - 3.6, "The same in memory (c0, c1: channels; each box is a vector of L images)", bold=True)
    start: list[float] = []
    x = 4.0
    for r in range(kernel):
        for c in range(1 + kernel):
            note(axes, x + step, y - 1.2, f"{r},{c}", ha="center", size=8)
            for channel in range(channels):
                cell(axes, x, y, f"c{channel}", ACCENT if c else PLAIN, step)
                x += step
        start.append(x - kernel * channels * step)
        bracket(axes, start[r], x, y + 3.5, f"run {r}")
        note(axes, x + 1.6, y + 1.5, "...", ha="center", size=12)
        x += 3.2
    axes.plot([start[0]] * 2, [y + 3, y + 14.4], color=INK, linewidth=1, linestyle=":")
    note(axes, start[0] + 1, y + 8.2, "offset[0] = 0", size=8)
    for r, text in ((1, "offset[1] = one packed row = 7 x C vectors"), (2, "offset[2] = two packed rows")):
        below = y + 8.8 + 2.8 * r
        axes.plot([start[r]] * 2, [y + 3, below], color=INK, linewidth=1, linestyle=":")
        arrow(axes, (start[0], below), (start[r], below))
        note(axes, start[0] + 1, below - 1.1, text, size=8)
    return figure


def draw_tile() -> Figure:
    """Six output channels times four pixels."""
    figure, axes = canvas(104, 46)
    left, top, width, height = 34, 15, 11, 5
    note(axes, 4, 2.2, "The register tile with AVX-512: 6 output channels x 4 pixels x L images", bold=True)
    for j in range(4):
        x = left + width * j
        cell(axes, x, 8, f"x{j}[k]", ACCENT, width - 1.5, 3.4)
        arrow(axes, (x + 4.75, 11.6), (x + 4.75, top - 0.2))
    for i in range(6):
        y = top + height * i
        cell(axes, left - 15, y, f"a[k, {i}]", PLAIN, 7.5, 3.4)
        arrow(axes, (left - 7.2, y + 1.7), (left - 0.3, y + 1.7))
        for j in range(4):
            cell(axes, left + width * j, y, f"acc[{i}][{j}]", IMAGES[3], width - 1.5, 3.4)
    note(axes, 4, top + 10, "6 numbers: the\nweights of term k,\neach broadcast")
    x = left + width * 4 + 1
    note(axes, x, 8.6, "4 vectors: term k (a tap of\na channel) of four windows")
    text = """24 sums that stay in registers
for the whole loop over k:
acc[i][j] += a[k, i] * xj[k]

One step k: 4 loads,
6 broadcasts, 24 multiply-adds.
24 + 4 + 1 of 32 registers."""
    note(axes, x, top + 3, text)
    return figure


def main() -> None:
    """Draw the three pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in (("lanes", draw_lanes), ("packing", draw_packing), ("tile", draw_tile)):
        figure = draw()
        figure.savefig(out / f"{name}.png", dpi=110, metadata={"Software": None})
        plt.close(figure)
        print(out / f"{name}.png")


if __name__ == "__main__":
    main()
