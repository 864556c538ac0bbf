"""Files that are damaged, hostile, or more than minidl can run: one clear error, nothing else."""

from __future__ import annotations

import os
import re
import tracemalloc

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
import onnx
from graphs_of_onnx import file, images, operator

from minidl.onnx.tensors import Ranges


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


def external(location, **settings):
    def change(proto):
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        for key, value in {"location": location, **settings}.items():
            tensor.external_data.add(key=key, value=str(value))

    return changed(change)


def test_external_data(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(external("data.bin", offset=8, length=432))
    with pytest.raises(ValueError, match=r"net\.onnx.*data\.bin"):
        minidl.onnx.load(path)
    weight = np.arange(110, dtype=np.float32)
    (tmp_path / "data.bin").write_bytes(weight.tobytes())
    found = minidl.onnx.load(path).named_parameters()
    name = next(name for name in found if name.endswith("conv.weight"))
    assert found[name].data.ravel().tolist() == weight[2:].tolist()


@pytest.mark.parametrize(
    ("location", "settings", "match"),
    [
        ("../data.bin", {}, "same folder"),
        ("/etc/passwd", {}, "same folder"),
        ("..", {}, "same folder"),
        ("", {}, "same folder"),
        ("sub/data.bin", {}, "same folder"),
        ("link.bin", {}, "regular file"),
        ("folder", {}, "regular file"),
        ("pipe.bin", {}, "regular file"),
        ("none.bin", {}, "cannot be read: No such file"),
        ("data.bin", {"offset": 10}, "takes 432 bytes"),
        ("data.bin", {"length": 400}, "takes 432 bytes"),
        ("data.bin", {"offset": -1}, "whole number"),
        ("data.bin", {"offset": "9" * 40}, "whole number"),
    ],
)
def test_external_data_elsewhere(tmp_path, location, settings, match):
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "sub").mkdir()
    for place in (tmp_path, inside, inside / "sub"):
        (place / "data.bin").write_bytes(bytes(432))
    os.symlink(tmp_path / "data.bin", inside / "link.bin")
    os.mkfifo(inside / "pipe.bin")
    (inside / "net.onnx").write_bytes(external(location, **settings))
    with pytest.raises(ValueError, match=match):
        minidl.onnx.load(inside / "net.onnx")


def test_external_data_of_bytes():
    refused(external("data.bin"), "give a path instead of bytes")


def test_one_piece_of_data_for_many_tensors(tmp_path):
    def change(proto):
        del proto.graph.initializer[1:]
        for i in range(300):
            proto.graph.initializer.add().CopyFrom(proto.graph.initializer[0])
            proto.graph.initializer[-1].name = f"copy {i}"

    proto = onnx.load_from_string(external("data.bin"))
    proto.graph.initializer[0].dims[:] = [200, 3, 3, 3]
    change(proto)
    (tmp_path / "data.bin").write_bytes(bytes(21600))
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="10 times"):
        minidl.onnx.load(tmp_path / "net.onnx")


def test_bytes_of_external_data_that_nobody_reads(tmp_path):
    """A file of 2^34 bytes, of which 432 are read, bounds constants as 432 bytes do."""
    node = operator("ConstantOfShape", ["many"], ["c"])
    nodes = [operator("Conv", ["x", "w"], ["a"]), node, operator("Mul", ["a", "c"], ["y"])]
    for many, fits in ((2**12, True), (2**16, False)):
        proto = onnx.load_from_string(file(nodes, {"w": np.ones((4, 3, 3, 3), np.float32), "many": [many, 1, 1, 1]}))
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        tensor.external_data.add(key="location", value="data.bin")
        with open(tmp_path / "data.bin", "wb") as data:
            data.truncate(2**34)
        (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
        (found,) = minidl.onnx.check(tmp_path / "net.onnx")
        assert ("10 times the bytes" in found.rule) is not fits


def test_ranges():
    ranges, rng, seen = Ranges(), np.random.default_rng(0), set()
    for _ in range(200):
        start = int(rng.integers(500))
        places = set(range(start, start + int(rng.integers(12))))
        assert ranges.add(start, start + len(places)) == len(places - seen)
        seen |= places


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


def largest(content, match):
    """Bytes that the refusal of a file takes at most."""
    tracemalloc.start()
    try:
        (found,) = minidl.onnx.check(content)
        assert re.search(match, found.rule), found.rule
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
    assert largest(file(nodes, constants, ("N", 2**26, 1, 1), opset=18), match) < 2e7


def test_parts_of_which_the_last_has_no_name():
    node = operator("Split", ["x"], ["y", "z", ""], axis=1, num_outputs=3)
    found = minidl.onnx.load(file([node], outputs=("y", "z"), opset=18)).predict(images(2))
    assert np.array_equal(found[1], images(2)[:, 1:2])


def test_images_that_are_too_large():
    nodes = [operator("Relu", ["x"], ["y"])]
    content = file(nodes, x=("N", 3, 2**40, 2**40))
    with pytest.raises(ValueError, match="ONNX bytes"):
        minidl.onnx.load(content)


def test_all_that_cannot_be_run_is_in_one_message():
    nodes = [
        operator("Conv", ["x", "w"], ["a"], group=2, name="first"),
        operator("NonMaxSuppression", ["a", "a"], ["b"], name="second"),
        operator("Resize", ["x", "", "s"], ["c"], mode="other", name="third"),
        operator("TopK", ["c", "k"], ["y", "z"], name="fourth"),
    ]
    constants = {"w": np.ones((4, 2, 1, 1), np.float32), "s": np.ones(4, np.float32), "k": np.array([1])}
    content = file(nodes, constants, outputs=("y", "b"))
    found = minidl.onnx.check(content)
    assert [(each.node, each.operator, each.attribute) for each in found] == [
        ("first", "Conv", ""),
        ("second", "NonMaxSuppression", ""),
        ("third", "Resize", "mode"),
        ("fourth", "TopK", ""),
    ]
    with pytest.raises(ValueError, match=r"(?s)first.*second.*third.*fourth"):
        minidl.onnx.load(content)


def test_control_flow_sequences_and_domains():
    helper = onnx.helper
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("x", 1, None)])
    nodes = [
        operator("If", ["c"], ["a"], then_branch=branch, else_branch=branch, name="if"),
        operator("SequenceConstruct", ["x"], ["s"], name="sequence"),
        operator("Relu", ["x"], ["b"], domain="com.example", name="other"),
        operator("SequenceAt", ["s", "zero"], ["d"], name="at"),
    ]
    content = file(nodes, {"c": np.array(True), "zero": np.int64(0)}, outputs=("a", "b", "d"))
    rules = {each.node: each.rule for each in minidl.onnx.check(content)}
    assert "control flow" in rules["if"]
    assert "sequences" in rules["sequence"]
    assert "sequences" in rules["at"]
    assert "com.example" in rules["other"]


def test_an_unknown_attribute():
    found = minidl.onnx.check(file([operator("Relu", ["x"], ["y"], leak=1.0)]))
    assert [(each.attribute, each.node) for each in found] == [("leak", "Relu of y")]


def test_what_mixes_images():
    for node in (
        operator("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3]),
        operator("Flatten", ["x"], ["y"], axis=2),
        operator("Reshape", ["x", "shape"], ["y"]),
        operator("Concat", ["x", "x"], ["y"], axis=0),
        operator("ReduceMean", ["x"], ["y"], axes=[0]),
        operator("Slice", ["x", "one", "two", "zero"], ["y"]),
    ):
        constants = {"shape": np.array([-1, 5]), "zero": np.array([0]), "one": np.array([1]), "two": np.array([2])}
        (found,) = minidl.onnx.check(file([node], constants))
        assert found.node == node.name


@pytest.mark.parametrize("end", [1, 13, 16, 17, 1000, -1, 2**31 - 2])
def test_a_slice_that_leaves_images_out_for_some_number_of_them(end):
    node = operator("Slice", ["x", "start", "end", "axis"], ["y"])
    constants = {"start": np.array([0]), "end": np.array([end]), "axis": np.array([0])}
    (found,) = minidl.onnx.check(file([node], constants))
    assert (found.attribute, found.rule) == ("axes", "images cannot be left out")
    fixed = minidl.onnx.check(file([node], constants, (16, 3, 6, 5)))
    assert (fixed == []) is (end == 16)


@pytest.mark.parametrize(("start", "end"), [(0, 2**31 - 1), (0, 2**63 - 1), (-(2**31 - 1), 2**31 - 1)])
def test_a_slice_of_all_images(start, end):
    node = operator("Slice", ["x", "start", "end", "axis"], ["y"])
    constants = {"start": np.array([start, 1]), "end": np.array([end, 3]), "axis": np.array([0, 2])}
    x = images(20)
    assert np.array_equal(minidl.onnx.load(file([node], constants)).predict(x), x[:, :, 1:3])


@pytest.mark.parametrize(
    "node",
    [
        operator("Add", ["", "one"], ["c"]),
        operator("ConstantOfShape", ["shape"], ["c"], value=3),
        operator("Resize", ["x", "", "endless"], ["c"]),
        operator("Resize", ["x", "", "none"], ["c"]),
        operator("Gather", ["x", "infinity"], ["c"], axis=1),
        operator("Slice", ["x", "infinity", "one", "one"], ["c"]),
        operator("Slice", ["one", "infinity", "one", "one"], ["c"]),
        operator("Squeeze", ["x", "infinity"], ["c"]),
        operator("Reshape", ["one", "infinity"], ["c"]),
        operator("Pad", ["x", "infinity"], ["c"]),
        operator("Expand", ["one", "infinity"], ["c"]),
        operator("Range", ["one", "infinity", "one"], ["c"]),
        operator("LeakyRelu", ["x"], ["c"], alpha="a"),
        operator("Conv", ["x", "kernel"], ["c"], strides=3),
        operator("Conv", ["x", "kernel"], ["c"], group="a"),
        operator("DepthToSpace", ["x"], ["c"], mode=3),
        operator("Flatten", ["x"], ["c"], axis="a"),
        operator("Softmax", ["x"], ["c"], axis=[1, 2]),
        operator("Concat", ["x", "x"], ["c"], axis="a"),
        operator("MaxPool", ["x"], ["c"], kernel_shape=["a", "b"]),
        operator("BatchNormalization", ["x", "one", "one", "one", "one"], ["c"], epsilon="a"),
        operator("Split", ["x"], ["c", "d"], axis=1, num_outputs="a"),
    ],
    ids=lambda node: node.name,
)
def test_inputs_and_attributes_of_another_kind_are_refused_by_name(node):
    constants = {
        "one": np.ones(1, np.float32),
        "infinity": np.full(1, np.inf, np.float32),
        "endless": np.array([1, 1, np.inf, 1], np.float32),
        "none": np.array([1, 1, np.nan, 1], np.float32),
        "shape": np.array([2, 2], np.int64),
        "kernel": np.ones((4, 3, 1, 1), np.float32),
    }
    content = file([node, operator("Mul", ["x", "c"], ["y"])], constants, opset=18)
    (found,) = minidl.onnx.check(content)
    assert (found.operator, found.node) == (node.op_type, node.name)
    with pytest.raises(ValueError, match=rf"(?s)ONNX bytes.*{node.name}"):
        minidl.onnx.load(content)


@pytest.mark.parametrize("sizes", [[2], [4], [1, 1], [1, 3]])
def test_parts_that_do_not_add_up(sizes):
    outputs = ["y", "z"][: len(sizes)]
    node = operator("Split", ["x", "sizes"], outputs, axis=1)
    (found,) = minidl.onnx.check(file([node], {"sizes": np.array(sizes)}, outputs=tuple(outputs)))
    assert "3" in found.rule


def test_one_part_that_is_all():
    node = operator("Split", ["x", "sizes"], ["y"], axis=1)
    assert np.array_equal(minidl.onnx.load(file([node], {"sizes": np.array([3])})).predict(images(2)), images(2))


@pytest.mark.parametrize("kind", ["Expand", "Resize"])
def test_the_number_of_images_as_another_size(kind):
    nodes = [
        operator("Shape", ["x"], ["s"]),
        operator("Gather", ["s", "places"], ["sizes"]),
        operator("Expand", ["x", "sizes"], ["y"])
        if kind == "Expand"
        else operator("Resize", ["x", "", "", "sizes"], ["y"]),
    ]
    (found,) = minidl.onnx.check(file(nodes, {"places": np.array([0, 1, 0, 3])}, ("N", 3, 1, 1)))
    assert (found.operator, "number of images" in found.rule) == (kind, True)
    assert minidl.onnx.check(file(nodes, {"places": np.array([0, 1, 2, 3])}, ("N", 3, 1, 1))) == []


def test_inputs_that_are_missing():
    for node in (operator("Gather", ["x"], ["y"], axis=1), operator("BatchNormalization", ["x", "c"], ["y"])):
        (found,) = minidl.onnx.check(file([node], {"c": np.ones(3, np.float32)}))
        assert "inputs are missing" in found.rule


def test_arithmetic_with_uint8():
    nodes = [operator("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]), operator("Div", ["a", "two"], ["y"])]
    (found,) = minidl.onnx.check(file(nodes, {"two": np.uint8(2)}, ("N", 6, 5, 3), dtype=2))
    assert found.node == "Div of y"
    assert "cast to floats" in found.rule


def test_inputs_of_other_kinds():
    assert "uint8" in minidl.onnx.check(file([operator("Relu", ["x"], ["y"])], dtype=7))[0].rule
    assert "input_shape" in minidl.onnx.check(file([operator("Relu", ["x"], ["y"])], x=("N", 3, "H", "W")))[0].rule
    assert minidl.onnx.check(file([operator("Relu", ["x"], ["y"])], x=("N", 3, "H", "W")), (3, 5, 5)) == []
    with pytest.raises(ValueError, match="names 'z', the inputs are x"):
        minidl.onnx.load(SMALL, {"z": (3, 6, 5)})
    with pytest.raises(ValueError, match="Conv of a"):
        minidl.onnx.load(SMALL, (4, 6, 5))


def test_an_output_without_an_input():
    refused(file([operator("Identity", ["c"], ["y"])], {"c": np.ones(3, np.float32)}), "does not depend on an input")
