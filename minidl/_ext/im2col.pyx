# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Sliding windows over NCHW arrays: im2col, col2im, max pooling, average pooling; float32 and float64.

Callers (`minidl.kernels.im2col`) have checked every shape against every other; here are loops only, without the GIL.
Every array is C-contiguous. IN arguments are read, OUT arguments overwritten, ADD arguments added to.

A window of output (oh, ow) starts at row oh*SH - PH and column ow*SW - PW of the image. `first_inside` and
`first_beyond` cut a range of positions to those inside the image: no loop tests a pixel, none leaves the array.
"""

from cython cimport floating
from libc.stdint cimport int32_t


cdef inline Py_ssize_t first_inside(Py_ssize_t start, Py_ssize_t step) noexcept nogil:
    """Smallest i >= 0 with start + i*step >= 0."""
    return 0 if start >= 0 else (step - 1 - start) // step


cdef inline Py_ssize_t first_beyond(
    Py_ssize_t start, Py_ssize_t step, Py_ssize_t size, Py_ssize_t count
) noexcept nogil:
    """Smallest i >= 0 with start + i*step >= size, but at most count."""
    if start >= size:
        return 0
    return min(count, (size - start + step - 1) // step)


def im2col(
    const floating[:, :, :, ::1] x,     # IN (N, C, H, W)
    floating[:, ::1] cols,              # OUT (C*KH*KW, N*rows*OW)
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t SH, Py_ssize_t SW,
    Py_ssize_t PH, Py_ssize_t PW, Py_ssize_t DH, Py_ssize_t DW,
    Py_ssize_t oh0, Py_ssize_t rows,    # output rows oh0 .. oh0 + rows - 1
    Py_ssize_t OW,
):
    """Column (n*rows + oh - oh0)*OW + ow of cols becomes the window of output (n, oh, ow), zeros for padding."""
    cdef Py_ssize_t N = x.shape[0], C = x.shape[1], H = x.shape[2], W = x.shape[3]
    cdef Py_ssize_t n, c, kh, kw, r, ih, iw, ow, left, right
    cdef floating *col
    cdef const floating *row
    with nogil:
        for c in range(C):
            for kh in range(KH):
                for kw in range(KW):
                    iw = kw * DW - PW
                    left = min(first_inside(iw, SW), OW)
                    right = max(left, first_beyond(iw, SW, W, OW))
                    for n in range(N):
                        for r in range(rows):
                            col = &cols[(c * KH + kh) * KW + kw, (n * rows + r) * OW]
                            ih = (oh0 + r) * SH - PH + kh * DH
                            if ih < 0 or ih >= H or left == right:
                                for ow in range(OW):
                                    col[ow] = 0
                                continue
                            row = &x[n, c, ih, 0]
                            for ow in range(left):
                                col[ow] = 0
                            if SW == 1:
                                for ow in range(left, right):
                                    col[ow] = row[iw + ow]
                            else:
                                for ow in range(left, right):
                                    col[ow] = row[iw + ow * SW]
                            for ow in range(right, OW):
                                col[ow] = 0


def col2im(
    const floating[:, ::1] cols,        # IN (C*KH*KW, N*rows*OW)
    floating[:, :, :, ::1] x,           # ADD (N, C, H, W)
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t SH, Py_ssize_t SW,
    Py_ssize_t PH, Py_ssize_t PW, Py_ssize_t DH, Py_ssize_t DW,
    Py_ssize_t oh0, Py_ssize_t rows,    # output rows oh0 .. oh0 + rows - 1
    Py_ssize_t OW,
):
    """The adjoint of `im2col`: each entry of cols is added to the pixel that it came from; padding takes nothing."""
    cdef Py_ssize_t N = x.shape[0], C = x.shape[1], H = x.shape[2], W = x.shape[3]
    cdef Py_ssize_t n, c, kh, kw, r, ih, iw, ow, left, right
    cdef const floating *col
    cdef floating *row
    with nogil:
        for c in range(C):
            for kh in range(KH):
                for kw in range(KW):
                    iw = kw * DW - PW
                    left = min(first_inside(iw, SW), OW)
                    right = max(left, first_beyond(iw, SW, W, OW))
                    if left == right:
                        continue
                    for n in range(N):
                        for r in range(rows):
                            ih = (oh0 + r) * SH - PH + kh * DH
                            if ih < 0 or ih >= H:
                                continue
                            col = &cols[(c * KH + kh) * KW + kw, (n * rows + r) * OW]
                            row = &x[n, c, ih, 0]
                            if SW == 1:
                                for ow in range(left, right):
                                    row[iw + ow] += col[ow]
                            else:
                                for ow in range(left, right):
                                    row[iw + ow * SW] += col[ow]


def maxpool2d_forward(
    const floating[:, :, :, ::1] x,     # IN (N, C, H, W)
    floating[:, :, :, ::1] y,           # OUT (N, C, OH, OW)
    int32_t[:, :, :, ::1] argmax,       # OUT (N, C, OH, OW)
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t PH, Py_ssize_t PW,
    Py_ssize_t DH, Py_ssize_t DW,       # each window has a place inside the image
):
    """Maximum of each window and its place ih*W + iw: the first in row-major order, the first NaN before any number."""
    cdef Py_ssize_t N = y.shape[0], C = y.shape[1], OH = y.shape[2], OW = y.shape[3]
    cdef Py_ssize_t H = x.shape[2], W = x.shape[3]
    cdef Py_ssize_t n, c, oh, ow, ih, iw, top, bottom, left, right, place
    cdef floating best, value
    cdef const floating *image
    with nogil:
        for n in range(N):
            for c in range(C):
                image = &x[n, c, 0, 0]
                for oh in range(OH):
                    top = oh * SH - PH
                    bottom = min(top + (KH - 1) * DH + 1, H)
                    top += first_inside(top, DH) * DH
                    for ow in range(OW):
                        left = ow * SW - PW
                        right = min(left + (KW - 1) * DW + 1, W)
                        left += first_inside(left, DW) * DW
                        place = top * W + left
                        best = image[place]
                        ih = top
                        while ih < bottom:
                            iw = left
                            while iw < right:
                                value = image[ih * W + iw]
                                if value > best or (value != value and best == best):
                                    best = value
                                    place = ih * W + iw
                                iw += DW
                            ih += DH
                        y[n, c, oh, ow] = best
                        argmax[n, c, oh, ow] = <int32_t> place


def maxpool2d_backward(
    const floating[:, :, :, ::1] dy,        # IN (N, C, OH, OW)
    const int32_t[:, :, :, ::1] argmax,     # IN (N, C, OH, OW)
    floating[:, :, :, ::1] dx,              # ADD (N, C, H, W)
):
    """Each dy is added at its argmax. Returns how many places lay outside the image; they are left out."""
    cdef Py_ssize_t N = dy.shape[0], C = dy.shape[1], OH = dy.shape[2], OW = dy.shape[3]
    cdef Py_ssize_t pixels = dx.shape[2] * dx.shape[3], outside = 0
    cdef Py_ssize_t n, c, oh, ow, place
    cdef floating *image
    with nogil:
        for n in range(N):
            for c in range(C):
                image = &dx[n, c, 0, 0]
                for oh in range(OH):
                    for ow in range(OW):
                        place = argmax[n, c, oh, ow]
                        if 0 <= place < pixels:
                            image[place] += dy[n, c, oh, ow]
                        else:
                            outside += 1
    return outside


def avgpool2d_forward(
    const floating[:, :, :, ::1] x,     # IN (N, C, H, W)
    floating[:, :, :, ::1] y,           # OUT (N, C, OH, OW)
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t PH, Py_ssize_t PW,
    Py_ssize_t H0, Py_ssize_t H1, Py_ssize_t W0, Py_ssize_t W1,
):
    """Sum over the part of each window that lies inside the image, divided by that in rows H0:H1, columns W0:W1."""
    cdef Py_ssize_t N = y.shape[0], C = y.shape[1], OH = y.shape[2], OW = y.shape[3]
    cdef Py_ssize_t H = x.shape[2], W = x.shape[3]
    cdef Py_ssize_t n, c, oh, ow, ih, iw, top, bottom, left, right, rows
    cdef floating total, area
    cdef const floating *image
    with nogil:
        for n in range(N):
            for c in range(C):
                image = &x[n, c, 0, 0]
                for oh in range(OH):
                    top, bottom = max(oh * SH - PH, 0), min(oh * SH - PH + KH, H)
                    rows = min(oh * SH - PH + KH, H1) - max(oh * SH - PH, H0)
                    for ow in range(OW):
                        left, right = max(ow * SW - PW, 0), min(ow * SW - PW + KW, W)
                        area = <floating> (rows * (min(ow * SW - PW + KW, W1) - max(ow * SW - PW, W0)))
                        total = 0
                        for ih in range(top, bottom):
                            for iw in range(left, right):
                                total = total + image[ih * W + iw]
                        y[n, c, oh, ow] = total / area


def avgpool2d_backward(
    const floating[:, :, :, ::1] dy,    # IN (N, C, OH, OW)
    floating[:, :, :, ::1] dx,          # ADD (N, C, H, W)
    Py_ssize_t KH, Py_ssize_t KW, Py_ssize_t SH, Py_ssize_t SW, Py_ssize_t PH, Py_ssize_t PW,
    Py_ssize_t H0, Py_ssize_t H1, Py_ssize_t W0, Py_ssize_t W1,
):
    """dy, divided as in the forward pass, is added to every pixel of its window."""
    cdef Py_ssize_t N = dy.shape[0], C = dy.shape[1], OH = dy.shape[2], OW = dy.shape[3]
    cdef Py_ssize_t H = dx.shape[2], W = dx.shape[3]
    cdef Py_ssize_t n, c, oh, ow, ih, iw, top, bottom, left, right, rows
    cdef floating share, area
    cdef floating *image
    with nogil:
        for n in range(N):
            for c in range(C):
                image = &dx[n, c, 0, 0]
                for oh in range(OH):
                    top, bottom = max(oh * SH - PH, 0), min(oh * SH - PH + KH, H)
                    rows = min(oh * SH - PH + KH, H1) - max(oh * SH - PH, H0)
                    for ow in range(OW):
                        left, right = max(ow * SW - PW, 0), min(ow * SW - PW + KW, W)
                        area = <floating> (rows * (min(ow * SW - PW + KW, W1) - max(ow * SW - PW, W0)))
                        share = dy[n, c, oh, ow] / area
                        for ih in range(top, bottom):
                            for iw in range(left, right):
                                image[ih * W + iw] += share
