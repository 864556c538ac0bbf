# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Capsules of the native backend: what stands in lanes/capsule.h, routing.h, loss.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport capsules_backward_args, capsules_forward_args, size, softmax_args
from minidl._ext.lanearray cimport LaneArray, Views, code_of, done, either, in_lanes, like, made_of, ours, same

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
    """See contract."""
    cdef size types, area
    cdef int status
    either(x, "x")
    x = in_lanes(x)
    cdef LaneArray y = made_of(x, capsule_shape(x, dim, &types, &area), x.dtype)
    with nogil:
        status = x.table.squash_forward(x.n, types, dim, area, x.data, y.data)
    done(status)
    return y


def squash_backward(LaneArray dy, LaneArray x, size dim):
    """See contract."""
    cdef size types, area
    cdef int status
    ours(x, "x")
    ours(dy, "dy", x.kind)
    same(dy, capsule_shape(x, dim, &types, &area), "dy")
    cdef LaneArray dx = like(x)
    with nogil:
        status = x.table.squash_backward(x.n, types, dim, area, dy.data, x.data, dx.data)
    done(status)
    return dx


def capsule_length_forward(LaneArray v):
    """See contract."""
    cdef size J, E
    cdef int status
    either(v, "v", -1, 3)
    v = in_lanes(v)
    J, E = v.shape[1:]
    cdef LaneArray y = made_of(v, (v.n, J), v.dtype)
    with nogil:
        status = v.table.capsule_length_forward(v.n, J, E, v.data, y.data)
    done(status)
    return y


def capsule_length_backward(LaneArray dy, LaneArray v, LaneArray y):
    """See contract."""
    cdef size J, E
    cdef int status
    ours(v, "v", -1, 3)
    J, E = v.shape[1:]
    ours(dy, "dy", v.kind)
    ours(y, "y", v.kind)
    same(dy, (v.n, J), "dy")
    same(y, dy.shape, "y")
    cdef LaneArray dv = like(v)
    with nogil:
        status = v.table.capsule_length_backward(v.n, J, E, dy.data, v.data, y.data, dv.data)
    done(status)
    return dv


cdef const size *labels_below(Views views, labels, size n, size K) except? NULL:
    cdef const size *at = <const size *>views.take(labels, "labels", n, c'l', False)
    cdef size i
    for i in range(n):
        if at[i] < 0 or at[i] >= K:
            raise ValueError(f"labels must lie in [0, {K}), got {at[i]}")
    return at


def capsule_mask(LaneArray v, labels):
    """See contract."""
    cdef Views views = Views()
    cdef size J, E
    cdef const size *at
    cdef int status
    either(v, "v", -1, 3)
    v = in_lanes(v)
    J, E = v.shape[1:]
    at = labels_below(views, labels, v.n, J)
    cdef LaneArray y = like(v)
    with nogil:
        status = v.table.capsule_mask(v.n, J, E, at, v.data, y.data)
    done(status)
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
    """See contract."""
    cdef capsules_forward_args args
    cdef Views views = Views()
    cdef LaneArray v, s, c = None
    cdef int status
    either(u, "u", -1, 3)
    u = in_lanes(u)
    memset(&args, 0, sizeof(args))
    args.J, args.E = routing_shape(u, w, routings)
    args.n, args.I, args.D, args.routings = u.n, u.shape[1], u.shape[2], routings
    args.w = views.take(w, "w", args.I * args.J * args.E * args.D, code_of(u.kind), False)
    v = made_of(u, (u.n, args.J, args.E), u.dtype)
    s = made_of(u, (u.n, routings, args.J, args.E), u.dtype)
    if not u.infer:
        c = made_of(u, (u.n, routings - 1, args.I, args.J), u.dtype)
        args.c = c.data
    args.u, args.s, args.v = u.data, s.data, v.data
    with nogil:
        status = u.table.capsules_forward(&args)
    done(status)
    return v, (s, c)


def capsules_backward(LaneArray dv, saved, LaneArray u, w, size routings, need_dx=True, out=None):
    """See contract."""
    cdef capsules_backward_args args
    cdef Views views = Views()
    cdef LaneArray s, c, du = None
    cdef int status
    ours(u, "u", -1, 3)
    memset(&args, 0, sizeof(args))
    args.J, args.E = routing_shape(u, w, routings)
    args.n, args.I, args.D, args.routings = u.n, u.shape[1], u.shape[2], routings
    ours(dv, "dv", u.kind)
    same(dv, (u.n, args.J, args.E), "dv")
    s, c = saved
    ours(s, "saved", u.kind)
    ours(c, "saved", u.kind)
    same(s, (u.n, routings, args.J, args.E), "saved")
    same(c, (u.n, routings - 1, args.I, args.J), "saved")
    if out is None:
        out = np.empty(w.shape, u.dtype)
    args.w = views.take(w, "w", args.I * args.J * args.E * args.D, code_of(u.kind), False)
    args.dw = views.take(out, "dw", args.I * args.J * args.E * args.D, code_of(u.kind), True)
    args.dv, args.u, args.s, args.c = dv.data, u.data, s.data, c.data
    if need_dx:
        du = like(u)
        args.du = du.data
    with nogil:
        status = u.table.capsules_backward(&args)
    done(status)
    return du, out


# ---- losses --------------------------------------------------------------------------------------------------------

def margin_loss(LaneArray lengths, target, double present=0.9, double absent=0.1, double weight=0.5):
    """See contract."""
    cdef softmax_args args
    cdef Views views = Views()
    cdef LaneArray dlengths
    cdef int status
    ours(lengths, "lengths", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.K = lengths.n, lengths.F
    if args.K < 1:
        raise ValueError("lengths must have at least one class")
    if target.ndim == 1:
        args.labels = labels_below(views, target, args.n, args.K)
    else:
        args.target = views.take(target, "target", args.n * args.K, code_of(lengths.kind), False)
    dlengths = like(lengths)
    args.logits, args.dlogits = lengths.data, dlengths.data
    with nogil:
        status = lengths.table.margin(&args, present, absent, weight)
    done(status)
    return args.loss, dlengths, args.correct


def squared_error(LaneArray x, LaneArray target, double scale):
    """See contract."""
    cdef double loss = 0
    cdef int status
    ours(x, "x")
    ours(target, "target", x.kind)
    same(target, x.shape, "target")
    cdef LaneArray dx = like(x)
    with nogil:
        status = x.table.squared_error(x.n, x.F, scale, x.data, target.data, dx.data, &loss)
    done(status)
    return loss, dx
