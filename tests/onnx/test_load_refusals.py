"""What minidl cannot run is refused by name, all of it at once; and what looks like it, and can be run."""

from __future__ import annotations

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
import onnx
from graphs_of_onnx import file, images, operator


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
    content = file([operator("Conv", ["x", "w"], ["y"])], {"w": np.ones((4, 3, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="names 'z', the inputs are x"):
        minidl.onnx.load(content, {"z": (3, 6, 5)})
    with pytest.raises(ValueError, match="Conv of y"):
        minidl.onnx.load(content, (4, 6, 5))


def test_parts_of_which_the_last_has_no_name():
    node = operator("Split", ["x"], ["y", "z", ""], axis=1, num_outputs=3)
    found = minidl.onnx.load(file([node], outputs=("y", "z"), opset=18)).predict(images(2))
    assert np.array_equal(found[1], images(2)[:, 1:2])


@pytest.mark.parametrize("kind", ["Flatten", "Add"])
def test_constants_of_an_operator_without_inputs(kind):
    nodes = [operator(kind, [], ["c"]), operator("Add", ["x", "c"], ["y"])]
    (found,) = minidl.onnx.check(file(nodes, {}))
    assert (found.operator, found.rule) == (kind, "inputs are missing, or too many: it has 0")


def test_weights_of_another_type():
    node = operator("BatchNormalization", ["x", "whole", "c", "c", "c"], ["y"])
    (found,) = minidl.onnx.check(file([node], {"whole": np.ones(3, np.int64), "c": np.ones(3, np.float32)}))
    assert (found.attribute, found.rule) == ("scale", "scale must be floats, got int64 of shape (3,)")
