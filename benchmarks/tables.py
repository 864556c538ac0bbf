"""Tables on the terminal: one for each suite and number of threads, all from a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.contenders import BACKENDS, COARSE
from benchmarks.records import Record, Report, distinct

RIVALS = ("torch", "jax", "onnxruntime", "openvino", "ncnn", "sklearn")
"""All but minidl, without their variants."""

HEADS = {
    "kernels": "Operations on plain NCHW arrays, conversions included",
    "layers": "Convolutions as layers in a network",
    "elementwise": "Other layers in a network",
    "networks": "Networks: forward pass in training mode, and training step",
    "epochs": "Whole epochs",
    "inference": "Inference",
    "prediction": "Predictions of the usual networks, against the best other library",
    "training": "Training steps of the usual networks, against the best other library",
    "channels": "Speed against channels: a 3x3 convolution of 64 images of 16x16",
    "threads": "Scaling with threads",
    "growth": "Growth of cost",
    "cohabitation": "Matrix products of numpy between training steps",
}


@dataclass(frozen=True)
class Row:
    """The records of one case and measure at one number of threads, by contender."""

    case: str
    measure: str
    records: dict[str, Record]

    def best(self, bases: Sequence[str]) -> Record | None:
        """The fastest record of contenders with one of these bases, in any variant of full precision."""
        full = {name: r for name, r in self.records.items() if name not in COARSE and r.seconds is not None}
        found = [r for name, r in full.items() if name.partition(":")[0] in bases]
        return min(found, key=lambda r: r.seconds or math.inf, default=None)

    @property
    def subject(self) -> Record | None:
        """minidl's own: the native backend as it chooses by itself, else another native one, else im2col."""
        return self.records.get("native") or self.best(("native",)) or self.best(("im2col",))

    def ratio(self, bases: Sequence[str] = ("torch",)) -> float | None:
        """How many times as fast the subject is as the best of those."""
        ours, theirs = self.subject, self.best(bases)
        return theirs.seconds / ours.seconds if ours and theirs and ours.seconds and theirs.seconds else None


def rows(report: Report, suite: str, threads: int) -> list[Row]:
    """A suite's rows in order of measurement; layers get a third one, "both", forward plus backward."""
    found = []
    for case in distinct(r.case for r in report.find(suite, threads=threads)):
        records = report.find(suite, case, threads=threads)
        parts = [
            Row(case, measure, {r.contender: r for r in records if r.measure == measure})
            for measure in distinct(r.measure for r in records)
        ]
        found += parts
        if suite in ("layers", "elementwise", "channels") and len(parts) == 2:
            found.append(Row(case, "both", dict(_sums(*parts))))
    return found


def _sums(a: Row, b: Row) -> Iterator[tuple[str, Record]]:
    for name, first in a.records.items():
        second = b.records.get(name)
        if second is not None and first.seconds and second.seconds:
            flops = first.flops + second.flops if first.flops and second.flops else None
            yield name, replace(first, measure="both", seconds=first.seconds + second.seconds, flops=flops)


def render(report: Report) -> str:
    """All tables and notes as text."""
    parts = [head(report)]
    for suite, title in HEADS.items():
        for threads in distinct(r.threads for r in report.find(suite)):
            table = against if suite in ("prediction", "training") else timing
            parts.append(f"{title}, {threads} thread{'s' * (threads > 1)}\n{table(report, suite, threads)}")
    if report.find("growth"):
        parts.append("Exponents of growth: 1 is in proportion\n" + exponents(report))
    memory = report.find("memory")
    if memory:
        body = [[r.case, r.contender, f"{(r.bytes or 0) / 1e6:.0f} MB"] for r in memory]
        parts.append(
            "Peak memory of training over the process after import\n" + text(["case", "contender", "peak"], body)
        )
    parts += [f"note: {note}" for note in report.notes]
    return "\n\n".join(parts)


def head(report: Report) -> str:
    """The machine and the versions in a few lines."""
    machine = report.machine
    peaks = ", ".join(f"{peak:.0f} GFLOP/s on {n}" for n, peak in report.peak_gflops.items())
    lines = [f"{machine['cpu']}, {machine['cores']} cores; {machine['system']}; Python {machine['python']}"]
    lines.append(f"{', '.join(distinct(report.versions.values()))}, numpy {machine['numpy']}")
    if peaks:
        lines.append(f"peak (largest matrix product, float32): {peaks} threads")
    if machine["unset"]:
        lines.append(f"{' and '.join(machine['unset'])} unset for all contenders: they hold numpy's BLAS back")
    return "\n".join(lines)


def timing(report: Report, suite: str, threads: int) -> str:
    """One table: times of all contenders, then the subject's GFLOP/s, its share of the peak, the largest error,
    ratios.
    """
    table = rows(report, suite, threads)
    names = distinct(name for row in table for name in row.records)
    peak = report.peak_gflops.get(str(threads))
    others = distinct(name.partition(":")[0] for name in names if name.partition(":")[0] not in BACKENDS)
    columns = ["case", "measure", *names, "an image", "GFLOP/s", "of peak", "error"]
    columns += [f"x {base}" for base in others] + (["x reference"] if "reference" in names else [])
    body = []
    for row in table:
        line = [row.case, row.measure, *(seconds(row.records[n].seconds) if n in row.records else "" for n in names)]
        ours = row.subject
        rate, error, images = (ours.gflops, ours.error, ours.images) if ours else (None, None, None)
        line += [
            seconds(ours.seconds / images) if ours and ours.seconds and images else "",
            f"{rate:.0f}" if rate else "",
            f"{100 * rate / peak:.0f} %" if rate and peak else "",
            f"{error:.0e}" if error is not None else "",
        ]
        line += [times(row.ratio((base,))) for base in others]
        line += [times(row.ratio(("reference",)))] if "reference" in names else []
        body.append(line)
    return text(columns, body)


def against(report: Report, suite: str, threads: int) -> str:
    """One line a network and batch: minidl, the fastest other library in float32 and its name, what is below float32,
    and how many times as fast minidl is; then the geometric mean and the worst case.
    """
    body = []
    for row in rows(report, suite, threads):
        ours, theirs = row.subject, row.best(RIVALS)
        line = [row.case, *(seconds(r.seconds) if r else "" for r in (ours, theirs))]
        line.append(theirs.contender if theirs else "")
        line += [seconds(row.records[name].seconds) if name in row.records else "" for name in COARSE]
        line += [f"{ours.gflops:.0f}" if ours and ours.gflops else "", times(row.ratio(RIVALS))]
        body.append(line)
    columns = ["case", "minidl", "best other", "which", *COARSE, "GFLOP/s", "times as fast"]
    known = ratios(report, suite, threads)
    if known:
        worst = min(known, key=lambda case: known[case])
        blank = [""] * (len(columns) - 2)
        body.append(["geometric mean", *blank, times(mean(known.values()))])
        body.append([f"worst: {worst}", *blank, times(known[worst])])
    return text(columns, body)


def ratios(report: Report, suite: str, threads: int) -> dict[str, float]:
    """By case, how many times as fast minidl is as the fastest other library in float32, where both are there."""
    found = ((row.case, row.ratio(RIVALS)) for row in rows(report, suite, threads))
    return {case: ratio for case, ratio in found if ratio}


def mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))


def exponents(report: Report) -> str:
    """How a training step's time grows with batch size, pixels and depth: the slope of log time against log size."""
    body = []
    for kind in distinct(r.case.split()[0] for r in report.find("growth")):
        line = [kind]
        for name in (names := distinct(r.contender for r in report.find("growth"))):
            found = [r for r in report.find("growth", measure="step", contender=name) if r.case.split()[0] == kind]
            sizes = [int(r.case.split()[1]) ** (2 if kind == "size" else 1) for r in found]
            slope = np.polyfit(np.log(sizes), np.log([r.seconds or 1.0 for r in found]), 1)[0]
            line.append(f"{slope:.2f}")
        body.append(line)
    return text(["step against", *names], body)


def text(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Aligned columns without those that are empty in every line; the first two flush left."""
    kept = [i for i in range(len(columns)) if any(line[i] for line in body)]
    widths = [max(len(line[i]) for line in [columns, *body]) for i in kept]
    lines = []
    for line in [columns, ["-" * 200] * len(columns), *body]:
        cells = (line[i][:w].ljust(w) if i < 2 else line[i][:w].rjust(w) for i, w in zip(kept, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def seconds(value: float | None) -> str:
    """A time with three digits and its unit."""
    if value is None:
        return ""
    unit, scale = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if value >= s), ("us", 1e-6))
    number = value / scale
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f} {unit}"


def times(ratio: float | None) -> str:
    """A ratio with two or three digits."""
    return "" if ratio is None else f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}"
