"""Every operation on plain arrays, on every backend: values, harmless oddities of arrays, sandwiches."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare, numeric

import minidl.functional as F  # noqa: N812 - as everyone calls such a module
from minidl import kernels
from minidl.kernels import reference

DTYPES = pytest.mark.parametrize("dtype", cases.FLOATS, ids=["float32", "float64"])


def inputs(dtype=np.float64, n=3):
    """One set of arrays that go together: a convolution of 4 channels in 2 groups, 6 features, 5 classes."""
    rng = np.random.default_rng(5)
    arrays = {
        "x": rng.standard_normal((n, 4, 6, 5)),
        "w": rng.standard_normal((6, 2, 3, 2)),
        "b": rng.standard_normal(6),
        "dy": rng.standard_normal((n, 6, 3, 6)),
        "dpool": rng.standard_normal((n, 4, 3, 2)),
        "dmap": rng.standard_normal((n, 4)),
        "dx": rng.standard_normal((n, 4, 6, 5)),
        "cols": rng.standard_normal((4 * 3 * 2, n * 4 * 4)),
        "features": rng.standard_normal((n, 6)),
        "matrix": rng.standard_normal((5, 6)),
        "bias": rng.standard_normal(5),
        "logits": rng.standard_normal((n, 5)),
        "gamma": rng.standard_normal(4),
        "beta": rng.standard_normal(4),
        "mean": rng.standard_normal(4),
        "var": rng.uniform(0.5, 2, 4),
        "shares": rng.standard_normal((n, 2)),
        "scales": rng.standard_normal(6),
        "plane": rng.standard_normal((6, 5)),
        "capsules": rng.standard_normal((n, 5, 3)),
        "transforms": 0.7 * rng.standard_normal((5, 2, 4, 3)),
        "dcapsules": rng.standard_normal((n, 2, 4)),
        "dsquash": rng.standard_normal((n, 2, 3)),
        "spread": rng.standard_normal((4, 3, 3, 2)),
        "dspread": rng.standard_normal((n, 6, 12, 9)),
    }
    return {name: array.astype(dtype) for name, array in arrays.items()}


WINDOW = (2, 1), (1, 1), 1, 2
TRANSPOSED = (2, 2), (1, 1), (1, 1), (1, 1), 2
PAIRS = (2, 1), (1, 1), (1, 1), 2
POOL = (2, 2), (2, 2), (0, 0)
LABELS = np.array([4, 0, 2])

BOXES = np.array([[0, 70, 1, 3, -20, 5, 2, 0, 1], [1, 3, 3, 4, -1, 5, 1, 1, 1]])
TAPS = (
    (np.array([[0, 5], [2, 2], [4, 1]]), np.array([[0.5, 0], [1, -2], [3, 0.25]])),
    (np.array([[1], [4]]), np.ones((2, 1))),
)


def _behind(dy):
    """Rows 5, 3, 1 of 6."""
    dx = np.zeros((len(dy), 4, 6, 2), dy.dtype)
    dx[:, :, 5::-2] = dy
    return dx


def _edges(dy):
    """The adjoint of one more row and column on each side, as the nearest."""
    rows, columns = np.eye(4)[[0, 0, 1, 2, 3, 3]], np.eye(3)[[0, 0, 1, 2, 2]]
    return np.einsum("hr,nchw,ws->ncrs", rows, dy, columns)


def _factors(x):
    """Of a product of shape (n, 4, 6, 5)."""
    return np.asarray(x)[..., :3], np.asarray(x)[:, :1, :3]


DEFAULTS = {row.operation: row for row in reversed(cases.ACTIVATIONS)}.values()
"""The first row of each activation."""

# For each function: the call on plain arrays, and the reference's on the same arrays.
CALLS = {
    "conv2d_forward": (
        lambda a: F.conv2d_forward(a["x"], a["w"], a["b"], *WINDOW),
        lambda a: reference.conv2d_forward(a["x"], a["w"], a["b"], *PAIRS),
    ),
    "conv2d_backward": (
        lambda a: F.conv2d_backward(a["dy"], a["x"], a["w"], *WINDOW),
        lambda a: reference.conv2d_backward(a["dy"], a["x"], a["w"], *PAIRS),
    ),
    "conv_transpose2d_forward": (
        lambda a: F.conv_transpose2d_forward(a["x"], a["spread"], a["b"], 2, 1, 1, 1, 2),
        lambda a: reference.conv_transpose2d_forward(a["x"], a["spread"], a["b"], *TRANSPOSED),
    ),
    "conv_transpose2d_backward": (
        lambda a: F.conv_transpose2d_backward(a["dspread"], a["x"], a["spread"], 2, 1, 1, 1, 2),
        lambda a: reference.conv_transpose2d_backward(a["dspread"], a["x"], a["spread"], *TRANSPOSED),
    ),
    "local_response_forward": (
        lambda a: F.local_response_forward(a["x"], 3, 0.5),
        lambda a: reference.local_response_forward(a["x"], 3, 0.5, 0.75, 1.0),
    ),
    "local_response_backward": (
        lambda a: F.local_response_backward(a["dx"], a["x"], 3, 0.5),
        lambda a: reference.local_response_backward(a["dx"], a["x"], 3, 0.5, 0.75, 1.0),
    ),
    "maxpool2d_forward": (
        lambda a: F.maxpool2d_forward(a["x"], 2),
        lambda a: reference.maxpool2d_forward(a["x"], *POOL),
    ),
    "maxpool2d_backward": (
        lambda a: F.maxpool2d_backward(a["dpool"], F.maxpool2d_forward(a["x"], 2)[1], np.shape(a["x"]), 2),
        lambda a: reference.maxpool2d_backward(
            a["dpool"], reference.maxpool2d_forward(a["x"], *POOL)[1], a["x"].shape, *POOL
        ),
    ),
    "avgpool2d_forward": (
        lambda a: F.avgpool2d_forward(a["x"], 2),
        lambda a: reference.avgpool2d_forward(a["x"], *POOL),
    ),
    "avgpool2d_backward": (
        lambda a: F.avgpool2d_backward(a["dpool"], np.shape(a["x"]), 2),
        lambda a: reference.avgpool2d_backward(a["dpool"], a["x"].shape, *POOL),
    ),
    "adaptive_avgpool_forward": (
        lambda a: F.adaptive_avgpool_forward(a["x"], (3, 2)),
        lambda a: reference.adaptive_avgpool_forward(a["x"], (3, 2)),
    ),
    "adaptive_avgpool_backward": (
        lambda a: F.adaptive_avgpool_backward(a["dpool"], np.shape(a["x"])),
        lambda a: reference.adaptive_avgpool_backward(a["dpool"], a["x"].shape),
    ),
    "global_maxpool_forward": (
        lambda a: F.global_maxpool_forward(a["x"]),
        lambda a: reference.global_maxpool_forward(a["x"]),
    ),
    "global_maxpool_backward": (
        lambda a: F.global_maxpool_backward(a["dmap"], F.global_maxpool_forward(a["x"])[1], np.shape(a["x"])),
        lambda a: reference.global_maxpool_backward(
            a["dmap"], reference.global_maxpool_forward(a["x"])[1], a["x"].shape
        ),
    ),
    "global_avgpool_forward": (
        lambda a: F.global_avgpool_forward(a["x"]),
        lambda a: reference.global_avgpool_forward(a["x"]),
    ),
    "global_avgpool_backward": (
        lambda a: F.global_avgpool_backward(a["dmap"], np.shape(a["x"])),
        lambda a: reference.global_avgpool_backward(a["dmap"], a["x"].shape),
    ),
    "linear_forward": (
        lambda a: F.linear_forward(a["features"], a["matrix"], a["bias"]),
        lambda a: reference.linear_forward(a["features"], a["matrix"], a["bias"]),
    ),
    "linear_backward": (
        lambda a: F.linear_backward(a["logits"], a["features"], a["matrix"]),
        lambda a: reference.linear_backward(a["logits"], a["features"], a["matrix"]),
    ),
    **{
        f"{row.operation}_forward": (
            lambda a, operation=row.operation: getattr(F, f"{operation}_forward")(a["x"]),
            lambda a, row=row: row.forward(reference, a["x"]),
        )
        for row in DEFAULTS
    },
    **{
        f"{row.operation}_backward": (
            lambda a, row=row: row.backward(F, a["dx"], a["x"], a["x"]),
            lambda a, row=row: row.backward(reference, a["dx"], a["x"], a["x"]),
        )
        for row in cases.ACTIVATIONS
    },
    "boxes_forward": (
        lambda a: F.boxes_forward([a["x"], a["dmap"]], (20,), BOXES, 2),
        lambda a: reference.boxes_forward((a["x"], a["dmap"]), (20,), BOXES, 2.0),
    ),
    "boxes_backward": (
        lambda a: F.boxes_backward(a["dx"], np.shape(a["dmap"]), BOXES, 1),
        lambda a: reference.boxes_backward(a["dx"], a["dmap"].shape, BOXES, 1),
    ),
    "concat": (
        lambda a: F.concat([a["x"], a["dx"], a["x"]], 2),
        lambda a: np.concatenate([a["x"], a["dx"], a["x"]], 2),
    ),
    "split": (lambda a: tuple(F.split(a["x"], 3, 2)), lambda a: tuple(np.split(a["x"], 3, 2))),
    "slice_forward": (
        lambda a: F.slice_forward(a["x"], 1, None, 2, (1, 3)),
        lambda a: np.ascontiguousarray(a["x"][:, 1::2, :, 1::2]),
    ),
    "slice_backward": (
        lambda a: F.slice_backward(a["dpool"], (len(a["dpool"]), 4, 6, 2), 5, None, -2, 2),
        lambda a: _behind(a["dpool"]),
    ),
    "pad2d_forward": (
        lambda a: F.pad2d_forward(a["x"], (2, 1, 0, 3), "reflect"),
        lambda a: np.pad(a["x"], ((0, 0), (0, 0), (2, 0), (1, 3)), "reflect"),
    ),
    "pad2d_backward": (
        lambda a: F.pad2d_backward(a["dx"], (len(a["dx"]), 4, 4, 3), 1, "edge"),
        lambda a: _edges(a["dx"]),
    ),
    "transpose": (
        lambda a: F.transpose(a["x"], (0, 2, 3, 1)),
        lambda a: np.ascontiguousarray(a["x"].transpose(0, 2, 3, 1)),
    ),
    "pixel_shuffle": (
        lambda a: F.pixel_shuffle(a["x"], 2),
        lambda a: a["x"].reshape(-1, 1, 2, 2, 6, 5).transpose(0, 1, 4, 2, 5, 3).reshape(-1, 1, 12, 10),
    ),
    "pixel_unshuffle": (
        lambda a: F.pixel_unshuffle(a["dy"], 3, "dcr"),
        lambda a: a["dy"].reshape(-1, 6, 1, 3, 2, 3).transpose(0, 3, 5, 1, 2, 4).reshape(-1, 54, 1, 2),
    ),
    "channel_shuffle": (
        lambda a: F.channel_shuffle(a["x"], 2),
        lambda a: np.ascontiguousarray(a["x"][:, [0, 2, 1, 3]]),
    ),
    "resize_forward": (
        lambda a: F.resize_forward(a["x"], *TAPS),
        lambda a: reference.resize_forward(a["x"], *TAPS),
    ),
    "resize_backward": (
        lambda a: F.resize_backward(a["dpool"], np.shape(a["x"]), *TAPS),
        lambda a: reference.resize_backward(a["dpool"], a["x"].shape, *TAPS),
    ),
    "upsample_forward": (
        lambda a: F.upsample_forward(a["x"], (2, 3)),
        lambda a: a["x"].repeat(2, 2).repeat(3, 3),
    ),
    "upsample_backward": (
        lambda a: F.upsample_backward(a["dx"], (len(a["dx"]), 4, 3, 5), (2, 1)),
        lambda a: a["dx"].reshape(-1, 4, 3, 2, 5).sum(3),
    ),
    "elementwise_forward": (
        lambda a: F.elementwise_forward(a["x"], "selu"),
        lambda a: reference.elementwise_forward(a["x"], "selu", *cases.SELU),
    ),
    "elementwise_backward": (
        lambda a: F.elementwise_backward(a["dx"], a["x"], "pow", 2),
        lambda a: reference.elementwise_backward(a["dx"], a["x"], "pow", 2.0, 0.0),
    ),
    "arithmetic_forward": (
        lambda a: F.arithmetic_forward(np.reshape(a["mean"], (1, 4, 1, 1)), a["x"], "-"),
        lambda a: reference.arithmetic_forward(a["mean"].reshape(1, 4, 1, 1), a["x"], "-"),
    ),
    "arithmetic_backward": (
        lambda a: F.arithmetic_backward(a["dx"], a["x"], np.reshape(a["mean"], (1, 4, 1, 1)), "*"),
        lambda a: reference.arithmetic_backward(a["dx"], a["x"], a["mean"].reshape(1, 4, 1, 1), "*"),
    ),
    "matmul_forward": (
        lambda a: F.matmul_forward(a["x"], np.swapaxes(a["dx"], -1, -2)),
        lambda a: reference.matmul_forward(a["x"], a["dx"].swapaxes(-1, -2)),
    ),
    "matmul_backward": (
        lambda a: F.matmul_backward(a["dx"], *_factors(a["x"])),
        lambda a: reference.matmul_backward(a["dx"], *_factors(a["x"])),
    ),
    "reduce_forward": (
        lambda a: F.reduce_forward(a["x"], "mean", (1, -1)),
        lambda a: reference.reduce_forward(a["x"], "mean", (1, 3)),
    ),
    "reduce_backward": (
        lambda a: F.reduce_backward(np.reshape(a["dmap"], (-1, 4, 1, 1)), "max", (2, 3), np.shape(a["x"]), a["x"]),
        lambda a: reference.reduce_backward(a["dmap"].reshape(-1, 4, 1, 1), "max", (2, 3), a["x"].shape, a["x"]),
    ),
    "softmax_forward": (lambda a: F.softmax_forward(a["x"]), lambda a: reference.softmax_forward(a["x"], (1,))),
    "softmax_backward": (
        lambda a: F.softmax_backward(a["dx"], a["x"], (2, 3), True),
        lambda a: reference.softmax_backward(a["dx"], a["x"], (2, 3), True),
    ),
    "groupnorm_forward": (
        lambda a: F.groupnorm_forward(a["x"], a["gamma"], a["beta"], 2),
        lambda a: reference.groupnorm_forward(a["x"], a["gamma"], a["beta"], 2, 1e-5),
    ),
    "groupnorm_backward": (
        lambda a: F.groupnorm_backward(a["dx"], a["x"], a["gamma"], a["shares"], a["shares"]),
        lambda a: reference.groupnorm_backward(a["dx"], a["x"], a["gamma"], a["shares"], a["shares"]),
    ),
    "layernorm_forward": (
        lambda a: F.layernorm_forward(a["features"], a["scales"], a["b"], 1e-3),
        lambda a: reference.layernorm_forward(a["features"], a["scales"], a["b"], 1e-3),
    ),
    "layernorm_backward": (
        lambda a: F.layernorm_backward(a["dx"], a["x"], a["plane"], a["dmap"], a["dmap"]),
        lambda a: reference.layernorm_backward(a["dx"], a["x"], a["plane"], a["dmap"], a["dmap"]),
    ),
    "dropout_forward": (
        lambda a: F.dropout_forward(a["features"], 0.5, 2**63),
        lambda a: reference.dropout_forward(a["features"], 0.5, 2**63),
    ),
    "dropout_backward": (
        lambda a: F.dropout_backward(a["features"], 0.5, 3),
        lambda a: reference.dropout_backward(a["features"], 0.5, 3),
    ),
    "batchnorm_forward": (
        lambda a: F.batchnorm_forward(a["x"], a["gamma"], a["beta"], a["mean"], a["var"], train=False),
        lambda a: reference.batchnorm_forward(a["x"], a["gamma"], a["beta"], a["mean"], a["var"], 0.9, 1e-5, False),
    ),
    "batchnorm_backward": (
        lambda a: F.batchnorm_backward(a["dx"], a["x"], a["gamma"], a["mean"], a["var"]),
        lambda a: reference.batchnorm_backward(a["dx"], a["x"], a["gamma"], a["mean"], a["var"]),
    ),
    "softmax_cross_entropy": (
        lambda a: F.softmax_cross_entropy(a["logits"], LABELS[: len(a["logits"])]),
        lambda a: reference.softmax_cross_entropy(a["logits"], LABELS[: len(a["logits"])]),
    ),
    "sigmoid_cross_entropy": (
        lambda a: F.sigmoid_cross_entropy(a["logits"], np.ones_like(a["logits"]), np.ones(len(a["logits"])), [2] * 5),
        lambda a: reference.sigmoid_cross_entropy(
            a["logits"], np.ones_like(a["logits"]), np.ones(len(a["logits"])), np.full(5, 2.0)
        ),
    ),
    "l1_loss": (lambda a: F.l1_loss(a["x"], a["dx"]), lambda a: reference.l1_loss(a["x"], a["dx"])),
    "huber_loss": (
        lambda a: F.huber_loss(a["x"], a["dx"], 0.5),
        lambda a: reference.huber_loss(a["x"], a["dx"], 0.5),
    ),
    "mse_loss": (lambda a: F.mse_loss(a["x"], a["dx"]), lambda a: reference.mse_loss(a["x"], a["dx"])),
    "squash_forward": (
        lambda a: F.squash_forward(a["x"], 2),
        lambda a: reference.squash_forward(a["x"], 2),
    ),
    "squash_backward": (
        lambda a: F.squash_backward(a["dsquash"], a["features"], 3),
        lambda a: reference.squash_backward(a["dsquash"], a["features"], 3),
    ),
    "capsules_forward": (
        lambda a: F.capsules_forward(a["capsules"], a["transforms"], 2)[0],
        lambda a: reference.capsules_forward(a["capsules"], a["transforms"], 2)[0],
    ),
    "capsules_backward": (
        lambda a: F.capsules_backward(a["dcapsules"], F.capsules_forward(a["capsules"], a["transforms"], 2)[1]),
        lambda a: reference.capsules_backward(
            a["dcapsules"],
            reference.capsules_forward(a["capsules"], a["transforms"], 2)[1],
            a["capsules"],
            a["transforms"],
            2,
        ),
    ),
    "capsule_length_forward": (
        lambda a: F.capsule_length_forward(a["dcapsules"]),
        lambda a: reference.capsule_length_forward(a["dcapsules"]),
    ),
    "capsule_length_backward": (
        lambda a: F.capsule_length_backward(a["shares"], a["dcapsules"], F.capsule_length_forward(a["dcapsules"])),
        lambda a: reference.capsule_length_backward(
            a["shares"], a["dcapsules"], reference.capsule_length_forward(a["dcapsules"])
        ),
    ),
    "capsule_mask": (
        lambda a: F.capsule_mask(a["capsules"], LABELS[: len(a["capsules"])]),
        lambda a: reference.capsule_mask(a["capsules"], LABELS[: len(a["capsules"])]),
    ),
    "margin_loss": (
        lambda a: F.margin_loss(a["logits"], LABELS[: len(a["logits"])], 0.8, 0.2, 0.4),
        lambda a: reference.margin_loss(a["logits"], LABELS[: len(a["logits"])], 0.8, 0.2, 0.4),
    ),
    "squared_error": (
        lambda a: F.squared_error(a["x"], a["dx"], 0.1),
        lambda a: reference.squared_error(a["x"], a["dx"], 0.1),
    ),
    "sum_of_squares": (lambda a: F.sum_of_squares(a["x"]), lambda a: reference.sum_of_squares(a["x"])),
    "im2col": (
        lambda a: F.im2col(a["x"], (3, 2)),
        lambda a: reference.im2col(a["x"], (3, 2), (1, 1), (0, 0), (1, 1)),
    ),
    "col2im": (
        lambda a: F.col2im(a["cols"], np.shape(a["x"]), (3, 2)),
        lambda a: reference.col2im(a["cols"], a["x"].shape, (3, 2), (1, 1), (0, 0), (1, 1)),
    ),
}
IN_PLACE = {"adam_update", "blend", "rmsprop_update", "sgd_update"}
SANDWICHES = {name for name in F.__all__ if name.startswith(("affine_", "conv_"))}

calls = pytest.mark.parametrize("name", CALLS)


def check_all(results, expected, dtype):
    if not isinstance(results, tuple):
        results, expected = (results,), (expected,)
    for got, wanted in zip(results, expected, strict=True):
        if isinstance(got, float):
            compare.check_number(got, wanted, 1e-6 if dtype == np.float32 else 1e-13)
        elif isinstance(got, int):
            assert got == wanted
        else:
            compare.check(got, wanted, got.dtype if wanted.dtype == np.int32 else dtype)


def test_every_function_is_called_here():
    assert CALLS.keys() | IN_PLACE | SANDWICHES == set(F.__all__)


@DTYPES
@calls
def test_values_are_the_references(any_backend, name, dtype):
    arrays = inputs(dtype)
    call, expected = CALLS[name]
    wide = {key: array.astype(np.float64) for key, array in arrays.items()}
    check_all(call(arrays), expected(wide), dtype)
    for key, array in inputs(dtype).items():
        compare.check(arrays[key], array, exact=True)


def strided(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


ODDITIES = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": unaligned,
    "list": lambda a: a.tolist(),
}


@calls
def test_odd_but_harmless_arrays_just_work(any_backend, name):
    call, expected = CALLS[name]
    results = expected(inputs())
    for oddity, change in ODDITIES.items():
        with compare.during(oddity):
            check_all(call({key: change(array) for key, array in inputs().items()}), results, np.float64)


@calls
def test_memory_mapped_arrays_just_work(any_backend, name, tmp_path):
    call, expected = CALLS[name]
    mapped = {}
    for key, array in inputs().items():
        np.save(tmp_path / f"{key}.npy", array)
        mapped[key] = np.load(tmp_path / f"{key}.npy", mmap_mode="r")
    check_all(call(mapped), expected(inputs()), np.float64)


@DTYPES
@calls
def test_empty_batches_just_work(any_backend, name, dtype):
    call, expected = CALLS[name]
    arrays = inputs(dtype, n=0)
    check_all(call(arrays), expected({key: array.astype(np.float64) for key, array in arrays.items()}), dtype)


@calls
def test_results_belong_to_the_caller(any_backend, name):
    arrays = inputs()
    results = CALLS[name][0](arrays)
    for result in results if isinstance(results, tuple) else (results,):
        if isinstance(result, np.ndarray):
            assert result.flags.writeable
            assert result.flags.c_contiguous
            assert not any(np.shares_memory(result, array) for array in arrays.values())


class TestInPlace:
    @pytest.mark.parametrize("oddity", ["plain", "fortran", "strided", "byte-swapped", "unaligned"])
    def test_running_statistics(self, any_backend, oddity):
        arrays = inputs()
        change = ODDITIES.get(oddity, lambda a: a)
        mean, var = change(arrays["mean"].copy()), change(arrays["var"].copy())
        got = F.batchnorm_forward(arrays["x"], arrays["gamma"], arrays["beta"], mean, var, momentum=0.5)
        expected = [arrays["mean"].copy(), arrays["var"].copy()]
        wanted = reference.batchnorm_forward(arrays["x"], arrays["gamma"], arrays["beta"], *expected, 0.5, 1e-5, True)
        check_all(got, wanted, np.float64)
        for statistic, value in zip((mean, var), expected, strict=True):
            compare.check(statistic.astype(np.float64), value)

    @pytest.mark.parametrize("oddity", ["plain", "fortran", "strided", "byte-swapped", "unaligned"])
    @pytest.mark.parametrize("rule", sorted(IN_PLACE))
    def test_updates(self, any_backend, rule, oddity):
        change = ODDITIES.get(oddity, lambda a: a)
        rng = np.random.default_rng(1)
        plain = [rng.uniform(0.1, 1, (4, 3)) for _ in range({"adam_update": 4, "blend": 2}.get(rule, 3))]
        odd = [change(array.copy()) for array in plain]
        settings = {"sgd_update": (0.01, 0.9, 0.1, False, 0.5), "rmsprop_update": (0.001, 0.99, 1e-8, 0.1, 0.5)}
        settings["adam_update"] = (2, 0.001, 0.9, 0.999, 1e-8, 0.1, False, 0.5)
        settings["blend"] = (0.3,)
        first = {"adam_update": (2,), "blend": (0.3,)}.get(rule, ())
        getattr(F, rule)(*odd, *first, **({} if rule == "blend" else {"weight_decay": 0.1, "scale": 0.5}))
        getattr(reference, rule)(*plain, *settings[rule])
        for got, wanted in zip(odd, plain, strict=True):
            compare.check(got.astype(np.float64), wanted)

    def test_sgd_without_velocity(self, any_backend):
        p = np.ones(3, np.float32)
        F.sgd_update(p, np.full(3, 2, np.float32), lr=0.25)
        compare.check(p, np.full(3, 0.5, np.float32), exact=True)


class TestSandwiches:
    """Forward and backward equal the plain functions one after the other, or central differences."""

    def test_affine_relu(self, any_backend):
        a = inputs()
        images = a["x"][:, :1, :2, :3]
        y, cache = F.affine_relu_forward(images, a["matrix"], a["bias"])
        flat = np.ascontiguousarray(images).reshape(3, 6)
        expected = F.relu_forward(F.linear_forward(flat, a["matrix"], a["bias"]))
        compare.check(y, expected)
        dx, dw, db = F.affine_relu_backward(a["logits"], cache)
        dz = F.relu_backward(a["logits"], expected)
        wanted = F.linear_backward(dz, flat, a["matrix"])
        compare.check(dx, wanted[0].reshape(images.shape))
        compare.check(dw, wanted[1])
        compare.check(db, wanted[2])

    @DTYPES
    def test_conv_relu(self, any_backend, dtype):
        a = inputs(dtype)
        y, cache = F.conv_relu_forward(a["x"], a["w"], a["b"], *WINDOW)
        expected = F.relu_forward(F.conv2d_forward(a["x"], a["w"], a["b"], *WINDOW))
        compare.check(y, expected)
        gradients = F.conv_relu_backward(a["dy"], cache)
        wanted = F.conv2d_backward(F.relu_backward(a["dy"], expected), a["x"], a["w"], *WINDOW)
        for got, value in zip(gradients, wanted, strict=True):
            compare.check(got, value)

    @pytest.mark.parametrize("kind", ["max", "avg"])
    def test_conv_relu_pool(self, any_backend, kind):
        a = inputs()
        y, cache = F.conv_relu_pool_forward(a["x"], a["w"], a["b"], *WINDOW, pool=kind, pool_size=(2, 3), pool_stride=1)
        r = F.relu_forward(F.conv2d_forward(a["x"], a["w"], a["b"], *WINDOW))
        window = (2, 3), 1
        dy = np.random.default_rng(2).standard_normal(y.shape)
        if kind == "max":
            expected, argmax = F.maxpool2d_forward(r, *window)
            dr = F.maxpool2d_backward(dy, argmax, r.shape, *window)
        else:
            expected = F.avgpool2d_forward(r, *window)
            dr = F.avgpool2d_backward(dy, r.shape, *window)
        compare.check(y, expected)
        wanted = F.conv2d_backward(F.relu_backward(dr, r), a["x"], a["w"], *WINDOW)
        for got, value in zip(F.conv_relu_pool_backward(dy, cache), wanted, strict=True):
            compare.check(got, value)

    def test_conv_batchnorm_relu(self, any_backend):
        a = inputs()
        gamma, beta = np.linspace(0.5, 1.5, 6), np.linspace(-1, 1, 6)
        arguments = a["x"], a["w"], a["b"], gamma, beta

        def forward(_=None):
            return F.conv_batchnorm_relu_forward(*arguments, np.zeros(6), np.ones(6), *WINDOW)

        y, cache = forward()
        z = F.conv2d_forward(a["x"], a["w"], a["b"], *WINDOW)
        running = np.zeros(6), np.ones(6)
        expected, _, _ = F.batchnorm_forward(z, gamma, beta, *running)
        compare.check(y, F.relu_forward(expected), tolerance=1e-12)
        gradients = F.conv_batchnorm_relu_backward(a["dy"], cache)
        rng = np.random.default_rng(3)
        for place, (got, argument) in enumerate(zip(gradients, arguments, strict=True)):
            direction = rng.standard_normal(argument.shape)

            def moved(value, place=place):
                changed = [*arguments[:place], value, *arguments[place + 1 :]]
                return F.conv_batchnorm_relu_forward(*changed, np.zeros(6), np.ones(6), *WINDOW)[0]

            slope = numeric.slope(moved, argument, direction, a["dy"])
            assert np.sum(got * direction) == pytest.approx(slope, rel=1e-6, abs=1e-7)

    def test_conv_batchnorm_relu_changes_the_running_statistics_only_in_training(self, any_backend):
        a, ones = inputs(), np.ones(6)
        for train in True, False:
            mean, var = np.zeros(6), np.ones(6)
            F.conv_batchnorm_relu_forward(a["x"], a["w"], a["b"], ones, ones, mean, var, *WINDOW, train=train)
            assert bool(mean.any()) is train
            assert bool((var != 1).any()) is train

    def test_a_cache_outlives_a_change_of_backend(self, any_backend):
        from minidl import kernels

        a = inputs()
        _, cache = F.conv_relu_forward(a["x"], a["w"], a["b"], *WINDOW)
        expected = F.conv_relu_backward(a["dy"], cache)
        with kernels.use("reference"):
            for got, wanted in zip(F.conv_relu_backward(a["dy"], cache), expected, strict=True):
                compare.check(got, wanted, exact=True)


def test_image_filters_as_in_cs231n(any_backend):
    """Two 3x3 filters: grayscale, and horizontal edges of the blue channel around 128."""
    image = np.arange(2 * 3 * 5 * 4, dtype=np.float64).reshape(2, 3, 5, 4) % 255
    w = np.zeros((2, 3, 3, 3))
    w[0, :, 1, 1] = 0.3, 0.6, 0.1
    w[1, 2] = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    y = F.conv2d_forward(image, w, np.array([0.0, 128]), padding=1)
    compare.check(y[:, 0], np.einsum("nchw,c->nhw", image, [0.3, 0.6, 0.1]))
    compare.check(y[:, 1, 1:-1, 1:-1], np.full((2, 3, 2), 128 - 8 * 4.0), exact=True)


@pytest.mark.parametrize(
    ("kernel", "dilation", "pair"), [((3, 5), 1, (1, 2)), ((3, 3), (2, 1), (2, 1)), ((1, 1), 1, 0)]
)
@pytest.mark.parametrize("backend", kernels.available())
def test_sandwiches_take_paddings_by_name(backend, kernel, dilation, pair, rng):
    """The bits of the same numbers, forward and backward; refused where a layer refuses them."""
    x, w = rng.standard_normal((2, 3, 8, 9)), rng.standard_normal((4, 3, *kernel))
    b, ones = rng.standard_normal(4), np.ones(4)
    calls = {
        "conv_relu": lambda padding, **more: F.conv_relu_forward(x, w, b, 1, padding, dilation, **more),
        "conv_relu_pool": lambda padding, **more: F.conv_relu_pool_forward(x, w, b, 1, padding, dilation, **more),
        "conv_batchnorm_relu": lambda padding: F.conv_batchnorm_relu_forward(
            x, w, b, ones, ones, np.zeros(4), np.ones(4), 1, padding, dilation
        ),
    }
    with kernels.use(backend):
        for name, call in calls.items():
            for words, numbers in (("same", pair), ("valid", 0)):
                (y, cache), (expected, other) = call(words), call(numbers)
                np.testing.assert_array_equal(y, expected)
                assert words == "valid" or name == "conv_relu_pool" or y.shape == (2, 4, 8, 9)
                back = getattr(F, f"{name}_backward")
                for found, gradient in zip(back(y, cache), back(y, other), strict=True):
                    np.testing.assert_array_equal(found, gradient)
            rule = f'{name}_forward: padding must be .*"same", "same_lower" or "valid", got \'full\''
            with pytest.raises(ValueError, match=rule):
                call("full")
        y, _ = F.conv_relu_forward(x, w, b, 2, "same")
        assert y.shape == (2, 4, 4, 5)  # with a stride: ceil(H / SH), ceil(W / SW)
        kh, kw = kernel
        # 8 rows and 9 columns in steps of 2: what the last window lacks is added, the odd one at the end
        sides = [divmod(max(0, (n - 1) * 2 + k - size), 2) for n, k, size in ((4, kh, 8), (5, kw, 9))]
        numbers = tuple((half, half + odd) for half, odd in sides)
        np.testing.assert_array_equal(y, F.conv_relu_forward(x, w, b, 2, numbers)[0])
