# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Dropout of the native backend, lanes/dropout.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint64_t

from minidl._ext.lanearray cimport LaneArray, check_array, check_for_training, check_status, in_lanes, new_like


cdef LaneArray drop(LaneArray x, double rate, uint64_t key):
    cdef int status
    check_array(x, "x")
    x = in_lanes(x)
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1), got {rate}")
    cdef LaneArray y = new_like(x)
    with nogil:
        status = x.table.dropout(x.n, x.F, rate, key, x.data, y.data)
    check_status(status)
    return y


def dropout_forward(x, rate, key):
    return drop(x, rate, key)


def dropout_backward(LaneArray dy, rate, key):
    check_for_training(dy, "dy")
    return drop(dy, rate, key)
