/* All kernels for one instruction set and element type: the including file has set the target and defines T, VBYTES, TABLE
   and NAME (and T_IS_DOUBLE). A table row for each instruction set; see docs/kernels.md to add one. */
#include "vector.h"

#include "tile.h"
#include "source.h"
#include "sweep.h"
#include "window.h"
#include "winograd_tile.h"
#include "winograd.h"
#include "conv_forward.h"
#include "conv_dx.h"
#include "grad_shares.h"
#include "grad_tiles.h"
#include "winograd_dw.h"
#include "winograd_dw2d.h"
#include "conv_dw.h"
#include "linear.h"
#include "pooling.h"
#include "norm.h"
#include "row_norm.h"
#include "element.h"
#include "loss.h"
#include "capsule.h"
#include "routing.h"
#include "routing_back.h"
#include "update.h"
#include "moves.h"
#include "layout.h"
#include "plain.h"
#include "plain_linear.h"
#include "plain_conv.h"

static const kernel_table plain_table = {
    .lanes = 1, .isa = NAME, .gather = plain_gather, .leave = plain_leave, .leave_index = plain_leave_index, .add = add,
    .conv_forward = plain_conv, .linear_forward = plain_linear, .maxpool_forward = plain_maxpool,
    .avgpool_forward = plain_avgpool, .norm_forward = plain_norm, .row_norm_forward = plain_row_norm,
    .element_forward = element_forward,
};

const kernel_table TABLE = {
    .lanes = L, .isa = NAME, .plain = &plain_table, .gather = gather, .leave = leave, .enter_index = enter_index,
    .leave_index = leave_index, .add = add, .conv_forward = conv_forward, .conv_backward = conv_backward, .linear_forward = linear_forward,
    .linear_backward = linear_backward, .maxpool_forward = maxpool_forward, .maxpool_backward = maxpool_backward,
    .avgpool_forward = avgpool_forward, .avgpool_backward = avgpool_backward, .norm_forward = norm_forward,
    .squash_forward = squash_forward, .squash_backward = squash_backward, .capsules_forward = capsules_forward,
    .capsules_backward = capsules_backward, .capsule_length_forward = capsule_length_forward,
    .capsule_length_backward = capsule_length_backward, .capsule_mask = capsule_mask, .margin = margin,
    .squared_error = squared_error,
    .norm_backward = norm_backward, .row_norm_forward = row_norm_forward, .row_norm_backward = row_norm_backward,
    .element_forward = element_forward, .element_backward = element_backward, .dropout = dropout, .softmax = softmax,
    .mse = mse, .sgd = sgd, .rmsprop = rmsprop, .adam = adam, .blend = blend, .sum_squares = sum_squares,
};
