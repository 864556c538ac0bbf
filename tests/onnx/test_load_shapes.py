"""Shapes: sizes that files work out from the number of images, rows of pixels as images of one row."""

from __future__ import annotations

import os

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
from graphs_of_onnx import expected, file, floats, images, ints, operator


@pytest.mark.parametrize("most", [20, 16, 1000])
@pytest.mark.parametrize("kind", ["Min", "Clip"])
def test_the_smaller_of_n_and_a_number_is_not_n(kind, most):
    nodes = [
        operator("Shape", ["x"], ["s"]),
        operator("Slice", ["s", "zero", "one"], ["n"]),
        operator("Min", ["n", "most"], ["m"]) if kind == "Min" else operator("Clip", ["n", "", "limit"], ["m"]),
        operator("Concat", ["m", "rest"], ["shape"], axis=0),
        operator("Reshape", ["x", "shape"], ["y"]),
    ]
    constants = {"zero": ints(0), "one": ints(1), "most": ints(most), "limit": np.int64(most), "rest": ints(90)}
    with pytest.raises(ValueError, match="only as its very number"):
        minidl.onnx.load(file(nodes, constants))
    nodes[2] = operator("Max", ["n", "one"], ["m"])
    np.testing.assert_array_equal(minidl.onnx.load(file(nodes, constants)).predict(images(2)).shape, (2, 90))


def rows_agree(nodes, constants, shape=(3, 12), opset=17, tolerance=2e-6):
    content = file(nodes, constants, ("N", *shape), opset=opset)
    model = minidl.onnx.load(content)
    for n in (1, 3):
        x = images(n, shape)
        found, wanted = model.predict(x[:, :, None]), expected(content, x)[0]
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(np.abs(wanted).max(), 1))
    return model


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2], "pads": [2, 0], "dilations": [2]},
        {"auto_pad": "SAME_UPPER", "strides": [3]},
    ],
)
def test_windows_of_rows(attributes):
    weight, bias = floats(4, 3, 3), floats(4)
    rows_agree([operator("Conv", ["x", "w", "b"], ["y"], **attributes)], {"w": weight, "b": bias})
    if "dilations" not in attributes:
        for kind in ("MaxPool", "AveragePool"):
            rows_agree([operator(kind, ["x"], ["y"], kernel_shape=[3], **attributes)], {})


def test_transposed_windows_of_rows():
    for attributes in (
        {},
        {"strides": [2], "pads": [1, 0], "output_padding": [1]},
        {"strides": [2], "output_shape": [25]},
    ):
        nodes = [operator("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)]
        rows_agree(nodes, {"w": floats(3, 2, 4), "b": floats(2)})


def test_a_network_of_rows():
    """As PyTorch writes Conv1d, BatchNorm1d, ReLU, MaxPool1d, a skip connection, AdaptiveAvgPool1d, Linear."""
    constants = {
        "c.weight": floats(4, 3, 3), "c.bias": floats(4), "d.weight": floats(4, 4, 1, seed=2),
        "n.weight": floats(4, seed=3), "n.bias": floats(4, seed=4), "n.mean": floats(4, seed=5),
        "n.var": floats(4, seed=6) ** 2 + np.float32(0.1), "l.weight": floats(5, 4), "l.bias": floats(5),
    }  # fmt: skip
    nodes = [
        operator("Conv", ["x", "c.weight", "c.bias"], ["a"], pads=[1, 1]),
        operator("BatchNormalization", ["a", "n.weight", "n.bias", "n.mean", "n.var"], ["b"]),
        operator("Relu", ["b"], ["e"]),
        operator("MaxPool", ["e"], ["f"], kernel_shape=[2], strides=[2]),
        operator("Conv", ["f", "d.weight"], ["g"]),
        operator("Add", ["f", "g"], ["h"]),
        operator("GlobalAveragePool", ["h"], ["i"]),
        operator("Flatten", ["i"], ["j"]),
        operator("Gemm", ["j", "l.weight", "l.bias"], ["y"], transB=1),
    ]
    model = rows_agree(nodes, constants)
    kinds = [type(layer).__name__ for layer in model.plan()]
    assert "Reshape" not in kinds
    assert "Flatten" not in kinds
    given = images(8, (3, 12))[:, :, None]
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1, momentum=0.9))
    # With 0 and 40 other seeds it falls to 0.29 of the first or less; without momentum three of them stayed above 0.59.
    history = trainer.fit((given, np.arange(8) % 5), epochs=80, batch_size=8)
    assert history["train_loss"][-1] < history["train_loss"][0] / 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_in_place_of_a_file_and_a_link_to_one(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ValueError, match="regular file"):  # and does not wait for a writer
        minidl.onnx.load(tmp_path / "pipe.onnx")
    (tmp_path / "real.onnx").write_bytes(file([operator("Relu", ["x"], ["y"])]))
    (tmp_path / "link.onnx").symlink_to(tmp_path / "real.onnx")
    assert minidl.onnx.load(tmp_path / "link.onnx").predict(images(1)).shape == (1, 3, 6, 5)
