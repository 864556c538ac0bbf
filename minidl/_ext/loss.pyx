# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Losses of the native backend, lanes/loss.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport softmax_args
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_for_training,
    check_shape,
    check_status,
    format_of,
    new_like,
)


cdef LaneArray class_loss(softmax_args *args, Buffers buffers, LaneArray x, target, str name):
    """Check one value of x a class and the target, put both into args -> the gradient, to be set."""
    check_for_training(x, name, -1, 2)
    memset(args, 0, sizeof(softmax_args))
    args.n, args.K = x.n, x.F
    if args.K < 1:
        raise ValueError(f"{name} must have at least one class")
    if target.ndim == 1:
        args.labels = buffers.labels(target, "target", args.n, args.K)
    else:
        args.target = buffers.pointer(target, "target", args.n * args.K, format_of(x.kind), False)
    cdef LaneArray dx = new_like(x)
    args.logits, args.dlogits = x.data, dx.data
    return dx


def softmax_cross_entropy(LaneArray logits, target, double smoothing=0.0):
    cdef softmax_args args
    cdef Buffers buffers = Buffers()
    cdef int status
    cdef LaneArray dlogits = class_loss(&args, buffers, logits, target, "logits")
    args.smoothing = smoothing
    with nogil:
        status = logits.table.softmax(&args)
    check_status(status)
    return args.loss, dlogits, args.correct


def margin_loss(LaneArray lengths, target, double present=0.9, double absent=0.1, double weight=0.5):
    cdef softmax_args args
    cdef Buffers buffers = Buffers()
    cdef int status
    cdef LaneArray dlengths = class_loss(&args, buffers, lengths, target, "lengths")
    with nogil:
        status = lengths.table.margin(&args, present, absent, weight)
    check_status(status)
    return args.loss, dlengths, args.correct


def mse_loss(LaneArray x, target):
    cdef Buffers buffers = Buffers()
    cdef double loss = 0
    cdef const void *t
    cdef int status
    check_for_training(x, "x")
    t = buffers.pointer(target, "target", x.n * x.F, format_of(x.kind), False)
    cdef LaneArray dx = new_like(x)
    with nogil:
        status = x.table.mse(x.n, x.F, x.data, t, dx.data, &loss)
    check_status(status)
    return loss, dx


def squared_error(LaneArray x, LaneArray target, double scale):
    cdef double loss = 0
    cdef int status
    check_for_training(x, "x")
    check_for_training(target, "target", x.kind)
    check_shape(target, x.shape, "target")
    cdef LaneArray dx = new_like(x)
    with nogil:
        status = x.table.squared_error(x.n, x.F, scale, x.data, target.data, dx.data, &loss)
    check_status(status)
    return loss, dx
