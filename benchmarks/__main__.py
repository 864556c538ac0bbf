"""Command line: measure, print tables, write JSON and pictures, bring the README's table up to date."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import contenders, machine, pictures, summary, tables, zoo
from benchmarks.harness import Session, Settings, last_line
from benchmarks.records import Report
from benchmarks.suites import SUITES
from benchmarks.worker import ROOT


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Validate minidl's backends and other libraries, then time them."
    )
    parser.add_argument("--quick", action="store_true", help="a small part of the suite, in less than a minute")
    parser.add_argument(
        "--only", type=_list, default=list(SUITES), metavar="SUITE,...", help=f"of {', '.join(SUITES)} (default: all)"
    )
    parser.add_argument(
        "--backends",
        type=_list,
        default=None,
        metavar="NAME,...",
        help=f"who takes part (default: all that are installed), of {', '.join(contenders.NAMES)}",
    )
    parser.add_argument(
        "--threads", type=_list, metavar="N,...", help="numbers or all (default: 1,all; with --quick all)"
    )
    parser.add_argument(
        "--repeats", type=int, help="samples a figure at least; the smallest counts (default: 5, with --quick 3)"
    )
    parser.add_argument(
        "--seconds", type=float, help="for how long short calls of one case are sampled (default: 6, with --quick 0)"
    )
    parser.add_argument(
        "--networks",
        type=_list,
        default=list(zoo.KEYS),
        metavar="NAME,...",
        help=f"of prediction, training and memory: {', '.join(zoo.KEYS)} (default: all)",
    )
    parser.add_argument(
        "--batches",
        type=_list,
        default=list(map(str, zoo.BATCHES)),
        metavar="N,...",
        help=f"of prediction and training, up to each network's limit (default: {','.join(map(str, zoo.BATCHES))})",
    )
    parser.add_argument(
        "--compilation",
        type=float,
        default=Settings.compilation,
        metavar="S",
        help=f"of {' and '.join(contenders.COMPILING)}: seconds for a network's first results "
        f"(default: {Settings.compilation:.0f})",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write benchmark.json and the pictures there")
    parser.add_argument("--load", type=Path, metavar="JSON", help="measure nothing, take the figures from this file")
    parser.add_argument("--readme", action="store_true", help="put the summary into README.md")
    options = parser.parse_args(argv)
    unknown = set(options.only) - set(SUITES)
    if unknown:
        parser.error(f"there is no suite {', '.join(sorted(unknown))}")
    unknown = set(options.networks) - set(zoo.KEYS)
    if unknown:
        parser.error(f"there is no network {', '.join(sorted(unknown))}")
    if options.seconds is not None and not options.seconds >= 0:
        parser.error(f"--seconds must be at least 0, got {options.seconds}")
    if not options.compilation > 0:
        parser.error(f"--compilation must be more than 0, got {options.compilation}")
    if options.repeats is not None and options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    try:
        options.contenders = choose(options.backends, options.quick)
        threads = options.threads or (["all"] if options.quick else ["1", "all"])
        options.threads = sorted({machine.cores() if n == "all" else int(n) for n in threads})
        if options.threads[0] < 1:
            raise ValueError(f"--threads must be at least 1, got {options.threads[0]}")
        options.batches = sorted(map(int, options.batches))
        if options.batches[0] < 1:
            raise ValueError(f"--batches must be at least 1, got {options.batches[0]}")
    except ValueError as error:
        parser.error(str(error))
    return options


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def choose(names: list[str] | None, quick: bool) -> list[contenders.Contender]:
    """The contenders of these names; for None all that are installed, if `quick` without their variants.

    Raises ValueError for a name that is unknown or not installed.
    """
    if names is None:
        return [c for c in contenders.everybody() if not (quick and c.variant)]
    chosen = [contenders.parse(name) for name in names]
    for contender in chosen:
        reason = contenders.missing(contender)
        if reason:
            raise ValueError(f"{contender.name} cannot take part: {reason}")
    return chosen


def measure(options: argparse.Namespace) -> Report:
    """Run the chosen suites; an interruption keeps what was found."""
    settings = Settings(
        options.repeats or (3 if options.quick else 5),
        0.005 if options.quick else 0.02,
        (0.0 if options.quick else 6.0) if options.seconds is None else options.seconds,
        tuple(options.networks),
        tuple(options.batches),
        options.compilation,
    )
    with Session(options.contenders, options.threads, settings) as session:
        print("taking part:", ", ".join(c.name for c in session.contenders))
        start = time.monotonic()
        try:
            if set(options.only) - {"prediction", "training", "memory", "cohabitation"}:
                for threads in options.threads:
                    session.measure_peak(threads, 1024 if options.quick else 2048)
            for name in options.only:
                print(f"{name} ({time.monotonic() - start:.0f} s)", flush=True)
                try:
                    SUITES[name](session, options.quick)
                except RuntimeError as error:
                    session.note(f"{name} broke off: {last_line(error)}")
                    session.close()
        except KeyboardInterrupt:
            session.note("interrupted: the figures are not complete")
        return session.report()


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 if a contender was wrong, 2 if a file is not as it must be."""
    options = arguments(argv)
    readme = ROOT / "README.md"
    try:
        if options.readme:
            summary.around(readme)
        report = Report.load(options.load) if options.load else measure(options)
    except (OSError, ValueError) as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    print("\n" + tables.render(report) + "\n")
    print(tables.text(["summary", "threads", "minidl", "other", "ratio"], summary.cells(report)))
    if options.out:
        report.save(options.out / "benchmark.json")
        print(f"wrote {options.out / 'benchmark.json'}")
        try:
            for path in pictures.draw(report, options.out):
                print(f"wrote {path}")
        except ImportError:
            print("no pictures: matplotlib is not installed")
    if options.readme:
        summary.rewrite(readme, report)
        print("README.md is up to date")
    return int(any("WRONG" in note for note in report.notes))


if __name__ == "__main__":
    sys.exit(main())
