/* Activations and addition: one value in, one value out. */
#ifndef MINIDL_CORE_ELEMENT_H
#define MINIDL_CORE_ELEMENT_H

#include "exponential.h"
#include "functions.h"
#include "kernels.h"
#include "pool.h"
#include "sizes.h"
#include "vector.h"

typedef struct {
    element which;
    size count, full; /* elements, and those of whole blocks; behind these `mask` tells the lanes with images */
    VI mask;
    T p, q;
    const T *a, *b;
    T *y;
} element_job;

enum { CHUNK = 2048 }; /* vectors a task */

/* In these switches a missing activation is an error: -Wswitch. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"

/* y of x. */
INLINE V element_value(element which, V x, T p, T q) {
    V unused;
    switch (which) {
    case ELEMENT_RELU: return relu(x);
    case ELEMENT_SIGMOID: return sigmoid(x);
    case ELEMENT_TANH: return hyperbolic_tangent(x);
    case ELEMENT_LEAKY: return choose(x > 0, x, x * p);
    case ELEMENT_ELU: return choose(x > 0, x, p * exp_series(x, 0));
    case ELEMENT_GELU: return at_least(x, -FAR) * normal(x, &unused);
    case ELEMENT_SOFTPLUS: return softplus(x);
    case ELEMENT_CLIP:
    case ELEMENT_HARD_TANH: return between(x, p, q);
    case ELEMENT_HARD_SIGMOID: return between(x * p + q, 0, 1);
    case ELEMENT_HARD_SWISH: return hard_swish(x);
    case ELEMENT_SILU: return silu(x);
    case ELEMENT_SELU: return choose(x > 0, q * x, p * q * exp_series(x, 0));
    case ELEMENT_MISH: return mish(x);
    case ELEMENT_GELU_TANH: return gelu_tanh(x);
    case ELEMENT_SOFTSIGN: return softsign(x);
    case ELEMENT_EXP: return exponential(x);
    case ELEMENT_LOG: return logarithm(x);
    case ELEMENT_SQRT: return square_root(x);
    case ELEMENT_POW: return powered(x, p);
    case ELEMENT_ERF: return error_function(x);
    case ELEMENT_ABS: return magnitude(x);
    case ELEMENT_NEG: return -x;
    case ELEMENT_RECIPROCAL: return 1 / x;
    }
    __builtin_unreachable();
}

/* dx of dy and y; from ELEMENT_GELU on, but for softplus, y is the forward's x. */
INLINE V element_slope(element which, V dy, V y, T p, T q) {
    switch (which) {
    case ELEMENT_RELU: return (V)((VI)dy & (y > 0));
    case ELEMENT_SIGMOID: return dy * y * (1 - y);
    case ELEMENT_TANH: return dy * (1 - y * y);
    case ELEMENT_LEAKY: return choose(y > 0, dy, dy * p);
    case ELEMENT_ELU: return choose(y > 0, dy, dy * (y + p));
    case ELEMENT_GELU: return dy * gelu_slope(y);
    case ELEMENT_SOFTPLUS: return dy * -exp_series(-y, 0);
    case ELEMENT_CLIP: return (V)((VI)dy & (y >= p) & (y <= q));
    case ELEMENT_HARD_TANH: return (V)((VI)dy & (y > p) & (y < q));
    case ELEMENT_HARD_SIGMOID: return (V)((VI)(dy * p) & (y > -q / p) & (y < (1 - q) / p));
    case ELEMENT_HARD_SWISH: return choose(y >= 3, dy, (V)((VI)(dy * (y / 3 + (T)0.5)) & (y > -3)));
    case ELEMENT_SILU: return dy * silu_slope(y);
    case ELEMENT_SELU: return dy * (q * choose(y > 0, splat(1), p * exp_series(y, 1)));
    case ELEMENT_MISH: return dy * mish_slope(y);
    case ELEMENT_GELU_TANH: return dy * gelu_tanh_slope(y);
    case ELEMENT_SOFTSIGN: return dy * softsign_slope(y);
    case ELEMENT_EXP: return dy * exponential(y);
    case ELEMENT_LOG: return dy / y;
    case ELEMENT_SQRT: return dy / (2 * square_root(y));
    case ELEMENT_POW: return dy * power_slope(y, p);
    case ELEMENT_ERF: return dy * exponential(-y * y) * (T)1.12837916709551257390;
    case ELEMENT_ABS: return choose(y > 0, dy, choose(y < 0, -dy, y));
    case ELEMENT_NEG: return -dy;
    case ELEMENT_RECIPROCAL: return -dy / (y * y);
    }
    __builtin_unreachable();
}

#pragma GCC diagnostic pop

/* Each with `which` known when it is compiled. */
INLINE void value_loop(const element_job *job, ptrdiff_t task, element which) {
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    size i = task * CHUNK * L, full = smaller(end, job->full);
    T p = job->p, q = job->q;
    for (; i < full; i += L) store(job->y + i, element_value(which, load(job->a + i), p, q));
    for (; i < end; i += L) store(job->y + i, (V)((VI)element_value(which, load(job->a + i), p, q) & job->mask));
}

INLINE void slope_loop(const element_job *job, ptrdiff_t task, element which) {
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    size i = task * CHUNK * L, full = smaller(end, job->full);
    T p = job->p, q = job->q;
    for (; i < full; i += L) store(job->y + i, element_slope(which, load(job->a + i), load(job->b + i), p, q));
    for (; i < end; i += L) {
        V dx = element_slope(which, load(job->a + i), load(job->b + i), p, q);
        store(job->y + i, (V)((VI)dx & job->mask));
    }
}

static int add_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    for (size i = task * CHUNK * L; i < end; i += L) store(job->y + i, load(job->a + i) + load(job->b + i));
    return 0;
}

static int add_relu_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    for (size i = task * CHUNK * L; i < end; i += L) store(job->y + i, relu(load(job->a + i) + load(job->b + i)));
    return 0;
}

static int element_forward_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
#define CASE(name) \
    case name: value_loop(job, task, name); break;
    switch (job->which) { ELEMENTS(CASE) }
#undef CASE
    return 0;
}

static int element_backward_task(void *context, ptrdiff_t task) {
    const element_job *job = context;
#define CASE(name) \
    case name: slope_loop(job, task, name); break;
    switch (job->which) { ELEMENTS(CASE) }
#undef CASE
    return 0;
}

static int element_run(pool_task task, element_job *job) {
    return pool_run(task, job, ceil_div(job->count, CHUNK * L), 1);
}

static int add(int then_relu, size count, const void *a, const void *b, void *y) {
    element_job job = {.count = count, .a = a, .b = b, .y = y};
    return element_run(then_relu ? add_relu_task : add_task, &job);
}

/* full, mask: of n images of F elements in lanes. The last block is apart, for a logarithm, or a slope, of what stands
   in an empty lane may be infinite: a value there is to be finite, a gradient zero. */
static element_job element_in_lanes(element which, double p, double q, size n, size F) {
    element_job job = {.which = which, .p = (T)p, .q = (T)q};
    job.count = blocks_of(n) * F * L;
    job.full = n / L * F * L;
    job.mask = lanes_below(n % L);
    return job;
}

static int element_forward(element which, double p, double q, size n, size F, const void *x, void *y) {
    element_job job = element_in_lanes(which, p, q, n, F);
    job.a = x;
    job.y = y;
    return element_run(element_forward_task, &job);
}

static int element_backward(element which, double p, double q, size n, size F, const void *dy, const void *y,
                            void *dx) {
    element_job job = element_in_lanes(which, p, q, n, F);
    job.a = dy;
    job.b = y;
    job.y = dx;
    return element_run(element_backward_task, &job);
}

/* Of pixel arrays, whose last vector may reach into their slack. */
static int element_forward_pixels(element which, double p, double q, size n, size F, const void *x, void *y) {
    element_job job = {.which = which, .p = (T)p, .q = (T)q, .a = x, .y = y};
    job.count = job.full = ceil_div(n * F, L) * L;
    return element_run(element_forward_task, &job);
}

#endif
