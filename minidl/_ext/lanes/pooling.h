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

static int maxpool_forward_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W * L;
    T *y = (T *)a->y + task * g.OH * g.OW * L;
    int32_t *argmax = a->argmax + task * g.OH * g.OW * L;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, y += L, argmax += L) {
            window k = window_at(&g, oh, ow);
            V best = load(x + (k.h0 * g.W + k.w0) * L);
            VI place = (VI){0} + (INT)(k.h0 * g.W + k.w0);
            for (size h = k.h0; h < k.h1; h++) {
                for (size w = k.w0; w < k.w1; w++) {
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
    return 0;
}

static int maxpool_forward(const pool_forward_args *a) {
    pool_forward_args job = *a;
    return pool_channels(maxpool_forward_task, &job, &a->g);
}

static int maxpool_backward_task(void *context, ptrdiff_t task) {
    const pool_backward_args *a = context;
    const geometry g = a->g;
    const T *dy = (const T *)a->dy + task * g.OH * g.OW * L;
    const int32_t *argmax = a->argmax + task * g.OH * g.OW * L;
    T *dx = (T *)a->dx + task * g.H * g.W * L;
    memset(dx, 0, (size_t)(g.H * g.W) * VBYTES);
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, dy += L, argmax += L) {
            window k = window_at(&g, oh, ow);
            V d = load(dy);
            VI place = __builtin_convertvector(*(const VX *)argmax, VI);
            for (size h = k.h0; h < k.h1; h++) {
                for (size w = k.w0; w < k.w1; w++) {
                    T *to = dx + (h * g.W + w) * L;
                    store(to, load(to) + (V)((VI)d & (place == (INT)(h * g.W + w))));
                }
            }
        }
    }
    return 0;
}

static int maxpool_backward(const pool_backward_args *a) {
    pool_backward_args job = *a;
    return pool_channels(maxpool_backward_task, &job, &a->g);
}

static int avgpool_forward_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W * L;
    T *y = (T *)a->y + task * g.OH * g.OW * L;
    V area = splat((T)(g.KH * g.KW));
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, y += L) {
            window k = window_at(&g, oh, ow);
            V sum = {0};
            for (size h = k.h0; h < k.h1; h++)
                for (size w = k.w0; w < k.w1; w++) sum += load(x + (h * g.W + w) * L);
            store(y, sum / area);
        }
    }
    return 0;
}

static int avgpool_forward(const pool_forward_args *a) {
    pool_forward_args job = *a;
    return pool_channels(avgpool_forward_task, &job, &a->g);
}

static int avgpool_backward_task(void *context, ptrdiff_t task) {
    const pool_backward_args *a = context;
    const geometry g = a->g;
    const T *dy = (const T *)a->dy + task * g.OH * g.OW * L;
    T *dx = (T *)a->dx + task * g.H * g.W * L;
    V area = splat((T)(g.KH * g.KW));
    memset(dx, 0, (size_t)(g.H * g.W) * VBYTES);
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++, dy += L) {
            window k = window_at(&g, oh, ow);
            V share = load(dy) / area;
            for (size h = k.h0; h < k.h1; h++)
                for (size w = k.w0; w < k.w1; w++) store(dx + (h * g.W + w) * L, load(dx + (h * g.W + w) * L) + share);
        }
    }
    return 0;
}

static int avgpool_backward(const pool_backward_args *a) {
    pool_backward_args job = *a;
    return pool_channels(avgpool_backward_task, &job, &a->g);
}

#endif
