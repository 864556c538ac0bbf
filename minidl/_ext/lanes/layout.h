/* Into the lanes and out of them: squares of L images by L values are transposed in registers. */
#ifndef MINIDL_LANES_LAYOUT_H
#define MINIDL_LANES_LAYOUT_H

#include <stdint.h>
#include <string.h>

#include "../core/colors.h"
#include "../core/kernels.h"
#include "../core/moves.h"
#include "../core/pool.h"
#include "../core/sizes.h"
#include "../core/vector.h"

/* `count` values of images from element `at` on, at most L, as T; zeros behind them. */
INLINE V load_values(const void *images, int kind, size at, size count) {
    if (kind == 0) {
        const uint8_t *p = (const uint8_t *)images + at;
        VBU bytes = {0};
        if (count == L) bytes = *(const VBU *)p;
        else memcpy(&bytes, p, (size_t)count);
        return from_bytes(bytes);
    }
    if (kind == (IS_FLOAT ? 1 : 2) && count == L) return loadu((const T *)images + at);
    V value = {0};
    for (size i = 0; i < count; i++)
        value[i] = (T)(kind == 1 ? ((const float *)images)[at + i] : ((const double *)images)[at + i]);
    return value;
}

/* A square of L images by `count` values. */
INLINE void load_square(const gather_args *a, int kind, size n0, size lanes, size F, size f, size count, V square[L]) {
    for (size l = 0; l < L; l++) {
        size image = a->index && l < lanes ? a->index[n0 + l] : n0 + l;
        square[l] = l < lanes ? load_values(a->images, kind, image * F + f, count) : (V){0};
    }
}

/* What a whole square of `lanes` images of a kind is of: 1 bytes, 2 T, 0 fewer images than L or another type. */
INLINE int whole_of(int kind, size lanes) {
    if (lanes < L) return 0;
    return kind == 0 ? 1 : kind == (IS_FLOAT ? 1 : 2) ? 2 : 0;
}

/* A whole square of bytes or of T, from element f of the images at `row` on. */
INLINE void load_rows(const uint8_t *const *row, const int bytes, size f, V square[L]) {
    UNROLL for (int l = 0; l < L; l++) {
        if (bytes) square[l] = from_bytes(*(const VBU *)(row[l] + f));
        else square[l] = loadu((const T *)row[l] + f);
    }
}

/* A square of anything, transposed: of fewer images or values than L, or of another type. */
ONE_COPY void odd_square(const gather_args *a, size block, size f, V square[L]) {
    size F = a->C * a->area;
    load_square(a, a->kind, block * L, smaller(L, a->n - block * L), F, f, smaller(L, F - f), square);
    transpose(square);
}

enum { GATHER_VALUES = 16 * L }; /* values of each image a task */

/* Values [from, to) of the images of a block; whole: see `whole_of`. */
INLINE void gather_squares(const gather_args *a, const int whole, size block, size from, size to) {
    size F = a->C * a->area, channel = from / a->area, left = a->area - from % a->area;
    const T *scale = a->scale, *shift = a->shift;
    T *y = (T *)a->y + block * F * L;
    const uint8_t *row[L];
    for (size l = 0; whole && l < L; l++) {
        size image = a->index ? a->index[block * L + l] : block * L + l;
        row[l] = (const uint8_t *)a->images + image * F * (whole == 1 ? 1 : (size)sizeof(T));
    }
    for (size f = from; f < to; f += L) {
        size count = smaller(L, F - f);
        if (whole && count == L && left >= L) { /* of one channel, as most are: it stays in registers */
            V square[L];
            load_rows(row, whole == 1, f, square);
            transpose(square);
            if (scale) {
                const T factor = scale[channel], term = shift[channel];
                UNROLL for (int i = 0; i < L; i++) square[i] = square[i] * factor + term;
            }
            UNROLL for (int i = 0; i < L; i++) store(y + (f + i) * L, square[i]);
            left -= L;
            if (left == 0) channel++, left = a->area;
            continue;
        }
        V square[L];
        if (whole && count == L) load_rows(row, whole == 1, f, square), transpose(square);
        else odd_square(a, block, f, square);
        for (size i = 0; i < count; i++) {
            store(y + (f + i) * L, scale ? square[i] * scale[channel] + shift[channel] : square[i]);
            if (--left == 0) channel++, left = a->area;
        }
    }
}

static int gather_task(void *context, ptrdiff_t task) {
    const gather_args *a = context;
    size F = a->C * a->area, pieces = ceil_div(F, GATHER_VALUES), block = task / pieces,
         from = task % pieces * GATHER_VALUES;
    size to = smaller(F, from + GATHER_VALUES);
    switch (whole_of(a->kind, smaller(L, a->n - block * L))) {
    case 1: gather_squares(a, 1, block, from, to); break;
    case 2: gather_squares(a, 2, block, from, to); break;
    default: gather_squares(a, 0, block, from, to);
    }
    return 0;
}

/* Some rows of one channel of a block: moved one image after another into scratch, then as above. */
static int moved_task(void *context, ptrdiff_t task) {
    const gather_args *a = context;
    size rows = moved_rows(a), pieces = ceil_div(a->H, rows), plane = task / pieces, block = plane / a->C,
         c = plane % a->C;
    size h0 = task % pieces * rows, h1 = smaller(a->H, h0 + rows), lanes = smaller(L, a->n - block * L);
    size count = (h1 - h0) * a->W, pitch = rows * a->W;
    int kind = moved_kind(a);
    uint8_t *values = pool_scratch(SCRATCH_TASK, (size_t)(L * pitch * kind_bytes(kind)));
    if (!values) return -1;
    gather_args moved = {.images = values};
    for (size l = 0; l < lanes; l++) moved_values(a, block * L + l, c, h0, h1, values + l * pitch * kind_bytes(kind));
    const T scale = ((const T *)a->scale)[c], shift = ((const T *)a->shift)[c];
    T *y = (T *)a->y + (plane * a->area + h0 * a->W) * L;
    const int whole = whole_of(kind, lanes);
    const uint8_t *row[L];
    for (size l = 0; l < L; l++) row[l] = values + l * pitch * kind_bytes(kind);
    for (size f = 0; f < count; f += L) {
        size some = smaller(L, count - f);
        if (whole && some == L) {
            V square[L];
            if (whole == 1) load_rows(row, 1, f, square);
            else load_rows(row, 0, f, square);
            transpose(square);
            UNROLL for (int i = 0; i < L; i++) store(y + (f + i) * L, square[i] * scale + shift);
            continue;
        }
        V square[L];
        load_square(&moved, kind, 0, lanes, pitch, f, some, square);
        transpose(square);
        for (size i = 0; i < some; i++) store(y + (f + i) * L, square[i] * scale + shift);
    }
    for (size l = 0; l < lanes; l++) cut_rows(a, block * L + l, c, h0, h1, L, y + l);
    return 0;
}

/* The same of `mixed` channels (1 or 3), whose values go through each image's colour map and take its noise. */
INLINE int recolored_rows(const gather_args *a, size task, size mixed) {
    size rows = moved_rows(a), pieces = ceil_div(a->H, rows), groups = a->C / mixed, group = task / pieces,
         block = group / groups, c = group % groups * mixed;
    size h0 = task % pieces * rows, h1 = smaller(a->H, h0 + rows), lanes = smaller(L, a->n - block * L);
    size count = (h1 - h0) * a->W, pitch = rows * a->W;
    int kind = moved_kind(a);
    size plane = L * pitch * kind_bytes(kind);
    uint8_t *values = pool_scratch(SCRATCH_TASK, (size_t)(mixed * plane));
    if (!values) return -1;
    gather_args moved[3] = {{.images = values}, {.images = values + plane}, {.images = values + 2 * plane}};
    for (size k = 0; k < mixed; k++)
        for (size l = 0; l < lanes; l++)
            moved_values(a, block * L + l, c + k, h0, h1, values + k * plane + l * pitch * kind_bytes(kind));
    V map[12] = {{0}};
    uint64_t keys[L] = {0};
    for (size l = 0; l < lanes; l++) {
        T own[12];
        color_map(a, block * L + l, mixed, own);
        for (size i = 0; i < mixed * (mixed + 1); i++) map[i][l] = own[i];
        if (a->keys) keys[l] = a->keys[block * L + l];
    }
    const T *scale = (const T *)a->scale + c, *shift = (const T *)a->shift + c, unit = noise_unit(a), top = (T)a->top;
    T *y = (T *)a->y + ((block * a->C + c) * a->area + h0 * a->W) * L;
    for (size f = 0; f < count; f += L) {
        V square[3][L];
        size some = smaller(L, count - f);
        for (size k = 0; k < mixed; k++) {
            if (kind == 0 && some == L && lanes == L) load_square(&moved[k], 0, 0, L, pitch, f, L, square[k]);
            else load_square(&moved[k], kind, 0, lanes, pitch, f, some, square[k]);
            transpose(square[k]);
        }
        for (size k = 0; k < mixed; k++) {
            const V *row = map + k * (mixed + 1);
            for (size i = 0; i < some; i++) {
                V z = row[0] * square[0][i];
                for (size j = 1; j < mixed; j++) z += row[j] * square[j][i];
                z += row[mixed];
                if (a->keys) {
                    V noise = {0};
                    uint64_t at = (uint64_t)((c + k) * a->area + h0 * a->W + f + i);
                    for (size l = 0; l < L; l++) noise[l] = (T)noise_steps(keys[l], at);
                    z += noise * unit;
                }
                z = choose(z < 0, splat(0), choose(z > top, splat(top), z));
                store(y + (k * a->area + f + i) * L, z * scale[k] + shift[k]);
            }
        }
    }
    for (size k = 0; k < mixed; k++)
        for (size l = 0; l < lanes; l++) cut_rows(a, block * L + l, c + k, h0, h1, L, y + k * a->area * L + l);
    return 0;
}

static int recolored_task(void *context, ptrdiff_t task) {
    const gather_args *a = context;
    return a->mixed == 3 ? recolored_rows(a, task, 3) : recolored_rows(a, task, 1);
}

static int gather(const gather_args *a) {
    gather_args job = *a;
    size F = a->C * a->area, blocks = blocks_of(a->n);
    int parallel = a->n * F > PARALLEL_FROM;
    if (recolors(a))
        return pool_run(recolored_task, &job, blocks * (a->C / a->mixed) * ceil_div(a->H, moved_rows(a)), parallel);
    if (a->moves) return pool_run(moved_task, &job, blocks * a->C * ceil_div(a->H, moved_rows(a)), parallel);
    return pool_run(gather_task, &job, blocks * ceil_div(F, GATHER_VALUES), parallel);
}

typedef struct {
    size n, F;
    const T *x;
    T *y;
} leave_job;

static int leave_task(void *context, ptrdiff_t block) {
    const leave_job *job = context;
    size F = job->F, lanes = smaller(L, job->n - block * L);
    const T *x = job->x + block * F * L;
    T *y = job->y + block * L * F;
    for (size f = 0; f < F; f += L) {
        V square[L];
        size count = smaller(L, F - f);
        for (size i = 0; i < L; i++) square[i] = i < count ? load(x + (f + i) * L) : (V){0};
        transpose(square);
        for (size l = 0; l < lanes; l++) {
            if (count == L) storeu(y + l * F + f, square[l]);
            else memcpy(y + l * F + f, &square[l], (size_t)count * sizeof(T));
        }
    }
    return 0;
}

static int leave(size n, size F, const void *x, void *y) {
    leave_job job = {n, F, x, y};
    return pool_run(leave_task, &job, blocks_of(n), n * F > PARALLEL_FROM);
}

static int enter_index(size n, size F, const int32_t *x, int32_t *y) {
    for (size i = 0; i < blocks_of(n) * L; i++)
        for (size f = 0; f < F; f++) y[(i / L * F + f) * L + i % L] = i < n ? x[i * F + f] : 0;
    return 0;
}

static int leave_index(size n, size F, const int32_t *x, int32_t *y) {
    for (size i = 0; i < n; i++)
        for (size f = 0; f < F; f++) y[i * F + f] = x[(i / L * F + f) * L + i % L];
    return 0;
}

#endif
