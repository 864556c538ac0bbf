# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled predictions: channels/. A `Program` is a list of steps over `Map`s in an arena; `minidl.compiled` writes it.

Every map is checked against the arena, and every step against its maps, when the step is added: a step that could leave
them is refused before it exists.
"""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from minidl._ext.arithmetic cimport operator_of
from minidl._ext.elementwise cimport element_of
from minidl._ext.kernels cimport (
    STEP_ARITHMETIC,
    STEP_AVGPOOL,
    STEP_CHANNELS,
    STEP_CLEAR,
    STEP_CONV,
    STEP_DEPTHWISE,
    STEP_ELEMENT,
    STEP_ENTER,
    STEP_GROUPED,
    STEP_LEAVE,
    STEP_LENGTHS,
    STEP_MAXPOOL,
    STEP_ROUTING,
    STEP_SQUASH,
    STEP_WINOGRAD,
    ROUTING_PART,
    channel_range,
    geometry,
    map,
    program_args,
    program_step,
    size,
    step_kind,
)
from minidl._ext.lanearray cimport (
    F32,
    F64,
    UINT8,
    Buffers,
    check_status,
    format_of,
    free_memory,
    get_num_threads,
    kind_of,
    new_memory,
    table_in_use,
    winograd_tile,
)
from minidl._ext.map cimport Map
from minidl._ext.pooling cimport bins_geometry, pool_geometry, window

import numpy as np

cdef extern from "core/kernels.h" nogil:
    enum: ELEMENT_RELU, ELEMENT_SIGMOID, ELEMENT_TANH, ELEMENT_LEAKY, ELEMENT_ELU, ELEMENT_GELU, ELEMENT_SOFTPLUS

cdef dict ACTIVATIONS = {
    "relu": ELEMENT_RELU,
    "sigmoid": ELEMENT_SIGMOID,
    "tanh": ELEMENT_TANH,
    "leaky_relu": ELEMENT_LEAKY,
    "elu": ELEMENT_ELU,
    "gelu": ELEMENT_GELU,
    "softplus": ELEMENT_SOFTPLUS,
}

cdef enum:
    FAR = 1 << 30  # no sum or product of sizes below it overflows

cdef enum:  # vector operations that it takes as long as
    WEIGHT_READ = 4  # reading a vector of weights
    WEIGHT_MADE = 10  # making one of Winograd's weights anew, more than another


cdef str algorithm(const program_step *step):
    """How a convolution is computed, in words."""
    if step.kind == STEP_WINOGRAD:
        return f"winograd {step.rows} x {step.columns}"
    return "depthwise" if step.kind == STEP_DEPTHWISE else "grouped" if step.kind == STEP_GROUPED else "direct"


def routing_rows(size capsules, size routings):
    """Rows of the sums that a routing of so many capsules below keeps."""
    return 3 * routings + 1 + (capsules + ROUTING_PART - 1) // ROUTING_PART


cdef class Memory:
    """Aligned memory of one step or run, freed with the object."""

    def __cinit__(self, size count):
        self.bytes = count
        self.data = new_memory(count)

    def __dealloc__(self):
        free_memory(self.data)


cdef class Program:
    """Steps over an arena of so many elements an image, dtype float32 or float64; `run` is for any number of images.

    at_once: images that a thread takes through all steps, before it takes the next ones. May be set.
    """

    def __cinit__(self, dtype, size elements, size at_once=1):
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, got {at_once}")
        self.at_once = at_once
        self.kind = kind_of(np.dtype(dtype))
        self.table = table_in_use(self.kind)
        self.L = self.table.layout.lanes
        if elements < 1 or elements > 1 << 40:
            raise ValueError(f"a program must have an arena of some elements, got {elements}")
        self.elements = (elements + 63) // 64 * 64
        self.kept, self.incoming, self.outgoing, self.arenas = [], [], [], []

    def __dealloc__(self):
        free(self.steps)

    cdef program_step *new_step(self, step_kind kind) except NULL:
        cdef program_step *grown
        if self.count == self.room:
            self.room = max(16, 2 * self.room)
            grown = <program_step *>realloc(self.steps, <size_t>self.room * sizeof(program_step))
            if grown == NULL:
                raise MemoryError("no memory for the steps of a compiled prediction")
            self.steps = grown
        cdef program_step *step = &self.steps[self.count]
        memset(step, 0, sizeof(program_step))
        step.kind = kind
        return step

    cdef int place(self, Map given, map *m, str name, bint narrow=False, bint phase=False) except -1:
        """Check that a map lies in the arena, with L lanes (narrow: or fewer), and whole (phase: or one of a map)."""
        if given is None:
            raise TypeError(f"{name} must be a Map, got None")
        m[0] = given.m
        m.image = self.elements  # each image has an arena of its own
        if m.lanes != self.L and not narrow:
            raise ValueError(f"{name} must have {self.L} lanes, got {m.lanes}")
        if m.step != m.lanes and not phase:
            raise ValueError(f"{name} must be a whole map, got a phase")
        if given.m.at < given.before or m.at - given.before + given.size > self.elements:
            raise ValueError(f"{name} must lie in the arena of {self.elements} elements")
        if m.lanes == self.L and m.at % self.L:
            raise ValueError(f"{name} must start at a whole vector, got element {m.at}")
        return 0

    cdef int same_size(self, map *a, map *b, str name) except -1:
        if a.C != b.C or a.H != b.H or a.W != b.W:
            raise ValueError(f"{name} must have shape {(b.C, b.H, b.W)}, got {(a.C, a.H, a.W)}")
        return 0

    cdef int function(self, program_step *step, function, bint relu) except -1:
        """relu, then the function (kind, a, b)."""
        step.relu = relu
        if function is None:
            return 0
        kind, a, b = function
        step.acts, step.p, step.q = True, a, b
        step.which = ACTIVATIONS[kind] if kind in ACTIVATIONS else element_of(kind)
        return 0

    cdef void *keep(self, size count) except NULL:
        """Memory for so many elements that lives as long as the program."""
        cdef Memory memory = Memory(count * (8 if self.kind else 4))
        self.kept.append(memory)
        self.packed += memory.bytes
        return memory.data

    cdef void *channel_values(self, values, size count, str name) except NULL:
        """A kept copy of one value a channel, zeros behind them up to whole vectors; zeros for None."""
        cdef Buffers buffers = Buffers()
        cdef size full = (count + self.L - 1) // self.L * self.L, each = 8 if self.kind else 4
        cdef void *to = self.keep(full)
        memset(to, 0, <size_t>(full * each))
        if values is not None:
            memcpy(to, buffers.pointer(values, name, count, format_of(self.kind), False), <size_t>(count * each))
        return to

    def enter(self, Map y, dtype, scale=None, shift=None):
        """y = images * scale[c] + shift[c], of the next array that comes in: uint8, float32 or float64."""
        cdef program_step *step = self.new_step(STEP_ENTER)
        self.place(y, &step.y, "y", True)
        dtype = np.dtype(dtype)
        step.number = 0 if dtype == UINT8 else 1 + kind_of(dtype)
        if scale is not None:
            step.scale = self.channel_values(scale, step.y.C, "scale")
        if shift is not None:
            step.shift = self.channel_values(shift, step.y.C, "shift")
        step.port = len(self.incoming)
        if step.port >= MOST_PORTS:
            raise ValueError(f"a program may have {MOST_PORTS} inputs")
        self.incoming.append((y.shape, dtype))
        self.count += 1

    def leave(self, Map x, tuple shape):
        """The next array that goes out, of this shape of an image."""
        cdef program_step *step = self.new_step(STEP_LEAVE)
        self.place(x, &step.x, "x")
        if np.prod(shape, dtype=object) != step.x.C * step.x.H * step.x.W:
            raise ValueError(f"shape must have the elements of {x.shape}, got {shape}")
        step.port = len(self.outgoing)
        if step.port >= MOST_PORTS:
            raise ValueError(f"a program may have {MOST_PORTS} outputs")
        self.outgoing.append(shape)
        self.count += 1

    def conv(self, Map x, Map y, w, scale, shift, tuple stride, padding, tuple dilation, size groups, Map other=None,
             bint relu=False, function=None, bint linear=False):
        """y = f(conv(x; w scale[o]) + shift[o] + other); scale, shift, other may be None. w: (O, C / groups, KH, KW).

        linear: w is as large as x, and y has one pixel. Returns how it is computed, in words.
        """
        cdef program_step *step = self.new_conv(x, y, w, stride, padding, dilation, groups, linear)
        self.ending(step, other, relu, function)
        return self.pack(step, w, scale, shift)

    def join(self, size steps):
        """Run the last `steps` steps some rows at a time: a depthwise convolution, a pointwise one behind it and, of
        three, another one before it.

        Nobody else may read what is between them, which is not written, and the last may not write where the first
        one reads.
        """
        if steps not in (2, 3) or self.count < steps:
            raise ValueError(f"two or three steps can be joined, got {steps} of {self.count}")
        cdef program_step *last = self.steps + self.count - 1
        cdef program_step *depthwise = last - 1
        cdef program_step *first = self.steps + self.count - steps
        cdef geometry *g = &last.g
        if depthwise.kind != STEP_DEPTHWISE or last.kind != STEP_CONV or last.by_images:
            raise ValueError("only a depthwise convolution and a pointwise one can be joined")
        if g.KH * g.KW * g.SH * g.SW * g.G != 1 or g.PH or g.PW or depthwise.y.at != last.x.at:
            raise ValueError("a step can be joined with a plain 1 x 1 convolution of what it makes, without padding")
        self.same_size(&last.x, &depthwise.y, "x")
        if steps == 3:
            if first.kind != STEP_CONV or first.by_images or first.y.at != depthwise.x.at:
                raise ValueError("only a direct convolution can be joined with the depthwise one of what it makes")
            self.same_size(&depthwise.x, &first.y, "x")
        if first.fresh or depthwise.fresh or last.fresh:
            raise ValueError("steps whose weights are packed at each run cannot be joined")
        if self.count - steps < self.apart:
            raise ValueError("a step can be joined once")
        first.joined = steps - 1
        self.apart = self.count

    def conv_transposed(self, Map x, Map y, w, scale, shift, tuple rows, tuple columns, size groups, bint relu=False):
        """One phase y of relu(transposed convolution(x; w scale[o]) + shift[o]), `new_phase` says how it is given."""
        cdef program_step *step = self.new_phase(x, y, w, rows, columns, groups)
        self.ending(step, None, relu, None)
        return self.pack(step, w, scale, shift)

    cdef str pack(self, program_step *step, w, scale, shift):
        """Add a convolution, its weights times scale[o] packed; how it is computed, in words."""
        cdef Buffers buffers = Buffers()
        if scale is not None:
            step.scale = self.channel_values(scale, step.g.O, "scale")
        step.weights = buffers.pointer(w, "w", w.size, format_of(self.kind), False)
        step.w = self.keep(self.weight_count(step))
        step.b = self.keep((step.g.O + self.L - 1) // self.L * self.L)
        if shift is not None:
            step.bias = self.channel_values(shift, step.g.O, "shift")
        with nogil:
            self.table.program_pack(step)
        self.count += 1
        return algorithm(step)

    cdef program_step *new_conv(self, Map x, Map y, w, tuple stride, padding, tuple dilation, size groups,
                                bint linear, bint fresh=False) except NULL:
        """A convolution whose sizes are checked and whose form is chosen; its weights are not there yet.

        fresh: they are made at each run.
        """
        cdef program_step *step
        cdef bint depthwise = groups > 1 and groups == x.m.C and groups == y.m.C
        step = self.new_step(STEP_DEPTHWISE if depthwise else STEP_CONV)
        self.place(x, &step.x, "x", not depthwise)
        self.place(y, &step.y, "y")
        self.conv_sizes(step, &step.y, "y", w.shape, stride, padding, dilation, groups, linear)
        step.fresh = fresh
        self.deal(step)
        return step

    cdef program_step *new_phase(self, Map x, Map y, w, tuple rows, tuple columns, size groups, bint linear=False,
                                 bint fresh=False) except NULL:
        """One phase y of what a convolution's gradient, or a transposed convolution, makes of x; as `new_conv`.

        w: (channels of x, those of y / groups, KH, KW). rows, columns: for each axis (taps, last tap, from tap to tap
        back, padding, dilation).
        """
        cdef size per_out, taps, axis_taps, last, back, axis
        cdef tuple shape = w.shape
        cdef bint depthwise = groups > 1 and groups == x.m.C and groups == y.m.C
        cdef program_step *step = self.new_step(STEP_DEPTHWISE if depthwise else STEP_CONV)
        cdef geometry *g = &step.g
        self.place(x, &step.x, "x", not depthwise)
        self.place(y, &step.y, "y", False, True)
        g.C, g.H, g.W, g.O, g.G, g.OH, g.OW = step.x.C, step.x.H, step.x.W, step.y.C, groups, step.y.H, step.y.W
        g.SH = g.SW = 1
        if (len(shape) != 4 or groups < 1 or g.O % groups or g.C % groups or shape[0] != g.C
                or shape[1] != g.O // groups):
            raise ValueError(f"x {x.shape}, y {y.shape}, w {shape} and groups {groups} do not go together")
        for axis in range(2):
            axis_taps, last, back = (columns if axis else rows)[:3]
            if axis_taps < 1 or back < 1 or not 0 <= last < shape[2 + axis] or axis_taps - 1 > last // back:
                raise ValueError(f"a phase of {axis_taps} taps from {last} back by {back} does not fit into w {shape}")
        g.KH, last, back, g.PH, g.DH = rows
        step.order.at, step.order.row = last * shape[3], -back * shape[3]
        g.KW, last, back, g.PW, g.DW = columns
        step.order.at, step.order.column = step.order.at + last, -back
        if not (0 < g.DH < FAR and 0 < g.DW < FAR and -FAR < g.PH < FAR and -FAR < g.PW < FAR):
            raise ValueError("a phase must have a dilation of at least 1, and that and its padding small numbers, got"
                             f" {(g.DH, g.DW)} and {(g.PH, g.PW)}")
        if linear and g.OH * g.OW != 1:
            raise ValueError(f"y must be one pixel for a linear layer, got {y.shape}")
        taps = shape[2] * shape[3]
        per_out = g.O // groups
        step.order.out, step.order.inside = taps, per_out * taps
        step.order.group = g.C // groups * per_out * taps
        step.by_images, step.fresh = linear, fresh
        self.check_halo(step)
        self.deal(step)
        return step

    cdef int conv_sizes(self, program_step *step, map *y, str name, tuple shape, tuple stride, padding, tuple dilation,
                        size groups, bint linear) except -1:
        """Check that x, y and weights of this shape go together, and fill in the geometry and the weights' order."""
        cdef geometry *g = &step.g
        cdef map *x = &step.x
        cdef size bottom, right, per_in
        if len(shape) != 4:
            raise ValueError(f"w must have 4 dimensions, got shape {shape}")
        g.C, g.H, g.W, g.O, g.G = x.C, x.H, x.W, y.C, groups
        if groups < 1 or g.C % groups or g.O % groups or shape[0] != g.O or shape[1] != g.C // groups:
            raise ValueError(f"x {(x.C, x.H, x.W)}, {name} {(y.C, y.H, y.W)}, w {shape} and groups {groups}"
                             " do not go together")
        window(g, shape[2:], stride, padding, dilation, False, &bottom, &right)
        if g.OH != y.H or g.OW != y.W or (linear and g.OH * g.OW != 1):
            raise ValueError(f"{name} must be {(g.OH, g.OW)} pixels, got {(y.C, y.H, y.W)}")
        per_in = g.C // groups
        step.order.column, step.order.row, step.order.inside = 1, g.KW, g.KH * g.KW
        step.order.out = per_in * step.order.inside
        step.order.group = g.O // groups * step.order.out
        step.by_images = linear
        return self.check_halo(step)

    cdef int check_halo(self, program_step *step) except -1:
        """What the last window reads behind the image need not be all of the padding."""
        cdef geometry *g = &step.g
        cdef size bottom = (g.OH - 1) * g.SH - g.PH + (g.KH - 1) * g.DH + 1 - g.H
        cdef size right = (g.OW - 1) * g.SW - g.PW + (g.KW - 1) * g.DW + 1 - g.W
        if step.x.top < g.PH or step.x.left < g.PW or step.x.bottom < bottom or step.x.right < right:
            raise ValueError(f"the halo of x must hold the padding {(g.PH, g.PW)}")
        return 0

    cdef int deal(self, program_step *step) except -1:
        """How many vectors of outputs are computed together, which channels of x they read, and in which form."""
        cdef geometry *g = &step.g
        cdef size B = step.x.lanes, L = self.L, i, many, low, high, per_in = g.C // g.G, per_out = g.O // g.G
        if step.kind == STEP_DEPTHWISE:
            step.M, step.depth = 1, 1
            return 0
        if g.G > 1 and per_in == per_out and per_in in (2, 4, 8) and per_in < L == B and not step.by_images:
            step.kind, step.M, step.depth = STEP_GROUPED, 1, 1
            return 0
        # Few pixels: more vectors, or the sums would wait for each other.
        step.M = 4 if step.by_images or g.OH * g.OW < 4 else 2
        if g.G > 1:
            step.M = 2 if per_out % (2 * L) == 0 else 1
        many = ((g.O + L - 1) // L + step.M - 1) // step.M
        reads = np.empty((many, 2), np.intp)
        for i in range(many):
            low = i * step.M * L // per_out * per_in
            high = (min((i + 1) * step.M * L, g.O) - 1) // per_out * per_in + per_in
            reads[i] = low, high - low
            step.most = max(step.most, high - low)
            step.depth = max(step.depth, (high + B - 1) // B - low // B)
        self.kept.append(reads)
        step.reads = <const channel_range *><size_t>reads.ctypes.data
        if not step.by_images:
            self.choose_form(step)
        return 0

    cdef int ending(self, program_step *step, Map other, bint relu, function) except -1:
        """What is added to the sums, and the function of them."""
        if other is not None:
            self.place(other, &step.other, "other", False, True)
            self.same_size(&step.other, &step.y, "other")
            step.add = True
        return self.function(step, function, relu)

    cdef size weight_count(self, program_step *step) noexcept:
        """Elements of the packed weights."""
        cdef geometry *g = &step.g
        cdef size taps = g.KH * g.KW, full = (g.O + self.L - 1) // self.L * self.L
        if step.kind == STEP_DEPTHWISE or step.kind == STEP_GROUPED:
            return full * taps * (g.C // g.G)
        if step.kind == STEP_WINOGRAD:
            return full * g.C * (step.rows + g.KH - 1) * (step.columns + g.KH - 1)
        return full * taps * step.most

    cdef void choose_form(self, program_step *step) noexcept:
        """Winograd's form where it takes fewer vector operations, its weights counted as they are read, too."""
        cdef geometry *g = &step.g
        cdef size read = step.x.C, blocks = (g.O + self.L - 1) // self.L, blocks_in = (g.C + self.L - 1) // self.L
        cdef size least, cost, frequencies, i
        cdef size[4] rows = [2, 2, 4, 2], columns = [2, 4, 4, 2]  # the last one of 5 x 5
        cdef size[4] coming = [64, 124, 228, 228], going = [48, 84, 140, 96]
        if (g.KH != g.KW or g.KH not in (3, 5) or g.SH * g.SW * g.DH * g.DW != 1 or g.G != 1
                or step.x.lanes != self.L or g.OH * g.OW < 4 or winograd_tile() == 0):
            return
        least = g.KH * g.KW * read * blocks * (g.OH * g.OW + WEIGHT_READ)
        for i in range(4):
            if (i == 3) != (g.KH == 5):
                continue
            if i >= 2 and (winograd_tile() < 4 or g.C > 256):  # the longer sums of six products an axis lose digits
                continue
            if i == 2 and step.fresh:  # of few images each Relu counts that falls the other way, and little is saved
                continue
            frequencies = (rows[i] + g.KH - 1) * (columns[i] + g.KH - 1)
            cost = ((g.OH + rows[i] - 1) // rows[i]) * ((g.OW + columns[i] - 1) // columns[i])
            cost *= frequencies * read * blocks + coming[i] * blocks_in + going[i] * blocks
            cost += frequencies * read * blocks * (WEIGHT_READ + (WEIGHT_MADE if step.fresh else 0))
            if cost < least:
                least, step.rows, step.columns, step.kind = cost, rows[i], columns[i], STEP_WINOGRAD

    def clear(self, Map y):
        """Zeros in y and its halo."""
        cdef program_step *step = self.new_step(STEP_CLEAR)
        self.place(y, &step.y, "y")
        self.count += 1

    def affine(self, Map x, Map y, scale, shift, bint relu=False, function=None):
        """y = f(x scale[c] + shift[c])."""
        cdef program_step *step = self.new_step(STEP_DEPTHWISE)
        cdef geometry *g = &step.g
        self.place(x, &step.x, "x")
        self.place(y, &step.y, "y")
        self.same_size(&step.y, &step.x, "y")
        step.M, step.depth = 1, 1
        g.C = g.O = g.G = step.x.C
        g.H, g.W, g.KH, g.KW, g.SH, g.SW, g.DH, g.DW = step.x.H, step.x.W, 1, 1, 1, 1, 1, 1
        step.w = self.channel_values(scale, g.C, "scale")
        step.b = self.channel_values(shift, g.C, "shift")
        self.function(step, function, relu)
        self.count += 1

    def maxpool(self, Map x, Map y, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
        """As `maxpool2d_forward` of the contract."""
        cdef program_step *step = self.new_step(STEP_MAXPOOL)
        self.pooling(step, x, y)
        pool_geometry(&step.g, &step.mean, (1, *x.shape), kernel_size, stride, padding, dilation, ceil_mode, False)
        self.pooled(step, y)

    def avgpool(self, Map x, Map y, kernel_size, stride, padding, ceil_mode=False, count_include_pad=True):
        """As `avgpool2d_forward` of the contract."""
        cdef program_step *step = self.new_step(STEP_AVGPOOL)
        self.pooling(step, x, y)
        pool_geometry(&step.g, &step.mean, (1, *x.shape), kernel_size, stride, padding, (1, 1), ceil_mode,
                      count_include_pad)
        self.pooled(step, y)

    def adaptive_avgpool(self, Map x, Map y):
        """As `adaptive_avgpool2d_forward` of the contract, to the size of y."""
        cdef program_step *step = self.new_step(STEP_AVGPOOL)
        self.pooling(step, x, y)
        bins_geometry(&step.g, &step.mean, (1, *x.shape), step.y.H, step.y.W)
        self.pooled(step, y)

    cdef int pooling(self, program_step *step, Map x, Map y) except -1:
        self.place(x, &step.x, "x")
        self.place(y, &step.y, "y")
        return 0

    cdef int pooled(self, program_step *step, Map y) except -1:
        if step.g.C != step.y.C or step.g.OH != step.y.H or step.g.OW != step.y.W:
            raise ValueError(f"y must have shape {(step.g.C, step.g.OH, step.g.OW)}, got {y.shape}")
        self.count += 1
        return 0

    def element(self, Map x, Map y, str kind, double a=0, double b=0):
        """y = f(x), f an activation or elementwise function of the contract by its name."""
        cdef program_step *step = self.new_step(STEP_ELEMENT)
        self.pooling(step, x, y)
        self.same_size(&step.y, &step.x, "y")
        self.function(step, (kind, a, b), False)
        self.count += 1

    def arithmetic(self, Map a, Map b, Map y, str sign, bint relu=False):
        """y = a sign b, each as large as y, or with one row or one column of pixels or both."""
        cdef program_step *step = self.new_step(STEP_ARITHMETIC)
        cdef map *m
        self.pooling(step, a, y)
        self.place(b, &step.other, "b")
        for i in range(2):
            m = &step.other if i else &step.x
            if m.C != step.y.C or m.H not in (1, step.y.H) or m.W not in (1, step.y.W):
                raise ValueError(f"a and b must have the channels of y {y.shape}, and its sizes or 1,"
                                 f" got {a.shape} and {b.shape}")
        step.sign = operator_of(sign)
        step.relu = relu
        self.count += 1

    def channels(self, Map x, Map y, origin, size to, bint add=False):
        """Channel to + i of y is channel origin[i] of x; add: is added to what is there."""
        cdef program_step *step = self.new_step(STEP_CHANNELS)
        self.pooling(step, x, y)
        origin = np.array(origin, np.intp)
        step.to, step.count, step.add = to, len(origin), add
        if step.x.H != step.y.H or step.x.W != step.y.W:
            raise ValueError(f"y must be {x.shape[1:]} pixels, got {y.shape}")
        if to < 0 or step.count < 1 or to + step.count > step.y.C or origin.min() < 0 or origin.max() >= step.x.C:
            raise ValueError(f"channels {origin} of {x.shape} from {to} on do not fit into {y.shape}")
        self.kept.append(origin)
        step.origin = <const size *><size_t>origin.ctypes.data
        self.count += 1

    def squash(self, Map x, Map y):
        """As `squash_forward` of the contract: y (I, 1, dim) of x (types dim, H, W)."""
        cdef program_step *step = self.new_step(STEP_SQUASH)
        self.pooling(step, x, y)
        self.capsules_of(&step.x, &step.y, "y")
        self.count += 1

    cdef int capsules_of(self, map *x, map *y, str name) except -1:
        """Check that y has the capsules of maps x."""
        if x.C % y.W or y.H != 1 or y.C * y.W != x.C * x.H * x.W:
            raise ValueError(f"{name} must have the elements of {(x.C, x.H, x.W)} as capsules whose values divide its"
                             f" channels, got {(y.C, y.H, y.W)}")
        return 0

    def routing(self, Map x, Map y, Map votes, Map sums, Map couplings, w, size routings):
        """As `capsules_forward` of the contract: y (J, 1, E) of x (I, 1, D), w (I, J, E, D).

        votes (I, J, E), sums (J, `routing_rows`, E) and couplings (I, 2 routings, J) are memory of the step.
        """
        cdef Buffers buffers = Buffers()
        cdef program_step *step = self.new_routing(x, y, votes, sums, couplings, w, routings)
        step.weights = buffers.pointer(w, "w", w.size, format_of(self.kind), False)
        step.w = self.keep(step.x.W * step.y.W * step.y.C * ((step.x.C + self.L - 1) // self.L * self.L))
        with nogil:
            self.table.program_pack(step)
        step.weights = NULL
        self.count += 1

    cdef program_step *new_routing(self, Map x, Map y, Map votes, Map sums, Map couplings, w,
                                   size routings) except NULL:
        """A routing whose sizes are checked; its weights are not there yet."""
        cdef program_step *step = self.new_step(STEP_ROUTING)
        self.pooling(step, x, y)
        self.place(votes, &step.votes, "votes")
        self.place(sums, &step.sums, "sums")
        self.place(couplings, &step.couplings, "couplings")
        if routings < 1 or routings > FAR:
            raise ValueError(f"routings must be at least 1 and a small number, got {routings}")
        step.count = routings
        I, J, E, D = step.x.C, step.y.C, step.y.W, step.x.W
        if step.x.H != 1 or step.y.H != 1 or w.shape != (I, J, E, D):
            raise ValueError(f"x {x.shape}, y {y.shape} and w {w.shape} do not go together")
        for name, found, wanted in (("votes", votes, (I, J, E)), ("sums", sums, (J, routing_rows(I, routings), E)),
                                    ("couplings", couplings, (I, 2 * routings, J))):
            if found.shape != wanted:
                raise ValueError(f"{name} must have shape {wanted}, got {found.shape}")
        return step

    def lengths(self, Map x, Map y):
        """As `capsule_length_forward` of the contract: y (J, 1, 1) of x (J, 1, E)."""
        cdef program_step *step = self.new_step(STEP_LENGTHS)
        self.pooling(step, x, y)
        self.lengths_of(&step.x, &step.y, "y")
        self.count += 1

    cdef int lengths_of(self, map *x, map *y, str name) except -1:
        """Check that y has a channel for each of the capsules x."""
        if x.H != 1 or y.C != x.C or y.H * y.W != 1:
            raise ValueError(f"{name} must have shape {(x.C, 1, 1)} for capsules {(x.C, x.H, x.W)},"
                             f" got {(y.C, y.H, y.W)}")
        return 0

    def run(self, size n, *images):
        """The outputs for n images of each array that comes in, C-contiguous (n, C, H, W) or of as many elements."""
        cdef Memory arena
        cdef size threads = get_num_threads(), at_once = max(1, min(self.at_once, n // threads))
        try:
            arena = self.arenas.pop()
        except IndexError:
            arena = None
        arena = self.arena_of(n if n < threads else at_once * threads, arena)
        outputs = self.run_steps(0, self.count, n, arena, self.incoming, self.outgoing, images, threads, at_once)
        self.arenas.append(arena)
        return outputs

    cdef Memory arena_of(self, size n, Memory arena):
        """`arena`, or a new one where it is None or too small for n images."""
        cdef size bytes = self.elements * (8 if self.kind else 4)
        if n < 1 or <double>n * bytes > 2.0 ** 46:
            raise ValueError(f"a program must have images, and not too many, got {n}")
        return arena if arena is not None and arena.bytes >= n * bytes else Memory(n * bytes)

    cdef list run_steps(self, size first, size end, size n, Memory arena, list incoming, list outgoing, tuple images,
                        size threads, size at_once=0):
        """Run the steps [first, end), which read and write these ports.

        at_once: images that a thread takes through all steps; 0: a step takes all images before the next does.
        """
        cdef program_args args
        cdef const void *coming[MOST_PORTS]
        cdef void *going[MOST_PORTS]
        cdef Buffers buffers
        cdef list held = []
        cdef int status
        cdef size i
        if len(images) != len(incoming):
            raise ValueError(f"a program of {len(incoming)} inputs must have as many arrays, got {len(images)}")
        for i in range(len(images)):
            shape, dtype = incoming[i]
            buffers = Buffers()
            held.append(buffers)
            code = b"Bfd"[0 if dtype == UINT8 else 1 + kind_of(dtype)]
            coming[i] = buffers.pointer(images[i], "images", n * shape[0] * shape[1] * shape[2], code, False)
        dtype = F64 if self.kind else F32
        outputs = [np.empty((n, *shape), dtype) for shape in outgoing]
        for i in range(len(outputs)):
            buffers = Buffers()
            held.append(buffers)
            going[i] = buffers.pointer(outputs[i], "scores", outputs[i].size, format_of(self.kind), True)
        args.step, args.steps, args.n, args.arena = self.steps + first, end - first, n, arena.data
        args.elements, args.threads, args.apart, args.at_once = self.elements, threads, at_once > 0, at_once or n
        args.incoming, args.out = coming, going
        with nogil:
            status = self.table.program(&args)
        check_status(status)
        return outputs

    def release(self):
        """Give back the arenas that no call uses."""
        self.arenas.clear()

    @property
    def nbytes(self):
        """(bytes of packed weights, bytes of an image's arena)"""
        return self.packed, self.elements * (8 if self.kind else 4)

    @property
    def isa(self):
        """The instruction set that it was made for."""
        return self.table.isa.decode()
