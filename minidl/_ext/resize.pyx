# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Images of another size in the native backend, lanes/resize.h. See `minidl.kernels.contract`."""

from minidl._ext.kernels cimport resize_args, size
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_shape,
    check_status,
    format_of,
    new_beside,
)


cdef size take_taps(Buffers buffers, taps, str name, size extent, int kind, const size **index,
                    const void **weight, size *count) except -1:
    """Put the pointers of index and weight, (size, count) each, into place; returns the size."""
    cdef size i, n
    where, how_much = taps
    if where.ndim != 2 or where.shape != how_much.shape:
        raise ValueError(f"{name} must be index and weight of one shape (size, taps), got {where.shape} "
                         f"and {how_much.shape}")
    n, count[0] = where.shape
    index[0] = buffers.places(where, f"{name}[0]", n * count[0])
    weight[0] = buffers.pointer(how_much, f"{name}[1]", n * count[0], format_of(kind), False)
    for i in range(n * count[0]):
        if not 0 <= index[0][i] < extent:
            raise ValueError(f"{name} must have indices in [0, {extent}), got {index[0][i]}")
    return n


def resize_forward(LaneArray x, rows, columns):
    cdef resize_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray y
    cdef int status
    check_array(x, "x", -1, 4)
    args.n, args.C, args.H, args.W = x.shape
    args.OH = take_taps(buffers, rows, "rows", args.H, x.kind, &args.rows, &args.row_weight, &args.KH)
    args.OW = take_taps(buffers, columns, "columns", args.W, x.kind, &args.columns, &args.column_weight, &args.KW)
    y = new_beside(x, (x.n, args.C, args.OH, args.OW), x.dtype)
    args.x, args.y = x.data, y.data
    with nogil:
        status = x.table.resize_forward(&args)
    check_status(status)
    return y


def resize_backward(LaneArray dy, x_shape, rows, columns):
    cdef resize_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx
    cdef int status
    check_for_training(dy, "dy")
    if len(x_shape) != 4 or min(x_shape) < 0:
        raise ValueError(f"x_shape must have 4 sizes, none below 0, got {tuple(x_shape)}")
    args.n, args.C, args.H, args.W = x_shape
    args.OH = take_taps(buffers, rows, "rows", args.H, dy.kind, &args.rows, &args.row_weight, &args.KH)
    args.OW = take_taps(buffers, columns, "columns", args.W, dy.kind, &args.columns, &args.column_weight, &args.KW)
    check_shape(dy, (args.n, args.C, args.OH, args.OW), "dy")
    dx = new_beside(dy, tuple(x_shape), dy.dtype)
    args.x, args.y = dy.data, dx.data
    with nogil:
        status = dy.table.resize_backward(&args)
    check_status(status)
    return dx
