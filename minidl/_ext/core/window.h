/* Windows of pooling: where one stands in the image, and the value of the 2 x 2 that a fused block takes. */
#ifndef MINIDL_CORE_WINDOW_H
#define MINIDL_CORE_WINDOW_H

#include "kernels.h"
#include "sizes.h"
#include "vector.h"

typedef struct {
    size h0, h1, w0, w1;
} window;

/* The first of `start`, start + step, ... that is not negative. */
INLINE size first_inside(size start, size step) { return start >= 0 ? start : start + ceil_div(-start, step) * step; }

/* The places of a window inside the image: every DH-th from h0, before h1, and every DW-th from w0. The dilation is
   given apart, for loops that know it when they are compiled. */
INLINE window window_at(const geometry *g, size DH, size DW, size oh, size ow) {
    size h = oh * g->SH - g->PH, w = ow * g->SW - g->PW;
    if (DH == 1 && DW == 1)
        return (window){larger(h, 0), smaller(h + g->KH, g->H), larger(w, 0), smaller(w + g->KW, g->W)};
    return (window){first_inside(h, DH), smaller(h + (g->KH - 1) * DH + 1, g->H), first_inside(w, DW),
                    smaller(w + (g->KW - 1) * DW + 1, g->W)};
}

/* Whether all places of every window count in its mean. */
INLINE int windows_whole(const geometry *g, const pool_mean *m) {
    size bottom = (g->OH - 1) * g->SH - g->PH + g->KH, right = (g->OW - 1) * g->SW - g->PW + g->KW;
    return !m->bins && m->h0 <= -g->PH && m->w0 <= -g->PW && bottom <= m->h1 && right <= m->w1;
}

INLINE size overlap(size start, size count, size low, size high) {
    return smaller(start + count, high) - larger(start, low);
}

/* A window whose mean is taken, and how many places count in it. whole: as windows_whole says. */
INLINE window mean_window(const geometry *g, const pool_mean *m, int whole, size oh, size ow, size *count) {
    if (whole) {
        *count = g->KH * g->KW;
        return window_at(g, 1, 1, oh, ow);
    }
    if (m->bins) {
        window k = {oh * g->H / g->OH, ceil_div((oh + 1) * g->H, g->OH), ow * g->W / g->OW,
                    ceil_div((ow + 1) * g->W, g->OW)};
        *count = (k.h1 - k.h0) * (k.w1 - k.w0);
        return k;
    }
    *count = overlap(oh * g->SH - g->PH, g->KH, m->h0, m->h1) * overlap(ow * g->SW - g->PW, g->KW, m->w0, m->w1);
    return window_at(g, 1, 1, oh, ow);
}

/* The four pixels of a 2 x 2 window -> the pooled value and the byte that the backward pass needs. */
INLINE V pool_window(const V v[4], int kind, int rectify, VI *code) {
    if (kind == POOL_AVG) {
        V sum = {0};
        VI bits = {0};
        UNROLL for (int q = 0; q < 4; q++) {
            sum += rectify ? relu(v[q]) : v[q];
            bits |= rectify ? (v[q] > 0) & (1 << q) : (VI){0} + (1 << q);
        }
        *code = bits;
        return sum * (T)0.25;
    }
    V best = v[0];
    VI place = {0};
    UNROLL for (int q = 1; q < 4; q++) {
        VI better = ((v[q] > best) | (v[q] != v[q])) & (best == best);
        best = choose(better, v[q], best);
        place = (better & q) | (~better & place);
    }
    if (rectify) {
        place |= ~(best > 0) & 255;
        best = relu(best);
    }
    *code = place;
    return best;
}

#endif
