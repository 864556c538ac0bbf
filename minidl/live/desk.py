"""What all tabs of the page have in common: the data, the training, the models out of files."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from minidl.live.choices import Images, Settings, network_lines, read_all, read_data
from minidl.live.file_model import FileModel
from minidl.live.memory import give_back
from minidl.live.run import Run
from minidl.live.slow import SlowStep

FILE_MODELS = 4
"""So many models out of files stay open; the oldest one goes first."""


class Desk:
    """path: a folder with the files of data sets, None for the usual places. folder: of pictures, a sub-folder a class.

    current: the training that all tabs see, None before the first; `run` makes that. lock: for whoever
    replaces what stands on the desk.
    """

    def __init__(self, path: str | None = None, folder: str | None = None) -> None:
        self.path, self.folder = path, folder
        self.lock = threading.RLock()
        self.drawn: np.ndarray | None = None
        self.slow: SlowStep | None = None
        self.file_models: dict[int, FileModel] = {}
        self.viewers: set[Any] = set()
        self._data: dict[str, Images] = {}
        self.current: Run | None = None
        self._number = 0

    @property
    def run(self) -> Run:
        """The training; the first one is the README's network on the digits."""
        if self.current is not None:  # without the lock, which a reset holds until the old thread has gone
            return self.current
        with self.lock:
            if self.current is None:
                self.reset(Settings())
            assert self.current is not None
            return self.current

    def data(self, name: str) -> Images:
        """A data set, read once; one of them is kept beside the digits."""
        with self.lock:
            if name not in self._data:
                found = read_all(data=lambda: read_data(name, self.path, self.folder))["data"]
                self._data = {key: value for key, value in self._data.items() if key == "digits"}
                self._data[name] = found
            return self._data[name]

    def reset(self, settings: Settings) -> None:
        """Put a new training in the place of the last one, whose thread ends; raises as `Run`, and the last stays."""
        with self.lock:
            images = self.data(settings.data)
            if not settings.layers:
                settings = replace(
                    settings, layers=tuple(network_lines(settings.network, images.shape, len(images.names)))
                )
            run = Run(settings, images)
            if self.current is not None:
                self.current.close()
            self.current, self.slow = run, None
            run.viewers = len(self.viewers)
        give_back()

    def count_viewer(self, page: Any, looks_on: bool) -> None:
        """Count a page that looks on, or goes; it never waits."""
        (self.viewers.add if looks_on else self.viewers.discard)(page)
        run = self.current
        if run is not None:
            run.viewers = len(self.viewers)

    def keep(self, model: FileModel) -> int:
        """Put a model out of a file on the desk; returns its number."""
        with self.lock:
            self._number += 1
            self.file_models[self._number] = model
            while len(self.file_models) > FILE_MODELS:
                del self.file_models[next(iter(self.file_models))]
            return self._number

    def close(self) -> None:
        """End the training."""
        with self.lock:
            if self.current is not None:
                self.current.close()
