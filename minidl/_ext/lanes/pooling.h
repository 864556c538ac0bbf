/* Pooling with any window. A task is one channel of one block; places outside the image are left out of the loops.
   Twin: minidl/kernels/reference/pooling.py. */
#ifndef MINIDL_LANES_POOLING_H
#define MINIDL_LANES_POOLING_H

#include <stdint.h>
#include <string.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "../core/window.h"

/* One task for each channel of each block. */
static int pool_channels(pool_task task, void *job, const geometry *g) {
    size tasks = blocks_of(g->n) * g->C;
    return pool_run(task, job, tasks, tasks * g->OH * g->OW * g->KH * g->KW > PARALLEL_FROM);
}

INLINE int undilated(const geometry *g) { return g->DH == 1 && g->DW == 1; }

/* The usual windows have tasks of their own: in one function with the others the compiler spills what the loops need.
 */
INLINE void maxpool_forward_plane(const pool_forward_args *a, ptrdiff_t task, size DH, size DW) {
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W * L;
    T *y = (T *)a->y + task * g.OH * g.OW * L;
    int32_t *argmax = a->argmax + task * g.OH * g.OW * L;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, y += L, argmax += L) {
            window k = window_at(&g, DH, DW, oh, ow);
            V best = load(x + (k.h0 * g.W + k.w0) * L);
            VI place = (VI){0} + (INT)(k.h0 * g.W + k.w0);
            for (size h = k.h0; h < k.h1; h += DH) {
                for (size w = k.w0; w < k.w1; w += DW) {
                    V v = load(x + (h * g.W + w) * L);
                    VI better = ((v > best) | (v != v)) & (best == best);
                    best = choose(better, v, best);
                    place = (better & (INT)(h * g.W + w)) | (~better & place);
                }
            }
            store(y, best);
            *(VX *)argmax = __builtin_convertvector(place, VX);
        }
    }
}

static int maxpool_forward_task(void *context, ptrdiff_t task) {
    maxpool_forward_plane(context, task, 1, 1);
    return 0;
}

static int maxpool_forward_dilated(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    maxpool_forward_plane(a, task, a->g.DH, a->g.DW);
    return 0;
}

static int maxpool_forward(const pool_forward_args *a) {
    pool_forward_args job = *a;
    return pool_channels(undilated(&a->g) ? maxpool_forward_task : maxpool_forward_dilated, &job, &a->g);
}

INLINE void maxpool_backward_plane(const pool_backward_args *a, ptrdiff_t task, size DH, size DW) {
    const geometry g = a->g;
    const T *dy = (const T *)a->dy + task * g.OH * g.OW * L;
    const int32_t *argmax = a->argmax + task * g.OH * g.OW * L;
    T *dx = (T *)a->dx + task * g.H * g.W * L;
    memset(dx, 0, (size_t)(g.H * g.W) * VBYTES);
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, dy += L, argmax += L) {
            window k = window_at(&g, DH, DW, oh, ow);
            V d = load(dy);
            VI place = __builtin_convertvector(*(const VX *)argmax, VI);
            for (size h = k.h0; h < k.h1; h += DH) {
                for (size w = k.w0; w < k.w1; w += DW) {
                    T *to = dx + (h * g.W + w) * L;
                    store(to, load(to) + (V)((VI)d & (place == (INT)(h * g.W + w))));
                }
            }
        }
    }
}

static int maxpool_backward_task(void *context, ptrdiff_t task) {
    maxpool_backward_plane(context, task, 1, 1);
    return 0;
}

static int maxpool_backward_dilated(void *context, ptrdiff_t task) {
    const pool_backward_args *a = context;
    maxpool_backward_plane(a, task, a->g.DH, a->g.DW);
    return 0;
}

static int maxpool_backward(const pool_backward_args *a) {
    pool_backward_args job = *a;
    return pool_channels(undilated(&a->g) ? maxpool_backward_task : maxpool_backward_dilated, &job, &a->g);
}

INLINE void avgpool_forward_plane(const pool_forward_args *a, ptrdiff_t task, int whole) {
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W * L;
    T *y = (T *)a->y + task * g.OH * g.OW * L;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, y += L) {
            size count;
            window k = mean_window(&g, &a->mean, whole, oh, ow, &count);
            V all = {0}; /* row by row: one sum over all pixels of a large window would lose digits */
            for (size h = k.h0; h < k.h1; h++) {
                V sum = {0};
                for (size w = k.w0; w < k.w1; w++) sum += load(x + (h * g.W + w) * L);
                all += sum;
            }
            store(y, all / (T)count);
        }
    }
}

static int avgpool_forward_task(void *context, ptrdiff_t task) {
    avgpool_forward_plane(context, task, 1);
    return 0;
}

static int avgpool_forward_counted(void *context, ptrdiff_t task) {
    avgpool_forward_plane(context, task, 0);
    return 0;
}

static int avgpool_forward(const pool_forward_args *a) {
    pool_forward_args job = *a;
    return pool_channels(windows_whole(&a->g, &a->mean) ? avgpool_forward_task : avgpool_forward_counted, &job, &a->g);
}

INLINE void avgpool_backward_plane(const pool_backward_args *a, ptrdiff_t task, int whole) {
    const geometry g = a->g;
    const T *dy = (const T *)a->dy + task * g.OH * g.OW * L;
    T *dx = (T *)a->dx + task * g.H * g.W * L;
    memset(dx, 0, (size_t)(g.H * g.W) * VBYTES);
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, dy += L) {
            size count;
            window k = mean_window(&g, &a->mean, whole, oh, ow, &count);
            V share = load(dy) / (T)count;
            for (size h = k.h0; h < k.h1; h++)
                for (size w = k.w0; w < k.w1; w++) store(dx + (h * g.W + w) * L, load(dx + (h * g.W + w) * L) + share);
        }
    }
}

static int avgpool_backward_task(void *context, ptrdiff_t task) {
    avgpool_backward_plane(context, task, 1);
    return 0;
}

static int avgpool_backward_counted(void *context, ptrdiff_t task) {
    avgpool_backward_plane(context, task, 0);
    return 0;
}

static int avgpool_backward(const pool_backward_args *a) {
    pool_backward_args job = *a;
    return pool_channels(windows_whole(&a->g, &a->mean) ? avgpool_backward_task : avgpool_backward_counted, &job,
                         &a->g);
}

#endif
