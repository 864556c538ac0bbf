"""What comes of a file: a model that trains, is saved and comes back; inputs, names and shapes as files have them."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
import onnx
from graphs_of_onnx import agrees, expected, file, floats, images, operator

X = images(3)


def head(**constants):
    """A convolution, a scale and a shift, means, and a fully connected layer."""
    nodes = [
        operator("Conv", ["x", "stem.conv.weight"], ["a"], pads=[1, 1, 1, 1]),
        operator("Mul", ["a", "stem.scale"], ["b"]),
        operator("Add", ["b", "stem.shift"], ["c"]),
        operator("Relu", ["c"], ["d"]),
        operator("GlobalAveragePool", ["d"], ["e"]),
        operator("Flatten", ["e"], ["f"]),
        operator("Gemm", ["f", "head.weight", "head.bias"], ["y"], name="/head/Gemm", transB=1),
    ]
    weights = {
        "stem.conv.weight": floats(4, 3, 3, 3),
        "stem.scale": floats(4, 1, 1, seed=2),
        "stem.shift": floats(4, 1, 1, seed=3),
        "head.weight": floats(2, 4, seed=4),
        "head.bias": floats(2, seed=5),
    }
    return file(nodes, weights | constants)


def test_a_model_trains_is_saved_and_comes_back(tmp_path):
    model = agrees(head(), X)
    names = ["0.stem.conv.weight", "0.stem.scale", "0.stem.shift", "0.head.weight", "0.head.bias"]
    assert list(model.named_parameters()) == names
    trainer = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(lr=0.01))
    first = trainer.evaluate((X, np.array([0, 1, 1])))["loss"]
    trainer.fit((X, np.array([0, 1, 1])), epochs=20, batch_size=3, seed=0, verbose=False)
    assert trainer.evaluate((X, np.array([0, 1, 1])))["loss"] < first
    model.save(tmp_path / "model.safetensors")
    other = minidl.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert "stem.conv" in str(model.summary((3, 6, 5)))


def test_gradients():
    model = minidl.onnx.load(head()).astype("float64")
    assert minidl.gradcheck(model, X.astype(np.float64)).passed


def test_float16_bfloat16_and_int8_weights():
    half = floats(4, 3, 3, 3).astype(np.float16)
    model = minidl.onnx.load(head(**{"stem.conv.weight": half}))
    np.testing.assert_array_equal(model.named_parameters()["0.stem.conv.weight"].data, half.astype(np.float32))
    whole = np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3)
    nodes = [
        operator("DequantizeLinear", ["w", "scale", "zero"], ["v"], axis=0),
        operator("Conv", ["x", "v"], ["y"]),
    ]
    scale, zero = np.array([0.5, 1, 2, 4], np.float32), np.array([1, 2, 3, 4], np.int8)
    model = minidl.onnx.load(file(nodes, {"w": whole, "scale": scale, "zero": zero}))
    (weight,) = model.parameters()
    wanted = (whole.astype(np.float32) - zero.reshape(4, 1, 1, 1)) * scale.reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(weight.data, wanted)


def test_a_file_for_one_image_takes_any_number():
    nodes = [operator("Reshape", ["x", "shape"], ["a"]), operator("MatMul", ["a", "w"], ["y"])]
    constants = {"shape": np.array([1, -1]), "w": floats(90, 2)}
    model = minidl.onnx.load(file(nodes, constants, (1, 3, 6, 5)))
    np.testing.assert_allclose(model.predict(X), X.reshape(3, 90) @ constants["w"], rtol=0, atol=2e-5)


def test_channels_last_files_take_channels_first():
    nodes = [
        operator("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        operator("Conv", ["a", "w"], ["b"]),
        operator("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]),
        operator("Add", ["c", "bias"], ["d"]),
        operator("Relu", ["d"], ["e"]),
        operator("Transpose", ["e"], ["y"], perm=[0, 3, 1, 2]),
    ]
    content = file(nodes, {"w": floats(4, 3, 3, 3), "bias": floats(4)}, ("N", 6, 5, 3))
    model = minidl.onnx.load(content)
    assert "Transpose" not in {type(layer).__name__ for layer in model.plan()}
    wanted = expected(content, np.ascontiguousarray(X.transpose(0, 2, 3, 1)))[0]
    np.testing.assert_allclose(model.predict(X), wanted, rtol=0, atol=1e-5)


def test_zeros_that_the_file_computes_are_no_bias():
    """As PyTorch's newer exporter writes a convolution without one: they are as many, and of the images' type."""
    nodes = [
        operator("Constant", [], ["zero"], value_int=0),
        operator("Shape", ["conv.weight"], ["many"], end=1),
        operator("CastLike", ["zero", "x"], ["float"]),
        operator("Expand", ["float", "many"], ["bias"]),
        operator("Conv", ["x", "conv.weight", "bias"], ["y"]),
    ]
    assert list(agrees(file(nodes, {"conv.weight": floats(4, 3, 3, 3)}), X).named_parameters()) == ["0.conv.weight"]
    nodes[0] = operator("Constant", [], ["zero"], value_int=2)
    model = agrees(file(nodes, {"conv.weight": floats(4, 3, 3, 3)}), X)
    assert list(model.named_parameters()) == ["0.conv.weight", "0.conv.bias"]


def test_shuffles_over_five_sizes():
    def shuffled(split, order, back):
        nodes = [
            operator("Shape", ["x"], ["s"]),
            operator("Slice", ["s", "zero", "one"], ["n"]),
            operator("Concat", ["n", "split"], ["first"], axis=0),
            operator("Reshape", ["x", "first"], ["a"]),
            operator("Transpose", ["a"], ["b"], perm=order),
            operator("Concat", ["n", "back"], ["last"], axis=0),
            operator("Reshape", ["b", "last"], ["y"]),
        ]
        numbers = {"zero": [0], "one": [1], "split": split, "back": back}
        constants = {name: np.array(values, np.int64) for name, values in numbers.items()}
        model = agrees(file(nodes, constants, ("N", 8, 4, 6)), images(3, (8, 4, 6)), 0)
        return [type(layer).__name__ for layer in model.plan()]

    assert shuffled([2, 4, 4, 6], [0, 2, 1, 3, 4], [8, 4, 6]) == ["ChannelShuffle"]
    assert shuffled([2, 2, 2, 4, 6], [0, 1, 4, 2, 5, 3], [2, 8, 12]) == ["PixelShuffle"]
    assert shuffled([2, 2, 2, 4, 6], [0, 3, 4, 1, 5, 2], [2, 8, 12]) == ["PixelShuffle"]
    assert shuffled([8, 2, 2, 3, 2], [0, 1, 3, 5, 2, 4], [32, 2, 3]) == ["PixelUnshuffle"]
    assert shuffled([8, 2, 2, 3, 2], [0, 3, 5, 1, 2, 4], [32, 2, 3]) == ["PixelUnshuffle"]
    assert shuffled([8, 24], [0, 2, 1], [24, 8]) == ["Reshape", "Transpose"]


def test_products_of_rows_are_convolutions():
    rows = [
        operator("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]),
        operator("MatMul", ["a", "w"], ["b"]),
        operator("Add", ["bias", "b"], ["c"]),
        operator("Transpose", ["c"], ["y"], perm=[0, 3, 1, 2]),
    ]
    model = agrees(file(rows, {"w": floats(3, 4), "bias": floats(4)}), X)
    assert [type(layer).__name__ for layer in model.plan()] == ["Conv2D"]
    flat = [operator("Reshape", ["x", "shape"], ["a"]), operator("MatMul", ["a", "w"], ["y"])]
    agrees(file(flat, {"w": floats(5, 4), "shape": np.array([0, 18, 5])}), X)
    agrees(file(rows[1:2], {"w": floats(5, 4)}, outputs=("b",)).replace(b"\n\x01a", b"\n\x01x"), X)


def test_several_outputs():
    nodes = [
        operator("Split", ["x"], ["a", "b", "c"], axis=1),
        operator("Relu", ["b"], ["y"]),
        operator("Exp", ["c"], ["z"]),
    ]
    model = agrees(file(nodes, outputs=("y", "z")), X)
    assert [part.shape for part in model.predict(X)] == [(3, 1, 6, 5)] * 2


def test_uint8_images():
    nodes = [
        operator("Cast", ["x"], ["a"], to=1),
        operator("Div", ["a", "most"], ["b"]),
        operator("Sub", ["b", "mean"], ["y"]),
    ]
    content = file(nodes, {"most": np.float32(255), "mean": np.float32(0.5)}, dtype=2)
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 6, 5)).astype(np.uint8)
    model = minidl.onnx.load(content)
    np.testing.assert_allclose(model.predict(x), expected(content, x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtypes", [(1, 2), (2, 1), (2, 2)])
def test_uint8_images_as_one_of_two_inputs(dtypes):
    helper = onnx.helper
    nodes = [
        operator("Cast", ["a"], ["c"], to=1),
        operator("Cast", ["b"], ["d"], to=1),
        operator("Sub", ["c", "d"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, code, ("N", 3, 6, 5)) for name, code in zip("ab", dtypes)]
    graph = helper.make_graph(nodes, "two", ports, [helper.make_tensor_value_info("y", 1, None)])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 3, 6, 5)).astype(np.uint8)
    x = [pixels[i] if code == 2 else floats(3, 3, 6, 5) for i, code in enumerate(dtypes)]
    found = minidl.onnx.load(content).predict(x)
    np.testing.assert_allclose(found, x[0].astype(np.float32) - x[1].astype(np.float32), rtol=0, atol=1e-4)


def test_names_are_unique_and_plain():
    nodes = [
        operator("MatMul", ["x", "w"], ["a"], name="/body/block.0/MatMul"),
        operator("MatMul", ["a", "v"], ["b"], name="/body/block/0/MatMul"),
        operator("MatMul", ["b", "u"], ["y"], name="a b/c"),
    ]
    weights = {name: floats(4, 4, seed=i) for i, name in enumerate("wvu")}
    model = agrees(file(nodes, weights, ("N", 4)), images(3, (4,)), 1e-5)
    found = list(model.named_parameters())
    assert found == ["0.body.block.0.MatMul.weight", "0.body.block.0.MatMul_2.weight", "0.a.b.c.weight"]


def test_operators_in_any_order():
    nodes = [operator("Relu", ["a"], ["y"]), operator("Neg", ["x"], ["a"])]
    np.testing.assert_array_equal(minidl.onnx.load(file(nodes)).predict(X), np.maximum(-X, 0))


def test_an_image_of_another_size():
    model = minidl.onnx.load(head(), input_shape=(3, 9, 8))
    assert model.predict(images(2, (3, 9, 8))).shape == (2, 2)
