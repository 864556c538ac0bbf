/* The gradients of a convolution: of its input, then of its weights. */
#ifndef MINIDL_LANES_CONV_CONV_H
#define MINIDL_LANES_CONV_CONV_H

#include "../../core/kernels.h"
#include "../source.h"
#include "dw.h"
#include "dx.h"
#include "forward.h"

static int conv_backward(const conv_backward_args *a) {
    const geometry g = a->g;
    row_source source = {a->dy, a->relu_y, a->code, a->pool, g.O, g.OH, g.OW};
    if (a->dx && conv_dx(a, &source)) return -1;
    return a->dw ? conv_dw(a, &source) : 0;
}

#endif
