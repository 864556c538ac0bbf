"""Convolution as an image template: blur, low-pass, high-pass and edges, on a photograph and then learnt from it.

Grey conversion and horizontal edges are CS231n's two filters of 3x3 over the three colours. At the end a single
convolution with random weights is trained to turn the picture into its edges: it finds the template again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import parser, save, start

import minidl
from minidl import functional, plots
from minidl.data import read_image

BOX = np.full((3, 3), 1 / 9)
LOW = np.outer([1, 2, 1], [1, 2, 1]) / 16
HIGH = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], float)
HORIZONTAL = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], float)
GREY = np.array([0.3, 0.6, 0.1])
"""Shares of red, green and blue in a grey value."""


def load(path: Path | None) -> np.ndarray:
    """A picture as (1, 3, H, W) floats in [0, 1]: the file `path`, or matplotlib's sample."""
    if path is None:
        from matplotlib.cbook import get_sample_data

        path = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    try:
        return read_image(path)[None] / 255.0
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}: name a picture by --data") from error


def learn(x: np.ndarray, target: np.ndarray, epochs: int) -> np.ndarray:
    """The 3x3 kernel that a convolution learns from a pair (picture, filtered picture)."""
    conv, loss, optimizer = minidl.Conv2D(1, 1, 3, padding=1).astype(x.dtype), minidl.MSELoss(), minidl.Adam(lr=0.05)
    for epoch in range(epochs):
        value = loss.forward(conv.forward(x, train=True), target) / target.size
        conv.backward(loss.backward())
        optimizer.step(conv.parameters())
        if epoch % max(1, epochs // 5) == 0:
            print(f"step {epoch:4}: half the mean squared error {value:.2e}")
    return conv.weight.data[0, 0]


def main(argv: list[str] | None = None) -> None:
    """Filter, learn the edge template from the result, draw."""
    help_text = "a picture, PNG, JPEG, ... (default: matplotlib's sample, a portrait of Grace Hopper)"
    args = start(parser(__doc__, "image_templates", 300, help_text, "steps of learning the edge template"), argv)
    x = load(args.data)
    two = np.stack([np.zeros((3, 3, 3)), HORIZONTAL * GREY[:, None, None]])
    two[0, :, 1, 1] = GREY
    y = functional.conv2d_forward(x, two, np.array([0.0, 0.5]), padding=1)
    grey, edges = y[:, :1], y[0, 1]
    print(f"grey {grey.min():.2f} to {grey.max():.2f}, horizontal edges (+0.5) {edges.min():.2f} to {edges.max():.2f}")
    templates = np.stack([BOX, LOW, HIGH, HORIZONTAL])[:, None]
    filtered = functional.conv2d_forward(grey, templates, None, padding=1)[0]
    shown = [x[0].transpose(1, 2, 0), grey[0, 0], filtered[0], filtered[1], filtered[2] + 0.5, np.abs(filtered[3])]
    names = ["picture", "grey", "box blur", "low-pass", "high-pass + 0.5", "horizontal edges, size"]
    save(plots.images_figure(shown, names, columns=3), args.out / "templates.png")

    # Neighbouring pixels of a photograph are almost equal: without some noise nine weights are hard to tell apart.
    noisy = grey + np.random.default_rng(args.seed).normal(0, 0.2, grey.shape)
    learnt = learn(noisy, functional.conv2d_forward(noisy, templates[3:], None, padding=1), args.epochs)
    print("edge template, then the learnt one:", HORIZONTAL, learnt.round(2) + 0.0, sep="\n")
    kernels = np.stack([HORIZONTAL, learnt])[:, None]
    save(plots.filters_figure(kernels, "the edge template and the learnt one"), args.out / "learnt.png")


if __name__ == "__main__":
    main()
