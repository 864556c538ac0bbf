/* All kernels for one instruction set and element type: the including file has set the target and defines T, VBYTES,
   TABLE and NAME (and T_IS_DOUBLE). A table row for each instruction set; see docs/kernels/. */
#ifndef MINIDL_ISA_TABLE_H
#define MINIDL_ISA_TABLE_H

#include "../channels/program.h"
#include "../core/element.h"
#include "../core/kernels.h"
#include "../core/matmul.h"
#include "../core/update.h"
#include "../core/vector.h"
#include "../lanes/arithmetic.h"
#include "../lanes/boxes.h"
#include "../lanes/capsule.h"
#include "../lanes/conv/conv.h"
#include "../lanes/dropout.h"
#include "../lanes/layout.h"
#include "../lanes/linear.h"
#include "../lanes/local_response.h"
#include "../lanes/loss.h"
#include "../lanes/norm.h"
#include "../lanes/pooling.h"
#include "../lanes/reduce.h"
#include "../lanes/resize.h"
#include "../lanes/routing.h"
#include "../lanes/routing_back.h"
#include "../lanes/row_norm.h"
#include "../lanes/softmax.h"
#include "../lanes/value_loss.h"
#include "../pixels/arithmetic.h"
#include "../pixels/boxes.h"
#include "../pixels/conv.h"
#include "../pixels/layout.h"
#include "../pixels/linear.h"
#include "../pixels/norm.h"
#include "../pixels/pooling.h"
#include "../pixels/resize.h"
#include "../pixels/row_norm.h"

#ifndef TABLE /* a header that an editor opens by itself */
#define TABLE minidl_baseline_f32
#define NAME "baseline"
#endif

/* Half a block; more in networks without Winograd's form. */
enum { PIXELS_MOST = L / 2 };

static const kernel_table pixels_table = {
    .layout = {.name = "pixels", .lanes = 1, .slack = PIXELS_SLACK, .most = PIXELS_MOST},
    .isa = NAME,
    .complete = &TABLE,
    .pixels = &pixels_table,
    .gather = pixels_gather,
    .leave = pixels_leave,
    .leave_index = pixels_leave_index,
    .add = add,
    .conv_forward = pixels_conv,
    .linear_forward = pixels_linear,
    .maxpool_forward = pixels_maxpool,
    .avgpool_forward = pixels_avgpool,
    .norm_forward = pixels_norm,
    .row_norm_forward = pixels_row_norm,
    .element_forward = element_forward_pixels,
    .boxes = pixels_boxes,
    .resize_forward = pixels_resize,
    .arithmetic_forward = pixels_arithmetic,
    .matmul = matmul_pixels,
};

const kernel_table TABLE = {
    .layout = {.name = "images in lanes", .lanes = L},
    .isa = NAME,
    .complete = &TABLE,
    .pixels = &pixels_table,
    .gather = gather,
    .leave = leave,
    .enter_index = enter_index,
    .leave_index = leave_index,
    .add = add,
    .conv_tile = conv_tile,
    .conv_forward = conv_forward,
    .conv_backward = conv_backward,
    .linear_forward = linear_forward,
    .linear_backward = linear_backward,
    .maxpool_forward = maxpool_forward,
    .maxpool_backward = maxpool_backward,
    .avgpool_forward = avgpool_forward,
    .avgpool_backward = avgpool_backward,
    .norm_forward = norm_forward,
    .norm_backward = norm_backward,
    .row_norm_forward = row_norm_forward,
    .row_norm_backward = row_norm_backward,
    .element_forward = element_forward,
    .local_response = local_response,
    .element_backward = element_backward,
    .arithmetic_forward = arithmetic_forward,
    .arithmetic_backward = arithmetic_backward,
    .matmul = matmul,
    .maximum = maximum,
    .softmax_axis = softmax_axis,
    .dropout = dropout,
    .softmax = softmax,
    .margin = margin,
    .value_losses = value_losses,
    .squash_forward = squash_forward,
    .squash_backward = squash_backward,
    .capsules_forward = capsules_forward,
    .capsules_backward = capsules_backward,
    .capsule_length_forward = capsule_length_forward,
    .capsule_length_backward = capsule_length_backward,
    .capsule_mask = capsule_mask,
    .boxes = boxes,
    .resize_forward = resize_forward,
    .resize_backward = resize_backward,
    .sgd = sgd,
    .rmsprop = rmsprop,
    .adam = adam,
    .blend = blend,
    .sum_squares = sum_squares,
    .program = program_run,
    .program_pack = program_pack,
};

#endif
