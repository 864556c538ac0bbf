"""Arrays that are not what they seem: subclasses, liars, strides of 0, no values, more than 2**32, in themselves."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from test_copies import LAYERS, public
from test_equal_bits import outcome

import minidl
from minidl import functional, kernels
from minidl.layers.walk import places, walk

X = np.random.default_rng(1).standard_normal((5, 3, 6, 6)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1])
W = np.random.default_rng(2).standard_normal((4, 3, 3, 3)).astype(np.float32)


def network():
    return minidl.Model(
        *(minidl.Conv2D(3, 4, 3, rng=0), minidl.BatchNorm2D(4), minidl.Relu()),
        *(minidl.Flatten(), minidl.Linear(64, 3, rng=1)),
    )


def fitted(x, y):
    run = minidl.Trainer(network(), minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    run.fit((x, y), epochs=2, batch_size=2, seed=0, verbose=False)
    return run.model.state()


CALLS = {
    "predict": (lambda x: network().predict(x), X),
    "forward": (lambda x: network().forward(x), X),
    "convolution": (lambda x: functional.conv2d_forward(x, W, None, 1, 1), X),
    "weights": (lambda w: functional.conv2d_forward(X, w, None, 1, 1), W),
    "pooling": (lambda x: functional.maxpool2d_forward(x, 2)[0], X),
    "loss": (lambda x: np.array(minidl.MSELoss().forward(x, X)), X),
    "target": (lambda x: np.array(minidl.MSELoss().forward(X, x)), X),
    "labels": (lambda y: np.array(minidl.SoftmaxCrossEntropyLoss().forward(X[:, :, 0, 0], y)), Y),
    "images": (lambda x: fitted(x, Y)["0.weight"], X),
    "classes": (lambda y: fitted(X, y)["0.weight"], Y),
}
"""Each with an array that it takes."""
calls = pytest.mark.parametrize(("call", "array"), CALLS.values(), ids=CALLS)


class Loud(np.ndarray):
    """A subclass that lets nobody compute with it, look into it or ask for its length."""

    def _refuse(self, *given, **named):
        raise AssertionError("a method of the subclass was called")

    __array_ufunc__ = __array_function__ = __getitem__ = __iter__ = _refuse
    astype = copy = reshape = min = max = all = any = _refuse


@calls
def test_a_subclass_counts_as_the_numbers_that_it_holds(call, array):
    y = call(array.view(Loud))
    assert type(y) is np.ndarray
    assert y.tobytes() == call(array).tobytes()


def test_arrays_of_numpy_s_own_kinds_are_plain_ones():
    rows = X.reshape(5, -1)[:, :4]
    model = minidl.Model(minidl.Linear(4, 2, rng=0))
    wanted = model.predict(rows)
    for kind in (rows.view(np.memmap), np.ma.masked_array(rows, mask=rows > 0), rows.view(np.recarray)):
        y = model.predict(kind)
        assert type(y) is np.ndarray
        np.testing.assert_array_equal(y, wanted)


def test_statistics_of_a_subclass_are_changed_in_place():
    mean, var = np.zeros(3, np.float32).view(Loud), np.ones(3, np.float32).view(Loud)
    plain = np.zeros(3, np.float32), np.ones(3, np.float32)
    ones = np.ones(3, np.float32)
    functional.batchnorm_forward(X, ones, ones, mean, var, 0.9, 1e-5, True)
    functional.batchnorm_forward(X, ones, ones, *plain, 0.9, 1e-5, True)
    assert np.asarray(mean).tobytes() == plain[0].tobytes()
    assert np.asarray(var).tobytes() == plain[1].tobytes()


class Liar:
    """Looks like an array, and is another one each time that it is asked."""

    def __init__(self, like, answers):
        self.shape, self.dtype, self.ndim, self.size = like.shape, like.dtype, like.ndim, like.size
        self.answers, self.asked = list(answers), 0

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


LIES = {
    "smaller": lambda a: [a[1:]],
    "smaller later": lambda a: [a, a[:0]],
    "larger later": lambda a: [a, np.zeros([10 * size for size in a.shape], a.dtype)],
    "of no dimension": lambda a: [np.float32(1)[()]],
    "of more dimensions": lambda a: [a[None]],
    "of another dtype": lambda a: [a.astype("M8[s]")],
    "of another dtype later": lambda a: [a, a.astype(np.complex64)],
    "of objects": lambda a: [a.astype(object)],
    "a list": lambda a: [[1.0, 2.0]],
    "none": lambda a: [None],
}


@calls
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_object_that_lies_is_refused_or_taken_at_its_first_word(call, array, lie):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            y = call(Liar(array, lie(array)))
        except (TypeError, ValueError):
            return
    assert np.isfinite(y).all()


@calls
def test_an_object_that_is_an_array_when_asked_is_asked_once(call, array):
    honest = Liar(array, [array])
    assert call(honest).tobytes() == call(array).tobytes()
    assert honest.asked == 1


@calls
def test_strides_of_0_and_below_are_read_as_numpy_reads_them(call, array):
    for view in (np.broadcast_to(array[:1], array.shape), array[::-1], np.swapaxes(array.T.copy().T, 0, 0)):
        assert call(view).tobytes() == call(np.ascontiguousarray(view)).tobytes()


def test_an_array_whose_places_are_one_is_not_written_to():
    parameter = minidl.Parameter(np.ones(3, np.float32), "p")
    one = np.lib.stride_tricks.as_strided(np.ones(1, np.float32), (3,), (0,))
    parameter.data = one
    assert parameter.data.strides == (4,)
    parameter._data = one  # past the check of the attribute
    with pytest.raises(ValueError, match="p and its gradient must be C-contiguous and p writeable"):
        minidl.SGD(0.1).step([parameter])


# ---- nothing at all --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("name", [name for name in public(minidl.Layer) if name != "Layer"])
def test_no_images_give_no_outputs_and_no_pixels_an_error_that_names_the_layer(name):
    make, shape = LAYERS[name] if name in LAYERS else (getattr(minidl, name), (2, 4, 4))
    layer = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        y = layer.forward(np.zeros((0, *shape), np.float32), train=True)
        assert y.shape == (0, *layer.output_shape(shape))
        assert layer.backward(y).shape == (0, *shape)
    for parameter in layer.parameters():
        assert not parameter.grad.any()
    for axis in range(len(shape)):
        x = np.zeros((2, *shape[:axis], 0, *shape[axis + 1 :]), np.float32)
        y, refused = outcome(lambda x=x: layer.forward(x))
        if refused:
            assert any(part.name in refused for part in walk(layer)), refused
        else:
            assert y.shape[0] == 2
            assert np.isfinite(y).all()


@pytest.mark.usefixtures("any_backend")
@pytest.mark.parametrize("kind", ["SoftmaxCrossEntropy", "SigmoidCrossEntropy", "MSE", "L1", "Huber"])
def test_a_loss_of_nothing_is_0(kind):
    found = getattr(minidl, f"{kind}Loss")()
    assert found.forward(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)) == 0.0
    assert found.backward().shape == (0, 3)


def test_parameters_without_elements_are_stepped_over():
    for optimizer in (minidl.SGD(0.1, 0.9), minidl.RMSProp(0.1), minidl.Adam(0.1), minidl.AdamW(0.1, clip_norm=1.0)):
        empty, full = minidl.Parameter(np.zeros((0, 3), np.float32), "empty"), minidl.Parameter(np.ones(2), "full")
        full.grad[:] = 1
        optimizer.step([empty, full])
        assert empty.data.shape == (0, 3)
        assert (full.data < 1).all()


# ---- very large ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sparse(tmp_path):
    """A file of zeros that takes no place on the disk, as an array."""

    def make(shape, dtype):
        path = tmp_path / "sparse"
        size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        with open(path, "wb") as file:
            os.truncate(file.fileno(), size)
        if os.stat(path).st_blocks * 512 > 1 << 20:
            pytest.skip("this file system has no sparse files")
        return np.memmap(path, dtype, "r+", shape=shape)

    return make


@pytest.mark.parametrize("near", [2**31, 2**32])
def test_images_beyond_2_to_the_32_elements_are_found(any_backend, sparse, near):
    """The last images before and the first ones behind the place where an index of 32 bits turns over."""
    images = sparse((near // 1024 + 40, 1, 32, 32), np.uint8)
    rows = np.array([0, near // 1024 - 1, near // 1024, near // 1024 + 1, len(images) - 1])
    for i, row in enumerate(rows):
        images[row] = i + 1
    y = any_backend.leave(any_backend.gather(images, rows[::-1].copy(), np.ones(1, "f4"), np.zeros(1, "f4")))
    np.testing.assert_array_equal(y[:, 0], np.broadcast_to(np.arange(5, 0, -1, dtype="f4")[:, None, None], (5, 32, 32)))


class Five(minidl.Callback):
    """Ctrl-C during the fifth step."""

    def on_step_end(self, trainer, history):
        if len(history.step_loss) == 5:
            signal.raise_signal(signal.SIGINT)


def test_a_training_on_more_than_2_to_the_32_pixels(sparse):
    images = sparse((2**32 // 2**12 + 9, 1, 64, 64), np.uint8)
    labels = np.arange(len(images)) % 2
    model = minidl.Model(minidl.AvgPool2D(8), minidl.Flatten(), minidl.Linear(64, 2, rng=0))
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    history = run.fit((images, labels), batch_size=4, seed=0, verbose=False, callbacks=[Five()])
    assert history.interrupted
    assert len(history.step_loss) == 5
    assert model.predict(images[-3:]).shape == (3, 2)


@pytest.mark.skipif("native" not in kernels.available(), reason="this installation has no native backend")
def test_more_than_2_to_the_31_parameters_are_summed():
    """Zeros that nobody has written to are one page of memory, and not in the cache of the disk."""
    try:
        gradients = np.zeros(2**31 + 5, np.float32)
    except MemoryError:
        pytest.skip("this system promises no memory that it does not have")
    gradients[[0, 2**31 - 1, 2**31, -1]] = 1, 2, 3, 4
    with kernels.use("native") as native:
        assert native.sum_of_squares(gradients) == 30.0


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**62, 2**63, 2**64])
def test_sizes_that_no_array_has_are_refused_before_any_memory_is_asked_for(size):
    with pytest.raises((ValueError, MemoryError, OverflowError), match=r"must be below 2\*\*31|too large"):
        minidl.Conv2D(size, size, size)
    with pytest.raises(ValueError, match=r"must be below 2\*\*31|too large"):
        functional.avgpool2d_forward(X, size, 1, size - 1)
    with pytest.raises(ValueError, match=r"must be below 2\*\*31|too large|must fit"):
        functional.conv2d_forward(X, W, None, 1, (size, size))


# ---- changed meanwhile -----------------------------------------------------------------------------------------------


@contextmanager
def flickering(array, value):
    """Another thread that writes `value` and back again, without end."""
    stop, was = threading.Event(), array.copy()

    def write():
        while not stop.is_set():
            array[...] = value
            array[...] = was

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_places_that_another_thread_changes_are_refused_or_those_that_were_checked(native):
    """None leads a kernel out of its arrays: 2**40 images away there is no memory."""
    n = 100_000
    places, images = np.ones(n, np.intp), np.arange(3, dtype=np.float32)[:, None]
    logits = native.enter(np.tile(np.array([0, 1], np.float32), (n, 1)))
    one = np.ones(2, np.float32)
    with flickering(places, 2**40):
        for _ in range(30):
            found, refused = outcome(lambda: native.softmax_cross_entropy(logits, places, 0.0, None, one))
            assert refused or found[2] == n
            y, also = outcome(lambda: native.leave(native.gather(images, places, one[:1], one[:1])))
            assert also or (y == 2).all()
            assert all("must lie in [0, " in text for text in (refused, also) if text)
    assert native.softmax_cross_entropy(logits, np.ones(n, np.intp), 0.0, None, one)[2] == n


# ---- in itself -------------------------------------------------------------------------------------------------------


def endless():
    value = []
    value.append(value)
    return value


def test_lists_that_stand_in_themselves_are_refused():
    model, loss = network(), minidl.SoftmaxCrossEntropyLoss()
    run = minidl.Trainer(model, loss, minidl.SGD(0.1))
    for call in (
        lambda: model.predict(endless()),
        lambda: model.forward(endless()),
        lambda: run.fit((endless(), Y), verbose=False),
        lambda: run.fit((X, endless()), verbose=False),
        lambda: loss.forward(np.ones((1, 3), np.float32), endless()),
        lambda: functional.relu_forward(endless()),
        lambda: minidl.SoftmaxCrossEntropyLoss(class_weight=endless()),
        lambda: minidl.Reshape(endless()),
        lambda: minidl.Conv2D(3, 4, endless()),
        lambda: minidl.Sequential(endless()),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def loops():
    """Containers that stand in themselves, at once and in two steps."""
    one = minidl.Sequential(minidl.Linear(3, 3, rng=0))
    one.layers.append(one)
    two = minidl.Residual(minidl.Linear(3, 3, rng=0))
    two.body = two
    inner = minidl.Sequential(minidl.Linear(3, 3, rng=0))
    three = minidl.Residual(minidl.Sequential(inner))
    inner.layers.append(three)
    four = minidl.Linear(3, 3, rng=0)
    four.owner = minidl.Sequential(minidl.Relu())
    four.owner.layers.append(four)
    return {"Sequential": one, "Residual": two, "in two steps": three, "a layer that knows its owner": four}


@pytest.mark.parametrize("kind", loops())
def test_containers_that_stand_in_themselves_are_refused_in_words(kind):
    layer = loops()[kind]
    x = np.ones((2, 3), np.float32)
    assert "..." in repr(layer) or kind.startswith("a layer")
    for use in (
        lambda: layer.parameters(),
        lambda: layer.named_parameters(),
        lambda: layer.buffers(),
        lambda: layer.forward(x),
        lambda: minidl.optim.SGD(0.1).step(layer.parameters()),
        lambda: layer.freeze(),
        lambda: layer.astype("float64"),
        lambda: walk(layer),
        lambda: places(layer),
    ):
        with pytest.raises((ValueError, RecursionError), match=r"two places|recursion"):
            use()
    for build in (minidl.Model, minidl.Sequential, minidl.Residual):
        with pytest.raises(ValueError, match="stands in two places"):
            build(layer)
    assert type(copy.deepcopy(layer)) is type(layer)
    assert type(pickle.loads(pickle.dumps(layer))) is type(layer)


class Logs(minidl.Layer):
    """A layer of one's own whose log stands in itself."""

    def __init__(self, log=None):
        super().__init__()
        self.scale = minidl.Parameter(np.ones(1, np.float32), "scale")
        self.log = [{"me": self.scale}]
        self.log.append(self.log)

    def compute(self, x):
        return x * self.scale.data

    def gradient(self, dy, x, y):
        self.scale.grad[...] = np.sum(dy * x)
        return dy * self.scale.data


def test_a_log_that_stands_in_itself_harms_no_layer(tmp_path):
    model = minidl.Model(Logs(), minidl.Linear(3, 2, rng=0))
    assert [p.name for p in model.parameters()] == ["0.scale", "1.weight", "1.bias"]
    run = minidl.Trainer(model, minidl.SoftmaxCrossEntropyLoss(), minidl.SGD(0.1))
    run.fit((np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])), verbose=False)
    run.save(tmp_path / "run")
    run.load(tmp_path / "run")
    assert copy.deepcopy(model).predict(np.ones((1, 3), np.float32)).shape == (1, 2)
    assert "no architecture" in model.metadata()
