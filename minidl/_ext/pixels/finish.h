/* The end of every image operation on pixel arrays: relu, pooling, storing.

   A pixel array is (n, C, H, W), one image after another, for a batch with too few images to fill lanes. Vectors hold L
   neighbouring pixels or features of one image, at any address. Behind the array stand PIXELS_SLACK elements that may
   be read and carry no meaning. Elementwise operations run on whole vectors and share their code with the lanes. */
#ifndef MINIDL_PIXELS_FINISH_H
#define MINIDL_PIXELS_FINISH_H

#include <string.h>

#include "../core/kernels.h"
#include "../core/vector.h"
#include "../core/window.h"

/* Store v at y, but nothing from `end` on. What it writes behind a row's own values, later rows overwrite. */
INLINE void store_until(T *y, V v, const T *end) {
    if (y + L <= end) storeu(y, v);
    else memcpy(y, &v, (size_t)(end - y) * sizeof(T));
}

/* The vectors p and p + L -> their even places, or their odd ones. */
INLINE V every_other(const T *p, int odd) {
#define PLACE(i, odd, n) (2 * (i) + (odd))
    V a = loadu(p), b = loadu(p + L);
    return odd ? SHUFFLE(VI, a, b, EACH_LANE(PLACE, 1, L)) : SHUFFLE(VI, a, b, EACH_LANE(PLACE, 0, L));
#undef PLACE
}

/* Rows of values, `pitch` elements apart, through relu and 2 x 2 pooling to `rows` adjacent rows at y, of `columns`
   values; `end` is where the task's own part of y ends. Reads up to 2 L elements behind the last value. */
INLINE void finish_rows(const T *in, size pitch, size rows, size columns, int rectify, int pool, T *y, const T *end) {
    for (size r = 0; r < rows; r++, y += columns) {
        const T *row = in + r * pitch * (pool ? 2 : 1);
        for (size c = 0; c < columns; c += L) {
            V v;
            if (pool) {
                const T *top = row + 2 * c, *bottom = top + pitch;
                V window[4] = {every_other(top, 0), every_other(top, 1), every_other(bottom, 0),
                               every_other(bottom, 1)};
                VI code;
                v = pool_window(window, pool, rectify, &code);
            } else {
                v = rectify ? relu(loadu(row + c)) : loadu(row + c);
            }
            store_until(y + c, v, end);
        }
    }
}

/* finish_rows with one copy for each kind of end. */
static void finish(const T *in, size pitch, size rows, size columns, int rectify, int pool, T *y, const T *end) {
    switch (pool * 2 + !!rectify) {
    case POOL_NONE * 2: finish_rows(in, pitch, rows, columns, 0, POOL_NONE, y, end); break;
    case POOL_NONE * 2 + 1: finish_rows(in, pitch, rows, columns, 1, POOL_NONE, y, end); break;
    case POOL_AVG * 2: finish_rows(in, pitch, rows, columns, 0, POOL_AVG, y, end); break;
    case POOL_AVG * 2 + 1: finish_rows(in, pitch, rows, columns, 1, POOL_AVG, y, end); break;
    case POOL_MAX2 * 2: finish_rows(in, pitch, rows, columns, 0, POOL_MAX2, y, end); break;
    default: finish_rows(in, pitch, rows, columns, 1, POOL_MAX2, y, end);
    }
}

#endif
