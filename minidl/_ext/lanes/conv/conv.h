/* Convolution in the lanes and its gradients, each by the method that choice.h names. */
#ifndef MINIDL_LANES_CONV_CONV_H
#define MINIDL_LANES_CONV_CONV_H

#include "../../core/kernels.h"
#include "../../core/sizes.h"
#include "../source.h"
#include "choice.h"
#include "dw.h"
#include "dx.h"
#include "forward.h"
#include "winograd.h"
#include "winograd_dw.h"
#include "winograd_dw2d.h"

static void conv_tile(const geometry *g, size most, size *rows, size *columns) {
    winograd_size tile = choose_tile(g, 0, most);
    *rows = tile.rows, *columns = tile.columns;
}

static int conv_forward(const conv_forward_args *a) {
    const geometry g = a->g;
    size half = a->pool ? 2 : 1;
    if (!g.n || !g.O || g.OH < half || g.OW < half) return 0;
    winograd_size tile = choose_tile(&g, 0, a->winograd);
    return tile.rows ? winograd_forward(a, tile) : direct_forward(a);
}

static int conv_dx(const conv_backward_args *a, const row_source *dy) {
    const geometry g = a->g;
    if (!g.n || !g.C || !g.H || !g.W) return 0;
    winograd_size tile = choose_tile(&g, 1, a->winograd);
    return tile.rows ? winograd_dx(a, dy, tile) : direct_dx(a, dy);
}

static int conv_dw(const conv_backward_args *a, const row_source *dy) {
    const geometry g = a->g;
    size rows;
    if (!g.O || !g.C) return 0;
    if (!g.n) return direct_dw(a, dy); /* zeros */
    switch (choose_dw(&g, a->winograd, &rows)) {
    case DW_BOTH_AXES: return winograd_dw2d(a, dy, rows);
    case DW_ROWS: return winograd_dw(a, dy);
    case DW_DIRECT: break;
    }
    return direct_dw(a, dy);
}

static int conv_backward(const conv_backward_args *a) {
    const geometry g = a->g;
    row_source dy = {a->dy, a->relu_y, a->code, a->pool, g.O, g.OH, g.OW};
    if (a->dx && conv_dx(a, &dy)) return -1;
    return a->dw ? conv_dw(a, &dy) : 0;
}

#endif
