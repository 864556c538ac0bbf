"""Pictures of networks: each layer once, boxes apart, arrows from what is read."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import plots
from minidl.plots.boxes import network_boxes
from minidl.plots.layered import Layered

pytest.importorskip("matplotlib")


def chain() -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(1, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(
            minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1), minidl.Relu(), minidl.Conv2D(4, 4, 3, padding=1)),
        ),
        minidl.Relu(), minidl.Flatten(), minidl.Linear(4 * 4 * 4, 3, name="head"),
    )  # fmt: skip


def forked() -> minidl.Model:
    x = minidl.Input((2, 6, 6))
    shared = minidl.Conv2D(2, 2, 1, name="shared")
    a = shared(x)
    b = minidl.Relu()(shared(a))
    return minidl.Model(minidl.Graph(x, minidl.Relu()(minidl.Add()(a, b, x))))


def lines(model: minidl.Layer, shape: Any = None) -> list[list[tuple[str, str]]]:
    return [box.lines for box in network_boxes(model, shape)]


def test_boxes_of_a_chain_with_a_residual() -> None:
    boxes = network_boxes(chain(), (1, 8, 8))
    assert [box.lines for box in boxes] == [
        [("", "input")],
        [("0", "Conv2D 3x3"), ("1", "BatchNorm2D"), ("2", "Relu")],
        [("3", "MaxPool2D 2x2 /2")],
        [("4.body.0", "Conv2D 3x3"), ("4.body.1", "Relu")],
        [("4.body.2", "Conv2D 3x3")],
        [("4", "sum"), ("5", "Relu"), ("6", "Flatten")],
        [("7", "head: Linear")],
    ]
    assert [box.reads for box in boxes] == [[], [0], [1], [2], [3], [4, 2], [5]]
    assert [box.shape for box in boxes] == [
        "1 x 8 x 8", "4 x 8 x 8", "4 x 4 x 4", "4 x 4 x 4", "4 x 4 x 4", "64", "3"
    ]  # fmt: skip
    assert [box.kind for box in boxes] == ["input", "weights", "pooling", "weights", "weights", "several", "weights"]


def test_boxes_of_a_graph_whose_values_are_read_twice() -> None:
    boxes = network_boxes(forked())
    assert [box.lines for box in boxes] == [
        [("", "input")],
        [("0.shared", "shared: Conv2D 1x1")],
        [("0.shared", "shared: Conv2D 1x1"), ("0.1", "Relu")],
        [("0.2", "Add"), ("0.3", "Relu")],
    ]
    assert [box.reads for box in boxes] == [[], [0], [1], [1, 2, 0]]
    assert {box.shape for box in boxes} == {""}


def test_a_layer_that_several_read_ends_its_box() -> None:
    x = minidl.Input((4,))
    a = minidl.Relu()(minidl.Linear(4, 4)(x))
    model = minidl.Graph(x, [minidl.Tanh()(a), minidl.Add()(a, minidl.Sigmoid()(a))])
    assert [[text for _, text in box.lines] for box in network_boxes(model, (4,))] == [
        ["input"], ["Linear", "Relu"], ["Tanh"], ["Sigmoid"], ["Add"]
    ]  # fmt: skip


def drawn(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("build", "shape"), [(chain, (1, 8, 8)), (chain, None), (forked, None), (forked, (2, 6, 6))])
def test_each_layer_is_drawn_once(build: Any, shape: Any) -> None:
    model = build()
    figure = plots.graph_figure(model, shape, "a network")
    shape = (2, 6, 6) if build is forked else shape  # a graph knows its own
    texts = drawn(figure)
    expected = ["a network"]
    for box in network_boxes(model, shape):
        expected += [part for line in box.lines for part in line] + ([box.shape] if box.shape else [])
    assert sorted(texts) == sorted(expected)
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    patches = figure.axes[0].patches
    boxes = [patch for patch in patches if isinstance(patch, FancyBboxPatch)]
    reads = sum(len(box.reads) for box in network_boxes(model, shape))
    assert len(boxes) == len(network_boxes(model, shape))
    assert sum(isinstance(patch, FancyArrowPatch) for patch in patches) == reads
    figure.canvas.draw()
    frames = [(box.get_x(), box.get_y(), box.get_width(), box.get_height()) for box in boxes]
    for i, (x, y, w, h) in enumerate(frames):
        for x2, y2, w2, h2 in frames[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y  # apart
    width, height = figure.get_size_inches()
    assert min(x for x, *_ in frames) >= -0.1 - 1e-9
    assert max(x + w for x, _, w, _ in frames) <= width
    assert max(y + h for _, y, _, h in frames) <= height


def test_shapes_of_graphs_and_of_models_that_have_run_are_known() -> None:
    assert "2 x 6 x 6" in drawn(plots.graph_figure(forked()))
    model = chain()
    assert "1 x 8 x 8" not in drawn(plots.graph_figure(model))
    model.forward(np.zeros((1, 1, 8, 8), np.float32))
    assert "1 x 8 x 8" in drawn(plots.graph_figure(model))
    with pytest.raises(ValueError, match=r"layer 7 \(head\): "):
        plots.graph_figure(model, (1, 16, 16))


def test_several_inputs_and_outputs() -> None:
    a, b = minidl.Input((2, 4, 4)), minidl.Input((2, 4, 4))
    model = minidl.Model(minidl.Graph([a, b], [minidl.Relu()(minidl.Add()(a, b)), minidl.Flatten()(b)]))
    boxes = network_boxes(model, ((2, 4, 4), (2, 4, 4)))
    assert [[text for _, text in box.lines] for box in boxes] == [["input"], ["input"], ["Add", "Relu"], ["Flatten"]]
    assert [box.reads for box in boxes] == [[], [], [0, 1], [1]]
    assert [box.shape for box in boxes] == ["2 x 4 x 4", "2 x 4 x 4", "2 x 4 x 4", "32"]
    assert drawn(plots.graph_figure(model)).count("2 x 4 x 4") == 3  # as the graph was built
    x = minidl.Input((4, 2, 2))
    halves = minidl.Split(2)(x)
    boxes = network_boxes(minidl.Graph(x, minidl.Add()(*halves)), (4, 3, 3))
    assert [(box.reads, box.shape) for box in boxes[1:]] == [([0], "2 x 3 x 3, 2 x 3 x 3"), ([1, 1], "2 x 3 x 3")]


@pytest.mark.parametrize(
    ("shape", "rule"),
    [((), ".*that of one image without N"), ("abc", ".*that of one image without N"), (((1, 8, 8),), "one shape")],
)
def test_what_is_no_shape_is_refused(shape: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=f"graph_figure: input_shape must be {rule}, got "):
        plots.graph_figure(chain(), shape)


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="graph_figure: model must be a layer, got 'resnet'"):
        plots.graph_figure("resnet")
    x, y = minidl.Input((2, 4, 4)), minidl.Input((2, 4, 4))
    with pytest.raises(ValueError, match=r"input_shape must be a list of shapes, one an input, got .2, 4, 4"):
        plots.graph_figure(minidl.Graph([x, y], minidl.Add()(x, y)), (2, 4, 4))


def test_long_networks_go_on_in_further_columns() -> None:
    layers = [layer for _ in range(40) for layer in (minidl.Conv2D(2, 2, 1), minidl.Relu())]
    figure = plots.graph_figure(minidl.Model(*layers), (2, 4, 4))
    width, height = figure.get_size_inches()
    assert height < 13
    assert width > 4
    assert sum("Conv2D 1x1" in text for text in drawn(figure)) == 40


def test_layout_orders_without_crossings() -> None:
    edges = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5), (0, 5)]
    plan = Layered([1.0, 1.0, 2.0, 1.0, 1.0, 1.0], edges, 0.5)
    assert plan.row[:6] == [0, 1, 1, 2, 2, 3]
    assert plan.crossings() == 0
    assert [len(way) for way in plan.ways] == [2, 2, 2, 2, 2, 2, 4]
    for row in plan.rows:
        for left, right in pairwise(row):
            assert plan.x[right] - plan.x[left] >= (plan.widths[left] + plan.widths[right]) / 2 + 0.5 - 1e-9
