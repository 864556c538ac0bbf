/* The interface between the binding (the .pyx files above) and the vector kernels: argument records and one table of
   functions for each instruction set and element type.

   Lane arrays are (blocks, C, H, W, L): L images side by side, block after block; `n` images in all, so that the last
   block may have empty lanes. What stands in the empty lanes of an activation is finite but otherwise unspecified; in
   the empty lanes of a gradient stand zeros. A pixel array is (n, C, H, W), followed by PIXELS_SLACK elements of no
   meaning; its table has the operations of inference alone, and they ignore `code`. Pointers are aligned to the vector
   size for these arrays, to the element for parameters. Functions return 0, or -1 if there was no memory; the binding
   has checked all sizes. */
#ifndef MINIDL_CORE_KERNELS_H
#define MINIDL_CORE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t size; /* as Py_ssize_t */

enum { PIXELS_SLACK = 64 };

enum { POOL_NONE, POOL_AVG, POOL_MAX2 }; /* what the 2 x 2, stride 2 pooling of a fused block takes */

/* Sizes of a convolution or of a pooling (O = C then); OH, OW before any fused pooling. */
typedef struct {
    size n, C, H, W, O, KH, KW, SH, SW, PH, PW, DH, DW, G, OH, OW;
} geometry;

/* Forward: y = pool(relu(conv(x) + b)). Without `pool` y is (O, OH, OW); with it (O, OH/2, OW/2), and `code` takes one
   byte a pooled value: the bits of the four window places that were positive (average), or the place of a positive
   maximum, else 255 (maximum). code may be NULL. winograd: rows of the largest output tile where Winograd's form is
   used, 2 or 4; 0: it is not. */
typedef struct {
    geometry g;
    const void *x, *w, *b;
    void *y;
    uint8_t *code;
    int relu, pool, winograd;
} conv_forward_args;

/* Backward: the gradient of the convolution's own output is dy itself; or dy where y > 0 (relu_y given); or, with
   `pool`, dy spread over the window by `code`. dx, dw and db may each be NULL. dx_start (C): what each dx of a channel
   starts from, or NULL for 0. */
typedef struct {
    geometry g;
    const void *dy, *relu_y, *x, *w, *dx_start;
    const uint8_t *code;
    void *dx, *dw, *db;
    int pool, winograd;
} conv_backward_args;

/* y = relu?(x w^T + b); x (F), y (O) a lane array each. */
typedef struct {
    size n, F, O;
    const void *x, *w, *b;
    void *y;
    int relu;
} linear_forward_args;

/* dy is masked by relu_y > 0 if given. dx, dw, db may each be NULL. */
typedef struct {
    size n, F, O;
    const void *dy, *relu_y, *x, *w;
    void *dx, *dw, *db;
} linear_backward_args;

/* Means: the rows [h0, h1) and columns [w0, w1) whose places count, padding included or not; or, with `bins`, windows
   that part the image into OH x OW, whose sizes and places in the geometry are then of no matter. */
typedef struct {
    size h0, h1, w0, w1;
    int bins;
} pool_mean;

/* Pooling. argmax is a lane array of int32 (C, OH, OW). */
typedef struct {
    geometry g;
    pool_mean mean;
    const void *x;
    void *y;
    int32_t *argmax;
} pool_forward_args;

typedef struct {
    geometry g;
    pool_mean mean;
    const void *dy;
    const int32_t *argmax;
    void *dx;
} pool_backward_args;

/* Batch normalisation over channels of `area` values each; optionally relu, optionally 2 x 2 pooling of (H, W) = area.
   mean and inv_std are out in training, in otherwise. */
typedef struct {
    size n, C, H, W;
    const void *x, *gamma, *beta;
    void *running_mean, *running_var, *mean, *inv_std, *y;
    uint8_t *code;
    double momentum, eps;
    int train, relu, pool;
} norm_forward_args;

typedef struct {
    size n, C, H, W;
    const void *dy, *x, *gamma, *beta, *mean, *inv_std;
    const uint8_t *code;
    void *dx, *dgamma, *dbeta;
    int train, relu, pool;
} norm_backward_args;

/* Normalisation of rows inside each image, whose F values are R rows of F/R; the values of a row come in runs of
   `area`, a gamma and a beta each: run i of an image takes the parameters i % P. Groups of channels, area = H W, P = C;
   or layer normalisation, area = 1, P = F/R. mean and inv_std are lane arrays (R). */
typedef struct {
    size n, F, R, area, P;
    const void *x, *gamma, *beta;
    void *mean, *inv_std, *y;
    double eps;
} row_norm_forward_args;

typedef struct {
    size n, F, R, area, P;
    const void *dy, *x, *gamma, *mean, *inv_std;
    void *dx, *dgamma, *dbeta;
} row_norm_backward_args;

/* Local response normalisation over the channels: s[c] = k + share * the sum of x^2 over the channels c - before up to
   c + behind; y = x s^-beta. Forward dy is NULL and out is y, backward dx. */
typedef struct {
    size n, C, area, before, behind;
    double share, beta, k;
    const void *x, *dy;
    void *out;
} local_response_args;

/* Every activation and elementwise function. What takes one parameter, p: ELEMENT_LEAKY its slope, ELEMENT_ELU its
   alpha, ELEMENT_POW its exponent. Two, p and q: the limits of ELEMENT_CLIP and ELEMENT_HARD_TANH, alpha and beta of
   ELEMENT_HARD_SIGMOID, alpha and gamma of ELEMENT_SELU. The backward pass of ELEMENT_GELU and of those behind
   ELEMENT_SOFTPLUS takes x for y. */
#define ELEMENTS(DO) \
    DO(ELEMENT_RELU) \
    DO(ELEMENT_SIGMOID) \
    DO(ELEMENT_TANH) \
    DO(ELEMENT_LEAKY) \
    DO(ELEMENT_ELU) \
    DO(ELEMENT_GELU) \
    DO(ELEMENT_SOFTPLUS) \
    DO(ELEMENT_CLIP) \
    DO(ELEMENT_HARD_TANH) \
    DO(ELEMENT_HARD_SIGMOID) \
    DO(ELEMENT_HARD_SWISH) \
    DO(ELEMENT_SILU) \
    DO(ELEMENT_SELU) \
    DO(ELEMENT_MISH) \
    DO(ELEMENT_GELU_TANH) \
    DO(ELEMENT_SOFTSIGN) \
    DO(ELEMENT_EXP) \
    DO(ELEMENT_LOG) \
    DO(ELEMENT_SQRT) \
    DO(ELEMENT_POW) \
    DO(ELEMENT_ERF) \
    DO(ELEMENT_ABS) \
    DO(ELEMENT_NEG) \
    DO(ELEMENT_RECIPROCAL)

#define ELEMENT_COMMA(name) name,
typedef enum { ELEMENTS(ELEMENT_COMMA) } element;
#undef ELEMENT_COMMA

/* a + b and its kin with broadcasting; ARITHMETIC_PRELU is a, where a > 0, else a b. */
typedef enum { ARITHMETIC_ADD, ARITHMETIC_SUB, ARITHMETIC_MUL, ARITHMETIC_DIV, ARITHMETIC_PRELU } arithmetic;

/* An array of F values an image; `fixed`: a plain array of F values, the same for all images. steps: between neighbours
   in the three dimensions of the result, 0 where the array is broadcast. */
typedef struct {
    const void *data;
    size steps[3], F;
    int fixed;
} operand;

/* What is to be computed: y; or the gradient of a or of b, for dy. */
typedef enum { PART_Y, PART_A, PART_B } arithmetic_part;

/* An image of the result has sizes[0] x sizes[1] x sizes[2] values. Of a gradient that is a sum over what was broadcast
   (or over the images), `scale` times the sum is taken; y has the shape of its operand then. */
typedef struct {
    arithmetic which;
    arithmetic_part part;
    size n, sizes[3];
    double scale;
    operand a, b;
    const void *dy;
    void *y;
} arithmetic_args;

/* The largest of each of the places that `y` has, as an operand; backward with dy, its first place takes the gradient.
 */
typedef struct {
    size n, sizes[3];
    operand y;
    const void *x, *dy;
    void *out;
} maximum_args;

/* Softmax over the middle one of an image's three dimensions, or its logarithm. dy: backward, with y in x. */
typedef struct {
    size n, sizes[3];
    int logarithm;
    const void *x, *dy;
    void *y;
} softmax_args;

/* A matrix in each group of an image of F values: `step` from group to group, 0 where all have the same; `outer`
   between the rows or columns of the product that it makes, `inner` between what is summed over. */
typedef struct {
    const void *data;
    size F, step, outer, inner;
} factor;

/* y (groups, rows, columns) of each image: y[g] = a[g] b[g], and `again` is 1. With one group y is the sum of `again`
   products a[r] b[r], 0 where it is 0: the gradient of a matrix that went with all. Of pixel arrays b.outer is 1. */
typedef struct {
    size n, groups, again, rows, inner, columns;
    factor a, b;
    void *y;
} matmul_args;

/* A loss of K scores a row. labels, or else target (n, K) of T. weight (n) of the rows and class_weight (K) may be
   NULL; that of the classes is for softmax alone. correct: the rows whose first maximum is the target's, or their
   weights. */
typedef struct {
    size n, K;
    const void *logits, *target, *weight, *class_weight;
    const size *labels;
    double smoothing;
    void *dlogits;
    double loss, correct;
} class_loss_args;

/* Losses of single values. LOSS_SQUARED is half the square; LOSS_HUBER takes a parameter, where it becomes linear;
   LOSS_SIGMOID takes one, too, the weight of a positive target. */
typedef enum { LOSS_SQUARED, LOSS_ABSOLUTE, LOSS_HUBER, LOSS_SIGMOID } value_loss;

/* scale times the rows' sums, mean over the rows. target: rows (n, F), or as x stands if in_lanes. weight (n) may be
   NULL; pos_weight (F), if it is not, has a parameter for each value. correct: right decisions of LOSS_SIGMOID, each
   times its row's weight. */
typedef struct {
    size n, F;
    value_loss which;
    int in_lanes;
    double parameter, scale;
    const void *x, *target, *weight, *pos_weight;
    void *dx;
    double loss, correct;
} value_loss_args;

/* Routing by agreement of I capsules of D values to J capsules of E: w (I, J, E, D), u (I, D), v (J, E). s takes the
   sums before they are squashed, (routings, J, E); c the couplings of all passes but the first, (routings - 1, I, J),
   or NULL. */
typedef struct {
    size n, I, D, J, E, routings;
    const void *u, *w;
    void *s, *c, *v;
} capsules_forward_args;

/* s and c as the forward pass left them; du may be NULL. */
typedef struct {
    size n, I, D, J, E, routings;
    const void *dv, *u, *w, *s, *c;
    void *du, *dw;
} capsules_backward_args;

/* A batch out of a data set: y = images[index[n]] * scale[c] + shift[c]. index NULL: image n; scale NULL: a plain copy.
   kind: 0 uint8, 1 float, 2 double. moves (n, columns): as below, with images of area H x W, or NULL. With moves also
   what minidl/kernels/image_colors.py tells: maps (n, mixed, mixed + 1) with mixed 1 or 3, keys of noise (n), fill
   (n, C), each or NULL; in shares of the largest value `top`. */
typedef struct {
    size n, C, area;
    const void *images;
    const size *index;
    int kind;
    const void *scale, *shift;
    const size *moves;
    size columns, H, W, mixed;
    const double *maps, *fill;
    const uint64_t *keys;
    double deviation, top;
    void *y;
} gather_args;

/* Columns of a row of moves, and the numbers in one that shifts or turns: see minidl/kernels/image_moves.py. */
enum { MOVE_FLIP, MOVE_REFLECT, MOVE_TOP, MOVE_LEFT, MOVE_BOTTOM, MOVE_RIGHT, MOVE_SOURCE };
enum { MOVE_SHIFTED = MOVE_SOURCE + 2, MOVE_TURNED = MOVE_SOURCE + 6 };

/* Shifts, factors and constants of a row are smaller than this, so that positions fit in 64 bits. */
#define MOVE_MOST_SHIFT ((size)1 << 31)
#define MOVE_MOST_TURN ((size)1 << 24)
#define MOVE_MOST_OFFSET ((size)1 << 48)

/* Strided boxes of the images of x copied into y, whose images have F values; the rows of `table` are what
   minidl/kernels/boxes.py tells, with `axes` axes each. x and x_F have an array and its values an image for each
   source. What no box gives is `fill`. adjoint: x[0] is dy and y the gradient of source number `source`; each value of
   dy is added where it came from. */
enum { BOX_SOURCE, BOX_FROM, BOX_TO, BOX_AXIS };
enum { BOX_AXES = 8 };

typedef struct {
    size n, F, boxes, axes, source;
    const size *table, *x_F;
    const void *const *x;
    void *y;
    double fill;
    int adjoint;
} boxes_args;

/* y (C, OH, OW) of x (C, H, W): row oh of y is mixed from the KH rows `rows` (OH, KH) of x by row_weight (OH, KH),
   columns likewise. A weight of 0 reads nothing. Backward: x is dy, y is dx. */
typedef struct {
    size n, C, H, W, OH, OW, KH, KW;
    const size *rows, *columns;
    const void *row_weight, *column_weight, *x;
    void *y;
} resize_args;

/* How the arrays of a table stand in memory. */
typedef struct {
    const char *name;
    size lanes; /* images side by side: memory is of whole blocks of so many */
    size slack; /* elements of no meaning behind the last block */
    size most;  /* images up to which this layout is the fastest for inference; 0: any number */
} array_layout;

struct program_args;
struct program_step;

typedef struct kernel_table {
    array_layout layout;
    const char *isa;
    const struct kernel_table *complete; /* of the layout that has every operation; itself, if that is this one */
    const struct kernel_table *pixels;   /* for few images */
    int (*gather)(const gather_args *);
    int (*leave)(size n, size F, const void *x, void *y);             /* lanes -> (n, F) */
    int (*enter_index)(size n, size F, const int32_t *x, int32_t *y); /* (n, F) -> lanes */
    int (*leave_index)(size n, size F, const int32_t *x, int32_t *y);
    int (*add)(int then_relu, size count, const void *a, const void *b, void *y);
    void (*conv_tile)(const geometry *, size most, size *rows, size *columns); /* of Winograd's form; 0: direct sums */
    int (*conv_forward)(const conv_forward_args *);
    int (*conv_backward)(const conv_backward_args *);
    int (*linear_forward)(const linear_forward_args *);
    int (*linear_backward)(const linear_backward_args *);
    int (*maxpool_forward)(const pool_forward_args *);
    int (*maxpool_backward)(const pool_backward_args *);
    int (*avgpool_forward)(const pool_forward_args *);
    int (*avgpool_backward)(const pool_backward_args *);
    int (*norm_forward)(const norm_forward_args *);
    int (*norm_backward)(const norm_backward_args *);
    int (*row_norm_forward)(const row_norm_forward_args *);
    int (*row_norm_backward)(const row_norm_backward_args *);
    int (*local_response)(const local_response_args *);
    int (*element_forward)(element which, double p, double q, size n, size F, const void *x, void *y);
    int (*element_backward)(element which, double p, double q, size n, size F, const void *dy, const void *y, void *dx);
    int (*arithmetic_forward)(const arithmetic_args *);
    int (*arithmetic_backward)(const arithmetic_args *);
    int (*matmul)(const matmul_args *);
    int (*maximum)(const maximum_args *);
    int (*softmax_axis)(const softmax_args *);
    int (*dropout)(size n, size F, double rate, uint64_t key, const void *x, void *y);
    int (*softmax)(class_loss_args *);
    int (*margin)(class_loss_args *, double present, double absent, double rest); /* logits are lengths here */
    int (*value_losses)(value_loss_args *);
    int (*squash_forward)(size n, size types, size D, size area, const void *x,
                          void *y); /* (types, D, area) -> (types, area, D) */
    int (*squash_backward)(size n, size types, size D, size area, const void *dy, const void *x, void *dx);
    int (*capsules_forward)(const capsules_forward_args *);
    int (*capsules_backward)(const capsules_backward_args *);
    int (*capsule_length_forward)(size n, size J, size E, const void *v, void *y);
    int (*capsule_length_backward)(size n, size J, size E, const void *dy, const void *v, const void *y, void *dv);
    int (*capsule_mask)(size n, size J, size E, const size *labels, const void *v, void *y);
    int (*boxes)(const boxes_args *);
    int (*resize_forward)(const resize_args *);
    int (*resize_backward)(const resize_args *);
    /* Updates of several arrays at once, with their counts of elements. */
    int (*sgd)(size arrays, const size *counts, void *const *p, void *const *grad, void *const *velocity, double lr,
               double momentum, double decay, int nesterov, double scale);
    int (*rmsprop)(size arrays, const size *counts, void *const *p, void *const *grad, void *const *square, double lr,
                   double rho, double eps, double decay, double scale);
    int (*adam)(size arrays, const size *counts, void *const *p, void *const *grad, void *const *m, void *const *v,
                size step, double lr, double beta1, double beta2, double eps, double decay, int decoupled,
                double scale);
    int (*blend)(size arrays, const size *counts, void *const *a, void *const *b, double share);
    int (*sum_squares)(size count, const void *a, double *sum);
    int (*program)(const struct program_args *); /* program.h */
    void (*program_pack)(const struct program_step *);
} kernel_table;

extern const kernel_table minidl_avx512_f32, minidl_avx512_f64, minidl_avx2_f32, minidl_avx2_f64, minidl_baseline_f32,
    minidl_baseline_f64;

#endif
