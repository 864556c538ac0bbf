"""What the examples share: their command line, the backend's choice, the digits, pictures on disk."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl import data, kernels

Data = tuple[np.ndarray, np.ndarray]
DIGITS_HELP = "folder with the four MNIST files (default: the 5,000 digits inside the package)"
LIMIT_HELP = "use only so many training and test images"
NEEDS = "needs matplotlib, which the extra 'plot' brings: pip install '.[plot]' in the checkout"


def parser(
    doc: str | None, name: str, epochs: int | None, data_help: str, epochs_help: str = "passes over the training set"
) -> argparse.ArgumentParser:
    """An ArgumentParser with the options of every example: --data, --epochs, --backend, --out, --seed.

    doc: the example's docstring, shown by --help. name: its folder below ./out. epochs: the default number of epochs;
    None if that is a recipe's.
    """
    p = argparse.ArgumentParser(description=doc, epilog=NEEDS, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help=data_help)
    default = "the recipe's" if epochs is None else epochs
    p.add_argument("--epochs", type=int, default=epochs, help=f"{epochs_help} (default: {default})")
    p.add_argument("--backend", choices=kernels.available(), help="what computes (default: the first)")
    p.add_argument("--out", type=Path, default=Path("out", name), help=f"folder for the pictures (default out/{name})")
    p.add_argument("--seed", type=int, default=0, help="of initialisation and shuffling (default 0)")
    return p


def start(p: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line, select the backend, seed the default generator; end in one line without matplotlib."""
    args = p.parse_args(argv)
    if importlib.util.find_spec("matplotlib") is None:  # before the training, not after it
        sys.exit(f"{p.prog}: {NEEDS}")
    if args.epochs is not None and args.epochs < 1:
        p.error(f"--epochs must be at least 1, got {args.epochs}")
    limit = getattr(args, "limit", None)
    if limit is not None and limit < 1:
        p.error(f"--limit must be at least 1, got {limit}")
    if args.backend:
        kernels.use(args.backend)
    minidl.seed(args.seed)
    return args


def load_digits(folder: Path | None, limit: int | None = None) -> tuple[Data, Data]:
    """((x_train, y_train), (x_test, y_test)): MNIST of `folder`, else the embedded digits; `limit` images of each."""
    sets = data.load_mnist(folder) if folder else data.load_digits_mini()
    train, test = ((x[:limit], y[:limit]) for x, y in sets)
    return train, test


def save(figure: Any, path: Path) -> None:
    """Write a picture and print where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"picture: {path}")
