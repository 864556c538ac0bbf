# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native backend's binding: check, take pointers, release the GIL, call the kernel table of the instruction set.

Every function here is an operation of `minidl.kernels.contract`; the modules beside this one bind their families in the
same way. Nothing is computed in this file.
"""

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from minidl._ext.kernels cimport *
from minidl._ext.lanearray cimport (
    INT32,
    UINT8,
    LaneArray,
    Views,
    beside,
    code_of,
    done,
    either,
    like,
    made_of,
    ours,
    pair_of,
    same,
    winograd_tile,
)
from minidl._ext.norm cimport norm_back, norm_run

import numpy as np

from minidl._ext.layout import leave, reshape


# ---- convolution ---------------------------------------------------------------------------------------------------

cdef int window(geometry *g, tuple k, tuple stride, tuple padding, tuple dilation) except -1:
    """Fill in window sizes and OH, OW; x's sizes are there."""
    cdef double padded
    g.KH, g.KW = k
    g.SH, g.SW = stride
    g.PH, g.PW = padding
    g.DH, g.DW = dilation
    if min(g.H, g.W) < 1:
        raise ValueError(f"the input's height and width must be at least 1, got {g.H, g.W}")
    if min(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW) < 1 or g.PH < 0 or g.PW < 0:
        raise ValueError(f"kernel {k}, stride {stride} and dilation {dilation} must be positive, "
                         f"padding {padding} not negative")
    if max(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW) >= 1 << 31:
        raise ValueError("sizes must be below 2**31")
    if g.DH * (g.KH - 1) + 1 > g.H + 2 * g.PH or g.DW * (g.KW - 1) + 1 > g.W + 2 * g.PW:
        raise ValueError(f"kernel {k} (dilation {dilation}) must fit into the padded input "
                         f"{g.H, g.W} (padding {padding})")
    padded = (<double>g.H + 2 * g.PH + g.KH * g.DH) * (<double>g.W + 2 * g.PW + g.KW * g.DW) * max(g.C, g.O, 1) * 64
    if padded > 2.0 ** 46:
        raise ValueError(f"{max(g.C, g.O)} channels of {g.H + 2 * g.PH} x {g.W + 2 * g.PW}, padded, are too large")
    g.OH = (g.H + 2 * g.PH - g.DH * (g.KH - 1) - 1) // g.SH + 1
    g.OW = (g.W + 2 * g.PW - g.DW * (g.KW - 1) - 1) // g.SW + 1
    # A stride longer than a window that stands alone changes nothing, but conv_dx works through each of its steps.
    if g.OH == 1:
        g.SH = min(g.SH, g.DH * (g.KH - 1) + 1)
    if g.OW == 1:
        g.SW = min(g.SW, g.DW * (g.KW - 1) + 1)
    return 0


cdef int conv_geometry(geometry *g, LaneArray x, object w, tuple stride, tuple padding, tuple dilation,
                       size groups) except -1:
    cdef tuple w_shape = w.shape
    cdef size per_group
    g.n, g.C, g.H, g.W = x.shape
    if len(w_shape) != 4:
        raise ValueError(f"w must have 4 dimensions, got shape {w_shape}")
    g.O = w_shape[0]
    per_group = w_shape[1]
    g.G = groups
    if groups < 1 or g.C < 1 or g.O < 1 or g.C != per_group * groups or g.O % groups:
        raise ValueError(f"x {x.shape}, w {w_shape} and groups {groups} do not go together")
    window(g, w_shape[2:], stride, padding, dilation)
    return 0


cdef int pool_code(pool) except -1:
    """The pooling that kernels fuse: 2 x 2 with stride 2, without padding. Else POOL_NONE."""
    if pool is not None and pool[1] == (2, 2) and pool[2] == (2, 2) and pool[3] == (0, 0):
        return POOL_MAX2 if pool[0] == "max" else POOL_AVG
    return POOL_NONE


cdef tuple conv_run(LaneArray x, w, b, tuple stride, tuple padding, tuple dilation, size groups, bint relu, int pool):
    cdef conv_forward_args args
    cdef Views views = Views()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    memset(&args, 0, sizeof(args))
    either(x, "x", -1, 4)
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    c = code_of(x.kind)
    args.x = x.data
    args.w = views.take(w, "w", args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW, c, False)
    if b is not None:
        args.b = views.take(b, "b", args.g.O, c, False)
    args.relu, args.pool, args.winograd = relu, pool, winograd_tile
    if pool:
        y = made_of(x, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), x.dtype)
        if not x.infer:
            code = made_of(x, y.shape, UINT8)
            args.code = <uint8_t *>code.data
    else:
        y = made_of(x, (x.n, args.g.O, args.g.OH, args.g.OW), x.dtype)
    args.y = y.data
    with nogil:
        status = x.table.conv_forward(&args)
    done(status)
    return y, code


def conv2d_forward(x, w, b, stride, padding, dilation, groups):
    """See contract."""
    return conv_run(x, w, b, stride, padding, dilation, groups, False, POOL_NONE)[0]


cdef tuple conv_back(LaneArray dy, LaneArray relu_y, LaneArray code, int pool, LaneArray x, w, tuple stride,
                     tuple padding, tuple dilation, size groups, bint need_dx, tuple out):
    cdef conv_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    cdef tuple shape
    memset(&args, 0, sizeof(args))
    ours(x, "x", -1, 4)
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    ours(dy, "dy", x.kind, 4)
    shape = (x.n, args.g.O, args.g.OH, args.g.OW)
    if pool:
        same(dy, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), "dy")
        beside(code, dy, UINT8, "saved")
        args.code = <const uint8_t *>code.data
    else:
        same(dy, shape, "dy")
    if relu_y is not None:
        ours(relu_y, "saved", x.kind)
        same(relu_y, shape, "saved")
        args.relu_y = relu_y.data
    args.pool, args.winograd = pool, winograd_tile
    c = code_of(x.kind)
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.g.O, x.dtype)
    pair_of(out)
    args.dy, args.x = dy.data, x.data
    cdef size weights = args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW
    args.w = views.take(w, "w", weights, c, False)
    args.dw = views.take(out[0], "dw", weights, c, True)
    if out[1] is not None:
        args.db = views.take(out[1], "db", args.g.O, c, True)
    if need_dx:
        dx = like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.conv_backward(&args)
    done(status)
    return dx, out[0], out[1]


def conv2d_backward(dy, x, w, stride, padding, dilation, groups, need_dx=True, out=None):
    """See contract."""
    return conv_back(dy, None, None, POOL_NONE, x, w, stride, padding, dilation, groups, need_dx, out)


# ---- pooling -------------------------------------------------------------------------------------------------------

cdef int pool_geometry(geometry *g, tuple shape, tuple kernel_size, tuple stride, tuple padding) except -1:
    if len(shape) != 4:
        raise ValueError(f"x must have 4 dimensions, got shape {shape}")
    g.n, g.C, g.H, g.W = shape
    g.O, g.G = g.C, 1
    window(g, kernel_size, stride, padding, (1, 1))
    if 2 * g.PH > g.KH or 2 * g.PW > g.KW:
        raise ValueError(f"padding {padding} must be at most half of the kernel {kernel_size}")
    return 0


def maxpool2d_forward(LaneArray x, kernel_size, stride, padding):
    """See contract."""
    cdef pool_forward_args args
    cdef LaneArray y, argmax
    cdef int status
    either(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = made_of(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    argmax = made_of(x, y.shape, INT32)
    args.x, args.y, args.argmax = x.data, y.data, <int32_t *>argmax.data
    with nogil:
        status = x.table.maxpool_forward(&args)
    done(status)
    return y, argmax


def maxpool2d_backward(LaneArray dy, LaneArray argmax, x_shape, kernel_size, stride, padding):
    """See contract."""
    cdef pool_backward_args args
    cdef LaneArray dx, moved
    cdef int status
    cdef Views views
    ours(dy, "dy")
    pool_geometry(&args.g, tuple(x_shape), kernel_size, stride, padding)
    same(dy, (args.g.n, args.g.C, args.g.OH, args.g.OW), "dy")
    if argmax is not None and argmax.table != dy.table:
        views = Views()
        same(argmax, dy.shape, "argmax")
        plain = leave(argmax)
        moved = made_of(dy, dy.shape, INT32)
        dy.table.enter_index(dy.n, dy.F, <int32_t *>views.take(plain, "argmax", dy.n * dy.F, c'i', False),
                             <int32_t *>moved.data)
        argmax = moved
    beside(argmax, dy, INT32, "argmax")
    dx = made_of(dy, tuple(x_shape), dy.dtype)
    args.dy, args.argmax, args.dx = dy.data, <int32_t *>argmax.data, dx.data
    with nogil:
        status = dy.table.maxpool_backward(&args)
    done(status)
    return dx


def avgpool2d_forward(LaneArray x, kernel_size, stride, padding):
    """See contract."""
    cdef pool_forward_args args
    cdef LaneArray y
    cdef int status
    either(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = made_of(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    args.x, args.y, args.argmax = x.data, y.data, NULL
    with nogil:
        status = x.table.avgpool_forward(&args)
    done(status)
    return y


def avgpool2d_backward(LaneArray dy, x_shape, kernel_size, stride, padding):
    """See contract."""
    cdef pool_backward_args args
    cdef LaneArray dx
    cdef int status
    ours(dy, "dy")
    pool_geometry(&args.g, tuple(x_shape), kernel_size, stride, padding)
    same(dy, (args.g.n, args.g.C, args.g.OH, args.g.OW), "dy")
    dx = made_of(dy, tuple(x_shape), dy.dtype)
    args.dy, args.argmax, args.dx = dy.data, NULL, dx.data
    with nogil:
        status = dy.table.avgpool_backward(&args)
    done(status)
    return dx


def global_avgpool_forward(LaneArray x):
    """See contract."""
    return reshape(avgpool2d_forward(x, x.shape[2:], (1, 1), (0, 0)), (x.shape[1],))


def global_avgpool_backward(LaneArray dy, x_shape):
    """See contract."""
    return avgpool2d_backward(reshape(dy, (dy.F, 1, 1)), x_shape, tuple(x_shape[2:]), (1, 1), (0, 0))


# ---- linear --------------------------------------------------------------------------------------------------------

cdef LaneArray linear_run(LaneArray x, w, b, bint relu):
    cdef linear_forward_args args
    cdef Views views = Views()
    cdef LaneArray y
    cdef int status
    cdef char c
    either(x, "x", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O, args.relu = x.n, x.F, len(w), relu
    c = code_of(x.kind)
    y = made_of(x, (x.n, args.O), x.dtype)
    args.w = views.take(w, "w", args.O * args.F, c, False)
    if b is not None:
        args.b = views.take(b, "b", args.O, c, False)
    args.x, args.y = x.data, y.data
    with nogil:
        status = x.table.linear_forward(&args)
    done(status)
    return y


def linear_forward(x, w, b):
    """See contract."""
    return linear_run(x, w, b, False)


cdef tuple linear_back(LaneArray dy, LaneArray relu_y, LaneArray x, w, bint need_dx, tuple out):
    cdef linear_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    ours(x, "x", -1, 2)
    ours(dy, "dy", x.kind, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O = x.n, x.F, len(w)
    same(dy, (x.n, args.O), "dy")
    if relu_y is not None:
        ours(relu_y, "y", x.kind)
        same(relu_y, dy.shape, "y")
        args.relu_y = relu_y.data
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.O, x.dtype)
    pair_of(out)
    c = code_of(x.kind)
    args.dy, args.x = dy.data, x.data
    args.w = views.take(w, "w", args.O * args.F, c, False)
    args.dw = views.take(out[0], "dw", args.O * args.F, c, True)
    if out[1] is not None:
        args.db = views.take(out[1], "db", args.O, c, True)
    if need_dx:
        dx = like(x)
        args.dx = dx.data
    with nogil:
        status = x.table.linear_backward(&args)
    done(status)
    return dx, out[0], out[1]


def linear_backward(dy, x, w, need_dx=True, out=None):
    """See contract."""
    return linear_back(dy, None, x, w, need_dx, out)


# ---- losses --------------------------------------------------------------------------------------------------------

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


# ---- blocks --------------------------------------------------------------------------------------------------------

cdef tuple pool_after(LaneArray y, pool):
    """Pool by the plain operation -> pooled, argmax (None for an average)."""
    if pool[0] == "max":
        return maxpool2d_forward(y, pool[1], pool[2], pool[3])
    return avgpool2d_forward(y, pool[1], pool[2], pool[3]), None


cdef LaneArray pool_before(LaneArray dy, LaneArray argmax, tuple shape, pool):
    if pool[0] == "max":
        return maxpool2d_backward(dy, argmax, shape, pool[1], pool[2], pool[3])
    return avgpool2d_backward(dy, shape, pool[1], pool[2], pool[3])


def conv_block_forward(x, w, b, stride, padding, dilation, groups, relu, pool):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, code = conv_run(x, w, b, stride, padding, dilation, groups, relu, fused)
    if pool is None or fused:
        return y, (y if pool is None else None, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (y, None, argmax)


def conv_block_backward(dy, saved, x, w, stride, padding, dilation, groups, relu, pool, need_dx=True, out=None):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, y.shape, pool)
    return conv_back(dy, y if relu and not fused else None, code, fused, x, w, stride, padding, dilation, groups,
                     need_dx, out)


def norm_block_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, pool):
    """See contract."""
    cdef int fused = pool_code(pool)
    y, mean, inv_std, code = norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, relu, fused)
    if pool is None or fused:
        return y, (mean, inv_std, beta, code, None)
    pooled, argmax = pool_after(y, pool)
    return pooled, (mean, inv_std, beta, None, argmax)


def norm_block_backward(dy, saved, x, gamma, train, relu, pool, out=None):
    """See contract."""
    cdef int fused = pool_code(pool)
    mean, inv_std, beta, code, argmax = saved
    if pool is not None and not fused:
        dy = pool_before(dy, argmax, x.shape, pool)
    return norm_back(dy, code, fused, relu, x, gamma, beta, mean, inv_std, train, out)


def linear_block_forward(x, w, b):
    """See contract."""
    return linear_run(x, w, b, True)


def linear_block_backward(dy, y, x, w, need_dx=True, out=None):
    """See contract."""
    return linear_back(dy, y, x, w, need_dx, out)
