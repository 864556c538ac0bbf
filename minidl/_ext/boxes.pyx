# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Boxes of the native backend, core/boxes.h. See `minidl.kernels.contract`."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memset

from minidl._ext.kernels cimport BOX_AXES, BOX_AXIS, BOX_FROM, BOX_SOURCE, BOX_TO, boxes_args, size
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_status,
    in_lanes,
    new_beside,
)


cdef int take_table(boxes_args *args, Buffers buffers, boxes) except -1:
    """Put the table of boxes into args, after checking its form."""
    if boxes.ndim != 2 or not BOX_AXIS <= boxes.shape[1] <= BOX_AXIS + 3 * BOX_AXES or boxes.shape[1] % 3:
        raise ValueError(f"boxes must have shape (B, 3 + 3 A) with A at most {BOX_AXES} axes, got {boxes.shape}")
    args.boxes, args.axes = boxes.shape[0], boxes.shape[1] // 3 - 1
    args.table = buffers.places(boxes, "boxes", boxes.size)
    return 0


cdef bint box_fits(const size *row, size axes, int first, int step, size F, size *values) noexcept:
    """Whether a box lies inside an image of F values, on the side that stands at `first` and `step`; its size."""
    cdef size low = row[first], high = low, i, count, reach
    cdef double number = 1, distance
    values[0] = 0
    for i in range(axes):
        if row[BOX_AXIS + 3 * i] < 0:
            return False
        if row[BOX_AXIS + 3 * i] == 0:
            return True
    if not 0 <= row[first] < F:
        return False
    for i in range(axes):
        count = row[BOX_AXIS + 3 * i]
        number *= count
        distance = (count - 1.0) * row[BOX_AXIS + 3 * i + step]
        if number > 2.0 ** 46 or not -F < distance < F:  # in double, where nothing overflows
            return False
        reach = <size>distance
        if reach < 0:
            low += reach
        else:
            high += reach
    values[0] = <size>number
    return 0 <= low and high < F


cdef int check_boxes(const boxes_args *args, size sources, const size *x_F, size y_F) except -1:
    """Check that every box lies inside its source and inside y, and that y can hold all of them side by side."""
    cdef size i, given = 0, values = 0, width = BOX_AXIS + 3 * args.axes
    cdef const size *row
    for i in range(args.boxes):
        row = args.table + i * width
        if not 0 <= row[BOX_SOURCE] < sources:
            raise ValueError(f"box {i} must come from source 0 to {sources - 1}, got {row[BOX_SOURCE]}")
        if x_F != NULL and not box_fits(row, args.axes, BOX_FROM, 1, x_F[row[BOX_SOURCE]], &values):
            raise ValueError(f"box {i} must lie inside its source, {x_F[row[BOX_SOURCE]]} values")
        if not box_fits(row, args.axes, BOX_TO, 2, y_F, &values):
            raise ValueError(f"box {i} must lie inside the result, {y_F} values")
        given += values
        if given > y_F:
            raise ValueError(f"boxes must lie side by side in the result, {y_F} values")
    return 0


def boxes_forward(xs, shape, boxes, double fill=0.0):
    cdef boxes_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray x, y, first
    cdef size i, count = len(xs)
    cdef const void **pointers
    cdef size *sizes
    cdef int status
    if not count:
        raise ValueError("xs must have at least 1 array")
    first = xs[0]
    check_array(first, "xs[0]")
    for i in range(count):
        x = xs[i]
        check_array(x, f"xs[{i}]", first.kind)
        if x.n != first.n:
            raise ValueError(f"xs[{i}] must have {first.n} images as xs[0], got {x.n}")
        if x.table != first.table:
            return boxes_forward(tuple([in_lanes(x) for x in xs]), shape, boxes, fill)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape must have no size below 0, got {tuple(shape)}")
    y = new_beside(first, (first.n, *shape), first.dtype)
    memset(&args, 0, sizeof(args))
    pointers = <const void **>PyMem_Malloc(count * sizeof(void *))
    sizes = <size *>PyMem_Malloc(count * sizeof(size))
    try:
        if pointers == NULL or sizes == NULL:
            raise MemoryError
        for i in range(count):
            x = xs[i]
            pointers[i], sizes[i] = x.data, x.F
            y.infer |= x.infer
        take_table(&args, buffers, boxes)
        check_boxes(&args, count, sizes, y.F)
        args.n, args.F, args.x, args.x_F, args.y, args.fill = y.n, y.F, pointers, sizes, y.data, fill
        with nogil:
            status = y.table.boxes(&args)
        check_status(status)
    finally:
        PyMem_Free(pointers)
        PyMem_Free(sizes)
    return y


def boxes_backward(LaneArray dy, x_shape, boxes, size source=0):
    cdef boxes_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx
    cdef const void *data
    cdef const size *row
    cdef size i, values = 0
    cdef int status
    check_for_training(dy, "dy")
    if tuple(x_shape)[:1] != (dy.n,) or min(x_shape) < 0:
        raise ValueError(f"x_shape must have {dy.n} images as dy, and no size below 0, got {tuple(x_shape)}")
    dx = new_beside(dy, tuple(x_shape), dy.dtype)
    memset(&args, 0, sizeof(args))
    take_table(&args, buffers, boxes)
    check_boxes(&args, <size>1 << 46, NULL, dy.F)
    for i in range(args.boxes):
        row = args.table + i * (BOX_AXIS + 3 * args.axes)
        if row[BOX_SOURCE] == source and not box_fits(row, args.axes, BOX_FROM, 1, dx.F, &values):
            raise ValueError(f"box {i} must lie inside its source, {dx.F} values")
    data = dy.data
    args.n, args.F, args.x, args.x_F, args.y = dy.n, dx.F, &data, &dy.F, dx.data
    args.adjoint, args.source = 1, source
    with nogil:
        status = dy.table.boxes(&args)
    check_status(status)
    return dx
