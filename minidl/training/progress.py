"""The line that shows how a training run is doing: redrawn in terminals and notebooks, one line an epoch in pipes."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from minidl.support.terminal import interactive
from minidl.training.history import KEYS

BAR = 24
"""Width of the bar in characters."""

INTERVAL = 0.1
"""Least seconds between two drawings of the line."""


class Progress:
    """Prints one line when an epoch is done; for pipes, files and dumb terminals.

    stream: text stream to print on; None prints nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def start(self, epoch: int, epochs: int, images: int, done: int = 0, unit: str = "images") -> None:
        """Epoch number `epoch` of `epochs` (from 1) begins: `images` images, `done` of them are through.

        unit: what is counted in place of images. images: 0 where it is not known how many there will be.
        """

    def update(self, images: int, loss: float, accuracy: float) -> None:
        """`images` of them are done; loss, accuracy: running means (NaN if unknown). Almost free between drawings."""

    def line(self, text: str) -> None:
        """Print a line that stays."""
        if self.stream is not None:
            self.stream.write(text + "\n")
            getattr(self.stream, "flush", _nothing)()

    def close(self) -> None:
        """Leave the moving line, if there is one, so that what is printed next starts on a fresh line."""


class LiveLine(Progress):
    """Redraws one line with a carriage return while an epoch runs, at most every `INTERVAL` seconds."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._width = 0

    def start(self, epoch: int, epochs: int, images: int, done: int = 0, unit: str = "images") -> None:
        """Begin an epoch's line."""
        self._unit = unit
        self._head = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        self._images, self._first = images, done
        self._begun = time.perf_counter()
        self._drawn = self._begun

    def update(self, images: int, loss: float, accuracy: float) -> None:
        """Draw the line if it is due."""
        now = time.perf_counter()
        if now - self._drawn >= INTERVAL:
            self._drawn = now
            self._draw(self._text(images, now - self._begun, loss, accuracy))

    def line(self, text: str) -> None:
        """Replace the moving line by one that stays."""
        self._draw("")
        super().line("\r" + text)

    def close(self) -> None:
        """End the moving line."""
        if self._width:
            super().line("")
            self._width = 0

    def _text(self, images: int, seconds: float, loss: float, accuracy: float) -> str:
        rate = (images - self._first) / seconds
        if images > self._images:  # or not known
            speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
            return f"{self._head}  {images:,} {self._unit}  {numbers('', loss, accuracy)}  {speed} {self._unit}/s"
        done = int(images / self._images * BAR)
        left = (self._images - images) / rate
        bar = "#" * done + "." * (BAR - done)
        return (
            f"{self._head} [{bar}] {images / self._images:4.0%}  {numbers('', loss, accuracy)}"
            f"  {rate:,.0f} {self._unit}/s  {duration(left)} left"
        )

    def _draw(self, text: str) -> None:
        import shutil  # here, since it brings five compression modules with it

        assert self.stream is not None
        # A line as wide as the terminal would wrap, and the carriage return would no longer reach its beginning.
        text = text[: shutil.get_terminal_size().columns - 1]
        self.stream.write("\r" + text.ljust(self._width))
        self.stream.flush()
        self._width = len(text)


class TqdmLine(Progress):
    """The same by tqdm, where it is installed: its bar fits terminals and notebooks."""

    def __init__(self, stream: TextIO, tqdm: Any) -> None:
        super().__init__(stream)
        self._tqdm = tqdm
        self._bar: Any = None

    def start(self, epoch: int, epochs: int, images: int, done: int = 0, unit: str = "images") -> None:
        """Open a bar for the epoch."""
        self.close()
        self._images = images
        head = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        self._bar = self._tqdm(
            total=images or None, initial=done, desc=head, unit=f" {unit}", leave=False, file=self.stream
        )

    def update(self, images: int, loss: float, accuracy: float) -> None:
        """Move the bar, if it is still there."""
        if self._bar is not None and self._bar.update(images - self._bar.n):
            self._bar.set_postfix_str(numbers("", loss, accuracy).strip(), refresh=False)

    def line(self, text: str) -> None:
        """Print a line that stays: above the bar within an epoch, in its place once it is full or has no end."""
        if self._bar is not None and self._bar.n < self._images:
            self._bar.write(text, file=self.stream)
        else:
            self.close()
            super().line(text)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def progress(verbose: bool = True, stream: TextIO | None = None) -> Progress:
    """The progress line that fits where the output goes.

    A terminal or a notebook gets a moving line (by tqdm where that is installed), everything else one line an epoch,
    verbose=False nothing. stream: default `sys.stdout`; where that is None, as in a program without a console, nothing
    is printed.
    """
    stream = sys.stdout if stream is None else stream
    if not verbose or stream is None:
        return Progress(None)
    if not interactive(stream):
        return Progress(stream)
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return LiveLine(stream)
    return TqdmLine(stream, tqdm)


def numbers(name: str, loss: float, accuracy: float) -> str:
    """ "train loss 0.1224  acc 96.23 %"; the accuracy is left out if it is NaN."""
    text = f"{name} loss {loss:.4f}".strip()
    return text if accuracy != accuracy else f"{text}  acc {100 * accuracy:6.2f} %"


def epoch_line(history: Any, epochs: int, validated: bool) -> str:
    """The last epoch of a `History` in one line. validated: whether there are validation data; NaN is then shown."""
    last = {key: values[-1] for key, values in history.items()}
    parts = [f"epoch {history.epochs:{len(str(epochs))}}/{epochs}"]
    parts.append(numbers("train", last["train_loss"], last["train_accuracy"]))
    if validated:
        parts.append(numbers("val", last["val_loss"], last["val_accuracy"]))
        parts += [f"{key.removeprefix('val_')} {last[key]:.4g}" for key in last if key not in KEYS]
    parts += [f"lr {last['lr']:.3g}", f"{last['seconds']:.1f} s"]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """ "0:07", "12:34", "1:02:03"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _nothing() -> None:
    """For a stream that knows no `flush`."""
