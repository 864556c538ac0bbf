# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Activations and dropout of the native backend: what stands in lanes/element.h. See `minidl.kernels.contract`."""

from libc.stdint cimport uint64_t

from minidl._ext.kernels cimport (
    ELEMENT_ELU,
    ELEMENT_GELU,
    ELEMENT_LEAKY,
    ELEMENT_RELU,
    ELEMENT_SIGMOID,
    ELEMENT_TANH,
)
from minidl._ext.lanearray cimport LaneArray, done, either, in_lanes, like, ours, same


cdef LaneArray activate(int which, LaneArray x, double parameter=0):
    cdef int status
    either(x, "x")
    cdef LaneArray y = like(x)
    with nogil:
        status = x.table.element_forward(which, parameter, x.count, x.data, y.data)
    done(status)
    return y


cdef LaneArray gradient(int which, LaneArray dy, LaneArray y, double parameter=0, str name="y"):
    cdef int status
    ours(dy, "dy")
    ours(y, name, dy.kind)
    same(y, dy.shape, name)
    cdef LaneArray dx = like(dy)
    with nogil:
        status = dy.table.element_backward(which, parameter, dy.count, dy.data, y.data, dx.data)
    done(status)
    return dx


def relu_forward(x):
    """See contract."""
    return activate(ELEMENT_RELU, x)


def relu_backward(dy, y):
    """See contract."""
    return gradient(ELEMENT_RELU, dy, y)


def sigmoid_forward(x):
    """See contract."""
    return activate(ELEMENT_SIGMOID, x)


def sigmoid_backward(dy, y):
    """See contract."""
    return gradient(ELEMENT_SIGMOID, dy, y)


def tanh_forward(x):
    """See contract."""
    return activate(ELEMENT_TANH, x)


def tanh_backward(dy, y):
    """See contract."""
    return gradient(ELEMENT_TANH, dy, y)


def leaky_relu_forward(x, double slope):
    """See contract."""
    return activate(ELEMENT_LEAKY, x, slope)


def leaky_relu_backward(dy, y, double slope):
    """See contract."""
    return gradient(ELEMENT_LEAKY, dy, y, slope)


def elu_forward(x, double alpha):
    """See contract."""
    return activate(ELEMENT_ELU, x, alpha)


def elu_backward(dy, y, double alpha):
    """See contract."""
    return gradient(ELEMENT_ELU, dy, y, alpha)


def gelu_forward(x):
    """See contract."""
    return activate(ELEMENT_GELU, x)


def gelu_backward(dy, x):
    """See contract."""
    return gradient(ELEMENT_GELU, dy, x, 0, "x")


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
