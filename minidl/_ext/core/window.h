/* Windows of pooling: where one stands in the image, and the value of the 2 x 2 that a fused block takes. */
#ifndef MINIDL_CORE_WINDOW_H
#define MINIDL_CORE_WINDOW_H

#include "kernels.h"
#include "sizes.h"
#include "vector.h"

typedef struct {
    size h0, h1, w0, w1;
} window;

INLINE window window_at(const geometry *g, size oh, size ow) {
    size h = oh * g->SH - g->PH, w = ow * g->SW - g->PW;
    return (window){larger(h, 0), smaller(h + g->KH, g->H), larger(w, 0), smaller(w + g->KW, g->W)};
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
