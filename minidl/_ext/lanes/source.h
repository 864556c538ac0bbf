/* Rows of a lane array as a kernel wants them: as they stand, masked by a relu, or spread out of a pooled gradient.

   Backward kernels read the gradient of a convolution's own output through this, so that it is never written as a
   whole. */
#ifndef MINIDL_LANES_SOURCE_H
#define MINIDL_LANES_SOURCE_H

#include <stdint.h>
#include <string.h>

#include "../core/kernels.h"
#include "../core/vector.h"

typedef struct {
    const T *x;          /* (C, H, W), or pooled (C, H/2, W/2) with code */
    const T *relu_y;     /* (C, H, W) or NULL */
    const uint8_t *code; /* (C, H/2, W/2) or NULL */
    int pool;
    size C, H, W; /* of the rows that come out */
} row_source;

INLINE int source_copies(const row_source *s) { return s->relu_y || s->pool; }

static void spread_row(const row_source *s, size block, size c, size h, T *out) {
    size half_h = s->H / 2, half_w = s->W / 2;
    if (h >= 2 * half_h) {
        memset(out, 0, (size_t)s->W * VBYTES);
        return;
    }
    if (s->W % 2) store(out + 2 * half_w * L, (V){0});
    size at = (((block * s->C + c) * half_h + h / 2) * half_w) * L;
    int q = (int)(h & 1) * 2;
    for (size w = 0; w < half_w; w++, at += L) {
        V d = load(s->x + at);
        VI code = widen(*(const VB *)(s->code + at));
        VI left, right;
        if (s->pool == POOL_AVG) {
            d *= (T)0.25;
            left = (code & (1 << q)) != 0;
            right = (code & (2 << q)) != 0;
        } else {
            left = code == q;
            right = code == q + 1;
        }
        store(out + 2 * w * L, (V)((VI)d & left));
        store(out + (2 * w + 1) * L, (V)((VI)d & right));
    }
}

/* Row h of channel c of a block: in place where it stands as wanted, else made in `out` (W vectors). */
INLINE const T *source_row(const row_source *s, size block, size c, size h, T *out) {
    if (s->pool) {
        spread_row(s, block, c, h, out);
        return out;
    }
    size at = ((block * s->C + c) * s->H + h) * s->W * L;
    if (!s->relu_y) return s->x + at;
    for (size w = 0; w < s->W; w++)
        store(out + w * L, (V)((VI)load(s->x + at + w * L) & (load(s->relu_y + at + w * L) > 0)));
    return out;
}

enum { PACK_CHANNELS = 8 };

/* Rows [h0, h1) and columns [w0, w1) of channels [c0, c0 + C) as dst[row][column][channel], zeros outside the source.
   rows: memory for PACK_CHANNELS rows. */
static void pack_pixels(const row_source *s, size block, size c0, size C, size h0, size h1, size w0, size w1, T *rows,
                        T *dst) {
    size columns = w1 - w0, from = w0 > 0 ? w0 : 0, to = w1 < s->W ? w1 : s->W;
    for (size h = h0; h < h1; h++, dst += columns * C * L) {
        if (h < 0 || h >= s->H || from >= to) {
            memset(dst, 0, (size_t)(columns * C) * VBYTES);
            continue;
        }
        memset(dst, 0, (size_t)((from - w0) * C) * VBYTES);
        memset(dst + (to - w0) * C * L, 0, (size_t)((w1 - to) * C) * VBYTES);
        for (size c = 0; c < C; c += PACK_CHANNELS) {
            const T *row[PACK_CHANNELS];
            size count = C - c < PACK_CHANNELS ? C - c : PACK_CHANNELS;
            for (size i = 0; i < count; i++) row[i] = source_row(s, block, c0 + c + i, h, rows + i * s->W * L);
            T *out = dst + ((from - w0) * C + c) * L;
            if (C == 1) {
                memcpy(out, row[0] + from * L, (size_t)(to - from) * VBYTES);
                continue;
            }
            for (size w = from; w < to; w++, out += C * L)
                for (size i = 0; i < count; i++) store(out + i * L, load(row[i] + w * L));
        }
    }
}

#endif
