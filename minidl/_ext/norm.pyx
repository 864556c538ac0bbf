# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Normalisation of the native backend, lanes/norm.h and lanes/row_norm.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport (
    POOL_NONE,
    norm_backward_args,
    norm_forward_args,
    row_norm_backward_args,
    row_norm_forward_args,
    size,
)
from minidl._ext.lanearray cimport (
    UINT8,
    LaneArray,
    Views,
    beside,
    code_of,
    done,
    either,
    in_lanes,
    like,
    made_of,
    ours,
    pair_of,
    same,
)
from minidl._ext.pooling cimport pool_after, pool_before, pool_code

import math

import numpy as np


cdef int channels(LaneArray x, size *C, size *H, size *W) except -1:
    C[0], H[0], W[0] = x.F, 1, 1
    if x.ndim == 4:
        C[0], H[0], W[0] = x.shape[1:]
    elif x.ndim != 2:
        raise ValueError(f"x must have 2 or 4 dimensions, got shape {x.shape}")
    return 0


cdef tuple norm_run(LaneArray x, gamma, beta, running_mean, running_var, double momentum, double eps, bint train,
                    bint relu, int pool):
    cdef norm_forward_args args
    cdef Views views = Views()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    either(x, "x")
    if train:
        x = in_lanes(x)
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    c = code_of(x.kind)
    mean = np.empty(args.C, x.dtype)
    inv_std = np.empty(args.C, x.dtype)
    args.x = x.data
    args.gamma = views.take(gamma, "gamma", args.C, c, False)
    args.beta = views.take(beta, "beta", args.C, c, False)
    args.running_mean = views.take(running_mean, "running_mean", args.C, c, train)
    args.running_var = views.take(running_var, "running_var", args.C, c, train)
    args.mean = views.take(mean, "mean", args.C, c, True)
    args.inv_std = views.take(inv_std, "inv_std", args.C, c, True)
    args.momentum, args.eps, args.train, args.relu, args.pool = momentum, eps, train, relu, pool
    if pool:
        y = made_of(x, (x.n, args.C, args.H // 2, args.W // 2), x.dtype)
        if not x.infer:
            code = made_of(x, y.shape, UINT8)
            args.code = <uint8_t *>code.data
    else:
        y = like(x)
    args.y = y.data
    with nogil:
        status = x.table.norm_forward(&args)
    done(status)
    return y, mean, inv_std, code


def batchnorm_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train):
    """See contract."""
    return norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, False, POOL_NONE)[:3]


cdef tuple norm_back(LaneArray dy, LaneArray code, int pool, bint relu, LaneArray x, gamma, beta, mean, inv_std,
                     bint train, tuple out):
    cdef norm_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx
    cdef int status
    cdef char c
    ours(x, "x")
    ours(dy, "dy", x.kind)
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    if pool:
        same(dy, (x.n, args.C, args.H // 2, args.W // 2), "dy")
        beside(code, dy, UINT8, "saved")
        args.code = <const uint8_t *>code.data
    else:
        same(dy, x.shape, "dy")
    c = code_of(x.kind)
    if out is None:
        out = np.empty(args.C, x.dtype), np.empty(args.C, x.dtype)
    pair_of(out)
    dx = like(x)
    args.dy, args.x, args.dx = dy.data, x.data, dx.data
    args.gamma = views.take(gamma, "gamma", args.C, c, False)
    args.beta = views.take(beta, "beta", args.C, c, False)
    args.mean = views.take(mean, "mean", args.C, c, False)
    args.inv_std = views.take(inv_std, "inv_std", args.C, c, False)
    args.dgamma = views.take(out[0], "dgamma", args.C, c, True)
    args.dbeta = views.take(out[1], "dbeta", args.C, c, True)
    args.train, args.relu, args.pool = train, relu and not pool, pool
    with nogil:
        status = x.table.norm_backward(&args)
    done(status)
    return dx, out[0], out[1]


def batchnorm_backward(dy, x, gamma, mean, inv_std, train=True, out=None):
    """See contract."""
    return norm_back(dy, None, POOL_NONE, False, x, gamma, gamma, mean, inv_std, train, out)


def norm_block_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, pool):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, mean, inv_std, code = norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, fused)
    if pool is None or fused:
        return y, (mean, inv_std, beta, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (mean, inv_std, beta, None, argmax)


def norm_block_backward(dy, saved, x, gamma, train, relu, pool, out=None):
    """See contract."""
    cdef int fused = pool_code(pool)
    mean, inv_std, beta, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, x.shape, pool)
    return norm_back(dy, code, fused, relu, x, gamma, beta, mean, inv_std, train, out)


cdef size group_area(LaneArray x, size groups) except -1:
    """Values of one channel, after checking that x has channels in `groups` groups."""
    cdef size C, H, W
    channels(x, &C, &H, &W)
    if groups < 1 or C % groups or x.F < 1:
        raise ValueError(f"x {x.shape} must have values in channels that {groups} groups divide")
    return H * W


cdef size layer_rows(LaneArray x, tuple shape) except -1:
    """How often `shape` stands in an image of x, whose last dimensions it must be."""
    if not 0 < len(shape) < x.ndim or x.shape[x.ndim - len(shape):] != shape or x.F < 1:
        raise ValueError(f"gamma must have the shape of the last dimensions of x {x.shape}, got {shape}")
    return x.F // math.prod(shape)


cdef tuple row_norm_run(LaneArray x, gamma, beta, size rows, size area, size parameters, double eps):
    cdef row_norm_forward_args args
    cdef Views views = Views()
    cdef LaneArray y = like(x), mean = made_of(x, (x.n, rows), x.dtype), inv_std = like(mean)
    cdef char c = code_of(x.kind)
    cdef int status
    args.n, args.F, args.R, args.area, args.P, args.eps = x.n, x.F, rows, area, parameters, eps
    args.x, args.y, args.mean, args.inv_std = x.data, y.data, mean.data, inv_std.data
    args.gamma = views.take(gamma, "gamma", parameters, c, False)
    args.beta = views.take(beta, "beta", parameters, c, False)
    with nogil:
        status = x.table.row_norm_forward(&args)
    done(status)
    return y, mean, inv_std


cdef tuple row_norm_back(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, size rows, size area,
                         size parameters, tuple out):
    cdef row_norm_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx
    cdef char c = code_of(x.kind)
    cdef int status
    ours(dy, "dy", x.kind)
    same(dy, x.shape, "dy")
    for statistic, name in ((mean, "mean"), (inv_std, "inv_std")):
        ours(statistic, name, x.kind)
        same(statistic, (x.n, rows), name)
    if out is None:
        out = np.empty(gamma.shape, x.dtype), np.empty(gamma.shape, x.dtype)
    pair_of(out)
    dx = like(x)
    args.n, args.F, args.R, args.area, args.P = x.n, x.F, rows, area, parameters
    args.dy, args.x, args.dx, args.mean, args.inv_std = dy.data, x.data, dx.data, mean.data, inv_std.data
    args.gamma = views.take(gamma, "gamma", parameters, c, False)
    args.dgamma = views.take(out[0], "dgamma", parameters, c, True)
    args.dbeta = views.take(out[1], "dbeta", parameters, c, True)
    with nogil:
        status = x.table.row_norm_backward(&args)
    done(status)
    return dx, out[0], out[1]


def groupnorm_forward(LaneArray x, gamma, beta, size groups, double eps):
    """See contract."""
    either(x, "x")
    cdef size area = group_area(x, groups)
    return row_norm_run(x, gamma, beta, groups, area, x.F // area, eps)


def groupnorm_backward(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, out=None):
    """See contract."""
    ours(x, "x")
    ours(mean, "mean", x.kind, 2)
    cdef size groups = mean.F, area = group_area(x, groups)
    return row_norm_back(dy, x, gamma, mean, inv_std, groups, area, x.F // area, out)


def layernorm_forward(LaneArray x, gamma, beta, double eps):
    """See contract."""
    either(x, "x")
    cdef size rows = layer_rows(x, gamma.shape)
    return row_norm_run(x, gamma, beta, rows, 1, x.F // rows, eps)


def layernorm_backward(LaneArray dy, LaneArray x, gamma, LaneArray mean, LaneArray inv_std, out=None):
    """See contract."""
    ours(x, "x")
    cdef size rows = layer_rows(x, gamma.shape)
    return row_norm_back(dy, x, gamma, mean, inv_std, rows, 1, x.F // rows, out)
