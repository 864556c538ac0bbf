"""Collect the results of training runs and put their tables into docs/results.md.

    python tools/results.py add out/*/result.json    # keep these runs in docs/results/
    python tools/results.py pictures out/vgg vgg     # keep a run's pictures in docs/pictures/results/
    python tools/results.py curve out/vgg vgg        # draw its accuracy against time beside them
    python tools/results.py write                    # make the tables of docs/results.md from docs/results/

A run is the result.json of an example's --recipe, or of benchmarks/torch_recipes.py. Between the marks
<!-- results: RECIPE --> and <!-- end --> of the page stands the table of a recipe's runs on the test set; between
<!-- tuning --> and <!-- end --> that of the runs with --validate.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUNS, PAGE, PICTURES = DOCS / "results", DOCS / "results.md", DOCS / "pictures" / "results"
KEPT = ("curves", "confusion", "feature_maps", "mistakes")
KEYS = {"recipe", "library", "seed", "threads", "validate", "epochs", "seconds", "accuracy", "history"}

Run = dict[str, Any]


def load(path: Path) -> Run:
    """A run's result.json. Raises ValueError that names the file if it is none."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error
    missing = KEYS - set(run if isinstance(run, dict) else ())
    if missing:
        raise ValueError(f"{path}: is no result of a recipe, it lacks {', '.join(sorted(missing))}")
    return run


def group(run: Run) -> tuple[str, str]:
    """What runs of different seeds have in common: recipe, and who trained in which way."""
    way = "F(4x4,3x3)" if run.get("winograd") == 4 else ""  # of runs without a name, at most F(2x4,3x3)
    way += "channels_last" if run.get("channels_last") else ""
    return run["recipe"], f"{run['library']} {way}".strip()


def file_name(run: Run) -> str:
    """The name under which a run is kept."""
    text = "-".join([*group(run), "validation" if run["validate"] else "test", str(run["seed"])])
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).lower() + ".json"


def add(paths: list[Path], busy: bool = False) -> None:
    """Copy runs into docs/results. busy: the machine had other work, so that their times and threads say nothing.

    A run that is kept as a busy one stays one when it is added again: its result.json does not know what else ran.
    """
    RUNS.mkdir(exist_ok=True)
    for path in paths:
        run = load(path)
        kept = RUNS / file_name(run)
        known = kept.exists() and load(kept) == run | {"busy": True}
        run |= {"busy": True} if busy or known else {}
        kept.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
        print(f"{path} -> {kept}" + ", without its time: it is kept as a run beside other work" * (known and not busy))


def pictures(folder: Path, name: str) -> None:
    """Copy the pictures of one run that the page shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for key in KEPT:
        shutil.copy(folder / f"{key}.png", PICTURES / f"{name}-{key}.png")
    print(f"{len(KEPT)} pictures -> {PICTURES}")


def curve(folder: Path, name: str) -> None:
    """Draw a run's training accuracy against time, and the accuracy that it was judged by at the end."""
    import matplotlib.pyplot as plt

    run = load(folder / "result.json")
    seconds = list(itertools.accumulate(run["history"]["seconds"]))
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(seconds, [100 * a for a in run["history"]["train_accuracy"]], "o-", label="training, augmented images")
    judged = "validation" if run["validate"] else "test"
    axes.plot(seconds[-1], 100 * run["accuracy"], "s", label=f"{judged}: {run['accuracy']:.2%}")
    axes.set(xlabel="training time / s", ylabel="accuracy / %")
    axes.grid(alpha=0.3)
    axes.legend()
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}-time.png")
    print(PICTURES / f"{name}-time.png")


def table(runs: list[Run]) -> str:
    """One row for each way of training: mean accuracy with its standard deviation, every run's, the least time; neither
    threads nor time for runs on a busy machine.
    """
    rows = [
        "| recipe | trained by | threads | epochs | runs | accuracy / % | each run | least time / s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (*group(run), run["seed"])):
        threads = "" if run.get("busy") else run["threads"]
        groups.setdefault((*group(run), threads, run["epochs"]), []).append(run)
    for (recipe, who, threads, epochs), members in groups.items():
        accuracies = [100 * run["accuracy"] for run in members]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(members) > 1 else ""
        each = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
        seconds = min(run["seconds"] for run in members)
        time = f"{seconds:.{2 if seconds < 10 else 1 if seconds < 100 else 0}f}" if threads else ""
        rows.append(
            f"| {recipe} | {who} | {threads} | {epochs} | {len(members)} | {statistics.mean(accuracies):.2f}{spread}"
            f" | {each} | {time} |"
        )
    return "\n".join(rows)


def page(text: str, runs: list[Run]) -> str:
    """The page with its tables made anew. Raises ValueError for a mark without an end or a recipe without runs."""

    def made(match: re.Match[str]) -> str:
        name = match[1].strip()
        recipe = name.removeprefix("results:").strip()
        chosen = [run for run in runs if run["validate"]]
        if name != "tuning":
            chosen = [run for run in runs if not run["validate"] and run["recipe"] == recipe]
        if not chosen:
            return f"<!-- {name} -->\n<!-- end -->"
        return f"<!-- {name} -->\n{table(chosen)}\n<!-- end -->"

    if text.count("<!-- end -->") != len(re.findall(r"<!-- (?:results:|tuning)", text)):
        raise ValueError("every mark <!-- results: RECIPE --> or <!-- tuning --> must have its <!-- end -->")
    return re.sub(r"<!-- (tuning|results:[^>]*?) -->\n.*?<!-- end -->", made, text, flags=re.DOTALL)


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 if a file is not as it must be."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)
    kept = commands.add_parser("add", help="keep runs")
    kept.add_argument("files", type=Path, nargs="+", metavar="result.json")
    kept.add_argument("--busy", action="store_true", help="the machine had other work: their times say nothing")
    for command, what in (("pictures", "keep a run's pictures"), ("curve", "draw a run's accuracy against time")):
        kept = commands.add_parser(command, help=what)
        kept.add_argument("folder", type=Path)
        kept.add_argument("name")
    commands.add_parser("write", help="write the page's tables")
    options = p.parse_args(argv)
    try:
        if options.command == "add":
            add(options.files, options.busy)
        elif options.command == "pictures":
            pictures(options.folder, options.name)
        elif options.command == "curve":
            curve(options.folder, options.name)
        else:
            runs = [load(path) for path in sorted(RUNS.glob("*.json"))]
            PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), runs), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"tools/results.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
