# cython: language_level=3
"""What convolution and normalisation need to know of windows, and of pooling behind them."""

from minidl._ext.kernels cimport geometry
from minidl._ext.lanearray cimport LaneArray

cdef int window(geometry *g, tuple k, tuple stride, tuple padding, tuple dilation) except -1
cdef int pool_code(pool) except -1
cdef tuple pool_after(LaneArray y, pool)
cdef LaneArray pool_before(LaneArray dy, LaneArray argmax, tuple shape, pool)
