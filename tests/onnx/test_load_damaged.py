"""Files that are damaged or hostile: one clear error, nothing else."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
import onnx
from graphs_of_onnx import file, images, operator


def small() -> bytes:
    """A convolution, a normalisation, shapes that are computed, and a head."""
    rng = np.random.default_rng(0)
    nodes = [
        operator("Conv", ["x", "conv.weight", "conv.bias"], ["a"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        operator("BatchNormalization", ["a", "bn.weight", "bn.bias", "mean", "var"], ["b"]),
        operator("Relu", ["b"], ["c"]),
        operator("GlobalAveragePool", ["c"], ["d"]),
        operator("Shape", ["d"], ["s"]),
        operator("Gather", ["s", "zero"], ["n"], axis=0),
        operator("Unsqueeze", ["n", "axes"], ["m"]),
        operator("Concat", ["m", "rest"], ["shape"], axis=0),
        operator("Reshape", ["d", "shape"], ["e"]),
        operator("Gemm", ["e", "fc.weight", "fc.bias"], ["y"], transB=1),
    ]
    constants = {
        "conv.weight": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "conv.bias": np.zeros(4, np.float32),
        "bn.weight": np.ones(4, np.float32),
        "bn.bias": np.zeros(4, np.float32),
        "mean": np.zeros(4, np.float32),
        "var": np.ones(4, np.float32),
        "zero": np.array(0, np.int64),
        "axes": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
        "fc.weight": rng.standard_normal((2, 4)).astype(np.float32),
        "fc.bias": np.zeros(2, np.float32),
    }
    return file(nodes, constants)


SMALL = small()


def changed(change) -> bytes:
    """SMALL after a change of its protobuf."""
    proto = onnx.load_from_string(SMALL)
    change(proto)
    content: bytes = proto.SerializeToString()
    return content


def refused(content, match):
    with pytest.raises(ValueError, match=match):
        minidl.onnx.load(content)


def test_the_file_itself_is_good():
    model = minidl.onnx.load(SMALL)
    assert model.predict(images(5)).shape == (5, 2)
    assert minidl.onnx.check(SMALL) == []


@pytest.mark.parametrize("length", range(0, len(SMALL), 97))
def test_cut_off(length):
    with pytest.raises(ValueError, match="ONNX bytes"):
        minidl.onnx.load(SMALL[:length])


def test_flipped_bits_give_an_error_or_a_network():
    rng = np.random.default_rng(0)
    errors = 0
    for place in range(0, len(SMALL), 3):
        content = bytearray(SMALL)
        content[place] ^= 1 << int(rng.integers(8))
        try:
            minidl.onnx.load(bytes(content))
        except ValueError as error:
            errors += 1
            assert "ONNX bytes" in str(error)  # noqa: PT017 -- some of them are networks
    assert errors > 100


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\x08\x08", bytes(1000), b"\xff" * 500, b"\x0a" * 999])
def test_other_bytes(content):
    refused(content, "ONNX bytes")


def test_what_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="regular file"):
        minidl.onnx.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        minidl.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(TypeError, match="path or bytes"):
        minidl.onnx.load(3)
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.onnx.*1 to"):
        minidl.onnx.load(tmp_path / "empty.onnx")


def test_without_an_opset():
    refused(changed(lambda proto: proto.ClearField("opset_import")), "opset")


def test_a_missing_initialiser():
    def change(proto):
        del proto.graph.initializer[0]

    refused(changed(change), r"Conv of a.*nothing gives its input 'conv\.weight'")


def test_an_initialiser_twice():
    refused(changed(lambda proto: proto.graph.initializer.append(proto.graph.initializer[0])), "stands twice")


def test_a_circle():
    def change(proto):
        proto.graph.node[0].input[0] = "c"

    refused(changed(change), "depends on its own output")


def test_a_value_given_twice():
    def change(proto):
        proto.graph.node[2].output[0] = "b"

    refused(changed(change), "is there already")


def test_an_output_that_nothing_gives():
    def change(proto):
        proto.graph.output[0].name = "z"

    refused(changed(change), "nothing gives its output 'z'")


@pytest.mark.parametrize(
    ("dims", "match"),
    [
        ((-1, 3, 3, 3), "at least 0"),
        ((4, 3, 3, 4), "takes 576 bytes, there are 432"),
        ((2**40, 2**40, 3, 3), "there are 432"),
        ((2**62, 2**62), "there are 432"),
        ((1,) * 40, "at most 32"),
    ],
)
def test_tensors_whose_shape_is_not_their_data(dims, match):
    def change(proto):
        del proto.graph.initializer[0].dims[:]
        proto.graph.initializer[0].dims.extend(dims)

    refused(changed(change), f"conv.weight.*{match}")


def test_numbers_that_are_too_few():
    def change(proto):
        tensor = proto.graph.initializer[1]
        tensor.ClearField("raw_data")
        tensor.float_data.extend([1.0, 2.0])

    refused(changed(change), r"conv\.bias.*has 4 numbers, there are 2")


def test_an_unknown_data_type():
    def change(proto):
        proto.graph.initializer[0].data_type = 99

    refused(changed(change), "data type number 99")


@pytest.mark.parametrize(
    "node",
    [
        operator("ConstantOfShape", ["huge"], ["c"]),
        operator("Expand", ["one", "huge"], ["c"]),
        operator("Range", ["zero", "many", "one_int"], ["c"]),
    ],
)
def test_constants_that_grow(node):
    constants = {
        "huge": np.array([2**20, 2**20], np.int64),
        "one": np.float32(1),
        "zero": np.int64(0),
        "many": np.int64(2**50),
        "one_int": np.int64(1),
    }
    refused(file([node, operator("Mul", ["x", "c"], ["y"])], constants), "10 times the bytes")


def test_the_mean_of_no_constants(recwarn):
    nodes = [operator("ReduceMean", ["c"], ["m"], keepdims=0), operator("Mul", ["x", "m"], ["y"])]
    (found,) = minidl.onnx.check(file(nodes, {"c": np.ones((2, 0), np.float32)}))
    assert "the mean of no numbers" in found.rule
    assert not recwarn


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_infinite():
    node = operator("Gemm", ["x", "w"], ["y"], alpha=3e38)
    (layer,) = minidl.onnx.load(file([node], {"w": np.full((3, 1), 9, np.float32)}, ("N", 3))).plan()
    assert np.isposinf(layer.weight.data).all()
    node = operator("Mul", ["x", "c"], ["y"])
    (layer,) = minidl.onnx.load(file([node], {"c": np.full((3, 1, 1), -1e300)})).plan()
    assert np.isneginf(layer.scale.data).all()


def test_constants_of_the_file_and_computed_ones_have_one_bound():
    """Tensors of 6 times the file's bytes, small numbers in a byte each, leave 4 times to what is computed."""
    made = onnx.TensorProto(name="w", data_type=onnx.TensorProto.INT64, dims=[50_000], int64_data=[1] * 50_000)
    for times, fits in ((3, False), (1, True)):
        nodes = [operator("ConstantOfShape", ["many"], [f"c{i}"]) for i in range(times)]
        nodes += [operator("Sum", ["x", *(f"c{i}" for i in range(times))], ["y"])]
        proto = onnx.load_from_string(file(nodes, {"many": [1, 25_000]}, ("N", 25_000)))
        proto.graph.initializer.append(made)
        proto.graph.node[0].input[0] = "many"
        found = minidl.onnx.check(proto.SerializeToString())
        assert any("10 times the bytes" in each.rule for each in found) is not fits


def taken(load, *given):
    """Bytes that loading a file takes at most."""
    tracemalloc.start()
    try:
        load(*given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (operator("Clip", ["column", "row"], ["c"]), "10 times the bytes"),
        (operator("Clip", ["column", "", "row"], ["c"]), "10 times the bytes"),
        (operator("ReduceSum", ["empty", "one"], ["c"], keepdims=0), "10 times the bytes"),
        (operator("Split", ["x"], ["c", "d"], axis=1, num_outputs=2**26), "must be that of the outputs, 2"),
        (operator("LayerNormalization", ["x", "scale"], ["c"], axis=1), "larger than the file's tensors"),
        (operator("GroupNormalization", ["x", "scale", "scale"], ["c"], num_groups=1), "larger than the file's"),
        (operator("Gemm", ["rows", "empty", "scale"], ["c"], transB=1), "must not be empty"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_small_files_take_little_memory(node, match):
    constants = {
        "column": np.ones((3000, 1), np.float32),
        "row": np.ones((1, 3000), np.float32),
        "empty": np.ones((2**26, 0), np.float32),
        "one": np.array([1], np.int64),
        "scale": np.ones(1, np.float32),
    }
    nodes = [operator("Flatten", ["x"], ["rows"]), node, operator("Concat", ["x", "c"], ["y"], axis=1)]
    content = file(nodes, constants, ("N", 2**26, 1, 1), opset=18)
    (found,) = minidl.onnx.check(content)
    assert re.search(match, found.rule), found.rule
    assert taken(minidl.onnx.check, content) < 2e7


def test_small_files_of_large_images_take_little_memory():
    content = file([operator("Gather", ["x", "places"], ["y"], axis=1)], {"places": np.array([0, 2])}, ("N", 2**26))
    minidl.onnx.load(content)
    assert taken(minidl.onnx.load, content) < 1e6


def test_a_file_is_read_into_no_more_than_its_size(tmp_path):
    (tmp_path / "net.onnx").write_bytes(SMALL)
    minidl.onnx.load(SMALL)
    assert taken(minidl.onnx.load, tmp_path / "net.onnx") < 1e7


def test_images_that_are_too_large():
    nodes = [operator("Relu", ["x"], ["y"])]
    content = file(nodes, x=("N", 3, 2**40, 2**40))
    with pytest.raises(ValueError, match="ONNX bytes"):
        minidl.onnx.load(content)


def test_an_output_without_an_input():
    refused(file([operator("Identity", ["c"], ["y"])], {"c": np.ones(3, np.float32)}), "does not depend on an input")


@pytest.mark.parametrize("name", [b"GlobalAveragePool", b"kernel_shape"])
def test_names_that_are_not_text(name):
    """Some versions of protobuf refuse such a file, others give bytes."""
    refused(SMALL.replace(name, b"\xff" + name[1:]), r"the name b'.*' is not text|not an ONNX file")
