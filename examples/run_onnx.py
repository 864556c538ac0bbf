"""Run an ONNX file: what is in it, where the time goes, what it says about a picture.

Prints the network's layers, the time of each step of a prediction, and the outputs: the most probable classes where
there is a row of scores, else shapes and ranges. Without a file a small network learns digits first and is saved.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import load_digits, parser, save, start

import minidl
from minidl import onnx, plots
from minidl.data import read_image

Shape = tuple[int, ...]
MOST = 10
"""Steps that are drawn and classes that are printed, at most."""


def small_network(path: Path, seed: int) -> None:
    """A network that has seen some digits, as an ONNX file."""
    (x, y), _ = load_digits(None, 1000)
    model = minidl.Model(
        minidl.Conv2D(1, 16, 3, padding=1), minidl.BatchNorm2D(16), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Conv2D(16, 32, 3, padding=1), minidl.BatchNorm2D(32), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Flatten(), minidl.Linear(32 * 7 * 7, 10, init=0.01),
    )  # fmt: skip
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(lr=0.003))
    trainer.fit((x, y), epochs=2, batch_size=50, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path, uint8_input=True)


def load(path: Path, size: Shape | None) -> tuple[minidl.Model, list[Shape]]:
    """The file's network, and the shape of an image of each input; one line says why where it cannot be run."""
    try:
        model = onnx.load(path, size)
    except (OSError, ValueError, ImportError) as error:
        raise SystemExit(str(error)) from None
    return model, list(model.layers[0].input_shapes)


def rescaled(model: minidl.Model, mean: list[float] | None, std: list[float] | None) -> minidl.Model:
    """The same network, with another mean or std of pixels, or both; None: the file's."""
    try:
        return minidl.Model(
            *model.layers,
            dtype=model.dtype,
            mean=model.mean if mean is None else mean,
            std=model.std if std is None else std,
            class_names=model.class_names,
        )
    except ValueError as error:
        raise SystemExit(str(error)) from None


def picture(path: Path, shape: Shape) -> np.ndarray:
    """A picture in any size as one image of this shape, uint8: the largest part of these proportions, made fit."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise SystemExit(f"{path}: the network takes images of shape {shape}, which is no picture")
    try:
        whole = read_image(path, grayscale=shape[0] == 1)
        height, width = whole.shape[1:]
        scale = min(height / shape[1], width / shape[2])
        size = round(height / scale), round(width / scale)
        image = read_image(path, (max(size[0], shape[1]), max(size[1], shape[2])), grayscale=shape[0] == 1)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    top, left = ((a - b) // 2 for a, b in zip(image.shape[1:], shape[1:]))
    return image[:, top : top + shape[1], left : left + shape[2]]


def print_times(times: list[minidl.LayerTime]) -> None:
    """A line for each step."""
    total = sum(step.seconds for step in times)
    print(f"\n{'ms':>9} {'share':>7}  step")
    for step in times:
        names = " + ".join(f"{place} {kind}" for place, kind in zip(step.places, step.kinds))
        print(f"{1000 * step.seconds:9.3f} {step.seconds / total:7.1%}  {names} -> {step.shape[1:]}")
    print(f"{1000 * total:9.3f} {1:7.0%}  {len(times)} steps, one image")


def print_output(name: str, scores: np.ndarray, names: list[str] | None) -> None:
    """The most probable classes of a row of scores; of all else shape and range."""
    if scores.ndim > 1 or scores.size < 2:
        print(f"{name}: shape {scores.shape}, from {scores.min():.4g} to {scores.max():.4g}")
        return
    are_shares = scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3
    chances = scores if are_shares else plots.probabilities(scores[None])[0]
    print(f"{name}: {scores.size} scores, the most probable classes")
    for place in np.argsort(-chances, kind="stable")[: min(5, scores.size)]:
        label = names[place] if names and len(names) == scores.size else f"class {place}"
        print(f"{chances[place]:8.2%}  {label}")


def main(argv: list[str] | None = None) -> None:
    """Load, tell, run, draw."""
    p = parser(
        __doc__, "run_onnx", 5, "text file with a class name on each line", "predictions of which the fastest counts"
    )
    p.add_argument("file", nargs="?", type=Path, help="an ONNX file (default: a small network is made)")
    p.add_argument("image", nargs="?", type=Path, help="a picture in any size (default: a digit, or noise)")
    p.add_argument("--size", type=int, nargs="+", help="of an image, as in 3 224 224, where the file leaves it open")
    p.add_argument(
        "--mean", type=float, nargs="+", help="subtracted from pixels from 0 to 1 (default: the file's, or 0)"
    )
    p.add_argument("--std", type=float, nargs="+", help="what they are then divided by (default: the file's, or 1)")
    args = start(p, argv)
    if importlib.util.find_spec("onnx") is None:
        sys.exit(f"{p.prog}: needs onnx: pip install onnx")
    file = args.file
    if file is None:
        file = args.out / "digits.onnx"
        small_network(file, args.seed)
    model, shapes = load(file, tuple(args.size) if args.size else None)
    model = rescaled(model, args.mean, args.std)
    rng = np.random.default_rng(args.seed)
    inputs: list[np.ndarray] = [rng.standard_normal((1, *shape)).astype(np.float32) for shape in shapes]
    if args.image is not None:
        inputs[0] = picture(args.image, shapes[0])[None]
    elif args.file is None:
        inputs[0] = load_digits(None, 1)[1][0]
    x: Any = inputs if model.merges else inputs[0]
    print(f"\n{file}\n{model.summary(shapes if model.merges else shapes[0])}")
    print_times(times := minidl.layer_times(model, x, args.epochs))

    names = args.data.read_text("utf-8").splitlines() if args.data else model.class_names
    found = model.predict(x)
    outputs = found if isinstance(found, list) else [found]
    print()
    for i, scores in enumerate(outputs):
        print_output("output" if len(outputs) == 1 else f"output {i}", scores[0], names)
    slowest = sorted(times, key=lambda step: -step.seconds)[:MOST]
    rows = {f"{step.places[0]} {' + '.join(step.kinds)}": step.seconds for step in slowest}
    title = "time of each step" if len(rows) == len(times) else f"the {len(rows)} slowest of {len(times)} steps"
    save(bars(rows, title), args.out / "times.png")


def bars(seconds: dict[str, float], title: str) -> Any:
    """A bar for each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 0.3 * len(seconds)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(list(seconds), [1000 * value for value in seconds.values()])
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds", title=title)
    return figure


if __name__ == "__main__":
    main()
