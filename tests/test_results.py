"""tools/results.py: runs are kept by name, tables come from them alone."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "results.py"


@pytest.fixture
def results(monkeypatch, tmp_path):
    """The tool, with a docs folder of its own."""
    spec = importlib.util.spec_from_file_location("results", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in (("RUNS", "results"), ("PAGE", "results.md"), ("PICTURES", "pictures/results")):
        monkeypatch.setattr(module, name, tmp_path / "docs" / path)
    (tmp_path / "docs").mkdir()
    return module


def run(**changes):
    base = {"recipe": "fast", "library": "minidl 1", "seed": 1, "threads": 2, "validate": False, "epochs": 2}
    return base | {"seconds": 1.25, "accuracy": 0.99, "history": {}} | changes


def write(path, **changes):
    path.write_text(json.dumps(run(**changes)))
    return path


def test_a_table_has_a_row_for_each_way_of_training(results):
    runs = [
        run(seed=2, accuracy=0.992, seconds=1.75),
        run(),
        run(winograd=4, accuracy=0.5),
        run(library="PyTorch 2", channels_last=True, seconds=812.4),
        run(seed=3, threads=1, busy=True),
        run(seed=4, accuracy=0.98, busy=True),
    ]
    rows = results.table(runs).splitlines()[2:]
    assert rows == [
        "| fast | PyTorch 2 channels_last | 2 | 2 | 1 | 99.00 | 99.00 | 812 |",
        "| fast | minidl 1 | 2 | 2 | 2 | 99.10 ± 0.14 | 99.00, 99.20 | 1.25 |",
        "| fast | minidl 1 |  | 2 | 2 | 98.50 ± 0.71 | 99.00, 98.00 |  |",
        "| fast | minidl 1 F(4x4,3x3) | 2 | 2 | 1 | 50.00 | 50.00 | 1.25 |",
    ]


def test_runs_are_kept_and_written_between_their_marks(results, tmp_path, capsys):
    files = [write(tmp_path / "a.json"), write(tmp_path / "b.json", validate=True, accuracy=0.9)]
    assert results.main(["add", *map(str, files)]) == 0
    assert results.main(["add", "--busy", str(write(tmp_path / "c.json", seed=2))]) == 0
    assert json.loads((results.RUNS / "fast-minidl-1-test-2.json").read_text())["busy"]
    (results.RUNS / "fast-minidl-1-test-2.json").unlink()
    assert sorted(path.name for path in results.RUNS.iterdir()) == [
        "fast-minidl-1-test-1.json",
        "fast-minidl-1-validation-1.json",
    ]
    results.PAGE.write_text("a\n<!-- results: fast -->\nold\n<!-- end -->\nb\n<!-- tuning -->\n<!-- end -->\nc\n")
    assert results.main(["write"]) == 0
    before, test, between, tuning, after = results.PAGE.read_text().replace("<!-- end -->", "-->").split("-->\n")[:5]
    assert (before, between, after) == ("a\n<!-- results: fast ", "b\n<!-- tuning ", "c\n")
    assert "| 99.00 |" in test
    assert "old" not in test
    assert "| 90.00 |" in tuning
    written = results.PAGE.read_text()
    assert results.main(["write"]) == 0
    assert results.PAGE.read_text() == written


def test_a_run_beside_other_work_stays_one_when_it_is_added_again(results, tmp_path, capsys):
    path = write(tmp_path / "a.json")
    kept = tmp_path / "docs" / "results" / "fast-minidl-1-test-1.json"
    assert results.main(["add", "--busy", str(path)]) == 0
    assert results.main(["add", str(path)]) == 0
    assert json.loads(kept.read_text()) == run(busy=True)
    assert "without its time" in capsys.readouterr().out
    assert results.table([results.load(kept)]).endswith("| fast | minidl 1 |  | 2 | 1 | 99.00 | 99.00 |  |")
    assert results.main(["add", str(write(path, seconds=1.5))]) == 0  # another run of this seed
    assert json.loads(kept.read_text()) == run(seconds=1.5)
    assert results.main(["add", str(path)]) == 0
    assert json.loads(kept.read_text()) == run(seconds=1.5)


def test_a_recipe_without_runs_has_an_empty_place(results):
    page = "<!-- results: vgg -->\nold\n<!-- end -->\n"
    assert results.page(page, [run()]) == "<!-- results: vgg -->\n<!-- end -->\n"


def test_pictures_of_a_run_are_kept_under_its_name(results, tmp_path):
    for key in results.KEPT:
        (tmp_path / f"{key}.png").write_bytes(key.encode())
    assert results.main(["pictures", str(tmp_path), "fast"]) == 0
    assert (results.PICTURES / "fast-curves.png").read_bytes() == b"curves"


@pytest.mark.parametrize(
    ("content", "fault"), [("{", "is not JSON"), ("[]", "is no result of a recipe"), ('{"recipe": "fast"}', "it lacks")]
)
def test_what_is_no_result_is_refused_by_name(results, tmp_path, capsys, content, fault):
    (tmp_path / "a.json").write_text(content)
    assert results.main(["add", str(tmp_path / "a.json")]) == 1
    error = capsys.readouterr().err
    assert "a.json" in error
    assert fault in error


def test_a_mark_without_an_end_is_refused(results):
    with pytest.raises(ValueError, match="must have its <!-- end -->"):
        results.page("<!-- results: fast -->\n", [run()])
