# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled training steps: channels/. A `TrainingProgram` runs a network's forward pass, keeps its maps, and runs back.

Parameters are read, and their gradients written, where they stand: the arrays are held for as long as the program.
"""

from libc.stdint cimport uint64_t

from minidl._ext.elementwise cimport element_of
from minidl._ext.kernels cimport (
    STATISTICS,
    STEP_AVGPOOL_BACKWARD,
    STEP_CONV_WEIGHTS,
    STEP_DEPTHWISE_WEIGHTS,
    STEP_DROPOUT,
    STEP_ELEMENT_BACKWARD,
    STEP_GROUP_NORM,
    STEP_GROUP_NORM_BACKWARD,
    STEP_LOCAL_RESPONSE,
    STEP_LENGTHS_BACKWARD,
    STEP_LOCAL_RESPONSE_BACKWARD,
    STEP_MAXPOOL_BACKWARD,
    STEP_MUL_BACKWARD,
    STEP_NORM,
    STEP_NORM_BACKWARD,
    STEP_ROUTING,
    STEP_ROUTING_BACKWARD,
    STEP_SQUASH_BACKWARD,
    geometry,
    program_step,
    size,
)
from minidl._ext.lanearray cimport Buffers, format_of, get_num_threads
from minidl._ext.map cimport Map
from minidl._ext.pooling cimport bins_geometry, pool_geometry
from minidl._ext.program cimport Memory, Program, algorithm

READS_Y = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "softplus")
"""Elementwise functions whose slopes are told of their results."""


def reads_x(str kind):
    """Whether the slope of an elementwise function, by its name in the contract, is told of its x, not of its y."""
    if kind in READS_Y:
        return False
    if kind != "gelu":
        element_of(kind)  # refuses what is none
    return True


cdef class TrainingProgram(Program):
    """Steps forward, `turn`, steps backward, over an arena of so many elements an image.

    `forward` and then `backward` run them, with the same arena in between: never in two threads at once.
    """

    cdef size turned     # number of the steps forward
    cdef size n          # images of the last `forward`
    cdef Memory arena
    cdef list given      # what comes in and goes out forward
    cdef list made

    def turn(self):
        """The steps that follow belong to the backward pass, as do the arrays that they enter and leave."""
        if self.given is not None:
            raise RuntimeError("a training program turns once")
        self.turned = self.count
        self.given, self.made = self.incoming, self.outgoing
        self.incoming, self.outgoing = [], []

    def run(self, size n, *images):
        """Refused: the arrays of both ways are numbered from 0 on."""
        raise RuntimeError("a training program goes forward and backward, and does not run")

    def forward(self, size n, *images):
        """As a Program's `run`, for the steps before `turn`."""
        if self.given is None:
            raise RuntimeError("a training program must turn before it goes forward")
        self.arena = self.arena_of(n, self.arena)
        self.n = n
        return self.run_steps(0, self.turned, n, self.arena, self.given, self.made, images,
                              get_num_threads())

    def backward(self, *gradients):
        """As a Program's `run`, for the steps behind `turn`, of the images of the last `forward`."""
        if not self.n:
            raise RuntimeError("a training program must go forward before it goes backward")
        return self.run_steps(self.turned, self.count, self.n, self.arena, self.incoming, self.outgoing, gradients,
                              get_num_threads())

    def release(self):
        """Give back the arena, and with it what the last `forward` has kept."""
        self.arena, self.n = None, 0

    cdef void *held(self, array, str name, size count, bint writable) except? NULL:
        """Where a C-contiguous array of so many elements stands; NULL for None. It is held from now on."""
        cdef Buffers buffers = Buffers()
        if array is None:
            return NULL
        self.kept.append(buffers)
        return buffers.pointer(array, name, count, format_of(self.kind), writable)

    cdef int make_fresh(self, program_step *step, w, bias) except -1:
        """Weights and bias (or None) that are packed at each run."""
        step.weights = self.held(w, "w", w.size, False)
        step.bias = self.held(bias, "bias", step.g.O, False)
        step.w = self.keep(self.weight_count(step))
        step.b = self.keep((step.g.O + self.L - 1) // self.L * self.L)
        return 0

    def conv_forward(self, Map x, Map y, w, bias, tuple stride, padding, tuple dilation, size groups,
                     bint linear=False, Map other=None, bint relu=False):
        """y = relu(conv(x; w) + bias + other); bias, other may be None. w: (O, C / groups, KH, KW).

        linear: w is as large as x, and y has one pixel. Returns how it is computed, in words.
        """
        cdef program_step *step = self.new_conv(x, y, w, stride, padding, dilation, groups, linear, True)
        self.ending(step, other, relu, None)
        self.make_fresh(step, w, bias)
        self.count += 1
        return algorithm(step)

    def conv_phase(self, Map x, Map y, w, bias, tuple rows, tuple columns, size groups, bint linear=False,
                   bint add=False, bint relu=False):
        """One phase y of a transposed convolution of x, as a convolution's dx is of its dy.

        As `conv_transposed`, which packs the weights once; bias may be None. add: to what is there.
        """
        cdef program_step *step = self.new_phase(x, y, w, rows, columns, groups, linear, True)
        self.ending(step, y if add else None, relu, None)
        self.make_fresh(step, w, bias)
        self.count += 1
        return algorithm(step)

    def conv_dw(self, Map x, Map dy, dw, db, tuple stride, padding, tuple dilation, size groups, bint linear=False):
        """The gradients dw (O, C / groups, KH, KW) and db (O,), or None, of a convolution of x; dy: of its output.

        linear: as for `conv_forward`. The halo of x must hold the padding; dw and db are written anew at each run.
        """
        cdef program_step *step
        cdef bint depthwise
        if x is None or dy is None:
            raise TypeError("x and dy must be Maps, got None")
        depthwise = groups > 1 and groups == x.m.C and groups == dy.m.C
        step = self.new_step(STEP_DEPTHWISE_WEIGHTS if depthwise else STEP_CONV_WEIGHTS)
        self.place(x, &step.x, "x", not depthwise)
        self.place(dy, &step.dy, "dy")
        self.conv_sizes(step, &step.dy, "dy", dw.shape, stride, padding, dilation, groups, linear)
        step.dw = self.held(dw, "dw", dw.size, True)
        step.db = self.held(db, "db", step.g.O, True)
        self.count += 1

    def conv_db(self, Map dy, db):
        """The gradient db (O,) of a bias alone, the sum of dy; written anew at each run."""
        cdef program_step *step = self.new_step(STEP_CONV_WEIGHTS)
        cdef geometry *g = &step.g
        self.place(dy, &step.dy, "dy")
        step.x = step.dy
        g.C, g.O, g.G = 0, step.dy.C, 1
        g.KH = g.KW = g.SH = g.SW = g.DH = g.DW = 1
        if db is None:
            raise TypeError("db must be an array, got None")
        step.db = self.held(db, "db", g.O, True)
        self.count += 1

    cdef int gradients(self, program_step *step, Map dy, Map dx, bint add_dx) except -1:
        """What comes and what goes, which stand for y and x, too, where these are not read."""
        self.place(dy, &step.dy, "dy")
        self.place(dx, &step.dx, "dx")
        step.y, step.x, step.add_dx = step.dy, step.dx, add_dx
        return 0

    def norm_forward(self, Map x, Map y, gamma, beta, running_mean, running_var, double momentum, double eps,
                     Map other=None, bint relu=False):
        """y = relu(batchnorm_forward(x) + other) of the contract, in training; other may be None.

        gamma, beta, running_mean, running_var: (C,), the running ones updated at each run. Returns the step's number,
        for `norm_backward`.
        """
        cdef program_step *step = self.new_step(STEP_NORM)
        cdef size full
        self.pooling(step, x, y)
        self.same_size(&step.y, &step.x, "y")
        self.ending(step, other, relu, None)
        for name, array in (("gamma", gamma), ("beta", beta), ("running_mean", running_mean),
                            ("running_var", running_var)):
            if array is None:
                raise TypeError(f"{name} must be an array, got None")
        step.gamma = self.held(gamma, "gamma", step.x.C, False)
        step.beta = self.held(beta, "beta", step.x.C, False)
        step.running_mean = self.held(running_mean, "running_mean", step.x.C, True)
        step.running_var = self.held(running_var, "running_var", step.x.C, True)
        step.momentum, step.eps = momentum, eps
        full = (step.x.C + self.L - 1) // self.L * self.L
        step.norm_mean, step.inv_std, step.w, step.b = (
            self.keep(full), self.keep(full), self.keep(full), self.keep(full))
        self.count += 1
        return self.count - 1

    def group_norm_forward(self, Map x, Map y, Map statistics, gamma, beta, size groups, double eps, Map other=None,
                           bint relu=False):
        """y = relu(groupnorm_forward(x) + other) of the contract; gamma, beta, other may be None.

        statistics: a map (C, 1, 6), which `norm_backward` reads, too. Returns the step's number.
        """
        cdef program_step *step = self.new_step(STEP_GROUP_NORM)
        self.pooling(step, x, y)
        self.same_size(&step.y, &step.x, "y")
        self.ending(step, other, relu, None)
        self.place(statistics, &step.statistics, "statistics")
        if statistics.shape != (step.x.C, 1, STATISTICS):
            raise ValueError(f"statistics must have shape {(step.x.C, 1, STATISTICS)}, got {statistics.shape}")
        if groups < 1 or step.x.C % groups:
            raise ValueError(f"groups must divide the {step.x.C} channels, got {groups}")
        step.g.G, step.eps = groups, eps
        step.gamma = self.held(gamma, "gamma", step.x.C, False)
        step.beta = self.held(beta, "beta", step.x.C, False)
        self.count += 1
        return self.count - 1

    def norm_backward(self, size handle, Map dy, Map y, Map dx, dgamma, dbeta, Map dother=None, bint add_dx=False,
                      bint add_dother=False):
        """The gradients of the `norm_forward` or `group_norm_forward` that returned this handle; dgamma, dbeta: (C,).

        y: what it made, read for its relu alone. dx, dgamma, dbeta and dother may each be None; dx or dother may be dy.
        add_dx, add_dother: to what is there.
        """
        cdef program_step *step
        cdef const program_step *forward
        if not (0 <= handle < self.count and self.steps[handle].kind in (STEP_NORM, STEP_GROUP_NORM)):
            raise ValueError(f"handle must be the number of a step of norm_forward, got {handle}")
        step = self.new_step(STEP_NORM_BACKWARD if self.steps[handle].kind == STEP_NORM else STEP_GROUP_NORM_BACKWARD)
        forward = &self.steps[handle]
        step.g.G, step.statistics = forward.g.G, forward.statistics
        step.x, step.relu, step.w = forward.x, forward.relu, forward.w
        step.norm_mean, step.inv_std = forward.norm_mean, forward.inv_std
        step.y = step.x
        if step.relu:
            self.place(y, &step.y, "y")
            self.same_size(&step.y, &step.x, "y")
        self.place(dy, &step.dy, "dy")
        self.same_size(&step.dy, &step.x, "dy")
        if dx is not None:
            self.place(dx, &step.dx, "dx")
            self.same_size(&step.dx, &step.x, "dx")
            step.add_dx = add_dx
        if dother is not None:
            self.place(dother, &step.dother, "dother")
            self.same_size(&step.dother, &step.x, "dother")
            if dx is not None and step.dother.at == step.dx.at:
                raise ValueError("dother must be another map than dx")
            step.add, step.add_dother = True, add_dother
        step.dw = self.held(dgamma, "dgamma", step.x.C, True)
        step.db = self.held(dbeta, "dbeta", step.x.C, True)
        step.b = self.keep(2 * ((step.x.C + self.L - 1) // self.L * self.L))
        self.count += 1

    def local_response_forward(self, Map x, Map y, size width, double alpha, double beta, double k):
        """As `local_response_forward` of the contract, which calls the width size."""
        cdef program_step *step = self.new_step(STEP_LOCAL_RESPONSE)
        self.pooling(step, x, y)
        self.same_size(&step.y, &step.x, "y")
        self.response(step, width, alpha, beta, k)

    def local_response_backward(self, Map x, Map dy, Map dx, size width, double alpha, double beta, double k,
                                bint add_dx=False):
        """dx of `local_response_forward`; may be dy. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_LOCAL_RESPONSE_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        self.place(x, &step.x, "x")
        self.same_size(&step.dy, &step.x, "dy")
        self.same_size(&step.dx, &step.x, "dx")
        self.response(step, width, alpha, beta, k)

    cdef int response(self, program_step *step, size width, double alpha, double beta, double k) except -1:
        """How far sums reach, and their power."""
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        step.before, step.behind = min(width // 2, step.x.C - 1), min((width - 1) // 2, step.x.C - 1)
        step.p, step.q, step.eps = alpha / width, beta, k
        self.count += 1
        return 0

    def squash_backward(self, Map x, Map dy, Map dx, bint add_dx=False):
        """dx of `squash`; may not be dy. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_SQUASH_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        self.place(x, &step.x, "x")
        self.same_size(&step.dx, &step.x, "dx")
        self.capsules_of(&step.x, &step.dy, "dy")
        if step.dx.at == step.dy.at:
            raise ValueError("dx must be another map than dy")
        self.count += 1

    def routing_forward(self, Map x, Map y, Map votes, Map sums, Map couplings, w, size routings):
        """As a Program's `routing`, of weights as they are at each run. Returns the step's number."""
        cdef program_step *step = self.new_routing(x, y, votes, sums, couplings, w, routings)
        step.weights = self.held(w, "w", w.size, False)
        self.count += 1
        return self.count - 1

    def routing_backward(self, size handle, Map dy, Map dx, dw, bint add_dx=False):
        """dx and dw, or None, of the `routing_forward` that returned this handle. add_dx: to what is there.

        dx may not be dy; dw is written anew at each run.
        """
        cdef program_step *step
        cdef const program_step *forward
        if not (0 <= handle < self.count and self.steps[handle].kind == STEP_ROUTING):
            raise ValueError(f"handle must be the number of a step of routing_forward, got {handle}")
        step = self.new_step(STEP_ROUTING_BACKWARD)
        forward = &self.steps[handle]
        step.x, step.y, step.votes, step.sums = forward.x, forward.y, forward.votes, forward.sums
        step.couplings, step.weights, step.count = forward.couplings, forward.weights, forward.count
        self.place(dy, &step.dy, "dy")
        self.same_size(&step.dy, &step.y, "dy")
        if dx is not None:
            self.place(dx, &step.dx, "dx")
            self.same_size(&step.dx, &step.x, "dx")
            step.add_dx = add_dx
            if step.dx.at == step.dy.at:
                raise ValueError("dx must be another map than dy")
        step.dw = self.held(dw, "dw", step.x.W * step.y.W * step.y.C * step.x.C, True)
        self.count += 1

    def lengths_backward(self, Map x, Map y, Map dy, Map dx, bint add_dx=False):
        """dx of `lengths`, which made y of x. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_LENGTHS_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        self.pooling(step, x, y)
        self.lengths_of(&step.x, &step.y, "y")
        self.same_size(&step.dy, &step.y, "dy")
        self.same_size(&step.dx, &step.x, "dx")
        self.count += 1

    def dropout_forward(self, Map x, Map y, double rate):
        """As `dropout_forward` of the contract, with the key that `draw` was told last. Returns the step's number."""
        cdef program_step *step = self.new_step(STEP_DROPOUT)
        cdef Memory key = Memory(sizeof(uint64_t))
        self.kept.append(key)
        step.key = <uint64_t *>key.data
        step.key[0] = 0
        self.drop(step, x, y, "y", rate)
        return self.count - 1

    def dropout_backward(self, size handle, Map dy, Map dx, bint add_dx=False):
        """dx of the `dropout_forward` that returned this handle; may be dy. add_dx: to what is there."""
        cdef uint64_t *key = self.key_of(handle)
        cdef program_step *step = self.new_step(STEP_DROPOUT)
        step.key, step.add = key, add_dx
        self.drop(step, dy, dx, "dx", self.steps[handle].p)

    cdef int drop(self, program_step *step, Map x, Map y, str name, double rate) except -1:
        if not 0 <= rate < 1:
            raise ValueError(f"rate must lie in [0, 1), got {rate}")
        self.place(x, &step.x, "x")
        self.place(y, &step.y, name)
        self.same_size(&step.y, &step.x, name)
        step.p = rate
        self.count += 1
        return 0

    def draw(self, size handle, uint64_t key):
        """The key of the masks of a `dropout_forward`, and of the `dropout_backward` behind it, from now on."""
        self.key_of(handle)[0] = key

    cdef uint64_t *key_of(self, size handle) except NULL:
        if not (0 <= handle < self.count and self.steps[handle].kind == STEP_DROPOUT):
            raise ValueError(f"handle must be the number of a step of dropout_forward, got {handle}")
        return self.steps[handle].key

    def maxpool_backward(self, Map x, Map y, Map dy, Map dx, kernel_size, stride, padding, dilation=(1, 1),
                         ceil_mode=False, bint add_dx=False):
        """dx of `maxpool`, which made y of x. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_MAXPOOL_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        self.pooling(step, x, y)
        self.same_size(&step.dy, &step.y, "dy")
        self.same_size(&step.dx, &step.x, "dx")
        pool_geometry(&step.g, &step.mean, (1, *x.shape), kernel_size, stride, padding, dilation, ceil_mode, False)
        self.pooled(step, y)

    def avgpool_backward(self, Map dy, Map dx, kernel_size, stride, padding, ceil_mode=False, count_include_pad=True,
                         bint add_dx=False):
        """dx of `avgpool`. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_AVGPOOL_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        pool_geometry(&step.g, &step.mean, (1, *dx.shape), kernel_size, stride, padding, (1, 1), ceil_mode,
                      count_include_pad)
        self.pooled(step, dy)

    def adaptive_avgpool_backward(self, Map dy, Map dx, bint add_dx=False):
        """dx of `adaptive_avgpool`. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_AVGPOOL_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        bins_geometry(&step.g, &step.mean, (1, *dx.shape), step.dy.H, step.dy.W)
        self.pooled(step, dy)

    def element_backward(self, str kind, double a, double b, Map dy, Map known, Map dx, bint add_dx=False):
        """dx of `element`. known: its x where `reads_x(kind)`, else its y. dx may be dy. add_dx: to what is there."""
        cdef program_step *step = self.new_step(STEP_ELEMENT_BACKWARD)
        self.gradients(step, dy, dx, add_dx)
        self.same_size(&step.dy, &step.dx, "dy")
        self.place(known, &step.y, "known")
        self.same_size(&step.y, &step.dx, "known")
        self.function(step, (kind, a, b), False)
        self.count += 1

    def mul_backward(self, Map a, Map b, Map dy, Map da, Map db, bint add_da=False, bint add_db=False):
        """da, db of a product: b is as large as a, or has one pixel. da may be dy. add_da, add_db: to what is there."""
        cdef program_step *step = self.new_step(STEP_MUL_BACKWARD)
        self.gradients(step, dy, da, add_da)
        self.place(a, &step.x, "a")
        self.same_size(&step.dy, &step.x, "dy")
        self.same_size(&step.dx, &step.x, "da")
        self.place(b, &step.other, "b")
        self.place(db, &step.dother, "db")
        if step.other.H * step.other.W != 1 or step.other.C != step.x.C:
            self.same_size(&step.other, &step.x, "b")
        self.same_size(&step.dother, &step.other, "db")
        if step.dother.at == step.dx.at:
            raise ValueError("db must be another map than da")
        step.add_dother = add_db
        self.count += 1
