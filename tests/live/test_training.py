"""A training under the page's buttons: begun, paused, stepped, steered, reset; and that it is that of a script."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

import minidl
from minidl.data import load_digits_mini
from minidl.live import api, packed
from minidl.live import run as running
from minidl.live.choices import CHANGES, DATA, NETWORKS, OPTIMISERS, Settings, network_lines, read_data
from minidl.live.layer_list import check

SMALL = {"layers": ["Conv2D(1, 4, 3)", "Relu()", "MaxPool2D(2)", "Flatten()", "Linear(676, 10)"], "epochs": 2}


def paused(run):
    return run.status == "paused"


def test_steps_are_made_one_by_one(page):
    page.ask("reset", SMALL)
    for count in (1, 2, 3):
        page.ask("start", {"steps": 1})
        page.until(lambda run, count=count: run.steps == count and paused(run))
    page.ask("start", {"steps": 4})
    run = page.until(lambda run: run.steps == 7 and paused(run))
    assert [point[0] for point in run.points][:3] == [1, 2, 3]


def test_a_training_on_the_page_is_that_of_a_script(page):
    """Paused and gone on with, it ends in the bits of one that nobody looks at."""
    page.ask("reset", SMALL)
    page.ask("start", {"steps": 5})
    page.until(paused)
    page.ask("start")
    run = page.until(lambda run: run.status == "done")
    minidl.seed(0)
    _, model = check(SMALL["layers"], (1, 28, 28), 10)
    train, (x, y) = load_digits_mini()
    optimizer = minidl.SGD(0.01, momentum=0.9, weight_decay=1e-4)
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), optimizer)
    history = trainer.fit(train, (x[:2000], y[:2000]), 2, 100, 0, verbose=False)
    assert run.steps == 80
    for name, array in model.state().items():
        np.testing.assert_array_equal(array, run.model.state()[name])
    assert [point[2] for point in run.judgements] == history["val_accuracy"]
    assert [point[0] for point in run.judgements] == [40, 80]


def test_a_seed_is_repeated_beside_a_training_that_draws(page):
    """Dropout draws in another thread meanwhile."""
    layers = ["Conv2D(1, 4, 3)", "Relu()", "Dropout(0.5)", "Flatten()", "Linear(2704, 10)"]
    page.ask("reset", {"layers": layers})
    wanted = page.desk.run.model.state()
    for _ in range(4):
        page.ask("start")
        page.until(lambda run: run.steps > 2)
        page.ask("layers", {"data": "digits", "layers": layers})
        page.ask("reset", {"layers": layers})
        for name, array in page.desk.run.model.state().items():
            np.testing.assert_array_equal(array, wanted[name])


def test_texts_that_no_encoding_has_come_back_in_a_row(page):
    answer = page.ask("layers", {"data": "digits", "layers": ["\ud800"]})
    assert answer["rows"][0]["error"]


def test_maps_of_vanishing_numbers_are_seen():
    found = packed.maps(np.array([1e-37, 0, -5e-38], np.float32))
    assert np.frombuffer(base64.b64decode(found["data"]), np.int8).tolist() == [127, 0, -64]


def test_after_the_last_epoch_start_goes_on(page):
    page.ask("reset", SMALL | {"epochs": 1})
    page.ask("start")
    page.until(lambda run: run.status == "done")
    page.ask("start")
    run = page.until(lambda run: run.status == "done" and run.steps == 80)
    assert run.trainer.history.epochs == 2


def test_rate_decay_and_speed_can_be_moved(page):
    page.ask("reset", SMALL | {"epochs": 10_000})
    page.ask("start", {"steps": 1})
    run = page.until(paused)
    before = {name: array.copy() for name, array in run.model.state().items()}
    page.ask("steer", {"lr": 0, "weight_decay": 0.5})
    page.ask("start", {"steps": 3})
    page.until(lambda run: run.steps == 4 and paused(run))
    assert all((before[name] == array).all() for name, array in run.model.state().items())
    told = json.loads(run.report())
    assert (told["lr"], told["weight_decay"]) == (0, 0.5)
    page.ask("steer", {"lr": 0.02, "speed": 1000})
    page.ask("start", {"steps": 2})
    page.until(lambda run: run.steps == 6 and paused(run))
    assert any((before[name] != array).any() for name, array in run.model.state().items())
    page.ask("steer", {"speed": 0.001})  # a step in a quarter of an hour: the button must not wait for it
    page.ask("start")
    page.ask("pause")
    page.until(paused)
    page.ask("reset", SMALL)
    assert page.desk.run.status == "ready"


def test_reset_ends_the_old_training_at_once(page):
    page.ask("reset", SMALL | {"epochs": 1_000_000})
    page.ask("start")
    old = page.until(lambda run: run.steps > 3)
    about = page.ask("reset", {"network": "mlp", "seed": 3, "batch": 50})
    assert old.status == "ended"
    assert about["settings"]["layers"] == ["Flatten()", "Linear(784, 100)", "Relu()", "Linear(100, 10)"]
    assert page.desk.run.steps == 0


def test_a_reset_that_is_refused_leaves_the_old_training(page):
    page.ask("reset", SMALL | {"epochs": 1_000_000})
    page.ask("start")
    old = page.until(lambda run: run.steps > 3)
    line = page.refused("reset", {"layers": ["Flatten()", "Linear(783, 10)"]})
    assert line.startswith("layer 1 (Linear): input must have 783 features")
    line = page.refused("reset", {"layers": ["", "Flatten()", "", "Rulu()"]})
    assert line.startswith("layer 1: minidl has no layer 'Rulu'; there is Relu")
    assert page.desk.run is old
    assert old.status == "running"


def test_a_loss_that_is_no_number_is_told(page):
    page.ask("reset", SMALL | {"lr": 100, "weight_decay": 10, "optimiser": "plain"})
    page.ask("start")
    run = page.until(lambda run: run.status in ("failed", "done"))
    assert run.status == "failed"
    assert "the loss became" in run.message
    page.ask("start")  # nothing happens, and nothing breaks
    assert json.loads(run.report())["status"] == "failed"


def test_curves_keep_a_bounded_number_of_points():
    points = [(i, float(i), 0.5) for i in range(running.POINTS + 1)]
    thinned = running.thinned(points)
    assert len(thinned) == running.POINTS // 2 + 1
    assert thinned[:2] == [(1, 0.5, 0.5), (3, 2.5, 0.5)]
    assert thinned[-1] == points[-1]
    assert running.thinned(points[:-1]) == points[:-1]


def test_a_look_has_what_the_page_draws(page):
    page.ask("reset", SMALL)
    page.ask("start", {"steps": 2})
    run = page.until(paused)
    page.ask("observe", {"image": 17})
    look = json.loads(run.report())["look"]
    expected = run.model.activations(run.images.x_val[17:18])
    assert [f"{layer['place']} {layer['kind']}" for layer in look["layers"]] == [name for name, _ in expected]
    for layer, (_, array) in zip(look["layers"], expected):
        sent = layer["maps"]
        found = np.frombuffer(base64.b64decode(sent["data"]), np.int8).reshape(sent["shape"]) / 127 * sent["scale"]
        shown = array[0].reshape(1, 1, -1)[..., :512] if array.ndim == 2 else array[0]
        np.testing.assert_allclose(found, shown, atol=sent["scale"] / 127)
    assert look["image"] == 17
    assert look["truth"] == run.images.y_val[17]
    assert sum(look["scores"]) == pytest.approx(1, abs=1e-4)
    assert [row["name"] for row in look["gradients"]] == list(run.model.named_parameters())
    assert look["gradients"][0]["grad"] == pytest.approx(
        float(np.linalg.norm(run.model.parameters()[0].grad)), rel=1e-4
    )


def test_dead_relus_are_counted(page):
    page.ask("reset", SMALL)
    run = page.desk.run
    run.model.parameters()[1].data[...] = [-1e3, -1e3, 0, -1e3]
    run.judge(0.0)
    assert run.dead == [{"place": "1", "dead": 3, "of": 4}]


def test_the_confusion_matrix_and_its_images(page):
    run = page.desk.run
    judged = run.judged
    guess = run.model.predict(run.images.x_val).argmax(axis=1)
    counts = np.array(judged["counts"])
    for truth, said in ((3, 5), (0, 0), (9, 2)):
        wanted = np.flatnonzero((run.images.y_val == truth) & (guess == said))
        assert counts[truth, said] == len(wanted)
        answer = page.ask("pictures", {"truth": truth, "guess": said})
        assert answer["images"] == wanted[:24].tolist()
        assert answer["of"] == len(wanted)
    worst = judged["worst"]
    assert [each["p_truth"] for each in worst] == sorted(each["p_truth"] for each in worst)
    answer = page.ask("pictures", {"images": [worst[0]["image"]]})
    pixels = np.frombuffer(base64.b64decode(answer["pixels"]["data"]), np.uint8).reshape(1, 1, 28, 28)
    np.testing.assert_array_equal(pixels[0], run.images.x_val[worst[0]["image"]])


def test_a_drawing_is_predicted(page):
    run = page.desk.run
    image = run.images.x_val[4]
    answer = page.ask("draw", {"pixels": base64.b64encode(image.tobytes()).decode(), "maps": True})
    np.testing.assert_allclose(answer["scores"], run.model.predict_proba(image[None])[0], rtol=1e-5)
    assert len(answer["layers"]) == 10
    assert page.ask("look", {"image": "drawn"})["pixels"]["data"] == base64.b64encode(image.tobytes()).decode()
    for wrong in ("", "AAAA", "!!", None, 3, "A" * 4000):
        assert (
            page.refused("draw", {"pixels": wrong}) == "a drawing must have 28 x 28 pixels, each a byte: draw it again"
        )


WRONG = [
    ("start", {"steps": -1}, "steps must be a whole number from 0 to 1,000,000, got -1"),
    ("start", {"steps": True}, "steps must be a whole number from 0 to 1,000,000, got True"),
    ("steer", {"lr": "fast"}, "learning rate must be a number from 0 to 100, got 'fast'"),
    ("steer", {"lr": -1}, "learning rate must be a number from 0 to 100, got -1"),
    ("steer", {"weight_decay": 11}, "weight decay must be a number from 0 to 10, got 11"),
    ("observe", {}, "image must be a whole number from 0 to 999, got nothing"),
    ("reset", {"data": "nothing"}, "data must be one of digits, mnist, fashion, cifar10, folder, got 'nothing'"),
    ("reset", {"batch": 0}, "batch must be a whole number from 1 to 10,000, got 0"),
    ("reset", {"layers": "Relu()"}, "layers must be a list of texts"),
    (
        "reset",
        {"layers": ["Conv2D(1, 200, 1)", "GlobalAvgPool2D()", "Linear(200, 10)"], "batch": 10_000},
        "a batch of 10000 images is 1,568,000,000 numbers behind one layer, this page takes 100,000,000",
    ),
    (
        "layers",
        {"data": "digits", "network": "none"},
        "network must be one of seed, lenet, three-layer, residual, mlp, got 'none'",
    ),
    ("layers", {"data": "digits", "layers": []}, "a network must have at least one layer"),
    ("layers", {"data": "digits", "layers": ["Relu()"] * 201}, "layers must be a list of at most 200 texts"),
    ("pictures", {"images": [10**6]}, "images must be a whole number from 0 to 999, got 1000000"),
    ("pictures", {"images": "all"}, "images must be a list of at most 1,000 numbers, got 'all'"),
    ("slow", {"images": list(range(9))}, "images must be a list of at most 8 numbers, got 9"),
    ("slow", {"images": 5}, "images must be a list of at most 8 numbers, got 5"),
    ("slow", {"images": [None]}, "images must be a whole number from 0 to 999, got nothing"),
    ("explain", {"image": 0, "place": "softmax", "column": 10}, "there are 10 scores, counted from 0: no number 10"),
    ("pictures", {"truth": 10, "guess": 0}, "truth must be a whole number from 0 to 9, got 10"),
    ("explain", {"image": 0, "place": "99"}, "the network has no layer at '99'"),
    ("explain", {"image": "drawn", "place": "0"}, "nothing is drawn yet: draw a digit in the panel Draw"),
    (
        "explain",
        {"image": 0, "place": "0", "row": 28},
        "the output of layer 0 has the shape (8, 28, 28), nothing is at",
    ),
    ("differences", {}, "there is no step to check yet"),
    ("measure", {"model": 5}, "this model is no longer open: open its file again"),
    ("reset", {"data": "folder"}, "no folder is there: start with python -m minidl.live --folder FOLDER"),
]


@pytest.mark.parametrize(("name", "asked", "line"), WRONG, ids=[f"{name} {asked}" for name, asked, _ in WRONG])
def test_what_cannot_be_is_refused_in_a_line(page, name, asked, line):
    assert page.refused(name, asked).startswith(line)


def test_all_fields_that_are_wrong_are_told_at_once_each_by_its_name(page):
    asked = {"batch": 0, "epochs": 2.5, "seed": None, "network": "none", "optimiser": "adam"}
    answer = page.ask("reset", asked, 400)
    assert answer["fields"] == {
        "network": "network must be one of seed, lenet, three-layer, residual, mlp, got 'none'",
        "batch": "batch must be a whole number from 1 to 10,000, got 0",
        "epochs": "epochs must be a whole number from 1 to 1,000,000, got 2.5",
        "seed": "seed must be a whole number from 0 to 2,147,483,648, got nothing",
    }
    assert answer["error"] == "; ".join(answer["fields"].values())
    slow = page.ask("slow", {"images": [0, "one"], "lr": -1}, 400)["fields"]
    assert slow == {
        "images": "images must be a whole number from 0 to 999, got 'one'",
        "lr": "learning rate must be a number from 0 to 100, got -1",
    }
    for name in ("observe", "look", "explain"):
        assert page.ask(name, {"image": 1000, "place": "0"}, 400)["fields"] == {
            "image": "image must be a whole number from 0 to 999, got 1000"
        }
    assert page.ask("reset", {"layers": ["Relu()"]}, 400)["fields"] == {}
    assert page.desk.run.settings == Settings(layers=page.desk.run.settings.layers)


def test_an_unknown_function_is_not_there(page):
    assert page.request("POST", "/api/__init__", b"{}")[0] == 404
    assert page.request("POST", "/api/open_file", b"{}")[0] == 404


@pytest.mark.parametrize("name", ["mnist", "fashion", "cifar10"])
def test_data_that_are_not_there_are_told_in_a_line_and_not_fetched(page, name, monkeypatch, tmp_path):
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MINIDL_OFFLINE", raising=False)
    line = page.refused("reset", {"data": name})
    assert "not found in" in line
    assert "start python -m minidl.live with --data and the folder that has them" in line
    assert "MINIDL_OFFLINE" not in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_pictures_is_learnt(page, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name, shade in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("RGB", (40, 30), (shade + i, shade, shade)).save(tmp_path / name / f"{i}.png")
    page.desk.folder = str(tmp_path)
    about = page.ask("reset", {"data": "folder", "network": "lenet", "epochs": 1, "batch": 4})
    assert about["set"]["names"] == ["dark", "light"]
    assert about["set"]["shape"] == [3, 32, 32]
    page.ask("start")
    assert page.until(lambda run: run.status == "done").steps == 4


def pictures(folder, classes):
    Image = pytest.importorskip("PIL.Image")
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (4, 4), (i, i, i)).save(folder / name / f"{i}.png")


FOLDERS = {
    "none": ({}, "has no sub-folders, must have one for each class with its images"),
    "empty": ({"a": 0, "b": 5}, "has no images, must have at least one"),
    "one class": ({"a": 9}, "has one sub-folder: there must be two classes at least"),
    "few": ({"a": 1, "b": 3}, "has only 4 pictures in 2 sub-folders: a fifth of them becomes the validation data"),
    "many classes": (dict.fromkeys("abcdef", 2), "has only 12 pictures in 6 sub-folders"),
}


@pytest.mark.parametrize("classes", FOLDERS)
def test_a_folder_that_is_not_enough_is_told_in_a_line(page, tmp_path, classes):
    pytest.importorskip("PIL")
    counts, line = FOLDERS[classes]
    pictures(tmp_path, counts)
    page.desk.folder = str(tmp_path)
    assert line in page.refused("reset", {"data": "folder"})


def test_a_fault_of_the_server_is_no_riddle(page, monkeypatch, capfd):
    def broken(desk, asked):
        return {}["inner name"]

    monkeypatch.setitem(api.FUNCTIONS, "about", broken)
    assert page.refused("about", {}) == "the server has failed at that; where it was started it has printed why"
    assert "KeyError: 'inner name'" in capfd.readouterr().err
    assert page.request("POST", "/api/look", b"{")[2] == b'{"error":"a request must be a JSON object","fields":{}}'
    assert page.request("POST", "/api/look", b"\xff")[2] == b'{"error":"a request must be a JSON object","fields":{}}'


def test_memory_of_a_large_training_is_given_back(page):
    lanearray = pytest.importorskip("minidl._ext.lanearray")
    layers = ["Conv2D(1, 16, 3, padding=1)", "Dropout(0.1)", "MaxPool2D(2)", "Flatten()", "Linear(3136, 10)"]
    page.ask("reset", {"layers": layers, "batch": 2000})
    page.ask("start", {"steps": 1})
    page.until(paused)
    assert sum(lanearray.memory_in_use()) > 100 << 20
    page.ask("reset", SMALL)
    assert sum(lanearray.memory_in_use()) < 10 << 20
    page.ask("start")
    page.until(lambda run: run.status == "done")
    assert sum(lanearray.memory_in_use()) < 1 << 20


def test_no_memory_is_told_in_words(page, monkeypatch):
    def full(*args, **named):
        raise MemoryError

    page.ask("reset", SMALL)
    monkeypatch.setattr(page.desk.run.trainer, "fit", full)
    page.ask("start")
    run = page.until(lambda run: run.status == "failed")
    assert run.message == "there is not enough memory for that: make the batch, the images or a layer smaller"


# ---- what may be chosen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_fits_its_images(name, shape):
    rows, model = check(network_lines(name, shape, 10), shape, 10)
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert model.output_shape(shape) == (10,)
    assert rows[-1]["shape"] == [10]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_is_made_and_steered(name):
    _, help, lr, made = OPTIMISERS[name]
    optimizer = made(lr, 0.01)
    assert (optimizer.lr, optimizer.weight_decay) == (lr, 0.01)
    assert help.endswith(".")
    assert len(help) < 110


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_images_trains(page, name):
    page.ask("reset", SMALL | {"change": name})
    page.ask("start", {"steps": 1})
    page.until(paused)


def test_settings_have_the_defaults_of_the_readme():
    s = Settings.of({})
    assert (s.data, s.network, s.optimiser, s.lr, s.weight_decay, s.batch) == ("digits", "seed", "sgd", 0.01, 1e-4, 100)
    assert set(DATA) == {"digits", "mnist", "fashion", "cifar10", "folder"}
    found = read_data("digits", None, None)
    assert (found.x.shape, found.x_val.shape) == ((4000, 1, 28, 28), (1000, 1, 28, 28))
