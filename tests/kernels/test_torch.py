"""PyTorch as an outside witness, where it is installed: convolution, pooling, normalisation of every backend."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import cases, compare

from minidl.kernels import checks

torch = pytest.importorskip("torch")
functional = torch.nn.functional

pytestmark = pytest.mark.witness


def tensor(array):
    return None if array is None else torch.tensor(array, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("case", [case for case in cases.CONVS if case.x[0]], ids=cases.label)
def test_conv2d(any_backend, case, rng):
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    b = rng.standard_normal(case.w[0]) if case.bias else None
    tx, tw, tb = tensor(x), tensor(w), tensor(b)
    stride, padding, dilation, groups = case.window
    (top, bottom), (left, right) = checks.margins(padding, case.x[2:], case.w[2:], stride, dilation)
    padded = functional.pad(tx, (left, right, top, bottom))
    ty = functional.conv2d(padded, tw, tb, stride, 0, dilation, groups)
    dy = rng.standard_normal(tuple(ty.shape))
    ty.backward(torch.tensor(dy))
    entered = any_backend.enter(x)
    compare.check(any_backend.leave(any_backend.conv2d_forward(entered, w, b, *case.window)), ty.detach().numpy())
    dx, dw, db = any_backend.conv2d_backward(any_backend.enter(dy), entered, w, *case.window)
    compare.check(any_backend.leave(dx), tx.grad.numpy())
    compare.check(dw, tw.grad.numpy())
    if b is not None:
        compare.check(db, tb.grad.numpy())


@pytest.mark.parametrize("case", [case for case in cases.TRANSPOSED if case.x[0]], ids=cases.label)
def test_conv_transpose2d(any_backend, case, rng):
    """PyTorch cuts both sides alike: the whole output is cut here."""
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    b = rng.standard_normal(case.out_channels) if case.bias else None
    tx, tw, tb = tensor(x), tensor(w), tensor(b)
    stride, padding, more, dilation, groups = case.window
    (top, bottom), (left, right) = checks.margins(padding, (1, 1), (1, 1), stride)
    whole = functional.conv_transpose2d(tx, tw, tb, stride, 0, more, groups, dilation)
    ty = whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]
    dy = rng.standard_normal(tuple(ty.shape))
    ty.backward(torch.tensor(dy))
    entered = any_backend.enter(x)
    got = any_backend.leave(any_backend.conv_transpose2d_forward(entered, w, b, *case.window))
    compare.check(got, ty.detach().numpy())
    dx, dw, db = any_backend.conv_transpose2d_backward(any_backend.enter(dy), entered, w, *case.window)
    compare.check(any_backend.leave(dx), tx.grad.numpy())
    compare.check(dw, tw.grad.numpy())
    if b is not None:
        compare.check(db, tb.grad.numpy())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 20])
def test_local_response(any_backend, size, rng):
    x, dy = 3 * rng.standard_normal((2, 5, 7, 4, 3))
    tx = tensor(x)
    ty = functional.local_response_norm(tx, size, 0.2, 0.75, 1.3)
    ty.backward(torch.tensor(dy))
    settings = size, 0.2, 0.75, 1.3
    entered = any_backend.enter(x)
    compare.check(any_backend.leave(any_backend.local_response_forward(entered, *settings)), ty.detach().numpy())
    dx = any_backend.local_response_backward(any_backend.enter(dy), entered, *settings)
    compare.check(any_backend.leave(dx), tx.grad.numpy())


def witnessed(case):
    """PyTorch pads both sides alike, by half the kernel at most."""
    alike = all(isinstance(side, int) for side in case.padding)
    return case.x[0] and alike and all(2 * p <= k for p, k in zip(case.padding, case.kernel))


@pytest.mark.parametrize("case", [case for case in cases.POOLS if witnessed(case)], ids=cases.label)
def test_pooling(any_backend, case, rng):
    x = rng.standard_normal(case.x)
    x[rng.random(case.x) < 0.3] = 0.5  # ties
    tx = tensor(x)
    ty, places = functional.max_pool2d(tx, *case.max, return_indices=True)
    y, argmax = any_backend.maxpool2d_forward(any_backend.enter(x), *case.max)
    compare.check(any_backend.leave(y), ty.detach().numpy(), exact=True)
    compare.check(any_backend.leave(argmax), places.numpy().astype(np.int32))
    dy = rng.standard_normal(tuple(ty.shape))
    ty.backward(torch.tensor(dy))
    dx = any_backend.maxpool2d_backward(any_backend.enter(dy), argmax, case.x, *case.max)
    compare.check(any_backend.leave(dx), tx.grad.numpy())

    tx = tensor(x)
    ty = functional.avg_pool2d(tx, *case.mean)
    dy = rng.standard_normal(tuple(ty.shape))
    ty.backward(torch.tensor(dy))
    y = any_backend.avgpool2d_forward(any_backend.enter(x), *case.mean)
    compare.check(any_backend.leave(y), ty.detach().numpy())
    dx = any_backend.avgpool2d_backward(any_backend.enter(dy), case.x, *case.mean)
    compare.check(any_backend.leave(dx), tx.grad.numpy())


@pytest.mark.parametrize("case", [c for c in cases.POOLS if c.x[0] and not isinstance(c.padding, str)], ids=cases.label)
def test_max_pooling_of_a_padded_image(any_backend, case, rng):
    """Padding of four sides, or of more than half the kernel, is minus infinity around the image."""
    x = rng.standard_normal(case.x)
    (top, bottom), (left, right) = checks.margins(case.padding, case.x[2:], case.kernel, case.stride)
    padded = functional.pad(torch.tensor(x), (left, right, top, bottom), value=-np.inf)
    if case.ceil_mode and (bottom or right):
        return  # PyTorch drops windows that start in this padding; there are none without
    ty = functional.max_pool2d(padded, case.kernel, case.stride, 0, case.dilation, case.ceil_mode)
    y, _ = any_backend.maxpool2d_forward(any_backend.enter(x), *case.max)
    compare.check(any_backend.leave(y), ty.numpy(), exact=True)


@pytest.mark.parametrize(("size", "output"), [((7, 5), (3, 4)), ((6, 8), (3, 2)), ((2, 3), (5, 3)), ((1, 9), (1, 1))])
def test_adaptive_average_pooling(any_backend, size, output, rng):
    x, dy = rng.standard_normal((5, 3, *size)), rng.standard_normal((5, 3, *output))
    tx = tensor(x)
    ty = functional.adaptive_avg_pool2d(tx, output)
    ty.backward(torch.tensor(dy))
    y = any_backend.adaptive_avgpool_forward(any_backend.enter(x), output)
    compare.check(any_backend.leave(y), ty.detach().numpy())
    dx = any_backend.adaptive_avgpool_backward(any_backend.enter(dy), x.shape)
    compare.check(any_backend.leave(dx), tx.grad.numpy())


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (9, 7)], ids=str)
def test_batchnorm(any_backend, shape, train, rng):
    """PyTorch keeps the unbiased variance, and its momentum is the share of the new."""
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    gamma, beta, mean, var = (rng.uniform(0.5, 2, shape[1]) for _ in range(4))
    tx, tgamma, tbeta = tensor(x), tensor(gamma), tensor(beta)
    tmean, tvar = torch.tensor(mean), torch.tensor(var)
    ty = functional.batch_norm(tx, tmean, tvar, tgamma, tbeta, train, 0.1, 1e-5)
    ty.backward(torch.tensor(dy))
    y, used, inv_std = any_backend.batchnorm_forward(
        any_backend.enter(x), gamma, beta, mean, old := var.copy(), 0.9, 1e-5, train
    )
    compare.check(any_backend.leave(y), ty.detach().numpy(), tolerance=1e-12)
    compare.check(mean, tmean.numpy())
    if train:
        m = x.size // shape[1]
        compare.check(0.9 * var + (old - 0.9 * var) * m / (m - 1), tvar.numpy())
    gradients = any_backend.batchnorm_backward(any_backend.enter(dy), any_backend.enter(x), gamma, used, inv_std, train)
    for got, witness in zip((any_backend.leave(gradients[0]), *gradients[1:]), (tx, tgamma, tbeta), strict=True):
        compare.check(got, witness.grad.numpy(), tolerance=1e-12)


@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (17, 7)], ids=str)
def test_activations(any_backend, shape, rng):
    x, dy = 3 * rng.standard_normal(shape), rng.standard_normal(shape)
    for name, settings in (("leaky_relu", (0.2,)), ("elu", (1.5,)), ("gelu", ())):
        with compare.during(name):
            tx = tensor(x)
            ty = getattr(functional, name)(tx, *settings)
            ty.backward(torch.tensor(dy))
            y = any_backend.leave(getattr(any_backend, f"{name}_forward")(any_backend.enter(x), *settings))
            compare.check(y, ty.detach().numpy())
            entered = map(any_backend.enter, (dy, x if name == "gelu" else y))
            dx = getattr(any_backend, f"{name}_backward")(*entered, *settings)
            compare.check(any_backend.leave(dx), tx.grad.numpy())


@pytest.mark.parametrize(
    ("shape", "normalised", "groups"),
    [
        ((17, 6, 3, 5), (6,), 3),
        ((5, 6), (6,), 2),
        ((17, 2, 3, 5), (2, 3, 5), None),
        ((5, 2, 3, 5), (3, 5), None),
        ((5, 7), (7,), None),
    ],
    ids=str,
)
def test_group_and_layer_normalisation(any_backend, shape, normalised, groups, rng):
    x, dy, gamma, beta = (rng.standard_normal(s) for s in (shape, shape, normalised, normalised))
    tx, tgamma, tbeta = tensor(x), tensor(gamma), tensor(beta)
    entered = any_backend.enter(x)
    if groups is None:
        ty = functional.layer_norm(tx, normalised, tgamma, tbeta, 1e-3)
        y, mean, inv_std = any_backend.layernorm_forward(entered, gamma, beta, 1e-3)
        gradients = any_backend.layernorm_backward(any_backend.enter(dy), entered, gamma, mean, inv_std)
    else:
        ty = functional.group_norm(tx, groups, tgamma, tbeta, 1e-3)
        y, mean, inv_std = any_backend.groupnorm_forward(entered, gamma, beta, groups, 1e-3)
        gradients = any_backend.groupnorm_backward(any_backend.enter(dy), entered, gamma, mean, inv_std)
    ty.backward(torch.tensor(dy))
    compare.check(any_backend.leave(y), ty.detach().numpy(), tolerance=1e-12)
    for got, witness in zip((any_backend.leave(gradients[0]), *gradients[1:]), (tx, tgamma, tbeta), strict=True):
        compare.check(got, witness.grad.numpy(), tolerance=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_cross_entropy(any_backend, smoothing, rng):
    logits, target = 3 * rng.standard_normal((9, 6)), rng.integers(0, 6, 9).astype(np.intp)
    tlogits = tensor(logits)
    tloss = functional.cross_entropy(tlogits, torch.tensor(target), label_smoothing=smoothing)
    tloss.backward()
    loss, dlogits, _ = any_backend.softmax_cross_entropy(any_backend.enter(logits), target, smoothing)
    compare.check_number(loss, tloss.item(), 1e-13)
    compare.check(any_backend.leave(dlogits), tlogits.grad.numpy())


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_softmax_cross_entropy_with_class_weights(any_backend, kind, smoothing, rng):
    logits, factors = 3 * rng.standard_normal((9, 6)), rng.random(6)
    target = rng.integers(0, 6, 9).astype(np.intp) if kind == "labels" else rng.dirichlet(np.ones(6), 9)
    tlogits = tensor(logits)
    tloss = functional.cross_entropy(
        tlogits, torch.tensor(target), weight=torch.tensor(factors), label_smoothing=smoothing
    )
    tloss.backward()
    loss, dlogits, _ = any_backend.softmax_cross_entropy(any_backend.enter(logits), target, smoothing, None, factors)
    compare.check_number(loss, tloss.item(), 1e-13)
    compare.check(any_backend.leave(dlogits), tlogits.grad.numpy())


def test_losses_of_values(any_backend, rng):
    x, t, p = 3 * rng.standard_normal((9, 6)), rng.random((9, 6)), rng.uniform(0, 3, 6)
    entered, wanted = any_backend.enter(x), torch.tensor(t)
    for name, ours, theirs in (
        ("sigmoid", any_backend.sigmoid_cross_entropy(entered, t), functional.binary_cross_entropy_with_logits),
        (
            "sigmoid, weighted",
            any_backend.sigmoid_cross_entropy(entered, t, None, p),
            lambda x, t: functional.binary_cross_entropy_with_logits(x, t, pos_weight=torch.tensor(p)),
        ),
        ("mse", any_backend.mse_loss(entered, t, None, True), functional.mse_loss),
        ("l1", any_backend.l1_loss(entered, t), functional.l1_loss),
        ("huber", any_backend.huber_loss(entered, t, 0.7), lambda x, t: functional.huber_loss(x, t, delta=0.7)),
    ):
        with compare.during(name):
            tx = tensor(x)
            tloss = theirs(tx, wanted)
            tloss.backward()
            compare.check_number(ours[0], tloss.item(), 1e-13)
            compare.check(any_backend.leave(ours[1]), tx.grad.numpy())


ELEMENTWISE = {
    ("clip", -1.0, 2.0): lambda x: torch.clamp(x, -1, 2),
    ("hard_tanh", 0.0, 6.0): functional.relu6,
    ("hard_sigmoid", 1 / 6, 0.5): lambda x: functional.hardtanh(x / 6 + 0.5, 0, 1),  # its own rounds 1 / 6 to float32
    ("hard_swish", 0.0, 0.0): functional.hardswish,
    ("silu", 0.0, 0.0): functional.silu,
    ("selu", *cases.SELU): functional.selu,
    ("mish", 0.0, 0.0): functional.mish,
    ("gelu_tanh", 0.0, 0.0): lambda x: functional.gelu(x, approximate="tanh"),
    ("softsign", 0.0, 0.0): functional.softsign,
    ("exp", 0.0, 0.0): torch.exp,
    ("log", 0.0, 0.0): torch.log,
    ("sqrt", 0.0, 0.0): torch.sqrt,
    ("pow", 3.0, 0.0): lambda x: x**3,
    ("pow", -1.5, 0.0): lambda x: x**-1.5,
    ("pow", 0.0, 0.0): lambda x: x**0,
    ("erf", 0.0, 0.0): torch.erf,
    ("abs", 0.0, 0.0): torch.abs,
    ("neg", 0.0, 0.0): torch.neg,
    ("reciprocal", 0.0, 0.0): torch.reciprocal,
}


@pytest.mark.parametrize("row", ELEMENTWISE, ids=str)
def test_elementwise(any_backend, row, rng):
    edges = np.array([[-1.0, 0, 1, 2, 6]])
    for x in (4 * rng.standard_normal((5, 3, 4, 6)), rng.random((17, 7)), edges):
        dy, tx = rng.standard_normal(x.shape), tensor(x)
        ty = ELEMENTWISE[row](tx)
        ty.backward(torch.tensor(dy))
        entered = any_backend.enter(x)
        compare.check(any_backend.leave(any_backend.elementwise_forward(entered, *row)), ty.detach().numpy())
        dx = any_backend.leave(any_backend.elementwise_backward(any_backend.enter(dy), entered, *row))
        compare.check(dx, tx.grad.numpy())


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 3, 4, 6), (5, 3, 1, 1)),
        ((5, 3, 4, 6), (5, 1, 4, 6)),
        ((5, 3, 1, 6), (5, 1, 4, 1)),
        ((17, 3, 4, 6), (1, 3, 1, 1)),
        ((17, 3, 4, 6), (1, 3, 4, 6)),
        ((17, 7), (1, 7)),
    ],
    ids=str,
)
def test_arithmetic(any_backend, shapes, rng):
    for operator, function in {
        "+": torch.add,
        "-": torch.sub,
        "*": torch.mul,
        "/": torch.div,
        "prelu": lambda a, b: torch.where(a > 0, a, a * b),
    }.items():
        for turned in (False, True):
            a, b = (rng.standard_normal(shape) for shape in (shapes[::-1] if turned else shapes))
            b += np.sign(b)
            ta, tb = tensor(a), tensor(b)
            ty = function(ta, tb)
            dy = rng.standard_normal(tuple(ty.shape))
            ty.backward(torch.tensor(dy))
            operands = [value if value.shape[0] == 1 else any_backend.enter(value) for value in (a, b)]
            y = any_backend.leave(any_backend.arithmetic_forward(*operands, operator))
            compare.check(y, ty.detach().numpy())
            found = any_backend.arithmetic_backward(any_backend.enter(dy), *operands, operator)
            for got, witness in zip(found, (ta, tb), strict=True):
                compare.check(got if isinstance(got, np.ndarray) else any_backend.leave(got), witness.grad.numpy())


@pytest.mark.parametrize("slopes", [1, 3])
def test_prelu(any_backend, slopes, rng):
    x, slope, dy = rng.standard_normal((17, 3, 4, 5)), rng.standard_normal(slopes), rng.standard_normal((17, 3, 4, 5))
    tx, tslope = tensor(x), tensor(slope)
    ty = functional.prelu(tx, tslope)
    ty.backward(torch.tensor(dy))
    entered, fixed = any_backend.enter(x), slope.reshape(1, -1, 1, 1)
    compare.check(any_backend.leave(any_backend.arithmetic_forward(entered, fixed, "prelu")), ty.detach().numpy())
    dx, dslope = any_backend.arithmetic_backward(any_backend.enter(dy), entered, fixed, "prelu")
    compare.check(any_backend.leave(dx), tx.grad.numpy())
    compare.check(dslope.ravel(), tslope.grad.numpy(), tolerance=1e-12)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_softmax_and_reductions(any_backend, axis, rng):
    x = rng.standard_normal((5, 3, 4, 6))
    entered = any_backend.enter(x)
    for log, function in ((False, functional.softmax), (True, functional.log_softmax)):
        tx, dy = tensor(x), rng.standard_normal(x.shape)
        ty = function(tx, axis)
        ty.backward(torch.tensor(dy))
        y = any_backend.softmax_forward(entered, (axis,), log)
        compare.check(any_backend.leave(y), ty.detach().numpy())
        dx = any_backend.leave(any_backend.softmax_backward(any_backend.enter(dy), y, (axis,), log))
        compare.check(dx, tx.grad.numpy())
    for kind, function in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)):
        tx = tensor(x)
        ty = function(tx, axis, keepdim=True)
        dy = rng.standard_normal(tuple(ty.shape))
        ty.backward(torch.tensor(dy))
        y = any_backend.reduce_forward(entered, kind, (axis,))
        compare.check(any_backend.leave(y), ty.detach().numpy())
        dx = any_backend.reduce_backward(any_backend.enter(dy), kind, (axis,), x.shape, entered, y)
        compare.check(any_backend.leave(dx), tx.grad.numpy())


@pytest.mark.parametrize("shapes", [((4, 6), (6, 3)), ((2, 7, 5), (2, 5, 9)), ((3, 4, 5), (1, 5, 2))], ids=str)
def test_matmul(any_backend, shapes, rng):
    a, b = (rng.standard_normal((5, *shape)) for shape in shapes)
    ta, tb = tensor(a), tensor(b)
    ty = torch.matmul(ta, tb)
    dy = rng.standard_normal(tuple(ty.shape))
    ty.backward(torch.tensor(dy))
    entered = any_backend.enter(a), any_backend.enter(b)
    compare.check(any_backend.leave(any_backend.matmul_forward(*entered)), ty.detach().numpy())
    da, db = any_backend.matmul_backward(any_backend.enter(dy), *entered)
    compare.check(any_backend.leave(da), ta.grad.numpy())
    compare.check(any_backend.leave(db), tb.grad.numpy())
