/* Direct or by Winograd: the one place that decides how a convolution and its gradients are computed. Each method
   counts its vector operations for one block; the least wins. */
#ifndef MINIDL_LANES_CONV_CHOICE_H
#define MINIDL_LANES_CONV_CHOICE_H

#include "../../core/kernels.h"
#include "../../core/sizes.h"
#include "../../core/vector.h"
#include "../../core/winograd.h"
#include "winograd.h"
#include "winograd_dw.h"
#include "winograd_dw2d.h"

/* With more channels to sum over, the error of F(4x4), which grows with their root, would come near 5e-6. */
enum { WINOGRAD_WIDE_CHANNELS = 256 };

/* Pairs of an output and a tap of its window that lie inside, along one axis of a kernel of 3 with stride 1. */
INLINE size taps_inside(size in, size out, size padding) {
    size pairs = 0;
    for (size tap = 0; tap < 3; tap++) pairs += larger(0, smaller(out, in + padding - tap) - larger(0, padding - tap));
    return pairs;
}

/* Of y, or dx if `back`: the tile, at most `rows` high, none for 0; {0, 0}: the direct sum. */
static winograd_size choose_tile(const geometry *g, int back, size rows) {
    static const winograd_size sizes[] = {{2, 2}, {2, 4}, {4, 4}};
    winograd_size best = {0, 0};
    if (g->KH != 3 || !rows_of_three(g)) return best;
    size C = g->C / g->G, O = g->O / g->G, R = back ? O : C, M = back ? C : O;
    size H = back ? g->H : g->OH, W = back ? g->W : g->OW;
    size least = taps_inside(g->H, g->OH, g->PH) * taps_inside(g->W, g->OW, g->PW) * M * R;
    for (int i = 0; i < 3; i++) {
        size cost = winograd_cost(sizes[i], R, M, H, W) + ceil_div(WINOGRAD_WEIGHT * M * R, larger(1, blocks_of(g->n)));
        if (sizes[i].rows > rows || cost >= least) continue;
        if (sizes[i].rows == 4 && R > WINOGRAD_WIDE_CHANNELS) continue;
        best = sizes[i];
        least = cost;
    }
    return best;
}

typedef enum { DW_DIRECT, DW_ROWS, DW_BOTH_AXES } dw_method;

/* Of dw: the method, and the rows of its tiles for both axes, at most `rows`; the direct sum for 0. */
static dw_method choose_dw(const geometry *g, size rows, size *m) {
    size C = g->C / g->G, O = g->O / g->G;
    *m = rows == 4 && winograd_dw2d_cost(g, 4) < winograd_dw2d_cost(g, 2) ? 4 : 2;
    if (!rows || !rows_of_three(g)) return DW_DIRECT;
    size direct = 3 * g->KH * g->OH * g->OW * O * C, along_rows = winograd_dw_cost(g);
    size both = winograd_dw2d_cost(g, *m) + ceil_div(DW2D_WEIGHT * O * C, larger(1, blocks_of(g->n)));
    if (g->KH == 3 && both < smaller(direct, along_rows)) return DW_BOTH_AXES;
    return along_rows < direct ? DW_ROWS : DW_DIRECT;
}

#endif
