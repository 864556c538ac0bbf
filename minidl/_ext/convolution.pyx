# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Convolution of the native backend, alone and with what may follow it in one kernel: lanes/conv_*.h, winograd*.h.

See `minidl.kernels.contract`.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport POOL_NONE, conv_backward_args, conv_forward_args, geometry, size
from minidl._ext.lanearray cimport (
    UINT8,
    LaneArray,
    Views,
    beside,
    code_of,
    done,
    either,
    like,
    made_of,
    ours,
    pair_of,
    same,
    winograd_tile,
)
from minidl._ext.pooling cimport pool_after, pool_before, pool_code, window

import numpy as np


cdef int conv_geometry(geometry *g, LaneArray x, object w, tuple stride, tuple padding, tuple dilation,
                       size groups) except -1:
    cdef tuple w_shape = w.shape
    cdef size per_group
    g.n, g.C, g.H, g.W = x.shape
    if len(w_shape) != 4:
        raise ValueError(f"w must have 4 dimensions, got shape {w_shape}")
    g.O = w_shape[0]
    per_group = w_shape[1]
    g.G = groups
    if groups < 1 or g.C < 1 or g.O < 1 or g.C != per_group * groups or g.O % groups:
        raise ValueError(f"x {x.shape}, w {w_shape} and groups {groups} do not go together")
    window(g, w_shape[2:], stride, padding, dilation)
    return 0


cdef tuple conv_run(LaneArray x, w, b, tuple stride, tuple padding, tuple dilation, size groups, bint relu, int pool):
    cdef conv_forward_args args
    cdef Views views = Views()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    memset(&args, 0, sizeof(args))
    either(x, "x", -1, 4)
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    c = code_of(x.kind)
    args.x = x.data
    args.w = views.take(w, "w", args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW, c, False)
    if b is not None:
        args.b = views.take(b, "b", args.g.O, c, False)
    args.relu, args.pool, args.winograd = relu, pool, winograd_tile
    if pool:
        y = made_of(x, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), x.dtype)
        if not x.infer:
            code = made_of(x, y.shape, UINT8)
            args.code = <uint8_t *>code.data
    else:
        y = made_of(x, (x.n, args.g.O, args.g.OH, args.g.OW), x.dtype)
    args.y = y.data
    with nogil:
        status = x.table.conv_forward(&args)
    done(status)
    return y, code


def conv2d_forward(x, w, b, stride, padding, dilation, groups):
    """See contract."""
    return conv_run(x, w, b, stride, padding, dilation, groups, False, POOL_NONE)[0]


cdef tuple conv_back(LaneArray dy, LaneArray relu_y, LaneArray code, int pool, LaneArray x, w, tuple stride,
                     tuple padding, tuple dilation, size groups, bint need_dx, tuple out):
    cdef conv_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    cdef tuple shape
    memset(&args, 0, sizeof(args))
    ours(x, "x", -1, 4)
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    ours(dy, "dy", x.kind, 4)
    shape = (x.n, args.g.O, args.g.OH, args.g.OW)
    if pool:
        same(dy, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), "dy")
        beside(code, dy, UINT8, "saved")
        args.code = <const uint8_t *>code.data
    else:
        same(dy, shape, "dy")
    if relu_y is not None:
        ours(relu_y, "saved", x.kind)
        same(relu_y, shape, "saved")
        args.relu_y = relu_y.data
    args.pool, args.winograd = pool, winograd_tile
    c = code_of(x.kind)
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.g.O, x.dtype)
    pair_of(out)
    args.dy, args.x = dy.data, x.data
    cdef size weights = args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW
    args.w = views.take(w, "w", weights, c, False)
    args.dw = views.take(out[0], "dw", weights, c, True)
    if out[1] is not None:
        args.db = views.take(out[1], "db", args.g.O, c, True)
    if need_dx:
        dx = like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.conv_backward(&args)
    done(status)
    return dx, out[0], out[1]


def conv2d_backward(dy, x, w, stride, padding, dilation, groups, need_dx=True, out=None):
    """See contract."""
    return conv_back(dy, None, None, POOL_NONE, x, w, stride, padding, dilation, groups, need_dx, out)


def conv_block_forward(x, w, b, stride, padding, dilation, groups, relu, pool):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, code = conv_run(x, w, b, stride, padding, dilation, groups, relu, fused)
    if pool is None or fused:
        return y, (y if pool is None else None, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (y, None, argmax)


def conv_block_backward(dy, saved, x, w, stride, padding, dilation, groups, relu, pool, need_dx=True, out=None):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, y.shape, pool)
    return conv_back(dy, y if relu and not fused else None, code, fused, x, w, stride, padding, dilation, groups,
                     need_dx, out)
