"""What the suite finds: one record a figure, and the JSON file that holds them all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass
class Record:
    """One figure.

    suite, case, measure: what was measured. contender, threads: with what. seconds: of one call, the minimum of
    `samples`. flops: of one call by the direct count. images: worked on in one call. error: the largest relative error
    of the validated results against float64, None without validation. bytes: of memory.
    """

    suite: str
    case: str
    measure: str
    contender: str
    threads: int
    seconds: float | None = None
    samples: int = 0
    flops: int | None = None
    images: int | None = None
    error: float | None = None
    bytes: int | None = None

    @property
    def gflops(self) -> float | None:
        """10^9 floating point operations a second."""
        return self.flops / self.seconds / 1e9 if self.flops and self.seconds else None


@dataclass
class Report:
    """A finished run.

    machine: machine.describe(). settings: repeats and the like. versions: of every contender's library. peak_gflops: by
    number of threads (as text, for JSON). judge: who said what is right. notes: who was left out or wrong.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    peak_gflops: dict[str, float]
    judge: str
    notes: list[str]
    records: list[Record]

    def find(
        self,
        suite: str,
        case: str | None = None,
        measure: str | None = None,
        contender: str | None = None,
        threads: int | None = None,
    ) -> list[Record]:
        """Records of a suite, in the order of measurement, that agree with everything given."""
        wanted = {"suite": suite, "case": case, "measure": measure, "contender": contender, "threads": threads}
        given = {key: value for key, value in wanted.items() if value is not None}
        return [r for r in self.records if all(getattr(r, key) == value for key, value in given.items())]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what `save` wrote. Raises ValueError for another file."""
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is not a report of this benchmark suite")
        data["records"] = [Record(**record) for record in data["records"]]
        return cls(**data)


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order of first appearance."""
    return list(dict.fromkeys(values))
