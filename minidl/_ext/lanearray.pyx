# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Batches in lanes: the instruction set that shapes them, their memory, and the checks before a pointer is taken."""

cimport cython
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy, memset

from minidl._ext.kernels cimport (
    buffer_bytes,
    buffers_now,
    buffers_release,
    buffers_return,
    buffers_take,
    cpu_leaves,
    gather_args,
    isa_count,
    isa_table,
    kernel_table,
    level_of_leaves,
    pool_free,
    pool_get_threads,
    pool_memory,
    pool_set_threads,
    size,
)

import numpy as np


# ---- instruction sets and threads ----------------------------------------------------------------------------------

set_table(&tables[0], isa_table(0, 0))
set_table(&tables[1], isa_table(0, 1))


def isas():
    """Names of the instruction sets that this machine and operating system support, widest first."""
    return tuple(isa_table(i, 0).isa.decode() for i in range(isa_count()))


def x86_level(highest, ecx_of_1, ebx_of_7, ecx_of_80000001, saved):
    """4 or 3 where an x86 processor that tells this runs all of x86-64-v4 or v3, else 1: see `cpu_leaves`."""
    cdef cpu_leaves leaves = cpu_leaves(highest, ecx_of_1, ebx_of_7, ecx_of_80000001, saved)
    return level_of_leaves(&leaves)


def use_isa(name):
    """Compute with the named instruction set from now on.

    Arrays in lanes from before can no longer be used: a backward pass whose forward was before is a ValueError. What
    numpy holds, weights, gradients and states, stays. Raises ValueError for a name that this machine does not have.
    """
    cdef int i
    for i in range(isa_count()):
        if isa_table(i, 0).isa.decode() == name:
            set_table(&tables[0], isa_table(i, 0))
            set_table(&tables[1], isa_table(i, 1))
            return
    raise ValueError(f"instruction set must be one of {', '.join(isas())} on this machine, got {name!r}")


def isa():
    """Name of the instruction set in use."""
    return table_in_use(0).isa.decode()


def lanes(dtype):
    """Images side by side in one vector of this dtype."""
    return table_in_use(kind_of(np.dtype(dtype))).layout.lanes


set_number(&winograd_setting, 4)


def use_winograd(int tile):
    """Rows of the largest output tile in Winograd's form of 3 x 3 convolutions, forward and backward: 2, 4, or 0.

    With 4, the default, F(2x2,3x3), F(2x4,3x3), F(4x4,3x3) and F(2x2,5x5) run where they are faster than a direct sum,
    with errors below 5e-6 of the largest value for images and kernels about 0, as normalisation leaves them. With 2
    only the first two, which are twice as exact. With 0 every convolution is a direct sum.

    A tile computes its outputs together: a NaN, an infinity or a huge pixel spoils all outputs of the tiles that read
    it, not only those whose windows hold it. Where that matters, take 0.
    """
    if tile not in (0, 2, 4):
        raise ValueError(f"Winograd's tile must be 0, 2 or 4, got {tile}")
    set_number(&winograd_setting, tile)


def winograd():
    """What `use_winograd` has last set."""
    return winograd_tile()


def config():
    """What `minidl.show_config` tells of this backend, by name."""
    per_vector = f"{lanes(np.float32)} float32, {lanes(np.float64)} float64"
    return {"isa": f"{isa()} of {', '.join(isas())}", "lanes": per_vector}


def set_num_threads(int threads):
    """Number of threads that kernels may use, the calling one included."""
    pool_set_threads(threads)


cpdef int get_num_threads() noexcept:
    """Number of threads that kernels may use."""
    return pool_get_threads()


# ---- memory --------------------------------------------------------------------------------------------------------

cdef no_memory(size count):
    return MemoryError(f"no memory for an array of {count} bytes")


cdef void *new_memory(size count) except NULL:
    """Aligned memory, to be given back by free_memory."""
    cdef void *memory = pool_memory(<size_t>max(count, 64))
    if memory == NULL:
        raise no_memory(count)
    return memory


cdef void free_memory(void *memory) noexcept:
    pool_free(memory)


def release_memory():
    """Give back the buffers that wait for reuse to the operating system."""
    buffers_release()


def memory_in_use():
    """(bytes of live lane arrays, bytes of buffers that wait for reuse)"""
    cdef buffer_bytes now = buffers_now()
    return now.live, now.waiting


def batches(size n, size most, dtype):
    cdef const kernel_table *table = table_in_use(kind_of(np.dtype(dtype)))
    cdef size lanes = table.layout.lanes, step, rest
    step = most // lanes * lanes if most > lanes else most
    rest = n % step
    found = [step] * (n // step)
    if rest > lanes and 0 < rest % lanes <= table.pixels.layout.most:
        found.append(rest // lanes * lanes)
        rest %= lanes
    if rest:
        found.append(rest)
    return found


F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
INT32 = np.dtype(np.int32)
UINT8 = np.dtype(np.uint8)


cdef int kind_of(dtype) except -1:
    if dtype is F32 or dtype == F32:
        return 0
    if dtype is F64 or dtype == F64:
        return 1
    raise TypeError(f"dtype must be float32 or float64, got {dtype}")


cdef no_arithmetic():
    raise TypeError(
        "a LaneArray has no arithmetic of its own: write compute and gradient of a layer on numpy arrays (see "
        "minidl.Layer), or convert by the backend's leave(x) and enter(a)"
    )


@cython.no_gc  # a collector would clear `owner` before __dealloc__ reads it; no cycle runs through an array
cdef class LaneArray:
    """A batch in lanes, made by `enter` and `gather`: (blocks, *shape of one image, L), a block's images side by side.

    For inference with few images it stands image after image instead, with one lane: a pixel array.

    shape: (N, ...) as the batch would have in numpy; dtype: float32 or float64 (int32 for indices of maxima).
    """

    def __cinit__(self):
        self.data = NULL

    def __dealloc__(self):
        if self.data != NULL and self.owner is None:
            buffers_return(self.data, <size_t>self.nbytes)

    def __init__(self):
        if self.data == NULL:
            raise TypeError("a LaneArray is made by enter or gather")

    def __len__(self):
        return self.n

    def __repr__(self):
        lanes = self.table.layout.lanes if self.table != NULL else 0
        return f"LaneArray(shape={self.shape}, dtype={self.dtype}, lanes={lanes})"

    # Arithmetic is the kernels': what a reader of `x * y` would expect has a name in the contract, or is numpy's.
    __array_ufunc__ = None

    def __array__(self, dtype=None, copy=None):
        no_arithmetic()

    def __neg__(self):
        no_arithmetic()

    def __add__(self, other):
        no_arithmetic()

    def __radd__(self, other):
        no_arithmetic()

    def __sub__(self, other):
        no_arithmetic()

    def __rsub__(self, other):
        no_arithmetic()

    def __mul__(self, other):
        no_arithmetic()

    def __rmul__(self, other):
        no_arithmetic()

    def __truediv__(self, other):
        no_arithmetic()

    def __rtruediv__(self, other):
        no_arithmetic()

    def __pow__(self, other, modulo=None):
        no_arithmetic()

    def __rpow__(self, other, modulo=None):
        no_arithmetic()

    def __matmul__(self, other):
        no_arithmetic()

    def __rmatmul__(self, other):
        no_arithmetic()


cdef LaneArray new_array(const kernel_table *table, int kind, tuple shape, object dtype):
    """An array of `shape` in the layout of `table`; its values are not set."""
    cdef LaneArray a = LaneArray.__new__(LaneArray)
    cdef size itemsize = 1 if dtype is UINT8 else 4 if dtype is F32 or dtype is INT32 else 8
    cdef size i, lanes = table.layout.lanes
    cdef double bytes_wanted
    if len(shape) < 1:
        raise ValueError("an array must have at least 1 dimension, its images")
    a.table = table
    a.kind = kind
    a.shape = shape
    a.ndim = <int>len(shape)
    a.dtype = dtype
    a.n = shape[0]
    a.F = 1
    bytes_wanted = <double>a.n * itemsize + lanes * itemsize
    for i in range(1, a.ndim):
        bytes_wanted *= max(<double>shape[i], 1)
    if bytes_wanted > 2.0 ** 46:
        raise ValueError(f"shape {shape} is too large for an array")
    for i in range(1, a.ndim):
        a.F *= shape[i]
    a.count = (a.n + lanes - 1) // lanes * lanes * a.F
    a.nbytes = (max(a.count, lanes) + table.layout.slack) * itemsize
    a.nbytes = (a.nbytes + 4095) // 4096 * 4096
    a.data = buffers_take(<size_t>a.nbytes)
    if a.data == NULL:
        raise no_memory(a.nbytes)
    return a


cdef LaneArray new_beside(LaneArray x, tuple shape, object dtype):
    """An array that is made from x, in its layout."""
    cdef LaneArray y = new_array(x.table, x.kind, shape, dtype)
    y.infer = x.infer
    return y


cdef LaneArray new_like(LaneArray x):
    return new_beside(x, x.shape, x.dtype)


cdef LaneArray new_entering(int kind, tuple shape, bint infer):
    """An array of floats for a batch that comes in: for inference in the layout that is fastest, else in lanes."""
    cdef const kernel_table *table = table_in_use(kind)
    if infer and shape[0] <= table.pixels.layout.most:
        table = table.pixels
    cdef LaneArray y = new_array(table, kind, shape, F64 if kind else F32)
    y.infer = infer
    return y


cdef LaneArray in_lanes(LaneArray x):
    """x, or a copy of it in the layout that has every operation."""
    cdef gather_args args
    cdef LaneArray y
    if x is None or x.table == x.table.complete:
        return x
    y = new_array(x.table.complete, x.kind, x.shape, x.dtype)
    y.infer = x.infer
    memset(&args, 0, sizeof(args))
    args.n, args.C, args.area, args.kind, args.images, args.y = x.n, 1, x.F, 1 + x.kind, x.data, y.data
    with nogil:
        y.table.gather(&args)
    return y


cdef bint of_current_isa(LaneArray x) noexcept:
    return x.table != NULL and x.table.complete == table_in_use(x.kind)


cdef int check_for_training(LaneArray x, str name, int kind=-1, int ndim=0) except -1:
    """Check that x is an array of floats of the current instruction set, of the given kind and rank, for training."""
    check_array(x, name, kind, ndim)
    if x.infer:
        raise ValueError(f"{name} was entered for inference, which has no backward pass")
    return 0


cdef int check_array(LaneArray x, str name, int kind=-1, int ndim=0) except -1:
    """As check_for_training, but x may be for inference, in any layout."""
    if x is None:
        raise TypeError(f"{name} must be a LaneArray, got None")
    if not of_current_isa(x):
        raise ValueError(f"{name} is in the lanes of another instruction set: enter it again after use_isa")
    if x.dtype is not F32 and x.dtype is not F64:
        raise TypeError(f"{name} must be of float32 or float64, got {x.dtype}")
    if kind >= 0 and x.kind != kind:
        raise TypeError(f"{name} must have the dtype of the other arrays, got {x.dtype}")
    if ndim and x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {x.shape}")
    return 0


cdef int check_same_lanes(LaneArray x, LaneArray y, object dtype, str name) except -1:
    """Check that x holds values of dtype, one for each value of y, in the same lanes."""
    if x is None:
        raise TypeError(f"{name} must be a LaneArray, got None")
    if x.table != y.table:
        raise ValueError(f"{name} is in the lanes of another dtype or instruction set")
    if x.dtype is not dtype:
        raise TypeError(f"{name} must be of {dtype}, got {x.dtype}")
    return check_shape(x, y.shape, name)


cdef int check_shape(LaneArray x, tuple shape, str name) except -1:
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {x.shape}")
    return 0


cdef bint is_format(char given, size itemsize, char code) noexcept:
    """Whether elements of this format are what `code` asks for: of C's int, long and long long the width counts.

    Where long has 4 bytes, as on Windows, numpy's int32 is `l` and its int64 `q`; elsewhere they are `i` and `l`.
    """
    if code == c'i':
        return (given == c'i' or given == c'l') and itemsize == 4
    if code == c'n':
        return (given == c'i' or given == c'l' or given == c'q') and itemsize == <size>sizeof(size)
    if code == c'Q':
        return (given == c'L' or given == c'Q') and itemsize == 8
    return given == code


NAME_OF = {c'f': "float32", c'd': "float64", c'B': "uint8", c'i': "int32", c'n': str(np.dtype(np.intp)), c'Q': "uint64"}
"""Of the codes that `Buffers.pointer` takes."""


cdef class Buffers:
    """Buffers of the numpy arrays of one call; released with it."""

    def __cinit__(self):
        self.used = self.copies = 0

    def __dealloc__(self):
        cdef int i
        for i in range(self.used):
            PyBuffer_Release(&self.view[i])
        for i in range(self.copies):
            free_memory(self.copy[i])

    cdef void *pointer(self, object a, str name, size count, char code, bint writable) except? NULL:
        """Pointer to the `count` contiguous elements of array a; code tells their type: one of NAME_OF."""
        cdef Py_buffer *view = &self.view[self.used]
        try:
            PyObject_GetBuffer(a, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        except TypeError as error:
            raise TypeError(f"{name} must be an array, got {type(a).__name__}") from error
        except (BufferError, ValueError) as error:
            kind = "writable C-contiguous" if writable else "C-contiguous"
            raise ValueError(f"{name} must be a {kind} array: {error}") from error
        self.used += 1
        if view.format == NULL or view.format[0] == 0 or view.format[1] != 0 or not is_format(
            view.format[0], view.itemsize, code
        ):
            raise TypeError(f"{name} must be an array of {NAME_OF[code]}, got {getattr(a, 'dtype', 'another format')}")
        if view.len != count * view.itemsize:
            raise ValueError(f"{name} must have {count} elements, got {view.len // view.itemsize}")
        return view.buf

    cdef const size *places(self, object a, str name, size count) except NULL:
        """Pointer to a copy of `count` integers: what is checked is what the kernel reads, whoever writes into a."""
        cdef const void *given = self.pointer(a, name, count, c'n', False)
        cdef void *copy = new_memory(count * <size>sizeof(size))
        self.copy[self.copies] = copy
        self.copies += 1
        if count:
            memcpy(copy, given, <size_t>count * sizeof(size))
        return <const size *>copy

    cdef const size *labels(self, labels, str name, size n, size K) except NULL:
        """Pointer to n class numbers, each in [0, K)."""
        cdef const size *label = self.places(labels, name, n)
        cdef size i
        for i in range(n):
            if label[i] < 0 or label[i] >= K:
                raise ValueError(f"labels must lie in [0, {K}), got {label[i]}")
        return label


cdef char format_of(int kind) noexcept:
    return c'd' if kind else c'f'


cdef int check_status(int status) except -1:
    if status:
        raise MemoryError("no memory for a kernel's scratch")
    return 0


cdef LaneArray reshaped(LaneArray x, tuple shape):
    """The same memory with another shape (N, ...) of as many values."""
    cdef LaneArray y = LaneArray.__new__(LaneArray)
    y.data, y.count, y.n, y.F, y.table, y.kind, y.nbytes = x.data, x.count, x.n, x.F, x.table, x.kind, x.nbytes
    y.owner = x if x.owner is None else x.owner
    y.shape, y.dtype, y.ndim, y.infer = shape, x.dtype, <int>len(shape), x.infer
    return y


cdef int check_pair(tuple out) except -1:
    if len(out) != 2:
        raise ValueError(f"out must have 2 arrays, got {len(out)}")
    return 0
