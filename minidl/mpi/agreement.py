"""What must be the same on all ranks of a training, and a refusal that names what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl import kernels
from minidl.mpi.faults import Everywhere
from minidl.training.call import Call
from minidl.training.samples import fingerprint
from minidl.training.settings import settings
from minidl.training.state import Training
from minidl.training.stream import Data, Stream
from minidl.version import __version__


def told(training: Training, call: Call, sync_batchnorm: bool, shard: bool) -> dict[str, str]:
    """What a rank is about to do, in words, by name."""
    position = call.position
    found: dict[str, Any] = {
        "the version of minidl": __version__,
        "the backend": kernels.current().name,
        "sync_batchnorm": sync_batchnorm,
        "shard": shard,
        "batch_size": position.batch_size,
        "epochs": position.epochs,
        "seed": position.seed,
        "augment": position.augment or "()",
        "the kind of training data": "arrays" if position.batches is None else f"{position.batches} batches",
        "the validation data": _kind(call.validation, shard),
        "the dtype of the model": training.model.dtype,
        "the loss": type(training.loss).__name__,
        "the optimizer": type(training.optimizer).__name__,
        "the average": type(training.average).__name__,
        "the metrics": ", ".join(training.metrics) or "none",
    }
    if position.batches is None and not shard:
        found["the number of training images"] = position.images
        found["the checksum of the training data"] = position.data
    for name, parameter in training.model.named_parameters().items():
        frozen = ", frozen" if parameter.frozen else ""
        found[f"parameter {name} of the model"] = f"{parameter.data.shape}{frozen}"
    for name, text in settings(training).items():  # callbacks may be some rank's own
        found.setdefault(f"the setting {name}", text)
    return {name: str(value) for name, value in found.items()}


def check(ranks: Sequence[Mapping[str, str]]) -> None:
    """Raise ValueError, on every rank, that names the first thing that rank 0 and another rank have not in common.

    ranks: what each has `told`.
    """
    first = ranks[0]
    for rank, other in enumerate(ranks):
        for name in (*first, *other):
            values = first.get(name, "none"), other.get(name, "none")
            if values[0] != values[1]:
                raise Everywhere.mark(
                    ValueError(
                        f"DataParallel: {name} must be the same on all ranks,"
                        f" got {values[0]} on rank 0 and {values[1]} on rank {rank}"
                    )
                )


def _kind(data: Data | None, shard: bool) -> str:
    """What all ranks must have in common of validation data."""
    if data is None:
        return "none"
    if isinstance(data, Stream):
        return "batches"
    return "arrays" if shard else f"{len(data.images)} images of checksum {fingerprint(data)}"
