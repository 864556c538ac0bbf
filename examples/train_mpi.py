"""Digits, trained by several processes together: mpiexec -n 2 python examples/train_mpi.py

Every process runs this program from beginning to end, and computes its part of each batch; rank 0 prints, saves and
draws. Started again, it goes on from its checkpoint, also with another number of processes. docs/distributed.md says
more, with a script for Slurm.
"""

from __future__ import annotations

import sys

from common import DIGITS_HELP, LIMIT_HELP, load_digits, parser, save, start

import minidl
from minidl import plots
from minidl.mpi import DataParallel


def build() -> minidl.Model:
    """A small network with normalisation."""
    return minidl.Model(
        *(minidl.Conv2D(1, 16, 3, padding=1, bias=False), minidl.BatchNorm2D(16), minidl.Relu(), minidl.MaxPool2D(2)),
        *(minidl.Conv2D(16, 32, 3, padding=1, bias=False), minidl.BatchNorm2D(32), minidl.Relu(), minidl.MaxPool2D(2)),
        *(minidl.Flatten(), minidl.Linear(32 * 49, 10)),
        mean=0.13,
        std=0.31,
    )


def main(argv: list[str] | None = None) -> None:
    """Train, evaluate, draw."""
    p = parser(__doc__, "train_mpi", 5, DIGITS_HELP)
    p.add_argument("--batch-size", type=int, default=128, help="images of all processes together (default 128)")
    p.add_argument("--limit", type=int, help=LIMIT_HELP)
    p.add_argument("--sync-batchnorm", action="store_true", help="normalise by the statistics of the whole batch")
    args = start(p, argv)
    try:
        parallel = DataParallel(sync_batchnorm=args.sync_batchnorm)
    except ImportError as error:
        sys.exit(f"{p.prog}: {error}")
    first = parallel.rank == 0
    train, test = load_digits(args.data, args.limit)
    if first:
        args.out.mkdir(parents=True, exist_ok=True)
        print(f"{parallel.size} processes, this one with {minidl.get_num_threads()} threads; {len(train[1])} images")
    trainer = minidl.Trainer(
        build(),
        minidl.SoftmaxCrossEntropyLoss(),
        minidl.SGD(minidl.OneCycle(0.03), momentum=0.9, nesterov=True, weight_decay=5e-4),
        parallel=parallel,
    )
    path = args.out / "run.safetensors"
    history = trainer.fit(
        train,
        validation=test,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        callbacks=minidl.Checkpoint(path),
        resume=path,
    )
    if first:
        print(f"test accuracy {history['val_accuracy'][-1]:.2%} after {sum(history['seconds']):.2f} s of training")
        trainer.model.save(args.out / "model.safetensors")
        save(plots.curves_figure(history), args.out / "curves.png")


if __name__ == "__main__":
    main()
