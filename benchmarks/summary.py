"""The few figures that sum a report up, and the README's table made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import COARSE
from benchmarks.records import Report, distinct
from benchmarks.tables import RIVALS, SHORT, Row, gains, mean, most, own_bytes, ratios, rows, seconds, times

BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"


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
    parts = (_training, _scaling, _layers, _inference, _zoo, _coarse, _memory, _predicting_memory, _cohabitation)
    return [line for part in parts for line in part(report)]


def _training(report: Report) -> Iterator[Line]:
    for suite, measure in (("epochs", "epoch"), ("networks", "step")):
        for case in distinct(r.case for r in report.find(suite)):
            for threads in sorted({r.threads for r in report.find(suite, case)}):
                row = next((r for r in rows(report, suite, threads) if (r.case, r.measure) == (case, measure)), None)
                if row:
                    yield from _compared(f"{case}: {measure}", threads, row, ("torch",))


def _compared(what: str, threads: int, row: Row, bases: tuple[str, ...]) -> Iterator[Line]:
    ours, theirs = row.subject, row.best(bases)
    if ours:
        named = ""
        if theirs:
            named = seconds(theirs.seconds) + ("" if theirs.contender == "torch" else f" ({theirs.contender})")
        yield Line(what, threads, seconds(ours.seconds), named, row.ratio(bases))


def _scaling(report: Report) -> Iterator[Line]:
    """How much faster training steps are on all threads than on one: geometric mean and worst network."""
    told = 0
    for least, which in ((0.0, ""), (SHORT, f" above {seconds(SHORT)}")):
        ours = gains(report, least=least)
        theirs = {case: gain for case, gain in gains(report, "torch").items() if case in ours}
        if len(ours) != told:  # all of them may be so long
            told = len(ours)
            what = f"{len(ours)} training steps{which} against those on one thread, geometric mean"
            shown = [f"{times(mean(g))} (worst {times(min(g))})" if g else "" for g in (ours.values(), theirs.values())]
            yield Line(what, most(report), *shown, None)


def _layers(report: Report) -> Iterator[Line]:
    for threads in distinct(r.threads for r in report.find("layers")):
        known = ratios(report, "layers", threads)
        if known:
            worst = min(known, key=lambda case: known[case])
            error = max(row.subject.error or 0.0 for row in rows(report, "layers", threads) if row.subject)
            what = f"{len(known)} convolution layers, forward + backward: geometric mean"
            what += f" (worst {times(known[worst])}: {worst}; largest error {error:.0e})"
            yield Line(what, threads, "", "", mean(known.values()))


def _inference(report: Report) -> Iterator[Line]:
    for case in distinct(r.case for r in report.find("inference")):
        for threads in distinct(r.threads for r in report.find("inference", case)):
            for row in rows(report, "inference", threads):
                if row.case == case:
                    yield from _compared(f"{case}: predict", threads, row, RIVALS)


def _zoo(report: Report) -> Iterator[Line]:
    """The usual networks against the best of all others in float32."""
    for suite, what in (("prediction", "predictions"), ("training", "training steps")):
        for threads in distinct(r.threads for r in report.find(suite)):
            known = ratios(report, suite, threads)
            if known:
                worst = min(known, key=lambda case: known[case])
                cases = f"{len(known)} {what} of usual networks, against the best other library: geometric mean"
                yield Line(f"{cases} (worst {times(known[worst])}: {worst})", threads, "", "", mean(known.values()))


def _coarse(report: Report) -> Iterator[Line]:
    """Training steps in float32 against those of a lower precision."""
    for name in COARSE:
        for threads in distinct(r.threads for r in report.find("training")):
            known = ratios(report, "training", threads, name)
            if known:
                worst = min(known, key=lambda case: known[case])
                what = (
                    f"{len(known)} training steps of usual networks, against {name}, another precision: geometric mean"
                )
                yield Line(f"{what} (worst {times(known[worst])}: {worst})", threads, "", "", mean(known.values()))


def _memory(report: Report) -> Iterator[Line]:
    found = {r.contender: r for r in report.find("memory", measure="step")}
    ours, theirs = found.get("native") or found.get("im2col"), found.get("torch")
    if ours and ours.bytes:
        ratio = theirs.bytes / ours.bytes if theirs and theirs.bytes else None
        text = f"{theirs.bytes / 1e6:.0f} MB" if theirs and theirs.bytes else ""
        yield Line(f"{ours.case}: peak memory of training", ours.threads, f"{ours.bytes / 1e6:.0f} MB", text, ratio)


def _predicting_memory(report: Report) -> Iterator[Line]:
    """Against ONNX Runtime."""
    known = {}
    for theirs in report.find("memory", measure="predict", contender="onnxruntime"):
        ours = own_bytes(report, "predict", theirs.case)
        if ours and theirs.bytes:
            known[theirs.case] = theirs.bytes / ours
    if known:
        worst = min(known, key=lambda case: known[case])
        what = f"peak memory of predicting 1 image, {len(known)} networks, against ONNX Runtime: geometric mean"
        yield Line(f"{what} (worst {times(known[worst])}: {worst})", theirs.threads, "", "", mean(known.values()))


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
            yield Line(what, threads, times(ours), times(theirs), None)


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


def around(readme: Path) -> tuple[str, str]:
    """A README's text up to and from the two marks. Raises ValueError if they are not there, once each and in order."""
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} must contain {BEGIN} and, below it, {END}, once each")
    return text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]


def rewrite(readme: Path, report: Report) -> None:
    """Put the table between the two marks of a README. Raises ValueError as `around`."""
    before, after = around(readme)
    readme.write_text(f"{before}\n{markdown(report)}\n{after}", encoding="utf-8")
