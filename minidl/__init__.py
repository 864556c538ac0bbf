"""Small, complete, fast: convolutional networks on a CPU.

A network is a `Model` of layers; a `Trainer` fits it with a loss and an optimiser. `minidl.functional` has every
operation on plain arrays, `minidl.kernels.use` chooses who computes them, `minidl.data` loads data sets, `minidl.plots`
draws.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minidl import kernels
from minidl.average import WeightAverage
from minidl.callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    FeatureMaps,
    JSONLinesLog,
    KeepBest,
    StopAtAccuracy,
)
from minidl.config import get_num_threads, set_num_threads, show_config
from minidl.gradcheck import gradcheck
from minidl.history import History
from minidl.layers import (
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    CapsuleLength,
    Capsules,
    Conv2D,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GlobalAvgPool2D,
    GroupNorm,
    Layer,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool2D,
    Parameter,
    PrimaryCapsules,
    Relu,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from minidl.losses import MarginLoss, MSELoss, SoftmaxCrossEntropyLoss
from minidl.model import Model
from minidl.optim import SGD, Adam, AdamW, Lookahead, RMSProp
from minidl.random import seed
from minidl.schedules import Constant, Cosine, Exponential, OneCycle, Step, WarmUp
from minidl.trainer import Trainer
from minidl.version import __version__

if TYPE_CHECKING:
    from minidl import data, functional, plots, safetensors
    from minidl.capsules import CapsuleLoss, CapsuleNetwork
    from minidl.range_test import RangeTest, find_lr
    from minidl.sanity import sanity_check

LAZY_MODULES = ("data", "functional", "plots", "safetensors")
LAZY_NAMES = {
    "CapsuleLoss": "capsules",
    "CapsuleNetwork": "capsules",
    "RangeTest": "range_test",
    "find_lr": "range_test",
    "sanity_check": "sanity",
}
"""Name -> its module. What a script may never ask for is imported when it does: `import minidl` is to be quick."""

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2D",
    "BatchNorm1D",
    "BatchNorm2D",
    "CSVLog",
    "Callback",
    "CapsuleLength",
    "CapsuleLoss",
    "CapsuleNetwork",
    "Capsules",
    "Checkpoint",
    "Constant",
    "Conv2D",
    "Cosine",
    "Dropout",
    "EarlyStopping",
    "Elu",
    "Exponential",
    "FeatureMaps",
    "Flatten",
    "Gelu",
    "GlobalAvgPool2D",
    "GroupNorm",
    "History",
    "JSONLinesLog",
    "KeepBest",
    "Layer",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "Lookahead",
    "MSELoss",
    "MarginLoss",
    "MaxPool2D",
    "Model",
    "OneCycle",
    "Parameter",
    "PrimaryCapsules",
    "RMSProp",
    "RangeTest",
    "Relu",
    "Reshape",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropyLoss",
    "Step",
    "StopAtAccuracy",
    "Tanh",
    "Trainer",
    "WarmUp",
    "WeightAverage",
    "__version__",
    "data",
    "find_lr",
    "functional",
    "get_num_threads",
    "gradcheck",
    "kernels",
    "plots",
    "safetensors",
    "sanity_check",
    "seed",
    "set_num_threads",
    "show_config",
]


def __getattr__(name: str) -> Any:
    """Import what is lazy on its first use."""
    if name in LAZY_MODULES:
        return importlib.import_module(f"minidl.{name}")
    if name in LAZY_NAMES:
        value = getattr(importlib.import_module(f"minidl.{LAZY_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
