# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The linear layer of the native backend, lanes/linear.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport linear_backward_args, linear_forward_args
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

import numpy as np


cdef LaneArray linear_run(LaneArray x, w, b, bint relu):
    cdef linear_forward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray y
    cdef int status
    cdef char c
    check_array(x, "x", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O, args.relu = x.n, x.F, len(w), relu
    c = format_of(x.kind)
    y = new_beside(x, (x.n, args.O), x.dtype)
    args.w = buffers.pointer(w, "w", args.O * args.F, c, False)
    if b is not None:
        args.b = buffers.pointer(b, "b", args.O, c, False)
    args.x, args.y = x.data, y.data
    with nogil:
        status = x.table.linear_forward(&args)
    check_status(status)
    return y


def linear_forward(x, w, b):
    return linear_run(x, w, b, False)


cdef tuple linear_back(LaneArray dy, LaneArray relu_y, LaneArray x, w, bint need_dx, tuple out):
    cdef linear_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    check_for_training(x, "x", -1, 2)
    check_for_training(dy, "dy", x.kind, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O = x.n, x.F, len(w)
    check_shape(dy, (x.n, args.O), "dy")
    if relu_y is not None:
        check_for_training(relu_y, "y", x.kind)
        check_shape(relu_y, dy.shape, "y")
        args.relu_y = relu_y.data
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.O, x.dtype)
    check_pair(out)
    c = format_of(x.kind)
    args.dy, args.x = dy.data, x.data
    args.w = buffers.pointer(w, "w", args.O * args.F, c, False)
    args.dw = buffers.pointer(out[0], "dw", args.O * args.F, c, True)
    if out[1] is not None:
        args.db = buffers.pointer(out[1], "db", args.O, c, True)
    if need_dx:
        dx = new_like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.linear_backward(&args)
    check_status(status)
    return dx, out[0], out[1]


def linear_backward(dy, x, w, need_dx=True, out=None):
    return linear_back(dy, None, x, w, need_dx, out)


def linear_block_forward(x, w, b):
    return linear_run(x, w, b, True)


def linear_block_backward(dy, y, x, w, need_dx=True, out=None):
    return linear_back(dy, y, x, w, need_dx, out)
