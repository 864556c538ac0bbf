# cython: language_level=3
"""What convolution and normalisation need to know of windows, and of pooling behind them."""

from minidl._ext.kernels cimport geometry, pool_mean, size
from minidl._ext.lanearray cimport LaneArray

cdef int margins(padding, size n, size k, size stride, size dilation, int axis, size *before, size *behind) except -1
cdef int window(geometry *g, tuple k, tuple stride, padding, tuple dilation, bint ceil_mode, size *bottom,
                size *right) except -1
cdef int pool_geometry(geometry *g, pool_mean *mean, tuple shape, tuple kernel_size, tuple stride, padding,
                       tuple dilation, bint ceil_mode, bint count_include_pad) except -1
cdef int bins_geometry(geometry *g, pool_mean *mean, tuple shape, size OH, size OW) except -1
cdef int pool_code(pool) except -1
cdef tuple pool_after(LaneArray y, pool)
cdef LaneArray pool_before(LaneArray dy, LaneArray argmax, tuple shape, pool)
