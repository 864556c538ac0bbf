"""Chains of operations of the contract, with drawn shapes, settings and numbers: the same for every backend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl import functional, kernels
from minidl.compiled import choice
from minidl.kernels import arrange, assemble, boxes, checks, image_moves, transposed
from minidl.kernels.resizing import Resizing

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from kernels import cases

BATCHES = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33)
Result = tuple[str, Any, bool]
"""Name, values, and whether whole numbers must give the same bits."""


class Run:
    """One backend at a case: it draws the same numbers for each of them.

    called: the names of the contract's operations that were called, filled by all runs.
    """

    def __init__(self, backend: Any, seed: tuple[int, int], called: set[str], wide: bool) -> None:
        self._backend, self.rng, self._called, self.wide = backend, np.random.default_rng(seed), called, wide
        self.dtype = np.dtype(self.choice(cases.FLOATS))
        self.whole = bool(self.rng.random() < 0.5)
        self.n = int(self.choice(BATCHES))

    def __getattr__(self, name: str) -> Any:
        if name in assemble.OPERATIONS:
            self._called.add(name)
        return getattr(self._backend, name)

    def choice(self, values: Any) -> Any:
        """One of them."""
        return values[int(self.rng.integers(len(values)))]

    def size(self, most: int, least: int = 1) -> int:
        """A size, small ones more often."""
        return int(self.rng.integers(least, self.choice((least + 2, most + 1, most + 1))))

    def sizes(self, most: int, least: int = 1) -> tuple[int, int]:
        """Two of them."""
        return self.size(most, least), self.size(most, least)

    def flag(self) -> bool:
        """True or False."""
        return bool(self.rng.random() < 0.5)

    def array(self, *shape: int, positive: bool = False) -> np.ndarray:
        """Numbers at any place in memory that the dtype may have."""
        values = cases.random(self.rng, shape, self.dtype.type, self.whole)
        values = np.abs(values) + self.dtype.type(0.5) if positive else values
        return self.placed(values)

    def placed(self, values: np.ndarray) -> np.ndarray:
        """The same numbers, wide for the reference, behind some others."""
        begin = int(self.rng.integers(5))
        room = np.full(values.size + begin, np.nan, np.float64 if self.wide else self.dtype)
        room[begin:] = values.reshape(-1)
        return room[begin:].reshape(values.shape)

    def images(self, *shape: int, positive: bool = False) -> Any:
        """A batch in the backend's layout."""
        return self.enter(self.array(self.n, *shape, positive=positive))

    def like(self, y: Any) -> Any:
        """A gradient for y."""
        return self.enter(self.array(*y.shape))

    def labels(self, classes: int) -> np.ndarray:
        """One for each image."""
        return self.rng.integers(0, classes, self.n)


def drawn(draw: Callable[[], Any], fits: Callable[..., Any]) -> Any:
    """What is drawn until it fits."""
    while True:
        found = draw()
        try:
            fits(*found)
        except ValueError:
            continue
        return found


# ---- windows ---------------------------------------------------------------------------------------------------------


def _padding(run: Run, most: int, words: bool = True) -> Any:
    what = run.rng.integers(6 if words else 5)
    if what < 3:
        return run.sizes(most, 0)
    return (run.sizes(most, 0), run.sizes(most, 0)) if what < 5 else run.choice(("same", "same_lower"))


def _conv(run: Run) -> tuple[Any, ...]:
    """Shapes of x and w, and the window."""

    def draw() -> tuple[Any, ...]:
        groups = run.choice((1, 1, 1, 2, 3, 8))
        inside, outside = groups * run.size(9 if groups < 8 else 1), groups * run.size(9 if groups < 8 else 2)
        kernel = run.choice(((3, 3), (1, 1), run.sizes(5)))
        stride = run.choice(((1, 1), (1, 1), run.sizes(3)))
        dilation = run.choice(((1, 1), (1, 1), run.sizes(3)))
        x = run.n, inside, *run.sizes(12)
        return x, (outside, inside // groups, *kernel), stride, _padding(run, 3), dilation, groups

    return drawn(draw, lambda *found: checks.conv2d_output("", *found))


def conv2d(run: Run) -> Iterator[Result]:
    """A convolution."""
    x_shape, w_shape, *window = _conv(run)
    x, w = run.enter(run.array(*x_shape)), run.array(*w_shape)
    b = run.array(w_shape[0]) if run.flag() else None
    y = run.conv2d_forward(x, w, b, *window)
    yield "y", y, True
    yield from _gradients("dx dw db", run.conv2d_backward(run.like(y), x, w, *window, run.flag()), True)


def conv_block(run: Run) -> Iterator[Result]:
    """A convolution with ReLU and pooling."""
    x_shape, w_shape, *window = _conv(run)
    _, _, *size = checks.conv2d_output("", x_shape, w_shape, *window)
    x, w, b = run.enter(run.array(*x_shape)), run.array(*w_shape), run.array(w_shape[0])
    relu, pool = run.flag(), _pool(run, (run.n, w_shape[0], *size)) if run.flag() else None
    exact = pool is None or pool[0] == "max"
    y, saved = run.conv_block_forward(x, w, b, *window, relu, pool)
    yield "y", y, exact
    gradients = run.conv_block_backward(run.like(y), saved, x, w, *window, relu, pool, run.flag())
    if run.whole or not (relu or exact):  # where numbers are rounded, another one may be the largest
        yield from _gradients("dx dw db", gradients, exact)


def conv_transpose2d(run: Run) -> Iterator[Result]:
    """A transposed convolution."""

    def draw() -> tuple[Any, ...]:
        groups = run.choice((1, 1, 2, 3))
        inside, outside = groups * run.size(5), run.size(5)
        window = run.sizes(3), _padding(run, 2, words=False), run.sizes(2, 0), run.sizes(2), groups
        return (run.n, inside, *run.sizes(7)), (inside, outside, *run.sizes(4)), *window

    def fits(x_shape: Any, w_shape: Any, *window: Any) -> None:
        transposed.window("", *window)
        transposed.output("", x_shape, w_shape, *window)

    x_shape, w_shape, *window = drawn(draw, fits)
    x, w = run.enter(run.array(*x_shape)), run.array(*w_shape)
    b = run.array(w_shape[1] * window[-1]) if run.flag() else None
    y = run.conv_transpose2d_forward(x, w, b, *window)
    yield "y", y, True
    yield from _gradients("dx dw db", run.conv_transpose2d_backward(run.like(y), x, w, *window, run.flag()), True)


def _pool(run: Run, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A pooling that fits onto images of this shape, as the blocks take it."""

    def draw() -> tuple[Any, ...]:
        kernel = run.choice(((2, 2), (1, 1), run.sizes(3)))
        window = kernel, run.choice((kernel, run.sizes(3))), _padding(run, 1)
        return run.choice((("max", *window, run.sizes(2), run.flag()), ("avg", *window, run.flag(), run.flag())))

    def fits(kind: str, kernel: Any, stride: Any, padding: Any, *rest: Any) -> None:
        dilation, ceil_mode = rest if kind == "max" else ((1, 1), rest[0])
        checks.pool2d_padding("", kernel, padding, dilation)
        checks.pool2d_output("", shape, kernel, stride, padding, dilation, ceil_mode)

    for _ in range(50):
        found = draw()
        try:
            fits(*found)
        except ValueError:
            continue
        return found
    return "avg", (1, 1), (1, 1), (0, 0), False, True


def pooling(run: Run) -> Iterator[Result]:
    """Either pooling."""
    shape = run.n, run.size(17), *run.sizes(11)
    kind, *window = _pool(run, shape)
    x = run.enter(run.array(*shape))
    if kind == "max":
        y, argmax = run.maxpool2d_forward(x, *window)
        yield "y", y, True
        yield "argmax", argmax, True
        yield "dx", run.maxpool2d_backward(run.like(y), argmax, x.shape, *window), True
    else:
        y = run.avgpool2d_forward(x, *window)
        yield "y", y, False
        yield "dx", run.avgpool2d_backward(run.like(y), x.shape, *window), False


def whole_maps(run: Run) -> Iterator[Result]:
    """Poolings over whole maps."""
    x = run.images(run.size(17), *run.sizes(9))
    y = run.adaptive_avgpool_forward(x, run.sizes(5))
    yield "adaptive y", y, False
    yield "adaptive dx", run.adaptive_avgpool_backward(run.like(y), x.shape), False
    y, argmax = run.global_maxpool_forward(x)
    yield "max y", y, True
    yield "argmax", argmax, True
    yield "max dx", run.global_maxpool_backward(run.like(y), argmax, x.shape), True
    y = run.global_avgpool_forward(x)
    yield "mean y", y, False
    yield "mean dx", run.global_avgpool_backward(run.like(y), x.shape), False


def matrix(run: Run) -> Iterator[Result]:
    """The matrix of a convolution, and back."""
    (x_shape, w_shape, stride, padding, dilation, _) = _conv(run)
    kernel = w_shape[2:]
    cols = run.im2col(run.array(*x_shape), kernel, stride, padding, dilation)
    yield "cols", cols, True
    yield "x", run.col2im(run.array(*cols.shape), x_shape, kernel, stride, padding, dilation), True


def resize(run: Run) -> Iterator[Result]:
    """A map of another size."""
    scale = tuple(float(run.choice((0.5, 0.7, 1.0, 1.5, 2.0, 3.0))) for _ in range(2))
    mode = run.choice(("nearest", "bilinear"))
    x = run.images(run.size(9), *run.sizes(9, 2))
    rows, columns = Resizing("", scale, None, mode, None, "floor").taps(x.shape, run.dtype)
    wide = [(index, run.placed(weight)) for index, weight in (rows, columns)]
    y = run.resize_forward(x, *wide)
    yield "y", y, False
    yield "dx", run.resize_backward(run.like(y), x.shape, *wide), False


# ---- values ----------------------------------------------------------------------------------------------------------


def linear(run: Run) -> Iterator[Result]:
    """A linear layer, alone and with ReLU."""
    inside, outside = run.size(70), run.size(40)
    x, w = run.images(inside), run.array(outside, inside)
    b = run.array(outside) if run.flag() else None
    y = run.linear_forward(x, w, b)
    yield "y", y, True
    dy = run.like(y)
    yield from _gradients("dx dw db", run.linear_backward(dy, x, w, run.flag()), True)
    y = run.linear_block_forward(x, w, b)
    yield "block y", y, True
    gradients = run.linear_block_backward(dy, y, x, w, run.flag())
    if run.whole:
        yield from _gradients("block_dx block_dw block_db", gradients, True)


def _shape(run: Run) -> tuple[int, ...]:
    return run.choice(((run.size(40),), (run.size(9), *run.sizes(7))))


def activations(run: Run) -> Iterator[Result]:
    """All activations."""
    x = run.images(*_shape(run))
    dy = run.like(x)
    for row in cases.ACTIVATIONS:
        y = row.forward(run, x)
        exact = row.operation == "relu"
        yield f"{row.name} y", y, exact
        yield f"{row.name} dx", row.backward(run, dy, x, y), exact


def elementwise(run: Run) -> Iterator[Result]:
    """All kinds of functions of one number."""
    x = run.images(*_shape(run), positive=True)
    dy = run.like(x)
    for row in cases.ELEMENTWISE:
        if row[0] == "pow" and abs(row[1]) > 3:  # spreads over more decades than one largest value can judge
            continue
        yield f"{row} y", run.elementwise_forward(x, *row), False
        yield f"{row} dx", run.elementwise_backward(dy, x, *row), False


def arithmetic(run: Run) -> Iterator[Result]:
    """All operators, with any sizes of 1, and sums."""
    shape = run.size(9), *run.sizes(6)
    other = tuple(run.choice((size, 1)) for size in shape)
    a = run.images(*shape)
    b = run.images(*other, positive=True) if run.flag() else run.array(1, *other, positive=True)
    for operator in ("+", "-", "*", "/", "prelu"):
        exact = operator in "+-*"
        y = run.arithmetic_forward(a, b, operator)
        yield f"{operator} y", y, exact
        yield from _gradients(f"{operator}da {operator}db", run.arithmetic_backward(run.like(y), a, b, operator), exact)
    same = run.like(a)
    yield "add", run.add(a, same), True
    yield "add block", run.add_block_forward(a, same), True
    yield "reshape", run.reshape(a, (shape[0] * shape[1], shape[2])), True


def products(run: Run) -> Iterator[Result]:
    """Products of matrices."""
    rows, inside, columns = run.size(9), run.size(40), run.size(9)
    s = run.choice(((), (1, 3), (3, 1), (4, 4)))
    a, b = run.images(*s[:1], rows, inside), run.images(*s[1:], inside, columns)
    y = run.matmul_forward(a, b)
    yield "y", y, True
    yield from _gradients("da db", run.matmul_backward(run.like(y), a, b), True)


def axes(run: Run) -> Iterator[Result]:
    """Reductions and softmax over some axes."""
    x = run.images(*(run.size(7) for _ in range(run.choice((1, 2, 3)))))
    some = tuple(axis for axis in range(1, x.ndim) if run.flag()) or (x.ndim - 1,)
    for kind in ("sum", "mean", "max"):
        y = run.reduce_forward(x, kind, some)
        yield f"{kind} y", y, kind != "mean"
        saved = (x, y) if kind == "max" else ()
        yield f"{kind} dx", run.reduce_backward(run.like(y), kind, some, x.shape, *saved), kind != "mean"
    first = int(run.rng.integers(1, x.ndim))
    some = tuple(range(first, int(run.rng.integers(first, x.ndim)) + 1))
    for log in (False, True):
        y = run.softmax_forward(x, some, log)
        yield f"softmax {log} y", y, False
        yield f"softmax {log} dx", run.softmax_backward(run.like(y), y, some, log), False


def dropout(run: Run) -> Iterator[Result]:
    """Dropout."""
    x, rate, key = run.images(*_shape(run)), float(run.choice((0.0, 0.1, 0.5, 0.9))), int(run.rng.integers(2**63))
    yield "y", run.dropout_forward(x, rate, key), False
    yield "dx", run.dropout_backward(run.like(x), rate, key), False


def local_response(run: Run) -> Iterator[Result]:
    """Normalisation over neighbouring channels."""
    x, settings = run.images(run.size(20), *run.sizes(5)), (run.size(9), 0.3, 0.75, 1.5)
    yield "y", run.local_response_forward(x, *settings), False
    yield "dx", run.local_response_backward(run.like(x), x, *settings), False


def capsules(run: Run) -> Iterator[Result]:
    """Squashing, routing, lengths, masks."""
    dim, count = run.choice((1, 2, 4, 8)), run.size(4)
    x = run.images(dim * count, *run.sizes(3))
    u = run.squash_forward(x, dim)
    yield "squash y", u, False
    yield "squash dx", run.squash_backward(run.like(u), x, dim), False
    classes, out, passes = run.size(5, 2), run.size(6), run.size(3)
    w = run.array(u.shape[1], classes, out, dim) / 4
    v, saved = run.capsules_forward(u, w, passes)
    yield "routing y", v, False
    yield from _gradients("du dw", run.capsules_backward(run.like(v), saved, u, w, passes), False)
    v = run.images(classes, out, positive=True)
    y = run.capsule_length_forward(v)
    yield "length y", y, False
    yield "length dx", run.capsule_length_backward(run.like(y), v, y), False
    yield "mask", run.capsule_mask(v, run.labels(classes)), True


def gather(run: Run) -> Iterator[Result]:
    """A batch out of a data set, shifted and flipped."""
    shape = run.size(5), *run.sizes(8)
    images = run.rng.integers(0, 256, (run.n + 3, *shape)).astype(np.uint8)
    scale, shift = run.array(shape[0]), run.array(shape[0])
    index = run.rng.integers(0, len(images), run.n)
    yield "plain", run.gather(images, index, scale, shift), True
    moves = image_moves.blank(run.n)
    moves[:, image_moves.SOURCE :] = run.rng.integers(-9, 10, (run.n, 2))
    moves[:, image_moves.FLIP] = run.rng.integers(0, 2, run.n)
    yield "moved", run.gather(images, index, scale, shift, moves=moves), True


def moved(run: Run) -> Iterator[Result]:
    """Boxes of numbers to other places."""
    sizes = run.size(6), *run.sizes(6)
    x = run.images(*sizes)
    order = tuple(int(axis) for axis in run.rng.permutation(3))
    pads = tuple(int(side) for side in run.rng.integers(-min(min(sizes[1:]) // 3, 1), 3, 4))
    plans = {
        "joined": ((x, x), (2 * sizes[0], *sizes[1:]), boxes.joined([sizes, sizes], 0)),
        "permuted": ((x,), tuple(sizes[axis] for axis in order), boxes.permuted(sizes, order)),
        "padded": ((x,), *arrange.padded("", sizes, pads, run.choice(("constant", "edge")))),
    }
    for name, (xs, shape, table) in plans.items():
        y = run.boxes_forward(xs, shape, table, 0.5)
        yield f"{name} y", y, True
        yield f"{name} dx", run.boxes_backward(run.like(y), x.shape, table), True


# ---- norms, losses, updates ------------------------------------------------------------------------------------------


def batchnorm(run: Run) -> Iterator[Result]:
    """Batch normalisation, alone and with ReLU and pooling."""
    x = run.images(*_shape(run))
    channels, train = x.shape[1], run.flag()
    gamma, beta, mean, var = (run.array(channels, positive=i == 3) for i in range(4))
    settings = 0.9, float(run.choice((0.1, 0.01))), train
    running = mean.copy(), var.copy()
    y, batch_mean, inv_std = run.batchnorm_forward(x, gamma, beta, *running, *settings)
    yield from _gradients("y mean inv_std running_mean running_var", (y, batch_mean, inv_std, *running), False)
    dy = run.like(y)
    yield from _gradients("dx dgamma dbeta", run.batchnorm_backward(dy, x, gamma, batch_mean, inv_std, train), False)
    if x.ndim == 4:
        relu, pool = run.flag(), _pool(run, tuple(x.shape)) if run.flag() else None
        running = mean.copy(), var.copy()
        y, saved = run.norm_block_forward(x, gamma, beta, *running, *settings, relu, pool)
        yield from _gradients("block_y running_mean running_var", (y, *running), False)
        gradients = run.norm_block_backward(run.like(y), saved, x, gamma, train, relu, pool)
        if not relu and (pool is None or pool[0] == "avg"):  # else a number that is rounded may pass another one
            yield from _gradients("block_dx dgamma dbeta", gradients, False)


def row_norms(run: Run) -> Iterator[Result]:
    """Normalisation of each image."""
    groups = run.size(4)
    x = run.images(groups * run.size(4), *run.sizes(5))
    for name, shape, settings in (
        ("groupnorm", (x.shape[1],), (groups, 0.1)),
        ("layernorm", tuple(x.shape[run.choice((1, 2, 3)) :]), (0.1,)),
    ):
        gamma, beta = run.array(*shape), run.array(*shape)
        y, mean, inv_std = getattr(run, name + "_forward")(x, gamma, beta, *settings)
        yield from _gradients(f"{name}_y mean inv_std", (y, mean, inv_std), False)
        gradients = getattr(run, name + "_backward")(run.like(y), x, gamma, mean, inv_std)
        yield from _gradients(f"{name}_dx dgamma dbeta", gradients, False)


def losses(run: Run) -> Iterator[Result]:
    """All losses."""
    classes = run.size(40, 2)
    logits = run.images(classes)
    rows = run.placed(np.clip(run.rng.uniform(-0.3, 1.3, (run.n, classes)), 0, 1).astype(run.dtype))
    labels = run.labels(classes)
    weight = run.array(run.n, positive=True) if run.flag() else None
    factors = run.array(classes, positive=True) if run.flag() else None
    found = {
        "softmax": run.softmax_cross_entropy(logits, labels, float(run.choice((0.0, 0.1))), weight, factors),
        "softmax rows": run.softmax_cross_entropy(logits, rows, 0.1, weight),
        "sigmoid": run.sigmoid_cross_entropy(logits, rows, weight, factors),
        "mse": run.mse_loss(logits, rows, weight, run.flag()),
        "l1": run.l1_loss(logits, rows, weight),
        "huber": run.huber_loss(logits, rows, 0.7, weight),
        "margin": run.margin_loss(logits, labels, 0.9, 0.1, 0.5, weight),
        "squared": run.squared_error(logits, run.like(logits), 0.3, weight),
    }
    for name, (loss, gradient, *_) in found.items():
        yield f"{name} loss", np.array([loss]), False
        yield f"{name} dx", gradient, False


def updates(run: Run) -> Iterator[Result]:
    """A rule of an optimiser, of one array or of several together."""
    counts = [run.size(200) for _ in range(run.size(3))]
    kinds = [[run.array(count, positive=i == 3) for count in counts] for i in range(4)]
    p, grad, m, v = (run.together(arrays) if len(counts) > 1 else arrays[0] for arrays in kinds)
    decay, scale = float(run.choice((0.0, 0.01))), float(run.choice((1.0, 0.5)))
    name = run.choice(("sgd", "rmsprop", "adam", "blend"))
    if name == "sgd":
        run.sgd_update(p, grad, m if run.flag() else None, 0.1, 0.9, decay, run.flag(), scale)
    elif name == "rmsprop":
        run.rmsprop_update(p, grad, v, 0.01, 0.99, 1e-3, decay, scale)
    elif name == "adam":
        run.adam_update(p, grad, m, v, run.size(9), 0.01, 0.9, 0.999, 1e-3, decay, run.flag(), scale)
    else:
        run.blend(p, grad, 0.3)
    for state in (kinds[0], *kinds[2:]):
        yield from _gradients(" ".join(f"{name}{i}" for i in range(len(state))), state, False)
    yield "sum of squares", np.array([run.sum_of_squares(kinds[1][0])]), run.whole


# ---- above the contract ----------------------------------------------------------------------------------------------


def strided(run: Run) -> Iterator[Result]:
    """Through `minidl.functional`, which takes arrays of any strides and byte order."""
    x_shape, w_shape, *window = _conv(run)
    with kernels.use(run.name):
        x, w = _spread(run, run.array(*x_shape)), _spread(run, run.array(*w_shape))
        y = functional.conv2d_forward(x, w, None, *window)
        yield "y", y, True
        dy = _spread(run, run.array(*y.shape))
        yield from _gradients("dx dw db", functional.conv2d_backward(dy, x, w, *window), True)
        pool = _pool(run, y.shape)
        if pool[0] == "max":
            yield from _gradients("pool_y argmax", functional.maxpool2d_forward(x, (1, 1)), True)
        flat, matrix = x.reshape(run.n, int(np.prod(x_shape[1:]))), run.array(int(np.prod(x_shape[1:])), 7)
        yield "linear", functional.linear_forward(flat, matrix.T, None), True
        one = np.broadcast_to(run.array(1, 1, 1, x_shape[3]), x_shape)  # strides of 0
        yield "sum", functional.arithmetic_forward(x, one, "+"), True


def _spread(run: Run, array: np.ndarray) -> np.ndarray:
    """The same numbers with other strides or another byte order."""
    what = run.rng.integers(4)
    if what == 0:
        return np.asfortranarray(array)
    if what == 1:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if what == 2:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array.astype(array.dtype.newbyteorder())


def prediction(run: Run) -> Iterator[Result]:
    """A small network in both layouts of predictions."""
    inside, size = run.size(5), run.sizes(9, 6)
    layers: list[Any] = []
    channels = inside
    for _ in range(run.size(3)):
        out, kernel = run.size(9), run.choice((1, 3))
        layers += [minidl.Conv2D(channels, out, kernel, padding=kernel // 2)]
        layers += [minidl.BatchNorm2D(out)] if run.flag() else []
        layers += [run.choice((minidl.Relu, minidl.Silu, minidl.Sigmoid))()]
        channels = out
    layers += [run.choice((minidl.MaxPool2D, minidl.AvgPool2D))(2), minidl.GlobalAvgPool2D()]
    layers += [minidl.Linear(channels, 4)]
    model = minidl.Model(*layers, dtype=np.float64 if run.wide else run.dtype)
    model.load_state(
        {name: run.array(*value.shape, positive="var" in name) / 2 for name, value in model.state().items()}
    )
    x = run.array(run.n, inside, *size)
    with kernels.use(run.name):
        for layout in ("images", "channels"):
            choice.use_layout(layout)
            try:
                yield layout, model.predict(x), False
            finally:
                choice.use_layout("auto")
    yield "batches", np.array([sum(run.batches(run.n, 1 + run.n // 2, run.dtype))]), True


def _gradients(names: str, values: Any, exact: bool) -> Iterator[Result]:
    return ((name, value, exact) for name, value in zip(names.split(), values, strict=True) if value is not None)


CHAINS = (conv2d, conv_block, conv_transpose2d, pooling, whole_maps, matrix, resize, linear, activations, elementwise)
CHAINS += (arithmetic, products, axes, dropout, local_response, capsules, gather, moved, batchnorm, row_norms, losses)
CHAINS += (updates, strided, prediction)
