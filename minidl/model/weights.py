"""Weights out of a file, matched by name with those that a model has."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

SHOWN, FAULTS = 4, 8
"""So many names, and so many faults, are told one by one."""


def of_model(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The model's own tensors of a file, which may be the checkpoint of a training."""
    if metadata.get("format", "").startswith("minidl checkpoint"):
        head = "model."
        return {name[len(head) :]: tensor for name, tensor in tensors.items() if name.startswith(head)}
    return dict(tensors)


def of_json(who: str, name: str, text: str) -> Any:
    """What a file's metadata say as JSON; ValueError if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{who}: the file's {name} is not JSON: {error}") from error


def match(
    who: str,
    arrays: Mapping[str, np.ndarray],
    tensors: Mapping[str, np.ndarray],
    dtype: np.dtype,
    skip: str | Iterable[str] = (),
) -> list[str]:
    """The names whose tensors go into the arrays; nothing is written.

    skip: patterns of names, as "4.*", that stay as they are, whether the tensors have them or not.
    Raises ValueError that tells the first missing, extra and misshapen tensors and counts the others, also for a
    pattern that fits no name; TypeError for a dtype that does not convert to `dtype` without loss.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"{who}: the weights must be arrays by name, as state() gives them, got {tensors!r:.80}")
    patterns = [skip] if isinstance(skip, str) else list(skip)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f'{who}: skip must be patterns of names such as "4.*", got {pattern!r}')
        if not fnmatch.filter([*arrays, *tensors], pattern):
            raise ValueError(f"{who}: skip {pattern!r} fits none of {_some(arrays)}")

    def kept(names: Iterable[str]) -> list[str]:
        return [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]

    mine, theirs = kept(arrays), kept(tensors)
    common = [name for name in mine if name in tensors]
    if mine and theirs and not common:
        raise ValueError(f"{who}: the weights do not fit: they are called {_some(theirs)}, the model's {_some(mine)}")
    faults = [f"missing {name} {arrays[name].shape}" for name in mine if name not in tensors]
    faults += [f"extra {name} {tensors[name].shape}" for name in theirs if name not in arrays]
    faults += [
        f"{name} must have shape {arrays[name].shape}, got {tensors[name].shape}"
        for name in common
        if arrays[name].shape != tensors[name].shape
    ]
    if faults:
        rest = f"; and {len(faults) - FAULTS} more" if len(faults) > FAULTS else ""
        raise ValueError(f"{who}: the weights do not fit: {'; '.join(faults[:FAULTS])}{rest}")
    for name in common:
        given = tensors[name].dtype
        if given.kind != "f" or not np.can_cast(given, dtype, "safe"):
            raise TypeError(f"{who}: tensor {name} has dtype {given}, which does not fit into {dtype}")
    return common


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f", ... ({len(listed)})" if len(listed) > SHOWN else "")
