"""The few figures that sum a report up, and the README's table made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import Report, distinct
from benchmarks.tables import Row, rows, seconds, times

BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
RIVALS = ("torch", "jax", "onnxruntime", "openvino", "sklearn")


@dataclass(frozen=True)
class Line:
    """what, threads: the comparison. ours, theirs: both figures as text, theirs may be empty. ratio: above 1 where
    minidl wins.
    """

    what: str
    threads: int
    ours: str
    theirs: str
    ratio: float | None


def lines(report: Report) -> list[Line]:
    """The summary in the order of the README's table."""
    return [*_training(report), *_layers(report), *_inference(report), *_memory(report), *_cohabitation(report)]


def _training(report: Report) -> Iterator[Line]:
    for suite, measure in (("epochs", "epoch"), ("networks", "step")):
        for case in distinct(r.case for r in report.find(suite)):
            for threads in distinct(r.threads for r in report.find(suite, case)):
                row = next((r for r in rows(report, suite, threads) if (r.case, r.measure) == (case, measure)), None)
                if row:
                    yield from _compared(f"{case}: {measure}", threads, row, ("torch",))


def _compared(what: str, threads: int, row: Row, bases: tuple[str, ...]) -> Iterator[Line]:
    ours, theirs = row.subject, row.best(bases)
    if ours:
        named = (
            f"{seconds(theirs.seconds)}" + ("" if bases == ("torch",) else f" ({theirs.contender})") if theirs else ""
        )
        yield Line(what, threads, seconds(ours.seconds), named, row.ratio(bases))


def _layers(report: Report) -> Iterator[Line]:
    for threads in distinct(r.threads for r in report.find("layers")):
        ratios = [row.ratio() for row in rows(report, "layers", threads) if row.measure == "both"]
        known = [ratio for ratio in ratios if ratio]
        if known:
            mean = math.exp(sum(map(math.log, known)) / len(known))
            what = f"{len(known)} convolution layers, forward + backward: geometric mean (worst {times(min(known))})"
            yield Line(what, threads, "", "", mean)


def _inference(report: Report) -> Iterator[Line]:
    for case in distinct(r.case for r in report.find("inference")):
        for threads in distinct(r.threads for r in report.find("inference", case)):
            for row in rows(report, "inference", threads):
                if row.case == case:
                    yield from _compared(f"{case}: predict", threads, row, RIVALS)


def _memory(report: Report) -> Iterator[Line]:
    found = {r.contender: r for r in report.find("memory")}
    ours, theirs = found.get("native") or found.get("im2col"), found.get("torch")
    if ours and ours.bytes:
        ratio = theirs.bytes / ours.bytes if theirs and theirs.bytes else None
        text = f"{theirs.bytes / 1e6:.0f} MB" if theirs and theirs.bytes else ""
        yield Line(f"{ours.case}: peak memory of training", ours.threads, f"{ours.bytes / 1e6:.0f} MB", text, ratio)


def _cohabitation(report: Report) -> Iterator[Line]:
    for threads in distinct(r.threads for r in report.find("cohabitation")):
        by = {row.measure: row for row in rows(report, "cohabitation", threads)}
        shares = []
        for name in ("native", "im2col", "torch"):
            parts = [by[m].records.get(name) for m in ("pair", "step", "product") if m in by]
            pair, step, product = (part.seconds if part else None for part in parts) if len(parts) == 3 else (None,) * 3
            shares.append(pair / (step + product) if pair and step and product else None)
        ours, theirs = shares[0] or shares[1], shares[2]
        if ours:
            what = "training step and numpy matrix product in turn, against the sum of both alone"
            yield Line(what, threads, times(ours), times(theirs), theirs / ours if theirs else None)


def cells(report: Report) -> list[list[str]]:
    """The summary as the cells of a table: what, threads, minidl, other, ratio."""
    return [[line.what, str(line.threads), line.ours, line.theirs, times(line.ratio)] for line in lines(report)]


def markdown(report: Report) -> str:
    """The README's table, with the machine, the versions and how to make it again."""
    machine = report.machine
    where = [machine["cpu"], f"{machine['cores']} cores", *machine["instruction_sets"][:1]]
    text = [
        f"{', '.join(where)}; {', '.join(distinct(report.versions.values()))}, numpy {machine['numpy']}.",
        "Smallest of interleaved repeats, float32, same threads and batch on both sides;",
        "made by `python -m benchmarks --readme` (see docs/benchmarks.md).",
        "",
        "| what | threads | minidl | PyTorch, or the best other | times as good |",
        "|---|---|---|---|---|",
    ]
    for *line, ratio in cells(report):
        text.append(f"| {' | '.join(line)} | {ratio and f'**{ratio}**'} |")
    return "\n".join(text)


def rewrite(readme: Path, report: Report) -> None:
    """Put the table between the two marks in a README. Raises ValueError if they are not there, once each and in
    order.
    """
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} must contain {BEGIN} and, below it, {END}, once each")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    readme.write_text(f"{before}\n{markdown(report)}\n{after}")
