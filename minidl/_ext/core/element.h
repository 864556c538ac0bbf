/* Activations and addition: one value in, one value out. */
#ifndef MINIDL_CORE_ELEMENT_H
#define MINIDL_CORE_ELEMENT_H

#include <math.h>

#include "kernels.h"
#include "pool.h"
#include "sizes.h"
#include "vector.h"

/* 2^n for whole n in the exponent's range. */
INLINE V power_of_two(V n) {
    VI i = __builtin_convertvector(n, VI);
    return (V)((i + (IS_FLOAT ? 127 : 1023)) << (IS_FLOAT ? 23 : 52));
}

/* 1 / k! from k = 1 on. */
static const double inverse_factorial[] = {
    1,          1. / 2,      1. / 6,       1. / 24,       1. / 120,       1. / 720,        1. / 5040,
    1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800, 1. / 87178291200};
enum { EXP_TERMS = IS_FLOAT ? 8 : 14 };

/* exp(x) - 1 = 2^n q + (2^n - 1) with x = n ln 2 + r and q = exp(r) - 1 by its Taylor series, |r| <= ln 2 / 2. `one` 1
   gives exp(x). Results below the smallest normal number are that number or so. */
INLINE V exp_series(V x, int one) {
    const T top = (T)(IS_FLOAT ? 88.0 : 709.0), magic = (T)(IS_FLOAT ? 12582912.0 : 6755399441055744.0);
    x = choose(x < -top + 1, splat(-top + 1), x);
    V n = (choose(x > top, splat(top), x) * (T)1.44269504088896340736 + magic) - magic;
    V r = x - n * (T)(IS_FLOAT ? 0.693359375 : 6.93145751953125e-1);
    r -= n * (T)(IS_FLOAT ? -2.12194440054690583e-4 : 1.42860682030941723212e-6);
    V q = splat((T)inverse_factorial[EXP_TERMS - 1]);
    UNROLL for (int k = EXP_TERMS - 2; k >= 0; k--) q = q * r + (T)inverse_factorial[k];
    q *= r;
    V power = power_of_two(n);
    V result = q * power + (one ? power : power - 1);
    return choose(x > top, splat((T)HUGE_VAL), result);
}

INLINE V sigmoid(V x) {
    V e = exp_series((V)((VI)x | (VI)splat((T)-0.0)), 1);
    V s = 1 / (1 + e);
    return choose(x < 0, e * s, s);
}

INLINE V hyperbolic_tangent(V x) {
    VI sign = (VI)splat((T)-0.0);
    V m = exp_series(2 * (V)((VI)x | sign), 0);
    return (V)((VI)(-m / (2 + m)) | ((VI)x & sign));
}

/* The terms of Q below, as in minidl/kernels/im2col/activation.py, where their origin is told. */
#ifdef T_IS_DOUBLE
static const T normal_terms[] = {
    1.8882128260393786e-1, 1.5197416049297307e-1,  9.678435018555665e-2,    4.6630464489909153e-2,
    1.509914372259023e-2,  1.8850472418465781e-3,  -8.6992308916287566e-4,  -4.0770461685247707e-4,
    3.333605229003698e-5,  5.7773754340693242e-5,  -4.7691900767990063e-7,  -8.7862779757081028e-6,
    1.7865053828197512e-7, 1.4804027614776147e-6,  -1.5623877693950669e-7,  -2.5619627540815891e-7,
    6.6183432049741324e-8, 3.9943490349472685e-8,  -1.9695900856754766e-8,  -4.4612319391183872e-9,
    4.0168467392717043e-9, 1.4684066755220077e-10, -4.2216442414602191e-10, 2.9994455336719975e-11};
#else
static const T normal_terms[] = {1.88821283e-1f, 1.51974158e-1f, 9.67843485e-2f,  4.6630540e-2f,
                                 1.50991621e-2f, 1.88442929e-3f, -8.69988659e-4f, -4.05510026e-4f,
                                 3.34133468e-5f, 5.38934441e-5f, -4.32770575e-7f, -5.29574606e-6f};
#endif
enum { NORMAL_TERMS = sizeof(normal_terms) / sizeof(T), FAR = IS_FLOAT ? 13 : 37 };

INLINE V at_most(V x, T most) { return choose(x > most, splat(most), x); }
INLINE V at_least(V x, T least) { return choose(x < least, splat(least), x); }

/* Phi(x), and e = exp(-x^2 / 2). For t = |x| the tail Phi(-t) is e u Q(2u - 1) with u = 4 / (4 + t). From FAR on, where
   e nears the smallest normal number, it counts as 0. */
INLINE V normal(V x, V *e) {
    V t = at_most((V)((VI)x & ~(VI)splat((T)-0.0)), FAR);
    V u = 4 / (4 + t), s = 2 * u - 1, q = splat(normal_terms[NORMAL_TERMS - 1]);
    UNROLL for (int k = NORMAL_TERMS - 2; k >= 0; k--) q = q * s + normal_terms[k];
    *e = (V)((VI)exp_series(t * t * (T)-0.5, 1) & (t < FAR));
    V tail = *e * u * q;
    return choose(x > 0, 1 - tail, tail);
}

INLINE V gelu_slope(V x) {
    V e, phi = normal(x, &e);
    return phi + at_least(at_most(x, FAR), -FAR) * e * (T)0.398942280401432678; /* 1 / sqrt(2 pi) */
}

enum { LOG_TERMS = IS_FLOAT ? 8 : 16 };

/* log(1 + e) for e = exp(-|x|): 2 artanh(t / 2) with t = e / (1 + e / 2) <= 2/3, by its series. e is a square, for
   exp_series stops at the smallest normal number and e is to go on to 0. */
INLINE V log_one_more(V x, V *e) {
    V root = exp_series((V)((VI)x | (VI)splat((T)-0.0)) / 2, 1);
    *e = root * root;
    V t = *e / (1 + *e / 2), square = t * t / 4, q = splat((T)1 / (2 * LOG_TERMS - 1));
    UNROLL for (int k = LOG_TERMS - 2; k >= 0; k--) q = q * square + (T)1 / (T)(2 * k + 1);
    return t * q;
}

INLINE V softplus(V x) {
    V unused;
    return relu(x) + log_one_more(x, &unused);
}

typedef struct {
    element which;
    size count;
    T parameter;
    const T *a, *b;
    T *y;
} element_job;

enum { CHUNK = 2048 }; /* vectors a task */

/* In these switches a missing activation is an error: -Wswitch. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"

/* y of x. */
INLINE V element_value(element which, V x, T p) {
    V unused;
    switch (which) {
    case ELEMENT_RELU: return relu(x);
    case ELEMENT_SIGMOID: return sigmoid(x);
    case ELEMENT_TANH: return hyperbolic_tangent(x);
    case ELEMENT_LEAKY: return choose(x > 0, x, x * p);
    case ELEMENT_ELU: return choose(x > 0, x, p * exp_series(x, 0));
    case ELEMENT_GELU: return at_least(x, -FAR) * normal(x, &unused);
    case ELEMENT_SOFTPLUS: return softplus(x);
    }
    __builtin_unreachable();
}

/* dx of dy and y; of gelu y is the forward's x. */
INLINE V element_slope(element which, V dy, V y, T p) {
    switch (which) {
    case ELEMENT_RELU: return (V)((VI)dy & (y > 0));
    case ELEMENT_SIGMOID: return dy * y * (1 - y);
    case ELEMENT_TANH: return dy * (1 - y * y);
    case ELEMENT_LEAKY: return choose(y > 0, dy, dy * p);
    case ELEMENT_ELU: return choose(y > 0, dy, dy * (y + p));
    case ELEMENT_GELU: return dy * gelu_slope(y);
    case ELEMENT_SOFTPLUS: return dy * -exp_series(-y, 0);
    }
    __builtin_unreachable();
}

#pragma GCC diagnostic pop

/* Each with `which` known when it is compiled. */
INLINE void value_loop(const element_job *job, ptrdiff_t task, element which) {
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    T p = job->parameter;
    for (size i = task * CHUNK * L; i < end; i += L) store(job->y + i, element_value(which, load(job->a + i), p));
}

INLINE void slope_loop(const element_job *job, ptrdiff_t task, element which) {
    size end = smaller(job->count, (task + 1) * CHUNK * L);
    T p = job->parameter;
    for (size i = task * CHUNK * L; i < end; i += L)
        store(job->y + i, element_slope(which, load(job->a + i), load(job->b + i), p));
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

static int element_run(pool_task task, element which, double parameter, size count, const void *a, const void *b,
                       void *y) {
    element_job job = {which, count, (T)parameter, a, b, y};
    return pool_run(task, &job, ceil_div(count, CHUNK * L), 1);
}

static int add(int then_relu, size count, const void *a, const void *b, void *y) {
    return element_run(then_relu ? add_relu_task : add_task, (element)0, 0, count, a, b, y);
}

static int element_forward(element which, double parameter, size count, const void *x, void *y) {
    return element_run(element_forward_task, which, parameter, count, x, x, y);
}

static int element_backward(element which, double parameter, size count, const void *dy, const void *y, void *dx) {
    return element_run(element_backward_task, which, parameter, count, dy, y, dx);
}

#endif
