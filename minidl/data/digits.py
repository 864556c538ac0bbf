"""The embedded digits, an excerpt of MNIST that needs no network; digits_mini/README.md tells source and licence."""

from __future__ import annotations

from pathlib import Path

from minidl.data.mnist import Dataset, load_mnist


def load_digits_mini() -> Dataset:
    """5,000 real MNIST digits from inside the package: 4,000 to train, 1,000 to test, 400 and 100 of each class.

    Returns ((x_train, y_train), (x_test, y_test)) as `load_mnist` does: x uint8 (N, 1, 28, 28), y int64 (N,).
    The classes take turns (0, 1, ..., 9, 0, ...), so that any prefix is about balanced. All are from MNIST's training
    set: do not test on them a network that was trained on the whole of MNIST.
    """
    return load_mnist(Path(__file__).parent / "digits_mini")
