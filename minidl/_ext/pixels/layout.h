/* Into a pixel array and out of it. */
#ifndef MINIDL_PIXELS_LAYOUT_H
#define MINIDL_PIXELS_LAYOUT_H

#include <stdint.h>
#include <string.h>

#include "../core/kernels.h"
#include "../core/moves.h"
#include "../core/pool.h"
#include "../core/vector.h"

/* y = x scale + shift of one kind of values. */
static void scale_values(const void *x, int kind, size count, T scale, T shift, T *y) {
    const uint8_t *bytes = x;
    const float *floats = x;
    const double *doubles = x;
    if (kind == 0)
        for (size i = 0; i < count; i++) y[i] = (T)bytes[i] * scale + shift;
    else if (kind == 1)
        for (size i = 0; i < count; i++) y[i] = (T)floats[i] * scale + shift;
    else
        for (size i = 0; i < count; i++) y[i] = (T)doubles[i] * scale + shift;
}

static int pixels_gather(const gather_args *a) {
    size F = a->C * a->area;
    int kind = a->moves ? moved_kind(a) : a->kind;
    void *moved = a->moves ? pool_scratch(SCRATCH_CALL, (size_t)(a->area * kind_bytes(kind))) : NULL;
    if (a->moves && !moved) return -1;
    for (size n = 0; n < a->n; n++) {
        size at = (a->index ? a->index[n] : n) * F;
        T *y = (T *)a->y + n * F;
        if (!a->scale) {
            memcpy(y, (const T *)a->images + at, (size_t)F * sizeof(T));
            continue;
        }
        for (size c = 0; c < a->C; c++, at += a->area, y += a->area) {
            T scale = ((const T *)a->scale)[c], shift = ((const T *)a->shift)[c];
            const void *x = moved ? moved : (const uint8_t *)a->images + at * kind_bytes(kind);
            if (moved) moved_values(a, n, c, 0, a->H, moved);
            scale_values(x, kind, a->area, scale, shift, y);
            if (moved) cut_rows(a, n, 0, a->H, 1, y);
        }
    }
    return 0;
}

static int pixels_leave(size n, size F, const void *x, void *y) {
    memcpy(y, x, (size_t)(n * F) * sizeof(T));
    return 0;
}

static int pixels_leave_index(size n, size F, const int32_t *x, int32_t *y) {
    memcpy(y, x, (size_t)(n * F) * sizeof(int32_t));
    return 0;
}

#endif
