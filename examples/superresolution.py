"""Super-resolution: ESPCN learns to enlarge pictures from small patches of a few photographs.

Prints, and draws side by side, how near an enlarged picture comes to the original: by a bicubic filter, and by the
network (Shi et al. 2016, arXiv 1609.05158). Brightness is learnt; colours, to which eyes are less sharp, are enlarged
by the filter.
"""

from __future__ import annotations

import importlib.util
import sys
from itertools import product
from pathlib import Path

import numpy as np
from common import Data, parser, save, start

import minidl
from minidl import data, networks, plots

SMALL = 17
"""Height and width of a patch before it is enlarged, as in the article."""
SHOWN = 48
"""Height and width of what is drawn of a picture, before it is enlarged."""
TRAINING = ("coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "ihc.png", "brick.png")
UNSEEN = ("astronaut.png", "chelsea.png", "camera.png")


def load(folder: Path | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures (3, H, W) uint8 to train with and to judge by: of a folder, the last quarter to judge by, or samples."""
    if folder is None:
        home = Path(str(importlib.util.find_spec("skimage").origin)).parent / "data"  # type: ignore[union-attr]
        return [data.read_image(home / name) for name in TRAINING], [data.read_image(home / name) for name in UNSEEN]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(files) < 2:
        raise SystemExit(f"{folder}: must have at least 2 pictures, PNG or JPEG, got {len(files)}")
    kept = -(-len(files) // 4)
    pictures = [data.read_image(path) for path in files]
    return pictures[:-kept], pictures[-kept:]


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, H, W) uint8 in another size, by Pillow's bicubic filter, which smooths where it makes smaller."""
    from PIL.Image import Resampling, fromarray

    planes = [np.asarray(fromarray(plane).resize((width, height), Resampling.BICUBIC)) for plane in image]
    return np.stack(planes)


def parted(image: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and colours of a picture (3, H, W) uint8, cut to a multiple of the factor, and of a small one."""
    from PIL.Image import fromarray

    height, width = (factor * (size // factor) for size in image.shape[1:])
    colours = fromarray(np.ascontiguousarray(image[:, :height, :width].transpose(1, 2, 0))).convert("YCbCr")
    whole = np.asarray(colours).transpose(2, 0, 1)
    return whole, resized(whole, height // factor, width // factor)


def joined(brightness: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) of its brightness (H, W) and two colours (2, H, W), all uint8."""
    from PIL.Image import fromarray

    planes = np.stack([brightness, *colours], axis=-1)
    return np.asarray(fromarray(planes, "YCbCr").convert("RGB"))


def patches(pictures: list[np.ndarray], factor: int, count: int, rng: np.random.Generator) -> Data:
    """Brightness of small patches (count, 1, SMALL, SMALL) uint8, and what they were made of, floats from 0 to 1."""
    pairs = [parted(picture, factor) for picture in pictures]
    pairs = [(whole[0], small[0]) for whole, small in pairs if min(small.shape[1:]) >= SMALL]
    if not pairs:
        raise SystemExit(f"the pictures must have at least {factor * SMALL} pixels in height and width")
    x = np.empty((count, 1, SMALL, SMALL), np.uint8)
    y = np.empty((count, 1, factor * SMALL, factor * SMALL), np.float32)
    for i in range(count):
        whole, small = pairs[rng.integers(len(pairs))]
        top, left = (int(rng.integers(size - SMALL + 1)) for size in small.shape)
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        for array, source, scale in ((x, small, 1), (y, whole, factor)):
            side = scale * SMALL
            patch = source[scale * top : scale * top + side, scale * left : scale * left + side]
            patch = np.rot90(patch[:, ::-1] if mirrored else patch, turns)
            array[i, 0] = patch if array is x else patch / np.float32(255)
    return x, y


def psnr(found: np.ndarray, wanted: np.ndarray, margin: int) -> float:
    """Peak signal-to-noise ratio in decibels of two uint8 images, without the pixels at the margin."""
    inner = (slice(margin, -margin),) * 2
    error = np.mean((found[inner].astype(float) - wanted[inner]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def enlarged(model: minidl.Model, small: np.ndarray) -> np.ndarray:
    """Brightness (H, W) uint8 by the network, of a small one."""
    y = model.predict(small[None, None])[0, 0]
    return (255 * y).round().clip(0, 255).astype(np.uint8)


def busiest(brightness: np.ndarray, side: int, factor: int) -> tuple[slice, slice]:
    """The square of the picture in which neighbours differ most, at a multiple of the factor."""
    steps = np.abs(np.diff(brightness.astype(float), axis=0))[:, 1:] + np.abs(np.diff(brightness.astype(float)))[1:]
    step = factor * max(1, side // (4 * factor))
    corners = product(*(range(0, size - side + 1, step) for size in brightness.shape))
    top, left = max(corners, key=lambda at: steps[at[0] : at[0] + side, at[1] : at[1] + side].sum())
    return slice(top, top + side), slice(left, left + side)


def main(argv: list[str] | None = None) -> None:
    """Train, measure, draw."""
    help_text = "folder with pictures, PNG or JPEG (default: photographs that scikit-image brings)"
    p = parser(__doc__, "superresolution", 20, help_text)
    p.add_argument("--factor", type=int, default=3, help="how many times as high and wide (default 3)")
    p.add_argument("--limit", type=int, default=6000, help="number of patches to train with (default 6000)")
    args = start(p, argv)
    if args.data is None and importlib.util.find_spec("skimage") is None:
        sys.exit(f"{p.prog}: needs pictures: --data FOLDER, or those of pip install scikit-image")
    if args.factor < 2:
        p.error(f"--factor must be at least 2, got {args.factor}")
    training, unseen = load(args.data)
    train = patches(training, args.factor, args.limit, np.random.default_rng(args.seed))
    model = networks.espcn(args.factor, mean=0.5, std=0.25)
    optimizer = minidl.Adam(lr=minidl.schedules.OneCycle(0.0015))
    trainer = minidl.Trainer(model, minidl.MSELoss(), optimizer)
    trainer.fit(train, epochs=args.epochs, batch_size=32, seed=args.seed)

    shown, titles, gains = [], [], []
    for picture in unseen:
        whole, small = parted(picture, args.factor)
        filtered = resized(small, *whole.shape[1:])
        own = enlarged(model, small[0])
        before, after = (psnr(found, whole[0], args.factor) for found in (filtered[0], own))
        gains.append(after - before)
        print(f"{whole.shape[1]} x {whole.shape[2]} pixels: bicubic {before:.2f} dB, ESPCN {after:.2f} dB")
        side = args.factor * min(SHOWN, *small.shape[1:])
        cut = busiest(whole[0], side, args.factor)
        tiny = np.repeat(np.repeat(small, args.factor, 1), args.factor, 2)
        planes = [(tiny[0], tiny[1:]), (filtered[0], filtered[1:]), (own, filtered[1:]), (whole[0], whole[1:])]
        shown += [joined(brightness, colours)[cut] for brightness, colours in planes]
        titles += ["given", f"bicubic, {before:.2f} dB", f"ESPCN, {after:.2f} dB", "original"]
    print(f"mean gain over bicubic {np.mean(gains):+.2f} dB")
    figure = plots.images_figure(shown, titles, columns=4, title=f"{args.factor} times as high and wide")
    save(figure, args.out / "pictures.png")
    model.save(args.out / "espcn.safetensors")


if __name__ == "__main__":
    main()
