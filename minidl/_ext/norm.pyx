# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Normalisation of the native backend, lanes/norm.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport (
    POOL_NONE,
    geometry,
    norm_backward_args,
    norm_forward_args,
    pool_mean,
    size,
)
from minidl._ext.lanearray cimport (
    UINT8,
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_pair,
    check_same_lanes,
    check_shape,
    check_status,
    format_of,
    in_lanes,
    new_beside,
    new_like,
)
from minidl._ext.pooling cimport pool_after, pool_before, pool_code, pool_geometry

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
    cdef Buffers buffers = Buffers()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    check_array(x, "x")
    if train:
        x = in_lanes(x)
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    c = format_of(x.kind)
    mean = np.empty(args.C, x.dtype)
    inv_std = np.empty(args.C, x.dtype)
    args.x = x.data
    args.gamma = buffers.pointer(gamma, "gamma", args.C, c, False)
    args.beta = buffers.pointer(beta, "beta", args.C, c, False)
    args.running_mean = buffers.pointer(running_mean, "running_mean", args.C, c, train)
    args.running_var = buffers.pointer(running_var, "running_var", args.C, c, train)
    args.mean = buffers.pointer(mean, "mean", args.C, c, True)
    args.inv_std = buffers.pointer(inv_std, "inv_std", args.C, c, True)
    args.momentum, args.eps, args.train, args.relu, args.pool = momentum, eps, train, relu, pool
    if pool:
        y = new_beside(x, (x.n, args.C, args.H // 2, args.W // 2), x.dtype)
        if not x.infer:
            code = new_beside(x, y.shape, UINT8)
            args.code = <uint8_t *>code.data
    else:
        y = new_like(x)
    args.y = y.data
    with nogil:
        status = x.table.norm_forward(&args)
    check_status(status)
    return y, mean, inv_std, code


def batchnorm_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train):
    return norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, False, POOL_NONE)[:3]


cdef tuple norm_back(LaneArray dy, LaneArray code, int pool, bint relu, LaneArray x, gamma, beta, mean, inv_std,
                     bint train, tuple out):
    cdef norm_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx
    cdef int status
    cdef char c
    check_for_training(x, "x")
    check_for_training(dy, "dy", x.kind)
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    if pool:
        check_shape(dy, (x.n, args.C, args.H // 2, args.W // 2), "dy")
        check_same_lanes(code, dy, UINT8, "saved")
        args.code = <const uint8_t *>code.data
    else:
        check_shape(dy, x.shape, "dy")
    c = format_of(x.kind)
    if out is None:
        out = np.empty(args.C, x.dtype), np.empty(args.C, x.dtype)
    check_pair(out)
    dx = new_like(x)
    args.dy, args.x, args.dx = dy.data, x.data, dx.data
    args.gamma = buffers.pointer(gamma, "gamma", args.C, c, False)
    args.beta = buffers.pointer(beta, "beta", args.C, c, False)
    args.mean = buffers.pointer(mean, "mean", args.C, c, False)
    args.inv_std = buffers.pointer(inv_std, "inv_std", args.C, c, False)
    args.dgamma = buffers.pointer(out[0], "dgamma", args.C, c, True)
    args.dbeta = buffers.pointer(out[1], "dbeta", args.C, c, True)
    args.train, args.relu, args.pool = train, relu and not pool, pool
    with nogil:
        status = x.table.norm_backward(&args)
    check_status(status)
    return dx, out[0], out[1]


def batchnorm_backward(dy, x, gamma, mean, inv_std, train=True, out=None):
    return norm_back(dy, None, POOL_NONE, False, x, gamma, gamma, mean, inv_std, train, out)


cdef int check_pool(LaneArray x, pool) except -1:
    """Refuse what `pool_after` would refuse, before running statistics are written."""
    cdef geometry g
    cdef pool_mean mean
    check_array(x, "x")
    kind, kernel_size, stride, padding, *more = pool
    dilated = kind == "max"
    dilation = more[0] if dilated and more else (1, 1)
    pool_geometry(&g, &mean, x.shape, kernel_size, stride, padding, dilation, more[dilated:][:1] == [True], False)
    return 0


def norm_block_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, pool):
    cdef int fused = pool_code(pool)
    if pool is not None and not fused:
        check_pool(x, pool)
    y, mean, inv_std, code = norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, fused)
    if pool is None or fused:
        return y, (mean, inv_std, beta, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (mean, inv_std, beta, None, argmax)


def norm_block_backward(dy, saved, x, gamma, train, relu, pool, out=None):
    cdef int fused = pool_code(pool)
    mean, inv_std, beta, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, x.shape, pool)
    return norm_back(dy, code, fused, relu, x, gamma, beta, mean, inv_std, train, out)
