"""Out to ONNX and back: train on some digits, export, let ONNX Runtime predict, import, go on with all digits.

The exported file takes pixels as they are and any number of images. What comes back is a model as any other.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
from common import DIGITS_HELP, Data, load_digits, parser, save, start

import minidl
from minidl import onnx, plots

NEEDED = ("onnx", "onnxruntime")


def build() -> minidl.Model:
    """A small network with normalisation and a residual block."""
    body = minidl.Sequential(minidl.Conv2D(16, 16, 3, padding=1), minidl.BatchNorm2D(16), minidl.Relu())
    return minidl.Model(
        minidl.Conv2D(1, 16, 3, padding=1),
        minidl.BatchNorm2D(16),
        minidl.Relu(),
        minidl.MaxPool2D(2),
        minidl.Residual(body),
        minidl.MaxPool2D(2),
        minidl.Flatten(),
        minidl.Linear(16 * 7 * 7, 10, init=0.01),
    )


def fit(model: minidl.Model, train: Data, test: Data, epochs: int, seed: int) -> minidl.Trainer:
    """The trainer, after its training."""
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(lr=0.003))
    trainer.fit(train, validation=test, epochs=epochs, batch_size=50, seed=seed)
    return trainer


def by_runtime(path: Path, x: np.ndarray) -> np.ndarray:
    """Scores by ONNX Runtime; prints the time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    started = time.perf_counter()
    (scores,) = session.run(None, {"input": x})
    print(f"ONNX Runtime: {len(x)} images in {1000 * (time.perf_counter() - started):.1f} ms")
    return scores


def accuracy(scores: np.ndarray, y: np.ndarray) -> str:
    """As the trainer prints it."""
    return f"{(scores.argmax(axis=1) == y).mean():.2%}"


def main(argv: list[str] | None = None) -> None:
    """Train, export, compare, import, train on; end in one line without the packages."""
    p = parser(__doc__, "onnx", 2, DIGITS_HELP)
    p.add_argument("--limit", type=int, default=1000, help="images of the first training (default 1000)")
    args = start(p, argv)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"{p.prog}: needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    (x, y), (x_test, y_test) = load_digits(args.data)
    model = build()
    fit(model, (x[: args.limit], y[: args.limit]), (x_test, y_test), args.epochs, args.seed)

    path = args.out / "digits.onnx"
    args.out.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path, uint8_input=True)
    scores, own = by_runtime(path, x_test), model.predict(x_test)
    print(f"{path}: {path.stat().st_size:,} bytes, test accuracy {accuracy(scores, y_test)} in ONNX Runtime")
    print(f"largest difference {np.abs(scores - own).max():.1e} of scores up to {np.abs(own).max():.1f}")

    back = onnx.load(path)
    print(f"imported: largest difference {np.abs(back.predict(x_test) - own).max():.1e}")
    trainer = fit(back, (x, y), (x_test, y_test), args.epochs, args.seed + 1)
    onnx.save(back, args.out / "tuned.onnx", uint8_input=True)
    tuned = by_runtime(args.out / "tuned.onnx", x_test)
    print(f"test accuracy {accuracy(own, y_test)} before, {accuracy(tuned, y_test)} after {len(x)} images more")
    save(plots.curves_figure(trainer.history, "after the import"), args.out / "curves.png")


if __name__ == "__main__":
    main()
