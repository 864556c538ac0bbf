# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Optimiser updates of the native backend: what stands in core/update.h. See `minidl.kernels.contract`."""

from minidl._ext.kernels cimport size
from minidl._ext.lanearray cimport (
    Buffers,
    check_status,
    format_of,
    free_memory,
    kind_of,
    new_memory,
    table_in_use,
)


cdef class Together:
    """Arrays of one dtype whose memory was checked and is held, for updates of all at once. Made by `together`."""

    cdef list held  # buffers, ten arrays each
    cdef void **at
    cdef size *counts
    cdef size n
    cdef int kind
    cdef bint writable

    def __cinit__(self):
        self.at = NULL
        self.counts = NULL
        self.held, self.n, self.kind, self.writable = [], 0, 0, True

    def __dealloc__(self):
        free_memory(self.at)
        free_memory(self.counts)

    def __init__(self):
        if self.at == NULL:
            raise TypeError("a Together is made by together")

    cdef int hold(self, list arrays, str name, Together like, bint writable) except -1:
        """Take the arrays; like: those that must have as many elements and the same dtype, or None."""
        cdef Buffers buffers = None
        cdef size i, n = len(arrays), count
        self.at = <void **>new_memory(n * <size>sizeof(void *))
        self.counts = <size *>new_memory(n * <size>sizeof(size))
        for i in range(n):
            if i == 0:
                self.kind = kind_of(arrays[0].dtype) if like is None else like.kind
            if i % 10 == 0:
                buffers = Buffers()
                self.held.append(buffers)
            count = arrays[i].size if like is None else like.counts[i]
            self.at[i] = buffers.pointer(arrays[i], name, count, format_of(self.kind), writable)
            self.counts[i] = count
            self.writable = self.writable and not buffers.view[buffers.used - 1].readonly
        self.n = n
        return 0


def together(arrays):
    cdef Together found = Together.__new__(Together)
    found.hold(list(arrays), "an array of those together", None, False)
    return found


cdef Together taken(a, str name, Together like, bint writable):
    """The arrays of an argument, one or several; like: those of the first argument, or None."""
    cdef Together found
    cdef size i
    if not isinstance(a, Together):
        if like is not None and like.n != 1:
            raise ValueError(f"{name} must be {like.n} arrays together, got {type(a).__name__}")
        found = Together.__new__(Together)
        found.hold([a], name, like, writable)
        return found
    found = a
    if writable and not found.writable:
        raise ValueError(f"{name} must be writable arrays together, got a read-only one")
    if like is not None:
        if found.n != like.n or found.kind != like.kind:
            raise ValueError(f"{name} must be {like.n} arrays together of the same dtype as the first, got {found.n}")
        for i in range(like.n):
            if found.counts[i] != like.counts[i]:
                raise ValueError(
                    f"{name}, array {i} of those together, must have {like.counts[i]} elements, got {found.counts[i]}"
                )
    return found


def sgd_update(p, grad, velocity, double lr, double momentum, double weight_decay, nesterov=False, double scale=1.0):
    cdef Together to = taken(p, "p", None, True), g = taken(grad, "grad", to, False), v
    cdef void **speed = NULL
    cdef int nest = nesterov
    if velocity is not None:
        v = taken(velocity, "velocity", to, True)
        speed = v.at
    with nogil:
        table_in_use(to.kind).sgd(to.n, to.counts, to.at, g.at, speed, lr, momentum, weight_decay, nest, scale)


def rmsprop_update(p, grad, square, double lr, double decay, double eps, double weight_decay, double scale=1.0):
    cdef Together to = taken(p, "p", None, True), g = taken(grad, "grad", to, False)
    cdef Together s = taken(square, "square", to, True)
    with nogil:
        table_in_use(to.kind).rmsprop(to.n, to.counts, to.at, g.at, s.at, lr, decay, eps, weight_decay, scale)


def adam_update(p, grad, m, v, size step, double lr, double beta1, double beta2, double eps, double weight_decay,
                decoupled=False, double scale=1.0):
    cdef Together to = taken(p, "p", None, True), g = taken(grad, "grad", to, False)
    cdef Together m1 = taken(m, "m", to, True), m2 = taken(v, "v", to, True)
    cdef int apart = decoupled
    with nogil:
        table_in_use(to.kind).adam(
            to.n, to.counts, to.at, g.at, m1.at, m2.at, step, lr, beta1, beta2, eps, weight_decay, apart, scale
        )


def blend(a, b, double share):
    cdef Together to = taken(a, "a", None, True), other = taken(b, "b", to, False)
    with nogil:
        table_in_use(to.kind).blend(to.n, to.counts, to.at, other.at, share)


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
