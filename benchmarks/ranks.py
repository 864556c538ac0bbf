"""Several processes against threads: python -m benchmarks.ranks [--ranks 2] [--repeats 3] [--out DIR]

One process with all processors as threads, so many ranks with their share of them, and PyTorch's
DistributedDataParallel over gloo where PyTorch is installed, in turn, on three networks; the smallest epoch of each
counts. Beside that: bytes a step, how long their sum takes alone, and how long a step waits for it, so what the
backward pass hides. Needs the extra `mpi`. `benchmarks/scaling.py` makes a model of larger jobs from the JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, networks, tasks
from benchmarks.worker import ROOT

NETWORKS = {network.key: network for network in (networks.SEED, networks.THREE_LAYER, networks.VGG)}
EPOCHS = 4
"""Of each process; the first one warms up."""
SUMS = 30


# ---- what a rank does ------------------------------------------------------------------------------------------------


def of_minidl(network: networks.Network, batch: int, ranks: int, steps: int) -> dict[str, Any]:
    """Seconds a step, and what the sum of the gradients costs."""
    import minidl
    from benchmarks.libraries import own

    parallel = None
    if ranks > 1:
        from minidl.mpi import DataParallel

        parallel = DataParallel()
    model = own.build(network, np.dtype(np.float32))
    optimizer = minidl.SGD(lr=tasks.LEARNING_RATE, momentum=tasks.MOMENTUM, weight_decay=tasks.WEIGHT_DECAY)
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer, parallel=parallel)
    data = network.images_of(batch * steps)
    history = trainer.fit(data, epochs=EPOCHS, batch_size=batch, seed=0, verbose=False)
    found: dict[str, Any] = {"step": min(history["seconds"][1:]) / steps}
    found["bytes"] = sum(parameter.data.nbytes for parameter in model.parameters())
    if parallel is not None:
        found["waited"] = parallel.clock.waited / parallel.clock.steps
        found["sum"] = _sum_alone(model.parameters())
    return found


def _sum_alone(parameters: list[Any]) -> float:
    """Seconds that the sums of all buckets take while nothing else runs."""
    from mpi4py import MPI

    from minidl.mpi.buckets import Buckets

    buckets, best = Buckets(MPI, MPI.COMM_WORLD, parameters), float("inf")
    for _ in range(SUMS):
        MPI.COMM_WORLD.Barrier()
        begun = time.perf_counter()
        buckets.begin()
        MPI.Request.Waitall(buckets.rest())
        best = min(best, time.perf_counter() - begun)
    return best


def of_torch(network: networks.Network, batch: int, ranks: int, steps: int) -> dict[str, Any]:
    """Seconds a step of DistributedDataParallel over gloo; each rank takes its rows of the same order."""
    import torch
    from torch import distributed, nn

    from benchmarks.libraries import pytorch

    rank = int(os.environ.get("PMI_RANK", "0"))
    torch.set_num_threads(max(1, machine.cores() // ranks))
    model: Any = nn.Sequential(*map(pytorch.layer, network.layers)).to(memory_format=torch.channels_last)
    if ranks > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        distributed.init_process_group("gloo", rank=rank, world_size=ranks)
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=tasks.LEARNING_RATE, momentum=tasks.MOMENTUM, weight_decay=tasks.WEIGHT_DECAY
    )
    loss = nn.CrossEntropyLoss()
    images, labels = map(torch.from_numpy, network.images_of(batch * steps))
    best = float("inf")
    for epoch in range(EPOCHS):
        begun = time.perf_counter()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(batch):
            index = rows[rank * len(rows) // ranks : (rank + 1) * len(rows) // ranks]
            x = images[index].to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            loss(model(x), labels[index]).backward()
            optimizer.step()
        best = min(best, time.perf_counter() - begun) if epoch else best
    if ranks > 1:
        distributed.destroy_process_group()
    return {"step": best / steps}


LIBRARIES: dict[str, Callable[[networks.Network, int, int, int], dict[str, Any]]] = {
    "minidl": of_minidl,
    "torch": of_torch,
}


# ---- what starts them ------------------------------------------------------------------------------------------------


def start(library: str, network: networks.Network, ranks: int, steps: int, port: int) -> dict[str, Any]:
    """One measurement: what rank 0 has found."""
    threads = str(max(1, machine.cores() // ranks))
    program = [sys.executable, "-m", "benchmarks.ranks", "--work", library, network.key, str(ranks), str(steps)]
    if ranks > 1:
        program = [mpiexec(), "-n", str(ranks), *program]
    environment = {**os.environ, "MINIDL_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "MASTER_PORT": str(port)}
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(program)}:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def mpiexec() -> str:
    """The program that starts ranks: beside Python's, or on the path."""
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        sys.exit("there is no mpiexec: pip install 'minidl[mpi]'")
    return found


def measured(keys: list[str], ranks: list[int], repeats: int, steps: int, libraries: list[str]) -> list[dict[str, Any]]:
    """A row for each network, library and number of ranks, taken in turn."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for repeat in range(repeats):
        for number, network in enumerate(map(NETWORKS.__getitem__, keys)):
            for library in libraries:
                for count in [1, *ranks]:
                    port = 29500 + 100 * repeat + 10 * number + count
                    found = start(library, network, count, steps, port)
                    key = network.key, library, count
                    if key not in rows or found["step"] < rows[key]["step"]:
                        rows[key] = found
    return [
        {"network": network, "library": library, "ranks": count, "batch": NETWORKS[network].batch, **found}
        for (network, library, count), found in rows.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown: speed is against one process with all threads."""
    lines = [
        "| network, batch | library | ranks x threads | step | against threads | bytes a step | sum alone | waited"
        " | hidden |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    alone = {(row["network"], row["library"]): row["step"] for row in rows if row["ranks"] == 1}
    for row in rows:
        count, step = row["ranks"], row["step"]
        cells = [f"{NETWORKS[row['network']].name}, {row['batch']}", row["library"]]
        cells += [f"{count} x {max(1, machine.cores() // count)}", f"{step * 1e3:.2f} ms"]
        cells += [f"{alone[row['network'], row['library']] / step:.2f}" if count > 1 else ""]
        if "sum" in row:
            hidden = max(0.0, 1 - row["waited"] / row["sum"])
            cells += [
                f"{row['bytes']:,}",
                f"{row['sum'] * 1e3:.2f} ms",
                f"{row['waited'] * 1e3:.2f} ms",
                f"{hidden:.0%}",
            ]
        else:
            cells += [""] * 4
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2], help="numbers of ranks (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement; the smallest counts (default 3)")
    parser.add_argument("--steps", type=int, default=24, help="batches of an epoch (default 24)")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="default all")
    parser.add_argument("--out", type=Path, help="folder for ranks.json")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        library, key, ranks, steps = options.work
        found = LIBRARIES[library](NETWORKS[key], NETWORKS[key].batch, int(ranks), int(steps))
        if os.environ.get("PMI_RANK", "0") == "0":
            print(json.dumps(found))
        return
    import importlib.util

    libraries = ["minidl", *(["torch"] if importlib.util.find_spec("torch") else [])]
    rows = measured(options.networks, options.ranks, options.repeats, options.steps, libraries)
    print(f"{machine.cpu_name()}, {machine.cores()} cores\n\n{table(rows)}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"machine": machine.cpu_name(), "cores": machine.cores(), "rows": rows}, indent=1)
        (options.out / "ranks.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
