"""Every operation of the contract on one batch: all that it gives, as ndarrays by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from kernels import cases

from minidl.kernels import arrange, boxes, image_moves
from minidl.kernels.image_colors import Colors
from minidl.kernels.resizing import Resizing

CHANNELS, OUT = 8, 12
WINOGRAD = (OUT, CHANNELS, 3, 3), ((1, 1), (1, 1), (1, 1), 1)
CONVS = {
    "winograd": WINOGRAD,
    "5x5 strided": ((OUT, CHANNELS, 5, 5), ((2, 1), (2, 2), (1, 1), 1)),
    "depthwise dilated": ((CHANNELS, 1, 3, 3), ((1, 1), (2, 1), (2, 1), CHANNELS)),
    "1x1": ((OUT, CHANNELS, 1, 1), ((1, 1), (0, 0), (1, 1), 1)),
    "four sides": ((OUT, CHANNELS, 3, 3), ((1, 1), ((0, 2), (3, 1)), (1, 1), 1)),
    "same strided": ((OUT, CHANNELS, 3, 3), ((2, 2), "same", (1, 1), 1)),
}
TRANSPOSED = {
    "doubled": ((CHANNELS, OUT, 2, 2), ((2, 2), (0, 0), (0, 0), (1, 1), 1)),
    "3x3": ((CHANNELS, OUT, 3, 3), ((1, 1), (1, 1), (0, 0), (1, 1), 1)),
    "groups": ((CHANNELS, 3, 4, 3), ((2, 3), ((1, 0), (0, 2)), (1, 0), (1, 2), 4)),
}
POOLS = {
    "none": None,
    "max": ("max", (2, 2), (2, 2), (0, 0)),
    "avg": ("avg", (2, 2), (2, 2), (0, 0)),
    "max overlap": ("max", (3, 3), (1, 1), (1, 1)),
    "avg overlap": ("avg", (3, 3), (1, 1), (1, 1)),
    "max ceil": ("max", (3, 2), (2, 2), ((0, 1), (1, 0)), (1, 2), True),
    "avg ceil": ("avg", (3, 2), (2, 2), ((1, 0), (0, 1)), True, False),
}

UPDATES = {
    "sgd": ("sgd_update", 1, (0.1, 0.9, 1e-4)),
    "sgd-nesterov": ("sgd_update", 1, (0.1, 0.9, 1e-4, True)),
    "sgd-plain": ("sgd_update", None, (0.1, 0.0, 1e-4)),
    "rmsprop": ("rmsprop_update", 1, (0.01, 0.99, 1e-8, 1e-3)),
    "adam": ("adam_update", 2, (3, 0.01, 0.9, 0.999, 1e-8, 1e-3)),
    "adamw": ("adam_update", 2, (1, 0.01, 0.9, 0.999, 1e-8, 1e-2, True)),
    "sgd-scaled": ("sgd_update", 1, (0.1, 0.9, 1e-4, False, 0.3)),
    "sgd-nesterov-scaled": ("sgd_update", 1, (0.1, 0.9, 1e-4, True, 0.3)),
    "sgd-plain-scaled": ("sgd_update", None, (0.1, 0.0, 1e-4, False, 0.3)),
    "rmsprop-scaled": ("rmsprop_update", 1, (0.01, 0.99, 1e-8, 1e-3, 0.3)),
    "adam-scaled": ("adam_update", 2, (3, 0.01, 0.9, 0.999, 1e-8, 1e-3, False, 0.3)),
    "adamw-scaled": ("adam_update", 2, (1, 0.01, 0.9, 0.999, 1e-8, 1e-2, True, 0.3)),
    "blend": ("blend", 0, (0.3,)),
}
"""Rule -> operation, its number of slots (None: an optional one is left out), settings."""


def results(
    backend: Any,
    dtype: Any,
    n: int,
    size: int,
    batch: np.ndarray | None = None,
    empty: float = 0.0,
    look: Callable[[str, Any], None] = lambda name, value: None,
) -> dict[str, np.ndarray]:
    """All results on n random images of CHANNELS x size x size, or on `batch`, (n, CHANNELS, size, size).

    empty: what stands in the empty lanes of the images. look: sees every result before it leaves the backend.
    """
    rng = np.random.default_rng(n)
    values = cases.random(rng, (n, CHANNELS, size, size), dtype)
    if batch is not None:
        values = batch.astype(dtype)
    x = entered(backend, values, empty)
    found: dict[str, np.ndarray] = {}
    for part in (
        _convolutions,
        _transposed,
        _local_response,
        _pooling,
        _linear,
        _elementwise,
        _norm,
        _row_norm,
        _functions,
        _arithmetic,
        _products,
        _axes,
        _capsules,
        _boxes,
        _losses,
        _matrix,
        _updates,
    ):
        for name, value in part(backend, dtype, x, rng):
            assert name not in found
            look(name, value)
            found[name] = backend.leave(value) if not isinstance(value, np.ndarray) else value
    return found


def entered(backend: Any, x: np.ndarray, empty: float = 0.0) -> Any:
    """x in lanes, with `empty` (not negative) in the lanes without an image.

    The shift of `gather` reaches those, too; Relu takes it away again where images are.
    """
    if empty == 0:
        return backend.enter(x)
    low = np.full((1, *x.shape[1:]), -2 * empty, x.dtype)
    one, shift = np.ones(x.shape[1], x.dtype), np.full(x.shape[1], empty, x.dtype)
    filled = backend.relu_forward(backend.gather(low, np.zeros(len(x), np.intp), one, shift))
    return backend.add(backend.enter(x), filled)


def _gradient(backend: Any, rng: np.random.Generator, y: Any) -> Any:
    return backend.enter(cases.random(rng, tuple(y.shape), y.dtype))


def _convolutions(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for name, (shape, window) in CONVS.items():
        w, b = cases.random(rng, shape, dtype), cases.random(rng, shape[:1], dtype)
        y = backend.conv2d_forward(x, w, b, *window)
        dy = _gradient(backend, rng, y)
        yield f"{name} y", y
        yield from _named(name, "dx dw db", backend.conv2d_backward(dy, x, w, *window))
        for relu, (kind, pool) in product((False, True), POOLS.items()):
            block = f"{name} block, relu {relu}, pool {kind}"
            y, saved = backend.conv_block_forward(x, w, b, *window, relu, pool)
            yield f"{block} y", y
            dy = _gradient(backend, rng, y)
            gradients = backend.conv_block_backward(dy, saved, x, w, *window, relu, pool)
            yield from _named(block, "dx dw db", gradients)


def _transposed(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for name, (shape, window) in TRANSPOSED.items():
        w, b = cases.random(rng, shape, dtype), cases.random(rng, (shape[1] * window[4],), dtype)
        y = backend.conv_transpose2d_forward(x, w, b, *window)
        yield f"transposed {name} y", y
        gradients = backend.conv_transpose2d_backward(_gradient(backend, rng, y), x, w, *window)
        yield from _named(f"transposed {name}", "dx dw db", gradients)


def _local_response(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for size in (1, 4, 5, 99):
        y = backend.local_response_forward(x, size, 0.3, 0.75, 1.5)
        dx = backend.local_response_backward(_gradient(backend, rng, x), x, size, 0.3, 0.75, 1.5)
        yield from _named(f"local response {size}", "y dx", (y, dx))


def _pooling(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for name, pool in POOLS.items():
        if pool is None:
            continue
        if pool[0] == "max":
            y, argmax = backend.maxpool2d_forward(x, *pool[1:])
            yield f"{name} argmax", argmax
            dx = backend.maxpool2d_backward(_gradient(backend, rng, y), argmax, x.shape, *pool[1:])
        else:
            y = backend.avgpool2d_forward(x, *pool[1:])
            dx = backend.avgpool2d_backward(_gradient(backend, rng, y), x.shape, *pool[1:])
        yield from _named(f"pool {name}", "y dx", (y, dx))
    y = backend.adaptive_avgpool_forward(x, (3, 2))
    dx = backend.adaptive_avgpool_backward(_gradient(backend, rng, y), x.shape)
    yield from _named("adaptive", "y dx", (y, dx))
    y, argmax = backend.global_maxpool_forward(x)
    yield "global max argmax", argmax
    dx = backend.global_maxpool_backward(_gradient(backend, rng, y), argmax, x.shape)
    yield from _named("global max", "y dx", (y, dx))
    y = backend.global_avgpool_forward(x)
    yield from _named("global", "y dx", (y, backend.global_avgpool_backward(_gradient(backend, rng, y), x.shape)))


def _linear(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    flat = backend.reshape(x, (int(np.prod(x.shape[1:])),))
    w, b = cases.random(rng, (33, flat.shape[1]), dtype), cases.random(rng, (33,), dtype)
    y = backend.linear_forward(flat, w, b)
    dy = _gradient(backend, rng, y)
    yield "linear y", y
    yield from _named("linear", "dx dw db", backend.linear_backward(dy, flat, w))
    y = backend.linear_block_forward(flat, w, b)
    yield "linear block y", y
    yield from _named("linear block", "dx dw db", backend.linear_block_backward(dy, y, flat, w))


def _elementwise(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    dy = _gradient(backend, rng, x)
    for row in cases.ACTIVATIONS:
        y = row.forward(backend, x)
        yield from _named(row.name, "y dx", (y, row.backward(backend, dy, x, y)))
    yield "add", backend.add(x, dy)
    yield "add relu", backend.add_block_forward(x, dy)
    yield "dropout", backend.dropout_forward(x, 0.3, 17)
    yield "dropout dx", backend.dropout_backward(dy, 0.3, 17)
    images = rng.integers(0, 256, (len(x) + 5, *x.shape[1:])).astype(np.uint8)
    scale, shift = cases.random(rng, (CHANNELS,), dtype), cases.random(rng, (CHANNELS,), dtype)
    index = rng.integers(0, len(images), len(x))
    yield "gather", backend.gather(images, index, scale, shift)
    rows = image_moves.blank(len(x))
    rows[:, image_moves.SOURCE :] = rng.integers(-2, 3, (len(x), 2))
    rows[::2, image_moves.FLIP], rows[:, image_moves.BOTTOM : image_moves.SOURCE] = 1, 1
    yield "gather, moved", backend.gather(images, index, scale, shift, moves=rows)
    turned = image_moves.blank(len(x), image_moves.TURNED)
    turned[:, image_moves.SOURCE :] += rng.integers(-9999, 9999, (len(x), 6))
    yield "gather, turned", backend.gather(images, index, scale, shift, moves=turned)
    for name, moves in (("moved", rows), ("turned", turned)):
        yield (
            f"gather, {name}, coloured",
            backend.gather(images, index, scale, shift, moves=moves, colors=_colors(len(x))),
        )


def _colors(n: int) -> Colors:
    """Brightness, noise and colours of boxes, of generators of their own: the other operations keep their numbers."""
    rng = np.random.default_rng(n)
    maps = np.stack([rng.uniform(0.5, 1.5, n), rng.uniform(-0.2, 0.2, n)], axis=-1)[:, None]
    return Colors(maps, rng.integers(0, 2**64, n, dtype=np.uint64), 0.1, rng.random((n, CHANNELS)))


def _norm(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    gamma, beta = cases.random(rng, (CHANNELS,), dtype), cases.random(rng, (CHANNELS,), dtype)
    for train in (True, False):
        running = np.zeros(CHANNELS, dtype), np.ones(CHANNELS, dtype)
        y, mean, inv_std = backend.batchnorm_forward(x, gamma, beta, *running, 0.9, 1e-3, train)
        dy = _gradient(backend, rng, y)
        name = f"norm, train {train}"
        yield from _named(name, "y mean inv_std running_mean running_var", (y, mean, inv_std, *running))
        gradients = backend.batchnorm_backward(dy, x, gamma, mean, inv_std, train)
        yield from _named(name, "dx dgamma dbeta", gradients)
        for relu, (kind, pool) in product((False, True), POOLS.items()):
            block = f"{name} block, relu {relu}, pool {kind}"
            running = np.zeros(CHANNELS, dtype), np.ones(CHANNELS, dtype)
            args = x, gamma, beta, *running, 0.9, 1e-3, train, relu, pool
            y, saved = backend.norm_block_forward(*args)
            yield from _named(block, "y running_mean running_var", (y, *running))
            dy = _gradient(backend, rng, y)
            gradients = backend.norm_block_backward(dy, saved, x, gamma, train, relu, pool)
            yield from _named(block, "dx dgamma dbeta", gradients)


def _row_norm(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for name, shape, settings in (
        ("groupnorm", (CHANNELS,), (2, 1e-3)),
        ("layernorm", tuple(x.shape[1:]), (1e-3,)),
        ("layernorm of maps", tuple(x.shape[2:]), (1e-3,)),
    ):
        gamma, beta = cases.random(rng, shape, dtype), cases.random(rng, shape, dtype)
        operation = name.split()[0]
        y, mean, inv_std = getattr(backend, operation + "_forward")(x, gamma, beta, *settings)
        yield from _named(name, "y mean inv_std", (y, mean, inv_std))
        dy = _gradient(backend, rng, y)
        gradients = getattr(backend, operation + "_backward")(dy, x, gamma, mean, inv_std)
        yield from _named(name, "dx dgamma dbeta", gradients)


def _functions(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    dy, positive = _gradient(backend, rng, x), backend.softplus_forward(x)
    for row in cases.ELEMENTWISE:
        of = positive if row[0] in ("log", "sqrt", "pow", "reciprocal") else x
        y = backend.elementwise_forward(of, *row)
        yield from _named(str(row), "y dx", (y, backend.elementwise_backward(dy, of, *row)))


def _arithmetic(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    gate = backend.softplus_forward(backend.reduce_forward(x, "mean", (2, 3)))
    plane = backend.softplus_forward(backend.reduce_forward(x, "mean", (1,)))
    channel, image = 1 + rng.random((1, CHANNELS, 1, 1)).astype(dtype), 1 + rng.random((1, *x.shape[1:])).astype(dtype)
    same = backend.softplus_forward(x)
    others = {"same": same, "gate": gate, "plane": plane, "channel": channel, "image": image}
    for operator, (name, other) in product(("+", "-", "*", "/", "prelu"), others.items()):
        y = backend.arithmetic_forward(x, other, operator)
        da, db = backend.arithmetic_backward(_gradient(backend, rng, y), x, other, operator)
        yield from _named(f"{operator} {name}", "y dx", (y, da))
        yield f"{operator} {name} {'other dx' if name in ('same', 'gate', 'plane') else 'db'}", db


def _products(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    turned = backend.boxes_forward((x,), *arrange.transposed("", tuple(x.shape[1:]), (0, 1, 3, 2)))
    one = backend.reduce_forward(turned, "mean", (1,))
    for name, (a, b) in {"each": (x, turned), "one right": (x, one), "one left": (one, x)}.items():
        y = backend.matmul_forward(a, b)
        da, db = backend.matmul_backward(_gradient(backend, rng, y), a, b)
        yield from _named(f"product, {name}", "y dx", (y, da))
        yield f"product, {name}, other dx", db


def _axes(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for kind, axes in product(("sum", "mean", "max"), ((1,), (2, 3), (1, 3), (1, 2, 3))):
        y = backend.reduce_forward(x, kind, axes)
        saved = (x, y) if kind == "max" else ()
        dx = backend.reduce_backward(_gradient(backend, rng, y), kind, axes, x.shape, *saved)
        yield from _named(f"{kind} over {axes}", "y dx", (y, dx))
    for log, axes in product((False, True), ((1,), (3,), (2, 3))):
        y = backend.softmax_forward(x, axes, log)
        dx = backend.softmax_backward(_gradient(backend, rng, y), y, axes, log)
        yield from _named(f"softmax over {axes}, log {log}", "y dx", (y, dx))


def _capsules(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    u = backend.squash_forward(x, 4)
    w = cases.random(rng, (u.shape[1], 5, 6, 4), dtype) / 4
    v, saved = backend.capsules_forward(u, w, 3)
    dv = _gradient(backend, rng, v)
    du, dw = backend.capsules_backward(dv, saved, u, w, 3)
    yield from _named("routing", "y dx dw", (v, du, dw))
    yield from _named("squash", "y dx", (u, backend.squash_backward(du, x, 4)))
    y = backend.capsule_length_forward(v)
    labels = rng.integers(0, 5, len(x))
    loss, dy, correct = backend.margin_loss(y, labels)
    yield "margin", np.array([loss, correct])
    yield from _named("length", "y dlogits dx", (y, dy, backend.capsule_length_backward(dy, v, y)))
    yield "mask y", backend.capsule_mask(v, labels)
    for kind, weight in {"": None, ", weighted": rng.random(len(x)).astype(dtype)}.items():
        loss, dx = backend.squared_error(v, dv, 0.01, weight)
        yield f"squared error{kind}", np.array([loss])
        yield f"squared error{kind} dx", dx


def _boxes(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    sizes = tuple(x.shape[1:])
    for name, xs, shape, table in (
        ("boxes, joined", (x, x), (2 * CHANNELS, *sizes[1:]), boxes.joined([sizes, sizes], 0)),
        ("boxes, moved", (x,), (sizes[1], CHANNELS, sizes[2]), boxes.permuted(sizes, (1, 0, 2))),
        ("boxes, edge", (x,), *arrange.padded("", sizes, (2, -1, 1, 0), "edge")),
    ):
        y = backend.boxes_forward(xs, shape, table, 0.5)
        yield from _named(name, "y dx", (y, backend.boxes_backward(_gradient(backend, rng, y), x.shape, table)))
    for mode in ("nearest", "bilinear"):
        rows, columns = Resizing("", (1.5, 0.7), None, mode, None, "floor").taps(x.shape, dtype)
        y = backend.resize_forward(x, rows, columns)
        dx = backend.resize_backward(_gradient(backend, rng, y), x.shape, rows, columns)
        yield from _named(f"resize, {mode}", "y dx", (y, dx))


def _losses(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    logits = backend.global_avgpool_forward(x)
    targets = rng.random(logits.shape).astype(dtype)
    labels, factors = rng.integers(0, CHANNELS, len(x)), rng.random(CHANNELS).astype(dtype)
    weights = {"": None, ", weighted": rng.random(len(x)).astype(dtype)}
    for kind, weight in weights.items():
        for name, found in {
            "softmax, labels": backend.softmax_cross_entropy(logits, labels, 0.1, weight),
            "softmax, rows": backend.softmax_cross_entropy(logits, targets, 0.1, weight),
            "softmax, classes": backend.softmax_cross_entropy(logits, labels, 0.1, weight, factors),
            "sigmoid": backend.sigmoid_cross_entropy(logits, targets, weight, factors),
            "mse": backend.mse_loss(logits, targets, weight),
            "mse, mean": backend.mse_loss(logits, targets, weight, True),
            "l1": backend.l1_loss(logits, targets, weight),
            "huber": backend.huber_loss(logits, targets, 0.3, weight),
        }.items():
            loss, dlogits, *correct = found
            yield name + kind, np.array([loss, *correct])
            yield f"{name}{kind} dlogits", dlogits


def _matrix(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    images, window = backend.leave(x), ((3, 2), (2, 1), (1, 0), (1, 2))
    cols = backend.im2col(images, *window)
    yield "im2col", cols
    yield "col2im", backend.col2im(cols, images.shape, *window)


def _updates(backend: Any, dtype: Any, x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    for rule, (operation, slots, settings) in UPDATES.items():
        p, grad, *state = rng.uniform(0.1, 1, (2 + (slots or 0), 5, 3)).astype(dtype)
        getattr(backend, operation)(p, grad, *state, *([None] if slots is None else []), *settings)
        yield from _named(rule, " ".join(f"state{i}" for i in range(1 + len(state))), (p, *state))
    arrays = [rng.uniform(0.1, 1, shape).astype(dtype) for shape in ((5, 3), (7,), (5, 3), (7,))]
    backend.blend(backend.together(arrays[:2]), backend.together(arrays[2:]), 0.3)
    yield from _named("together", "0 1", arrays[:2])
    yield "sum of squares", np.array([backend.sum_of_squares(p)])


def _named(name: str, parts: str, values: Any) -> Iterator[tuple[str, Any]]:
    return ((f"{name} {part}", value) for part, value in zip(parts.split(), values, strict=True))
