# cython: language_level=3
"""What the operations need to know of lane arrays."""

from minidl._ext.kernels cimport kernel_table, size

cdef const kernel_table *tables[2]  # of the instruction set in use: float32, float64
cdef int winograd_tile
cdef object F32, F64, INT32, UINT8


cdef class LaneArray:
    cdef void *data
    cdef size count            # elements, empty lanes included
    cdef size n, F             # images, values of one image
    cdef const kernel_table *table
    cdef int kind              # 0: in the lanes of float32, 1: of float64
    cdef size nbytes
    cdef LaneArray owner       # whose memory this is, if not its own
    cdef bint infer            # no backward pass will follow
    cdef readonly tuple shape
    cdef readonly object dtype
    cdef readonly int ndim


cdef class Views:
    cdef Py_buffer view[10]
    cdef int used
    cdef void *take(self, object a, str name, size count, char code, bint writable) except? NULL


cdef int kind_of(dtype) except -1
cdef char code_of(int kind) noexcept
cdef LaneArray new_array(const kernel_table *table, int kind, tuple shape, object dtype)
cdef LaneArray made_of(LaneArray x, tuple shape, object dtype)
cdef LaneArray like(LaneArray x)
cdef LaneArray entering(int kind, tuple shape, bint infer)
cdef LaneArray in_lanes(LaneArray x)
cdef LaneArray reshaped(LaneArray x, tuple shape)
cdef int ours(LaneArray x, str name, int kind=*, int ndim=*) except -1
cdef int either(LaneArray x, str name, int kind=*, int ndim=*) except -1
cdef int same(LaneArray x, tuple shape, str name) except -1
cdef int beside(LaneArray x, LaneArray y, object dtype, str name) except -1
cdef int pair_of(tuple out) except -1
cdef int done(int status) except -1
