"""What the examples share: their command line, the backend's choice and the digits."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import minidl
from minidl import data, kernels

Digits = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def parser(doc: str, name: str, epochs: int, data_help: str, epochs_help: str = "passes over the training set"):
    """An ArgumentParser with the options of every example: --data, --epochs, --backend, --out, --seed.

    doc: the example's docstring, shown by --help. name: its folder below ./out. epochs: the default number of epochs.
    """
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help=data_help)
    p.add_argument("--epochs", type=int, default=epochs, help=f"{epochs_help} (default {epochs})")
    p.add_argument("--backend", choices=kernels.select.NAMES, help="what computes (default: the fastest that there is)")
    p.add_argument("--out", type=Path, default=Path("out", name), help=f"folder for the pictures (default out/{name})")
    p.add_argument("--seed", type=int, default=0, help="of initialisation and shuffling (default 0)")
    return p


def start(p: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line, select the backend, seed the default generator."""
    args = p.parse_args(argv)
    if args.epochs < 1:
        p.error(f"--epochs must be at least 1, got {args.epochs}")
    if args.backend:
        kernels.use(args.backend)
    minidl.seed(args.seed)
    return args


DIGITS_HELP = "folder with the four MNIST files (default: the 5,000 digits inside the package)"
LIMIT_HELP = "use only so many training and test images"


def load_digits(args: argparse.Namespace) -> Digits:
    """((x_train, y_train), (x_test, y_test)): MNIST out of --data or the embedded digits, cut to --limit images."""
    sets = data.load_mnist(args.data) if args.data else data.load_digits_mini()
    train, test = ((x[: args.limit], y[: args.limit]) for x, y in sets)
    return train, test


def save(figure, path: Path) -> None:
    """Write a picture and print where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"picture: {path}")
