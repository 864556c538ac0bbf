# cython: language_level=3
"""The C interface: core/kernels.h, core/pool.h, core/buffers.h, isa/detect.h."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cdef extern from "core/pool.h" nogil:
    void pool_set_threads(int threads)
    int pool_get_threads()
    void *pool_memory(size_t bytes)
    void pool_free(void *memory)

cdef extern from "core/buffers.h" nogil:
    ctypedef struct buffer_bytes:
        size_t live, waiting
    void *buffers_take(size_t bytes)
    void buffers_return(void *memory, size_t bytes)
    void buffers_release()
    buffer_bytes buffers_now()

cdef extern from "core/kernels.h" nogil:
    ctypedef Py_ssize_t size
    enum: POOL_NONE, POOL_AVG, POOL_MAX2
    enum: MOVE_FLIP, MOVE_REFLECT, MOVE_TOP, MOVE_LEFT, MOVE_BOTTOM, MOVE_RIGHT, MOVE_SOURCE, MOVE_SHIFTED, MOVE_TURNED
    const size MOVE_MOST_SHIFT, MOVE_MOST_TURN, MOVE_MOST_OFFSET
    ctypedef struct geometry:
        size n, C, H, W, O, KH, KW, SH, SW, PH, PW, DH, DW, G, OH, OW
    ctypedef struct conv_forward_args:
        geometry g
        const void *x
        const void *w
        const void *b
        void *y
        uint8_t *code
        int relu, pool, winograd
    ctypedef struct conv_backward_args:
        geometry g
        const void *dy
        const void *relu_y
        const void *x
        const void *w
        const void *dx_start
        const uint8_t *code
        void *dx
        void *dw
        void *db
        int pool, winograd
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
    ctypedef struct pool_mean:
        size h0, h1, w0, w1
        int bins
    ctypedef struct pool_forward_args:
        geometry g
        pool_mean mean
        const void *x
        void *y
        int32_t *argmax
    ctypedef struct pool_backward_args:
        geometry g
        pool_mean mean
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
    ctypedef struct row_norm_forward_args:
        size n, F, R, area, P
        const void *x
        const void *gamma
        const void *beta
        void *mean
        void *inv_std
        void *y
        double eps
    ctypedef struct row_norm_backward_args:
        size n, F, R, area, P
        const void *dy
        const void *x
        const void *gamma
        const void *mean
        const void *inv_std
        void *dx
        void *dgamma
        void *dbeta
    ctypedef struct local_response_args:
        size n, C, area, before, behind
        double share, beta, k
        const void *x
        const void *dy
        void *out
    ctypedef struct class_loss_args:
        size n, K
        const void *logits
        const void *target
        const void *weight
        const void *class_weight
        const size *labels
        double smoothing
        void *dlogits
        double loss, correct
    ctypedef enum value_loss:
        LOSS_SQUARED, LOSS_ABSOLUTE, LOSS_HUBER, LOSS_SIGMOID
    ctypedef struct value_loss_args:
        size n, F
        value_loss which
        int in_lanes
        double parameter, scale
        const void *x
        const void *target
        const void *weight
        const void *pos_weight
        void *dx
        double loss, correct
    ctypedef struct capsules_forward_args:
        size n, I, D, J, E, routings
        const void *u
        const void *w
        void *s
        void *c
        void *v
    ctypedef struct capsules_backward_args:
        size n, I, D, J, E, routings
        const void *dv
        const void *u
        const void *w
        const void *s
        const void *c
        void *du
        void *dw
    ctypedef struct gather_args:
        size n, C, area
        const void *images
        const size *index
        int kind
        const void *scale
        const void *shift
        const size *moves
        size columns, H, W, mixed
        const double *maps
        const double *fill
        const uint64_t *keys
        double deviation, top
        void *y
    enum: BOX_SOURCE, BOX_FROM, BOX_TO, BOX_AXIS, BOX_AXES
    ctypedef struct boxes_args:
        size n, F, boxes, axes, source
        const size *table
        const size *x_F
        const void *const *x
        void *y
        double fill
        int adjoint
    ctypedef struct resize_args:
        size n, C, H, W, OH, OW, KH, KW
        const size *rows
        const size *columns
        const void *row_weight
        const void *column_weight
        const void *x
        void *y
    ctypedef struct operand:
        const void *data
        size steps[3]
        size F
        int fixed
    ctypedef struct arithmetic_args:
        int which, part
        size n
        size sizes[3]
        double scale
        operand a, b
        const void *dy
        void *y
    ctypedef struct factor:
        const void *data
        size F, step, outer, inner
    ctypedef struct matmul_args:
        size n, groups, again, rows, inner, columns
        factor a, b
        void *y
    ctypedef struct maximum_args:
        size n
        size sizes[3]
        operand y
        const void *x
        const void *dy
        void *out
    ctypedef struct softmax_args:
        size n
        size sizes[3]
        int logarithm
        const void *x
        const void *dy
        void *y
    ctypedef struct array_layout:
        size lanes, slack, most

cdef extern from "core/program.h" nogil:
    enum: STEP_ENTER, STEP_LEAVE, STEP_CONV, STEP_DEPTHWISE, STEP_GROUPED, STEP_MAXPOOL, STEP_AVGPOOL, STEP_ELEMENT
    enum: STEP_ARITHMETIC, STEP_CHANNELS, STEP_WINOGRAD, STEP_CLEAR, STEP_CONV_WEIGHTS, STEP_DEPTHWISE_WEIGHTS
    enum: STEP_NORM, STEP_NORM_BACKWARD, STEP_MAXPOOL_BACKWARD, STEP_AVGPOOL_BACKWARD, STEP_ELEMENT_BACKWARD
    enum: STEP_MUL_BACKWARD
    enum: STEP_DROPOUT, STEP_GROUP_NORM, STEP_GROUP_NORM_BACKWARD, STEP_LOCAL_RESPONSE, STEP_LOCAL_RESPONSE_BACKWARD
    enum: STEP_SQUASH, STEP_SQUASH_BACKWARD, STEP_ROUTING, STEP_ROUTING_BACKWARD, STEP_LENGTHS, STEP_LENGTHS_BACKWARD
    enum: STATISTICS, ROUTING_PART
    ctypedef int step_kind
    ctypedef struct map:
        size at, C, lanes, H, W, top, bottom, left, right, step, pitch, plane, image
    ctypedef struct weight_order:
        size at, group, out
        size inside "in"
        size row, column
    ctypedef struct channel_range:
        size first, count
    ctypedef struct program_step:
        step_kind kind
        map x, other, y, dy, dx, dother, statistics, votes, sums, couplings
        geometry g
        pool_mean mean
        weight_order order
        const void *weights
        const void *bias
        const void *scale
        const void *shift
        const void *gamma
        const void *beta
        void *w
        void *b
        void *dw
        void *db
        void *norm_mean
        void *inv_std
        void *running_mean
        void *running_var
        const channel_range *reads
        const size *origin "from"
        size M, depth, most, rows, columns, port, to, count, before, behind
        int number, add, relu, acts, by_images, fresh, joined, add_dx, add_dother
        int which, sign
        uint64_t *key
        double p, q, momentum, eps
    ctypedef struct program_args:
        const program_step *step
        size steps, n, elements, at_once, threads
        int apart
        void *arena
        const void *const *incoming "in"
        void *const *out

cdef extern from "core/kernels.h" nogil:
    ctypedef struct kernel_table:
        array_layout layout
        const char *isa
        const kernel_table *complete
        const kernel_table *pixels
        int gather(const gather_args *) noexcept nogil
        int leave(size n, size F, const void *x, void *y) noexcept nogil
        int enter_index(size n, size F, const int32_t *x, int32_t *y) noexcept nogil
        int leave_index(size n, size F, const int32_t *x, int32_t *y) noexcept nogil
        int add(int then_relu, size count, const void *a, const void *b, void *y) noexcept nogil
        void conv_tile(const geometry *, size most, size *rows, size *columns) noexcept nogil
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
        int row_norm_forward(const row_norm_forward_args *) noexcept nogil
        int row_norm_backward(const row_norm_backward_args *) noexcept nogil
        int local_response(const local_response_args *) noexcept nogil
        int element_forward(int which, double p, double q, size n, size F, const void *x, void *y) noexcept nogil
        int element_backward(int which, double p, double q, size n, size F, const void *dy, const void *y,
                             void *dx) noexcept nogil
        int arithmetic_forward(const arithmetic_args *) noexcept nogil
        int arithmetic_backward(const arithmetic_args *) noexcept nogil
        int matmul(const matmul_args *) noexcept nogil
        int maximum(const maximum_args *) noexcept nogil
        int softmax_axis(const softmax_args *) noexcept nogil
        int dropout(size n, size F, double rate, uint64_t key, const void *x, void *y) noexcept nogil
        int softmax(class_loss_args *) noexcept nogil
        int margin(class_loss_args *, double present, double absent, double rest) noexcept nogil
        int value_losses(value_loss_args *) noexcept nogil
        int squash_forward(size n, size types, size D, size area, const void *x, void *y) noexcept nogil
        int squash_backward(size n, size types, size D, size area, const void *dy, const void *x,
                            void *dx) noexcept nogil
        int capsules_forward(const capsules_forward_args *) noexcept nogil
        int capsules_backward(const capsules_backward_args *) noexcept nogil
        int capsule_length_forward(size n, size J, size E, const void *v, void *y) noexcept nogil
        int capsule_length_backward(size n, size J, size E, const void *dy, const void *v, const void *y,
                                    void *dv) noexcept nogil
        int capsule_mask(size n, size J, size E, const size *labels, const void *v, void *y) noexcept nogil
        int boxes(const boxes_args *) noexcept nogil
        int resize_forward(const resize_args *) noexcept nogil
        int resize_backward(const resize_args *) noexcept nogil
        int sgd(size arrays, const size *counts, void **p, void **grad, void **velocity, double lr, double momentum,
                double decay, int nesterov, double scale) noexcept nogil
        int rmsprop(size arrays, const size *counts, void **p, void **grad, void **square, double lr, double rho,
                    double eps, double decay, double scale) noexcept nogil
        int adam(size arrays, const size *counts, void **p, void **grad, void **m, void **v, size step, double lr,
                 double beta1, double beta2, double eps, double decay, int decoupled, double scale) noexcept nogil
        int blend(size arrays, const size *counts, void **a, void **b, double share) noexcept nogil
        int sum_squares(size count, const void *a, double *sum) noexcept nogil
        int program(const program_args *) noexcept nogil
        void program_pack(const program_step *) noexcept nogil
cdef extern from "isa/detect.h" nogil:
    int isa_count()
    const kernel_table *isa_table(int index, int is_double)
    ctypedef struct cpu_leaves:
        uint32_t highest, ecx_of_1, ebx_of_7, ecx_of_80000001
        uint64_t saved
    int level_of_leaves "x86_level"(const cpu_leaves *leaves)
