# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Windows and pooling of the native backend, lanes/pooling.h. See `minidl.kernels.contract`."""

from libc.stdint cimport int32_t

from minidl._ext.kernels cimport (
    POOL_AVG,
    POOL_MAX2,
    POOL_NONE,
    geometry,
    pool_backward_args,
    pool_forward_args,
)
from minidl._ext.lanearray cimport (
    INT32,
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_same_lanes,
    check_shape,
    check_status,
    new_beside,
)

from minidl._ext.layout import leave, reshape


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
    cdef pool_forward_args args
    cdef LaneArray y, argmax
    cdef int status
    check_array(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = new_beside(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    argmax = new_beside(x, y.shape, INT32)
    args.x, args.y, args.argmax = x.data, y.data, <int32_t *>argmax.data
    with nogil:
        status = x.table.maxpool_forward(&args)
    check_status(status)
    return y, argmax


def maxpool2d_backward(LaneArray dy, LaneArray argmax, x_shape, kernel_size, stride, padding):
    cdef pool_backward_args args
    cdef LaneArray dx, moved
    cdef int status
    cdef Buffers buffers
    check_for_training(dy, "dy")
    pool_geometry(&args.g, tuple(x_shape), kernel_size, stride, padding)
    check_shape(dy, (args.g.n, args.g.C, args.g.OH, args.g.OW), "dy")
    if argmax is not None and argmax.table != dy.table:
        buffers = Buffers()
        check_shape(argmax, dy.shape, "argmax")
        plain = leave(argmax)
        moved = new_beside(dy, dy.shape, INT32)
        dy.table.enter_index(dy.n, dy.F, <int32_t *>buffers.pointer(plain, "argmax", dy.n * dy.F, c'i', False),
                             <int32_t *>moved.data)
        argmax = moved
    check_same_lanes(argmax, dy, INT32, "argmax")
    dx = new_beside(dy, tuple(x_shape), dy.dtype)
    args.dy, args.argmax, args.dx = dy.data, <int32_t *>argmax.data, dx.data
    with nogil:
        status = dy.table.maxpool_backward(&args)
    check_status(status)
    return dx


def avgpool2d_forward(LaneArray x, kernel_size, stride, padding):
    cdef pool_forward_args args
    cdef LaneArray y
    cdef int status
    check_array(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = new_beside(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    args.x, args.y, args.argmax = x.data, y.data, NULL
    with nogil:
        status = x.table.avgpool_forward(&args)
    check_status(status)
    return y


def avgpool2d_backward(LaneArray dy, x_shape, kernel_size, stride, padding):
    cdef pool_backward_args args
    cdef LaneArray dx
    cdef int status
    check_for_training(dy, "dy")
    pool_geometry(&args.g, tuple(x_shape), kernel_size, stride, padding)
    check_shape(dy, (args.g.n, args.g.C, args.g.OH, args.g.OW), "dy")
    dx = new_beside(dy, tuple(x_shape), dy.dtype)
    args.dy, args.argmax, args.dx = dy.data, NULL, dx.data
    with nogil:
        status = dy.table.avgpool_backward(&args)
    check_status(status)
    return dx


def global_avgpool_forward(LaneArray x):
    return reshape(avgpool2d_forward(x, x.shape[2:], (1, 1), (0, 0)), (x.shape[1],))


def global_avgpool_backward(LaneArray dy, x_shape):
    return avgpool2d_backward(reshape(dy, (dy.F, 1, 1)), x_shape, tuple(x_shape[2:]), (1, 1), (0, 0))


cdef int pool_code(pool) except -1:
    """The pooling that kernels fuse: 2 x 2 with stride 2, without padding. Else POOL_NONE."""
    if pool is not None and pool[1] == (2, 2) and pool[2] == (2, 2) and pool[3] == (0, 0):
        return POOL_MAX2 if pool[0] == "max" else POOL_AVG
    return POOL_NONE


cdef tuple pool_after(LaneArray y, pool):
    """Pool by the plain operation -> pooled, argmax (None for an average)."""
    if pool[0] == "max":
        return maxpool2d_forward(y, pool[1], pool[2], pool[3])
    return avgpool2d_forward(y, pool[1], pool[2], pool[3]), None


cdef LaneArray pool_before(LaneArray dy, LaneArray argmax, tuple shape, pool):
    if pool[0] == "max":
        return maxpool2d_backward(dy, argmax, shape, pool[1], pool[2], pool[3])
    return avgpool2d_backward(dy, shape, pool[1], pool[2], pool[3])
