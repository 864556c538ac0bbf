# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Arithmetic with broadcasting of the native backend, lanes/arithmetic.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport arithmetic_args, operand, size
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_shape,
    check_status,
    format_of,
    in_lanes,
    new_beside,
)

from functools import lru_cache

import numpy as np

cdef extern from "core/kernels.h" nogil:
    enum: ARITHMETIC_ADD, ARITHMETIC_SUB, ARITHMETIC_MUL, ARITHMETIC_DIV, ARITHMETIC_PRELU
    enum: PART_Y, PART_A, PART_B

cdef dict OPERATORS = {
    "+": ARITHMETIC_ADD,
    "-": ARITHMETIC_SUB,
    "*": ARITHMETIC_MUL,
    "/": ARITHMETIC_DIV,
    "prelu": ARITHMETIC_PRELU,
}


@lru_cache(1024)
def _broadcast(tuple a, tuple b):
    """Shape of the result, batch included."""
    if len(a) != len(b) or not 2 <= len(a) <= 4 or any(m != n and m != 1 and n != 1 for m, n in zip(a, b)):
        raise ValueError(f"b must have the shape of a {a}, but for sizes of 1 in one of them, got {b}")
    return tuple([n if m == 1 else m for m, n in zip(a, b)])


@lru_cache(1024)
def _dimensions(tuple result, tuple a, tuple b):
    """Three dimensions of an image, (size, whether a goes along, whether b does): neighbours that are alike are one."""
    found, last = [], None
    for size_, m, n in zip(result, a, b):
        ways = m != 1, n != 1
        if size_ == 1:
            continue
        if last == ways:
            size_ *= found.pop()[0]
        found.append((size_, *ways))
        last = ways
    return tuple([(1, False, False)] * (3 - len(found)) + found)


cdef int lay_out(tuple result, tuple a_shape, tuple b_shape, size *sizes, operand *a, operand *b) except -1:
    """Sizes and steps for operands of these image shapes."""
    cdef tuple dimensions = _dimensions(result, a_shape, b_shape)
    cdef int d
    a.F = b.F = 1
    for d in range(2, -1, -1):
        sizes[d], a_along, b_along = dimensions[d]
        a.steps[d] = a.F if a_along else 0
        b.steps[d] = b.F if b_along else 0
        if a_along:
            a.F *= sizes[d]
        if b_along:
            b.F *= sizes[d]
    return 0


cdef int operator_of(str operator) except -1:
    found = OPERATORS.get(operator)
    if found is None:
        raise ValueError(f"operator must be one of {', '.join(OPERATORS)}, got {operator!r}")
    return found


cdef int take(object a, str name, LaneArray like, operand *o, Buffers buffers) except -1:
    """Its pointer."""
    if isinstance(a, LaneArray):
        check_array(a, name, like.kind)
        if (<LaneArray>a).n != like.n:
            raise ValueError(f"{name} must have {like.n} images like the other array, got shape {a.shape}")
        o.data = (<LaneArray>a).data
        return 0
    if a.shape[:1] != (1,):
        raise ValueError(f"{name} must be of 1 image, a constant of all, got shape {a.shape}")
    o.fixed = 1
    o.data = buffers.pointer(a, name, a.size, format_of(like.kind), False)
    return 0


cdef LaneArray one_of(object a, object b):
    """The array of the batch."""
    if isinstance(a, LaneArray):
        return a
    if isinstance(b, LaneArray):
        return b
    raise TypeError("a or b must be a LaneArray")


def arithmetic_forward(a, b, str operator):
    cdef arithmetic_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray like = one_of(a, b), y
    cdef int status
    check_array(like, "a")
    if isinstance(a, LaneArray) and isinstance(b, LaneArray) and (<LaneArray>a).table != (<LaneArray>b).table:
        check_array(b, "b", like.kind)
        a, b = in_lanes(a), in_lanes(b)
        like = a
    memset(&args, 0, sizeof(args))
    shape = _broadcast(a.shape, b.shape)
    take(a, "a", like, &args.a, buffers)
    take(b, "b", like, &args.b, buffers)
    lay_out(shape[1:], a.shape[1:], b.shape[1:], args.sizes, &args.a, &args.b)
    y = new_beside(like, (like.n, *shape[1:]), like.dtype)
    args.which, args.part, args.n, args.scale, args.y = operator_of(operator), PART_Y, like.n, 1, y.data
    with nogil:
        status = like.table.arithmetic_forward(&args)
    check_status(status)
    return y


def arithmetic_backward(LaneArray dy, a, b, str operator, tuple need=(True, True)):
    cdef arithmetic_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray like = one_of(a, b)
    check_for_training(dy, "dy")
    for array, name in ((a, "a"), (b, "b")):
        if isinstance(array, LaneArray):
            check_for_training(array, name, dy.kind)
    memset(&args, 0, sizeof(args))
    shape = _broadcast(a.shape, b.shape)
    check_shape(dy, (like.n, *shape[1:]), "dy")
    take(a, "a", like, &args.a, buffers)
    take(b, "b", like, &args.b, buffers)
    lay_out(shape[1:], a.shape[1:], b.shape[1:], args.sizes, &args.a, &args.b)
    args.which, args.n, args.scale, args.dy = operator_of(operator), like.n, 1, dy.data
    return (
        part_gradient(&args, PART_A, dy, a) if need[0] else None,
        part_gradient(&args, PART_B, dy, b) if need[1] else None,
    )


cdef object part_gradient(arithmetic_args *args, int part, LaneArray dy, object of):
    cdef Buffers buffers = Buffers()
    cdef LaneArray array
    cdef int status
    args.part = part
    if isinstance(of, LaneArray):
        gradient = array = new_beside(dy, of.shape, dy.dtype)
        args.y = array.data
    else:
        gradient = np.empty(of.shape, dy.dtype)
        args.y = buffers.pointer(gradient, "gradient", of.size, format_of(dy.kind), True)
    with nogil:
        status = dy.table.arithmetic_backward(args)
    check_status(status)
    return gradient
