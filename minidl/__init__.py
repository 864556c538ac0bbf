"""Small, complete, fast: convolutional networks on a CPU.

A network is a `Model` of layers; a `Trainer` fits it with a loss and an optimiser. `minidl.functional` has every
operation on plain arrays, `minidl.kernels.use` chooses who computes them, `minidl.data` loads data sets, `minidl.plots`
draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl import kernels
from minidl.config import get_num_threads, set_num_threads, show_config
from minidl.layers import (
    AdaptiveAvgPool2D,
    Add,
    AvgPool2D,
    BatchNorm1D,
    BatchNorm2D,
    Conv2D,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    Graph,
    GroupNorm,
    Input,
    InstanceNorm2D,
    Layer,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool2D,
    Parameter,
    Relu,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
)
from minidl.losses import (
    HuberLoss,
    L1Loss,
    Loss,
    MarginLoss,
    MSELoss,
    MultiLoss,
    SigmoidCrossEntropyLoss,
    SoftmaxCrossEntropyLoss,
)
from minidl.model import Model
from minidl.optim import SGD
from minidl.support import lazy
from minidl.support.random import seed
from minidl.version import __version__

if TYPE_CHECKING:
    from minidl import data, functional, metrics, mpi, networks, onnx, plots, safetensors
    from minidl.checks.gradcheck import gradcheck
    from minidl.checks.layer_times import LayerTime, layer_times
    from minidl.checks.lr_range import RangeTest, find_lr
    from minidl.checks.sanity import sanity_check
    from minidl.layers import (
        CapsuleLength,
        Capsules,
        ChannelShuffle,
        Concat,
        ConvTranspose2D,
        LocalResponseNorm,
        MatMul,
        Pad2D,
        PixelShuffle,
        PixelUnshuffle,
        PrimaryCapsules,
        Slice,
        Split,
        Transpose,
        Upsample,
    )
    from minidl.layers.arithmetic import Affine, Arithmetic, Div, Mul, PRelu, Sub
    from minidl.layers.elementwise import Clip, Elementwise, HardSigmoid, HardSwish, Mish, Relu6, Selu, Silu
    from minidl.layers.reduce import LogSoftmax, Max, Mean, Softmax, Sum
    from minidl.networks.capsules import CapsuleLoss, CapsuleNetwork
    from minidl.networks.load import load_model
    from minidl.optim import Adam, AdamW, Lookahead, Muon, RMSProp
    from minidl.optim.schedules import Constant, Cosine, Exponential, OneCycle, Step, WarmUp
    from minidl.optim.weight_average import WeightAverage
    from minidl.training.callbacks import (
        Callback,
        Checkpoint,
        CSVLog,
        EarlyStopping,
        FeatureMaps,
        JSONLinesLog,
        KeepBest,
        ReduceLROnPlateau,
        StopAt,
        StopAtAccuracy,
    )
    from minidl.training.history import History
    from minidl.training.trainer import Trainer

__getattr__ = lazy.importer(
    __name__,
    {
        "checks.gradcheck": ("gradcheck",),
        "checks.layer_times": ("LayerTime", "layer_times"),
        "checks.lr_range": ("RangeTest", "find_lr"),
        "checks.sanity": ("sanity_check",),
        "data": ("data",),
        "functional": ("functional",),
        "layers": (
            *("CapsuleLength", "Capsules", "PrimaryCapsules"),
            *("ChannelShuffle", "Concat", "Pad2D", "PixelShuffle", "PixelUnshuffle", "Slice", "Split", "Transpose"),
            *("ConvTranspose2D", "LocalResponseNorm", "MatMul", "Upsample"),
        ),
        "layers.arithmetic": ("Affine", "Arithmetic", "Div", "Mul", "PRelu", "Sub"),
        "layers.elementwise": ("Clip", "Elementwise", "HardSigmoid", "HardSwish", "Mish", "Relu6", "Selu", "Silu"),
        "layers.initializers": ("initializers",),
        "layers.reduce": ("LogSoftmax", "Max", "Mean", "Softmax", "Sum"),
        "metrics": ("metrics",),
        "networks": ("networks",),
        "networks.capsules": ("CapsuleLoss", "CapsuleNetwork"),
        "mpi": ("mpi",),
        "networks.load": ("load_model",),
        "onnx": ("onnx",),
        "optim": ("Adam", "AdamW", "Lookahead", "Muon", "RMSProp"),
        "optim.schedules": ("schedules", "Constant", "Cosine", "Exponential", "OneCycle", "Step", "WarmUp"),
        "optim.weight_average": ("WeightAverage",),
        "plots": ("plots",),
        "safetensors": ("safetensors",),
        "sklearn": ("sklearn",),
        "training.history": ("History",),
        "training.trainer": ("Trainer",),
        "training.callbacks": (
            "callbacks",
            "Callback",
            "Checkpoint",
            "CSVLog",
            "EarlyStopping",
            "FeatureMaps",
            "JSONLinesLog",
            "KeepBest",
            "ReduceLROnPlateau",
            "StopAt",
            "StopAtAccuracy",
        ),
    },
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "AdaptiveAvgPool2D",
    "Add",
    "Affine",
    "Arithmetic",
    "AvgPool2D",
    "BatchNorm1D",
    "BatchNorm2D",
    "CSVLog",
    "Callback",
    "CapsuleLength",
    "CapsuleLoss",
    "CapsuleNetwork",
    "Capsules",
    "ChannelShuffle",
    "Checkpoint",
    "Clip",
    "Concat",
    "Constant",
    "Conv2D",
    "ConvTranspose2D",
    "Cosine",
    "Div",
    "Dropout",
    "EarlyStopping",
    "Elementwise",
    "Elu",
    "Exponential",
    "FeatureMaps",
    "Flatten",
    "Gelu",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "Graph",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "History",
    "HuberLoss",
    "Input",
    "InstanceNorm2D",
    "JSONLinesLog",
    "KeepBest",
    "L1Loss",
    "Layer",
    "LayerNorm",
    "LayerTime",
    "LeakyRelu",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "Lookahead",
    "Loss",
    "MSELoss",
    "MarginLoss",
    "MatMul",
    "Max",
    "MaxPool2D",
    "Mean",
    "Mish",
    "Model",
    "Mul",
    "MultiLoss",
    "Muon",
    "OneCycle",
    "PRelu",
    "Pad2D",
    "Parameter",
    "PixelShuffle",
    "PixelUnshuffle",
    "PrimaryCapsules",
    "RMSProp",
    "RangeTest",
    "ReduceLROnPlateau",
    "Relu",
    "Relu6",
    "Reshape",
    "Residual",
    "Selu",
    "Sequential",
    "Sigmoid",
    "SigmoidCrossEntropyLoss",
    "Silu",
    "Slice",
    "Softmax",
    "SoftmaxCrossEntropyLoss",
    "Softplus",
    "Split",
    "Step",
    "StopAt",
    "StopAtAccuracy",
    "Sub",
    "Sum",
    "Tanh",
    "Trainer",
    "Transpose",
    "Upsample",
    "WarmUp",
    "WeightAverage",
    "__version__",
    "data",
    "find_lr",
    "functional",
    "get_num_threads",
    "gradcheck",
    "kernels",
    "layer_times",
    "load_model",
    "metrics",
    "mpi",
    "networks",
    "onnx",
    "plots",
    "safetensors",
    "sanity_check",
    "seed",
    "set_num_threads",
    "show_config",
]

kernels.select.warn_without_native()


def __dir__() -> list[str]:
    return __all__
