# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Convolution of the native backend, alone and with what may follow it in one kernel: lanes/conv/.

See `minidl.kernels.contract`.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport POOL_NONE, conv_backward_args, conv_forward_args, geometry, size
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
    kind_of,
    new_beside,
    new_like,
    tables,
    winograd_tile,
)
from minidl._ext.pooling cimport pool_after, pool_before, pool_code, window

import numpy as np


cdef int conv_geometry(geometry *g, tuple x_shape, tuple w_shape, tuple stride, padding, tuple dilation,
                       size groups) except -1:
    cdef size per_group
    g.n, g.C, g.H, g.W = x_shape
    if len(w_shape) != 4:
        raise ValueError(f"w must have 4 dimensions, got shape {w_shape}")
    g.O = w_shape[0]
    per_group = w_shape[1]
    g.G = groups
    if groups < 1 or g.C < 1 or g.O < 1 or g.C != per_group * groups or g.O % groups:
        raise ValueError(f"x {x_shape}, w {w_shape} and groups {groups} do not go together")
    window(g, w_shape[2:], stride, padding, dilation, False, NULL, NULL)
    return 0


def conv_form(dtype, tuple x_shape, tuple w_shape, tuple stride, padding, tuple dilation, size groups):
    """How a convolution with images in lanes is summed, in words: "direct" or "winograd 2 x 4"."""
    cdef geometry g
    cdef size rows, columns
    memset(&g, 0, sizeof(g))
    conv_geometry(&g, x_shape, w_shape, stride, padding, dilation, groups)
    tables[kind_of(np.dtype(dtype))].conv_tile(&g, winograd_tile(), &rows, &columns)
    return f"winograd {rows} x {columns}" if rows else "direct"


cdef tuple conv_run(LaneArray x, w, b, tuple stride, padding, tuple dilation, size groups, bint relu, int pool):
    cdef conv_forward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    memset(&args, 0, sizeof(args))
    check_array(x, "x", -1, 4)
    conv_geometry(&args.g, x.shape, w.shape, stride, padding, dilation, groups)
    c = format_of(x.kind)
    args.x = x.data
    args.w = buffers.pointer(w, "w", args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW, c, False)
    if b is not None:
        args.b = buffers.pointer(b, "b", args.g.O, c, False)
    args.relu, args.pool, args.winograd = relu, pool, winograd_tile()
    if pool:
        y = new_beside(x, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), x.dtype)
        if not x.infer:
            code = new_beside(x, y.shape, UINT8)
            args.code = <uint8_t *>code.data
    else:
        y = new_beside(x, (x.n, args.g.O, args.g.OH, args.g.OW), x.dtype)
    args.y = y.data
    with nogil:
        status = x.table.conv_forward(&args)
    check_status(status)
    return y, code


def conv2d_forward(x, w, b, stride, padding, dilation, groups):
    return conv_run(x, w, b, stride, padding, dilation, groups, False, POOL_NONE)[0]


cdef tuple conv_back(LaneArray dy, LaneArray relu_y, LaneArray code, int pool, LaneArray x, w, tuple stride,
                     padding, tuple dilation, size groups, bint need_dx, tuple out):
    cdef conv_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    cdef tuple shape
    memset(&args, 0, sizeof(args))
    check_for_training(x, "x", -1, 4)
    conv_geometry(&args.g, x.shape, w.shape, stride, padding, dilation, groups)
    check_for_training(dy, "dy", x.kind, 4)
    shape = (x.n, args.g.O, args.g.OH, args.g.OW)
    if pool:
        check_shape(dy, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), "dy")
        check_same_lanes(code, dy, UINT8, "saved")
        args.code = <const uint8_t *>code.data
    else:
        check_shape(dy, shape, "dy")
    if relu_y is not None:
        check_for_training(relu_y, "saved", x.kind)
        check_shape(relu_y, shape, "saved")
        args.relu_y = relu_y.data
    args.pool, args.winograd = pool, winograd_tile()
    c = format_of(x.kind)
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.g.O, x.dtype)
    check_pair(out)
    args.dy, args.x = dy.data, x.data
    cdef size weights = args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW
    args.w = buffers.pointer(w, "w", weights, c, False)
    args.dw = buffers.pointer(out[0], "dw", weights, c, True)
    if out[1] is not None:
        args.db = buffers.pointer(out[1], "db", args.g.O, c, True)
    if need_dx:
        dx = new_like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.conv_backward(&args)
    check_status(status)
    return dx, out[0], out[1]


def conv2d_backward(dy, x, w, stride, padding, dilation, groups, need_dx=True, out=None):
    return conv_back(dy, None, None, POOL_NONE, x, w, stride, padding, dilation, groups, need_dx, out)


def conv_block_forward(x, w, b, stride, padding, dilation, groups, relu, pool):
    cdef int fused = pool_code(pool)
    y, code = conv_run(x, w, b, stride, padding, dilation, groups, relu, fused)
    if pool is None or fused:
        return y, (y if pool is None else None, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (y, None, argmax)


def conv_block_backward(dy, saved, x, w, stride, padding, dilation, groups, relu, pool, need_dx=True, out=None):
    cdef int fused = pool_code(pool)
    y, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, y.shape, pool)
    return conv_back(dy, y if relu and not fused else None, code, fused, x, w, stride, padding, dilation, groups,
                     need_dx, out)
