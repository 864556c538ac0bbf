# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Capsules of the native backend: what stands in lanes/capsule.h and routing.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.activation cimport cleared
from minidl._ext.kernels cimport capsules_backward_args, capsules_forward_args, size
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
    new_like,
)

import numpy as np


# ---- squash, length, mask ------------------------------------------------------------------------------------------

cdef tuple capsule_shape(LaneArray x, size dim, size *types, size *area):
    """(N, I, dim) for maps or rows x; types * area = I."""
    cdef size C = x.F
    area[0] = 1
    if x.ndim == 4:
        C, area[0] = x.shape[1], x.shape[2] * x.shape[3]
    elif x.ndim != 2:
        raise ValueError(f"x must have 2 or 4 dimensions, got shape {x.shape}")
    if dim < 1 or C % dim:
        raise ValueError(f"dim must divide the channels of x {x.shape}, got {dim}")
    types[0] = C // dim
    return x.n, types[0] * area[0], dim


def squash_forward(LaneArray x, size dim):
    cdef size types, area
    cdef int status
    check_array(x, "x")
    x = in_lanes(x)
    cdef LaneArray y = new_beside(x, capsule_shape(x, dim, &types, &area), x.dtype)
    with nogil:
        status = x.table.squash_forward(x.n, types, dim, area, x.data, y.data)
    check_status(status)
    return y


def squash_backward(LaneArray dy, LaneArray x, size dim):
    cdef size types, area
    cdef int status
    check_for_training(x, "x")
    check_for_training(dy, "dy", x.kind)
    check_shape(dy, capsule_shape(x, dim, &types, &area), "dy")
    cdef LaneArray dx = new_like(x)
    with nogil:
        status = x.table.squash_backward(x.n, types, dim, area, dy.data, x.data, dx.data)
    check_status(status)
    return dx


def capsule_length_forward(LaneArray v):
    cdef size J, E
    cdef int status
    check_array(v, "v", -1, 3)
    v = in_lanes(v)
    J, E = v.shape[1:]
    cdef LaneArray y = new_beside(v, (v.n, J), v.dtype)
    with nogil:
        status = v.table.capsule_length_forward(v.n, J, E, v.data, y.data)
    check_status(status)
    return y


def capsule_length_backward(LaneArray dy, LaneArray v, LaneArray y):
    cdef size J, E
    cdef int status
    check_for_training(v, "v", -1, 3)
    J, E = v.shape[1:]
    check_for_training(dy, "dy", v.kind)
    check_for_training(y, "y", v.kind)
    check_shape(dy, (v.n, J), "dy")
    check_shape(y, dy.shape, "y")
    cdef LaneArray dv = new_like(v)
    with nogil:
        status = v.table.capsule_length_backward(v.n, J, E, dy.data, v.data, y.data, dv.data)
    check_status(status)
    return dv


def capsule_mask(LaneArray v, labels):
    cdef Buffers buffers = Buffers()
    cdef size J, E
    cdef const size *at
    cdef int status
    check_array(v, "v", -1, 3)
    v = in_lanes(v)
    J, E = v.shape[1:]
    at = buffers.labels(labels, "labels", v.n, J)
    cdef LaneArray y = new_like(v)
    with nogil:
        status = v.table.capsule_mask(v.n, J, E, at, v.data, y.data)
    check_status(status)
    return y


# ---- routing -------------------------------------------------------------------------------------------------------

cdef tuple routing_shape(LaneArray u, w, size routings):
    """(J, E) of the weights, which must fit the capsules u."""
    cdef tuple shape = w.shape
    if len(shape) != 4 or shape[0] != u.shape[1] or shape[3] != u.shape[2]:
        raise ValueError(f"w must have shape (I, J, E, D) for u {u.shape}, got {shape}")
    if min(shape) < 1:
        raise ValueError(f"w must have no dimension of 0, got {shape}")
    if routings < 1:
        raise ValueError(f"routings must be at least 1, got {routings}")
    return shape[1], shape[2]


def capsules_forward(LaneArray u, w, size routings):
    cdef capsules_forward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray v, s, c = None
    cdef int status
    check_array(u, "u", -1, 3)
    u = cleared(in_lanes(u))
    memset(&args, 0, sizeof(args))
    args.J, args.E = routing_shape(u, w, routings)
    args.n, args.I, args.D, args.routings = u.n, u.shape[1], u.shape[2], routings
    args.w = buffers.pointer(w, "w", args.I * args.J * args.E * args.D, format_of(u.kind), False)
    v = new_beside(u, (u.n, args.J, args.E), u.dtype)
    s = new_beside(u, (u.n, routings, args.J, args.E), u.dtype)
    if not u.infer:
        c = new_beside(u, (u.n, routings - 1, args.I, args.J), u.dtype)
        args.c = c.data
    args.u, args.s, args.v = u.data, s.data, v.data
    with nogil:
        status = u.table.capsules_forward(&args)
    check_status(status)
    return v, (s, c)


def capsules_backward(LaneArray dv, saved, LaneArray u, w, size routings, need_dx=True, out=None):
    cdef capsules_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray s, c, du = None
    cdef int status
    check_for_training(u, "u", -1, 3)
    u = cleared(u)
    memset(&args, 0, sizeof(args))
    args.J, args.E = routing_shape(u, w, routings)
    args.n, args.I, args.D, args.routings = u.n, u.shape[1], u.shape[2], routings
    check_for_training(dv, "dv", u.kind)
    check_shape(dv, (u.n, args.J, args.E), "dv")
    s, c = saved
    check_for_training(s, "saved", u.kind)
    check_for_training(c, "saved", u.kind)
    check_shape(s, (u.n, routings, args.J, args.E), "saved")
    check_shape(c, (u.n, routings - 1, args.I, args.J), "saved")
    if out is None:
        out = np.empty(w.shape, u.dtype)
    args.w = buffers.pointer(w, "w", args.I * args.J * args.E * args.D, format_of(u.kind), False)
    args.dw = buffers.pointer(out, "dw", args.I * args.J * args.E * args.D, format_of(u.kind), True)
    args.dv, args.u, args.s, args.c = dv.data, u.data, s.data, c.data
    if need_dx:
        du = new_like(u)
        args.du = du.data
    with nogil:
        status = u.table.capsules_backward(&args)
    check_status(status)
    return du, out
