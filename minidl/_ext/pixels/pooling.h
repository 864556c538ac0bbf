/* Pooling of pixel arrays: a task is one channel of one image. */
#ifndef MINIDL_PIXELS_POOLING_H
#define MINIDL_PIXELS_POOLING_H

#include <stdint.h>

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"
#include "../core/window.h"
#include "finish.h"

INLINE void pixels_maxpool_plane(const pool_forward_args *a, ptrdiff_t task, size DH, size DW) {
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W;
    T *y = (T *)a->y + task * g.OH * g.OW;
    int32_t *argmax = a->argmax + task * g.OH * g.OW;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++) {
            window k = window_at(&g, DH, DW, oh, ow);
            size place = k.h0 * g.W + k.w0;
            T best = x[place];
            for (size h = k.h0; h < k.h1; h += DH) {
                for (size w = k.w0; w < k.w1; w += DW) {
                    T v = x[h * g.W + w];
                    if ((v > best || v != v) && best == best) best = v, place = h * g.W + w;
                }
            }
            *y++ = best;
            *argmax++ = (int32_t)place;
        }
    }
}

static int pixels_maxpool_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    if (a->g.DH == 1 && a->g.DW == 1) pixels_maxpool_plane(a, task, 1, 1);
    else pixels_maxpool_plane(a, task, a->g.DH, a->g.DW);
    return 0;
}

/* So many numbers are summed by themselves: one sum over all pixels of a large window would lose digits. */
enum { RUN = 1024 };

INLINE T sum_run(const T *x, size count) {
    V sum = {0};
    size i = 0;
    for (; i + L <= count; i += L) sum += loadu(x + i);
    T total = sum_vector(sum);
    for (; i < count; i++) total += x[i];
    return total;
}

INLINE void pixels_avgpool_plane(const pool_forward_args *a, const T *x, T *y, int whole) {
    const geometry g = a->g;
    for (size oh = 0; oh < g.OH; oh++) {
        for (size ow = 0; ow < g.OW; ow++) {
            size count;
            window k = mean_window(&g, &a->mean, whole, oh, ow, &count);
            T sum = 0;
            if (k.w1 - k.w0 == g.W) {
                for (size i = k.h0 * g.W, end = k.h1 * g.W; i < end; i += RUN)
                    sum += sum_run(x + i, smaller(RUN, end - i));
            } else {
                for (size h = k.h0; h < k.h1; h++) {
                    T row = 0;
                    for (size w = k.w0; w < k.w1; w++) row += x[h * g.W + w];
                    sum += row;
                }
            }
            *y++ = sum / (T)count;
        }
    }
}

static int pixels_avgpool_task(void *context, ptrdiff_t task) {
    const pool_forward_args *a = context;
    const geometry g = a->g;
    const T *x = (const T *)a->x + task * g.H * g.W;
    T *y = (T *)a->y + task * g.OH * g.OW;
    int whole = windows_whole(&g, &a->mean);
    if (whole && g.KH == 2 && g.KW == 2 && g.SH == 2 && g.SW == 2 && !g.PH && !g.PW && 2 * g.OH <= g.H &&
        2 * g.OW <= g.W)
        finish(x, g.W, g.OH, g.OW, 0, POOL_AVG, y, y + g.OH * g.OW);
    else if (whole) pixels_avgpool_plane(a, x, y, 1);
    else pixels_avgpool_plane(a, x, y, 0);
    return 0;
}

static int pixels_maxpool(const pool_forward_args *a) {
    pool_forward_args job = *a;
    const geometry g = a->g;
    return pool_run(pixels_maxpool_task, &job, g.n * g.C, g.n * g.C * g.OH * g.OW * g.KH * g.KW > PARALLEL_FROM);
}

static int pixels_avgpool(const pool_forward_args *a) {
    pool_forward_args job = *a;
    const geometry g = a->g;
    return pool_run(pixels_avgpool_task, &job, g.n * g.C, g.n * g.C * g.OH * g.OW * g.KH * g.KW > PARALLEL_FROM);
}

#endif
