# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Activations of the native backend: what stands in core/element.h. See `minidl.kernels.contract`."""

from minidl._ext.lanearray cimport LaneArray, check_array, check_for_training, check_shape, check_status, new_like

cdef extern from "core/kernels.h" nogil:
    enum: ELEMENT_RELU, ELEMENT_SIGMOID, ELEMENT_TANH, ELEMENT_LEAKY, ELEMENT_ELU, ELEMENT_GELU, ELEMENT_SOFTPLUS


cdef LaneArray activate(int which, LaneArray x, double p=0, double q=0):
    cdef int status
    check_array(x, "x")
    cdef LaneArray y = new_like(x)
    with nogil:
        status = x.table.element_forward(which, p, q, x.n, x.F, x.data, y.data)
    check_status(status)
    return y


cdef LaneArray cleared(LaneArray x):
    """x, or a copy with zeros in its empty lanes: for sums over lanes of x times a gradient.

    What stands there need not be finite: next to the largest numbers the arithmetic on zeros may overflow.
    """
    return activate(ELEMENT_LEAKY, x, 1) if x.n % x.table.layout.lanes else x


cdef LaneArray gradient(int which, LaneArray dy, LaneArray y, double p=0, double q=0, str name="y"):
    cdef int status
    check_for_training(dy, "dy")
    check_for_training(y, name, dy.kind)
    check_shape(y, dy.shape, name)
    cdef LaneArray dx = new_like(dy)
    with nogil:
        status = dy.table.element_backward(which, p, q, dy.n, dy.F, dy.data, y.data, dx.data)
    check_status(status)
    return dx


def relu_forward(x):
    return activate(ELEMENT_RELU, x)


def relu_backward(dy, y):
    return gradient(ELEMENT_RELU, dy, y)


def sigmoid_forward(x):
    return activate(ELEMENT_SIGMOID, x)


def sigmoid_backward(dy, y):
    return gradient(ELEMENT_SIGMOID, dy, y)


def tanh_forward(x):
    return activate(ELEMENT_TANH, x)


def tanh_backward(dy, y):
    return gradient(ELEMENT_TANH, dy, y)


def leaky_relu_forward(x, double slope):
    return activate(ELEMENT_LEAKY, x, slope)


def leaky_relu_backward(dy, y, double slope):
    return gradient(ELEMENT_LEAKY, dy, y, slope)


def elu_forward(x, double alpha):
    return activate(ELEMENT_ELU, x, alpha)


def elu_backward(dy, y, double alpha):
    return gradient(ELEMENT_ELU, dy, y, alpha)


def gelu_forward(x):
    return activate(ELEMENT_GELU, x)


def gelu_backward(dy, x):
    return gradient(ELEMENT_GELU, dy, x, 0, 0, "x")


def softplus_forward(x):
    return activate(ELEMENT_SOFTPLUS, x)


def softplus_backward(dy, y):
    return gradient(ELEMENT_SOFTPLUS, dy, y)
