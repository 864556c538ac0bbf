"""What train_mnist.py and train_cifar.py share: what a recipe is, how it is trained, what it leaves on disk."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Data, parser, start
from table import Table

import minidl
from minidl import data, kernels, plots

HELD_OUT = 5000
"""Training images at the end of the set on which --validate judges; a sixth of the set, if that is less."""


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    build: the network, from the training images. optimizer, average: a fresh one for each run. smoothing: of the
    labels. augment: what `fit` does to the images. views: what the final prediction averages over. winograd: the tile
    of the native backend's 3x3 convolutions, 2 or 4. table: whether both sets are judged after each epoch, for the
    article's table; the time of training is without it.
    """

    build: Callable[[np.ndarray], minidl.Model]
    optimizer: Callable[[], Any]
    epochs: int
    batch_size: int
    smoothing: float = 0.0
    augment: tuple[Any, ...] = ()
    average: Callable[[], Any] = lambda: None
    views: data.Views | None = None
    winograd: int = 2
    table: bool = False


def arguments(
    doc: str | None, name: str, recipes: Mapping[str, Recipe], data_help: str, argv: Sequence[str] | None
) -> argparse.Namespace:
    """The parsed command line: the options of every example, and those of a recipe."""
    p = parser(doc, name, None, data_help)
    p.add_argument("--recipe", choices=recipes, default=next(iter(recipes)), help="default: %(default)s")
    p.add_argument("--runs", type=int, default=1, help="networks to train, from --seed upwards (default 1)")
    p.add_argument("--limit", type=int, help="use only so many training and test images")
    p.add_argument("--validate", action="store_true", help="judge on the last 5,000 training images, held out")
    p.add_argument("--winograd", type=int, choices=(2, 4), help="tile of the native backend's 3x3 convolutions")
    return start(p, argv)


def halves(train: Data, test: Data, validate: bool) -> tuple[Data, Data]:
    """What to train on and what to judge on; with `validate` the end of the training set instead of the test set."""
    if not validate:
        return train, test
    kept = min(HELD_OUT, len(train[1]) // 6)
    x, y = train
    return (x[:-kept], y[:-kept]), (x[-kept:], y[-kept:])


def run(
    recipe: Recipe,
    args: argparse.Namespace,
    train: Data,
    test: Data,
    names: Sequence[str] | None = None,
) -> None:
    """Train --runs networks, each with a seed of its own; print the mean accuracy, leave a folder of each.

    names: of the classes.
    """
    train, judged = halves(train, test, args.validate)
    print(f"{len(train[1])} training and {len(judged[1])} {'validation' if args.validate else 'test'} images")
    results = []
    for seed in range(args.seed, args.seed + args.runs):
        out = args.out if args.runs == 1 else args.out / f"seed-{seed}"
        results.append(train_one(recipe, args, seed, train, judged, out, names))
    if len(results) > 1:
        accuracies, seconds = ([result[key] for result in results] for key in ("accuracy", "seconds"))
        print(f"mean of {len(results)}: accuracy {np.mean(accuracies):.2%}, training {np.mean(seconds):.2f} s")


def train_one(
    recipe: Recipe,
    args: argparse.Namespace,
    seed: int,
    train: Data,
    judged: Data,
    out: Path,
    names: Sequence[str] | None,
) -> dict[str, Any]:
    """Train one network; print and write its accuracy and training time; returns what result.json holds."""
    out.mkdir(parents=True, exist_ok=True)
    winograd = args.winograd or recipe.winograd
    if kernels.current().name == "native":
        kernels.current().use_winograd(winograd)
    minidl.seed(seed)
    model = recipe.build(train[0])
    if seed == args.seed:
        print(model.summary(train[0].shape[1:]))
    kind = "validation" if args.validate else "test"
    table = Table(train, judged, kind) if recipe.table else None
    loss = minidl.SoftmaxCrossEntropyLoss(recipe.smoothing)
    trainer = minidl.Trainer(model, loss, recipe.optimizer(), average=recipe.average())
    history = trainer.fit(
        train,
        judged if args.validate else None,
        args.epochs or recipe.epochs,
        recipe.batch_size,
        seed,
        [minidl.JSONLinesLog(out / "log.jsonl"), *([table] if table else [])],
        verbose=table is None,
        augment=recipe.augment,
    )
    logits = model.predict(judged[0], views=recipe.views)
    accuracy = float((logits.argmax(axis=1) == judged[1]).mean())
    seconds = sum(history["seconds"])
    print(f"{kind} accuracy {accuracy:.2%} after {seconds:.2f} s of training", flush=True)
    result = {
        "recipe": args.recipe,
        "library": f"minidl {minidl.__version__}",
        "backend": kernels.current().name,
        "seed": seed,
        "threads": minidl.get_num_threads(),
        "winograd": winograd if kernels.current().name == "native" else None,
        "validate": args.validate,
        "images": len(train[1]),
        "epochs": history.epochs,
        "seconds": seconds,
        "accuracy": accuracy,
        "history": dict(history),
    }
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    model.save(out / "model.safetensors")
    curves = {**history, **table.lists} if table else history
    pictures = plots.save_report(model, curves, judged, out, names, views=recipe.views, loss=loss)
    print(f"{len(pictures)} pictures, weights, log and result: {out}")
    return result
