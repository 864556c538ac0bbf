# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Local response normalisation of the native backend: lanes/local_response.h. See `minidl.kernels.contract`."""

from minidl._ext.kernels cimport local_response_args
from minidl._ext.lanearray cimport (
    LaneArray,
    check_array,
    check_for_training,
    check_shape,
    check_status,
    in_lanes,
    new_like,
)


cdef LaneArray response(LaneArray x, LaneArray dy, Py_ssize_t span, double alpha, double beta, double k):
    cdef local_response_args args
    cdef LaneArray out
    cdef int status
    if not (span >= 1 and alpha >= 0 and beta >= 0 and k > 0):
        raise ValueError("size must be at least 1, alpha and beta not negative, k positive, "
                         f"got {span}, {alpha}, {beta}, {k}")
    args.n, args.C, args.area = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    # So many channels that there are no more of them, for sums of places that cannot overflow.
    args.before, args.behind = min(span // 2, args.C), min((span - 1) // 2, args.C)
    args.share, args.beta, args.k = alpha / span, beta, k
    out = new_like(x)
    args.x, args.dy, args.out = x.data, NULL if dy is None else dy.data, out.data
    with nogil:
        status = x.table.local_response(&args)
    check_status(status)
    return out


def local_response_forward(LaneArray x, size, alpha, beta, k):
    check_array(x, "x", -1, 4)
    return response(in_lanes(x), None, size, alpha, beta, k)


def local_response_backward(LaneArray dy, LaneArray x, size, alpha, beta, k):
    check_for_training(x, "x", -1, 4)
    check_for_training(dy, "dy", x.kind)
    check_shape(dy, x.shape, "dy")
    return response(x, dy, size, alpha, beta, k)
