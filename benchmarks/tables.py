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

SHORT = 1e-3
"""Seconds of a training step on one thread from which on its scaling is shown."""

HEADS = {
    "kernels": "Operations on plain NCHW arrays, conversions included",
    "layers": "Convolutions as layers in a training, forward and backward, against the best other library",
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

    def ratio_to(self, name: str) -> float | None:
        """How many times as fast the subject is as that contender."""
        ours, theirs = self.subject, self.records.get(name)
        return theirs.seconds / ours.seconds if ours and theirs and ours.seconds and theirs.seconds else None


def rows(report: Report, suite: str, threads: int) -> list[Row]:
    """A suite's rows in order of measurement; single operations get a third one, "both", forward plus backward."""
    found = []
    for case in distinct(r.case for r in report.find(suite, threads=threads)):
        records = report.find(suite, case, threads=threads)
        parts = [
            Row(case, measure, {r.contender: r for r in records if r.measure == measure})
            for measure in distinct(r.measure for r in records)
        ]
        found += parts
        if suite in ("elementwise", "channels") and len(parts) == 2:
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
            table = against if suite in ("layers", "prediction", "training") else timing
            parts.append(f"{title}, {threads} thread{'s' * (threads > 1)}\n{table(report, suite, threads)}")
    if gains(report, least=SHORT):
        parts.append(
            f"Training steps above {seconds(SHORT)} on one thread: times as fast on {most(report)} threads\n"
            + scaling(report)
        )
    if report.find("growth"):
        parts.append("Exponents of growth: 1 is in proportion\n" + exponents(report))
    for measure, what in (("step", "training"), ("predict", "a prediction")):
        if report.find("memory", measure=measure):
            parts.append(f"Peak memory of {what} over the process after import\n{memory(report, measure)}")
    if report.find("compile"):
        body = [[r.case, r.contender, str(r.threads), seconds(r.seconds)] for r in report.find("compile")]
        columns = ["case", "contender", "threads", "until the first results"]
        parts.append(
            "Compilation, whose results are kept on disk and found there by a later run\n" + text(columns, body)
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
    """One line a layer, or a network and batch: minidl, the fastest other library in float32 and its name, and how many
    times as fast minidl is; the same of what is below float32; then geometric means and the worst case.
    """
    body = []
    for row in rows(report, suite, threads):
        ours, theirs = row.subject, row.best(RIVALS)
        line = [row.case, *(seconds(r.seconds) if r else "" for r in (ours, theirs))]
        line.append(theirs.contender if theirs else "")
        line += [f"{ours.gflops:.0f}" if ours and ours.gflops else "", times(row.ratio(RIVALS))]
        for name in COARSE:
            line += [seconds(row.records[name].seconds) if name in row.records else "", times(row.ratio_to(name))]
        body.append(line)
    columns = ["case", "minidl", "best other", "which", "GFLOP/s", "times as fast"]
    for name in COARSE:
        columns += [name, f"x {name.partition(':')[2]}"]
    for place, name in enumerate((None, *COARSE)):
        known = ratios(report, suite, threads, name)
        if known:
            than = f" of x {name.partition(':')[2]}" if name else ""
            worst = min(known, key=lambda case: known[case])
            for what, ratio in (
                ("geometric mean" + than, mean(known.values())),
                (f"worst{than}: {worst}", known[worst]),
            ):
                line = [what, *[""] * (len(columns) - 1)]
                line[5 + 2 * place] = times(ratio)
                body.append(line)
    return text(columns, body)


def ratios(report: Report, suite: str, threads: int, name: str | None = None) -> dict[str, float]:
    """By case, how many times as fast minidl is as the fastest other library in float32, where both are there.

    name: of a contender to be compared with instead.
    """
    table = rows(report, suite, threads)
    found = ((row.case, row.ratio(RIVALS) if name is None else row.ratio_to(name)) for row in table)
    return {case: ratio for case, ratio in found if ratio}


def most(report: Report) -> int:
    """The largest number of threads that training steps of networks were measured with."""
    return max((r.threads for suite in ("networks", "training") for r in report.find(suite)), default=1)


def gains(report: Report, contender: str = "native", least: float = 0.0) -> dict[str, float]:
    """By case, how many times as fast a contender's training step is on `most` threads as on one.

    least: seconds that the step takes on one thread, or more.
    """
    found: dict[str, float] = {}
    for suite in ("networks", "training"):
        one, many = (
            {r.case: r.seconds or math.inf for r in report.find(suite, None, "step", contender, threads)}
            for threads in (1, most(report))
        )
        if most(report) > 1:
            found |= {case: one[case] / many[case] for case in one if case in many and one[case] >= least}
    return found


def scaling(report: Report) -> str:
    """One line a network and batch whose step takes minidl more than SHORT; then the geometric mean and the worst."""
    found = {name: gains(report, name) for name in ("native", "torch", "torch:channels_last")}
    ours = gains(report, least=SHORT)
    body = [[case, *(times(gain.get(case)) for gain in found.values())] for case in ours]
    common = [[gain[case] for case in ours if case in gain] for gain in found.values()]
    body.append(["geometric mean", *(times(mean(known)) if known else "" for known in common)])
    worst = min(ours, key=lambda case: ours[case])
    body.append([f"worst: {worst}", times(ours[worst]), "", ""])
    return text(["case", "minidl", "torch", "torch:channels_last"], body)


def memory(report: Report, measure: str) -> str:
    """One line a case and contender: the peak, and how many times as much it is as minidl's."""
    body = []
    for r in report.find("memory", measure=measure):
        ours = own_bytes(report, measure, r.case)
        body.append(
            [r.case, r.contender, f"{(r.bytes or 0) / 1e6:.1f} MB", times(r.bytes / ours if r.bytes and ours else None)]
        )
    return text(["case", "contender", "peak", "times minidl's"], body)


def own_bytes(report: Report, measure: str, case: str) -> int | None:
    """minidl's peak: the native backend's, else im2col's."""
    found = {r.contender: r.bytes for r in report.find("memory", case, measure)}
    return found.get("native") or found.get("im2col")


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
