# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native backend's binding of the way in and out of the lanes: `minidl.kernels.contract`'s layout."""

from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset

from minidl._ext.kernels cimport (
    MOVE_BOTTOM,
    MOVE_FLIP,
    MOVE_LEFT,
    MOVE_MOST_OFFSET,
    MOVE_MOST_SHIFT,
    MOVE_MOST_TURN,
    MOVE_REFLECT,
    MOVE_RIGHT,
    MOVE_SHIFTED,
    MOVE_SOURCE,
    MOVE_TOP,
    MOVE_TURNED,
    gather_args,
    size,
)
from minidl._ext.lanearray cimport (
    F32,
    INT32,
    UINT8,
    Buffers,
    LaneArray,
    check_array,
    check_shape,
    check_status,
    format_of,
    in_lanes,
    kind_of,
    new_array,
    new_entering,
    new_like,
    of_current_isa,
    reshaped,
    table_in_use,
)

import math

import numpy as np


def enter(x, infer=False):
    cdef int kind, status
    cdef Buffers buffers = Buffers()
    cdef LaneArray y
    cdef gather_args args
    dtype = x.dtype
    if dtype is not F32 and dtype == INT32:
        return enter_index(x)
    kind = kind_of(dtype)
    y = new_entering(kind, x.shape, infer)
    memset(&args, 0, sizeof(args))
    args.n, args.C, args.area, args.kind = y.n, 1, y.F, 1 + kind
    args.images = buffers.pointer(x, "x", y.n * y.F, format_of(kind), False)
    args.y = y.data
    with nogil:
        status = y.table.gather(&args)
    check_status(status)
    return y


cdef LaneArray enter_index(x):
    # Indices stand in the lanes of float32 unless the caller moves them: see maxpool2d_backward.
    cdef Buffers buffers = Buffers()
    cdef LaneArray y = new_array(table_in_use(0), 0, x.shape, INT32)
    y.table.enter_index(y.n, y.F, <int32_t *>buffers.pointer(x, "x", y.n * y.F, c'i', False), <int32_t *>y.data)
    return y


def leave(LaneArray x not None):
    cdef Buffers buffers = Buffers()
    cdef void *out
    cdef int status
    if not of_current_isa(x):
        raise ValueError("the array is in the lanes of another instruction set")
    y = np.empty(x.shape, x.dtype)
    if x.dtype is INT32:
        x.table.leave_index(x.n, x.F, <int32_t *>x.data, <int32_t *>buffers.pointer(y, "y", x.n * x.F, c'i', True))
        return y
    out = buffers.pointer(y, "y", x.n * x.F, format_of(x.kind), True)
    with nogil:
        status = x.table.leave(x.n, x.F, x.data, out)
    check_status(status)
    return y


cdef bint within(size value, size bound) noexcept:
    return -bound < value < bound


cdef bint move_fits(const size *move, size columns, size H, size W) noexcept:
    """Whether a row of moves is as `minidl.kernels.image_moves` says, for images of H x W pixels."""
    cdef const size *source = move + MOVE_SOURCE
    cdef bint flags = 0 <= move[MOVE_FLIP] <= 1 and 0 <= move[MOVE_REFLECT] <= 1
    cdef bint box = 0 <= move[MOVE_TOP] <= move[MOVE_BOTTOM] <= H and 0 <= move[MOVE_LEFT] <= move[MOVE_RIGHT] <= W
    cdef size axis
    if columns == MOVE_SHIFTED:
        return flags and box and within(source[0], MOVE_MOST_SHIFT) and within(source[1], MOVE_MOST_SHIFT)
    for axis in range(2):  # of each, two factors and a constant
        if not (within(source[3 * axis], MOVE_MOST_TURN) and within(source[3 * axis + 1], MOVE_MOST_TURN)
                and within(source[3 * axis + 2], MOVE_MOST_OFFSET)):
            return False
    return flags and box


cdef int take_moves(gather_args *args, Buffers buffers, moves, tuple shape) except -1:
    """Check the moves of a batch and put them into args; n and C are there."""
    cdef size i
    if len(shape) != 4 or min(shape[1:]) < 1:
        raise ValueError(f"images to be moved must have shape (M, C, H, W), none of C, H, W zero, got {shape}")
    if args.C != shape[1]:
        raise ValueError(f"scale must have one entry a channel of images of shape {shape[1:]}, got {args.C}")
    if moves.shape != (args.n, MOVE_SHIFTED) and moves.shape != (args.n, MOVE_TURNED):
        raise ValueError(f"moves must have shape {args.n, MOVE_SHIFTED} or {args.n, MOVE_TURNED}, got {moves.shape}")
    args.H, args.W, args.columns = shape[2], shape[3], moves.shape[1]
    args.moves = buffers.places(moves, "moves", args.n * args.columns)
    for i in range(args.n):
        if not move_fits(args.moves + i * args.columns, args.columns, args.H, args.W):
            raise ValueError(f"moves must be flags 0 or 1, a box inside {shape[2:]} and a position within bounds")
    return 0


cdef int take_colors(gather_args *args, Buffers buffers, colors) except -1:
    """Check the colours of a batch and put them into args; n, C, kind and moves are there."""
    args.mixed, args.top = 1, 1 if args.kind else 255
    if args.moves == NULL:
        raise ValueError("colors must come with moves")
    if colors.maps is not None:
        shape = colors.maps.shape
        args.mixed = 3 if args.C == 3 and shape == (args.n, 3, 4) else 1
        if args.mixed == 1 and shape != (args.n, 1, 2):
            expected = f"({args.n}, 1, 2)" + f" or ({args.n}, 3, 4)" * (args.C == 3)
            raise ValueError(f"colors.maps must have shape {expected} for images of {args.C} channels, got {shape}")
        args.maps = <const double *>buffers.pointer(
            colors.maps, "colors.maps", args.n * args.mixed * (args.mixed + 1), c'd', False
        )
    if colors.keys is not None:
        args.keys = <const uint64_t *>buffers.pointer(colors.keys, "colors.keys", args.n, c'Q', False)
        args.deviation = colors.deviation
    if colors.fill is not None:
        if colors.fill.shape != (args.n, args.C):
            raise ValueError(f"colors.fill must have shape ({args.n}, {args.C}), got {colors.fill.shape}")
        args.fill = <const double *>buffers.pointer(colors.fill, "colors.fill", args.n * args.C, c'd', False)
    return 0


def gather(images, index, scale, shift, infer=False, moves=None, colors=None):
    cdef int kind = kind_of(scale.dtype), status
    cdef Buffers buffers = Buffers()
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
    y = new_entering(kind, (n, *shape[1:]), infer)
    args.n, args.C = n, scale.size
    if args.C < 1 or y.F % args.C:
        raise ValueError(f"scale must have one entry a channel of images of shape {shape[1:]}, got {args.C}")
    args.area = y.F // args.C
    cdef char code = c'B' if args.kind == 0 else format_of(args.kind - 1)
    args.images = buffers.pointer(images, "images", m * y.F, code, False)
    args.index = at = buffers.places(index, "index", n)
    args.scale = buffers.pointer(scale, "scale", args.C, format_of(kind), False)
    args.shift = buffers.pointer(shift, "shift", args.C, format_of(kind), False)
    args.y = y.data
    if moves is not None:
        take_moves(&args, buffers, moves, shape)
    if colors is not None:
        take_colors(&args, buffers, colors)
    for i in range(n):
        if at[i] < 0 or at[i] >= m:
            raise ValueError(f"index must lie in [0, {m}), got {at[i]}")
    with nogil:
        status = y.table.gather(&args)
    check_status(status)
    return y


def reshape(LaneArray x not None, shape):
    if shape != (x.F,) and (math.prod(shape) != x.F or min(shape, default=1) < 0):
        raise ValueError(f"shape {tuple(shape)} must have the {x.F} values of an image of shape {x.shape[1:]}")
    return reshaped(x, (x.n, *shape))


def add(LaneArray a, LaneArray b):
    return sum_of(a, b, False)


def add_block_forward(LaneArray a, LaneArray b):
    return sum_of(a, b, True)


cdef LaneArray sum_of(LaneArray a, LaneArray b, bint then_relu):
    cdef int status
    check_array(a, "a")
    check_array(b, "b", a.kind)
    check_shape(b, a.shape, "b")
    if a.table != b.table:
        a, b = in_lanes(a), in_lanes(b)
    cdef LaneArray y = new_like(a)
    with nogil:
        status = a.table.add(then_relu, a.count, a.data, b.data, y.data)
    check_status(status)
    return y
