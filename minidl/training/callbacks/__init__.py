"""What may happen during a training: `Callback` is the base, to be subclassed; each other name does one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.support import lazy
from minidl.training.callbacks.autosave import Checkpoint
from minidl.training.callbacks.base import Callback

if TYPE_CHECKING:
    from minidl.training.callbacks.best import EarlyStopping, KeepBest
    from minidl.training.callbacks.feature_maps import FeatureMaps
    from minidl.training.callbacks.logs import CSVLog, JSONLinesLog
    from minidl.training.callbacks.plateau import ReduceLROnPlateau
    from minidl.training.callbacks.target import StopAt, StopAtAccuracy

__getattr__ = lazy.importer(
    __name__,
    {
        "best": ("EarlyStopping", "KeepBest"),
        "feature_maps": ("FeatureMaps",),
        "logs": ("CSVLog", "JSONLinesLog"),
        "plateau": ("ReduceLROnPlateau",),
        "target": ("StopAt", "StopAtAccuracy"),
    },
)

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FeatureMaps",
    "JSONLinesLog",
    "KeepBest",
    "ReduceLROnPlateau",
    "StopAt",
    "StopAtAccuracy",
]
