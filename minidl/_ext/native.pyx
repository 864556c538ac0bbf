# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The native backend's binding: check, take pointers, release the GIL, call the kernel table of the instruction set.

Every function here is an operation of `minidl.kernels.contract`. Nothing is computed in this file.
"""

from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

import numpy as np

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **memory, size_t alignment, size_t bytes)

cdef extern from "pool.h" nogil:
    void pool_set_threads(int threads)
    int pool_get_threads()

cdef extern from "kernels.h" nogil:
    ctypedef Py_ssize_t size
    enum: POOL_NONE, POOL_AVG, POOL_MAX2
    enum: ELEMENT_RELU, ELEMENT_SIGMOID, ELEMENT_TANH
    ctypedef struct geometry:
        size n, C, H, W, O, KH, KW, SH, SW, PH, PW, DH, DW, G, OH, OW
    ctypedef struct conv_forward_args:
        geometry g
        const void *x
        const void *w
        const void *b
        void *y
        uint8_t *code
        int relu, pool
    ctypedef struct conv_backward_args:
        geometry g
        const void *dy
        const void *relu_y
        const void *x
        const void *w
        const uint8_t *code
        void *dx
        void *dw
        void *db
        int pool
    ctypedef struct linear_forward_args:
        size n, F, O
        const void *x
        const void *w
        const void *b
        void *y
        int relu
    ctypedef struct linear_backward_args:
        size n, F, O
        const void *dy
        const void *relu_y
        const void *x
        const void *w
        void *dx
        void *dw
        void *db
    ctypedef struct pool_forward_args:
        geometry g
        const void *x
        void *y
        int32_t *argmax
    ctypedef struct pool_backward_args:
        geometry g
        const void *dy
        const int32_t *argmax
        void *dx
    ctypedef struct norm_forward_args:
        size n, C, H, W
        const void *x
        const void *gamma
        const void *beta
        void *running_mean
        void *running_var
        void *mean
        void *inv_std
        void *y
        uint8_t *code
        double momentum, eps
        int train, relu, pool
    ctypedef struct norm_backward_args:
        size n, C, H, W
        const void *dy
        const void *x
        const void *gamma
        const void *beta
        const void *mean
        const void *inv_std
        const uint8_t *code
        void *dx
        void *dgamma
        void *dbeta
        int train, relu, pool
    ctypedef struct softmax_args:
        size n, K
        const void *logits
        const void *target
        const size *labels
        double smoothing
        void *dlogits
        double loss
        size correct
    ctypedef struct gather_args:
        size n, C, area
        const void *images
        const size *index
        int kind
        const void *scale
        const void *shift
        void *y
    ctypedef struct kernel_table:
        size lanes
        const char *isa
        int gather(const gather_args *) noexcept nogil
        int leave(size n, size F, const void *x, void *y) noexcept nogil
        int enter_index(size n, size F, const int32_t *x, int32_t *y) noexcept nogil
        int leave_index(size n, size F, const int32_t *x, int32_t *y) noexcept nogil
        int add(size count, const void *a, const void *b, void *y) noexcept nogil
        int conv_forward(const conv_forward_args *) noexcept nogil
        int conv_backward(const conv_backward_args *) noexcept nogil
        int linear_forward(const linear_forward_args *) noexcept nogil
        int linear_backward(const linear_backward_args *) noexcept nogil
        int maxpool_forward(const pool_forward_args *) noexcept nogil
        int maxpool_backward(const pool_backward_args *) noexcept nogil
        int avgpool_forward(const pool_forward_args *) noexcept nogil
        int avgpool_backward(const pool_backward_args *) noexcept nogil
        int norm_forward(const norm_forward_args *) noexcept nogil
        int norm_backward(const norm_backward_args *) noexcept nogil
        int element_forward(int which, size count, const void *x, void *y) noexcept nogil
        int element_backward(int which, size count, const void *dy, const void *y, void *dx) noexcept nogil
        int dropout(size n, size F, double rate, uint64_t key, const void *x, void *y) noexcept nogil
        int softmax(softmax_args *) noexcept nogil
        int mse(size n, size F, const void *x, const void *target, void *dx, double *loss) noexcept nogil
        int sgd(size count, void *p, const void *grad, void *velocity, double lr, double momentum, double decay, int nesterov) noexcept nogil
        int rmsprop(size count, void *p, const void *grad, void *square, double lr, double rho, double eps, double decay) noexcept nogil
        int adam(size count, void *p, const void *grad, void *m, void *v, size step, double lr, double beta1, double beta2,
                 double eps, double decay, int decoupled) noexcept nogil
cdef extern from "isas.h" nogil:
    int isa_count()
    const kernel_table *isa_table(int index, int is_double)


# ---- instruction sets and threads --------------------------------------------------------------------------------------

cdef const kernel_table *tables[2]
tables[0] = isa_table(0, 0)
tables[1] = isa_table(0, 1)


def isas():
    """Names of the instruction sets that this machine and operating system support, widest first."""
    return tuple(isa_table(i, 0).isa.decode() for i in range(isa_count()))


def use_isa(name):
    """Compute with the named instruction set from now on. Arrays in lanes from before can no longer be used."""
    cdef int i
    for i in range(isa_count()):
        if isa_table(i, 0).isa.decode() == name:
            tables[0] = isa_table(i, 0)
            tables[1] = isa_table(i, 1)
            return
    raise ValueError(f"instruction set must be one of {', '.join(isas())} on this machine, got {name!r}")


def isa():
    """Name of the instruction set in use."""
    return tables[0].isa.decode()


def lanes(dtype):
    """Images side by side in one vector of this dtype."""
    return tables[_kind(np.dtype(dtype))].lanes


def config():
    """What `minidl.show_config` tells of this backend, by name."""
    return {"isa": f"{isa()} of {', '.join(isas())}", "lanes": f"{lanes(np.float32)} float32, {lanes(np.float64)} float64"}


def set_num_threads(int threads):
    """Number of threads that kernels may use, the calling one included."""
    pool_set_threads(threads)


def get_num_threads():
    """Number of threads that kernels may use."""
    return pool_get_threads()


# ---- memory -----------------------------------------------------------------------------------------------------------

# Freed buffers wait here by size for the next array: a training loop allocates nothing after its first step.
cdef dict waiting = {}
cdef size waiting_bytes = 0
cdef size live_bytes = 0
cdef size SPARE_BYTES = 32 << 20


cdef void *take(size count) except NULL:
    global waiting_bytes, live_bytes
    cdef void *memory = NULL
    cdef list same = waiting.get(count)
    if same:
        memory = <void *><size_t>same.pop()
        waiting_bytes -= count
    elif posix_memalign(&memory, 4096 if count >= 65536 else 64, <size_t>count):
        raise MemoryError(f"no memory for an array of {count} bytes")
    live_bytes += count
    return memory


cdef void give(void *memory, size count):
    global waiting_bytes, live_bytes
    cdef list same
    live_bytes -= count
    # What waits never exceeds what is in use by more than a little: sizes of an earlier batch are let go.
    if waiting_bytes + count > 2 * live_bytes + SPARE_BYTES:
        release_memory()
    same = waiting.get(count)
    if same is None:
        same = waiting[count] = []
    same.append(<size_t>memory)
    waiting_bytes += count


def release_memory():
    """Give back the buffers that wait for reuse to the operating system."""
    global waiting_bytes
    for same in waiting.values():
        for address in same:
            free(<void *><size_t>address)
    waiting.clear()
    waiting_bytes = 0


def memory_in_use():
    """(bytes of live lane arrays, bytes of buffers that wait for reuse)"""
    return live_bytes, waiting_bytes


FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INT32 = np.dtype(np.int32)
UINT8 = np.dtype(np.uint8)
cdef object F32 = FLOATS[0]
cdef object F64 = FLOATS[1]


cdef int _kind(dtype) except -1:
    if dtype is F32 or dtype == F32:
        return 0
    if dtype is F64 or dtype == F64:
        return 1
    raise TypeError(f"dtype must be float32 or float64, got {dtype}")


cdef class LaneArray:
    """A batch in lanes: (blocks, *shape of one image, L), the images of a block side by side. Made by `enter` and `gather`.

    shape: (N, ...) as the batch would have in numpy; dtype: float32 or float64 (int32 for indices of maxima).
    """

    cdef void *data
    cdef size count            # elements, empty lanes included
    cdef size n, F             # images, values of one image
    cdef const kernel_table *table
    cdef int kind
    cdef size nbytes
    cdef LaneArray owner       # whose memory this is, if not its own
    cdef readonly tuple shape
    cdef readonly object dtype
    cdef readonly int ndim

    def __cinit__(self):
        self.data = NULL

    def __dealloc__(self):
        if self.data != NULL and self.owner is None:
            give(self.data, self.nbytes)

    def __init__(self):
        if self.data == NULL:
            raise TypeError("a LaneArray is made by enter or gather")

    def __len__(self):
        return self.n

    def __repr__(self):
        return f"LaneArray(shape={self.shape}, dtype={self.dtype}, lanes={self.table.lanes})"

    def __array__(self, dtype=None, copy=None):
        return np.asarray(leave(self), dtype=dtype)


cdef LaneArray new_array(int kind, tuple shape, object dtype):
    """An array of `shape` in the lanes of the current table of `kind`; its values are not set."""
    cdef LaneArray a = LaneArray.__new__(LaneArray)
    cdef const kernel_table *table = tables[kind]
    cdef size itemsize = dtype.itemsize
    cdef size i, lanes = table.lanes
    cdef double bytes_wanted
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
    a.nbytes = (max(a.count, lanes) * itemsize + 4095) // 4096 * 4096
    a.data = take(a.nbytes)
    return a


cdef LaneArray like(LaneArray x):
    return new_array(x.kind, x.shape, x.dtype)


cdef int ours(LaneArray x, str name, int kind=-1, int ndim=0) except -1:
    """Check that x is an array of floats in the lanes of the current instruction set, of the given kind and rank."""
    if x is None:
        raise TypeError(f"{name} must be a LaneArray, got None")
    if x.table != tables[x.kind]:
        raise ValueError(f"{name} is in the lanes of another instruction set: enter it again after use_isa")
    if x.dtype is not F32 and x.dtype is not F64:
        raise TypeError(f"{name} must be of float32 or float64, got {x.dtype}")
    if kind >= 0 and x.kind != kind:
        raise TypeError(f"{name} must have the dtype of the other arrays, got {x.dtype}")
    if ndim and x.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {x.shape}")
    return 0


cdef int same(LaneArray x, tuple shape, str name) except -1:
    if x.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {x.shape}")
    return 0


cdef class Views:
    """Buffers of the numpy arrays of one call; released with it."""

    cdef Py_buffer view[10]
    cdef int used

    def __cinit__(self):
        self.used = 0

    def __dealloc__(self):
        cdef int i
        for i in range(self.used):
            PyBuffer_Release(&self.view[i])

    cdef void *take(self, object a, str name, size count, char code, bint writable) except? NULL:
        """Pointer to the `count` contiguous elements of array a; code is its format: f, d, l, B, i."""
        cdef Py_buffer *view = &self.view[self.used]
        PyObject_GetBuffer(a, view, PyBUF_ANY_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
        self.used += 1
        if view.format == NULL or view.format[0] != code or view.format[1] != 0:
            raise TypeError(f"{name} must be an array of format {chr(code)!r}, got {view.format.decode()!r}")
        if view.len != count * view.itemsize:
            raise ValueError(f"{name} must have {count} elements, got {view.len // view.itemsize}")
        return view.buf


cdef inline char code_of(int kind):
    return c'd' if kind else c'f'


cdef int done(int status) except -1:
    if status:
        raise MemoryError("no memory for a kernel's scratch")
    return 0


# ---- layout -------------------------------------------------------------------------------------------------------------

def enter(x):
    """See contract."""
    cdef int kind, status
    cdef Views views = Views()
    cdef LaneArray y
    cdef gather_args args
    if x.dtype == INT32:
        return enter_index(x)
    kind = _kind(x.dtype)
    y = new_array(kind, x.shape, F64 if kind else F32)
    memset(&args, 0, sizeof(args))
    args.n, args.C, args.area, args.kind = y.n, 1, y.F, 1 + kind
    args.images = views.take(x, "x", y.n * y.F, code_of(kind), False)
    args.y = y.data
    with nogil:
        status = y.table.gather(&args)
    done(status)
    return y


cdef LaneArray enter_index(x):
    # Indices stand in the lanes of float32 unless the caller moves them: see maxpool2d_backward.
    cdef Views views = Views()
    cdef LaneArray y = new_array(0, x.shape, INT32)
    y.table.enter_index(y.n, y.F, <int32_t *>views.take(x, "x", y.n * y.F, c'i', False), <int32_t *>y.data)
    return y


def leave(LaneArray x):
    """See contract."""
    cdef Views views = Views()
    cdef void *out
    cdef int status
    if x.table != tables[x.kind]:
        raise ValueError("the array is in the lanes of another instruction set")
    y = np.empty(x.shape, x.dtype)
    if x.dtype == INT32:
        x.table.leave_index(x.n, x.F, <int32_t *>x.data, <int32_t *>views.take(y, "y", x.n * x.F, c'i', True))
        return y
    out = views.take(y, "y", x.n * x.F, code_of(x.kind), True)
    with nogil:
        status = x.table.leave(x.n, x.F, x.data, out)
    done(status)
    return y


def gather(images, index, scale, shift):
    """See contract."""
    cdef int kind = _kind(scale.dtype), status
    cdef Views views = Views()
    cdef gather_args args
    cdef size i, n = len(index), m = images.shape[0]
    cdef tuple shape = images.shape
    cdef const size *at
    cdef LaneArray y
    if len(shape) < 2:
        raise ValueError(f"images must have at least 2 dimensions, got shape {shape}")
    memset(&args, 0, sizeof(args))
    if images.dtype == UINT8:
        args.kind = 0
    else:
        args.kind = 1 + _kind(images.dtype)
    y = new_array(kind, (n, *shape[1:]), F64 if kind else F32)
    args.n, args.C = n, scale.shape[0]
    if args.C < 1 or y.F % args.C:
        raise ValueError(f"scale must have one entry a channel of images of shape {shape[1:]}, got {args.C}")
    args.area = y.F // args.C
    args.images = views.take(images, "images", m * y.F, c'B' if args.kind == 0 else code_of(args.kind - 1), False)
    args.index = at = <const size *>views.take(index, "index", n, c'l', False)
    args.scale = views.take(scale, "scale", args.C, code_of(kind), False)
    args.shift = views.take(shift, "shift", args.C, code_of(kind), False)
    args.y = y.data
    for i in range(n):
        if at[i] < 0 or at[i] >= m:
            raise ValueError(f"index must lie in [0, {m}), got {at[i]}")
    with nogil:
        status = y.table.gather(&args)
    done(status)
    return y


def reshape(LaneArray x, shape):
    """See contract."""
    cdef LaneArray y = LaneArray.__new__(LaneArray)
    cdef size F = 1
    for s in shape:
        F *= s
    if F != x.F:
        raise ValueError(f"shape {tuple(shape)} must have the {x.F} values of an image of shape {x.shape[1:]}")
    y.data, y.count, y.n, y.F, y.table, y.kind, y.nbytes = x.data, x.count, x.n, x.F, x.table, x.kind, x.nbytes
    y.owner = x if x.owner is None else x.owner
    y.shape, y.dtype, y.ndim = (x.n, *shape), x.dtype, 1 + <int>len(shape)
    return y


def add(LaneArray a, LaneArray b):
    """See contract."""
    cdef int status
    ours(a, "a")
    ours(b, "b", a.kind)
    same(b, a.shape, "b")
    cdef LaneArray y = like(a)
    with nogil:
        status = a.table.add(a.count, a.data, b.data, y.data)
    done(status)
    return y


# ---- convolution ----------------------------------------------------------------------------------------------------------

cdef int window(geometry *g, tuple k, tuple stride, tuple padding, tuple dilation) except -1:
    """Fill in window sizes and OH, OW; x's sizes are there."""
    cdef double padded
    g.KH, g.KW = k
    g.SH, g.SW = stride
    g.PH, g.PW = padding
    g.DH, g.DW = dilation
    if min(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW) < 1 or g.PH < 0 or g.PW < 0:
        raise ValueError(f"kernel {k}, stride {stride} and dilation {dilation} must be positive, padding {padding} not negative")
    if max(g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW) >= 1 << 31:
        raise ValueError("sizes must be below 2**31")
    if g.DH * (g.KH - 1) + 1 > g.H + 2 * g.PH or g.DW * (g.KW - 1) + 1 > g.W + 2 * g.PW:
        raise ValueError(f"kernel {k} (dilation {dilation}) must fit into the padded input {g.H, g.W} (padding {padding})")
    padded = (<double>g.H + 2 * g.PH + g.KH * g.DH) * (<double>g.W + 2 * g.PW + g.KW * g.DW) * max(g.C, 1) * 64
    if padded > 2.0 ** 46:
        raise ValueError(f"padded input of {g.C} channels, {g.H + 2 * g.PH} x {g.W + 2 * g.PW}, is too large")
    g.OH = (g.H + 2 * g.PH - g.DH * (g.KH - 1) - 1) // g.SH + 1
    g.OW = (g.W + 2 * g.PW - g.DW * (g.KW - 1) - 1) // g.SW + 1
    return 0


cdef int conv_geometry(geometry *g, LaneArray x, object w, tuple stride, tuple padding, tuple dilation, size groups) except -1:
    cdef tuple w_shape = w.shape
    cdef size per_group
    ours(x, "x", -1, 4)
    g.n, g.C, g.H, g.W = x.shape
    if len(w_shape) != 4:
        raise ValueError(f"w must have 4 dimensions, got shape {w_shape}")
    g.O = w_shape[0]
    per_group = w_shape[1]
    g.G = groups
    if groups < 1 or g.C != per_group * groups or g.O % groups:
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
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    c = code_of(x.kind)
    args.x = x.data
    args.w = views.take(w, "w", args.g.O * (args.g.C // groups) * args.g.KH * args.g.KW, c, False)
    if b is not None:
        args.b = views.take(b, "b", args.g.O, c, False)
    args.relu, args.pool = relu, pool
    if pool:
        y = new_array(x.kind, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), x.dtype)
        code = new_array(x.kind, y.shape, UINT8)
        args.code = <uint8_t *>code.data
    else:
        y = new_array(x.kind, (x.n, args.g.O, args.g.OH, args.g.OW), x.dtype)
    args.y = y.data
    with nogil:
        status = x.table.conv_forward(&args)
    done(status)
    return y, code


def conv2d_forward(x, w, b, stride, padding, dilation, groups):
    """See contract."""
    return conv_run(x, w, b, stride, padding, dilation, groups, False, POOL_NONE)[0]


cdef tuple conv_back(LaneArray dy, LaneArray relu_y, LaneArray code, int pool, LaneArray x, w, tuple stride, tuple padding,
                     tuple dilation, size groups, bint need_dx, tuple out):
    cdef conv_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx = None
    cdef int status
    cdef char c
    cdef tuple shape
    memset(&args, 0, sizeof(args))
    conv_geometry(&args.g, x, w, stride, padding, dilation, groups)
    ours(dy, "dy", x.kind, 4)
    shape = (x.n, args.g.O, args.g.OH, args.g.OW)
    if pool:
        same(dy, (x.n, args.g.O, args.g.OH // 2, args.g.OW // 2), "dy")
        same(code, dy.shape, "saved")
        args.code = <const uint8_t *>code.data
    else:
        same(dy, shape, "dy")
    if relu_y is not None:
        ours(relu_y, "saved", x.kind)
        same(relu_y, shape, "saved")
        args.relu_y = relu_y.data
    args.pool = pool
    c = code_of(x.kind)
    if out is None:
        out = np.empty(w.shape, x.dtype), np.empty(args.g.O, x.dtype)
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


# ---- pooling --------------------------------------------------------------------------------------------------------------

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
    ours(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = new_array(x.kind, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
    argmax = new_array(x.kind, y.shape, INT32)
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
    same(argmax, dy.shape, "argmax")
    if argmax.dtype != INT32:
        raise TypeError(f"argmax must be of int32, got {argmax.dtype}")
    if argmax.kind != dy.kind:
        views = Views()
        plain = leave(argmax)
        moved = new_array(dy.kind, dy.shape, INT32)
        dy.table.enter_index(dy.n, dy.F, <int32_t *>views.take(plain, "argmax", dy.n * dy.F, c'i', False), <int32_t *>moved.data)
        argmax = moved
    dx = new_array(dy.kind, tuple(x_shape), dy.dtype)
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
    ours(x, "x")
    pool_geometry(&args.g, x.shape, kernel_size, stride, padding)
    y = new_array(x.kind, (x.n, args.g.C, args.g.OH, args.g.OW), x.dtype)
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
    dx = new_array(dy.kind, tuple(x_shape), dy.dtype)
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


# ---- linear -----------------------------------------------------------------------------------------------------------------

cdef LaneArray linear_run(LaneArray x, w, b, bint relu):
    cdef linear_forward_args args
    cdef Views views = Views()
    cdef LaneArray y
    cdef int status
    cdef char c
    ours(x, "x", -1, 2)
    memset(&args, 0, sizeof(args))
    args.n, args.F, args.O, args.relu = x.n, x.F, len(w), relu
    c = code_of(x.kind)
    y = new_array(x.kind, (x.n, args.O), x.dtype)
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


# ---- activations --------------------------------------------------------------------------------------------------------------

cdef LaneArray activate(int which, LaneArray x):
    cdef int status
    ours(x, "x")
    cdef LaneArray y = like(x)
    with nogil:
        status = x.table.element_forward(which, x.count, x.data, y.data)
    done(status)
    return y


cdef LaneArray slope(int which, LaneArray dy, LaneArray y):
    cdef int status
    ours(dy, "dy")
    ours(y, "y", dy.kind)
    same(y, dy.shape, "y")
    cdef LaneArray dx = like(dy)
    with nogil:
        status = dy.table.element_backward(which, dy.count, dy.data, y.data, dx.data)
    done(status)
    return dx


def relu_forward(x):
    """See contract."""
    return activate(ELEMENT_RELU, x)


def relu_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_RELU, dy, y)


def sigmoid_forward(x):
    """See contract."""
    return activate(ELEMENT_SIGMOID, x)


def sigmoid_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_SIGMOID, dy, y)


def tanh_forward(x):
    """See contract."""
    return activate(ELEMENT_TANH, x)


def tanh_backward(dy, y):
    """See contract."""
    return slope(ELEMENT_TANH, dy, y)


# ---- normalisation and dropout --------------------------------------------------------------------------------------------------

cdef int channels(LaneArray x, size *C, size *H, size *W) except -1:
    C[0], H[0], W[0] = x.F, 1, 1
    if x.ndim == 4:
        C[0], H[0], W[0] = x.shape[1:]
    elif x.ndim != 2:
        raise ValueError(f"x must have 2 or 4 dimensions, got shape {x.shape}")
    return 0


cdef tuple norm_run(LaneArray x, gamma, beta, running_mean, running_var, double momentum, double eps, bint train, bint relu, int pool):
    cdef norm_forward_args args
    cdef Views views = Views()
    cdef LaneArray y, code = None
    cdef int status
    cdef char c
    ours(x, "x")
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    c = code_of(x.kind)
    mean = np.empty(args.C, x.dtype)
    inv_std = np.empty(args.C, x.dtype)
    args.x = x.data
    args.gamma = views.take(gamma, "gamma", args.C, c, False)
    args.beta = views.take(beta, "beta", args.C, c, False)
    args.running_mean = views.take(running_mean, "running_mean", args.C, c, train)
    args.running_var = views.take(running_var, "running_var", args.C, c, train)
    args.mean = views.take(mean, "mean", args.C, c, True)
    args.inv_std = views.take(inv_std, "inv_std", args.C, c, True)
    args.momentum, args.eps, args.train, args.relu, args.pool = momentum, eps, train, relu, pool
    if pool:
        y = new_array(x.kind, (x.n, args.C, args.H // 2, args.W // 2), x.dtype)
        code = new_array(x.kind, y.shape, UINT8)
        args.code = <uint8_t *>code.data
    else:
        y = like(x)
    args.y = y.data
    with nogil:
        status = x.table.norm_forward(&args)
    done(status)
    return y, mean, inv_std, code


def batchnorm_forward(x, gamma, beta, running_mean, running_var, momentum, eps, train):
    """See contract."""
    return norm_run(x, gamma, beta, running_mean, running_var, momentum, eps, train, False, POOL_NONE)[:3]


cdef tuple norm_back(LaneArray dy, LaneArray code, int pool, bint relu, LaneArray x, gamma, beta, mean, inv_std, bint train,
                     tuple out):
    cdef norm_backward_args args
    cdef Views views = Views()
    cdef LaneArray dx
    cdef int status
    cdef char c
    ours(x, "x")
    ours(dy, "dy", x.kind)
    memset(&args, 0, sizeof(args))
    args.n = x.n
    channels(x, &args.C, &args.H, &args.W)
    if pool:
        same(dy, (x.n, args.C, args.H // 2, args.W // 2), "dy")
        same(code, dy.shape, "saved")
        args.code = <const uint8_t *>code.data
    else:
        same(dy, x.shape, "dy")
    c = code_of(x.kind)
    if out is None:
        out = np.empty(args.C, x.dtype), np.empty(args.C, x.dtype)
    dx = like(x)
    args.dy, args.x, args.dx = dy.data, x.data, dx.data
    args.gamma = views.take(gamma, "gamma", args.C, c, False)
    args.beta = views.take(beta, "beta", args.C, c, False)
    args.mean = views.take(mean, "mean", args.C, c, False)
    args.inv_std = views.take(inv_std, "inv_std", args.C, c, False)
    args.dgamma = views.take(out[0], "dgamma", args.C, c, True)
    args.dbeta = views.take(out[1], "dbeta", args.C, c, True)
    args.train, args.relu, args.pool = train, relu and not pool, pool
    with nogil:
        status = x.table.norm_backward(&args)
    done(status)
    return dx, out[0], out[1]


def batchnorm_backward(dy, x, gamma, mean, inv_std, train=True, out=None):
    """See contract."""
    return norm_back(dy, None, POOL_NONE, False, x, gamma, gamma, mean, inv_std, train, out)


cdef LaneArray drop(LaneArray x, double rate, uint64_t key):
    cdef int status
    ours(x, "x")
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1), got {rate}")
    cdef LaneArray y = like(x)
    with nogil:
        status = x.table.dropout(x.n, x.F, rate, key, x.data, y.data)
    done(status)
    return y


def dropout_forward(x, rate, key):
    """See contract."""
    return drop(x, rate, key)


def dropout_backward(dy, rate, key):
    """See contract."""
    return drop(dy, rate, key)


# ---- losses -----------------------------------------------------------------------------------------------------------------------

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


# ---- optimiser updates --------------------------------------------------------------------------------------------------------------

def sgd_update(p, grad, velocity, double lr, double momentum, double weight_decay, nesterov=False):
    """See contract."""
    cdef Views views = Views()
    cdef int kind = _kind(p.dtype), nest = nesterov
    cdef char c = code_of(kind)
    cdef size count = p.size
    cdef void *to = views.take(p, "p", count, c, True)
    cdef void *g = views.take(grad, "grad", count, c, False)
    cdef void *v = NULL
    if velocity is not None:
        v = views.take(velocity, "velocity", count, c, True)
    with nogil:
        tables[kind].sgd(count, to, g, v, lr, momentum, weight_decay, nest)


def rmsprop_update(p, grad, square, double lr, double decay, double eps, double weight_decay):
    """See contract."""
    cdef Views views = Views()
    cdef int kind = _kind(p.dtype)
    cdef char c = code_of(kind)
    cdef size count = p.size
    cdef void *to = views.take(p, "p", count, c, True)
    cdef void *g = views.take(grad, "grad", count, c, False)
    cdef void *s = views.take(square, "square", count, c, True)
    with nogil:
        tables[kind].rmsprop(count, to, g, s, lr, decay, eps, weight_decay)


def adam_update(p, grad, m, v, size step, double lr, double beta1, double beta2, double eps, double weight_decay, decoupled=False):
    """See contract."""
    cdef Views views = Views()
    cdef int kind = _kind(p.dtype), apart = decoupled
    cdef char c = code_of(kind)
    cdef size count = p.size
    cdef void *to = views.take(p, "p", count, c, True)
    cdef void *g = views.take(grad, "grad", count, c, False)
    cdef void *m1 = views.take(m, "m", count, c, True)
    cdef void *m2 = views.take(v, "v", count, c, True)
    with nogil:
        tables[kind].adam(count, to, g, m1, m2, step, lr, beta1, beta2, eps, weight_decay, apart)


# ---- blocks -----------------------------------------------------------------------------------------------------------------------

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
    return conv_back(dy, y if relu and not fused else None, code, fused, x, w, stride, padding, dilation, groups, need_dx, out)


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
