"""How far training scales over networks: python -m benchmarks.scaling out/ranks.json [--out DIR]

A model of cost, fed with what `benchmarks/ranks.py` has measured. Every rank is a machine that computes the network's
batch as the measured one did, in c seconds, a third of it forward, the way back in proportion to each layer's
multiply-adds. A bucket of n bytes is ready when its last layer is done, and the buckets are summed one after another,
each in

    t(n, P) = 2 ceil(log2 P) latency + 2 (P - 1)/P n / bandwidth

(recursive halving and doubling: Thakur, Rabenseifner, Gropp 2005, "Optimization of collective communication operations
in MPICH"). A step takes until the last sum and the last layer are done; efficiency is c divided by that. Neither the
additions nor the differences between machines are counted: it is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from benchmarks import networks
from benchmarks.libraries import own
from benchmarks.ranks import NETWORKS
from minidl.mpi.buckets import Buckets

RANKS = tuple(2**i for i in range(11))
FORWARD = 1 / 3
"""Of a step's multiply-adds the way back has two thirds: the gradients of inputs and of weights."""


@dataclass(frozen=True)
class Wire:
    """A network between machines. latency: seconds of a small message. bandwidth: bytes a second, each way."""

    name: str
    latency: float
    bandwidth: float

    def sum(self, size: float, ranks: int) -> float:
        """Seconds until so many ranks have the sum of an array of `size` bytes."""
        if ranks == 1:
            return 0.0
        return 2 * math.ceil(math.log2(ranks)) * self.latency + 2 * (ranks - 1) / ranks * size / self.bandwidth


WIRES = Wire("10 Gbit, 25 us", 25e-6, 1.25e9), Wire("100 Gbit, 2 us", 2e-6, 12.5e9)
"""Ethernet with TCP, and a fabric for clusters."""


def buckets(network: networks.Network) -> list[tuple[float, int]]:
    """(share of a step after which it is ready, bytes) of each bucket, in the order in which they are sent."""
    model = own.build(network, np.dtype(np.float32))
    shape: tuple[int, ...] = network.input
    work = []
    for layer in model.layers:
        work.append((layer, layer.multiply_adds(shape)))
        shape = layer.output_shape(shape)
    total = sum(each for _, each in work)
    parts = Buckets(None, None, model.parameters())
    ready = [0.0] * len(parts._pieces)
    done = 0
    for layer, each in reversed(work):
        done += each
        for parameter in layer.parameters():
            ready[parts._bucket[id(parameter)]] = FORWARD + (1 - FORWARD) * done / total
    return [(share, piece.nbytes) for share, piece in zip(ready, parts._pieces)]


def step(sent: list[tuple[float, int]], compute: float, ranks: int, wire: Wire) -> float:
    """Seconds a step of so many ranks, each of which computes `compute` seconds."""
    at = 0.0
    for share, size in sent:
        at = max(at, share * compute) + wire.sum(size, ranks)
    return max(at, compute)


def efficiency(network: networks.Network, compute: float, wire: Wire) -> list[float]:
    """For each of `RANKS`."""
    sent = buckets(network)
    return [compute / step(sent, compute, ranks, wire) for ranks in RANKS]


def check(rows: list[dict[str, Any]]) -> str:
    """What the model says of the measured ranks of one machine, whose sums are those measured, as Markdown.

    Ranks on one machine share its processors, so that the step without sums is that of one process with all of them.
    """
    lines = ["| network | ranks | model | measured | model / measured |", "|---|---|---|---|---|"]
    alone = {row["network"]: row["step"] for row in rows if row["ranks"] == 1}
    for row in rows:
        if row["ranks"] == 1:
            continue
        sent = buckets(NETWORKS[row["network"]])
        size = sum(each for _, each in sent)
        memory = Wire("memory", 0.0, 2 * (row["ranks"] - 1) / row["ranks"] * size / row["sum"])
        said = step(sent, alone[row["network"]], row["ranks"], memory)
        numbers = f"{said * 1e3:.2f} ms | {row['step'] * 1e3:.2f} ms | {said / row['step']:.2f}"
        lines.append(f"| {NETWORKS[row['network']].name} | {row['ranks']} | {numbers} |")
    return "\n".join(lines)


def table(found: dict[tuple[str, str], list[float]]) -> str:
    """Efficiencies as Markdown."""
    shown = [ranks for ranks in RANKS if ranks in (2, 4, 16, 64, 256, 1024)]
    lines = [f"| network | between machines | {' | '.join(map(str, shown))} |", "|---" * (2 + len(shown)) + "|"]
    for (name, wire), numbers in found.items():
        cells = [f"{numbers[RANKS.index(ranks)]:.2f}" for ranks in shown]
        lines.append(f"| {name} | {wire} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(found: dict[tuple[str, str], list[float]], path: Path) -> None:
    """Efficiency against the number of ranks: a colour a network, dashed for the slower wire."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for name, _ in found))
    for (name, wire), numbers in found.items():
        dashes = "--" if wire == WIRES[0].name else "-"
        axes.plot(RANKS, numbers, dashes, color=f"C{names.index(name)}", label=f"{name}, {wire}")
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="machines, one rank each", ylabel="efficiency of a step")
    axes.set_xscale("log", base=2)
    axes.set_xticks(RANKS, list(map(str, RANKS)))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> None:
    """Print the tables, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, help="ranks.json of benchmarks.ranks")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for scaling.png (default out)")
    options = parser.parse_args(argv)
    report = json.loads(options.measured.read_text(encoding="utf-8"))
    rows = [row for row in report["rows"] if row["library"] == "minidl"]
    compute = {row["network"]: row["step"] for row in rows if row["ranks"] == 1}
    found = {
        (NETWORKS[key].name, wire.name): efficiency(NETWORKS[key], seconds, wire)
        for key, seconds in compute.items()
        for wire in WIRES
    }
    print(
        f"{report['machine']}, {report['cores']} cores, minidl {minidl.__version__}\n\n{table(found)}\n\n{check(rows)}"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    picture(found, options.out / "scaling.png")


if __name__ == "__main__":
    main()
