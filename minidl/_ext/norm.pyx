# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Normalisation of the native backend: what stands in lanes/norm.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport POOL_NONE, norm_backward_args, norm_forward_args, size
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
