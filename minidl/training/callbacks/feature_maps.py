"""An animation of what a layer makes of some images while the network learns."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl.kernels import checks
from minidl.model import as_images
from minidl.support import atomic
from minidl.training.callbacks.base import Callback
from minidl.training.history import History
from minidl.training.state import Training

WIDTH = 640
"""Least width of the animation in pixels; images are enlarged by a whole number."""

HEAD = 18
"""Height of the strip with the text, in pixels."""

FRAME_MS, LAST_MS = 150, 2000
"""How long a frame is shown, and the last one."""


class FeatureMaps(Callback):
    """Record a layer's maps of some images during the training, and write them as an animated GIF when it ends.

    A frame has one row an image: the image, then the maps that the layer makes of it, without dropout and with the
    running statistics. Each map is stretched to its own range over the images of the frame, black to white. The first
    frame is that of the weights before the first step. Needs the extra `plot`.

    images: (N, C, H, W) with C = 1 or 3, as `Model.predict` takes them; a few. path: the file, replaced atomically.
    every_steps, every_epochs: record after every so many steps or epochs; one of them, neither means every epoch.
    layer: a name out of `Model.activations`; None for the first Relu. maps: at most so many of them are shown.

    `frames` has what was recorded: uint8 (H, W) each, images without enlargement, one pixel apart. A checkpoint holds
    them, so that a resumed run ends with the whole animation.

    Raises TypeError or ValueError for other arguments; ImportError without Pillow, FileNotFoundError without the
    folder, ValueError if there is no such layer, all before the first step.
    """

    writes = True

    def __init__(
        self,
        images: Any,
        path: str | os.PathLike[str],
        every_steps: int | None = None,
        every_epochs: int | None = None,
        layer: str | None = None,
        maps: int = 8,
    ) -> None:
        who = type(self).__name__
        if every_steps is not None and every_epochs is not None:
            raise ValueError(f"{who}: every_steps and every_epochs cannot both be given")
        self.images = as_images(who, "images", images)
        if self.images.ndim != 4 or not len(self.images) or self.images.shape[1] not in (1, 3):
            raise ValueError(
                f"{who}: images must have shape (N, C, H, W), N at least 1, C 1 or 3, got {self.images.shape}"
            )
        self.path = Path(path)
        self.every_steps = None if every_steps is None else checks.integer(who, "every_steps", every_steps, 1)
        self.every_epochs = 1 if every_epochs is None else checks.integer(who, "every_epochs", every_epochs, 1)
        self.layer = layer
        self.maps = checks.integer(who, "maps", maps, 1)
        self.frames: list[np.ndarray] = []
        self._texts: list[str] = []

    def on_fit_begin(self, trainer: Training) -> None:
        """Check what is needed at the end; record the first frame."""
        _pillow()
        atomic.check_folder(type(self).__name__, self.path)
        self.frames, self._texts = [], []
        self._record(trainer, trainer.history)

    def on_step_end(self, trainer: Training, history: History) -> None:
        """Record a frame if one is due."""
        if self.every_steps is not None and len(history.step_loss) % self.every_steps == 0:
            self._record(trainer, history)

    def on_epoch_end(self, trainer: Training, history: History) -> bool | None:
        """Record a frame if one is due."""
        if self.every_steps is None and history.epochs % self.every_epochs == 0:
            self._record(trainer, history)
        return None

    def on_fit_end(self, trainer: Training, history: History) -> None:
        """Write the animation."""
        atomic.replace(self.path, [self.gif()])

    def state(self) -> dict[str, Any]:
        """The frames and their texts."""
        return {"frames": np.array(self.frames, np.uint8), "texts": self._texts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Raises ValueError if its frames have another size."""
        frames = state["frames"]
        if len(frames) and frames[0].shape != self.frames[0].shape:
            raise ValueError(
                f"FeatureMaps: frames must have shape {frames[0].shape}, as in the run to resume,"
                f" got {self.frames[0].shape}"
            )
        self.frames, self._texts = list(frames), [str(text) for text in state["texts"]]

    def gif(self) -> bytes:
        """The recorded frames as an animated GIF that repeats for ever, each with its epoch and loss above."""
        image, draw = _pillow()
        scale = max(1, -(-WIDTH // self.frames[0].shape[1]))
        pictures = []
        for frame, text in zip(self.frames, self._texts, strict=True):
            big = frame.repeat(scale, axis=0).repeat(scale, axis=1)
            canvas = np.full((big.shape[0] + HEAD, big.shape[1]), 255, np.uint8)
            canvas[HEAD:] = big
            picture = image.fromarray(canvas)
            draw.Draw(picture).text((4, 3), text, fill=0)
            pictures.append(picture)
        file = io.BytesIO()
        times = [FRAME_MS] * (len(pictures) - 1) + [LAST_MS]
        pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0)
        return file.getvalue()

    def _record(self, trainer: Training, history: History) -> None:
        """Add a frame for the weights as they are."""
        from minidl.plots import arrays

        maps = arrays.feature_maps(trainer.model, self.images, self.layer)[:, : self.maps]
        h, w = maps.shape[2:]
        # The images go into squares of the maps' size, so that all stand in one grid.
        grey = self.images.mean(axis=1)
        rows = np.arange(h) * grey.shape[1] // h
        columns = np.arange(w) * grey.shape[2] // w
        shown = [arrays.to_unit(grey[:, rows][:, :, columns])]
        shown += [arrays.to_unit(maps[:, i], together=True) for i in range(maps.shape[1])]
        cells = np.stack(shown, axis=1).reshape(-1, h, w)
        grid = arrays.image_grid(cells, len(shown), fill=0.5)
        self.frames.append(np.round(255 * grid).astype(np.uint8))
        run = trainer.run
        epoch = history.epochs + (run.share if run is not None else 0.0)
        loss = f"   loss {history.step_loss[-1]:.4f}" if history.step_loss else ""
        self._texts.append(f"epoch {epoch:.2f}{loss}")


def _pillow() -> tuple[Any, Any]:
    """Pillow's modules for images and for drawing, or an ImportError that tells how to get them."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError("FeatureMaps draws with Pillow: pip install 'minidl[plot]'") from error
    return Image, ImageDraw
