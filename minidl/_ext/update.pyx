# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Optimiser updates of the native backend: what stands in core/update.h. See `minidl.kernels.contract`."""

from minidl._ext.kernels cimport size
from minidl._ext.lanearray cimport Buffers, check_status, format_of, kind_of, table_in_use


def sgd_update(p, grad, velocity, double lr, double momentum, double weight_decay, nesterov=False, double scale=1.0):
    cdef Buffers buffers = Buffers()
    cdef int kind = kind_of(p.dtype), nest = nesterov
    cdef char c = format_of(kind)
    cdef size count = p.size
    cdef void *to = buffers.pointer(p, "p", count, c, True)
    cdef void *g = buffers.pointer(grad, "grad", count, c, False)
    cdef void *v = NULL
    if velocity is not None:
        v = buffers.pointer(velocity, "velocity", count, c, True)
    with nogil:
        table_in_use(kind).sgd(count, to, g, v, lr, momentum, weight_decay, nest, scale)


def rmsprop_update(p, grad, square, double lr, double decay, double eps, double weight_decay, double scale=1.0):
    cdef Buffers buffers = Buffers()
    cdef int kind = kind_of(p.dtype)
    cdef char c = format_of(kind)
    cdef size count = p.size
    cdef void *to = buffers.pointer(p, "p", count, c, True)
    cdef void *g = buffers.pointer(grad, "grad", count, c, False)
    cdef void *s = buffers.pointer(square, "square", count, c, True)
    with nogil:
        table_in_use(kind).rmsprop(count, to, g, s, lr, decay, eps, weight_decay, scale)


def adam_update(p, grad, m, v, size step, double lr, double beta1, double beta2, double eps, double weight_decay,
                decoupled=False, double scale=1.0):
    cdef Buffers buffers = Buffers()
    cdef int kind = kind_of(p.dtype), apart = decoupled
    cdef char c = format_of(kind)
    cdef size count = p.size
    cdef void *to = buffers.pointer(p, "p", count, c, True)
    cdef void *g = buffers.pointer(grad, "grad", count, c, False)
    cdef void *m1 = buffers.pointer(m, "m", count, c, True)
    cdef void *m2 = buffers.pointer(v, "v", count, c, True)
    with nogil:
        table_in_use(kind).adam(count, to, g, m1, m2, step, lr, beta1, beta2, eps, weight_decay, apart, scale)


def blend(a, b, double share):
    cdef Buffers buffers = Buffers()
    cdef int kind = kind_of(a.dtype)
    cdef char c = format_of(kind)
    cdef size count = a.size
    cdef void *to = buffers.pointer(a, "a", count, c, True)
    cdef void *other = buffers.pointer(b, "b", count, c, False)
    with nogil:
        table_in_use(kind).blend(count, to, other, share)


def sum_of_squares(a):
    cdef Buffers buffers = Buffers()
    cdef int kind = kind_of(a.dtype), status
    cdef size count = a.size
    cdef void *of = buffers.pointer(a, "a", count, format_of(kind), False)
    cdef double total = 0
    with nogil:
        status = table_in_use(kind).sum_squares(count, of, &total)
    check_status(status)
    return total
