"""Bad input to the functions: the error names the operation, the value and the rule, before any kernel runs."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minidl.functional as F  # noqa: N812 - as everyone calls such a module

X, W, B = np.zeros((2, 4, 6, 5)), np.zeros((6, 4, 3, 3)), np.zeros(6)
DY = np.zeros((2, 6, 4, 3))
P = np.zeros(4)
FEATURES, MATRIX = np.zeros((2, 6)), np.zeros((5, 6))
LOGITS = np.zeros((2, 5))
PLACES = np.zeros((2, 4, 3, 2), np.int32)
DPOOL = np.zeros((2, 4, 3, 2))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


VALUE = {
    "rank": (lambda: F.conv2d_forward(X[0], W), "conv2d_forward: input must have 4 dimensions (N, C, H, W)"),
    "weight rank": (lambda: F.conv2d_forward(X, W[0]), "weights must have 4 dimensions"),
    "channels": (lambda: F.conv2d_forward(X[:, :3].copy(), W), "must have 4 channels"),
    "group channels": (lambda: F.conv2d_forward(X, W, groups=2), "must have 8 channels"),
    "groups divide": (lambda: F.conv2d_forward(X, W[:5, :1], groups=4), "divisible by groups, got 5 and 4"),
    "groups 0": (lambda: F.conv2d_forward(X, W, groups=0), "groups must be at least 1, got 0"),
    "bias": (lambda: F.conv2d_forward(X, W, B[:5]), "b must have shape (6,)"),
    "stride 0": (lambda: F.conv2d_forward(X, W, B, stride=0), "stride must be at least 1, got 0"),
    "stride pair": (lambda: F.conv2d_forward(X, W, B, stride=(1, 1, 1)), "stride must be an int or an (h, w) pair"),
    "padding": (lambda: F.conv2d_forward(X, W, B, padding=(0, -1)), "padding must be at least 0, got -1"),
    "dilation": (lambda: F.conv2d_forward(X, W, B, dilation=0), "dilation must be at least 1, got 0"),
    "kernel too large": (lambda: F.conv2d_forward(X, W, B, dilation=3), "kernel's height 7 (kernel 3, dilation 3)"),
    "empty map": (lambda: F.conv2d_forward(np.zeros((2, 4, 0, 5)), W, padding=3), "height must be at least 1"),
    "no channels": (lambda: F.conv2d_forward(X[:, :0], W[:, :0]), "at least 1 channel"),
    "too large": (lambda: F.conv2d_forward(X, W, padding=2**31 - 1), "is too large"),
    "dy": (lambda: F.conv2d_backward(DY[:, :, :3], X, W), "conv2d_backward: dy must have shape (2, 6, 4, 3)"),
    "pool rank": (lambda: F.maxpool2d_forward(X[0], 2), "maxpool2d_forward: input must have 4 dimensions"),
    "pool kernel": (lambda: F.avgpool2d_forward(X, 7), "must fit into the padded input's height 6"),
    "pool padding": (lambda: F.maxpool2d_forward(X, 2, padding=2), "smaller than the kernel's height"),
    "pool kernel 0": (lambda: F.avgpool2d_forward(X, 0), "kernel_size must be at least 1, got 0"),
    "pool dy": (lambda: F.avgpool2d_backward(DPOOL, X.shape, 3), "dy must have shape (2, 4, 2, 1)"),
    "x_shape": (lambda: F.avgpool2d_backward(DPOOL, (4, 6, 5), 2), "x_shape must be (N, C, H, W)"),
    "x_shape negative": (lambda: F.avgpool2d_backward(DPOOL, (2, 4, -6, 5), 2), "x_shape must be at least 1, got -6"),
    "argmax shape": (lambda: F.maxpool2d_backward(DPOOL, PLACES[:1], X.shape, 2), "must have shape (2, 4, 3, 2)"),
    "argmax below": (lambda: F.maxpool2d_backward(DPOOL, PLACES - 1, X.shape, 2), "into its own window, got -1"),
    "argmax above": (lambda: F.maxpool2d_backward(DPOOL, PLACES + 30, X.shape, 2), "into its own window, got 30"),
    "argmax elsewhere": (lambda: F.maxpool2d_backward(DPOOL, PLACES, X.shape, 2), "into its own window, got 0"),
    "global dy": (lambda: F.global_avgpool_backward(P, X.shape), "dy must have shape (2, 4)"),
    "global rank": (lambda: F.global_avgpool_forward(FEATURES), "must be (N, C, H, W)"),
    "boxes meet": (lambda: F.boxes_forward([P[None]], (4,), [[0, 0, 0, 2, 1, 1], [0, 0, 1, 1, 0, 0]]), "must not meet"),
    "box outside": (lambda: F.boxes_forward([P[None]], (4,), [[0, 3, 0, 2, 1, 1]]), "boxes_forward: box 0 must lie in"),
    "no arrays": (lambda: F.boxes_forward([], (4,), [[0, 0, 0]]), "boxes_forward: xs must be a list of at least 1"),
    "images of two": (
        lambda: F.concat([X, X[:1]]),
        "concat: xs[1] must have 2 images as xs[0], got shape (1,",
    ),
    "boxes dy": (lambda: F.boxes_backward(X, (3, 4), [[0, 0, 0]]), "x_shape must have shape (2,) (the images of dy)"),
    "concat sizes": (
        lambda: F.concat([X, X[:, :, :5]]),
        "concat: images must have equal sizes on all axes but 1, got (4, 6, 5) and (4, 5, 5)",
    ),
    "concat ranks": (lambda: F.concat([X, FEATURES]), "equal sizes on all axes but 1, got (4, 6, 5) and (6,)"),
    "concat axis": (lambda: F.concat([X, X], 4), "concat: axis must be at most 3"),
    "concat axis 0": (lambda: F.concat([X, X], 0), "concat: axis must be at least 1, got 0"),
    "split": (lambda: F.split(X, 3), "split: sections must divide the input's 4 places on axis 1, got 3"),
    "split far": (lambda: F.split(X, 2**31 - 1), "split: sections must divide the input's 4 places"),
    "split sizes": (lambda: F.split(X, (1, 2)), "split: sections must add up to the input's 4 places on axis 1"),
    "split none": (lambda: F.split(X, ()), "split: sections must be a number of parts or their sizes, got ()"),
    "slice dy": (lambda: F.slice_backward(X, X.shape, 1), "slice_backward: dy must have shape (3, 6, 5)"),
    "pad x_shape": (lambda: F.pad2d_backward(X, 4, 1), "x_shape must be of 2 to 4 sizes"),
    "pad dy": (lambda: F.pad2d_backward(X, X.shape, 1), "pad2d_backward: dy must have shape (4, 8, 7)"),
    "rows outside": (
        lambda: F.resize_forward(X, ([[6]], [[1.0]]), ([[0]], [[1.0]])),
        "must lie in [0, 6), got 6",
    ),
    "taps": (lambda: F.resize_forward(X, [[0]], ([[0]], [[1.0]])), "rows must be index and weight, got [[0]]"),
    "taps shapes": (
        lambda: F.resize_forward(X, ([[0]], [[1.0, 2]]), ([[0]], [[1.0]])),
        "must have shape (1, 1)",
    ),
    "upsample dy": (lambda: F.upsample_backward(X, X.shape, 2), "upsample_backward: dy must have shape (2, 4, 12, 10)"),
    "squash dim": (
        lambda: F.squash_forward(X, 3),
        "squash_forward: dim must divide the channels of x (2, 4, 6, 5), got 3",
    ),
    "squash rank": (lambda: F.squash_forward(X[0], 2), "x must have 2 or 4 dimensions"),
    "squash dy": (lambda: F.squash_backward(X, X, 2), "dy must have shape (2, 60, 2)"),
    "capsules": (
        lambda: F.capsules_forward(X[0], W),
        "w must have shape (I, J, E, D), none of them 0, for u (4, 6, 5)",
    ),
    "capsules rank": (lambda: F.capsules_forward(X, W), "capsules_forward: u must have 3 dimensions (N, I, D)"),
    "routings": (lambda: F.capsules_forward(X[0], np.zeros((6, 2, 3, 5)), 0), "routings must be at least 1, got 0"),
    "capsules dv": (
        lambda: F.capsules_backward(X[0], F.capsules_forward(X[0], np.zeros((6, 2, 3, 5)))[1]),
        "dv must have shape (4, 2, 3)",
    ),
    "length rank": (lambda: F.capsule_length_forward(X), "v must have 3 dimensions (N, J, E)"),
    "length dy": (lambda: F.capsule_length_backward(P, X[0], P), "dy must have shape (4, 6)"),
    "mask label": (lambda: F.capsule_mask(X[0], [0, 1, 6, 2]), "labels must lie in [0, 6), got 6"),
    "mask labels": (lambda: F.capsule_mask(X[0], [0, 1]), "labels must have shape (4,)"),
    "margin rank": (lambda: F.margin_loss(X, [0, 1]), "margin_loss: lengths must have 2 dimensions (N, K)"),
    "margin label": (lambda: F.margin_loss(LOGITS, [0, 5]), "labels must lie in [0, 5), got 5"),
    "squared error": (lambda: F.squared_error(X, X[:1]), "target must have shape (2, 4, 6, 5)"),
    "linear rank": (lambda: F.linear_forward(X, MATRIX), "linear_forward: x must have 2 dimensions (N, F)"),
    "linear features": (lambda: F.linear_forward(LOGITS, MATRIX), "x must have 6 features like w, got 5"),
    "linear bias": (lambda: F.linear_forward(FEATURES, MATRIX, B), "b must have shape (5,)"),
    "linear dy": (lambda: F.linear_backward(FEATURES, FEATURES, MATRIX), "dy must have shape (2, 5)"),
    "linear empty": (lambda: F.linear_forward(FEATURES, MATRIX[:0]), "w must have at least 1 row"),
    "relu rank": (lambda: F.relu_forward(P), "relu_forward: x must have 2 or 4 dimensions"),
    "relu shapes": (lambda: F.relu_backward(X, X[:1]), "y must have shape (2, 4, 6, 5) (dy's)"),
    "rate": (lambda: F.dropout_forward(X, 1.0, 0), "rate must be in [0, 1), got 1.0"),
    "rate nan": (lambda: F.dropout_forward(X, np.nan, 0), "rate must be in [0, 1), got nan"),
    "key": (lambda: F.dropout_backward(X, 0.5, -1), "key must be in [0, 2**64), got -1"),
    "norm rank": (lambda: F.batchnorm_forward(X[0], P, P, P, P), "x must have 2 or 4 dimensions"),
    "norm channels": (lambda: F.batchnorm_forward(X, P[:3], P, P, P), "gamma must have shape (4,)"),
    "running": (lambda: F.batchnorm_forward(X, P, P, P, B), "running_var must have shape (4,)"),
    "momentum": (lambda: F.batchnorm_forward(X, P, P, P, P, momentum=1.5), "momentum must be in [0, 1], got 1.5"),
    "eps": (lambda: F.batchnorm_forward(X, P, P, P, P, eps=0), "eps must be positive, got 0"),
    "read-only running": (lambda: F.batchnorm_forward(X, P, P, read_only(P), P), "running_mean is changed in place"),
    "norm dy": (lambda: F.batchnorm_backward(X[:1], X, P, P, P), "dy must have shape (2, 4, 6, 5)"),
    "norm inv_std": (lambda: F.batchnorm_backward(X, X, P, P, B), "inv_std must have shape (4,)"),
    "slope": (lambda: F.leaky_relu_forward(X, 1.5), "leaky_relu_forward: slope must be in [0, 1], got 1.5"),
    "alpha": (lambda: F.elu_backward(X, X, 0), "elu_backward: alpha must be positive, got 0"),
    "gelu shapes": (lambda: F.gelu_backward(X, X[:1]), "gelu_backward: x must have shape (2, 4, 6, 5) (dy's)"),
    "kind": (lambda: F.elementwise_forward(X, "sine"), "elementwise_forward: kind must be one of clip, hard_tanh"),
    "no kind": (lambda: F.elementwise_backward(X, X, None), "elementwise_backward: kind must be one of clip"),
    "limits": (lambda: F.elementwise_forward(X, "clip", 2, 1), "clip must have low at most high, got 2.0 and 1.0"),
    "limit nan": (lambda: F.elementwise_forward(X, "clip", np.nan), "low must be finite, got nan"),
    "hard alpha": (lambda: F.elementwise_forward(X, "hard_sigmoid", 0), "must have alpha positive, got 0.0 and 0.5"),
    "no exponent": (lambda: F.elementwise_forward(X, "pow"), "pow must have its exponent"),
    "infinite exponent": (lambda: F.elementwise_forward(X, "pow", np.inf), "exponent must be finite, got inf"),
    "two exponents": (lambda: F.elementwise_forward(X, "pow", 2, 3), "pow takes 1 parameters, got 3"),
    "elementwise shapes": (lambda: F.elementwise_backward(X, X[:1], "exp"), "x must have shape (2, 4, 6, 5)"),
    "operator": (
        lambda: F.arithmetic_forward(X, X, "%"),
        "arithmetic_forward: operator must be one of +, -, *, /, prelu",
    ),
    "operands": (lambda: F.arithmetic_forward(X, X[:, :3], "+"), "shapes must be equal, but for sizes of 1"),
    "operand ranks": (lambda: F.arithmetic_forward(X, X[0], "+"), "shapes must be equal, but for sizes of 1"),
    "operand rank": (lambda: F.arithmetic_forward(P, P, "+"), "a must have 2 or 3 or 4 dimensions"),
    "factors": (lambda: F.matmul_forward(X, X), "matmul_forward: shapes must be (N, M, K) and (N, K, P), or (N, S, M,"),
    "factors of other images": (lambda: F.matmul_forward(X, X[:1, ..., :3]), "matmul_forward: shapes must be"),
    "factor ranks": (lambda: F.matmul_forward(X[:, 0], X), "matmul_forward: shapes must be"),
    "factors of rows": (lambda: F.matmul_forward(P, P.T), "matmul_forward: shapes must be"),
    "product dy": (lambda: F.matmul_backward(X[:, :2], X, X[..., :5, :]), "dy must have shape"),
    "operand dy": (lambda: F.arithmetic_backward(X[:, :1], X, X[:, :1], "+"), "dy must have shape (2, 4, 6, 5)"),
    "reduction": (lambda: F.reduce_forward(X, "min", 1), "reduce_forward: kind must be one of sum, mean, max"),
    "axis 0": (lambda: F.reduce_forward(X, "sum", (0, 1)), "axes must be some of 1 to 3, each once, got (0, 1)"),
    "axis 4": (lambda: F.softmax_forward(X, 4), "axes must be some of 1 to 3, each once, got 4"),
    "axis twice": (lambda: F.reduce_forward(X, "sum", (1, -3)), "axes must be some of 1 to 3, each once"),
    "axes apart": (lambda: F.softmax_forward(X, (1, 3)), "softmax_forward: axes must be neighbours, got (1, 3)"),
    "empty maximum": (lambda: F.reduce_forward(X[:, :0], "max", 1), "none of the axes (1,) may be empty"),
    "empty softmax": (lambda: F.softmax_forward(X[:, :0]), "none of the axes (1,) may be empty"),
    "reduce dy": (lambda: F.reduce_backward(X, "sum", 1, X.shape), "dy must have shape (2, 1, 6, 5)"),
    "maximum of nothing": (lambda: F.reduce_backward(X[:, :1], "max", 1, X.shape), "x must be given for a maximum"),
    "softmax y": (lambda: F.softmax_backward(X, X[:1]), "softmax_backward: y must have shape (2, 4, 6, 5)"),
    "group rank": (lambda: F.groupnorm_forward(X[0], P, P, 2), "x must have 2 or 4 dimensions"),
    "groups": (lambda: F.groupnorm_forward(X, P, P, 3), "must be divisible by groups, got 4 and 3"),
    "no groups": (lambda: F.groupnorm_forward(X, P, P, 0), "groups must be at least 1, got 0"),
    "group gamma": (lambda: F.groupnorm_forward(X, B, P, 2), "gamma must have shape (4,)"),
    "group beta": (lambda: F.groupnorm_forward(X, P, B, 2), "beta must have shape (4,)"),
    "group eps": (lambda: F.groupnorm_forward(X, P, P, 2, -1), "eps must be positive, got -1"),
    "group empty": (lambda: F.groupnorm_forward(X[:, :, :0], P, P, 2), "must be at least 1, got shape"),
    "group dy": (lambda: F.groupnorm_backward(X[:1], X, P, X[:, :2, 0, 0], X[:, :2, 0, 0]), "dy must have shape"),
    "group mean": (lambda: F.groupnorm_backward(X, X, P, P, P), "mean must have 2 dimensions (N, groups)"),
    "group mean 0": (lambda: F.groupnorm_backward(X, X, P, X[:, :0, 0, 0], P), "mean must have at least 1 group"),
    "group mean 3": (lambda: F.groupnorm_backward(X, X, P, X[:, :3, 0, 0], P), "divisible by groups, got 4 and 3"),
    "group inv_std": (lambda: F.groupnorm_backward(X, X, P, X[:, :2, 0, 0], P), "inv_std must have shape (2, 2)"),
    "layer gamma": (lambda: F.layernorm_forward(X, P, P), "gamma must have the shape of the last dimensions of x"),
    "layer all": (lambda: F.layernorm_forward(X, X, X), "gamma must have the shape of the last dimensions of x"),
    "layer number": (lambda: F.layernorm_forward(X, P[0], P[0]), "gamma must have the shape of the last dimensions"),
    "layer beta": (lambda: F.layernorm_forward(X, X[0], X), "beta must have shape (4, 6, 5) (gamma's)"),
    "layer mean": (lambda: F.layernorm_backward(X, X, X[0], X[:, :, 0, 0], P), "mean must have shape (2, 1)"),
    "label above": (lambda: F.softmax_cross_entropy(LOGITS, [0, 5]), "labels must lie in [0, 5), got 5"),
    "label below": (lambda: F.softmax_cross_entropy(LOGITS, [-1, 0]), "labels must lie in [0, 5), got -1"),
    "label count": (lambda: F.softmax_cross_entropy(LOGITS, [0, 1, 2]), "target must have shape (2,)"),
    "one-hot shape": (lambda: F.softmax_cross_entropy(LOGITS, np.eye(4)[:2]), "target must have shape (2, 5)"),
    "logits rank": (lambda: F.softmax_cross_entropy(X, [0, 1]), "logits must have 2 dimensions (N, K)"),
    "no class": (lambda: F.softmax_cross_entropy(np.zeros((2, 0)), [0, 1]), "at least 1 class"),
    "smoothing": (lambda: F.softmax_cross_entropy(LOGITS, [0, 1], -0.1), "smoothing must be in [0, 1], got -0.1"),
    "weight count": (lambda: F.mse_loss(LOGITS, LOGITS, [1]), "weight must have shape (2,) (one a row), got (1,)"),
    "weight below 0": (
        lambda: F.l1_loss(LOGITS, LOGITS, [1, -2]),
        "weight must be finite and at least 0, got -2 in row 1",
    ),
    "class weights": (
        lambda: F.softmax_cross_entropy(LOGITS, [0, 1], class_weight=[1, 2]),
        "class_weight must have shape (5,) (one a class), got (2,)",
    ),
    "sigmoid target": (lambda: F.sigmoid_cross_entropy(LOGITS, LOGITS[:1]), "target must have shape (2, 5)"),
    "sigmoid pos_weight": (
        lambda: F.sigmoid_cross_entropy(LOGITS, LOGITS, pos_weight=[1, 1, np.inf, 0, 0]),
        "pos_weight must be finite and at least 0, got inf in column 2",
    ),
    "huber delta": (lambda: F.huber_loss(LOGITS, LOGITS, 0), "huber_loss: delta must be positive, got 0"),
    "margin weight": (lambda: F.margin_loss(LOGITS, [0, 1], row_weight=[0, np.nan]), "row_weight must be finite"),
    "mse": (lambda: F.mse_loss(LOGITS, FEATURES), "target must have shape (2, 5)"),
    "im2col rank": (lambda: F.im2col(X[0], 3), "im2col: x must have 4 dimensions"),
    "im2col kernel": (lambda: F.im2col(X, (3, 6)), "must fit into the padded input's width 5"),
    "cols": (lambda: F.col2im(np.zeros((36, 23)), X.shape, 3), "cols must have shape (36, 24)"),
    "update shapes": (lambda: F.sgd_update(P.copy(), B), "grad must have shape (4,)"),
    "slot shapes": (lambda: F.adam_update(P.copy(), P, P.copy(), B.copy(), 1), "v must have shape (4,)"),
    "read-only p": (lambda: F.sgd_update(read_only(P), P), "p is changed in place and must be writeable"),
    "step": (lambda: F.adam_update(P.copy(), P, P.copy(), P.copy(), 0), "step must be at least 1, got 0"),
    "blend shapes": (lambda: F.blend(P.copy(), B, 0.5), "b must have shape (4,)"),
    "share": (lambda: F.blend(P.copy(), P, 1.5), "share must be in [0, 1], got 1.5"),
    "scale": (lambda: F.sgd_update(P.copy(), P, scale=-1), "scale must be at least 0, got -1"),
    "lr": (lambda: F.rmsprop_update(P.copy(), P, P.copy(), lr=-1), "lr must be at least 0, got -1"),
    "beta": (lambda: F.adam_update(P.copy(), P, P.copy(), P.copy(), 1, beta1=1.0), "beta1 must be in [0, 1), got 1.0"),
    "pool kind": (lambda: F.conv_relu_pool_forward(X, W, B, pool="median"), "or \"avg\", got 'median'"),
    "pool of conv": (lambda: F.conv_relu_pool_forward(X, W, B, pool_size=5), "padded input's height 4"),
    "affine rank": (lambda: F.affine_relu_forward(P, MATRIX), "x must have at least 2 dimensions (N, ...)"),
    "sandwich dy": (
        lambda: F.conv_relu_backward(DY[:1], F.conv_relu_forward(X, W, B)[1]),
        "conv_relu_backward: dy must have shape (2, 6, 4, 3)",
    ),
    "sandwich gamma": (
        lambda: F.conv_batchnorm_relu_forward(X, W, B, P, P, P.copy(), P.copy()),
        "conv_batchnorm_relu_forward: gamma must have shape (6,)",
    ),
}

SINGLE = X.astype(np.float32)
TYPE = {
    "lists of different lengths": (
        lambda: F.relu_forward([[1.0], [1.0, 2.0]]),
        "relu_forward: x must be one array of float32 or float64, got [[1.0], [1.0, 2.0]]",
    ),
    "no cache": (
        lambda: F.affine_relu_backward(P, 3),
        "affine_relu_backward: cache must be what affine_relu_forward gave, got 3",
    ),
    "another function's cache": (
        lambda: F.conv_relu_backward(P, (1, 2)),
        "conv_relu_backward: cache must be what conv_relu_forward gave, got (1, 2)",
    ),
    "capsules' cache": (lambda: F.capsules_backward(X[0], None), "cache must be what capsules_forward gave, got None"),
    "a number as x_shape": (lambda: F.boxes_backward(P, 3, [[0, 0, 0]]), "boxes_backward: x_shape must be a tuple"),
    "object": (lambda: F.conv2d_forward(X.astype(object), W), "x must be an array of float32 or float64"),
    "complex": (lambda: F.relu_forward(X.astype(complex)), "got dtype complex128"),
    "integer": (lambda: F.maxpool2d_forward(X.astype(int), 2), "got dtype int64"),
    "bool": (lambda: F.relu_forward(X > 0), "got dtype bool"),
    "text": (lambda: F.relu_forward([["a"]]), "got dtype <U1"),
    "long double": (lambda: F.relu_forward(X.astype(np.longdouble)), "x must be an array of float32 or float64"),
    "none": (lambda: F.linear_forward(FEATURES, None), "linear_forward: w must be an array of float32 or float64"),
    "none in place": (lambda: F.rmsprop_update(P.copy(), P, None), "square is changed in place and must be"),
    "mixed": (lambda: F.conv2d_forward(SINGLE, W), "w must have x's dtype float32, got float64"),
    "mixed bias": (lambda: F.conv2d_forward(X, W, B.astype(np.float32)), "b must have x's dtype float64, got float32"),
    "mixed dy": (lambda: F.conv2d_backward(DY.astype(np.float32), X, W), "x must have dy's dtype float32"),
    "mixed running": (lambda: F.batchnorm_forward(SINGLE, *[P.astype(np.float32)] * 3, P), "running_var must have"),
    "mixed capsules": (
        lambda: F.capsules_backward(
            np.zeros((4, 2, 3), np.float32), F.capsules_forward(X[0], np.zeros((6, 2, 3, 5)))[1]
        ),
        "dv must have u's dtype float64, got float32",
    ),
    "mixed target": (lambda: F.mse_loss(X, SINGLE), "target must have x's dtype float64"),
    "mixed sandwich": (
        lambda: F.conv_relu_backward(DY.astype(np.float32), F.conv_relu_forward(X, W, B)[1]),
        "dy must have the forward's dtype float64, got float32",
    ),
    "mixed update": (lambda: F.sgd_update(P.copy(), P.astype(np.float32)), "grad must have p's dtype float64"),
    "float labels": (lambda: F.softmax_cross_entropy(LOGITS, [0.0, 1.0]), "class labels must be integers"),
    "float argmax": (lambda: F.maxpool2d_backward(DPOOL, DPOOL, X.shape, 2), "argmax must be an array of integers"),
    "float stride": (lambda: F.conv2d_forward(X, W, stride=1.5), "stride must be an int, got 1.5"),
    "bool stride": (lambda: F.conv2d_forward(X, W, stride=True), "stride must be an int, got True"),
    "float key": (lambda: F.dropout_forward(X, 0.5, 1.0), "key must be an int, got 1.0"),
    "rate text": (lambda: F.dropout_forward(X, "half", 1), "rate must be a number, got 'half'"),
    "list in place": (lambda: F.sgd_update([0.0], P[:1]), "p is changed in place and must be a numpy array, got list"),
}


@pytest.mark.parametrize("case", VALUE)
def test_bad_values(case):
    call, message = VALUE[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("case", TYPE)
def test_bad_types(case):
    call, message = TYPE[case]
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


def test_a_refused_call_changes_nothing():
    mean, p = np.ones(4), np.ones(4)
    with pytest.raises(ValueError, match="running_var"):
        F.batchnorm_forward(X, P, P, mean, np.ones(3))
    with pytest.raises(ValueError, match="velocity"):
        F.sgd_update(p, np.ones(4), np.ones(3))
    assert mean.tolist() == p.tolist() == [1, 1, 1, 1]


def test_half_precision_is_computed_in_single():
    y = F.relu_forward(np.array([[-1, 0.5]], np.float16))
    assert y.dtype == np.float32
    assert y.tolist() == [[0, 0.5]]
