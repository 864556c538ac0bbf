# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Activations and dropout of the native backend: what stands in lanes/element.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint64_t

from minidl._ext.kernels cimport ELEMENT_RELU, ELEMENT_SIGMOID, ELEMENT_TANH
from minidl._ext.lanearray cimport LaneArray, done, either, in_lanes, like, ours, same


cdef LaneArray activate(int which, LaneArray x):
    cdef int status
    either(x, "x")
    cdef LaneArray y = like(x)
    with nogil:
        status = x.table.element_forward(which, x.count, x.data, y.data)
    done(status)
    return y


cdef LaneArray slope(int which, LaneArray dy, LaneArray y):
    cdef int status
    ours(dy, "dy")
    ours(y, "y", dy.kind)
    same(y, dy.shape, "y")
    cdef LaneArray dx = like(dy)
    with nogil:
        status = dy.table.element_backward(which, dy.count, dy.data, y.data, dx.data)
    done(status)
    return dx


def relu_forward(x):
    """See contract."""
    return activate(ELEMENT_RELU, x)


def relu_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_RELU, dy, y)


def sigmoid_forward(x):
    """See contract."""
    return activate(ELEMENT_SIGMOID, x)


def sigmoid_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_SIGMOID, dy, y)


def tanh_forward(x):
    """See contract."""
    return activate(ELEMENT_TANH, x)


def tanh_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_TANH, dy, y)


cdef LaneArray drop(LaneArray x, double rate, uint64_t key):
    cdef int status
    either(x, "x")
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1), got {rate}")
    cdef LaneArray y = like(x)
    with nogil:
        status = x.table.dropout(x.n, x.F, rate, key, x.data, y.data)
    done(status)
    return y


def dropout_forward(x, rate, key):
    """See contract."""
    return drop(in_lanes(x), rate, key)


def dropout_backward(LaneArray dy, rate, key):
    """See contract."""
    ours(dy, "dy")
    return drop(dy, rate, key)
