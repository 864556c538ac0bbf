# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Transposed convolution of the native backend: lanes/conv/ with input and output changed round.

The convolution is the one from the output y (C channels of H x W in the geometry) back to the input x (O channels of
OH x OW): y is its input gradient, dx its output, dw its weight gradient. See `minidl.kernels.contract`.
"""

from libc.string cimport memset

from minidl._ext.activation cimport cleared
from minidl._ext.kernels cimport POOL_NONE, conv_backward_args, conv_forward_args, geometry, size
from minidl._ext.lanearray cimport (
    Buffers,
    LaneArray,
    check_array,
    check_for_training,
    check_pair,
    check_shape,
    check_status,
    format_of,
    in_lanes,
    new_beside,
    new_like,
    winograd_tile,
)
from minidl._ext.pooling cimport margins

import numpy as np


cdef size grown(size n, size k, size stride, size before, size behind, size more, size dilation) except -1:
    """The output's size along one axis."""
    cdef double wide = (<double>n - 1) * stride - before - behind + <double>dilation * (k - 1) + 1 + more
    if wide < 1 or wide >= 2.0 ** 31:
        raise ValueError(f"the output's sizes must be at least 1 and below 2**31, got {wide:.0f}")
    return <size>wide


cdef int transposed_geometry(geometry *g, LaneArray x, w, tuple stride, padding, tuple output_padding, tuple dilation,
                             size groups) except -1:
    cdef tuple w_shape = w.shape
    cdef size bottom, right, more_h, more_w
    cdef double padded
    if len(w_shape) != 4:
        raise ValueError(f"w must have 4 dimensions, got shape {w_shape}")
    g.n, g.O, g.OH, g.OW = x.shape
    g.G = groups
    g.KH, g.KW = w_shape[2:]
    g.SH, g.SW = stride
    g.DH, g.DW = dilation
    more_h, more_w = output_padding
    if groups < 1 or min(w_shape) < 1 or w_shape[0] != g.O or g.O % groups:
        raise ValueError(f"x {x.shape}, w {w_shape} and groups {groups} do not go together")
    g.C = <size>w_shape[1] * groups
    if min(g.OH, g.OW) < 1:
        raise ValueError(f"the input's height and width must be at least 1, got {g.OH, g.OW}")
    if min(g.SH, g.SW, g.DH, g.DW) < 1:
        raise ValueError(f"stride {stride} and dilation {dilation} must be positive")
    if isinstance(padding, str) or len(padding) != 2:
        raise ValueError(f"padding must be (PH, PW) or ((top, bottom), (left, right)), got {padding!r}")
    margins(padding, 1, 1, 1, 1, 0, &g.PH, &bottom)
    margins(padding, 1, 1, 1, 1, 1, &g.PW, &right)
    if min(g.PH, g.PW, bottom, right) < 0 or min(more_h, more_w) < 0:
        raise ValueError(f"padding {padding} and output_padding {output_padding} must not be negative")
    if more_h >= max(g.SH, g.DH) or more_w >= max(g.SW, g.DW):
        raise ValueError(f"output_padding {output_padding} must be smaller than the stride or the dilation")
    if max(g.OH, g.OW, g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW, bottom, right) >= 1 << 31:
        raise ValueError("sizes must be below 2**31")
    g.H = grown(g.OH, g.KH, g.SH, g.PH, bottom, more_h, g.DH)
    g.W = grown(g.OW, g.KW, g.SW, g.PW, right, more_w, g.DW)
    padded = (<double>g.H + g.PH + bottom + g.KH * g.DH) * (<double>g.W + g.PW + right + g.KW * g.DW) * max(g.C, g.O)
    if padded * 64 > 2.0 ** 46:
        raise ValueError(f"{max(g.C, g.O)} channels of {g.H} x {g.W}, padded, are too large")
    # As for a convolution: steps beyond a window that stands alone change nothing.
    if g.OH == 1:
        g.SH = min(g.SH, g.DH * (g.KH - 1) + 1)
    if g.OW == 1:
        g.SW = min(g.SW, g.DW * (g.KW - 1) + 1)
    return 0


def conv_transpose2d_forward(LaneArray x, w, b, stride, padding, output_padding, dilation, groups):
    cdef conv_backward_args args
    cdef Buffers buffers = Buffers()
    cdef LaneArray y
    cdef int status
    cdef char c
    memset(&args, 0, sizeof(args))
    check_array(x, "x", -1, 4)
    transposed_geometry(&args.g, x, w, stride, padding, output_padding, dilation, groups)
    x = in_lanes(x)
    c = format_of(x.kind)
    args.w = buffers.pointer(w, "w", args.g.O * (args.g.C // args.g.G) * args.g.KH * args.g.KW, c, False)
    if b is not None:
        args.dx_start = buffers.pointer(b, "b", args.g.C, c, False)
    y = new_beside(x, (x.n, args.g.C, args.g.H, args.g.W), x.dtype)
    args.dy, args.dx, args.pool, args.winograd = x.data, y.data, POOL_NONE, winograd_tile()
    with nogil:
        status = x.table.conv_backward(&args)
    check_status(status)
    return y


def conv_transpose2d_backward(LaneArray dy, LaneArray x, w, stride, padding, output_padding, dilation, groups,
                              need_dx=True, out=None):
    cdef conv_backward_args args, sums
    cdef conv_forward_args forward
    cdef Buffers buffers = Buffers()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    memset(&args, 0, sizeof(args))
    check_for_training(x, "x", -1, 4)
    transposed_geometry(&args.g, x, w, stride, padding, output_padding, dilation, groups)
    check_for_training(dy, "dy", x.kind, 4)
    check_shape(dy, (x.n, args.g.C, args.g.H, args.g.W), "dy")
    x = cleared(x)  # it takes the place of a gradient
    c = format_of(x.kind)
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.g.C, x.dtype)
    check_pair(out)
    cdef size weights = args.g.O * (args.g.C // args.g.G) * args.g.KH * args.g.KW
    args.w = buffers.pointer(w, "w", weights, c, False)
    args.dw = buffers.pointer(out[0], "dw", weights, c, True)
    args.dy, args.x, args.winograd = x.data, dy.data, winograd_tile()
    if need_dx:
        memset(&forward, 0, sizeof(forward))
        dx = new_like(x)
        forward.g, forward.x, forward.w, forward.y, forward.winograd = args.g, dy.data, args.w, dx.data, winograd_tile()
        with nogil:
            status = x.table.conv_forward(&forward)
        check_status(status)
    with nogil:
        status = x.table.conv_backward(&args)
    check_status(status)
    if out[1] is not None:
        # The bias gradient of one weight for each channel, whose own gradient nobody needs.
        memset(&sums, 0, sizeof(sums))
        unused = np.empty(args.g.C, x.dtype)
        sums.g = args.g
        sums.g.O = sums.g.G = args.g.C
        sums.g.OH, sums.g.OW = args.g.H, args.g.W
        sums.g.KH = sums.g.KW = sums.g.SH = sums.g.SW = sums.g.DH = sums.g.DW = 1
        sums.g.PH = sums.g.PW = 0
        sums.dw = buffers.pointer(unused, "dw", args.g.C, c, True)
        sums.db = buffers.pointer(out[1], "db", args.g.C, c, True)
        sums.dy = sums.x = dy.data
        sums.w, sums.winograd = sums.dw, winograd_tile()
        with nogil:
            status = x.table.conv_backward(&sums)
        check_status(status)
    return dx, out[0], out[1]
