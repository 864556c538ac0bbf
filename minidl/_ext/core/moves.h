/* Images of a data set moved on their way into a batch: minidl/kernels/image_moves.py tells what a move says. */
#ifndef MINIDL_CORE_MOVES_H
#define MINIDL_CORE_MOVES_H

#include <stdint.h>
#include <string.h>

#include "kernels.h"
#include "sizes.h"
#include "vector.h"

enum { MOVED_VALUES = 64 * L }; /* values of each image a task, in whole rows */

INLINE size moved_rows(const gather_args *a) { return smaller(a->H, ceil_div(MOVED_VALUES, a->W)); }
INLINE int moved_kind(const gather_args *a) { return a->columns == MOVE_SHIFTED ? a->kind : IS_FLOAT ? 1 : 2; }
INLINE size kind_bytes(int kind) { return kind == 0 ? 1 : kind == 1 ? 4 : 8; }

/* The index in [0, size) of a position on a line that is mirrored at its outermost elements. */
INLINE size reflected(size i, size count) {
    if (count == 1) return 0;
    size period = 2 * count - 2;
    i %= period;
    if (i < 0) i += period;
    return i < count ? i : period - i;
}

/* Pixels [from, to) of a shifted row, which lie outside of the image: its mirror or zeros. */
INLINE void outside_pixels(const uint8_t *restrict row, size W, size dx, int reflect, int flip, size unit, size from,
                           size to, uint8_t *restrict out) {
    for (size w = from; w < to; w++) {
        uint8_t *at = out + (flip ? W - 1 - w : w) * unit;
        if (reflect) memcpy(at, row + reflected(w + dx, W) * unit, (size_t)unit);
        else memset(at, 0, (size_t)unit);
    }
}

/* A row of W elements of `unit` bytes, shifted by dx and flipped. */
INLINE void shift_row(const uint8_t *restrict row, size W, size dx, int reflect, int flip, size unit,
                      uint8_t *restrict out) {
    size from = smaller(W, larger(0, -dx)),
         to = larger(from, smaller(W, W - dx)); /* what the image gives, before the flip */
    outside_pixels(row, W, dx, reflect, flip, unit, 0, from, out);
    if (from < to) {
        const uint8_t *in = row + (from + dx) * unit;
        if (!flip) memcpy(out + from * unit, in, (size_t)((to - from) * unit));
        else
            for (size i = 0; i < to - from; i++)
                memcpy(out + (W - to + i) * unit, in + (to - from - 1 - i) * unit, (size_t)unit);
    }
    outside_pixels(row, W, dx, reflect, flip, unit, to, W, out);
}

INLINE void shift_rows(const uint8_t *plane, const gather_args *a, const size *move, size h0, size h1, size unit,
                       uint8_t *out) {
    for (size h = h0; h < h1; h++, out += a->W * unit) {
        size from = h + move[MOVE_SOURCE];
        if (from < 0 || from >= a->H) {
            if (!move[MOVE_REFLECT]) {
                memset(out, 0, (size_t)(a->W * unit));
                continue;
            }
            from = reflected(from, a->H);
        }
        shift_row(plane + from * a->W * unit, a->W, move[MOVE_SOURCE + 1], (int)move[MOVE_REFLECT],
                  (int)move[MOVE_FLIP], unit, out);
    }
}

/* Element i of a plane as a value of the batch, in double: its product with a weight is exact but for doubles. */
INLINE double value_at(const void *plane, int kind, size i) {
    if (kind == 0) return ((const uint8_t *)plane)[i];
    return kind == 1 ? (double)((const float *)plane)[i] : (double)(T)((const double *)plane)[i];
}

INLINE double pixel(const void *plane, int kind, size H, size W, size h, size w, size reflect) {
    if (reflect) h = reflected(h, H), w = reflected(w, W);
    return h >= 0 && h < H && w >= 0 && w < W ? value_at(plane, kind, h * W + w) : 0;
}

INLINE void turn_rows(const void *plane, int kind, const gather_args *a, const size *move, size h0, size h1, T *out) {
    size H = a->H, W = a->W, reflect = move[MOVE_REFLECT];
    const size *map = move + MOVE_SOURCE;
    for (size h = h0; h < h1; h++) {
        size v = move[MOVE_FLIP] ? W - 1 : 0, y = map[0] * h + map[1] * v + map[2],
             x = map[3] * h + map[4] * v + map[5];
        size dy = move[MOVE_FLIP] ? -map[1] : map[1], dx = move[MOVE_FLIP] ? -map[4] : map[4];
        for (size w = 0; w < W; w++, y += dy, x += dx, out++) {
            size row = y >> 16, column = x >> 16, at = row * W + column;
            int low = (int)(y >> 8 & 255), right = (int)(x >> 8 & 255);
            int inside = row >= 0 && row < H - 1 && column >= 0 && column < W - 1;
            if (kind == 0 && inside) { /* the same sum in integers */
                const uint8_t *p = (const uint8_t *)plane + at;
                int top = (256 - right) * p[0] + right * p[1], bottom = (256 - right) * p[W] + right * p[W + 1];
                *out = (T)((256 - low) * top + low * bottom) / 65536;
                continue;
            }
            double values[4];
            for (int i = 0; i < 4; i++) {
                values[i] = inside ? value_at(plane, kind, at + (i >> 1) * W + (i & 1))
                                   : pixel(plane, kind, H, W, row + (i >> 1), column + (i & 1), reflect);
            }
            double sum = (256 - low) * (256 - right) * values[0];
            sum += (256 - low) * right * values[1];
            sum += low * (256 - right) * values[2];
            sum += low * right * values[3];
            *out = (T)(sum / 65536);
        }
    }
}

/* Rows [h0, h1) of channel c of image n of the batch after its move, neither scaled nor cut, of moved_kind. */
static void moved_values(const gather_args *a, size n, size c, size h0, size h1, void *out) {
    const size *move = a->moves + n * a->columns;
    const uint8_t *plane =
        (const uint8_t *)a->images + ((a->index ? a->index[n] : n) * a->C + c) * a->area * kind_bytes(a->kind);
    switch (a->kind + (a->columns == MOVE_SHIFTED ? 0 : 3)) {
    case 0: shift_rows(plane, a, move, h0, h1, 1, out); break;
    case 1: shift_rows(plane, a, move, h0, h1, 4, out); break;
    case 2: shift_rows(plane, a, move, h0, h1, 8, out); break;
    case 3: turn_rows(plane, 0, a, move, h0, h1, out); break;
    case 4: turn_rows(plane, 1, a, move, h0, h1, out); break;
    default: turn_rows(plane, 2, a, move, h0, h1, out);
    }
}

/* The image's colour, scaled, or zeros where its move cuts rows [h0, h1) of channel c, which stand at y, pixels `lanes`
   elements apart. */
INLINE void cut_rows(const gather_args *a, size n, size c, size h0, size h1, size lanes, T *y) {
    const size *move = a->moves + n * a->columns;
    T value = 0;
    if (a->fill) value = (T)(a->fill[n * a->C + c] * a->top) * ((const T *)a->scale)[c] + ((const T *)a->shift)[c];
    for (size h = larger(h0, move[MOVE_TOP]); h < smaller(h1, move[MOVE_BOTTOM]); h++)
        for (size w = move[MOVE_LEFT]; w < move[MOVE_RIGHT]; w++) y[((h - h0) * a->W + w) * lanes] = value;
}

#endif
