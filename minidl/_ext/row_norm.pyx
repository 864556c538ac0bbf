# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Group and layer normalisation of the native backend, lanes/row_norm.h. See `minidl.kernels.contract`."""

from minidl._ext.kernels cimport row_norm_backward_args, row_norm_forward_args, size
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_pair,
    check_shape,
    check_status,
    format_of,
    new_beside,
    new_like,
)

import math

import numpy as np


cdef size group_area(LaneArray x, size groups) except -1:
    """Values of one channel, after checking that x has channels in `groups` groups."""
    if x.ndim != 2 and x.ndim != 4:
        raise ValueError(f"x must have 2 or 4 dimensions, got shape {x.shape}")
    cdef size C = x.shape[1]
    if groups < 1 or C % groups or x.F < 1:
        raise ValueError(f"x {x.shape} must have values in channels that {groups} groups divide")
    return x.F // C


cdef size layer_rows(LaneArray x, tuple shape) except -1:
    """How often `shape` stands in an image of x, whose last dimensions it must be."""
    if not 0 < len(shape) < x.ndim or x.shape[x.ndim - len(shape):] != shape or x.F < 1:
        raise ValueError(f"gamma must have the shape of the last dimensions of x {x.shape}, got {shape}")
    return x.F // math.prod(shape)


cdef tuple row_norm_run(LaneArray x, gamma, beta, size rows, size area, size parameters, double eps):
    cdef row_norm_forward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray y = new_like(x), mean = new_beside(x, (x.n, rows), x.dtype), inv_std = new_like(mean)
    cdef char c = format_of(x.kind)
    cdef int status
    args.n, args.F, args.R, args.area, args.P, args.eps = x.n, x.F, rows, area, parameters, eps
    args.x, args.y, args.mean, args.inv_std = x.data, y.data, mean.data, inv_std.data
    args.gamma = buffers.pointer(gamma, "gamma", parameters, c, False)
    args.beta = buffers.pointer(beta, "beta", parameters, c, False)
    with nogil:
        status = x.table.row_norm_forward(&args)
    check_status(status)
    return y, mean, inv_std


cdef tuple row_norm_back(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, size rows, size area,
                         size parameters, tuple out):
    cdef row_norm_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx
    cdef char c = format_of(x.kind)
    cdef int status
    check_for_training(dy, "dy", x.kind)
    check_shape(dy, x.shape, "dy")
    for statistic, name in ((mean, "mean"), (inv_std, "inv_std")):
        check_for_training(statistic, name, x.kind)
        check_shape(statistic, (x.n, rows), name)
    if out is None:
        out = np.empty(gamma.shape, x.dtype), np.empty(gamma.shape, x.dtype)
    check_pair(out)
    dx = new_like(x)
    args.n, args.F, args.R, args.area, args.P = x.n, x.F, rows, area, parameters
    args.dy, args.x, args.dx, args.mean, args.inv_std = dy.data, x.data, dx.data, mean.data, inv_std.data
    args.gamma = buffers.pointer(gamma, "gamma", parameters, c, False)
    args.dgamma = buffers.pointer(out[0], "dgamma", parameters, c, True)
    args.dbeta = buffers.pointer(out[1], "dbeta", parameters, c, True)
    with nogil:
        status = x.table.row_norm_backward(&args)
    check_status(status)
    return dx, out[0], out[1]


def groupnorm_forward(LaneArray x, gamma, beta, size groups, double eps):
    check_array(x, "x")
    cdef size area = group_area(x, groups)
    return row_norm_run(x, gamma, beta, groups, area, x.F // area, eps)


def groupnorm_backward(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, out=None):
    check_for_training(x, "x")
    check_for_training(mean, "mean", x.kind, 2)
    cdef size groups = mean.F, area = group_area(x, groups)
    return row_norm_back(dy, x, gamma, mean, inv_std, groups, area, x.F // area, out)


def layernorm_forward(LaneArray x, gamma, beta, double eps):
    check_array(x, "x")
    cdef size rows = layer_rows(x, gamma.shape)
    return row_norm_run(x, gamma, beta, rows, 1, x.F // rows, eps)


def layernorm_backward(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, out=None):
    check_for_training(x, "x")
    cdef size rows = layer_rows(x, gamma.shape)
    return row_norm_back(dy, x, gamma, mean, inv_std, rows, 1, x.F // rows, out)
