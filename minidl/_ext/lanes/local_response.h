/* Local response normalisation, see local_response_args. A task is some pixels of a block, all channels; the powers of
   its sums are kept for the backward pass of these pixels. Twin: minidl/kernels/reference/local_response.py. */
#ifndef MINIDL_LANES_LOCAL_RESPONSE_H
#define MINIDL_LANES_LOCAL_RESPONSE_H

#include "../core/kernels.h"
#include "../core/pool.h"
#include "../core/power.h"
#include "../core/sizes.h"
#include "../core/vector.h"

enum { RESPONSE_PIXELS = 8 };

/* Of pixels [p0, p1) of a block, whose channels are `plane` elements apart. backward: memory for two values a pixel. */
static void local_response_pixels(const local_response_args *a, size plane, size p0, size p1, const T *x, const T *dy,
                                  T *out, T *kept, VI mask) {
    size count = p1 - p0;
    T beta = (T)a->beta, share = (T)a->share, slope = (T)(2 * a->share * a->beta);
    T *power = kept, *part = kept + a->C * count * L;
    for (size c = 0; c < a->C; c++) {
        size low = larger(0, c - a->before), high = smaller(a->C, c + a->behind + 1);
        for (size p = p0; p < p1; p++) {
            V sum = {0}, value = load(x + c * plane + p * L);
            for (size i = low; i < high; i++) {
                V v = load(x + i * plane + p * L);
                sum += v * v;
            }
            V s = normal_number((T)a->k + share * sum);
            V scale = inverse_power(s, beta);
            if (!dy) {
                store(out + c * plane + p * L, (V)((VI)(value * scale) & mask));
                continue;
            }
            size at = (c * count + p - p0) * L;
            store(power + at, scale);
            store(part + at, load(dy + c * plane + p * L) * value * (scale / s));
        }
    }
    if (!dy) return;
    for (size c = 0; c < a->C; c++) {
        size low = larger(0, c - a->behind), high = smaller(a->C, c + a->before + 1);
        for (size p = p0; p < p1; p++) {
            V sum = {0};
            for (size i = low; i < high; i++) sum += load(part + (i * count + p - p0) * L);
            V d = load(dy + c * plane + p * L) * load(power + (c * count + p - p0) * L);
            store(out + c * plane + p * L, (V)((VI)(d - slope * load(x + c * plane + p * L) * sum) & mask));
        }
    }
}

static int local_response_task(void *context, ptrdiff_t task) {
    const local_response_args *a = context;
    size parts = ceil_div(a->area, RESPONSE_PIXELS), block = task / parts, p0 = task % parts * RESPONSE_PIXELS;
    size p1 = smaller(a->area, p0 + RESPONSE_PIXELS), plane = a->area * L, at = block * a->C * plane;
    T *kept = a->dy ? pool_scratch(SCRATCH_TASK, (size_t)(2 * a->C * RESPONSE_PIXELS) * VBYTES) : NULL;
    if (a->dy && !kept) return -1;
    local_response_pixels(a, plane, p0, p1, (const T *)a->x + at, a->dy ? (const T *)a->dy + at : NULL,
                          (T *)a->out + at, kept, lanes_below(a->n - block * L));
    return 0;
}

static int local_response(const local_response_args *a) {
    local_response_args job = *a;
    size tasks = blocks_of(a->n) * ceil_div(a->area, RESPONSE_PIXELS);
    size work = blocks_of(a->n) * a->C * a->area * (20 + a->before + a->behind);
    return pool_run(local_response_task, &job, tasks, work > PARALLEL_FROM);
}

#endif
