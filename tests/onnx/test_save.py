"""Networks as ONNX files: what other programs compute from them, and what stands in them."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks.test_load import LAYERS
from onnx_run import (
    SIZES,
    assert_near,
    assert_saved,
    images,
    needs_onnx,
    operators,
    randomised,
    read,
    run,
    weights,
)

import minidl
from minidl import onnx
from minidl.layers.walk import walk
from minidl.onnx.writers import WRITERS, opens, writer

pytestmark = pytest.mark.usefixtures("plain_backend")


# ---- every layer -----------------------------------------------------------------------------------------------------


def test_every_public_layer_is_written_or_opened() -> None:
    public = [getattr(minidl, name) for name in minidl.__all__]
    kinds = {kind for kind in public if inspect.isclass(kind) and issubclass(kind, minidl.Layer)} - {minidl.Layer}
    opened = {kind for kind in kinds if kind not in WRITERS}
    assert {kind.__name__ for kind in opened} == {"CapsuleNetwork", "Graph", "Model", "Residual", "Sequential"}


@needs_onnx
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str, tmp_path: Path) -> None:
    build, shape = LAYERS[name]
    layer = randomised(build())
    file = assert_saved(layer, tmp_path / "m.onnx", shape, positive=name == "Div")
    declared = {"Identity"}
    for part in walk(layer):
        if not opens(part, {}) and (found := writer(part, {})):
            declared |= set(found.operators)
        elif part.joins == "sum":
            declared.add("Add")
    assert set(operators(file)) <= declared


# ---- whole networks --------------------------------------------------------------------------------------------------


def network(**options: Any) -> minidl.Model:
    body = minidl.Sequential(minidl.Conv2D(4, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), name="body")
    return minidl.Model(
        minidl.Conv2D(3, 4, 3, padding=1), minidl.BatchNorm2D(4), minidl.Relu(), minidl.MaxPool2D(2),
        minidl.Residual(body, minidl.Conv2D(4, 4, 1)), minidl.Relu(), minidl.Dropout(0.5), minidl.GlobalAvgPool2D(),
        minidl.Linear(4, 3), **options,
    )  # fmt: skip


@needs_onnx
def test_a_network_keeps_its_names_and_numbers(tmp_path: Path) -> None:
    model = randomised(network(class_names=["a", "b", "c"], mean=[0.1, 0.2, 0.3], std=0.5))
    file = assert_saved(model, tmp_path / "m.onnx", (3, 8, 6))
    assert operators(file) == [
        "Conv", "BatchNormalization", "Relu", "MaxPool", "Conv", "BatchNormalization", "Relu", "Conv", "Add", "Relu",
        "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    assert [node.name for node in file.graph.node][4:9] == [
        "4.body.0/Conv", "4.body.1/BatchNormalization", "4.body.2/Relu", "4.shortcut/Conv", "4/Add"
    ]  # fmt: skip
    found, state = weights(file), model.state()
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert found[name].tobytes() == array.tobytes()
    assert [value.name for value in (*file.graph.input, *file.graph.output)] == ["input", "output"]
    assert [dim.dim_value for dim in file.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 8, 6]
    assert {entry.key: json.loads(entry.value) for entry in file.metadata_props} == {
        "class_names": ["a", "b", "c"], "mean": [0.1, 0.2, 0.3], "std": 0.5
    }  # fmt: skip
    assert (file.producer_name, file.producer_version) == ("minidl", minidl.__version__)
    assert (file.ir_version, file.opset_import[0].version) == (7, 13)


@needs_onnx
def test_running_statistics_and_weights_of_a_trained_network(tmp_path: Path) -> None:
    model, x = network(), images(16, 3, 8, 8)
    minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(lr=0.05)).fit(
        (x, np.arange(16) % 3), epochs=3, batch_size=8
    )
    onnx.save(model, tmp_path / "m.onnx")  # input_shape: that of the training
    for n in SIZES:
        assert_near(run(tmp_path / "m.onnx", x[:n])[0], model.predict(x[:n]))


@needs_onnx
def test_graphs_with_several_ends_and_shared_layers(tmp_path: Path) -> None:
    a, b = minidl.Input((2, 5, 4)), minidl.Input((2, 5, 4))
    shared = minidl.Conv2D(2, 2, 3, padding=1, name="shared")
    left, right = shared(a), shared(b)
    both = minidl.Add()(left, minidl.BatchNorm2D(2)(right), a)
    scores = minidl.Linear(2, 3, name="head")(minidl.GlobalAvgPool2D()(minidl.Relu()(both)))
    model = randomised(minidl.Graph([a, b], [scores, both, a, both]))
    file = assert_saved(model, tmp_path / "m.onnx", (2, 5, 4), (2, 5, 4))
    assert operators(file) == [
        "Conv", "Conv", "BatchNormalization", "Add", "Add", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
        "Identity", "Identity",
    ]  # fmt: skip
    assert [value.name for value in file.graph.input] == ["input_0", "input_1"]
    assert [value.name for value in file.graph.output] == ["output_0", "output_1", "output_2", "output_3"]
    assert list(weights(file))[:2] == ["shared.weight", "shared.bias"]
    assert weights(file).keys() == model.named_parameters().keys() | model.buffers().keys()


@needs_onnx
def test_a_depthwise_convolution_that_is_an_output_and_a_summand(tmp_path: Path) -> None:
    """ONNX Runtime 1.32 merges convolution and sum, and then misses the output."""
    x = minidl.Input((6, 4, 4))
    first = minidl.Conv2D(6, 6, 3, padding=1, groups=6)(x)
    second = minidl.Conv2D(6, 6, 3, padding=1, groups=6)(minidl.Relu()(x))
    model = minidl.Model(minidl.Graph(x, [minidl.Add()(first, second), first]))
    onnx.save(model, tmp_path / "m.onnx")
    assert [value.name for value in read(tmp_path / "m.onnx").graph.output] == ["output_0", "output_1"]
    image = images(2, 6, 4, 4)
    for found, wanted in zip(run(tmp_path / "m.onnx", image), model.predict(image)):
        assert_near(found, wanted)


def test_names_that_are_taken(tmp_path: Path) -> None:
    x = minidl.Input((4,))
    y = minidl.Linear(4, 4, name="output")(minidl.Linear(4, 4, name="input")(x))
    layer = minidl.Graph(x, minidl.Relu(name="output/Gemm")(y))
    file = assert_saved(randomised(layer), tmp_path / "m.onnx", (4,))
    names = [node.name for node in file.graph.node]
    assert len(set(names)) == 3


@needs_onnx
def test_a_network_inside_of_another(tmp_path: Path) -> None:
    inner = minidl.Model(minidl.Conv2D(1, 2, 3), minidl.Relu())
    capsules = minidl.CapsuleNetwork(
        minidl.PrimaryCapsules(2), minidl.Capsules(16, 2, 2, 3), decoder=minidl.Sequential(minidl.Linear(6, 32))
    )
    file = assert_saved(randomised(minidl.Model(inner, capsules)), tmp_path / "m.onnx", (1, 6, 6))
    assert sorted(name for name in weights(file) if "constant" not in name) == [
        "0.0.bias", "0.0.weight", "1.1.weight"
    ]  # fmt: skip


@needs_onnx
def test_float64(tmp_path: Path) -> None:
    """By the reference of the onnx package, for ONNX Runtime has no convolution in float64."""
    from onnx.reference import ReferenceEvaluator

    model = randomised(network(dtype="float64"))
    onnx.save(model, tmp_path / "m.onnx", (3, 8, 6), opset=14)
    file, x = read(tmp_path / "m.onnx"), images(3, 3, 8, 6, dtype="float64")
    assert {array.dtype for array in weights(file).values()} == {np.dtype("float64")}
    assert_near(ReferenceEvaluator(file).run(None, {"input": x})[0], model.predict(x), 1e-12)


# ---- pixels ----------------------------------------------------------------------------------------------------------


@needs_onnx
@pytest.mark.parametrize(
    ("mean", "std"), [(None, 1 / 255), (None, None), (0.4, 0.3), ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])]
)
def test_pixels_are_scaled_inside_of_the_graph(mean: Any, std: Any, tmp_path: Path) -> None:
    model = randomised(network(mean=mean, std=std))
    onnx.save(model, tmp_path / "m.onnx", (3, 8, 6), uint8_input=True)
    file = read(tmp_path / "m.onnx")
    wanted = ["Cast", *["Mul"] * (std != 1 / 255), *["Add"] * (mean is not None), "Conv"]
    assert operators(file)[: len(wanted)] == wanted
    assert file.graph.input[0].type.tensor_type.elem_type == 2  # uint8
    for n in SIZES:
        x = np.random.default_rng(n).integers(0, 256, (n, 3, 8, 6), np.uint8)
        assert_near(run(tmp_path / "m.onnx", x)[0], model.predict(x))


@needs_onnx
def test_pixels_in_rows(tmp_path: Path) -> None:
    model = randomised(minidl.Model(minidl.Linear(5, 3), mean=np.arange(5) / 9, std=0.5))
    onnx.save(model, tmp_path / "m.onnx", 5, uint8_input=True)
    x = np.random.default_rng(0).integers(0, 256, (7, 5), np.uint8)
    assert_near(run(tmp_path / "m.onnx", x)[0], model.predict(x))


@needs_onnx
def test_pixels_of_several_inputs(tmp_path: Path) -> None:
    a, b = minidl.Input((3, 5, 4)), minidl.Input((3, 2, 2))
    y = minidl.Concat()(minidl.GlobalAvgPool2D()(minidl.Conv2D(3, 4, 3)(a)), minidl.GlobalAvgPool2D()(b))
    model = randomised(minidl.Model(minidl.Graph([a, b], [y, minidl.Relu()(y)]), mean=[0.1, 0.2, 0.3], name=""))
    onnx.save(model, tmp_path / "m.onnx", uint8_input=True)
    read(tmp_path / "m.onnx")
    for n in SIZES:
        rng = np.random.default_rng(n)
        x = [rng.integers(0, 256, (n, *shape), np.uint8) for shape in ((3, 5, 4), (3, 2, 2))]
        for found, wanted in zip(run(tmp_path / "m.onnx", *x), model.predict(x), strict=True):
            assert_near(found, wanted)


def test_pixels_need_a_mean_that_fits(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"uint8_input needs a minidl\.Model, which has a mean and std, got Relu"):
        onnx.save(minidl.Relu(), tmp_path / "m", 3, uint8_input=True)
    with pytest.raises(ValueError, match="mean must have 1 number or 3"):
        onnx.save(network(mean=[0.5, 0.5]), tmp_path / "m", (3, 8, 8), uint8_input=True)


# ---- versions --------------------------------------------------------------------------------------------------------


@needs_onnx
@pytest.mark.parametrize("opset", [None, 13, 14, 15, 16, 17, np.int64(16)])
def test_the_opset_is_the_lowest_or_the_one_asked_for(opset: Any, tmp_path: Path) -> None:
    file = assert_saved(randomised(network()), tmp_path / "m.onnx", (3, 8, 6), opset=opset)
    assert file.opset_import[0].version == (opset or 13)
    file = assert_saved(minidl.LayerNorm(4), tmp_path / "m.onnx", (4,))
    assert file.opset_import[0].version == 17


def test_an_opset_that_is_too_low_is_refused_by_the_layers_names(tmp_path: Path) -> None:
    model = minidl.Model(minidl.LayerNorm(4), minidl.Relu(), minidl.Sequential(minidl.LayerNorm(4)))
    with pytest.raises(ValueError, match=r"opset must be at least 17, for 0 \(17\), 2\.0 \(17\), got 15"):
        onnx.save(model, tmp_path / "m", 4, opset=15)
    for opset in (0, 12, 18):
        with pytest.raises(ValueError, match=f"opset must be .*, got {opset}"):
            onnx.save(model, tmp_path / "m", 4, opset=opset)
    with pytest.raises(TypeError, match="opset must be an int"):
        onnx.save(model, tmp_path / "m", 4, opset="17")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


# ---- layers of one's own ---------------------------------------------------------------------------------------------


class Swish(minidl.Layer):
    def compute(self, x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))


class Halved(minidl.Conv2D):
    """Computes something else than its base."""

    def _infer(self, x: Any) -> Any:
        return self.kernels.add(super()._infer(x), super()._infer(x))


class Block(minidl.Sequential):
    """Only puts minidl's layers together."""

    def __init__(self, channels: int) -> None:
        super().__init__(minidl.Conv2D(channels, channels, 1), minidl.Relu())


class Odd(minidl.Sequential):
    def flow(self, call: Any, *x: Any) -> Any:
        return super().flow(call, *x)


class Outer(minidl.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.inner = minidl.Relu()

    def _infer(self, x: Any) -> Any:
        return self.inner.run(x, False)


def write_swish(draft: Any, layer: Swish, x: Any) -> str:
    assert x.shape == (2, 4, 4)
    return draft.add("Mul", x, draft.add("Sigmoid", x))


def test_all_layers_that_nobody_can_write_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"before")
    model = minidl.Model(
        Swish(), minidl.Conv2D(2, 2, 1), Halved(2, 2, 1), Block(2), minidl.Sequential(Swish("mine"), Odd()), Outer()
    )
    named = r"layer 0 \(Swish\), layer 2 \(Halved\), layer 4\.0 \(mine\), layer 4\.1 \(Odd\), layer 5 \(Outer\): build"
    with pytest.raises(ValueError, match=f"ONNX has no operators for {named} .* writers={{class: function}}"):
        onnx.save(model, tmp_path / "m", (2, 4, 4))
    for layer in (Outer(), Odd(), Swish()):
        with pytest.raises(ValueError, match=f"no operators for {type(layer).__name__}: "):
            onnx.save(layer, tmp_path / "m", (2, 4, 4))
    assert (tmp_path / "m").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@needs_onnx
def test_functions_for_layers_of_ones_own(tmp_path: Path) -> None:
    model = minidl.Model(Swish(), Block(2), minidl.Sequential(Swish()))
    file = assert_saved(randomised(model), tmp_path / "m.onnx", (2, 4, 4), writers={Swish: write_swish})
    assert operators(file) == ["Sigmoid", "Mul", "Conv", "Relu", "Sigmoid", "Mul"]
    assert list(weights(file)) == ["1.0.weight", "1.0.bias"]


@needs_onnx
def test_a_function_may_need_a_later_opset(tmp_path: Path) -> None:
    import onnx.checker

    def write(draft: Any, layer: Swish, x: Any) -> str:
        return draft.add("HardSwish", x)

    def write_and_say(draft: Any, layer: Swish, x: Any) -> str:
        draft.need(14)
        return write(draft, layer, x)

    model = minidl.Model(Swish())
    with pytest.raises(onnx.checker.ValidationError, match="HardSwish"):
        minidl.onnx.save(model, tmp_path / "m", 4, writers={Swish: write})
    with pytest.raises(ValueError, match=r"opset must be at least 14, for 0 \(14\), got 13"):
        minidl.onnx.save(model, tmp_path / "m", 4, opset=13, writers={Swish: write_and_say})
    minidl.onnx.save(model, tmp_path / "m", 4, writers={Swish: write_and_say})
    assert read(tmp_path / "m").opset_import[0].version == 14


@needs_onnx
def test_a_function_that_writes_nonsense_writes_no_file(tmp_path: Path) -> None:
    import onnx.checker

    model = minidl.Model(Swish(), minidl.Relu())
    for returned, got in ((None, "None"), (["a", "b"], r"\['a', 'b'\]"), (3, "3")):
        with pytest.raises(TypeError, match=rf"what writes layer 0 \(Swish\) must return .*, got {got}"):
            minidl.onnx.save(model, tmp_path / "m", 4, writers={Swish: lambda *_, value=returned: value})
    with pytest.raises(onnx.checker.ValidationError, match="Nonsense"):
        minidl.onnx.save(model, tmp_path / "m", 4, writers={Swish: lambda draft, layer, x: draft.add("Nonsense", x)})
    assert list(tmp_path.iterdir()) == []


# ---- arguments -------------------------------------------------------------------------------------------------------


@needs_onnx
def test_where_the_input_s_shape_comes_from(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(ValueError, match=r"input_shape must be given, that of one image without N"):
        onnx.save(model, tmp_path / "m")
    model.predict(images(2, 3, 8, 6))
    onnx.save(model, tmp_path / "m")
    x = minidl.Input((3, 5, 7))
    onnx.save(minidl.Model(minidl.Sequential(minidl.Graph(x, minidl.Conv2D(3, 1, 1)(x)))), tmp_path / "g")
    shapes = [read(tmp_path / name).graph.input[0].type.tensor_type.shape.dim for name in "mg"]
    assert [[dim.dim_value for dim in shape[1:]] for shape in shapes] == [[3, 8, 6], [3, 5, 7]]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 8, 6), r"layer 0 \(Conv2D\): input must have 3 channels"),
        ((3, 0, 6), "input_shape must be at least 1, got 0"),
        ((3, 8.0, 6), "input_shape must be an int"),
        ((7, 3, 8, 6), r"input_shape must be \(C, H, W\) or \(F,\), that of one image without N, got \(7, 3, 8, 6\)"),
        ("big", "input_shape must be"),
        ([(3, 8, 6), (3, 8, 6)], "input_shape must be one shape, got"),
    ],
)
def test_shapes_that_are_refused(shape: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        onnx.save(network(), tmp_path / "m", shape)
    assert list(tmp_path.iterdir()) == []


def test_several_inputs_have_several_shapes(tmp_path: Path) -> None:
    a, b = minidl.Input(3), minidl.Input(3)
    with pytest.raises(ValueError, match="input_shape must be a list of shapes, one an input, got"):
        onnx.save(minidl.Graph([a, b], minidl.Add()(a, b)), tmp_path / "m", 3)


def test_other_arguments(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"model must be a minidl\.Model or another layer, got str"):
        onnx.save("model", tmp_path / "m")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path must be a file's name, got None"):
        onnx.save(network(), None)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"the folder of .* must exist"):
        onnx.save(network(), tmp_path / "none" / "m", (3, 8, 8))
    with pytest.raises(TypeError, match="writers must be functions by classes of layers, got 'Swish': 3"):
        onnx.save(network(), tmp_path / "m", (3, 8, 8), writers={"Swish": 3})  # type: ignore[dict-item]


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"minidl\.onnx writes with the onnx package: pip install 'minidl\[onnx\]'"):
        onnx.save(network(), tmp_path / "m", (3, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_a_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidl.onnx.file.MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"weights must have at most 100 bytes, which one file holds, got \d+"):
        onnx.save(network(), tmp_path / "m", (3, 8, 8))
