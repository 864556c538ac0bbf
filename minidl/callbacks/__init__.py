"""What may happen during a training: `Callback` is the base, to be subclassed; each other name does one thing."""

from minidl.callbacks.base import Callback
from minidl.callbacks.best import EarlyStopping, KeepBest
from minidl.callbacks.checkpoint import Checkpoint

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "KeepBest"]
