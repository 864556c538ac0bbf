"""The binding refuses what a kernel could not survive: wrong kinds, shapes, memory orders, lanes, numbers, sizes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

lanearray = pytest.importorskip("minidl._ext.lanearray", exc_type=ImportError)
from minidl.kernels import native  # noqa: E402

F, D = np.float32, np.float64
ONE, NONE, TWO = (1, 1), (0, 0), (2, 2)
PLAIN = ONE, ONE, ONE, 1
POOL = ("max", TWO, TWO, NONE)
HUGE = 2**31 - 1


def lanes(*shape, dtype=F):
    return native.enter(np.ones(shape, dtype))


def ones(*shape, dtype=F):
    return np.ones(shape, dtype)


def read_only(*shape):
    array = np.ones(shape, F)
    array.flags.writeable = False
    return array


def places(dtype=F):
    """Where the maxima of lanes(2, 3, 4, 4) are."""
    return native.maxpool2d_forward(lanes(2, 3, 4, 4, dtype=dtype), TWO, TWO, NONE)[1]


def code():
    """The byte array that a fused pooling saves."""
    return native.conv_block_forward(lanes(2, 3, 4, 4), ones(3, 3, 3, 3), None, *PLAIN, True, POOL)[1][1]


def conv(x=None, w=None, b=None, stride=ONE, padding=ONE, dilation=ONE, groups=1):
    x = lanes(2, 4, 5, 5) if x is None else x
    return native.conv2d_forward(x, ones(6, 4, 3, 3) if w is None else w, b, stride, padding, dilation, groups)


def conv_backward(dy=None, x=None, w=None, stride=ONE, padding=ONE, out=None, groups=1):
    x, w = lanes(2, 4, 5, 5) if x is None else x, ones(6, 4, 3, 3) if w is None else w
    return native.conv2d_backward(
        lanes(2, 6, 5, 5) if dy is None else dy, x, w, stride, padding, ONE, groups, True, out
    )


def block_backward(saved, dy=None, pool=POOL):
    dy = lanes(2, 3, 2, 2) if dy is None else dy
    return native.conv_block_backward(dy, saved, lanes(2, 3, 4, 4), ones(3, 3, 3, 3), *PLAIN, True, pool)


def norm(x=None, **other):
    arrays = {"gamma": ones(3), "beta": ones(3), "running_mean": ones(3), "running_var": ones(3), **other}
    return native.batchnorm_forward(lanes(2, 3, 4, 4) if x is None else x, *arrays.values(), 0.9, 1e-5, True)


def norm_block(pool, mean=None):
    mean = ones(3) if mean is None else mean
    return native.norm_block_forward(lanes(2, 3, 4, 4), *[ones(3)] * 2, mean, ones(3), 0.9, 1e-5, True, True, pool)


def norm_backward(dy=None, out=None, **other):
    arrays = {"gamma": ones(3), "mean": ones(3), "inv_std": ones(3), **other}
    x = lanes(2, 3, 4, 4)
    return native.batchnorm_backward(lanes(2, 3, 4, 4) if dy is None else dy, x, *arrays.values(), True, out)


def group(x=None, groups=2, **other):
    arrays = {"gamma": ones(4), "beta": ones(4), **other}
    return native.groupnorm_forward(lanes(2, 4, 3, 3) if x is None else x, *arrays.values(), groups, 1e-5)


def group_backward(out=None, **other):
    arrays = {"dy": lanes(2, 4, 3, 3), "x": lanes(2, 4, 3, 3), "gamma": ones(4), "mean": lanes(2, 2)}
    return native.groupnorm_backward(*(arrays | {"inv_std": lanes(2, 2)} | other).values(), out)


def layer(gamma, beta=None, x=None):
    x = lanes(2, 4, 3, 3) if x is None else x
    return native.layernorm_forward(x, gamma, gamma if beta is None else beta, 1e-5)


def linear_backward(out=None, dy=None, w=None):
    dy = lanes(4, 5) if dy is None else dy
    return native.linear_backward(dy, lanes(4, 3), ones(5, 3) if w is None else w, True, out)


def gather(images=None, index=(0, 1), scale=None, shift=None):
    return native.gather(
        ones(3, 2, 4, 4) if images is None else images,
        np.array(index, np.intp) if isinstance(index, tuple) else index,
        ones(2) if scale is None else scale,
        ones(2) if shift is None else shift,
    )


def pool(x_shape=(2, 3, 4, 4), argmax=None, kernel=TWO, dy=None, padding=NONE):
    argmax = places() if argmax is None else argmax
    return native.maxpool2d_backward(lanes(2, 3, 2, 2) if dy is None else dy, argmax, x_shape, kernel, TWO, padding)


def transposed(x=None, w=None, b=None, stride=TWO, padding=NONE, more=NONE, groups=1):
    x, w = lanes(2, 4, 4, 4) if x is None else x, ones(4, 3, 2, 2) if w is None else w
    return native.conv_transpose2d_forward(x, w, b, stride, padding, more, ONE, groups)


def softmax(target, smoothing=0.0, logits=None):
    return native.softmax_cross_entropy(lanes(3, 4) if logits is None else logits, target, smoothing)


def route():
    return native.capsules_forward(lanes(2, 5, 3), ones(5, 2, 4, 3), 3)[1]


def route_back(dv=None, saved=None, routings=3, out=None):
    dv, saved = lanes(2, 2, 4) if dv is None else dv, route() if saved is None else saved
    return native.capsules_backward(dv, saved, lanes(2, 5, 3), ones(5, 2, 4, 3), routings, True, out)


BAD = {
    # kinds of arrays
    "enter integers": (lambda: native.enter(np.ones((2, 3), np.int64)), TypeError, "float32 or float64, got int64"),
    "enter half": (lambda: native.enter(np.ones((2, 3), np.float16)), TypeError, "float32 or float64"),
    "enter complex": (lambda: native.enter(np.ones((2, 3), complex)), TypeError, "float32 or float64"),
    "enter objects": (lambda: native.enter(np.full((2, 3), None)), TypeError, "float32 or float64"),
    "enter swapped bytes": (lambda: native.enter(np.ones((2, 3), ">f4")), TypeError, "float32 or float64, got >f4"),
    "enter a scalar": (lambda: native.enter(np.float32(3)), ValueError, "at least 1 dimension"),
    "enter no dimension": (lambda: native.enter(np.ones((), F)), ValueError, "at least 1 dimension"),
    "enter None": (lambda: native.enter(None), AttributeError, "dtype"),
    "relu of ndarray": (lambda: native.relu_forward(ones(2, 3)), TypeError, "Cannot convert numpy.ndarray"),
    "relu of None": (lambda: native.relu_forward(None), TypeError, "x must be a LaneArray, got None"),
    "relu of places": (lambda: native.relu_forward(places()), TypeError, "x must be of float32 or float64, got int32"),
    "relu of code": (lambda: native.relu_forward(code()), TypeError, "x must be of float32 or float64, got uint8"),
    "leave None": (lambda: native.leave(None), TypeError, "expected minidl._ext.lanearray.LaneArray, got NoneType"),
    "leave ndarray": (lambda: native.leave(ones(2, 3)), TypeError, "ndarray"),
    "leave code": (lambda: native.leave(code()), TypeError, "array of float32, got uint8"),
    "add None": (lambda: native.add(lanes(2, 3), None), TypeError, "b must be a LaneArray, got None"),
    "add two dtypes": (lambda: native.add(lanes(2, 3), lanes(2, 3, dtype=D)), TypeError, "b must have the dtype"),
    "add two shapes": (lambda: native.add(lanes(2, 3), lanes(2, 4)), ValueError, r"b must have shape \(2, 3\)"),
    "add two batches": (lambda: native.add(lanes(2, 3), lanes(20, 3)), ValueError, r"b must have shape \(2, 3\)"),
    "slope of two shapes": (lambda: native.tanh_backward(lanes(2, 3), lanes(2, 9)), ValueError, "y must have shape"),
    # reshape
    "reshape None": (
        lambda: native.reshape(None, (3,)),
        TypeError,
        "expected minidl._ext.lanearray.LaneArray, got NoneType",
    ),
    "reshape to more": (lambda: native.reshape(lanes(2, 3, 2, 2), (13,)), ValueError, "must have the 12 values"),
    "reshape to negative sizes": (lambda: native.reshape(lanes(2, 6), (-2, -3)), ValueError, "must have the 6 values"),
    "reshape past 2**64": (lambda: native.reshape(lanes(2, 4), (2**62 + 1, 4)), ValueError, "must have the 4 values"),
    # convolution
    "conv None": (lambda: native.conv2d_forward(None, ones(6, 4, 3, 3), None, *PLAIN), TypeError, "got None"),
    "conv of rows": (lambda: conv(lanes(2, 4)), ValueError, "x must have 4 dimensions"),
    "conv weights of rank 3": (lambda: conv(w=ones(6, 4, 3)), ValueError, "w must have 4 dimensions"),
    "conv weights float64": (lambda: conv(w=ones(6, 4, 3, 3, dtype=D)), TypeError, "w must be an array of float32"),
    "conv weights Fortran": (lambda: conv(w=np.asfortranarray(ones(6, 4, 3, 3))), ValueError, "w must be a C-contig"),
    "conv weights reversed": (lambda: conv(w=ones(6, 4, 3, 3)[::-1]), ValueError, "w must be a C-contiguous array"),
    "conv weights None": (lambda: native.conv2d_forward(lanes(2, 4, 5, 5), None, None, *PLAIN), AttributeError, None),
    "conv weights list": (lambda: conv(w=[[1.0]]), AttributeError, "shape"),
    "conv other channels": (lambda: conv(w=ones(6, 3, 3, 3)), ValueError, "do not go together"),
    "conv no outputs": (lambda: conv(w=ones(0, 4, 3, 3)), ValueError, "do not go together"),
    "conv no channels": (lambda: conv(lanes(2, 0, 5, 5), ones(6, 0, 3, 3)), ValueError, "do not go together"),
    "conv odd groups": (lambda: conv(w=ones(5, 2, 3, 3), groups=2), ValueError, "do not go together"),
    "conv no groups": (lambda: conv(groups=0), ValueError, "do not go together"),
    "conv groups past 2**64": (lambda: conv(groups=2**62 + 1), ValueError, "do not go together"),
    "conv bias too short": (lambda: conv(b=ones(5)), ValueError, "b must have 6 elements, got 5"),
    "conv bias float64": (lambda: conv(b=ones(6, dtype=D)), TypeError, "b must be an array of float32, got float64"),
    "conv bias list": (lambda: conv(b=[1.0] * 6), TypeError, "b must be an array, got list"),
    "conv bias strided": (lambda: conv(b=ones(12)[::2]), ValueError, "b must be a C-contiguous array"),
    "conv of nothing": (lambda: conv(lanes(2, 4, 0, 5)), ValueError, "height and width must be at least 1"),
    "conv kernel 0": (lambda: conv(w=ones(6, 4, 0, 3)), ValueError, "must be positive"),
    "conv stride 0": (lambda: conv(stride=(0, 1)), ValueError, "must be positive"),
    "conv dilation 0": (lambda: conv(dilation=(1, 0)), ValueError, "must be positive"),
    "conv padding -1": (lambda: conv(padding=(0, -1)), ValueError, "not negative"),
    "conv kernel too large": (lambda: conv(padding=NONE, dilation=(3, 1)), ValueError, "must fit into the padded"),
    "conv stride int": (lambda: conv(stride=2), TypeError, "tuple"),
    "conv stride of 1": (lambda: conv(stride=(1,)), ValueError, "unpack"),
    "conv stride None": (lambda: conv(stride=None), TypeError, "None"),
    "conv stride float": (lambda: conv(stride=(1.5, 1)), TypeError, None),
    "conv padding huge": (lambda: conv(padding=(HUGE, HUGE)), ValueError, "too large"),
    "conv padding 2**31": (lambda: conv(padding=(2**31, 0)), ValueError, "must be below"),
    "conv padding 2**62": (lambda: conv(padding=(2**62, 2**62)), ValueError, "must be below"),
    "conv padding 2**64": (lambda: conv(padding=(2**64, 0)), OverflowError, None),
    "conv padding wide": (lambda: conv(padding=(2**22, 2**22)), ValueError, "too large"),
    "conv dilation huge": (lambda: conv(dilation=(HUGE, HUGE)), ValueError, "must fit into the padded"),
    "conv channels times padding": (
        lambda: conv(lanes(1, 1, 1, 1), ones(2**17, 1, 2, 2), padding=(2**19, 2**19), dilation=(2**20, 2**20)),
        ValueError,
        "too large",
    ),
    "conv backward None": (
        lambda: native.conv2d_backward(None, lanes(2, 4, 5, 5), ones(6, 4, 3, 3), *PLAIN),
        TypeError,
        "dy",
    ),
    "conv backward dy shape": (
        lambda: conv_backward(lanes(2, 6, 4, 5)),
        ValueError,
        r"dy must have shape \(2, 6, 5, 5\)",
    ),
    "conv backward dy batch": (lambda: conv_backward(lanes(1, 6, 5, 5)), ValueError, "dy must have shape"),
    "conv backward dy dtype": (lambda: conv_backward(lanes(2, 6, 5, 5, dtype=D)), TypeError, "dy must have the dtype"),
    "conv backward out 1": (
        lambda: conv_backward(out=(ones(6, 4, 3, 3),)),
        ValueError,
        "out must have 2 arrays, got 1",
    ),
    "conv backward out 0": (lambda: conv_backward(out=()), ValueError, "out must have 2 arrays, got 0"),
    "conv backward out list": (lambda: conv_backward(out=[ones(6, 4, 3, 3), None]), TypeError, "tuple"),
    "conv backward out None": (lambda: conv_backward(out=(None, None)), TypeError, "dw must be an array, got NoneType"),
    "conv backward out small": (lambda: conv_backward(out=(ones(6, 4, 3, 2), None)), ValueError, "dw must have 216 el"),
    "conv backward out bias": (lambda: conv_backward(out=(ones(6, 4, 3, 3), ones(7))), ValueError, "db must have 6 el"),
    "conv backward out dtype": (lambda: conv_backward(out=(ones(6, 4, 3, 3, dtype=D), None)), TypeError, "dw must be"),
    "conv backward out order": (
        lambda: conv_backward(out=(np.asfortranarray(ones(6, 4, 3, 3)), None)),
        ValueError,
        "dw must be a writable C-contiguous array",
    ),
    "conv backward out locked": (
        lambda: conv_backward(out=(read_only(6, 4, 3, 3), None)),
        ValueError,
        "dw must be a wri",
    ),
    # blocks
    "block saved None": (lambda: block_backward(None), TypeError, None),
    "block saved Nones": (lambda: block_backward((None, None, None)), TypeError, "saved must be a LaneArray, got None"),
    "block saved other": (
        lambda: block_backward((None, places(), None)),
        TypeError,
        "saved must be of uint8, got int32",
    ),
    "block saved floats": (
        lambda: block_backward((None, lanes(2, 3, 2, 2), None)),
        TypeError,
        "saved must be of uint8",
    ),
    "block saved small": (
        lambda: block_backward((None, native.reshape(code(), (12, 1, 1)), None)),
        ValueError,
        "saved must have shape",
    ),
    "block saved y": (
        lambda: block_backward((lanes(2, 3, 4, 5), None, None), lanes(2, 3, 4, 4), None),
        ValueError,
        "saved",
    ),
    # pooling
    "pool None": (lambda: native.maxpool2d_forward(None, TWO, TWO, NONE), TypeError, "got None"),
    "pool rows": (lambda: native.maxpool2d_forward(lanes(2, 9), TWO, TWO, NONE), ValueError, "4 dimensions"),
    "pool of nothing": (
        lambda: native.maxpool2d_forward(lanes(1, 1, 0, 9), TWO, ONE, (1, 0)),
        ValueError,
        "at least 1",
    ),
    "pool no width": (lambda: native.avgpool2d_forward(lanes(1, 1, 9, 0), TWO, ONE, (0, 1)), ValueError, "at least 1"),
    "pool global": (lambda: native.global_avgpool_forward(lanes(2, 3, 0, 4)), ValueError, "at least 1"),
    "pool padding": (lambda: native.avgpool2d_forward(lanes(2, 3, 4, 4), TWO, TWO, TWO), ValueError, "smaller than"),
    "pool huge": (
        lambda: native.avgpool2d_forward(lanes(2, 3, 4, 4), (HUGE,) * 2, ONE, (2**30 - 1,) * 2),
        ValueError,
        "large",
    ),
    "pool argmax None": (
        lambda: native.maxpool2d_backward(lanes(2, 3, 2, 2), None, (2, 3, 4, 4), TWO, TWO, NONE),
        TypeError,
        "argmax must be a LaneArray, got None",
    ),
    "pool argmax floats": (lambda: pool(argmax=lanes(2, 3, 2, 2)), TypeError, "argmax must be of int32, got float32"),
    "pool argmax shape": (lambda: pool(argmax=native.reshape(places(), (12,))), ValueError, "argmax must have shape"),
    "pool argmax batch": (lambda: pool((1, 3, 4, 4), dy=lanes(1, 3, 2, 2)), ValueError, "argmax must have shape"),
    "pool x_shape rank": (lambda: pool((2, 3, 4)), ValueError, "4 dimensions"),
    "pool x_shape other": (lambda: pool((2, 3, 8, 4)), ValueError, "dy must have shape"),
    "pool x_shape negative": (lambda: pool((2, -3, -4, 4)), ValueError, "at least 1"),
    "pool four sides": (
        lambda: native.maxpool2d_forward(lanes(2, 3, 4, 4), TWO, TWO, ((0, 2), NONE)),
        ValueError,
        "smaller than",
    ),
    "pool words": (
        lambda: native.maxpool2d_forward(lanes(2, 3, 4, 4), TWO, TWO, "full"),
        ValueError,
        '"same" or "same_lower", got \'full\'',
    ),
    "pool past the image": (
        lambda: native.maxpool2d_forward(lanes(2, 3, 1, 4), TWO, ONE, (1, 0), TWO),
        ValueError,
        "each window hold a pixel",
    ),
    "pool dilation": (
        lambda: native.maxpool2d_forward(lanes(2, 3, 4, 4), TWO, TWO, NONE, (0, 1)),
        ValueError,
        "must be positive",
    ),
    "adaptive rank": (lambda: native.adaptive_avgpool_forward(lanes(2, 3), TWO), ValueError, "4 dimensions"),
    "adaptive size": (lambda: native.adaptive_avgpool_forward(lanes(2, 3, 4, 4), (0, 2)), ValueError, "at least 1"),
    "adaptive huge": (
        lambda: native.adaptive_avgpool_forward(lanes(2, 3, 4, 4), (HUGE, HUGE)),
        ValueError,
        "too large",
    ),
    "adaptive x_shape": (
        lambda: native.adaptive_avgpool_backward(lanes(2, 3, 2, 2), (2, 4, 4, 4)),
        ValueError,
        "dy must have shape",
    ),
    "global max argmax": (
        lambda: native.global_maxpool_backward(lanes(2, 3), lanes(2, 3), (2, 3, 4, 4)),
        TypeError,
        "argmax must be of int32",
    ),
    # transposed convolution
    "transposed None": (lambda: transposed(x=lanes(2, 9)), ValueError, "4 dimensions"),
    "transposed weights": (lambda: transposed(w=ones(4, 3, 2)), ValueError, "w must have 4 dimensions"),
    "transposed channels": (lambda: transposed(w=ones(5, 3, 2, 2)), ValueError, "do not go together"),
    "transposed groups": (lambda: transposed(groups=3), ValueError, "do not go together"),
    "transposed bias": (lambda: transposed(b=ones(4)), ValueError, "b must have 3 elements"),
    "transposed stride": (lambda: transposed(stride=(0, 1)), ValueError, "must be positive"),
    "transposed words": (lambda: transposed(padding="same"), ValueError, "padding must be .* got 'same'"),
    "transposed padding": (lambda: transposed(padding=((0, -1), (0, 0))), ValueError, "must not be negative"),
    "transposed too much padding": (lambda: transposed(padding=(9, 0)), ValueError, "at least 1 and below"),
    "transposed output padding": (lambda: transposed(more=TWO), ValueError, "smaller than the stride"),
    "transposed huge": (lambda: transposed(stride=(HUGE, HUGE)), ValueError, "below 2\\*\\*31"),
    "transposed large": (lambda: transposed(stride=(2**24, 2**24)), ValueError, "too large"),
    "transposed dy": (
        lambda: native.conv_transpose2d_backward(
            lanes(2, 3, 9, 8), lanes(2, 4, 4, 4), ones(4, 3, 2, 2), TWO, NONE, NONE, ONE, 1
        ),
        ValueError,
        "dy must have shape",
    ),
    # local response
    "response rank": (lambda: native.local_response_forward(lanes(2, 3), 3, 1.0, 1.0, 1.0), ValueError, "4 dim"),
    "response k": (
        lambda: native.local_response_forward(lanes(2, 3, 1, 1), 3, 1.0, 1.0, 0.0),
        ValueError,
        "k positive",
    ),
    "response nan": (
        lambda: native.local_response_forward(lanes(2, 3, 1, 1), 3, float("nan"), 1.0, 1.0),
        ValueError,
        "alpha and beta not negative",
    ),
    "response dy": (
        lambda: native.local_response_backward(lanes(2, 3, 1, 2), lanes(2, 3, 1, 1), 3, 1.0, 1.0, 1.0),
        ValueError,
        "dy must have shape",
    ),
    # linear
    "linear None": (lambda: native.linear_forward(None, ones(5, 3), None), TypeError, "got None"),
    "linear of images": (
        lambda: native.linear_forward(lanes(4, 3, 1, 1), ones(5, 3), None),
        ValueError,
        "2 dimensions",
    ),
    "linear weights": (
        lambda: native.linear_forward(lanes(4, 3), ones(5, 4), None),
        ValueError,
        "w must have 15 elements",
    ),
    "linear weights turned": (
        lambda: native.linear_forward(lanes(4, 3), ones(3, 5).T, None),
        ValueError,
        "C-contiguous",
    ),
    "linear weights None": (lambda: native.linear_forward(lanes(4, 3), None, None), TypeError, None),
    "linear bias": (
        lambda: native.linear_forward(lanes(4, 3), ones(5, 3), ones(4)),
        ValueError,
        "b must have 5 elements",
    ),
    "linear dy": (lambda: linear_backward(dy=lanes(4, 6)), ValueError, r"dy must have shape \(4, 5\)"),
    "linear out 1": (lambda: linear_backward((ones(5, 3),)), ValueError, "out must have 2 arrays"),
    "linear out locked": (lambda: linear_backward((read_only(5, 3), ones(5))), ValueError, "dw must be a writable"),
    "linear block None": (
        lambda: native.linear_block_backward(lanes(4, 5), lanes(4, 6), lanes(4, 3), ones(5, 3)),
        ValueError,
        "y must have shape",
    ),
    # normalisation and dropout
    "norm None": (lambda: native.batchnorm_forward(None, *[ones(3)] * 4, 0.9, 1e-5, True), TypeError, "got None"),
    "norm rank 3": (lambda: norm(native.reshape(lanes(2, 3, 4, 4), (3, 16))), ValueError, "2 or 4 dimensions"),
    "norm gamma": (lambda: norm(gamma=ones(4)), ValueError, "gamma must have 3 elements, got 4"),
    "norm gamma None": (lambda: norm(gamma=None), TypeError, "gamma must be an array, got NoneType"),
    "norm statistics locked": (lambda: norm(running_var=read_only(3)), ValueError, "running_var must be a writable"),
    "norm statistics float64": (lambda: norm(running_mean=ones(3, dtype=D)), TypeError, "running_mean must be"),
    "norm momentum None": (
        lambda: native.batchnorm_forward(lanes(2, 3, 4, 4), *[ones(3)] * 4, None, 1e-5, True),
        TypeError,
        None,
    ),
    "norm block pool": (lambda: norm_block(("max", TWO, ONE, (2, 0))), ValueError, "smaller than the kernel"),
    "norm block pool stride": (lambda: norm_block(("avg", TWO, (2**62, 1), NONE)), ValueError, "below 2"),
    "norm dy": (lambda: norm_backward(lanes(2, 3, 4, 5)), ValueError, "dy must have shape"),
    "norm out 3": (lambda: norm_backward(out=(ones(3),) * 3), ValueError, "out must have 2 arrays, got 3"),
    "norm out small": (lambda: norm_backward(out=(ones(3), ones(2))), ValueError, "dbeta must have 3 elements"),
    "norm mean": (lambda: norm_backward(mean=ones(2)), ValueError, "mean must have 3 elements"),
    "group None": (lambda: native.groupnorm_forward(None, ones(3), ones(3), 1, 1e-5), TypeError, "got None"),
    "group rank 3": (
        lambda: native.groupnorm_forward(native.reshape(lanes(2, 4, 3, 3), (4, 9)), ones(4), ones(4), 2, 1e-5),
        ValueError,
        "2 or 4 dimensions",
    ),
    "groups 0": (lambda: group(groups=0), ValueError, "channels that 0 groups divide"),
    "groups 3": (lambda: group(groups=3), ValueError, "channels that 3 groups divide"),
    "groups -2": (lambda: group(groups=-2), ValueError, "channels that -2 groups divide"),
    "group no values": (lambda: group(lanes(2, 4, 0, 3)), ValueError, "must have values"),
    "group no channels": (lambda: group(lanes(2, 0)), ValueError, "must have values"),
    "group gamma": (lambda: group(gamma=ones(3)), ValueError, "gamma must have 4 elements, got 3"),
    "group gamma None": (lambda: group(gamma=None), TypeError, "gamma must be an array, got NoneType"),
    "group beta float64": (lambda: group(beta=ones(4, dtype=D)), TypeError, "beta must be an array of float32"),
    "group eps None": (lambda: native.groupnorm_forward(lanes(2, 4), ones(4), ones(4), 2, None), TypeError, None),
    "group dy": (lambda: group_backward(dy=lanes(2, 4, 3, 2)), ValueError, "dy must have shape"),
    "group dy None": (lambda: group_backward(dy=None), TypeError, "dy must be a LaneArray, got None"),
    "group mean None": (lambda: group_backward(mean=None), TypeError, "mean must be a LaneArray, got None"),
    "group mean array": (lambda: group_backward(mean=ones(2, 2)), TypeError, "got numpy.ndarray"),
    "group mean rank": (lambda: group_backward(mean=lanes(2, 2, 1, 1)), ValueError, "mean must have 2 dimensions"),
    "group mean 3": (lambda: group_backward(mean=lanes(2, 3)), ValueError, "channels that 3 groups divide"),
    "group mean 0": (lambda: group_backward(mean=lanes(2, 0)), ValueError, "channels that 0 groups divide"),
    "group mean batch": (lambda: group_backward(mean=lanes(1, 2)), ValueError, r"mean must have shape \(2, 2\)"),
    "group mean dtype": (lambda: group_backward(mean=lanes(2, 2, dtype=D)), TypeError, "mean must have the dtype"),
    "group inv_std": (lambda: group_backward(inv_std=lanes(2, 4)), ValueError, r"inv_std must have shape \(2, 2\)"),
    "group inv_std places": (lambda: group_backward(inv_std=places()), TypeError, "must be of float32 or float64"),
    "group out": (lambda: group_backward(out=(ones(4), ones(3))), ValueError, "dbeta must have 4 elements"),
    "group out 1": (lambda: group_backward(out=(ones(4),)), ValueError, "out must have 2 arrays, got 1"),
    "group out locked": (lambda: group_backward(out=(read_only(4), ones(4))), ValueError, "dgamma must be a writable"),
    "layer gamma": (lambda: layer(ones(3, 4)), ValueError, "last dimensions of x"),
    "layer gamma of all": (lambda: layer(ones(2, 4, 3, 3)), ValueError, "last dimensions of x"),
    "layer gamma of nothing": (lambda: layer(np.ones((), F)), ValueError, "last dimensions of x"),
    "layer gamma turned": (lambda: layer(ones(3, 3, 4).T), ValueError, "gamma must be a C-contiguous array"),
    "layer gamma None": (lambda: layer(None), AttributeError, "shape"),
    "layer beta": (lambda: layer(ones(4, 3, 3), ones(4)), ValueError, "beta must have 36 elements, got 4"),
    "layer no values": (lambda: layer(ones(0, 3), x=lanes(2, 4, 0, 3)), ValueError, "last dimensions of x"),
    "layer mean": (
        lambda: native.layernorm_backward(*[lanes(2, 4, 3, 3)] * 2, ones(3, 3), lanes(2, 1), lanes(2, 1)),
        ValueError,
        r"mean must have shape \(2, 4\)",
    ),
    "gelu of two shapes": (lambda: native.gelu_backward(lanes(2, 3), lanes(2, 9)), ValueError, "x must have shape"),
    "elu of None": (lambda: native.elu_forward(None, 1.0), TypeError, "x must be a LaneArray, got None"),
    "elu alpha": (lambda: native.elu_forward(lanes(2, 3), None), TypeError, None),
    "dropout rate 1": (lambda: native.dropout_forward(lanes(2, 3), 1.0, 1), ValueError, r"rate must lie in \[0, 1\)"),
    "dropout rate NaN": (lambda: native.dropout_forward(lanes(2, 3), np.nan, 1), ValueError, "rate must lie in"),
    "dropout key -1": (lambda: native.dropout_forward(lanes(2, 3), 0.5, -1), OverflowError, None),
    "dropout key None": (lambda: native.dropout_forward(lanes(2, 3), 0.5, None), TypeError, None),
    # data and losses
    "gather beyond": (lambda: gather(index=(0, 3)), ValueError, r"index must lie in \[0, 3\), got 3"),
    "gather before": (lambda: gather(index=(-1, 0)), ValueError, r"index must lie in \[0, 3\), got -1"),
    "gather far": (lambda: gather(index=(2**62, 0)), ValueError, "index must lie in"),
    "gather from nothing": (lambda: gather(ones(0, 2, 4, 4)), ValueError, r"index must lie in \[0, 0\), got 0"),
    "gather int32 index": (
        lambda: gather(index=np.zeros(2, np.int32)),
        TypeError,
        "index must be an array of int64, got int32",
    ),
    "gather index of rows": (lambda: gather(index=np.zeros((2, 2), np.intp)), ValueError, "index must have 2 elements"),
    "gather int images": (lambda: gather(np.ones((3, 2, 4, 4), np.int16)), TypeError, "float32 or float64, got int16"),
    "gather images turned": (lambda: gather(ones(4, 4, 2, 3).T), ValueError, "images must be a C-contiguous array"),
    "gather one dimension": (lambda: gather(ones(3)), ValueError, "at least 2 dimensions"),
    "gather no dimension": (lambda: gather(np.ones((), F)), ValueError, "at least 2 dimensions"),
    "gather scale": (lambda: gather(scale=ones(3)), ValueError, "one entry a channel"),
    "gather no scale": (lambda: gather(scale=ones(0)), ValueError, "one entry a channel"),
    "gather shift": (lambda: gather(shift=ones(1)), ValueError, "shift must have 2 elements"),
    "gather shift dtype": (lambda: gather(shift=ones(2, dtype=D)), TypeError, "shift must be an array of float32"),
    "label too large": (lambda: softmax(np.array([0, 4, 1])), ValueError, r"labels must lie in \[0, 4\), got 4"),
    "label negative": (lambda: softmax(np.array([0, 1, -1])), ValueError, r"labels must lie in \[0, 4\), got -1"),
    "labels too few": (lambda: softmax(np.array([0, 1])), ValueError, "target must have 3 elements, got 2"),
    "labels int32": (
        lambda: softmax(np.array([0, 1, 2], np.int32)),
        TypeError,
        "target must be an array of int64",
    ),
    "target float64": (lambda: softmax(ones(3, 4, dtype=D)), TypeError, "target must be an array of float32"),
    "target wide": (lambda: softmax(ones(3, 5)), ValueError, "target must have 12 elements, got 15"),
    "target None": (lambda: softmax(None), AttributeError, "ndim"),
    "no classes": (lambda: softmax(np.zeros(3, np.intp), logits=lanes(3, 0)), ValueError, "at least one class"),
    "logits of images": (lambda: softmax(np.zeros(3, np.intp), logits=lanes(3, 4, 1, 1)), ValueError, "2 dimensions"),
    "mse None": (lambda: native.mse_loss(None, ones(3, 4)), TypeError, "got None"),
    "mse target": (lambda: native.mse_loss(lanes(3, 4), ones(3, 5)), ValueError, "target must have 12 elements"),
    "weight too few": (
        lambda: native.mse_loss(lanes(3, 4), ones(3, 4), ones(2)),
        ValueError,
        "weight must have 3 elements, got 2",
    ),
    "weight float64": (
        lambda: native.softmax_cross_entropy(lanes(3, 4), ones(3, 4), 0.0, ones(3, dtype=D)),
        TypeError,
        "weight must be an array of float32",
    ),
    "class weight": (
        lambda: native.softmax_cross_entropy(lanes(3, 4), ones(3, 4), 0.0, None, ones(3)),
        ValueError,
        "class_weight must have 4 elements, got 3",
    ),
    "sigmoid None": (lambda: native.sigmoid_cross_entropy(None, ones(3, 4)), TypeError, "got None"),
    "sigmoid target": (
        lambda: native.sigmoid_cross_entropy(lanes(3, 4), ones(3, 3)),
        ValueError,
        "target must have 12 elements, got 9",
    ),
    "pos_weight": (
        lambda: native.sigmoid_cross_entropy(lanes(3, 4), ones(3, 4), None, ones(3)),
        ValueError,
        "pos_weight must have 4 elements, got 3",
    ),
    "l1 target None": (lambda: native.l1_loss(lanes(3, 4), None), TypeError, "target must be an array"),
    "huber entered for inference": (
        lambda: native.huber_loss(native.enter(ones(3, 4), True), ones(3, 4)),
        ValueError,
        "entered for inference",
    ),
    "margin weight": (
        lambda: native.margin_loss(lanes(2, 3), np.array([0, 1]), row_weight=ones(3)),
        ValueError,
        "weight must have 2 elements, got 3",
    ),
    "squared error None": (lambda: native.squared_error(lanes(2, 3), None, 1.0), TypeError, "got None"),
    # capsules
    "squash dim 0": (lambda: native.squash_forward(lanes(2, 4, 3, 3), 0), ValueError, "dim must divide the channels"),
    "squash dim 3": (lambda: native.squash_forward(lanes(2, 4, 3, 3), 3), ValueError, "dim must divide the channels"),
    "squash rank": (lambda: native.squash_forward(lanes(2, 4, 3), 2), ValueError, "2 or 4 dimensions"),
    "squash None": (lambda: native.squash_forward(None, 2), TypeError, "x must be a LaneArray, got None"),
    "squash dy": (lambda: native.squash_backward(lanes(2, 4, 3), lanes(2, 4, 3, 3), 2), ValueError, "dy must have sh"),
    "routing u": (lambda: native.capsules_forward(lanes(2, 5, 3, 1), ones(5, 2, 4, 3), 3), ValueError, "3 dimensions"),
    "routing w rank": (lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 8, 3), 3), ValueError, "w must have sh"),
    "routing w": (lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 2, 3, 4), 3), ValueError, "w must have sh"),
    "routing none": (
        lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 0, 4, 3), 3),
        ValueError,
        "dimension of 0",
    ),
    "routing w dtype": (
        lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 2, 4, 3, dtype=D), 3),
        TypeError,
        "w must be an array of float32",
    ),
    "routings 0": (lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 2, 4, 3), 0), ValueError, "at least 1"),
    "routings huge": (
        lambda: native.capsules_forward(lanes(2, 5, 3), ones(5, 2, 4, 3), 2**60),
        ValueError,
        "too large for an array",
    ),
    "routing dv": (lambda: route_back(lanes(2, 4, 2)), ValueError, r"dv must have shape \(2, 2, 4\)"),
    "routing other passes": (lambda: route_back(routings=2), ValueError, "saved must have shape"),
    "routing saved None": (lambda: route_back(saved=(None, None)), TypeError, "saved must be a LaneArray, got None"),
    "routing saved swapped": (lambda: route_back(saved=route()[::-1]), ValueError, "saved must have shape"),
    "routing out": (lambda: route_back(out=ones(5, 2, 4, 2)), ValueError, "dw must have 120 elements"),
    "routing out locked": (lambda: route_back(out=read_only(5, 2, 4, 3)), ValueError, "dw must be a writable"),
    "length rank": (lambda: native.capsule_length_forward(lanes(2, 3)), ValueError, "3 dimensions"),
    "length y": (
        lambda: native.capsule_length_backward(lanes(2, 3), lanes(2, 3, 4), lanes(2, 4)),
        ValueError,
        r"y must have shape \(2, 3\)",
    ),
    "mask label": (
        lambda: native.capsule_mask(lanes(2, 3, 4), np.array([0, 3])),
        ValueError,
        r"labels must lie in \[0, 3\), got 3",
    ),
    "mask labels": (lambda: native.capsule_mask(lanes(2, 3, 4), np.array([0])), ValueError, "labels must have 2 el"),
    "margin label": (lambda: native.margin_loss(lanes(2, 3), np.array([0, -1])), ValueError, "labels must lie in"),
    "margin rows": (lambda: native.margin_loss(lanes(2, 3), ones(2, 2)), ValueError, "target must have 6 elements"),
    "margin no class": (
        lambda: native.margin_loss(lanes(2, 0), np.zeros(2, np.intp)),
        ValueError,
        "at least one class",
    ),
    "squared error": (
        lambda: native.squared_error(lanes(2, 3), lanes(3, 3), 1.0),
        ValueError,
        "target must have shape",
    ),
    "squared error dtype": (
        lambda: native.squared_error(lanes(2, 3), lanes(2, 3, dtype=D), 1.0),
        TypeError,
        "target must have the dtype",
    ),
    # updates
    "sgd None": (lambda: native.sgd_update(None, ones(3), None, 0.1, 0.0, 0.0), AttributeError, "dtype"),
    "sgd locked": (
        lambda: native.sgd_update(read_only(3), ones(3), None, 0.1, 0.0, 0.0),
        ValueError,
        "p must be a wri",
    ),
    "sgd grad": (lambda: native.sgd_update(ones(3), ones(4), None, 0.1, 0.0, 0.0), ValueError, "grad must have 3 el"),
    "sgd dtypes": (
        lambda: native.sgd_update(ones(3), ones(3, dtype=D), None, 0.1, 0.0, 0.0),
        TypeError,
        "grad must be",
    ),
    "sgd integers": (lambda: native.sgd_update(np.ones(3, int), ones(3), None, 0.1, 0, 0), TypeError, "float32 or"),
    "together of two dtypes": (
        lambda: native.together([ones(3), ones(3, dtype=D)]),
        TypeError,
        "together must be an array of float32, got float64",
    ),
    "together of integers": (lambda: native.together([np.ones(3, int)]), TypeError, "float32 or float64"),
    "together of no array": (lambda: native.together([ones(3), [1.0]]), AttributeError, "size"),
    "together beside one": (
        lambda: native.sgd_update(native.together([ones(3), ones(2)]), ones(3), None, 0.1, 0.0, 0.0),
        ValueError,
        "grad must be 2 arrays together, got ndarray",
    ),
    "together beside fewer": (
        lambda: native.blend(native.together([ones(3), ones(2)]), native.together([ones(3)]), 0.1),
        ValueError,
        "b must be 2 arrays together of the same dtype as the first, got 1",
    ),
    "together beside other sizes": (
        lambda: native.blend(native.together([ones(3), ones(2)]), native.together([ones(3), ones(4)]), 0.1),
        ValueError,
        "b, array 1 of those together, must have 2 elements, got 4",
    ),
    "together beside another dtype": (
        lambda: native.blend(native.together([ones(3)]), native.together([ones(3, dtype=D)]), 0.1),
        ValueError,
        "of the same dtype as the first",
    ),
    "together read-only": (
        lambda: native.blend(native.together([ones(3), read_only(3)]), native.together([ones(3), ones(3)]), 0.1),
        ValueError,
        "a must be writable arrays together",
    ),
    "together by its class": (lambda: type(native.together([]))(), TypeError, "made by together"),
    "rmsprop state": (lambda: native.rmsprop_update(ones(3), ones(3), None, 0.1, 0.9, 1e-8, 0.0), TypeError, "square"),
    "adam state": (
        lambda: native.adam_update(ones(3), ones(3), ones(3), ones(2), 1, 0.1, 0.9, 0.9, 1e-8, 0.0),
        ValueError,
        "v must have 3 elements",
    ),
    "blend sizes": (lambda: native.blend(ones(3), ones(4), 0.5), ValueError, "b must have 3 elements, got 4"),
    "blend dtypes": (lambda: native.blend(ones(3), ones(3, dtype=D), 0.5), TypeError, "b must be"),
    "blend locked": (lambda: native.blend(read_only(3), ones(3), 0.5), ValueError, "a must be a wri"),
    "squares of integers": (lambda: native.sum_of_squares(np.ones(3, int)), TypeError, "float32 or float64"),
    "squares of steps": (lambda: native.sum_of_squares(ones(6)[::2]), ValueError, "a must be a C-contiguous"),
    "squares of None": (lambda: native.sum_of_squares(None), AttributeError, "dtype"),
    # instruction sets
    "isa unknown": (lambda: native.use_isa("mmx"), ValueError, "instruction set must be one of"),
    "isa None": (lambda: native.use_isa(None), ValueError, "instruction set must be one of"),
}


@pytest.mark.parametrize(("call", "error", "text"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_refused_pooling_leaves_running_statistics():
    mean = np.array([5, 6, 7], F)
    for pool in (("max", TWO, (0, 1), NONE), ("max", TWO, TWO, NONE, (5, 1), False), ("avg", (5, 5), TWO, NONE, True)):
        with pytest.raises(ValueError, match=r"must be|must fit"):
            norm_block(pool, mean)
        assert mean.tolist() == [5, 6, 7]
    norm_block(("max", TWO, ONE, NONE, ONE, True), mean)
    np.testing.assert_allclose(mean, 0.9 * np.array([5, 6, 7]) + 0.1, rtol=1e-6)


def test_arrays_are_made_by_the_backend_alone():
    with pytest.raises(TypeError, match="made by enter or gather"):
        lanearray.LaneArray()
    empty = lanearray.LaneArray.__new__(lanearray.LaneArray)
    assert repr(empty) == "LaneArray(shape=None, dtype=None, lanes=0)"
    for use in (
        native.leave,
        native.relu_forward,
        lambda a: native.add(a, a),
        lambda a: native.add(lanes(2, 3), a),
        lambda a: native.dropout_forward(a, 0.5, 1),
        lambda a: native.squash_forward(a, 1),
    ):
        with pytest.raises(ValueError, match="another instruction set"):
            use(empty)
    with pytest.raises(ValueError, match="saved is in the lanes of another"):
        block_backward((None, empty, None))
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copying(lanes(2, 3))
    with pytest.raises(AttributeError):
        lanes(2, 3).shape = (6,)


def test_an_array_says_what_it_is():
    x = lanes(5, 3, 2, 1)
    assert len(x) == 5
    assert repr(x) == f"LaneArray(shape=(5, 3, 2, 1), dtype=float32, lanes={lanearray.lanes(F)})"


@pytest.mark.skipif(len(native.isas()) < 2, reason="this machine has one instruction set")
def test_arrays_of_another_instruction_set_are_refused():
    first, second = native.isas()[:2]
    before = native.isa()
    try:
        native.use_isa(second)
        narrow = lanes(2, 3, 4, 4)
        old_places, old_code = places(), code()
        native.use_isa(first)
        for call in (
            lambda: native.leave(narrow),
            lambda: native.leave(old_places),
            lambda: native.relu_forward(narrow),
            lambda: native.add(lanes(2, 3, 4, 4), narrow),
            lambda: conv(narrow, ones(6, 3, 3, 3)),
            lambda: conv_backward(lanes(2, 6, 4, 4), narrow, ones(6, 3, 3, 3)),
            lambda: conv_backward(narrow, lanes(2, 3, 4, 4), ones(3, 3, 3, 3)),
            lambda: norm(narrow),
            lambda: norm_backward(narrow),
            lambda: pool(argmax=old_places),
            lambda: native.maxpool2d_backward(lanes(2, 3, 2, 2, dtype=D), old_places, (2, 3, 4, 4), TWO, TWO, NONE),
            lambda: block_backward((None, old_code, None)),
            lambda: native.relu_forward(native.reshape(narrow, (48,))),
        ):
            with pytest.raises(ValueError, match="instruction set"):
                call()
        native.use_isa(second)
        np.testing.assert_array_equal(native.leave(narrow), ones(2, 3, 4, 4))
    finally:
        native.use_isa(before)


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_strides_beyond_the_input_are_harmless(groups):
    """One output, whatever the stride; time and memory of the input gradient must not grow with it."""
    rng = np.random.default_rng(groups)
    x, w = rng.standard_normal((2, 10, 5, 4)), rng.standard_normal((10, 10 // groups, 3, 2))
    dy = rng.standard_normal((2, 10, 1, 1))
    found = []
    for stride in ((7, 7), (2**20 + 1, 7), (HUGE, HUGE)):
        args = native.enter(x), w, None, stride, ONE, ONE, groups
        y = native.leave(native.conv2d_forward(*args))
        dx, dw, db = native.conv2d_backward(native.enter(dy), args[0], w, stride, ONE, ONE, groups)
        found.append([y, native.leave(dx), dw, db])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    corner = np.zeros_like(x)
    for image, o in np.ndindex(2, 10):
        at = o // (10 // groups) * (10 // groups)
        corner[image, at : at + 10 // groups, :2, :1] += dy[image, o, 0, 0] * w[o, :, 1:, 1:]
    np.testing.assert_allclose(found[0][1], corner, rtol=1e-12, atol=1e-14)


def test_misaligned_memory_is_refused_or_harmless():
    """numpy names such arrays by another format; a kernel may count on whole elements at least."""
    buffer = np.zeros(4 * 108 + 4, np.uint8)
    w = buffer[1:-3].view(F).reshape(3, 4, 3, 3)
    assert not w.flags.aligned
    try:
        y = conv(w=w)
    except (TypeError, ValueError):
        return
    assert not native.leave(y).any()
