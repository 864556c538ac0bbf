"""Every example explains itself, runs on little data, prints right numbers and leaves its pictures."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import data, kernels

FOLDER = Path(__file__).parent.parent / "examples"
SHARED = ("common", "recipes", "table")
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)
PICTURES = [
    f"{key}.png" for key in ("confusion", "curves", "feature_maps", "filters", "histograms", "mistakes", "overview")
]
LEFT = sorted([*PICTURES, "log.jsonl", "model.safetensors", "result.json"])


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run an example's main with --out and --seed; returns its text and the names of the files that it left."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = kernels.current().name

    def call(name: str, *arguments: str) -> tuple[str, list[str]]:
        module = importlib.import_module(name)
        module.main([*arguments, "--out", str(tmp_path / "out")])
        files = sorted(path.name for path in (tmp_path / "out").iterdir())
        return capsys.readouterr().out, files

    yield call
    kernels.use(before)
    for name in (*NAMES, *SHARED):
        sys.modules.pop(name, None)


def test_all_examples_are_here():
    assert NAMES == [
        "capsules",
        "convolution_1d",
        "image_templates",
        "mlp_vs_cnn",
        "onnx_roundtrip",
        "overfit_small",
        "run_onnx",
        "segment",
        "sklearn_digits",
        "softmax_regression",
        "superresolution",
        "train_cifar",
        "train_mnist",
        "train_mpi",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_common_options(run, capsys, name):
    with pytest.raises(SystemExit) as end:
        run(name, "--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for option in ("--data", "--epochs", "--backend", "--out", "--seed"):
        assert option in text


def test_examples_start_as_programs_from_any_folder(tmp_path):
    program = [sys.executable, str(FOLDER / "train_mnist.py"), "--epochs", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(minidl.__file__).parents[1])}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--epochs must be at least 1, got 0" in done.stderr


def test_a_limit_of_no_images_is_refused(run, capsys):
    with pytest.raises(SystemExit) as end:
        run("segment", "--limit", "0")
    assert end.value.code == 2
    assert "--limit must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"foo": np.zeros(1)}, "images is not a file in the archive"),
        (
            {"images": np.zeros((4, 1, 8, 8), np.uint8), "masks": np.zeros((4, 7, 8), np.uint8)},
            r"masks \(N, H, W\), got \(4, 1, 8, 8\) and \(4, 7, 8\)",
        ),
    ],
)
def test_segmentation_names_what_is_wrong_in_a_file(run, tmp_path, arrays, match):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(SystemExit, match=match):
        run("segment", "--data", str(tmp_path / "data.npz"))


@pytest.mark.parametrize("name", NAMES)
def test_without_matplotlib_one_line_says_what_is_missing(run, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(SystemExit, match=r"^\S+: needs matplotlib, which the extra 'plot' brings: pip install"):
        run(name, "--epochs", "1")


EPOCH = re.compile(
    r"epoch +(\d+)  train loss (\d\.\d{4})  acc +(\S+)%  test loss (\d\.\d{4})  acc +(\S+)%  \d+\.\d\d s"
)


@pytest.mark.parametrize(("recipe", "start"), [("seed", 1.5), ("digits", 0.5)])
def test_train_mnist_prints_a_line_an_epoch_and_the_article_s_table(run, tmp_path, recipe, start):
    options = ("--recipe", recipe, "--epochs", "11", "--limit", "300", "--backend", "im2col", "--seed", "1")
    text, files = run("train_mnist", *options)
    lines = text.splitlines()
    assert lines[0] == "300 training and 300 test images"
    epochs = [found.groups() for line in lines if (found := EPOCH.fullmatch(line))]
    assert [int(epoch[0]) for epoch in epochs] == list(range(1, 12))
    assert [line for line in lines if line.startswith("epoch ")][11].split() == ["epoch", *HEAD, *HEAD]
    rows = [line.split() for line in lines if re.match(r" +\d+  +\d\.\d{4}", line)]
    assert [row[0] for row in rows] == ["1", "10", "11"]
    assert [row[5:] for row in rows] == [
        ["0.1224", "0.1495", "96.23", "95.14"],
        ["0.0341", "0.0400", "98.89", "98.54"],
        [],
    ]
    for row in rows:  # the table's order: both losses, both accuracies
        _, train_loss, train_accuracy, test_loss, test_accuracy = epochs[int(row[0]) - 1]
        assert row[1:5] == [train_loss, test_loss, train_accuracy, test_accuracy]
    assert float(epochs[-1][1]) < start < float(epochs[0][1]) < 3.5
    assert f"test accuracy {epochs[-1][4]}% after" in text
    assert files == LEFT
    (_, _), (x, y) = data.load_digits_mini()
    with minidl.kernels.use("im2col"):
        model = importlib.import_module("train_mnist").RECIPES[recipe].build(x)
        logits = model.load(tmp_path / "out/model.safetensors").predict(x[:300])
    assert epochs[-1][4] == f"{100 * (logits.argmax(axis=1) == y[:300]).mean():.2f}"


HEAD = ["train", "loss", "test", "loss", "train", "acc", "test", "acc"]


def test_the_table_draws_both_curves(run, monkeypatch):
    drawn = []
    monkeypatch.setattr(minidl.plots, "save_report", lambda model, history, *rest, **how: drawn.append(history) or [])
    run("train_mnist", "--epochs", "2", "--limit", "100")
    assert all(len(drawn[0][f"{part}_{key}"]) == 2 for part in ("train", "val") for key in ("loss", "accuracy"))
    assert np.isfinite(drawn[0]["val_loss"]).all()
    assert 0 <= min(drawn[0]["val_accuracy"]) <= max(drawn[0]["val_accuracy"]) <= 1


def test_train_mnist_has_the_article_s_network_with_every_class_alive(run, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    (_, _), (x, _) = data.load_digits_mini()
    model = importlib.import_module("train_mnist").seed_network(x)
    shapes = [parameter.data.shape for parameter in model.parameters()]
    assert shapes == [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (256, 784), (256,), (10, 256), (10,)]
    assert (model.predict(x[:200]) > 0).all()


def test_runs_differ_by_their_seed_and_leave_their_results(run, tmp_path):
    text, files = run("train_mnist", "--recipe", "fast", "--limit", "600", "--runs", "2", "--seed", "3")
    assert files == ["seed-3", "seed-4"]
    results = [json.loads((tmp_path / "out" / name / "result.json").read_text()) for name in files]
    assert [(r["recipe"], r["seed"], r["epochs"], r["validate"], r["images"]) for r in results] == [
        ("fast", 3, 2, False, 600),
        ("fast", 4, 2, False, 600),
    ]
    assert all(0.6 < result["accuracy"] < 1 for result in results)
    assert results[0]["history"]["train_loss"] != results[1]["history"]["train_loss"]
    mean = sum(result["accuracy"] for result in results) / 2
    assert f"mean of 2: accuracy {mean:.2%}" in text


@pytest.fixture
def few_pictures(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 3, 32, 32), np.uint8), np.arange(60) % 10
    monkeypatch.setattr(data, "load_cifar10", lambda path: ((x, y), (x[:20], y[:20])))


def test_validation_images_are_not_trained_on(run, few_pictures):
    text, files = run("train_cifar", "--limit", "48", "--validate")
    assert "40 training and 8 validation images" in text
    assert "validation accuracy" in text
    assert "test accuracy" not in text
    assert files == LEFT


@pytest.mark.parametrize("recipe", ["vgg", "residual", "record"])
def test_recipes_of_train_cifar_train(run, few_pictures, recipe):
    text, files = run("train_cifar", "--recipe", recipe, "--epochs", "1", "--limit", "20")
    assert re.search(r"test accuracy \d+\.\d\d% after \d+\.\d\d s of training", text)
    assert files == LEFT


def test_whitening_makes_patches_uncorrelated(run, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("train_cifar")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (40, 3, 9, 9)).cumsum(axis=3).astype(np.uint8)  # neighbours are correlated
    filters = module.whitening(images, eps=0.0)
    np.testing.assert_array_equal(filters[:12], -filters[12:])
    conv = minidl.Conv2D(3, 24, 2, init=lambda shape, rng: filters)
    y = minidl.Model(conv, **module.colours(images)).predict(images)[:, :12]
    second_moments = np.einsum("nchw,ndhw->cd", y, y) / y[:, 0].size
    np.testing.assert_allclose(second_moments, np.eye(12), atol=1e-3)


def test_mlp_vs_cnn_counts_parameters_and_compares(run):
    text, files = run("mlp_vs_cnn", "--epochs", "1", "--limit", "200")
    assert "MLP: 203,530 parameters" in text
    assert "CNN: 204,778 parameters" in text
    assert re.search(r"^CNN +\d\.\d{4} +\d+\.\d\d%$", text, re.MULTILINE)
    assert files == ["comparison.png"]


def test_overfit_small_learns_its_subset_by_heart(run):
    text, files = run("overfit_small", "--limit", "40", "--epochs", "30")
    first = float(re.search(r"loss before training (\d\.\d+)", text)[1])
    assert abs(first - np.log(10)) < 0.1
    assert "accuracy on the subset 100.00%" in text
    assert files == ["curves.png"]


def test_overfit_small_ends_with_an_error_if_it_does_not(run):
    with pytest.raises(SystemExit, match="not learnt"):
        run("overfit_small", "--epochs", "1")


def test_train_mpi_says_in_one_line_what_it_needs(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(SystemExit, match=r"minidl.mpi needs mpi4py and an MPI library: pip install 'minidl\[mpi\]'$"):
        run("train_mpi", "--epochs", "1")


def test_softmax_regression_agrees_with_the_logistic_function(run):
    text, files = run("softmax_regression", "--epochs", "2", "--limit", "500")
    assert float(re.search(r"at most (\S+) apart", text)[1]) < 1e-6
    assert float(re.search(r"10 classes: test accuracy (\S+)%", text)[1]) > 40
    assert float(re.search(r" 2 classes: test accuracy (\S+)%", " " + text.replace("\n", " "))[1]) > 60
    assert files == ["logistic.png", "templates.png"]


def test_image_templates_learn_the_edge_filter(run, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    image.imsave(tmp_path / "picture.png", np.random.default_rng(0).random((20, 24, 3)))
    text, files = run("image_templates", "--data", str(tmp_path / "picture.png"), "--epochs", "300")
    learnt = np.array(re.findall(r"-?\d+\.?\d*", text.split("learnt one:")[1].split("picture:")[0]), float)
    np.testing.assert_allclose(learnt[:9], learnt[9:], atol=0.05)
    assert files == ["learnt.png", "templates.png"]


def test_image_templates_have_a_picture_without_any_option(run):
    text, files = run("image_templates", "--epochs", "2")
    assert text.startswith("grey 0.0")
    assert files == ["learnt.png", "templates.png"]


def test_image_templates_say_in_one_line_that_there_is_no_picture(run, tmp_path):
    with pytest.raises(SystemExit, match=r"No such file.*: name a picture by --data$"):
        run("image_templates", "--data", str(tmp_path / "none.png"))


def test_convolution_1d_shows_the_worked_numbers_and_learns_the_kernel(run, tmp_path):
    signal = np.random.default_rng(1).normal(size=50)
    np.savetxt(tmp_path / "signal.txt", signal)
    text, files = run("convolution_1d", "--data", str(tmp_path / "signal.txt"), "--epochs", "300")
    assert "[ 4.5  5.5 -3.5]" in text  # 1*2 + 2*1 - 0*1 + 0.5, ...
    assert re.search(r"dx\[i\].*\[ 2\.  5\.  7\.  1\. -3\.\]", text)
    kernel, learnt = (re.search(rf"^{name} \[(.*)\]$", text, re.MULTILINE)[1].split() for name in ("kernel", "learnt"))
    np.testing.assert_allclose(np.array(learnt, float), np.array(kernel, float), atol=0.002)
    assert files == ["signal.png"]


def test_segment_marks_discs_and_leaves_the_network(run, tmp_path, monkeypatch):
    text, files = run("segment", "--epochs", "2", "--limit", "48")
    assert files == ["masks.png", "network.png", "unet.safetensors"]
    printed = float(re.search(r"over union on 8 unseen images (\S+)", text)[1])
    monkeypatch.syspath_prepend(str(FOLDER))
    example = importlib.import_module("segment")
    (x, masks), (x_test, masks_test) = example.load(None, 0, 48)
    assert (x.shape, x.dtype, masks.shape) == ((48, 3, 48, 48), np.uint8, (48, 48, 48))
    assert np.unique(masks).tolist() == [0, 1]
    assert 0.02 < masks.mean() < 0.3
    scores = minidl.load_model(tmp_path / "out" / "unet.safetensors").predict(x_test)
    assert scores.shape == (8, 1, 48, 48)
    assert printed == pytest.approx(example.overlap(scores[:, 0] > 0, masks_test > 0), abs=0.0005)
    assert example.overlap(np.array([1, 1, 0]) > 0, np.array([1, 0, 1]) > 0) == pytest.approx(1 / 3)
    np.savez(tmp_path / "own.npz", images=x[:20], masks=masks[:20])
    (own, _), (kept, _) = example.load(tmp_path / "own.npz", 0, 600)
    assert (kept == x[:2]).all()
    assert (own == x[2:20]).all()


def test_capsules_reconstruct_and_vary_one_value(run, tmp_path, monkeypatch):
    # After 2 epochs six of 8 seeds were below 20 %, the least at 10.75; after 10 none of 24 below 37 %.
    text, pictures = run("capsules", "--small", "--epochs", "10", "--limit", "400", "--digit", "3")
    assert "Capsules(72, 8, 10, 16)" in text
    assert float(re.search(r"test accuracy (\S+)%", text)[1]) > 20
    assert pictures == ["capsules.safetensors", "curves.png", "dimensions.png", "reconstructions.png"]
    monkeypatch.syspath_prepend(str(FOLDER))
    example = importlib.import_module("capsules")
    model = example.build(16, (64, 128)).load(tmp_path / "out" / "capsules.safetensors")
    (_, _), (x, y) = data.load_digits_mini()
    image = x[y == 3][0] / np.float32(255)
    drawn = example.varied(model, image, 3)
    np.testing.assert_allclose(drawn[:, 5], np.repeat(drawn[:1, 5], 16, axis=0), atol=1e-6)  # nothing added
    np.testing.assert_allclose(drawn[0, 5], model.reconstruct(image[None], [3])[0, 0], atol=1e-6)
    assert (np.abs(drawn[:, 0] - drawn[:, 10]).max(axis=(1, 2)) > 1e-4).all()


def test_onnx_roundtrip_goes_out_and_comes_back(run):
    for package in ("onnxruntime", "onnx.checker"):
        pytest.importorskip(package)
    text, files = run("onnx_roundtrip", "--epochs", "1", "--limit", "500")
    assert files == ["curves.png", "digits.onnx", "tuned.onnx"]
    differences = re.findall(r"largest difference (\S+)", text)
    assert len(differences) == 2
    assert max(map(float, differences)) < 1e-4
    inside = re.search(r"test accuracy (\S+)% in ONNX Runtime", text)[1]
    before, after = re.search(r"test accuracy (\S+)% before, (\S+)% after", text).groups()
    assert inside == before
    assert float(after) > max(float(before), 80)


def test_onnx_roundtrip_says_in_one_line_what_is_missing(run, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if "onnx" in name else found(name, *rest))
    with pytest.raises(SystemExit, match=r"^\S+: needs onnx and onnxruntime: pip install onnx onnxruntime$"):
        run("onnx_roundtrip")


def test_run_onnx_tells_layers_times_and_classes(run, tmp_path):
    pytest.importorskip("onnx")
    text, files = run("run_onnx", "--epochs", "2")
    assert files == ["digits.onnx", "times.png"]
    shares = [float(share) for share in re.findall(r"^ +\d+\.\d{3} +(\d+\.\d)%  0\.\d", text, re.MULTILINE)]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))
    assert "output: 10 scores" in text
    chances = [float(chance) for chance in re.findall(r"^ *(\d+\.\d\d)%  class \d$", text, re.MULTILINE)]
    assert chances == sorted(chances, reverse=True)
    assert len(chances) == 5
    (tmp_path / "names.txt").write_text("".join(f"digit {i}\n" for i in range(10)))
    picture = tmp_path / "picture.png"
    pytest.importorskip("matplotlib.image").imsave(picture, np.random.default_rng(0).random((50, 40, 3)))
    digits = str(tmp_path / "out" / "digits.onnx")
    text, _ = run("run_onnx", digits, str(picture), "--data", str(tmp_path / "names.txt"))
    assert len(re.findall(r"%  digit \d$", text, re.MULTILINE)) == 5


def test_run_onnx_takes_files_of_any_inputs_and_outputs(run, tmp_path):
    pytest.importorskip("onnx")
    a, b = minidl.Input((3, 8, 8)), minidl.Input(5)
    rows = minidl.Concat()(minidl.GlobalAvgPool2D()(a), b)
    minidl.onnx.save(minidl.Graph([a, b], [rows, minidl.Relu()(a)]), tmp_path / "two.onnx")
    text, _ = run("run_onnx", str(tmp_path / "two.onnx"))
    assert "output 0: 8 scores" in text
    assert "output 1: shape (3, 8, 8), from 0 to" in text
    for arguments, message in ((("none.onnx",), "No such file"), ((str(tmp_path / "two.onnx"), "none.png"), "No such")):
        with pytest.raises(SystemExit, match=message):
            run("run_onnx", *arguments)


def test_run_onnx_keeps_what_is_not_given(run, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    example = importlib.import_module("run_onnx")
    model = minidl.Model(minidl.Conv2D(3, 1, 1), dtype="float64", mean=[0.1, 0.2, 0.3], std=0.5, class_names=["a", "b"])
    found = example.rescaled(model, [0.25], None)
    assert (found.mean.tolist(), found.std, found.dtype, found.class_names) == ([0.25], 0.5, np.float64, ("a", "b"))
    assert example.rescaled(model, None, [0.4]).mean.tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(SystemExit, match="std must be"):
        example.rescaled(model, None, [0.0])


def test_superresolution_learns_and_measures(run, monkeypatch, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    rng = np.random.default_rng(0)
    for name in "abcd":  # smooth pictures
        waves = np.add.outer(
            np.sin(np.arange(70) * rng.uniform(0.1, 0.5)), np.sin(np.arange(61) * rng.uniform(0.1, 0.5))
        )
        image.imsave(tmp_path / f"{name}.png", np.stack([waves / 4 + 0.5] * 3, -1))
    text, files = run("superresolution", "--data", str(tmp_path), "--epochs", "50", "--limit", "64", "--factor", "2")
    assert files == ["espcn.safetensors", "pictures.png"]
    before, after = map(
        float, re.search(r"^70 x 60 pixels: bicubic (\S+) dB, ESPCN (\S+) dB$", text, re.MULTILINE).groups()
    )
    assert 30 < before < 60
    assert after > 20
    monkeypatch.syspath_prepend(str(FOLDER))
    example = importlib.import_module("superresolution")
    assert example.psnr(np.full((9, 9), 10, np.uint8), np.full((9, 9), 20, np.uint8), 2) == pytest.approx(
        28.13, abs=0.01
    )
    whole, small = example.parted(np.full((3, 10, 13), 128, np.uint8), 3)
    assert (whole.shape, small.shape) == ((3, 9, 12), (3, 3, 4))
    x, y = example.patches([rng.integers(0, 256, (3, 60, 60)).astype(np.uint8)], 3, 4, rng)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4, 1, 17, 17), np.uint8, (4, 1, 51, 51), np.float32)
    np.testing.assert_allclose(x[:, 0, 3:-3, 3:-3].mean(), 255 * y[:, 0, 9:-9, 9:-9].mean(), atol=3)


def test_superresolution_says_in_one_line_what_is_missing(run, monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "skimage" else found(name, *rest)
    )
    with pytest.raises(SystemExit, match=r"^\S+: needs pictures: --data FOLDER, or those of pip install scikit-image$"):
        run("superresolution")
    with pytest.raises(SystemExit, match="must have at least 2 pictures, PNG or JPEG, got 0"):
        run("superresolution", "--data", str(tmp_path))


def test_sklearn_digits_searches_saves_and_exports(run):
    for package in ("sklearn", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    text, files = run("sklearn_digits", "--epochs", "6", "--limit", "500")
    assert files == ["calibration.png", "confusion.png", "network.onnx", "pipeline.joblib"]
    scores = [float(score) for score in re.findall(r"(\S+)% in cross-validation", text)]
    assert len(scores) == 4
    assert min(scores) > 60
    assert float(re.search(r"test accuracy (\S+)%", text)[1]) > 85
    before, after = re.search(r"log loss (\S+), calibrated (\S+)", text).groups()
    assert 0 < float(before) < 1
    assert 0 < float(after) < 2.3
    assert "100.00% of the probabilities are the same bits" in text
    assert "gives 100.00% of the same labels" in text


def test_sklearn_digits_needs_images_to_calibrate_with(run, capsys):
    pytest.importorskip("sklearn")
    with pytest.raises(SystemExit):
        run("sklearn_digits", "--epochs", "1", "--limit", "50")
    assert "--limit must leave a digit five times" in capsys.readouterr().err


def test_sklearn_digits_says_in_one_line_what_is_missing(run, monkeypatch):
    found = importlib.util.find_spec
    hidden = lambda name, *rest: None if name == "sklearn" else found(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    with pytest.raises(SystemExit, match=r"^\S+: needs scikit-learn, which the extra 'sklearn' brings: pip install"):
        run("sklearn_digits")


PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("tutorial", "graphs", "training", "runs", "cs231n", "capsules", "sklearn")),
]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_the_documentation_runs(page, monkeypatch, tmp_path):
    """All blocks of a page in one namespace, as a reader would type them; on few digits."""
    (x, y), (x_test, y_test) = data.load_digits_mini()
    monkeypatch.setattr(data, "load_digits_mini", lambda: ((x[:300], y[:300]), (x_test[:100], y_test[:100])))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (FOLDER.parent / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    assert namespace.get("report", True)  # the last gradient or sanity check of the page passed


def test_the_opening_example_of_the_training_methods_learns(monkeypatch, tmp_path):
    block = re.findall(r"```python\n(.*?)```", (FOLDER.parent / "docs/training.md").read_text("utf-8"), re.DOTALL)[0]
    namespace: dict[str, object] = {}
    exec(compile(block, "training.md", "exec"), namespace)
    trainer = namespace["trainer"]
    assert isinstance(trainer, minidl.Trainer)
    assert trainer.history["val_accuracy"][-1] > 0.95


COMMAND = re.compile(r"python (?:examples/(\w+)\.py|-m (benchmarks\.?\w*))((?: [-\w./]+)*)")
COMMANDS = sorted(
    {
        found
        for page in ("README.md", "Makefile", *(f"docs/{path.name}" for path in (FOLDER.parent / "docs").glob("*.md")))
        for found in COMMAND.findall((FOLDER.parent / page).read_text(encoding="utf-8"))
    }
)


class Understood(Exception):
    """The command line was parsed."""


@pytest.mark.parametrize(
    ("example", "module", "options"),
    [
        pytest.param(*parts, id="".join(parts), marks=[pytest.mark.witness] if "torch" in parts[1] else [])
        for parts in COMMANDS
    ],
)
def test_printed_commands_are_understood(run, monkeypatch, example, module, options):
    """Every command of the pages up to its options; what it then does has tests of its own."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    monkeypatch.syspath_prepend(str(FOLDER))
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *args, **how):
        parse(self, *args, **how)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    if module == "benchmarks.torch_recipes":
        pytest.importorskip("torch")
    name = example or (f"{module}.__main__" if module == "benchmarks" else module)
    with pytest.raises(Understood):
        importlib.import_module(name).main(options.split())


def test_the_pages_have_commands():
    assert len(COMMANDS) > 15
    assert {name for name, _, _ in COMMANDS} >= {"train_mnist", "train_cifar", "capsules"}
    assert ("", "benchmarks", " --quick") in COMMANDS
