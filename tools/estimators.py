"""Compare minidl's estimators with scikit-learn's perceptrons, all with their defaults, and write the page's table.

    python tools/estimators.py             # measures (some minutes), writes docs/sklearn.md
    python tools/estimators.py --seeds 1   # a look, which prints only

Scores are means of five folds, mean and range over the seeds (of estimators and folds alike); of the excerpt of MNIST
those of its test images. Seconds are processor time of one fit on one thread, the mean of all fits: other work on the
machine changes them little.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import minidl
from minidl.sklearn import ConvNetClassifier, ConvNetRegressor

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sklearn.md"
BEGIN, END = "<!-- estimators -->", "<!-- end -->"
Arrays = tuple[np.ndarray, np.ndarray]


class Task(NamedTuple):
    """Rows, targets, and what learns them."""

    name: str
    load: Callable[[], Arrays]
    own: Any
    other: Any
    parts: Callable[[Arrays, int], Iterator[tuple[np.ndarray, np.ndarray]]]


def folds(data: Arrays, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of training and test, five times."""
    kind: Any = KFold if data[1].dtype.kind == "f" else StratifiedKFold
    return kind(5, shuffle=True, random_state=seed).split(*data)


def halves(data: Arrays, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The first 4,000 rows, and the others."""
    yield np.arange(4000), np.arange(4000, len(data[1]))


def excerpt() -> Arrays:
    """The digits of 28 x 28 inside the package, as rows from 0 to 1."""
    (x, y), (x_test, y_test) = minidl.data.load_digits_mini()
    return np.concatenate([x, x_test]).reshape(-1, 784) / 255, np.concatenate([y, y_test])


def of(name: str) -> Callable[[], Arrays]:
    """One of scikit-learn's data sets."""
    return lambda: getattr(datasets, f"load_{name}")(return_X_y=True)


def lines() -> Arrays:
    """2,000 rows of eight numbers, as many as the California houses have, a sum of them and noise."""
    return datasets.make_regression(2000, 8, n_informative=8, noise=20, random_state=0)


def curves() -> Arrays:
    """Friedman's first function of five of ten numbers."""
    return datasets.make_friedman1(2000, random_state=0)


IMAGES = ConvNetClassifier(image_shape=(8, 8))
TASKS = (
    Task("digits, 8 x 8", of("digits"), IMAGES, MLPClassifier(), folds),
    Task("excerpt of MNIST, 28 x 28", excerpt, ConvNetClassifier(image_shape=(28, 28)), MLPClassifier(), halves),
    Task("iris", of("iris"), ConvNetClassifier(), MLPClassifier(), folds),
    Task("wine", of("wine"), ConvNetClassifier(), MLPClassifier(), folds),
    Task("breast cancer", of("breast_cancer"), ConvNetClassifier(), MLPClassifier(), folds),
    Task("make_regression, 8 numbers", lines, ConvNetRegressor(), MLPRegressor(), folds),
    Task("make_friedman1", curves, ConvNetRegressor(), MLPRegressor(), folds),
    Task("diabetes", of("diabetes"), ConvNetRegressor(), MLPRegressor(), folds),
)


class Figures(NamedTuple):
    """A score for each seed, and seconds of a fit."""

    scores: list[float]
    seconds: float

    def text(self, percent: bool) -> str:
        """ "98.5 (98.1 to 98.9)"."""
        factor, digits = (100, 1) if percent else (1, 3)
        mean, low, high = (f"{factor * f(self.scores):.{digits}f}" for f in (np.mean, min, max))
        return f"{mean} ({low} to {high})"


def measure(task: Task, estimator: Any, seeds: int) -> Figures:
    """Scores and time of one estimator."""
    data, scores, seconds = task.load(), [], []
    for seed in range(seeds):
        found = []
        for train, test in task.parts(data, seed):
            each = clone(estimator)
            last = each[-1] if hasattr(each, "steps") else each
            last.set_params(random_state=seed)
            began = time.process_time()
            each.fit(data[0][train], data[1][train])
            seconds.append(time.process_time() - began)
            found.append(each.score(data[0][test], data[1][test]))
        scores.append(float(np.mean(found)))
    return Figures(scores, float(np.mean(seconds)))


def row(task: Task, seeds: int) -> str:
    """A row of the table."""
    percent = not isinstance(task.own, ConvNetRegressor)
    own, other, scaled = (
        measure(task, each, seeds) for each in (task.own, task.other, make_pipeline(StandardScaler(), task.other))
    )
    cells = [f"{task.name}, {'%' if percent else 'R^2'}", own.text(percent), other.text(percent), scaled.text(percent)]
    cells += [f"{own.seconds:.2f}", f"{other.seconds:.2f}", f"**{other.seconds / own.seconds:.1f}**"]
    return f"| {' | '.join(cells)} |"


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and with three seeds or more write the page."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", help="measure the data whose names begin so, and keep the page's other rows")
    p.add_argument("--seeds", type=int, default=3, help="of estimators and folds (default 3)")
    args = p.parse_args(argv)
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = {}
    minidl.set_num_threads(1)
    with threadpool_limits(1):
        for task in TASKS:
            if args.only is None or task.name.startswith(args.only):
                found[task.name] = row(task, args.seeds)
                print(found[task.name], flush=True)
    if args.seeds >= 3:
        write(found, args.seeds)


def write(found: dict[str, str], seeds: int) -> None:
    """Put these rows into the page's table, beside those that it has of other data."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {task.name: line for task in TASKS for line in table.splitlines() if line.startswith(f"| {task.name},")}
    lines = [
        f"minidl {minidl.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}; {seeds} seeds;"
        " made by `python tools/estimators.py`.",
        "",
        "| data | minidl | MLP | MLP behind StandardScaler | seconds of minidl | of MLP | times as fast |",
        "|---|---|---|---|---|---|---|",
        *({**kept, **found}[task.name] for task in TASKS if task.name in {**kept, **found}),
    ]
    PAGE.write_text(f"{before}{BEGIN}\n{chr(10).join(lines)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
