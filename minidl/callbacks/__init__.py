"""What may happen during a training: `Callback` is the base, to be subclassed; each other name does one thing."""

from minidl.callbacks.base import Callback
from minidl.callbacks.best import EarlyStopping, KeepBest
from minidl.callbacks.checkpoint import Checkpoint
from minidl.callbacks.feature_maps import FeatureMaps
from minidl.callbacks.logs import CSVLog, JSONLinesLog
from minidl.callbacks.target import StopAtAccuracy

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
