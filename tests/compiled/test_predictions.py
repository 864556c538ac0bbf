"""When a prediction is compiled, and when it is made anew."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from compiled.lanes_of_channels import same_for_any_threads

import minidl
from minidl import kernels

native = pytest.importorskip("minidl.kernels.native")
choice = pytest.importorskip("minidl.compiled.choice")
fusing = pytest.importorskip("minidl.compiled.fusing")
segment = pytest.importorskip("minidl.compiled.segment")


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    choice.use_layout("channels")
    with kernels.use("native"):
        yield
    choice.use_layout("auto")


def model() -> minidl.Model:
    return minidl.Model(
        minidl.Conv2D(3, 10, 3, padding=1, rng=0),
        minidl.BatchNorm2D(10),
        minidl.Relu(),
        minidl.GlobalAvgPool2D(),
        minidl.Linear(10, 4, rng=1),
        mean=0.5,
    )


X = np.random.default_rng(0).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
U = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8)).astype(np.uint8)


def plainly(m: minidl.Model, x: np.ndarray) -> np.ndarray:
    choice.use_layout("images")
    y = m.predict(x)
    choice.use_layout("channels")
    return np.asarray(y)


def agrees(m: minidl.Model, x: np.ndarray) -> None:
    np.testing.assert_allclose(m.predict(x), plainly(m, x), rtol=1e-5, atol=1e-6)


def train(m: minidl.Model) -> None:
    minidl.Trainer(m, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1)).fit(
        (X, np.array([0, 1])), epochs=2, batch_size=2, verbose=False
    )


def replace(m: minidl.Model) -> None:
    m.layers[0].weight.data = np.ascontiguousarray(m.layers[0].weight.data * 2)


def other_parameter(m: minidl.Model) -> None:
    m.layers[0].weight = minidl.Conv2D(3, 10, 3, rng=9).weight


def other_layer(m: minidl.Model) -> None:
    m.layers[2] = minidl.Tanh()


def state(m: minidl.Model) -> None:
    m.load_state({name: array * 1.5 for name, array in m.state().items()})


CHANGES: list[Callable[[minidl.Model], object]] = [
    lambda m: m.layers[0].weight.data.__setitem__((0, 0, 0, 0), 5),
    lambda m: m.layers[0].bias.data.__iadd__(1),
    lambda m: m.layers[4].weight.data.__imul__(2),
    lambda m: m.layers[1].gamma.data.fill(3),
    lambda m: m.layers[1].running_mean.__iadd__(1),
    lambda m: m.layers[1].running_var.__imul__(2),
    lambda m: m.mean.__iadd__(0.25),
    replace,
    other_parameter,
    other_layer,
    state,
    train,
    lambda m: m.astype("float64"),
]


@pytest.mark.parametrize("change", range(len(CHANGES)))
@pytest.mark.parametrize("x", [X, U], ids=["floats", "pixels"])
def test_a_change_counts(change: int, x: np.ndarray) -> None:
    m = model()
    before = m.predict(x)
    CHANGES[change](m)
    if CHANGES[change] is not train and not (change in (6, 12) and x is X):
        assert np.abs(m.predict(x) - before).max() > 1e-4 or change == 12
    agrees(m, x)


def test_a_change_through_an_old_reference_counts() -> None:
    m = model()
    w, view = m.layers[0].weight.data, m.layers[4].weight.data[1]
    for array in (w, view, memoryview(view)):
        m.predict(X)
        m.predict(X)
        np.asarray(array)[...] *= 3
        agrees(m, X)


def test_a_change_through_a_reference_that_is_gone_counts() -> None:
    """Taken before a prediction, written behind it, let go before the next."""
    m = model()
    m.predict(X)
    w, view = m.layers[0].weight.data, m.layers[4].weight.data[1]
    m.predict(X)
    m.predict(X)
    w *= 3
    view *= 3
    del w, view
    agrees(m, X)


def test_a_changed_mean_counts_where_the_class_has_one_too() -> None:
    """An attribute of a class tells of no changes, unless it is one that does."""

    class Scaled(minidl.Model):
        mean = np.zeros(3, np.float32)

    m = Scaled(minidl.Conv2D(3, 4, 3, rng=0), minidl.GlobalAvgPool2D(), mean=0.5)
    before = m.predict(U)
    m.predict(U)
    assert "not compiled" not in m.compile_info()
    m.mean += 0.25
    assert np.abs(m.predict(U) - before).max() > 1e-3
    agrees(m, U)


def test_a_change_of_memory_beneath_an_array_counts() -> None:
    m = model()
    weight = m.layers[0].weight
    memory = bytearray(weight.data.tobytes())
    weight.data = np.frombuffer(memoryview(memory), np.float32).reshape(weight.data.shape)
    for _ in range(3):
        m.predict(X)
    memory[:] = (weight.data * 3).tobytes()
    agrees(m, X)


def test_changed_signs_do_not_undo_each_other() -> None:
    """In a chain of the digest: the sign of an upper number, then both of the next word."""
    m = model()
    m.predict(X)
    m.layers[0].weight.data.reshape(-1)[[1, 8, 9]] *= -1
    agrees(m, X)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [(0, "stride", (2, 2)), (0, "padding", (0, 0)), (0, "dilation", (2, 2)), (1, "eps", 1.0), (2, "slope", 0.9)],
)
def test_a_changed_setting_counts(place: int, name: str, value: object) -> None:
    m = model()
    m.layers[2] = minidl.LeakyRelu(0.1)
    before = m.predict(X)
    setattr(m.layers[place], name, value)
    assert np.abs(m.predict(X) - before).max() > 1e-3
    agrees(m, X)


def test_a_bias_that_comes_later_counts() -> None:
    m = minidl.Model(minidl.Conv2D(3, 4, 3, bias=False, rng=0), minidl.GlobalAvgPool2D())
    m.predict(X)
    m.layers[0].bias = minidl.Conv2D(3, 4, 3, rng=1).bias
    m.layers[0].bias.data[...] = 2
    agrees(m, X)


def test_an_output_that_is_an_input_is_as_ever() -> None:
    x = minidl.Input((3, 8, 8))
    m = minidl.Model(minidl.Graph(x, [minidl.Conv2D(3, 4, 3, rng=0)(x), x]), mean=0.5)
    for images in (X, U):
        y = m.predict(images)[1]
        choice.use_layout("images")
        np.testing.assert_array_equal(y, m.predict(images)[1], strict=True)
        choice.use_layout("channels")
        assert not np.shares_memory(y, images)


def test_more_outputs_than_a_program_has() -> None:
    x = minidl.Input((3, 8, 8))
    m = minidl.Model(minidl.Graph(x, list(minidl.Split((1,) * 70)(minidl.Conv2D(3, 70, 3, rng=0)(x)))))
    for _ in range(2):
        assert len(m.predict(X)) == 70
    assert "not compiled" in m.compile_info()


def test_the_same_images_give_the_same_bits_from_the_first_time_on() -> None:
    """A layer between two programs sees the same slices of images each time."""
    m = minidl.Model(
        minidl.Conv2D(3, 32, 3, padding=1, rng=0), minidl.Flatten(), minidl.Linear(2048, 700, rng=0), minidl.Relu()
    )
    x = np.random.default_rng(3).normal(0, 1, (19, 3, 8, 8)).astype(np.float32)
    first = m.predict(x)
    assert "between two programs" in m.compile_info()
    np.testing.assert_array_equal(first, m.predict(x))


def test_threads_at_once_from_the_first_prediction_on() -> None:
    wrong: list[str] = []

    def run(m: minidl.Model, start: threading.Barrier) -> None:
        start.wait()
        try:
            m.predict(X)
        except ValueError as error:
            wrong.append(str(error))

    for _ in range(10):
        m = minidl.Model(*(minidl.Conv2D(c, 64, 3, padding=1, rng=0) for c in (3, 64, 64)), minidl.GlobalAvgPool2D())
        threads = [threading.Thread(target=run, args=(m, start)) for start in [threading.Barrier(4)] for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_forward_and_backward_that_change_nothing_keep_it() -> None:
    m = model()
    m.layers[1] = minidl.Dropout(0.5)
    m.predict(X)
    (found,) = m._plan().compiled.values()
    m.backward(np.ones_like(m.forward(X)))
    m.predict(X)
    assert next(iter(m._plan().compiled.values())) is found


def test_nothing_is_read_where_nobody_could_have_written() -> None:
    m = model()
    m.predict(X)
    (found,) = m._plan().compiled.values()
    m.predict(X)
    assert next(iter(m._plan().compiled.values())) is found
    _ = [parameter.data for parameter in m.parameters()]
    del _
    gc.collect()
    m.predict(X)
    assert next(iter(m._plan().compiled.values())) is found, "values are the same"


def test_shapes_are_kept_apart_and_few() -> None:
    m = model()
    for size in range(4, 20):
        x = np.random.default_rng(size).normal(0, 1, (1, 3, size, size)).astype(np.float32)
        agrees(m, x)
    assert len(m._plan().compiled) <= 8


def test_release_gives_all_back() -> None:
    m = model()
    m.predict(X)
    assert m._plan().compiled
    m.release()
    assert not m._plan().compiled
    agrees(m, X)


def test_copies_are_their_own() -> None:
    m = model()
    m.predict(X)
    other = copy.deepcopy(m)
    other.layers[0].weight.data[...] *= 2
    agrees(other, X)
    agrees(m, X)


def test_wrong_inputs_are_refused_as_ever() -> None:
    m = model()
    m.predict(X)
    with pytest.raises(ValueError, match=r"layer 0 \(Conv2D\): input must have 3 channels .*got 4"):
        m.predict(np.zeros((1, 4, 8, 8), np.float32))
    with pytest.raises(ValueError, match="Linear"):
        minidl.Model(minidl.Conv2D(3, 4, 3, rng=0), minidl.Flatten(), minidl.Linear(5, 2, rng=0)).predict(X)
    assert m.predict(X[:0]).shape == (0, 4)


def test_threads_at_once() -> None:
    m = model()
    wanted = m.predict(X)
    wrong: list[int] = []

    def run() -> None:
        for n in (1, 2) * 50:
            if not np.array_equal(m.predict(X[:n]), wanted[:n]):
                wrong.append(n)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_several_inputs_and_outputs_and_layers_between() -> None:
    a, b = minidl.Input((3, 8, 8)), minidl.Input((2, 4, 4))
    up = minidl.Upsample(2)(minidl.Conv2D(2, 6, 1, rng=2)(b))  # no program has it
    both = minidl.Concat()(minidl.Conv2D(3, 5, 3, padding=1, rng=3)(a), up)
    y = minidl.Relu()(minidl.Conv2D(11, 7, 3, padding=1, rng=4)(both))
    m = minidl.Model(minidl.Graph([a, b], [y, up, minidl.Linear(7, 2, rng=5)(minidl.GlobalAvgPool2D()(y))]))
    z = np.random.default_rng(1).normal(0, 1, (2, 2, 4, 4)).astype(np.float32)
    found = m.predict([X, z])
    assert "between two programs" in m.compile_info()
    choice.use_layout("images")
    for one, other in zip(found, m.predict([X, z]), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-6 * np.abs(other).max())


def test_a_layer_of_ones_own_runs_between() -> None:
    class Swish(minidl.Layer):
        def compute(self, x: np.ndarray) -> np.ndarray:
            return x / (1 + np.exp(-x))

    m = minidl.Model(minidl.Conv2D(3, 5, 3, rng=0), Swish(), minidl.Conv2D(5, 4, 3, rng=1), minidl.GlobalAvgPool2D())
    agrees(m, X)
    assert "Swish" not in m.compile_info() or "between" in m.compile_info()


def test_a_layer_without_an_operation_before_one_that_runs_between() -> None:
    """Dropout and Flatten only pass a value on, which the next layer must find."""
    m = minidl.Model(
        minidl.Dropout(0.5),
        minidl.Upsample(2),
        minidl.Dropout(0.5),
        minidl.Upsample((1, 2)),
        minidl.Conv2D(3, 2, 3, rng=2),
        minidl.Flatten(),
    )
    agrees(m, X)
    assert "between two programs" in m.compile_info()


def test_choice_counts_vectors() -> None:
    """Few images: channels. Many images of few channels: images. It does not depend on threads."""
    choice.use_layout("auto")
    few = minidl.Model(minidl.Conv2D(3, 64, 3, rng=0), minidl.Conv2D(64, 64, 5, rng=1), minidl.GlobalAvgPool2D())
    few.predict(X[:1])
    (found,) = few._plan().compiled.values()
    assert found.is_faster(1)
    narrow = minidl.Model(minidl.Conv2D(1, 2, 3, rng=0), minidl.GlobalAvgPool2D())
    narrow.predict(np.zeros((64, 1, 8, 8), np.float32))
    (found,) = narrow._plan().compiled.values()
    assert not found.is_faster(64)


def test_layout_by_name() -> None:
    with pytest.raises(ValueError, match="layout must be one of auto, channels, images, got 'rows'"):
        choice.use_layout("rows")


def test_info_tells_operations_and_memory() -> None:
    m = model()
    assert "no compiled prediction" in m.compile_info()
    m.predict(X)
    text = m.compile_info()
    assert "0, 1, 2" in text
    assert "direct + relu" in text
    assert "MB of packed weights" in text


def test_summary_tells_layout_and_algorithm() -> None:
    body = minidl.Sequential(minidl.Conv2D(16, 16, 3, padding=1, rng=0), minidl.BatchNorm2D(16))
    layers = minidl.Conv2D(3, 16, 3, padding=1, rng=0), minidl.Relu(), minidl.Residual(body), minidl.Upsample(2)
    m = minidl.Model(*layers, minidl.GlobalAvgPool2D(), minidl.Linear(16, 10, rng=0))

    def column(**settings: Any) -> dict[str, str]:
        lines = m.summary((3, 32, 32), **settings).splitlines()
        start = lines[0].index(f"{settings['images']} image")
        return {line.split()[0]: line[start:] for line in lines[3:-2]}

    few = {"0": "channels, direct", "2.body.0": "channels, winograd 4 x 4", "3": "images", "5": "channels, direct"}
    assert {place: column(images=1)[place] for place in few} == few
    assert column(images=1)["2.body.1"] == "channels, winograd 4 x 4"  # folded
    assert column(images=2, train=True)["2.body.1"] == "channels, normalization"
    choice.use_layout("images")
    found = column(images=1)
    assert found["0"].startswith("images, ")
    assert found["2.body.0"] == "images, winograd 4 x 4"
    assert found["4"] == "images"
    native.use_winograd(0)
    try:
        assert column(images=1)["2.body.0"] == "images, direct"
    finally:
        native.use_winograd(4)
    with kernels.use("reference"):
        assert m.summary((3, 32, 32), images=1) == m.summary((3, 32, 32))


@pytest.mark.parametrize("layout", ["channels", "images"])
def test_the_mean_of_a_large_map_keeps_its_digits(layout: str) -> None:
    m = minidl.Model(minidl.Conv2D(3, 8, 3, padding=1, rng=0), minidl.GlobalAvgPool2D())
    m.layers[0].weight.data[...], m.layers[0].bias.data[...] = 0, 0.7
    choice.use_layout(layout)
    found = m.predict(np.zeros((1, 3, 256, 256), np.float32)).astype(np.float64)
    np.testing.assert_allclose(found, np.full((1, 8), np.float32(0.7), np.float64), rtol=5e-6)


def test_a_mean_that_becomes_a_plain_number_counts() -> None:
    m = minidl.Model(minidl.Conv2D(3, 8, 3, rng=0), minidl.GlobalAvgPool2D(), minidl.Linear(8, 2, rng=1), mean=0.4)
    x = np.full((1, 3, 9, 9), 200, np.uint8)
    before = m.predict(x)
    for mean in (m.mean + 0.1, m.mean + 0.3):
        m.mean = mean
        other = minidl.Model(*m.layers, mean=float(mean))
        np.testing.assert_array_equal(m.predict(x), other.predict(x))
    assert np.abs(m.predict(x) - before).max() > 1e-3


def test_the_summary_counts_images_as_the_choice_does() -> None:
    m = minidl.Model(minidl.Conv2D(64, 64, 3, padding=1, rng=0))
    choice.use_layout("images")
    assert "images, direct" in m.summary((64, 5, 5), images=1)
    assert "images, winograd 2 x 2" in m.summary(
        (64, 5, 5), images=100
    )  # more blocks share one transform of the weights


def test_a_fault_that_was_mended_is_forgotten() -> None:
    m = minidl.Model(minidl.Conv2D(3, 8, 3, padding=1, rng=1), minidl.Flatten(), minidl.Linear(512, 4, rng=2))
    wanted = m.predict(X)
    m.layers[0].padding = (0, 0)
    with pytest.raises(ValueError, match="512"):
        m.predict(X)
    m.layers[0].padding = (1, 1)
    np.testing.assert_array_equal(m.predict(X), wanted)
    assert "not compiled" not in m.compile_info()
    assert m.summary((3, 8, 8), images=1).splitlines()[4].endswith("channels")  # Flatten, between two operations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "channels", "out", "kernel", "stride", "padding"),
    [
        ((9, 11), 5, 7, 3, 1, 1),
        ((28, 15), 33, 16, 3, 2, 1),
        ((7, 7), 48, 40, 3, 1, 0),
        ((1, 30), 20, 3, 3, 1, 1),
        ((64, 40), 17, 65, 3, 2, 2),
        ((30, 21), 19, 8, 5, 1, 2),
        ((31, 21), 19, 8, 2, 3, 0),
        ((26, 300), 70, 9, 3, 1, 1),
    ],
)
@pytest.mark.parametrize("first", [1, 2])
def test_joined_convolutions_have_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    channels: int,
    out: int,
    kernel: int,
    stride: int,
    padding: int,
    first: int,
    dtype: str,
) -> None:
    def chain() -> minidl.Model:
        before = minidl.Conv2D(2, channels, first, stride=first, rng=0), minidl.Relu()
        deep = minidl.Conv2D(channels, channels, kernel, stride=stride, padding=padding, groups=channels, rng=1)
        last = minidl.Conv2D(channels, out, 1, rng=2), minidl.Relu()
        return minidl.Model(*before, deep, minidl.Clip(0, 6), *last, dtype=dtype)

    def predictions(joined: list[int]) -> list[np.ndarray]:
        model, found = chain(), []

        def run() -> list[np.ndarray]:
            found.append([model.predict(x[:n]) for n in (1, 3)])
            return found[-1]

        same_for_any_threads(run)
        (made,) = model._plan().compiled.values()
        assert [operation.joined for operation in made.operations()] == joined
        return found[0]

    x = np.random.default_rng(1).standard_normal((3, 2, first * size[0], first * size[1])).astype(dtype)
    monkeypatch.setattr(fusing, "WIDE", 2**40)
    two = predictions([0, 0, 1, 0, 0])
    monkeypatch.setattr(fusing, "WIDE", 0)
    three = predictions([0, 2, 0, 0, 0])
    monkeypatch.setattr(segment, "join", lambda *given: None)
    for y, of_two, of_three in zip(predictions([0] * 5), two, three):
        np.testing.assert_array_equal(of_two, y)
        np.testing.assert_array_equal(of_three, y)


def separable(*channels: int) -> list[minidl.Layer]:
    """Depthwise and pointwise convolutions in turn, from one number of channels to the next."""
    layers: list[minidl.Layer] = []
    for i, (c, o) in enumerate(pairwise(channels)):
        layers += [
            minidl.Conv2D(c, c, 3, padding=1, groups=c, rng=i),
            minidl.Conv2D(c, o, 1, rng=i + 50),
            minidl.Relu(),
        ]
    return layers


def adding() -> list[minidl.Layer]:
    """A sum that becomes part of a depthwise convolution."""
    inside = minidl.Conv2D(20, 20, 1, rng=1), minidl.Conv2D(20, 20, 3, padding=1, groups=20, rng=2)
    return [minidl.Residual(minidl.Sequential(*inside)), minidl.Conv2D(20, 33, 1, rng=3)]


@pytest.mark.parametrize(
    ("behind", "narrow", "wide"),
    [
        (lambda: separable(20, 33, 7, 40, 12), [0, 0, *[1, 0] * 4, 0], [0, 2, 0, 0, *[1, 0] * 3, 0]),
        (adding, [0, 0, 0, 1, 0, 0], [0, 0, 2, 0, 0, 0]),
    ],
    ids=["separable", "adding"],
)
def test_neighbouring_groups_of_joined_convolutions(
    monkeypatch: pytest.MonkeyPatch, behind: Callable[[], list[minidl.Layer]], narrow: list[int], wide: list[int]
) -> None:
    """Each step is in one group, and what any of a group reads stays until the group is through."""
    x = np.random.default_rng(1).standard_normal((3, 2, 40, 31)).astype(np.float32)

    def predictions() -> tuple[list[np.ndarray], list[int]]:
        model = minidl.Model(minidl.Conv2D(2, 20, 1, rng=9), *behind(), dtype="float32")
        found = [model.predict(x[:n]) for n in (1, 3)]
        (made,) = model._plan().compiled.values()
        return found, [operation.joined for operation in made.operations()]

    monkeypatch.setattr(fusing, "WIDE", 2**40)
    found = [predictions()]
    monkeypatch.setattr(fusing, "WIDE", 0)
    found.append(predictions())
    monkeypatch.setattr(segment, "join", lambda *given: None)
    wanted, _ = predictions()
    for (ys, joined), expected in zip(found, (narrow, wide)):
        assert joined == expected
        for y, want in zip(ys, wanted):
            np.testing.assert_array_equal(y, want)


def test_a_depthwise_result_that_others_read_is_not_joined() -> None:
    x = minidl.Input((3, 6, 6))
    deep = minidl.Conv2D(8, 8, 3, padding=1, groups=8, rng=1)(minidl.Conv2D(3, 8, 1, rng=0)(x))
    both = minidl.Model(minidl.Graph(x, minidl.Add()(minidl.Conv2D(8, 8, 1, rng=2)(deep), deep)))
    images = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
    agrees(both, images)
    (made,) = (found for found in both._plan().compiled.values() if found is not None)
    assert not any(operation.joined for operation in made.operations())


def test_making_a_model_leaves_what_others_have_compiled() -> None:
    m = minidl.Model(minidl.Conv2D(3, 8, 3, rng=0), minidl.GlobalAvgPool2D())
    m.predict(np.zeros((1, 3, 9, 9), np.float32))
    plan = m._plan()
    minidl.Model(minidl.Conv2D(3, 4, 3, rng=1), minidl.BatchNorm2D(4))
    assert m._plan() is plan
    minidl.Model(*m.layers, dtype="float64")
    assert m._plan() is not plan
