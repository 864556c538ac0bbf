"""Time the networks of docs/networks.md: a prediction and a training step of one image, in the size of the table.

    python -m tools.network_times                     # prints a row for each
    python -m tools.network_times --write             # and puts the columns into the page's table
    python -m tools.network_times resnet18 lenet5     # these alone

A training step is forward, loss, backward and update. Each time is the smallest of some: measure where nothing else
runs.
"""

from __future__ import annotations

import argparse
import ast
import gc
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minidl
from benchmarks import machine
from benchmarks.tables import seconds as told
from minidl.training.samples import prepare
from minidl.training.step import Step

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
HEAD = "| network | parameters | image | 10^6 multiply-adds |"
MORE = (" prediction | training step |", "---|---|")
ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| [\d,]+ \| (?P<size>[\dx ]+) \| [\d,.]+ \|", re.MULTILINE)
CONDITIONS = re.compile(r"\n<!-- times -->.*?<!-- end -->\n", re.DOTALL)


class Times(NamedTuple):
    """Seconds of a prediction and of a training step of one image."""

    predict: float
    step: float


def build(name: str) -> minidl.Model:
    """The network of a row, "vgg16, norm=True" for instance."""
    builder, *settings = name.split(", ")
    options = {key: ast.literal_eval(value) for key, value in (setting.split("=") for setting in settings)}
    model: minidl.Model = getattr(minidl.networks, builder)(rng=0, **options)
    return model


def least(run: Callable[[], Any], seconds: float) -> float:
    """The smallest time of a call, of at least three and of as many as fit into so many seconds, after one more."""
    run()
    found: list[float] = []
    while len(found) < 3 or sum(found) < seconds:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def measured(name: str, shape: tuple[int, ...], seconds: float) -> Times:
    """Times of the network of a row."""
    model = build(name)
    x = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    y = model.predict(x)
    rows = y.ndim == 2
    loss = minidl.SoftmaxCrossEntropyLoss() if rows else minidl.MSELoss()
    batch = prepare("training", (x, np.zeros(1, int) if rows else y), model, loss).all()
    step = Step(model, loss, minidl.SGD(1e-9, momentum=0.9))  # as long as any other rate
    return Times(least(lambda: model.predict(x), seconds), least(lambda: step.train(batch), seconds))


def written(page: str, times: dict[str, Times], conditions: str) -> str:
    """The page with the columns of times, a dash for networks that were not measured; in place of those before."""
    page = CONDITIONS.sub("", page)
    start = page.index(HEAD)
    end = page.index("\n\n", start)
    lines = []
    for i, line in enumerate(page[start:end].split("\n")):
        row = ROW.match(line)
        kept = row.group() if row else "|".join(line.split("|")[:5]) + "|"
        found = times.get(row["name"]) if row else None
        ends = f" {told(found.predict)} | {told(found.step)} |" if found else " - | - |"
        lines.append(kept + (MORE[i] if i < len(MORE) else ends))
    told_by = "Times of one image, by `python -m tools.network_times --write`"
    note = f"\n<!-- times -->\n{told_by}: {conditions}.\n<!-- end -->\n"
    return page[:start] + "\n".join(lines) + "\n" + note + page[end + 1 :]


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="rows of the table (default: all)")
    p.add_argument("--seconds", type=float, default=3.0, help="for each time (default 3)")
    p.add_argument("--write", action="store_true", help="put the columns into docs/networks.md")
    args = p.parse_args(argv)
    page = PAGE.read_text(encoding="utf-8")
    rows = {row["name"]: tuple(map(int, row["size"].split(" x "))) for row in ROW.finditer(page)}
    unknown = [name for name in args.names if name not in rows]
    if unknown:
        p.error(f"the page has no row for {', '.join(unknown)}")
    if args.write and args.names:
        p.error("--write takes all networks")
    times = {}
    for name in args.names or rows:
        times[name] = measured(name, rows[name], args.seconds)
        print(f"{name:30} {told(times[name].predict):>9} {told(times[name].step):>9}", flush=True)
        gc.collect()
    if args.write:
        threads = minidl.get_num_threads()
        isa = ", ".join(machine.instruction_sets()[:1])
        conditions = f"{machine.cpu_name()}, {threads} threads, {isa}, minidl {minidl.__version__}"
        PAGE.write_text(written(page, times, conditions), encoding="utf-8")


if __name__ == "__main__":
    main()
