"""What gives the same bits on each instruction set, layout and backend, and what holds where bits differ."""

from __future__ import annotations

import ast
import signal

import numpy as np
import pytest
from kernels import variants
from test_copies import LAYERS, public
from test_rooms import PACKAGE

import minidl
from minidl import kernels
from minidl.data.augment.transforms import Crop, Flip
from minidl.kernels import arrange

NATIVE = [variant.isa for variant in variants.NATIVE]

PRODUCTS = {"dot", "einsum", "inner", "matmul", "tensordot", "vdot", "vecdot", "linalg"}
"""Names by which numpy calls BLAS or LAPACK; the operator @ is another one."""
MAY = ("kernels/reference/", "kernels/im2col/", "plots/", "layers/initializers.py")
"""Who may: backends that are numpy's, pictures, and initial weights that are a decomposition."""


def products(tree):
    """Lines of a source that call BLAS, in the code."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult):
            yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr in PRODUCTS:
            yield node.lineno


def test_no_step_of_a_training_calls_blas():
    """Its bits depend on its threads and on the machine."""
    calls = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        calls[name] = list(products(ast.parse(path.read_text(encoding="utf-8"))))
    assert [name for name, lines in calls.items() if lines and not name.startswith(MAY)] == []
    assert all(any(lines for name, lines in calls.items() if name.startswith(part)) for part in MAY)


def on_each(compute, chosen=variants.ALL):
    """What `compute(backend)` gives on each of them, by its name."""
    found = {}
    for variant in chosen:
        with variants.using(variant) as backend:
            found[variants.label(variant)] = compute(backend)
    return found


def assert_same_bits(found):
    (first, wanted), *others = found.items()
    for label, results in others:
        assert results.keys() == wanted.keys()
        differ = [name for name, array in results.items() if array.tobytes() != wanted[name].tobytes()]
        assert not differ, f"{label} and {first}: {differ}"


def whole(rng, shape, dtype):
    return rng.integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_give_the_same_bits_on_every_instruction_set_and_backend(dtype):
    """Sums that need no rounding have no order. Winograd's larger tiles have roots in them."""

    def compute(backend):
        rng = np.random.default_rng(1)
        if backend.name == "native":
            backend.use_winograd(0)
        try:
            return {name: plain(backend, value) for name, value in steps(backend, rng)}
        finally:
            if backend.name == "native":
                backend.use_winograd(4)

    def steps(backend, rng):
        x, w, b = whole(rng, (19, 8, 9, 8), dtype), whole(rng, (12, 8, 3, 3), dtype), whole(rng, 12, dtype)
        dy, window = whole(rng, (19, 12, 9, 8), dtype), ((1, 1), (1, 1), (1, 1), 1)
        x, dy = backend.enter(x), backend.enter(dy)
        yield "conv y", backend.conv2d_forward(x, w, b, *window)
        yield from zip(("conv dx", "conv dw", "conv db"), backend.conv2d_backward(dy, x, w, *window), strict=True)
        y = backend.avgpool2d_forward(x, (2, 2), (2, 2), (0, 0))
        yield "mean of four", y
        yield "its dx", backend.avgpool2d_backward(y, x.shape, (2, 2), (2, 2), (0, 0))
        flat, v = backend.reshape(x, (8 * 72,)), whole(rng, (33, 8 * 72), dtype)
        yield "linear y", backend.linear_forward(flat, v, whole(rng, 33, dtype))
        z = backend.enter(whole(rng, (19, 33), dtype))
        yield from zip(("linear dx", "linear dw", "linear db"), backend.linear_backward(z, flat, v), strict=True)
        yield "sum", backend.reduce_forward(x, "sum", (2, 3))
        # A mean of 19 halves: twice that is whole again, but for what dividing by 19 has rounded.
        yield "squared error", np.array(backend.mse_loss(x, whole(rng, (19, 8, 9, 8), dtype))[0] * 2 * 19)
        p, grad = whole(rng, 1000, dtype), whole(rng, 1000, dtype)
        backend.sgd_update(p, grad, None, 0.5, 0.0, 0.0)
        yield "a step", p

    found = on_each(compute)
    for results in found.values():
        results["squared error"] = np.round(results["squared error"])
    assert_same_bits({label: {name: array + 0 for name, array in found[label].items()} for label in found})


def plain(backend, value):
    return value if isinstance(value, np.ndarray) else backend.leave(value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_moves_or_compares_gives_the_same_bits_everywhere(dtype):
    def steps(backend):
        rng = np.random.default_rng(2)
        x, dy = (backend.enter(rng.standard_normal((19, 8, 9, 8)).astype(dtype)) for _ in range(2))
        yield "relu", backend.relu_forward(x)
        yield "its dx", backend.relu_backward(dy, backend.relu_forward(x))
        y, places = backend.maxpool2d_forward(x, (2, 2), (2, 2), (0, 0))
        yield from (("maxima", y), ("their places", places))
        yield "their dx", backend.maxpool2d_backward(y, places, x.shape, (2, 2), (2, 2), (0, 0))
        yield from zip(("maximum", "its place"), backend.global_maxpool_forward(x), strict=True)
        yield "over channels", backend.reduce_forward(x, "max", (1,))
        yield "turned", backend.boxes_forward((x,), *arrange.transposed("", x.shape[1:], (0, 3, 1, 2)))
        yield "dropout", backend.dropout_forward(x, 0.5, 17)
        for row in (("abs", 0.0, 0.0), ("neg", 0.0, 0.0), ("clip", -1.0, 0.5)):
            yield row[0], backend.elementwise_forward(x, *row)

    found = on_each(lambda backend: {name: plain(backend, value) for name, value in steps(backend)})
    assert_same_bits({label: {name: a + 0 for name, a in found[label].items()} for label in found})


class Seen(minidl.Layer):
    """Hands its input on, and keeps a copy."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def compute(self, x):
        self.batches.append(x.copy())
        return x

    def gradient(self, dy, x, y):
        return dy


def test_what_is_drawn_is_the_same_everywhere():
    """Order, augmentation and dropout of a training: the images that its layers see, to the bit."""

    def compute(backend):
        minidl.seed(4)
        first, second = Seen(), Seen()
        model = minidl.Model(first, minidl.Dropout(0.5), second, minidl.Flatten(), minidl.Linear(36, 3, rng=0))
        run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.01))
        images = np.random.default_rng(5).integers(0, 256, (21, 1, 6, 6)).astype(np.uint8)
        augment = [Crop(1), Flip()]
        run.fit((images, np.arange(21) % 3), epochs=2, batch_size=8, seed=1, augment=augment, verbose=False)
        return {f"batch {i}": x for i, x in enumerate(first.batches + second.batches)}

    found = on_each(compute)
    assert len(found[variants.label(variants.ALL[0])]) == 12
    assert_same_bits(found)


needs_two = pytest.mark.skipif(len(NATIVE) < 2, reason="this machine has one instruction set")


@pytest.fixture
def native():
    with kernels.use("native") as backend:
        before = backend.isa()
        yield backend
        backend.use_isa(before)


def outcome(call):
    """What a call gives, and the text of its ValueError."""
    try:
        return call(), ""
    except ValueError as error:
        return None, str(error)


@needs_two
@pytest.mark.parametrize("name", [name for name in public(minidl.Layer) if name != "Layer"])
def test_a_backward_after_another_instruction_set_was_chosen_is_refused_or_right(native, name):
    """What the forward has left is in the lanes of the old one; a layer that needs none of it may go on."""
    make, shape = LAYERS[name] if name in LAYERS else (getattr(minidl, name), (2, 4, 4))
    layer = make()
    x = np.random.default_rng(7).standard_normal((5, *shape)).astype(np.float32)
    native.use_isa(NATIVE[0])
    y = layer.forward(x, train=True)
    dx = layer.backward(y - 1)
    gradients = {key: p.grad.copy() for key, p in layer.named_parameters().items()}
    native.use_isa(NATIVE[-1])
    found, refused = outcome(lambda: layer.backward(y - 1))
    if refused:
        assert "instruction set" in refused
    else:
        np.testing.assert_allclose(found, dx, rtol=1e-4, atol=1e-6)
    for key, p in layer.named_parameters().items():
        np.testing.assert_allclose(p.grad, gradients[key], rtol=1e-4, atol=1e-5)
    layer.backward(layer.forward(x, train=True))  # a new forward is of the new one
    native.use_isa(NATIVE[0])
    if name != "Dropout" and not layer.buffers():
        again = layer.forward(x, train=True)
        assert again.tobytes() == y.tobytes()
        assert layer.backward(y - 1).tobytes() == dx.tobytes()


class Choose(minidl.Callback):
    """Another instruction set after so many steps."""

    def __init__(self, at, isa):
        self.at, self.isa = at, isa

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.at:
            kernels.current().use_isa(self.isa)


class Press(minidl.Callback):
    """Ctrl-C during step number `at`."""

    def __init__(self, at):
        self.at = at

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == self.at:
            signal.raise_signal(signal.SIGINT)


def trainer():
    model = minidl.Model(
        *(minidl.Conv2D(1, 8, 3, padding=1, rng=1), minidl.BatchNorm2D(8), minidl.Relu(), minidl.MaxPool2D(2)),
        *(minidl.Conv2D(8, 8, 3, padding=1, rng=2), minidl.Relu(), minidl.Flatten(), minidl.Dropout(0.2)),
        minidl.Linear(72, 3, rng=3),
    )
    return minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.05, 0.9))


def everything(run):
    found = {**run.model.state(), **run.optimizer.state(), **run.history.state()}
    del found["seconds"]
    return found


@needs_two
class TestATrainingOnAnotherInstructionSet:
    """Read back to the bit; the next steps are the new one's: equal from run to run, and the old one's to rounding."""

    def data(self):
        rng = np.random.default_rng(6)
        return rng.integers(0, 256, (50, 1, 6, 6)).astype(np.uint8), rng.integers(0, 3, 50)

    def fit(self, run, **more):
        return run.fit(self.data(), epochs=2, batch_size=8, seed=2, verbose=False, **more)

    def test_a_checkpoint(self, native, tmp_path):
        path = tmp_path / "run"
        native.use_isa(NATIVE[0])
        minidl.seed(3)
        whole, cut = trainer(), trainer()
        self.fit(whole)
        minidl.seed(3)
        self.fit(cut, callbacks=[minidl.Checkpoint(path), Press(9)])
        saved = everything(cut)
        ends = {}
        for isa in (NATIVE[-1], NATIVE[-1], NATIVE[0]):
            native.use_isa(isa)
            minidl.seed(99)
            run = trainer().load(path)
            assert_same_bits({"saved": saved, isa: everything(run)})
            self.fit(run, resume=True)
            ends.setdefault(isa, []).append(everything(run))
        assert_same_bits({"whole": everything(whole), "gone on": ends[NATIVE[0]][0]})
        assert_same_bits(dict(zip("ab", ends[NATIVE[-1]], strict=True)))
        self.near(ends[NATIVE[-1]][0], everything(whole))

    def test_a_change_between_two_steps(self, native):
        native.use_isa(NATIVE[0])
        minidl.seed(3)
        whole, ends = trainer(), []
        self.fit(whole)
        for _ in range(2):
            native.use_isa(NATIVE[0])
            minidl.seed(3)
            run = trainer()
            self.fit(run, callbacks=[Choose(4, NATIVE[-1])], validation=self.data())
            ends.append(everything(run))
            del ends[-1]["val_loss"], ends[-1]["val_accuracy"]
        assert_same_bits(dict(zip("ab", ends, strict=True)))
        expected = everything(whole)
        del expected["val_loss"], expected["val_accuracy"]
        self.near(ends[0], expected)

    def near(self, found, expected):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-5, err_msg=name)
