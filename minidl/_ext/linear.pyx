# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The linear layer of the native backend, lanes/linear.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport linear_backward_args, linear_forward_args
from minidl._ext.lanearray cimport (
    LaneArray,
    Views,
    code_of,
    done,
    either,
    like,
    made_of,
    ours,
    pair_of,
    same,
)

import numpy as np


cdef LaneArray linear_run(LaneArray x, w, b, bint relu):
    cdef linear_forward_args args
    cdef Views views = Views()
    cdef LaneArray y
    cdef int status
    cdef char c
    either(x, "x", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O, args.relu = x.n, x.F, len(w), relu
    c = code_of(x.kind)
    y = made_of(x, (x.n, args.O), x.dtype)
    args.w = views.take(w, "w", args.O * args.F, c, False)
    if b is not None:
        args.b = views.take(b, "b", args.O, c, False)
    args.x, args.y = x.data, y.data
    with nogil:
        status = x.table.linear_forward(&args)
    done(status)
    return y


def linear_forward(x, w, b):
    """See contract."""
    return linear_run(x, w, b, False)


cdef tuple linear_back(LaneArray dy, LaneArray relu_y, LaneArray x, w, bint need_dx, tuple out):
    cdef linear_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    ours(x, "x", -1, 2)
    ours(dy, "dy", x.kind, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O = x.n, x.F, len(w)
    same(dy, (x.n, args.O), "dy")
    if relu_y is not None:
        ours(relu_y, "y", x.kind)
        same(relu_y, dy.shape, "y")
        args.relu_y = relu_y.data
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.O, x.dtype)
    pair_of(out)
    c = code_of(x.kind)
    args.dy, args.x = dy.data, x.data
    args.w = views.take(w, "w", args.O * args.F, c, False)
    args.dw = views.take(out[0], "dw", args.O * args.F, c, True)
    if out[1] is not None:
        args.db = views.take(out[1], "db", args.O, c, True)
    if need_dx:
        dx = like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.linear_backward(&args)
    done(status)
    return dx, out[0], out[1]


def linear_backward(dy, x, w, need_dx=True, out=None):
    """See contract."""
    return linear_back(dy, None, x, w, need_dx, out)


def linear_block_forward(x, w, b):
    """See contract."""
    return linear_run(x, w, b, True)


def linear_block_backward(dy, y, x, w, need_dx=True, out=None):
    """See contract."""
    return linear_back(dy, y, x, w, need_dx, out)
