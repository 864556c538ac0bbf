"""Segmentation: a small U-Net learns which pixels belong to discs, among squares and stripes, in noise.

Prints intersection over union on images that it has not seen, and draws images, masks and answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from common import Data, parser, save, start

import minidl
from minidl import networks, plots

SIDE = 48


def draw(count: int, rng: np.random.Generator) -> Data:
    """Images (count, 3, SIDE, SIDE) uint8 and the masks of their discs (count, SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = np.empty((count, 3, SIDE, SIDE))
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, mask in zip(images, masks):
        image[:] = rng.uniform(60, 120, (3, 1, 1)) + 15 * np.sin(rows * rng.uniform(0.2, 0.6) + rng.uniform(0, 6))
        for kind in ("square", "disc", "square", "disc"):
            y, x = rng.uniform(6, SIDE - 6, 2)
            radius = rng.uniform(4, 9)
            down, right = rows - y, columns - x
            square = np.maximum(abs(down), abs(right)) < 0.9 * radius
            inside = down**2 + right**2 < radius**2 if kind == "disc" else square
            image[:, inside] = rng.uniform(100, 255, (3, 1))
            mask[inside] = kind == "disc"  # what comes later hides what was there
        image += rng.normal(0, 15, image.shape)
    return images.clip(0, 255).astype(np.uint8), masks


def load(path: Path | None, seed: int, limit: int) -> tuple[Data, Data]:
    """((images, masks), (images, masks)) to train with and to judge by: a tenth of the file, or drawn ones."""
    if path is None:
        rng = np.random.default_rng(seed)
        return draw(limit, rng), draw(max(8, limit // 10), rng)
    try:
        with np.load(path) as file:
            x, masks = file["images"][:limit], file["masks"][:limit]
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"{path}: {error}")
    if x.ndim != 4 or masks.shape != (len(x), *x.shape[2:]):
        sys.exit(f"{path}: images must be (N, C, H, W) and masks (N, H, W), got {x.shape} and {masks.shape}")
    kept = -(-len(x) // 10)
    return (x[kept:], masks[kept:]), (x[:kept], masks[:kept])


def overlap(found: np.ndarray, masks: np.ndarray) -> float:
    """Intersection over union of all pixels."""
    return float((found & masks).sum() / max((found | masks).sum(), 1))


def main(argv: list[str] | None = None) -> None:
    """Train, measure, draw."""
    help_text = "npz file with images (N, C, H, W) uint8 and masks (N, H, W) of 0 and 1 (default: drawn shapes)"
    p = parser(__doc__, "segment", 8, help_text)
    p.add_argument("--limit", type=int, default=600, help="use only so many training images (default 600)")
    args = start(p, argv)
    (x, masks), (x_test, masks_test) = load(args.data, args.seed, args.limit)
    network = networks.unet(classes=1, channels=x.shape[1], width=0.125, depth=3, mean=0.5, std=0.25)
    rows = minidl.Model(network, minidl.Flatten(), mean=0.5, std=0.25, multi_label=True)  # yes or no for each pixel
    trainer = minidl.Trainer(rows, minidl.SigmoidCrossEntropyLoss(), minidl.Adam(lr=0.003))
    test = x_test, masks_test.reshape(len(masks_test), -1)
    trainer.fit((x, masks.reshape(len(masks), -1)), validation=test, epochs=args.epochs, batch_size=16, seed=args.seed)
    scores = network.predict(x_test)[:, 0]
    print(f"intersection over union on {len(x_test)} unseen images {overlap(scores > 0, masks_test > 0):.3f}")
    shown = slice(8)
    answers = 1 / (1 + np.exp(-scores[shown]))
    grey = x_test[shown].mean(axis=1) / 255
    figure = plots.strips_figure([grey, masks_test[shown] * 1.0, answers], ["image", "mask", "answer"], size=1.0)
    save(figure, args.out / "masks.png")
    save(plots.graph_figure(network, x.shape[1:], "the network"), args.out / "network.png")
    network.save(args.out / "unet.safetensors")


if __name__ == "__main__":
    main()
