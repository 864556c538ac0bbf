"""Names of files that tell the epoch, and which of the files are kept."""

from __future__ import annotations

import contextlib
import os
import re
import string
from collections.abc import Collection, Iterable
from pathlib import Path

from minidl.training.history import KEYS, History

KNOWN = re.compile(r"epoch|train_\w+|val_\w+|lr")

NUMBER = r" *(?:[-+]?[\d_,.]*\d%?(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)) *"
"""What a field becomes."""


class FileNames:
    """The files of a pattern, in the order in which they were written.

    who: for errors. path: its last part may have fields as `str.format` takes them: {epoch} (an int, from 1), and the
    names of the history. keep: how many files stay; None for all. Raises ValueError for fields that are none of these,
    TypeError or ValueError for a `keep` that is no int of at least 1, or without a field.
    """

    def __init__(self, who: str, path: Path, keep: int | None) -> None:
        self.who, self.path, self.keep = who, path, keep
        self.written: list[str] = []
        """Names of the files that were written and not removed."""
        fault = f"{who}: the name {path.name!r} must be one such as e{{epoch:03}}.safetensors"
        try:
            parts = list(string.Formatter().parse(path.name))
            self.fields = [field for _, field, _, _ in parts if field is not None]
            unknown = [field for field in self.fields if not KNOWN.fullmatch(field)]
            if not unknown:
                self.name(1, dict.fromkeys(self.fields, 0.5))
        except (ValueError, LookupError) as error:
            raise ValueError(f"{fault}: {error}") from None
        if unknown:
            raise ValueError(f"{fault}, with fields epoch, lr, train_..., val_..., got {{{unknown[0]}}}")
        if "{" in str(path.parent):
            raise ValueError(f"{who}: only the last part of the path must have fields, got {str(path)!r}")
        if keep is not None and not self.fields:
            raise ValueError(f"{who}: keep needs a name with a field such as {{epoch}}, got {path.name!r}")
        self._pattern = _pattern(parts, r"[^/\\]+")
        self._numbered = _pattern(parts, NUMBER)

    def check(self, metrics: Collection[str]) -> None:
        """Raise ValueError for a field that is neither of the history nor one of the `metrics`."""
        known = ["epoch", *KEYS, *(f"val_{name}" for name in metrics)]
        for field in self.fields:
            if field not in known:
                raise ValueError(f"{self.who}: fields of the name must be of {', '.join(known)}, got {{{field}}}")

    def name(self, epoch: int, numbers: dict[str, float]) -> str:
        """The file's name in an epoch."""
        return self.path.name.format(**{**numbers, "epoch": epoch})

    def next(self, history: History, inside: bool) -> Path:
        """The path of a file that is written now; inside: of an epoch, which is then the one that the name tells."""
        numbers = {key: values[-1] if values else float("nan") for key, values in history.items()}
        return self.path.with_name(self.name(history.epochs + inside, numbers))

    def add(self, path: Path) -> None:
        """One is about to be written."""
        self.written = [name for name in self.written if name != path.name] + [path.name]

    def remove_old(self) -> None:
        """After that: remove the oldest ones beyond `keep`."""
        while self.keep is not None and len(self.written) > self.keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.expanduser(self.path.with_name(self.written.pop(0))))

    def newest(self) -> Path | None:
        """Of the files that are there, with numbers in place of the fields, the one that was written last, or None."""
        folder = Path(os.path.expanduser(self.path)).parent
        found = [path for path in folder.glob("*") if self._numbered.fullmatch(path.name) and path.is_file()]
        return max(found, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)

    def load(self, names: Iterable[object]) -> None:
        """Go on with the files of a run that is resumed; a name that the pattern cannot give is none of them."""
        self.written = [str(name) for name in names if self._pattern.fullmatch(str(name))]


def _pattern(parts: Iterable[tuple[str, str | None, str | None, str | None]], field: str) -> re.Pattern[str]:
    """The names that `string.Formatter.parse` has taken apart, with `field` for each of their fields."""
    return re.compile("".join(re.escape(text) + ("" if name is None else field) for text, name, _, _ in parts))
