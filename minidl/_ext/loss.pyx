# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Losses of the native backend, lanes/loss.h and lanes/value_loss.h. See `minidl.kernels.contract`."""

from libc.string cimport memset

from minidl._ext.kernels cimport (
    LOSS_ABSOLUTE,
    LOSS_HUBER,
    LOSS_SIGMOID,
    LOSS_SQUARED,
    class_loss_args,
    size,
    value_loss,
    value_loss_args,
)
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_for_training,
    check_shape,
    check_status,
    format_of,
    new_like,
)


cdef const void *numbers(Buffers buffers, a, str name, size count, int kind) except? NULL:
    """Pointer to the numbers of a; NULL for None."""
    return NULL if a is None else buffers.pointer(a, name, count, format_of(kind), False)


cdef LaneArray class_loss(class_loss_args *args, Buffers buffers, LaneArray x, target, weight, str name):
    """Check one value of x a class, the target and the rows' weights, put all into args -> the gradient, to be set."""
    check_for_training(x, name, -1, 2)
    memset(args, 0, sizeof(class_loss_args))
    args.n, args.K = x.n, x.F
    if args.K < 1:
        raise ValueError(f"{name} must have at least one class")
    if target.ndim == 1:
        args.labels = buffers.labels(target, "target", args.n, args.K)
    else:
        args.target = buffers.pointer(target, "target", args.n * args.K, format_of(x.kind), False)
    args.weight = numbers(buffers, weight, "weight", args.n, x.kind)
    cdef LaneArray dx = new_like(x)
    args.logits, args.dlogits = x.data, dx.data
    return dx


cdef counted(double correct, weight):
    """A number of rows, or the sum of their weights."""
    return <size>correct if weight is None else correct


def softmax_cross_entropy(LaneArray logits, target, double smoothing=0.0, weight=None, class_weight=None):
    cdef class_loss_args args
    cdef Buffers buffers = Buffers()
    cdef int status
    cdef LaneArray dlogits = class_loss(&args, buffers, logits, target, weight, "logits")
    args.class_weight = numbers(buffers, class_weight, "class_weight", args.K, logits.kind)
    args.smoothing = smoothing
    with nogil:
        status = logits.table.softmax(&args)
    check_status(status)
    return args.loss, dlogits, counted(args.correct, weight)


def margin_loss(
    LaneArray lengths, target, double present=0.9, double absent=0.1, double weight=0.5, row_weight=None
):
    cdef class_loss_args args
    cdef Buffers buffers = Buffers()
    cdef int status
    cdef LaneArray dlengths = class_loss(&args, buffers, lengths, target, row_weight, "lengths")
    with nogil:
        status = lengths.table.margin(&args, present, absent, weight)
    check_status(status)
    return args.loss, dlengths, counted(args.correct, row_weight)


cdef LaneArray value_losses(
    value_loss_args *args, value_loss which, LaneArray x, target, weight, double scale, double parameter, pos_weight
):
    """scale times the sum of the losses of x's values, mean over the rows -> the gradient; args has all else."""
    cdef Buffers buffers = Buffers()
    cdef int status
    check_for_training(x, "x")
    memset(args, 0, sizeof(value_loss_args))
    args.n, args.F, args.which, args.scale, args.parameter = x.n, x.F, which, scale, parameter
    if isinstance(target, LaneArray):
        check_for_training(target, "target", x.kind)
        check_shape(target, x.shape, "target")
        args.in_lanes, args.target = True, (<LaneArray>target).data
    else:
        args.target = buffers.pointer(target, "target", x.n * x.F, format_of(x.kind), False)
    args.weight = numbers(buffers, weight, "weight", x.n, x.kind)
    args.pos_weight = numbers(buffers, pos_weight, "pos_weight", x.F, x.kind)
    cdef LaneArray dx = new_like(x)
    args.x, args.dx = x.data, dx.data
    with nogil:
        status = x.table.value_losses(args)
    check_status(status)
    return dx


cdef double one_value(LaneArray x):
    """1 / F: the share of a value in the mean of its row."""
    return 1.0 / max(x.F, 1) if x is not None else 1.0


def sigmoid_cross_entropy(LaneArray logits, target, weight=None, pos_weight=None):
    cdef value_loss_args args
    cdef LaneArray dx = value_losses(
        &args, LOSS_SIGMOID, logits, target, weight, one_value(logits), 1.0, pos_weight
    )
    return args.loss, dx, counted(args.correct, weight)


def mse_loss(LaneArray x, target, weight=None, bint mean=False):
    cdef value_loss_args args
    cdef LaneArray dx = value_losses(&args, LOSS_SQUARED, x, target, weight, 2 * one_value(x) if mean else 1, 0, None)
    return args.loss, dx


def l1_loss(LaneArray x, target, weight=None):
    cdef value_loss_args args
    cdef LaneArray dx = value_losses(&args, LOSS_ABSOLUTE, x, target, weight, one_value(x), 0, None)
    return args.loss, dx


def huber_loss(LaneArray x, target, double delta=1.0, weight=None):
    cdef value_loss_args args
    cdef LaneArray dx = value_losses(&args, LOSS_HUBER, x, target, weight, one_value(x), delta, None)
    return args.loss, dx


def squared_error(LaneArray x, LaneArray target, double scale, weight=None):
    cdef value_loss_args args
    if target is None:
        raise TypeError("target must be a LaneArray, got None")
    cdef LaneArray dx = value_losses(&args, LOSS_SQUARED, x, target, weight, 2 * scale, 0, None)
    return args.loss, dx
