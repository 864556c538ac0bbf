"""One fault that is put into a source: where it is, and what it makes of what stands there."""

from __future__ import annotations

from dataclasses import dataclass

OVERRUN = 99
"""The status with which the address sanitizer ends a process."""

COMPARISONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
}
"""What comparisons become, in C and in Python: the bound moves by one, or the other side counts."""

EXTREMES = {"smaller": "larger", "larger": "smaller", "at_least": "at_most", "at_most": "at_least"}
EXTREMES |= {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
"""Functions that give the smaller or the larger of two, and their opposites."""


@dataclass(frozen=True)
class Mutant:
    """A fault of one kind: "operator", "comparison", "constant", "extreme" or "dropped"."""

    path: str
    line: int
    column: int
    kind: str
    before: str
    after: str
    text: str

    @property
    def key(self) -> str:
        """What it is called in lists that outlive a change of other lines."""
        return f"{self.path}: {self.text} @{self.column}: {self.before} -> {self.after}"

    @property
    def folder(self) -> str:
        """Of its file, without the file's name: "minidl/_ext/lanes/conv"."""
        return self.path.rpartition("/")[0]


def constant_after(value: float) -> str:
    """What a number becomes: 0 and 1 each other, every other n is n + 1."""
    return "1" if value == 0 else "0" if value == 1 else f"{value!r} + 1"
