"""Models that are opened on the page: what is told of them, and what is run on a picture."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

pytest.importorskip("starlette")

import minidl
from minidl import safetensors
from minidl.live.file_model import FileModel


def content(model):
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


@pytest.fixture
def model():
    minidl.seed(2)
    body = minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1), minidl.Relu())
    head = (minidl.GlobalAvgPool2D(), minidl.Linear(4, 3))
    return minidl.Model(
        minidl.Conv2D(3, 4, 3, padding=1), minidl.Residual(body), *head, class_names=["cat", "dog", "cow"]
    )


def test_shapes_fields_times_and_the_graph(model):
    told = FileModel(content(model), "pets.safetensors").told(None)
    assert told["shape"] == [3, 28, 28]
    assert told["classes"] == ["cat", "dog", "cow"]
    assert told["weights"] == sum(parameter.data.size for parameter in model.parameters())
    assert told["work"] == model.multiply_adds((3, 28, 28))
    rows = {row[0]: dict(zip(told["head"], row)) for row in told["layers"] if row[0]}
    assert rows["1.body.0"]["sees"] == "5 / 1"
    assert rows["1.body.0"]["output"] == "4 x 28 x 28"
    assert {place for time in told["times"] for place in time["places"]} == {"0", "1.body.0", "1.body.1", "1", "2", "3"}
    assert all(time["us"] > 0 for time in told["times"])
    boxes = told["graph"]["boxes"]
    assert boxes[0]["lines"] == ["input"]
    assert len(told["graph"]["ways"]) == len(boxes)  # a chain has one way less, the shortcut is one more
    assert all(box["x"] >= box["w"] / 2 - 1e-6 for box in boxes)


def test_another_shape_is_measured_and_a_wrong_one_named(model):
    opened = FileModel(content(model), "pets.safetensors")
    assert opened.told([3, 10, 12])["times"][0]["shape"] == [4, 10, 12]
    with pytest.raises(ValueError, match="must have 3 channels"):
        opened.told([1, 10, 12])
    for wrong in ("3,10,12", [3, 10.5, 1], [True, 3, 3], [0, 3, 3], [3, 5000, 1], {}):
        with pytest.raises(ValueError, match="the sizes of an image must be whole numbers from 1 to 4096"):
            opened.told(wrong)
    with pytest.raises(ValueError, match="an image may have 4,000,000 numbers here, 3 x 4000 x 4000 are 48,000,000"):
        opened.told([3, 4000, 4000])
    for wrong in ([], [3, 28], [3, 28, 28, 1]):
        with pytest.raises(ValueError, match=rf"an image must have three sizes .*, got {len(wrong)}"):
            opened.told(wrong)
    assert opened.shape == (3, 10, 12)  # as it was: pictures are of the last shape that fits


def weights_alone():
    file = io.BytesIO()
    safetensors.save(file, {"w": np.zeros(3, np.float32)})
    return file.getvalue()


WRONG = {
    "nothing": (lambda good: b"", "a.safetensors", "'a.safetensors' is empty: it must be a model that Model.save has"),
    "nothing, ONNX": (lambda good: b"", "a.onnx", "'a.onnx' is empty"),
    "noise": (
        lambda good: b"noise" * 50,
        "a.txt",
        "'a.txt' is no model's file: it must be a model that Model.save has",
    ),
    "picture": (lambda good: b"\x89PNG" + bytes(50), "a.png", "'a.png' is a picture: open a network first"),
    "archive": (lambda good: b"PK\x03\x04" + bytes(50), "a.pt", "'a.pt' is an archive, perhaps of PyTorch or Keras"),
    "half a header": (lambda good: good[:50], "a.safetensors", "'a.safetensors' cannot be opened: it is cut off"),
    "lacks its end": (
        lambda good: good[:-9],
        "a.safetensors",
        "'a.safetensors' cannot be opened: is cut off: the header",
    ),
    "weights": (
        lambda good: weights_alone(),
        "w.safetensors",
        "'w.safetensors' cannot be opened: it has weights alone",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_no_model_is_told_by_its_name(model, case):
    make, name, line = WRONG[case]
    with pytest.raises(ValueError, match=f"^{re.escape(line)}") as refused:
        FileModel(make(content(model)), name)
    assert not re.search("BytesIO|load_model|of the page", str(refused.value))


def test_an_onnx_file_that_is_none_is_told_by_its_name(model):
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match=r"^'m.onnx' cannot be opened: not an ONNX file, or cut off$"):
        FileModel(content(model), "m.onnx")


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([minidl.Flatten(), minidl.Linear(784, 3)], (1, 28, 28)),
        ([minidl.Linear(12, 3)], (12,)),
        ([minidl.Flatten(), minidl.Linear(3072, 3)], (3, 32, 32)),
        ([minidl.Conv2D(1, 2, 3), minidl.Flatten(), minidl.Linear(2 * 62 * 62, 3)], (1, 64, 64)),
    ],
    ids=str,
)
def test_the_shape_of_an_image_is_found(layers, shape):
    assert FileModel(content(minidl.Model(*layers)), "a").shape == shape


def test_a_picture_is_run(page, model):
    Image = pytest.importorskip("PIL.Image")
    status, _, body = page.request("POST", "/api/open?name=pets.safetensors", content(model))
    assert status == 200
    number = json.loads(body)["model"]
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)).save(file, "PNG")
    status, _, body = page.request("POST", f"/api/picture?model={number}", file.getvalue())
    assert status == 200, body
    told = json.loads(body)
    image = np.asarray(Image.open(file)).transpose(2, 0, 1)
    expected = model.predict_proba(image[None])[0]
    assert dict(told["best"]) == {
        name: pytest.approx(float(share), rel=1e-5) for name, share in zip(["cat", "dog", "cow"], expected)
    }
    assert told["best"][0][1] == max(share for _, share in told["best"])
    assert told["pixels"]["shape"] == [3, 28, 28]
    assert [layer["place"] for layer in told["layers"]] == ["0", "1.body.0", "1.body.1", "1", "2", "3"]


def test_few_models_stay_open(page, model):
    numbers = []
    for _ in range(6):
        _, _, body = page.request("POST", "/api/open?name=m", content(model))
        numbers.append(json.loads(body)["model"])
    assert list(page.desk.file_models) == numbers[-4:]
    assert page.refused("measure", {"model": numbers[0]}) == "this model is no longer open: open its file again"


def test_an_onnx_file_is_opened(model):
    pytest.importorskip("onnx")
    file = io.BytesIO()
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pets.onnx"
        minidl.onnx.save(model, path, (3, 20, 24))
        file.write(path.read_bytes())
    told = FileModel(file.getvalue(), "pets.ONNX").told(None)
    assert told["shape"] == [3, 20, 24]
    assert told["classes"] == ["cat", "dog", "cow"]


def test_layers_that_would_take_all_memory_are_refused_before_they_run():
    large = minidl.Model(minidl.Conv2D(1, 1, 1, padding=6000), minidl.GlobalAvgPool2D())
    with pytest.raises(ValueError, match=r"Conv2D.*one image becomes 144,67\d,\d* numbers, this page takes 4,000,000"):
        FileModel(content(large), "m.safetensors").told([1, 28, 28])


def test_a_file_that_does_not_fit_pushes_no_other_out(page, model):
    wrong = minidl.Model(minidl.Conv2D(1, 1, 3, padding=9), minidl.Flatten(), minidl.Linear(7, 2))
    _, _, body = page.request("POST", "/api/open?name=m", content(model))
    for _ in range(5):
        assert page.request("POST", "/api/open?name=m", content(wrong))[0] == 400
    assert page.ask("measure", {"model": json.loads(body)["model"]})["shape"] == [3, 28, 28]
