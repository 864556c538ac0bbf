# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Products of an image's matrices of the native backend: core/matmul.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport factor, matmul_args, size
from minidl._ext.lanearray cimport (
    LaneArray,
    check_array,
    check_for_training,
    check_shape,
    check_status,
    in_lanes,
    new_beside,
)


cdef tuple product_shape(tuple a, tuple b):
    """Shape of the products, batch included."""
    if not (2 < len(a) < 5 and len(a) == len(b) and a[0] == b[0] and a[len(a) - 1] == b[len(b) - 2]):
        raise ValueError(f"a and b must have shapes (N, ..., M, K) and (N, ..., K, P), 3 or 4 sizes, got {a} and {b}")
    if len(a) == 3:
        return a[0], a[1], b[2]
    if a[1] != b[1] and a[1] != 1 and b[1] != 1:
        raise ValueError(f"b must have as many matrices as a {a}, but for 1 in one of them, got {b}")
    return a[0], b[1] if a[1] == 1 else a[1], a[2], b[3]


cdef size groups(tuple shape):
    return shape[1] if len(shape) == 4 else 1


cdef int lay_out(factor *f, LaneArray x, size outer, size inner) except -1:
    """x as a factor, whose steps in one matrix are outer and inner."""
    f.data, f.F, f.outer, f.inner = x.data, x.F, outer, inner
    f.step = x.F // groups(x.shape) if groups(x.shape) > 1 else 0
    return 0


cdef LaneArray product(matmul_args *args, LaneArray beside, tuple shape, size sums, size inner):
    """The product in this shape, with `sums` matrices summed up in each of its groups."""
    cdef LaneArray y = new_beside(beside, shape, beside.dtype)
    cdef int status
    args.n, args.groups, args.again, args.inner, args.y = y.n, groups(shape), sums, inner, y.data
    args.rows, args.columns = shape[len(shape) - 2], shape[len(shape) - 1]
    with nogil:
        status = y.table.matmul(args)
    check_status(status)
    return y


def matmul_forward(LaneArray a, LaneArray b):
    cdef matmul_args args
    check_array(a, "a")
    check_array(b, "b", a.kind)
    if a.table != b.table:
        a, b = in_lanes(a), in_lanes(b)
    shape = product_shape(a.shape, b.shape)
    memset(&args, 0, sizeof(args))
    inner, columns = b.shape[b.ndim - 2], b.shape[b.ndim - 1]
    lay_out(&args.a, a, inner, 1)
    lay_out(&args.b, b, 1, columns)
    return product(&args, a, shape, 1, inner)


def matmul_backward(LaneArray dy, LaneArray a, LaneArray b, tuple need=(True, True)):
    cdef matmul_args args
    cdef LaneArray da = None, db = None
    cdef size S
    check_for_training(dy, "dy")
    check_for_training(a, "a", dy.kind)
    check_for_training(b, "b", dy.kind)
    check_shape(dy, product_shape(a.shape, b.shape), "dy")
    memset(&args, 0, sizeof(args))
    S = groups(dy.shape)
    inner, columns = b.shape[b.ndim - 2], b.shape[b.ndim - 1]
    if need[0]:
        lay_out(&args.a, dy, columns, 1)
        lay_out(&args.b, b, columns, 1)
        da = product(&args, dy, a.shape, 1 if groups(a.shape) == S else S, columns)
    if need[1]:
        lay_out(&args.a, a, 1, inner)
        lay_out(&args.b, dy, 1, columns)
        db = product(&args, dy, b.shape, 1 if groups(b.shape) == S else S, a.shape[a.ndim - 2])
    return da, db
