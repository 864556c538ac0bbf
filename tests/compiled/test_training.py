"""A compiled training step against the layers one after the other: scores, gradients, running statistics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import minidl
from minidl import kernels
from minidl.data.augment.pipeline import plan
from minidl.data.augment.transforms import Affine, Flip
from minidl.layers.parameter import Parameter
from minidl.training.samples import prepare
from minidl.training.step import Step

native = pytest.importorskip("minidl.kernels.native")
choice = pytest.importorskip("minidl.compiled.choice")


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    threads = minidl.get_num_threads()
    with kernels.use("native"):
        yield
    choice.use_layout("auto")
    minidl.set_num_threads(threads)


def chain(*layers: minidl.Layer, shape: tuple[int, ...] = (3, 9, 7), classes: int = 5) -> minidl.Model:
    """The layers, and behind them a mean and scores."""
    channels = minidl.Sequential(*layers).output_shape(shape)[0]
    return minidl.Model(*layers, minidl.GlobalAvgPool2D(), minidl.Linear(channels, classes, rng=9), mean=0.4, std=0.3)


def conv(c: int, o: int, k: int = 3, **more: object) -> minidl.Conv2D:
    return minidl.Conv2D(c, o, k, rng=o + k, **{"padding": k // 2, **more})  # type: ignore[arg-type]


def residual() -> minidl.Model:
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(minidl.BatchNorm2D(10)(conv(3, 10, bias=False)(x)))
    b = minidl.BatchNorm2D(10)(conv(10, 10, bias=False)(a))
    c = minidl.Relu()(minidl.Add()(b, a))
    d = minidl.BatchNorm2D(17)(conv(10, 17, 3, stride=2, bias=False)(c))
    e = minidl.BatchNorm2D(17)(conv(10, 17, 1, stride=2, bias=False)(c))
    f = minidl.Relu()(minidl.Add()(e, d))
    return minidl.Model(minidl.Graph(x, minidl.Linear(17, 5, rng=1)(minidl.GlobalAvgPool2D()(f))))


def branches() -> minidl.Model:
    x = minidl.Input((3, 9, 7))
    a, b = minidl.Split((6, 14))(minidl.ChannelShuffle(4)(conv(3, 20)(x)))
    c = minidl.Concat()(minidl.MaxPool2D(3, 1, 1)(a), conv(14, 9)(b), a)
    d = minidl.Concat()(c, minidl.Tanh()(c))
    e = minidl.Add()(minidl.Gelu()(d), minidl.Silu()(d))
    return minidl.Model(minidl.Graph(x, minidl.Linear(42, 5, rng=1)(minidl.GlobalAvgPool2D()(e))))


def foreign() -> minidl.Model:
    """Layers between programs, one of them read by two."""
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(conv(3, 12)(x))
    b = minidl.PRelu(12)(a)
    c = minidl.Affine(12)(b)
    d = minidl.Relu()(minidl.Add()(conv(12, 12)(c), b))
    e = minidl.Mul()(d, minidl.Sigmoid()(minidl.Conv2D(12, 12, 1, rng=4)(minidl.AdaptiveAvgPool2D(1)(d))))
    f = minidl.Relu()(minidl.Mul()(e, d))
    return minidl.Model(minidl.Graph(x, minidl.Linear(12, 5, rng=1)(minidl.GlobalAvgPool2D()(f))))


def masked() -> minidl.Model:
    """Masks of two generators, in front of layers that read a value beside others, and of rows."""
    shared = np.random.default_rng(3)
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(conv(3, 13)(minidl.Dropout(0.2, rng=5)(x)))
    b = minidl.Dropout(0.4, rng=shared)(a)
    c = minidl.Add()(conv(13, 13)(b), b, minidl.Dropout(0.1)(a), minidl.Dropout(0.0)(a))
    d = minidl.Dropout(0.5, rng=shared)(minidl.Flatten()(minidl.MaxPool2D(2)(c)))
    return minidl.Model(minidl.Graph(x, minidl.Linear(156, 5, rng=1)(d)))


def transposed(c: int, o: int, k: object, stride: object = 1, **more: object) -> minidl.ConvTranspose2D:
    return minidl.ConvTranspose2D(c, o, k, stride, rng=c + o, **more)  # type: ignore[arg-type]


def up_and_down() -> minidl.Model:
    """As a U-Net: what a transposed convolution enlarges stands beside what was made smaller."""
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(conv(3, 9)(x))
    b = conv(9, 13)(minidl.MaxPool2D(2)(a))
    c = minidl.Concat()(a, transposed(13, 9, 2, 2, output_padding=1)(b))
    d = minidl.Add()(minidl.Relu()(transposed(18, 9, 3, padding=1)(c)), transposed(18, 9, 1)(c), a)
    return minidl.Model(minidl.Graph(x, minidl.Linear(9, 5, rng=1)(minidl.GlobalAvgPool2D()(d))))


def own_norm(layer: minidl.Layer, *values: float) -> minidl.Layer:
    """With other numbers for gamma and beta than those that they begin with."""
    rng = np.random.default_rng(7)
    for parameter in layer.parameters():
        parameter.data = (parameter.data + rng.normal(0, 0.5, parameter.data.shape)).astype("float32")
    return layer


def norms_of_images() -> minidl.Model:
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(own_norm(minidl.GroupNorm(2, 20))(conv(3, 20)(x)))
    b = own_norm(minidl.InstanceNorm2D(20, affine=True))(conv(20, 20, bias=False)(a))
    c = minidl.Relu()(minidl.Add()(b, a))
    d = minidl.Add()(own_norm(minidl.GroupNorm(5, 20))(c), c)
    # eps: a channel where Tanh is 1 has no variance, and 316 times its rounding errors would come out.
    e = minidl.Relu()(minidl.Add()(minidl.InstanceNorm2D(20, eps=0.1)(minidl.Tanh()(d)), d))
    f = minidl.Tanh()(own_norm(minidl.LayerNorm(20))(minidl.GlobalAvgPool2D()(e)))
    return minidl.Model(minidl.Graph(x, minidl.Linear(20, 5, rng=1)(own_norm(minidl.GroupNorm(4, 20))(f))))


def beside_itself() -> minidl.Model:
    """Sums of what an operation makes and what it reads."""
    x = minidl.Input((3, 9, 7))
    a = conv(3, 70)(x)
    b = minidl.Add()(conv(70, 70, 5)(a), a)
    c = minidl.Relu()(minidl.Add()(b, conv(70, 70, groups=70)(b)))
    return minidl.Model(minidl.Graph(x, minidl.Linear(70, 5, rng=1)(minidl.GlobalAvgPool2D()(c))))


def norm_beside_itself() -> minidl.Model:
    x = minidl.Input((3, 9, 7))
    a = minidl.Tanh()(conv(3, 12)(x))
    b = minidl.Add()(minidl.BatchNorm2D(12)(a), a)
    c = minidl.Relu()(minidl.Add()(b, minidl.BatchNorm2D(12)(b)))
    d = minidl.Mul()(c, c)
    return minidl.Model(minidl.Graph(x, minidl.Linear(12, 5, rng=1)(minidl.GlobalAvgPool2D()(d))))


def wide() -> minidl.Model:
    """Gradients of many channels that are added to others."""
    x = minidl.Input((3, 9, 7))
    a = minidl.Relu()(conv(3, 70)(x))
    b = minidl.Concat()(conv(70, 40, 5)(a), conv(70, 70, 1)(a), conv(70, 9)(a), conv(70, 9, padding=2, dilation=2)(a))
    return minidl.Model(minidl.Graph(x, minidl.Linear(128, 5, rng=1)(minidl.GlobalAvgPool2D()(b))))


def capsules(*behind: minidl.Layer, dim: int = 8, values: int = 6, routings: int = 3) -> minidl.Model:
    """Capsules of 2 types and 5 x 4 pixels, and five above them."""
    return minidl.Model(
        conv(3, 12),
        minidl.Relu(),
        conv(12, 2 * dim, stride=2),
        minidl.PrimaryCapsules(dim),
        minidl.Capsules(40, dim, 5, values, routings, rng=3),
        *behind,
    )


def capsules_twice() -> minidl.Model:
    """Capsules that three layers read, one of them between programs."""
    x = minidl.Input((3, 9, 7))
    a = minidl.PrimaryCapsules(8)(conv(3, 16)(x))
    b = minidl.CapsuleLength()(minidl.Capsules(126, 8, 5, 6, 2, rng=1)(a))
    c = minidl.Linear(1008, 5, rng=2)(minidl.Flatten()(a))
    d = minidl.CapsuleLength()(minidl.Capsules(126, 8, 5, 3, rng=3)(a))
    return minidl.Model(minidl.Graph(x, minidl.Add()(b, c, d)))


NETWORKS: dict[str, Callable[[], minidl.Model]] = {
    "conv": lambda: chain(conv(3, 20), conv(20, 9)),
    "relu": lambda: chain(conv(3, 20), minidl.Relu(), conv(20, 9), minidl.Relu()),
    "one channel": lambda: chain(conv(3, 1), minidl.Relu(), conv(1, 4)),
    "5 x 5": lambda: chain(conv(3, 9, 5), minidl.Sigmoid(), conv(9, 17, 5)),
    "1 x 1": lambda: chain(conv(3, 9, 1), minidl.Relu(), conv(9, 33, 1)),
    "stride 2": lambda: chain(conv(3, 12, stride=2), minidl.Relu(), conv(12, 10, stride=2)),
    "stride 3 of 1 x 1": lambda: chain(conv(3, 12), minidl.Relu(), conv(12, 10, 1, stride=3)),
    "7 x 7 / 2": lambda: chain(conv(3, 12), minidl.Relu(), conv(12, 10, 7, stride=2)),
    "4 x 4 / 3": lambda: chain(conv(3, 12), conv(12, 10, 4, stride=(3, 2), padding=(1, 2))),
    "dilated": lambda: chain(conv(3, 12), conv(12, 10, 3, dilation=2), conv(10, 6, 3, dilation=(2, 3), stride=(1, 2))),
    "no padding": lambda: chain(conv(3, 12, padding=0), conv(12, 10, 2, padding=0)),
    "same": lambda: chain(conv(3, 12, padding="same"), conv(12, 10, 4, padding="same")),
    "four sides": lambda: chain(conv(3, 12), conv(12, 10, padding=((0, 2), (3, 1)))),
    "wide padding": lambda: chain(conv(3, 12), conv(12, 10, 2, padding=4)),
    "grouped": lambda: chain(conv(3, 12), conv(12, 18, groups=3), conv(18, 32, groups=2, stride=2)),
    "many groups": lambda: chain(conv(3, 32), conv(32, 64, groups=16), conv(64, 32, 5, groups=4)),
    # Groups that begin and end inside a vector, and vectors of outputs that lie in two.
    "uneven groups": lambda: chain(conv(3, 48), conv(48, 128, 5, groups=2), conv(128, 60, groups=4, stride=2)),
    "uneven groups, 1 x 1": lambda: chain(conv(3, 60), conv(60, 66, 1, groups=3), conv(66, 42, groups=6)),
    # More weights than a cache keeps: packed by the tasks that read them, and for each phase of a stride.
    "many weights": lambda: chain(conv(3, 50), conv(50, 260), conv(260, 50, stride=2)),
    "many weights, 1 x 1": lambda: chain(conv(3, 17), conv(17, 400, 1), conv(400, 288, 1)),
    "many weights, 5 x 5": lambda: chain(conv(3, 260), conv(260, 20, 5, stride=2)),
    "small groups": lambda: chain(conv(3, 36), conv(36, 36, groups=9), conv(36, 36, groups=18, stride=2)),
    "groups of eight": lambda: chain(conv(3, 40), conv(40, 40, groups=5), conv(40, 40, 5, groups=5, stride=2)),
    "depthwise": lambda: chain(conv(3, 19), conv(19, 19, groups=19), conv(19, 19, 5, groups=19, stride=2)),
    "norm": lambda: chain(
        conv(3, 19, bias=False),  # a bias in front of a norm has a gradient of rounding errors
        minidl.BatchNorm2D(19),
        minidl.Relu(),
        conv(19, 8, bias=False),
        minidl.BatchNorm2D(8),
        minidl.Tanh(),
    ),
    "pooling": lambda: chain(conv(3, 9), minidl.MaxPool2D(2), conv(9, 9), minidl.AvgPool2D(3, 2, 1)),
    "overlap": lambda: chain(conv(3, 9), minidl.MaxPool2D(3, 2, 1), conv(9, 9), minidl.AdaptiveAvgPool2D((2, 3))),
    "rows": lambda: minidl.Model(
        conv(3, 9), minidl.Flatten(), minidl.Linear(567, 20, rng=1), minidl.Relu(), minidl.Linear(20, 5, rng=2)
    ),
    "residual": residual,
    "sum with its own input": lambda: chain(
        conv(3, 10), minidl.Residual(conv(10, 10)), minidl.Relu(), minidl.Residual(conv(10, 10, 5, bias=False))
    ),
    "branches": branches,
    "beside itself": beside_itself,
    "norm beside itself": norm_beside_itself,
    "wide": wide,
    "padding alone is seen": lambda: chain(
        conv(3, 12), minidl.AvgPool2D((9, 7)), conv(12, 10, 1, stride=2, padding=1), conv(10, 4, 1)
    ),
    "one row of padding": lambda: chain(
        conv(3, 12), minidl.AvgPool2D((9, 1)), conv(12, 10, 1, stride=(2, 1), padding=(1, 0))
    ),
    "foreign": foreign,
    "masked": masked,
    "2 x 2 / 2 transposed": lambda: chain(conv(3, 12), transposed(12, 10, 2, 2), minidl.Relu(), conv(10, 4)),
    "3 x 3 / 2 transposed": lambda: chain(
        conv(3, 12), transposed(12, 17, 3, 2, padding=1, output_padding=1), minidl.Relu(), transposed(17, 9, 4, 2)
    ),
    "images transposed": lambda: chain(transposed(3, 9, 3, (1, 2), padding=((0, 1), (1, 2))), minidl.Tanh()),
    "dilated transposed": lambda: chain(conv(3, 12), transposed(12, 10, 3, dilation=2), transposed(10, 6, 5)),
    "stride and dilation": lambda: chain(conv(3, 9), transposed(9, 10, (4, 5), (3, 2), padding=1, dilation=(2, 3))),
    "grouped transposed": lambda: chain(
        conv(3, 32), transposed(32, 34, 3, 2, groups=2, bias=False), minidl.Relu(), transposed(34, 17, 2, 2, groups=17)
    ),
    "depthwise transposed": lambda: chain(conv(3, 19), transposed(19, 19, 3, 2, groups=19), conv(19, 8)),
    "rows transposed": lambda: chain(
        conv(3, 9), minidl.GlobalAvgPool2D(), minidl.Reshape((9, 1, 1)), transposed(9, 7, 4, 9)
    ),
    "up and down": up_and_down,
    "norms of images": norms_of_images,
    "norm of one group": lambda: chain(conv(3, 35), own_norm(minidl.GroupNorm(1, 35)), minidl.Relu(), conv(35, 9)),
    "norm of channels": lambda: chain(
        conv(3, 35, bias=False), own_norm(minidl.GroupNorm(35, 35)), minidl.Relu(), conv(35, 9)
    ),
    "local response": lambda: chain(
        conv(3, 35),
        minidl.Relu(),
        minidl.LocalResponseNorm(5, 0.9),
        conv(35, 9),
        minidl.LocalResponseNorm(40, 2.0, 0.5, 2.0),
    ),
    "capsules": lambda: capsules(minidl.CapsuleLength()),
    "long capsules": lambda: capsules(minidl.CapsuleLength(), dim=17, values=19, routings=2),
    "capsules of one number": lambda: capsules(minidl.CapsuleLength(), dim=1, values=1, routings=1),
    "capsules of capsules": lambda: capsules(minidl.Capsules(5, 6, 5, 3, 2, rng=4), minidl.CapsuleLength()),
    "capsules as rows": lambda: capsules(minidl.Flatten(), minidl.Linear(30, 5, rng=1)),
    "capsules dropped": lambda: capsules(minidl.Dropout(0.4, rng=5), minidl.CapsuleLength()),
    "capsules twice": capsules_twice,
    "neighbours on one side": lambda: chain(
        conv(3, 13), minidl.Residual(minidl.LocalResponseNorm(2, 0.9)), minidl.Tanh()
    ),
}


def data(n: int, dtype: str, shape: tuple[int, ...] = (3, 9, 7)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return rng.normal(0, 1, (n, *shape)).astype(dtype), rng.integers(0, 5, n)


def stepped(m: minidl.Model, pair: tuple[np.ndarray, np.ndarray], layout: str) -> tuple[list[np.ndarray], Step]:
    """Loss, gradients and running statistics of one step, and the step."""
    minidl.seed(3)
    choice.use_layout(layout)
    loss = minidl.SoftmaxCrossEntropyLoss()
    step = Step(m, loss)
    for parameter in m.parameters():
        parameter.grad[...] = np.nan
    found, _ = step.forward(prepare("training", pair, m, loss).all(), True)
    step.backward()
    moved = [array.copy() for name, array in m.state().items() if "running" in name]
    return [np.array(found), *(parameter.grad.copy() for parameter in m.parameters()), *moved], step


def compiled(step: Step) -> bool:
    return step._running is not None


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_as_layers(name: str, dtype: str, n: int) -> None:
    tolerance = 1e-11 if dtype == "float64" else 3e-5
    results = []
    for layout in ("images", "channels"):
        m = NETWORKS[name]().astype(dtype)
        found, step = stepped(m, data(n, dtype), layout)
        assert compiled(step) == (layout == "channels")
        results.append(found)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * max(np.abs(a).max(), 1e-3))


@pytest.mark.parametrize(("kernel", "stride"), [*itertools.product([5, 6, 7], [2, (1, 2)]), (3, 1), (5, 1)])
def test_winograd_of_many_pixels(kernel: int, stride: object) -> None:
    """Tiles of 3 x 3 and 5 x 5 weights, and of phases with 3 x 3."""
    results = []
    for layout in ("images", "channels"):
        m = chain(conv(3, 32), conv(32, 64, kernel, stride=stride), shape=(3, 32, 35)).astype("float64")
        results.append(stepped(m, data(1, "float64", (3, 32, 35)), layout)[0])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-11 * max(np.abs(a).max(), 1e-3))


@pytest.mark.parametrize(("kernel", "padding", "size"), [(2, 1, 10), ((1, 2), (0, 1), 10), ((2, 1), (1, 0), 7)])
def test_phases_of_fewer_pixels_than_the_gradient_has(kernel: object, padding: object, size: int) -> None:
    """Stride 2 with padding: rows of a phase are shorter than those of dy, although nothing lies between them."""
    results = []
    for layout in ("images", "channels"):
        halving = minidl.Conv2D(16, 24, kernel, stride=2, padding=padding, rng=1)
        m = chain(conv(3, 16, 1), halving, shape=(3, size, size))
        results.append(stepped(m.astype("float64"), data(2, "float64", (3, size, size)), layout)[0])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-11 * max(np.abs(a).max(), 1e-3))


def test_another_kind_of_step_takes_no_memory_beside_the_last() -> None:
    m = NETWORKS["norm"]()
    _, step = stepped(m, data(2, "float32"), "channels")
    training = step._running
    choice.use_layout("images")
    step.forward(prepare("training", data(2, "float32"), m, step.loss).all(), True)
    assert not compiled(step)
    with pytest.raises(RuntimeError, match="must go forward before"):
        training.backward([np.zeros((2, 5), np.float32)])


def test_pixels_are_scaled() -> None:
    rng = np.random.default_rng(1)
    pair = rng.integers(0, 256, (3, 3, 9, 7)).astype(np.uint8), rng.integers(0, 5, 3)
    a, b = (stepped(NETWORKS["norm"](), pair, layout)[0] for layout in ("images", "channels"))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-5 * max(np.abs(one).max(), 1e-3))


@pytest.mark.parametrize("n", [1, 5, 20])
def test_images_are_changed_as_for_layers(n: int) -> None:
    rng = np.random.default_rng(1)
    pair = rng.integers(0, 256, (n, 3, 9, 7)).astype(np.uint8), rng.integers(0, 5, n)
    results = []
    for layout in ("images", "channels"):
        choice.use_layout(layout)
        m, loss = NETWORKS["norm"]().astype("float64"), minidl.SoftmaxCrossEntropyLoss()
        changes = plan((Affine(rotation=20, shift=2), Flip()), (3, 9, 7), 5).changes(1, np.arange(n))
        batch = prepare("training", pair, m, loss).all()._replace(changes=changes)
        step = Step(m, loss)
        found = [step.forward(batch, True)[0]]
        step.backward()
        assert compiled(step) == (layout == "channels")
        results.append([*found, *(parameter.grad for parameter in m.parameters())])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-11 * max(np.abs(one).max(), 1e-3))


THREADED = "residual", "branches", "depthwise", "grouped", "foreign"
THREADED += "masked", "up and down", "norms of images", "local response", "capsules", "capsules twice"


@pytest.mark.parametrize("name", THREADED)
def test_any_number_of_threads(name: str) -> None:
    results = []
    for threads in (1, 2, 3):
        minidl.set_num_threads(threads)
        results.append(stepped(NETWORKS[name](), data(3, "float32"), "channels")[0])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_frozen_layers_keep_their_gradients_and_cost_nothing() -> None:
    m = NETWORKS["norm"]()
    m.layers[0].freeze()
    m.layers[3].freeze()
    stepped(m, data(2, "float32"), "channels")
    assert np.isnan(m.layers[0].weight.grad).all()
    found = m.layers[1].gamma.grad.copy()
    stepped(m, data(2, "float32"), "images")
    np.testing.assert_allclose(found, m.layers[1].gamma.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["norm", "norms of images", "up and down", "foreign"])
def test_each_frozen_parameter_keeps_its_gradient_in_either_layout(name: str) -> None:
    """One after the other, alone: all others have theirs."""
    whole = stepped(NETWORKS[name](), data(2, "float32"), "images")[0][1:]
    for i, frozen in enumerate(NETWORKS[name]().named_parameters()):
        for layout in ("images", "channels"):
            m = NETWORKS[name]()
            m.named_parameters()[frozen].frozen = True
            found = stepped(m, data(2, "float32"), layout)[0][1:]
            assert np.isnan(m.parameters()[i].grad).all()
            for k, (a, b) in enumerate(zip(whole, found, strict=True)):
                if k != i:
                    np.testing.assert_allclose(b, a, rtol=0, atol=3e-5 * max(np.abs(a).max(), 1e-3))


def again(change: Callable[[minidl.Model], object]) -> None:
    """One Step before and after a change of the model ends in the gradients of a new one."""
    m = NETWORKS["norm"]()
    choice.use_layout("channels")
    loss = minidl.SoftmaxCrossEntropyLoss()
    batch = prepare("training", data(2, "float32"), m, loss).all()
    step = Step(m, loss)
    step.forward(batch, True)
    step.backward()
    change(m)
    step.forward(batch, True)
    step.backward()
    found = [parameter.grad.copy() for parameter in m.parameters()]
    stepped(m, data(2, "float32"), "images")
    for a, parameter in zip(found, m.parameters(), strict=True):
        np.testing.assert_allclose(a, parameter.grad, rtol=0, atol=3e-5 * max(np.abs(parameter.grad).max(), 1e-3))


def _new_array(m: minidl.Model) -> None:
    m.layers[0].weight.data = m.layers[0].weight.data * 2


def _new_parameter(m: minidl.Model) -> None:
    m.layers[3].weight = Parameter(m.layers[3].weight.data * 2, "weight")


def _new_layer(m: minidl.Model) -> None:
    m.layers[2] = minidl.Tanh()


def _new_gradient(m: minidl.Model) -> None:
    m.layers[0].weight.grad = np.zeros_like(m.layers[0].weight.grad)


def _new_eps(m: minidl.Model) -> None:
    m.layers[1].eps = 0.1


@pytest.mark.parametrize("change", [_new_array, _new_parameter, _new_layer, _new_gradient, _new_eps])
def test_changes_count(change: Callable[[minidl.Model], object]) -> None:
    again(change)


def test_a_weight_that_is_shared_later_collects_its_gradients() -> None:
    m = chain(conv(3, 3, bias=False), minidl.Relu(), conv(3, 3, bias=False)).astype("float64")
    choice.use_layout("channels")
    loss = minidl.SoftmaxCrossEntropyLoss()
    batch = prepare("training", data(2, "float64"), m, loss).all()
    step = Step(m, loss)
    step.forward(batch, True)
    step.backward()
    assert compiled(step)
    m.layers[2].weight = m.layers[0].weight
    step.forward(batch, True)
    step.backward()
    assert not compiled(step)
    found = m.layers[0].weight.grad.copy()
    stepped(minidl.Model(*m.layers, mean=0.4, std=0.3, dtype="float64"), data(2, "float64"), "images")
    np.testing.assert_allclose(found, m.layers[0].weight.grad, rtol=1e-11)


def test_what_is_not_compiled() -> None:
    shared, x = conv(3, 3), minidl.Input((3, 9, 7))
    y = minidl.Linear(3, 5)(minidl.GlobalAvgPool2D()(shared(shared(x))))
    for m, shape in (
        (minidl.Model(minidl.Linear(5, 5)), (5,)),
        (minidl.Model(minidl.Graph(x, y)), (3, 9, 7)),
    ):
        _, step = stepped(m, data(2, "float32", shape), "channels")
        assert not compiled(step)


def test_arrays_of_another_order_are_refused() -> None:
    m = NETWORKS["rows"]()
    vars(m.layers[2].weight)["grad"] = np.asfortranarray(m.layers[2].weight.grad)  # past the check
    with pytest.raises(ValueError, match="C-contiguous"):
        stepped(m, data(2, "float32"), "channels")


@pytest.mark.parametrize("layout", ["channels", "images", "auto"])
def test_a_run_learns(layout: str) -> None:
    """Two images are told apart after some steps, whatever the layout."""
    choice.use_layout(layout)
    m = NETWORKS["residual"]()
    x, _ = data(2, "float32")
    history = minidl.Trainer(m, minidl.SoftmaxCrossEntropyLoss(), minidl.Adam(0.01)).fit(
        (x, np.array([0, 1])), epochs=60, batch_size=2, seed=0, verbose=False
    )
    assert history["train_loss"][-1] < 0.05


def test_a_compiled_step_tells_the_model_its_images_shape() -> None:
    m = chain(conv(3, 8), shape=(3, 8, 8))
    step = stepped(m, data(2, "float32", (3, 8, 8)), "channels")[1]
    assert compiled(step)
    assert m.summary() == m.summary((3, 8, 8))
