"""Tensors in a file beside the ONNX file: read where they are in order, else one clear error."""

from __future__ import annotations

import os

import numpy as np
import pytest

import minidl

pytest.importorskip("onnx.helper")
import onnx
from graphs_of_onnx import file, operator

from minidl.onnx.tensors import Ranges


def external(location, **settings):
    """A convolution whose weight, of 432 bytes, stands in another file."""
    node = operator("Conv", ["x", "conv.weight"], ["y"])
    proto = onnx.load_from_string(file([node], {"conv.weight": np.ones((4, 3, 3, 3), np.float32)}))
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in {"location": location, **settings}.items():
        tensor.external_data.add(key=key, value=str(value))
    return proto.SerializeToString()


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
    with pytest.raises(ValueError, match="give a path instead of bytes"):
        minidl.onnx.load(external("data.bin"))


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
