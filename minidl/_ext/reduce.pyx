# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Sums, means and maxima over axes, and softmax, of the native backend: lanes/reduce.h and softmax.h. See
`minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.arithmetic cimport lay_out
from minidl._ext.kernels cimport arithmetic_args, maximum_args, operand, size, softmax_args
from minidl._ext.lanearray cimport (
    LaneArray,
    check_array,
    check_for_training,
    check_shape,
    check_status,
    in_lanes,
    new_beside,
    new_like,
)

import math

cdef extern from "core/kernels.h" nogil:
    enum: ARITHMETIC_ADD, ARITHMETIC_MUL, PART_Y, PART_A


cdef tuple reduced(tuple shape, tuple axes):
    """`shape` with 1 at the axes, which are of an image of it."""
    if not axes or len(shape) > 4 or any(not 0 < axis < len(shape) for axis in axes):
        raise ValueError(f"axes must be some of {tuple(range(1, len(shape)))}, got {axes}")
    return tuple([1 if axis in axes else length for axis, length in enumerate(shape)])


cdef int check_kind(str kind) except -1:
    if kind not in ("sum", "mean", "max"):
        raise ValueError(f"kind must be sum, mean or max, got {kind!r}")
    return 0


cdef double share(str kind, tuple shape, tuple axes):
    """What a sum is to be multiplied by."""
    count = math.prod([shape[axis] for axis in axes])
    return 1.0 / count if kind == "mean" and count else 1.0


def reduce_forward(LaneArray x, str kind, tuple axes):
    cdef arithmetic_args args
    cdef maximum_args most
    cdef operand unused
    cdef LaneArray y
    cdef int status
    check_array(x, "x")
    check_kind(kind)
    x = in_lanes(x)
    y = new_beside(x, reduced(x.shape, axes), x.dtype)
    if kind == "max":
        memset(&most, 0, sizeof(most))
        lay_out(x.shape[1:], y.shape[1:], x.shape[1:], most.sizes, &most.y, &unused)
        most.n, most.x, most.out, most.y.data = x.n, x.data, y.data, y.data
        with nogil:
            status = x.table.maximum(&most)
        check_status(status)
        return y
    # A sum is what reaches the first term of a sum whose values were broadcast.
    memset(&args, 0, sizeof(args))
    lay_out(x.shape[1:], y.shape[1:], x.shape[1:], args.sizes, &args.a, &args.b)
    args.which, args.part, args.n, args.scale = ARITHMETIC_ADD, PART_A, x.n, share(kind, x.shape, axes)
    args.a.data, args.b.data, args.dy, args.y = y.data, x.data, x.data, y.data
    with nogil:
        status = x.table.arithmetic_backward(&args)
    check_status(status)
    return y


def reduce_backward(LaneArray dy, str kind, tuple axes, tuple x_shape, LaneArray x=None, LaneArray y=None):
    cdef arithmetic_args args
    cdef maximum_args most
    cdef operand unused
    cdef LaneArray dx
    cdef int status
    cdef float single
    cdef double wide
    check_for_training(dy, "dy")
    check_kind(kind)
    check_shape(dy, reduced(x_shape, axes), "dy")
    if kind == "max":
        check_for_training(x, "x", dy.kind)
        check_for_training(y, "y", dy.kind)
        check_shape(x, x_shape, "x")
        check_shape(y, dy.shape, "y")
    dx = new_beside(dy, x_shape, dy.dtype)
    if kind == "max":
        memset(&most, 0, sizeof(most))
        lay_out(x_shape[1:], dy.shape[1:], x_shape[1:], most.sizes, &most.y, &unused)
        most.n, most.x, most.dy, most.out, most.y.data = dy.n, x.data, dy.data, dx.data, y.data
        with nogil:
            status = dy.table.maximum(&most)
        check_status(status)
        return dx
    memset(&args, 0, sizeof(args))
    lay_out(x_shape[1:], dy.shape[1:], x_shape[1:], args.sizes, &args.a, &args.b)
    memset(args.b.steps, 0, sizeof(args.b.steps))
    wide = share(kind, x_shape, axes)
    single = <float>wide
    args.which, args.part, args.n, args.scale, args.b.fixed, args.b.F = ARITHMETIC_MUL, PART_Y, dy.n, 1, 1, 1
    args.a.data, args.y, args.b.data = dy.data, dx.data, <void *>&wide if dy.kind else <void *>&single
    with nogil:
        status = dy.table.arithmetic_forward(&args)
    check_status(status)
    return dx


cdef int softmax_sizes(tuple shape, tuple axes, size *sizes) except -1:
    """What is before the axes, which are neighbours, in them and behind them."""
    reduced(shape, axes)
    first, behind = axes[0], axes[0] + len(axes)
    if axes != tuple(range(first, behind)):
        raise ValueError(f"axes must be neighbours in order, got {axes}")
    sizes[0] = math.prod(shape[1:first])
    sizes[1] = math.prod(shape[first:behind])
    sizes[2] = math.prod(shape[behind:])
    return 0


cdef LaneArray softmax_run(LaneArray x, LaneArray dy, tuple axes, bint log):
    cdef softmax_args args
    cdef LaneArray y
    cdef int status
    memset(&args, 0, sizeof(args))
    softmax_sizes(x.shape, axes, args.sizes)
    y = new_like(x)
    args.n, args.logarithm, args.x, args.y = x.n, log, x.data, y.data
    if dy is not None:
        args.dy = dy.data
    with nogil:
        status = x.table.softmax_axis(&args)
    check_status(status)
    return y


def softmax_forward(LaneArray x, tuple axes, bint log=False):
    check_array(x, "x")
    return softmax_run(in_lanes(x), None, axes, log)


def softmax_backward(LaneArray dy, LaneArray y, tuple axes, bint log=False):
    check_for_training(dy, "dy")
    check_for_training(y, "y", dy.kind)
    check_shape(y, dy.shape, "y")
    return softmax_run(y, dy, axes, log)
