# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Losses of the native backend, lanes/loss.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport size, softmax_args
from minidl._ext.lanearray cimport LaneArray, Views, code_of, done, like, ours


def softmax_cross_entropy(LaneArray logits, target, double smoothing=0.0):
    """See contract."""
    cdef softmax_args args
    cdef Views views = Views()
    cdef LaneArray dlogits
    cdef const size *labels
    cdef size i
    cdef int status
    ours(logits, "logits", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.K, args.smoothing = logits.n, logits.F, smoothing
    if args.K < 1:
        raise ValueError("logits must have at least one class")
    if target.ndim == 1:
        args.labels = labels = <const size *>views.take(target, "target", args.n, c'l', False)
        for i in range(args.n):
            if labels[i] < 0 or labels[i] >= args.K:
                raise ValueError(f"labels must lie in [0, {args.K}), got {labels[i]}")
    else:
        args.target = views.take(target, "target", args.n * args.K, code_of(logits.kind), False)
    dlogits = like(logits)
    args.logits, args.dlogits = logits.data, dlogits.data
    with nogil:
        status = logits.table.softmax(&args)
    done(status)
    return args.loss, dlogits, args.correct


def mse_loss(LaneArray x, target):
    """See contract."""
    cdef Views views = Views()
    cdef double loss = 0
    cdef const void *t
    cdef int status
    ours(x, "x")
    t = views.take(target, "target", x.n * x.F, code_of(x.kind), False)
    cdef LaneArray dx = like(x)
    with nogil:
        status = x.table.mse(x.n, x.F, x.data, t, dx.data, &loss)
    done(status)
    return loss, dx
