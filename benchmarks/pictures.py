"""Pictures of a report, with matplotlib: speed against channels, scaling with threads, growth of cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.records import Report, distinct
from benchmarks.tables import rows

COLOURS = {"native": "tab:blue", "im2col": "tab:orange", "torch": "tab:red", "reference": "tab:gray"}
TITLES = {"batch": "seed network", "size": "two convolutions, 32 images", "depth": "16x16 pixels, 32 images"}


def draw(report: Report, folder: Path) -> list[Path]:
    """Write the pictures that the report has figures for as PNG files; their paths. Raises ImportError without
    matplotlib.
    """
    from matplotlib.figure import Figure

    found = []
    for name, paint, suite, width in (
        ("channels", _channels, "channels", 6.5),
        ("threads", _threads, "threads", 6.5),
        ("growth", _growth, "growth", 12.0),
    ):
        if report.find(suite):
            figure = Figure(figsize=(width, 4.0), layout="constrained")
            paint(report, figure)
            figure.suptitle(f"{report.machine['cpu']}, {report.machine['cores']} cores", fontsize="small", color="gray")
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=120)
            found.append(path)
    return found


def _channels(report: Report, figure: Any) -> None:
    """GFLOP/s, forward + backward, of a 3x3 convolution with as many output as input channels."""
    axes = figure.subplots()
    threads = report.find("channels")[0].threads
    table = [row for row in rows(report, "channels", threads) if row.measure == "both"]
    for name in distinct(name for row in table for name in row.records):
        points = [(int(row.case.split()[0]), row.records[name].gflops) for row in table if name in row.records]
        axes.plot(*zip(*points), "o-", label=name, color=COLOURS.get(name))
    peak = report.peak_gflops.get(str(threads))
    if peak:
        axes.axhline(peak, color="gray", linestyle=":", label="largest matrix product")
    axes.set_xscale("log")
    _plain_ticks(axes, [int(row.case.split()[0]) for row in table])
    axes.set_ylim(bottom=0)
    axes.set(xlabel="channels in and out", ylabel="GFLOP/s by the direct count")
    axes.set_title(f"3x3 convolution, 16x16 pixels, forward + backward, {threads} thread{'s' * (threads > 1)}")
    axes.legend()


def _threads(report: Report, figure: Any) -> None:
    """How many times as fast a training step is on n threads as on one."""
    axes = figure.subplots()
    counts = sorted({r.threads for r in report.find("threads")})
    styles = dict(zip(distinct(r.case for r in report.find("threads")), ("o-", "s--", "^:"), strict=False))
    for name in distinct(r.contender for r in report.find("threads")):
        for case, style in styles.items():
            found = {r.threads: r.seconds or 0.0 for r in report.find("threads", case, "step", name)}
            if 1 in found:
                speedup = [found[1] / value for value in found.values()]
                axes.plot(list(found), speedup, style, label=f"{name}: {case}", color=COLOURS.get(name))
    axes.plot(counts, counts, color="lightgray", label="in proportion", zorder=0)
    axes.set(xlabel="threads", ylabel="times as fast as on one thread", title="Training step", xticks=counts)
    axes.legend(fontsize="small")


def _growth(report: Report, figure: Any) -> None:
    """A training step's time against batch size, number of pixels and number of layers, logarithmic on both axes."""
    labels = {"batch": "images in a batch", "size": "pixels of an image", "depth": "convolutions after the first"}
    for axes, (kind, label) in zip(figure.subplots(1, 3), labels.items(), strict=True):
        records = [r for r in report.find("growth", measure="step") if r.case.startswith(f"{kind} ")]
        sizes = [int(size) ** (2 if kind == "size" else 1) for size in distinct(r.case.split()[1] for r in records)]
        for name in distinct(r.contender for r in records):
            times = [1e3 * (r.seconds or 0.0) for r in records if r.contender == name]
            axes.plot(sizes, times, "o-", label=name, color=COLOURS.get(name))
        axes.set(xscale="log", yscale="log", title=TITLES[kind])
        axes.set(xlabel=label, ylabel="training step, ms")
        _plain_ticks(axes, sizes)
        axes.grid(alpha=0.3)
        if records:
            axes.legend(loc="lower right", fontsize="small")


def _plain_ticks(axes: Any, ticks: list[int]) -> None:
    """Those numbers as they are on a logarithmic x axis."""
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
