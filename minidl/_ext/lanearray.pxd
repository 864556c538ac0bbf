# cython: language_level=3
"""What the operations need to know of lane arrays."""

from minidl._ext.kernels cimport kernel_table, size

cdef extern from "core/setting.h" nogil:
    const kernel_table *table_setting "setting_read"(const kernel_table **word)
    int number_setting "setting_read"(int *word)
    void set_table "setting_write"(const kernel_table **word, const kernel_table *value)
    void set_number "setting_write"(int *word, int value)

cdef const kernel_table *tables[2]  # of the instruction set in use: float32, float64
cdef int winograd_setting


cdef inline const kernel_table *table_in_use(int kind) noexcept nogil:
    """Of the instruction set in use; kind: 0 float32, 1 float64."""
    return table_setting(&tables[kind])


cdef inline int winograd_tile() noexcept nogil:
    """What `use_winograd` has last set."""
    return number_setting(&winograd_setting)


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


cdef class Buffers:
    cdef Py_buffer view[10]
    cdef void *copy[2]
    cdef int used, copies
    cdef void *pointer(self, object a, str name, size count, char code, bint writable) except? NULL
    cdef const size *places(self, object a, str name, size count) except NULL
    cdef const size *labels(self, labels, str name, size n, size K) except NULL


cdef int kind_of(dtype) except -1
cdef char format_of(int kind) noexcept
cdef void *new_memory(size count) except NULL
cdef void free_memory(void *memory) noexcept
cdef LaneArray new_array(const kernel_table *table, int kind, tuple shape, object dtype)
cdef LaneArray new_beside(LaneArray x, tuple shape, object dtype)
cdef LaneArray new_like(LaneArray x)
cdef LaneArray new_entering(int kind, tuple shape, bint infer)
cdef LaneArray in_lanes(LaneArray x)
cdef LaneArray reshaped(LaneArray x, tuple shape)
cdef bint of_current_isa(LaneArray x) noexcept
cdef int check_for_training(LaneArray x, str name, int kind=*, int ndim=*) except -1
cdef int check_array(LaneArray x, str name, int kind=*, int ndim=*) except -1
cdef int check_shape(LaneArray x, tuple shape, str name) except -1
cdef int check_same_lanes(LaneArray x, LaneArray y, object dtype, str name) except -1
cdef int check_pair(tuple out) except -1
cdef int check_status(int status) except -1
cpdef int get_num_threads() noexcept
