"""What may happen during a training: `Callback` is the base, to be subclassed; each other name does one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.callbacks.base import Callback
from minidl.callbacks.checkpoint import Checkpoint
from minidl.support import lazy

if TYPE_CHECKING:
    from minidl.callbacks.best import EarlyStopping, KeepBest
    from minidl.callbacks.feature_maps import FeatureMaps
    from minidl.callbacks.logs import CSVLog, JSONLinesLog
    from minidl.callbacks.target import StopAtAccuracy

__getattr__ = lazy.importer(
    __name__,
    {
        "best": ("EarlyStopping", "KeepBest"),
        "feature_maps": ("FeatureMaps",),
        "logs": ("CSVLog", "JSONLinesLog"),
        "target": ("StopAtAccuracy",),
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
    "StopAtAccuracy",
]
