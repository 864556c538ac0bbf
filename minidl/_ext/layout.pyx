# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native backend's binding of the way in and out of the lanes: `minidl.kernels.contract`'s layout."""

from libc.stdint cimport int32_t
from libc.string cimport memset

from minidl._ext.kernels cimport gather_args, size
from minidl._ext.lanearray cimport (
    F32,
    INT32,
    UINT8,
    LaneArray,
    Views,
    code_of,
    done,
    either,
    entering,
    in_lanes,
    kind_of,
    like,
    new_array,
    reshaped,
    same,
    tables,
)

import math

import numpy as np

from minidl.kernels import image_moves as rules

cdef size MOST_SHIFT = rules.MOST_SHIFT, MOST_TURN = rules.MOST_TURN, MOST_OFFSET = rules.MOST_OFFSET


def enter(x, infer=False):
    """See contract."""
    cdef int kind, status
    cdef Views views = Views()
    cdef LaneArray y
    cdef gather_args args
    dtype = x.dtype
    if dtype is not F32 and dtype == INT32:
        return enter_index(x)
    kind = kind_of(dtype)
    y = entering(kind, x.shape, infer)
    memset(&args, 0, sizeof(args))
    args.n, args.C, args.area, args.kind = y.n, 1, y.F, 1 + kind
    args.images = views.take(x, "x", y.n * y.F, code_of(kind), False)
    args.y = y.data
    with nogil:
        status = y.table.gather(&args)
    done(status)
    return y


cdef LaneArray enter_index(x):
    # Indices stand in the lanes of float32 unless the caller moves them: see maxpool2d_backward.
    cdef Views views = Views()
    cdef LaneArray y = new_array(tables[0], 0, x.shape, INT32)
    y.table.enter_index(y.n, y.F, <int32_t *>views.take(x, "x", y.n * y.F, c'i', False), <int32_t *>y.data)
    return y


def leave(LaneArray x not None):
    """See contract."""
    cdef Views views = Views()
    cdef void *out
    cdef int status
    if x.table != tables[x.kind] and x.table != tables[x.kind].plain:
        raise ValueError("the array is in the lanes of another instruction set")
    y = np.empty(x.shape, x.dtype)
    if x.dtype is INT32:
        x.table.leave_index(x.n, x.F, <int32_t *>x.data, <int32_t *>views.take(y, "y", x.n * x.F, c'i', True))
        return y
    out = views.take(y, "y", x.n * x.F, code_of(x.kind), True)
    with nogil:
        status = x.table.leave(x.n, x.F, x.data, out)
    done(status)
    return y


cdef bint within(size value, size bound) noexcept:
    return -bound < value < bound


cdef int take_moves(gather_args *args, Views views, moves, tuple shape) except -1:
    """Check the moves of a batch and put them into args; n and C are there."""
    cdef size i, k
    cdef const size *move
    cdef bint good = True
    if len(shape) != 4 or min(shape[1:]) < 1 or args.C != shape[1] or moves.shape not in (
        (args.n, rules.SHIFTED), (args.n, rules.TURNED)
    ):
        refuse(args, moves, shape)
    args.H, args.W, args.columns = shape[2], shape[3], moves.shape[1]
    args.moves = <const size *>views.take(moves, "moves", args.n * args.columns, c'l', False)
    for i in range(args.n):
        move = args.moves + i * args.columns
        good &= 0 <= move[0] <= 1 and 0 <= move[1] <= 1
        good &= 0 <= move[2] <= move[4] <= args.H and 0 <= move[3] <= move[5] <= args.W
        if args.columns == 8:
            good &= within(move[6], MOST_SHIFT) and within(move[7], MOST_SHIFT)
        else:
            for k in range(6, 12):
                good &= within(move[k], MOST_OFFSET if k % 3 == 2 else MOST_TURN)
    if not good:
        refuse(args, moves, shape)
    return 0


cdef int refuse(gather_args *args, moves, tuple shape) except -1:
    """Say what is wrong with the moves in the words of all backends."""
    rules.check(moves, args.n, shape, args.C)
    raise ValueError("moves do not fit the images")


def gather(images, index, scale, shift, infer=False, moves=None):
    """See contract."""
    cdef int kind = kind_of(scale.dtype), status
    cdef Views views = Views()
    cdef gather_args args
    cdef size i, n = len(index), m
    cdef tuple shape = images.shape
    cdef const size *at
    cdef LaneArray y
    if len(shape) < 2:
        raise ValueError(f"images must have at least 2 dimensions, got shape {shape}")
    m = shape[0]
    memset(&args, 0, sizeof(args))
    if images.dtype == UINT8:
        args.kind = 0
    else:
        args.kind = 1 + kind_of(images.dtype)
    y = entering(kind, (n, *shape[1:]), infer)
    args.n, args.C = n, scale.size
    if args.C < 1 or y.F % args.C:
        raise ValueError(f"scale must have one entry a channel of images of shape {shape[1:]}, got {args.C}")
    args.area = y.F // args.C
    args.images = views.take(images, "images", m * y.F, c'B' if args.kind == 0 else code_of(args.kind - 1), False)
    args.index = at = <const size *>views.take(index, "index", n, c'l', False)
    args.scale = views.take(scale, "scale", args.C, code_of(kind), False)
    args.shift = views.take(shift, "shift", args.C, code_of(kind), False)
    args.y = y.data
    if moves is not None:
        take_moves(&args, views, moves, shape)
    for i in range(n):
        if at[i] < 0 or at[i] >= m:
            raise ValueError(f"index must lie in [0, {m}), got {at[i]}")
    with nogil:
        status = y.table.gather(&args)
    done(status)
    return y


def reshape(LaneArray x not None, shape):
    """See contract."""
    if shape != (x.F,) and (math.prod(shape) != x.F or min(shape, default=1) < 0):
        raise ValueError(f"shape {tuple(shape)} must have the {x.F} values of an image of shape {x.shape[1:]}")
    return reshaped(x, (x.n, *shape))


def add(LaneArray a, LaneArray b):
    """See contract."""
    cdef int status
    either(a, "a")
    either(b, "b", a.kind)
    same(b, a.shape, "b")
    if a.table != b.table:
        a, b = in_lanes(a), in_lanes(b)
    cdef LaneArray y = like(a)
    with nogil:
        status = a.table.add(a.count, a.data, b.data, y.data)
    done(status)
    return y
