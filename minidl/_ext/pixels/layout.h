/* Into a pixel array and out of it. */
#ifndef MINIDL_PIXELS_LAYOUT_H
#define MINIDL_PIXELS_LAYOUT_H

#include <stdint.h>
#include <string.h>

#include "../core/colors.h"
#include "../core/kernels.h"
#include "../core/moves.h"
#include "../core/pool.h"
#include "../core/sizes.h"
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

/* Moved images, through their colour maps and with their noise. */
static int pixels_recolored(const gather_args *a) {
    size mixed = a->mixed, area = a->area;
    int kind = moved_kind(a);
    size bytes = 64 * ceil_div(area * kind_bytes(kind), 64); /* keeps what follows aligned */
    uint8_t *moved = pool_scratch(SCRATCH_CALL, (size_t)bytes + (size_t)(mixed * area) * sizeof(T));
    if (!moved) return -1;
    T *x = (T *)(moved + bytes);
    const T unit = noise_unit(a), top = (T)a->top;
    for (size n = 0; n < a->n; n++) {
        T map[12];
        color_map(a, n, mixed, map);
        for (size c = 0; c < a->C; c++) {
            size k = c % mixed;
            const T *row = map + k * (mixed + 1), scale = ((const T *)a->scale)[c], shift = ((const T *)a->shift)[c];
            T *y = (T *)a->y + (n * a->C + c) * area;
            for (size j = 0; k == 0 && j < mixed; j++) {
                moved_values(a, n, c + j, 0, a->H, moved);
                scale_values(moved, kind, area, 1, 0, x + j * area);
            }
            for (size i = 0; i < area; i++) {
                T z = row[0] * x[i];
                for (size j = 1; j < mixed; j++) z += row[j] * x[j * area + i];
                z += row[mixed];
                if (a->keys) z += (T)noise_steps(a->keys[n], (uint64_t)(c * area + i)) * unit;
                z = z < 0 ? 0 : z > top ? top : z;
                y[i] = z * scale + shift;
            }
            cut_rows(a, n, c, 0, a->H, 1, y);
        }
    }
    return 0;
}

static int pixels_gather(const gather_args *a) {
    if (recolors(a)) return pixels_recolored(a);
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
            if (moved) cut_rows(a, n, c, 0, a->H, 1, y);
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
