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
    pool_mean,
    size,
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


cdef int margins(padding, size n, size k, size stride, size dilation, int axis, size *before, size *behind) except -1:
    """The padding of one axis, 0 for the height: `minidl.kernels.checks.margins` says what the words mean."""
    cdef size zeros
    if isinstance(padding, str):
        if padding not in ("same", "same_lower"):
            raise ValueError(f'padding in words must be "same" or "same_lower", got {padding!r}')
        zeros = max(((n + stride - 1) // stride - 1) * stride + dilation * (k - 1) + 1 - n, 0)
        before[0] = zeros // 2 if padding == "same" else (zeros + 1) // 2
        behind[0] = zeros - before[0]
        return 0
    side = padding[axis]
    if isinstance(side, tuple):
        before[0], behind[0] = side
    else:
        before[0] = behind[0] = side
    return 0


cdef size positions(size n, size k, size stride, size before, size behind, bint ceil_mode) noexcept:
    """Windows along one axis; `minidl.kernels.checks.window_output` says how many."""
    cdef size steps = (n + before + behind - k + (stride - 1 if ceil_mode else 0)) // stride
    return steps + (not ceil_mode or steps * stride < n + before)


cdef int window(geometry *g, tuple k, tuple stride, padding, tuple dilation, bint ceil_mode, size *bottom,
                size *right) except -1:
    """Fill in window sizes and OH, OW; x's sizes are there. bottom, right: padding there, or NULL."""
    cdef double padded
    cdef size high, wide, reach_h, reach_w
    g.KH, g.KW = k
    g.SH, g.SW = stride
    g.DH, g.DW = dilation
    if min(g.H, g.W) < 1:
        raise ValueError(f"the input's height and width must be at least 1, got {g.H, g.W}")
    if min(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW) < 1:
        raise ValueError(f"kernel {k}, stride {stride} and dilation {dilation} must be positive")
    if max(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW) >= 1 << 31:
        raise ValueError("sizes must be below 2**31")
    if len(padding) != 2 and not isinstance(padding, str):
        raise ValueError(f"padding must be of two axes, got {padding}")
    margins(padding, g.H, g.KH, g.SH, g.DH, 0, &g.PH, &high)
    margins(padding, g.W, g.KW, g.SW, g.DW, 1, &g.PW, &wide)
    if min(g.PH, g.PW, high, wide) < 0:
        raise ValueError(f"padding must be at least 0, not negative, got {padding}")
    if max(g.PH, g.PW, high, wide) >= 1 << 31:
        raise ValueError("sizes must be below 2**31")
    reach_h, reach_w = g.DH * (g.KH - 1) + 1, g.DW * (g.KW - 1) + 1
    if reach_h > g.H + g.PH + high or reach_w > g.W + g.PW + wide:
        raise ValueError(f"kernel {k} (dilation {dilation}) must fit into the padded input "
                         f"{g.H, g.W} (padding {padding})")
    padded = (<double>g.H + g.PH + high + g.KH * g.DH) * (<double>g.W + g.PW + wide + g.KW * g.DW) * max(g.C, g.O, 1)
    if padded * 64 > 2.0 ** 46:
        raise ValueError(f"{max(g.C, g.O)} channels of {g.H + g.PH + high} x {g.W + g.PW + wide}, padded, "
                         "are too large")
    g.OH = positions(g.H, reach_h, g.SH, g.PH, high, ceil_mode)
    g.OW = positions(g.W, reach_w, g.SW, g.PW, wide, ceil_mode)
    if bottom != NULL:
        bottom[0], right[0] = high, wide
    # A stride longer than a window that stands alone changes nothing, but conv_dx works through each of its steps.
    if g.OH == 1:
        g.SH = min(g.SH, reach_h)
    if g.OW == 1:
        g.SW = min(g.SW, reach_w)
    return 0


cdef int windows_hold_a_pixel(size count, size n, size k, size stride, size before, size behind,
                              size dilation) noexcept:
    """Whether no window lies in padding alone; only those that start before the input can step over all of it."""
    cdef size i, start
    if before > dilation * (k - 1) or behind > dilation * (k - 1):
        return 0
    if n >= dilation:
        return 1
    for i in range(count):
        start = i * stride - before
        if start >= 0:
            break
        if start + (dilation - 1 - start) // dilation * dilation >= n:
            return 0
    return 1


cdef int pool_geometry(geometry *g, pool_mean *mean, tuple shape, tuple kernel_size, tuple stride, padding,
                       tuple dilation, bint ceil_mode, bint count_include_pad) except -1:
    cdef size bottom, right
    if len(shape) != 4:
        raise ValueError(f"x must have 4 dimensions, got shape {shape}")
    g.n, g.C, g.H, g.W = shape
    g.O, g.G = g.C, 1
    window(g, kernel_size, stride, padding, dilation, ceil_mode, &bottom, &right)
    if not (windows_hold_a_pixel(g.OH, g.H, g.KH, g.SH, g.PH, bottom, g.DH)
            and windows_hold_a_pixel(g.OW, g.W, g.KW, g.SW, g.PW, right, g.DW)):
        raise ValueError(f"padding {padding} must be smaller than the kernel {kernel_size} (dilation {dilation}), "
                         f"and each window hold a pixel of {g.H, g.W}")
    mean.bins = 0
    mean.h0, mean.h1, mean.w0, mean.w1 = 0, g.H, 0, g.W
    if count_include_pad:
        mean.h0, mean.h1, mean.w0, mean.w1 = -g.PH, g.H + bottom, -g.PW, g.W + right
    return 0


def maxpool2d_forward(LaneArray x, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    cdef pool_forward_args args
    cdef LaneArray y, argmax
    cdef int status
    check_array(x, "x")
    pool_geometry(&args.g, &args.mean, x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    y = new_beside(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    argmax = new_beside(x, y.shape, INT32)
    args.x, args.y, args.argmax = x.data, y.data, <int32_t *>argmax.data
    with nogil:
        status = x.table.maxpool_forward(&args)
    check_status(status)
    return y, argmax


def maxpool2d_backward(LaneArray dy, LaneArray argmax, x_shape, kernel_size, stride, padding, dilation=(1, 1),
                       ceil_mode=False):
    cdef pool_backward_args args
    cdef LaneArray dx, moved
    cdef int status
    cdef Buffers buffers
    check_for_training(dy, "dy")
    pool_geometry(&args.g, &args.mean, tuple(x_shape), kernel_size, stride, padding, dilation, ceil_mode, False)
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


cdef LaneArray mean_forward(LaneArray x, pool_forward_args *args):
    cdef int status
    cdef LaneArray y = new_beside(x, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    args.x, args.y, args.argmax = x.data, y.data, NULL
    with nogil:
        status = x.table.avgpool_forward(args)
    check_status(status)
    return y


cdef LaneArray mean_backward(LaneArray dy, tuple x_shape, pool_backward_args *args):
    cdef int status
    check_shape(dy, (args.g.n, args.g.C, args.g.OH, args.g.OW), "dy")
    cdef LaneArray dx = new_beside(dy, x_shape, dy.dtype)
    args.dy, args.argmax, args.dx = dy.data, NULL, dx.data
    with nogil:
        status = dy.table.avgpool_backward(args)
    check_status(status)
    return dx


def avgpool2d_forward(LaneArray x, kernel_size, stride, padding, ceil_mode=False, count_include_pad=True):
    cdef pool_forward_args args
    check_array(x, "x")
    pool_geometry(&args.g, &args.mean, x.shape, kernel_size, stride, padding, (1, 1), ceil_mode, count_include_pad)
    return mean_forward(x, &args)


def avgpool2d_backward(LaneArray dy, x_shape, kernel_size, stride, padding, ceil_mode=False, count_include_pad=True):
    cdef pool_backward_args args
    check_for_training(dy, "dy")
    pool_geometry(&args.g, &args.mean, tuple(x_shape), kernel_size, stride, padding, (1, 1), ceil_mode,
                  count_include_pad)
    return mean_backward(dy, tuple(x_shape), &args)


cdef int bins_geometry(geometry *g, pool_mean *mean, tuple shape, size OH, size OW) except -1:
    """Windows that part an image into OH x OW; the kernel's size is that of the largest, for the count of work."""
    if len(shape) != 4:
        raise ValueError(f"x must have 4 dimensions, got shape {shape}")
    if not (1 <= OH < 1 << 31 and 1 <= OW < 1 << 31 and 1 <= shape[2] < 1 << 31 and 1 <= shape[3] < 1 << 31):
        raise ValueError(f"sizes must be at least 1 and below 2**31, got input {shape} and output {OH, OW}")
    g.n, g.C, g.H, g.W = shape
    g.O, g.G = g.C, 1
    window(g, (1, 1), (1, 1), (0, 0), (1, 1), False, NULL, NULL)
    g.OH, g.OW, g.KH, g.KW = OH, OW, g.H // OH + 1, g.W // OW + 1
    mean.bins = 1
    return 0


def adaptive_avgpool_forward(LaneArray x, output_size):
    cdef pool_forward_args args
    check_array(x, "x")
    bins_geometry(&args.g, &args.mean, x.shape, output_size[0], output_size[1])
    return mean_forward(x, &args)


def adaptive_avgpool_backward(LaneArray dy, x_shape):
    cdef pool_backward_args args
    check_for_training(dy, "dy", -1, 4)
    bins_geometry(&args.g, &args.mean, tuple(x_shape), dy.shape[2], dy.shape[3])
    return mean_backward(dy, tuple(x_shape), &args)


def global_maxpool_forward(LaneArray x):
    y, argmax = maxpool2d_forward(x, x.shape[2:], (1, 1), (0, 0))
    return reshape(y, (x.shape[1],)), reshape(argmax, (x.shape[1],))


def global_maxpool_backward(LaneArray dy, LaneArray argmax, x_shape):
    check_shape(dy, tuple(x_shape)[:2], "dy")
    argmax = None if argmax is None else reshape(argmax, (argmax.F, 1, 1))
    return maxpool2d_backward(reshape(dy, (dy.F, 1, 1)), argmax, x_shape, tuple(x_shape[2:]), (1, 1), (0, 0))


def global_avgpool_forward(LaneArray x):
    return reshape(avgpool2d_forward(x, x.shape[2:], (1, 1), (0, 0)), (x.shape[1],))


def global_avgpool_backward(LaneArray dy, x_shape):
    return avgpool2d_backward(reshape(dy, (dy.F, 1, 1)), x_shape, tuple(x_shape[2:]), (1, 1), (0, 0))


cdef int pool_code(pool) except -1:
    """The pooling that kernels fuse: 2 x 2 with stride 2, without padding, as it is without more settings."""
    if pool is not None and pool[1] == (2, 2) and pool[2] == (2, 2) and pool[3] == (0, 0) and len(pool) == 4:
        return POOL_MAX2 if pool[0] == "max" else POOL_AVG
    return POOL_NONE


cdef tuple pool_after(LaneArray y, pool):
    """Pool by the plain operation -> pooled, argmax (None for an average)."""
    if pool[0] == "max":
        return maxpool2d_forward(y, *pool[1:])
    return avgpool2d_forward(y, *pool[1:]), None


cdef LaneArray pool_before(LaneArray dy, LaneArray argmax, tuple shape, pool):
    if pool[0] == "max":
        return maxpool2d_backward(dy, argmax, shape, *pool[1:])
    return avgpool2d_backward(dy, shape, *pool[1:])
