"""The specification as a backend: the textbook's loops over NCHW arrays, float32 and float64, slow and never clever.

`minidl.kernels.contract` states each operation; the files of this folder spell them out, forward beside backward.
"""

import sys

from minidl.kernels import unfused
from minidl.kernels.reference.activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from minidl.kernels.reference.capsule import (
    capsule_length_backward,
    capsule_length_forward,
    capsule_mask,
    capsules_backward,
    capsules_forward,
    squash_backward,
    squash_forward,
)
from minidl.kernels.reference.conv import conv2d_backward, conv2d_forward
from minidl.kernels.reference.dropout import dropout_backward, dropout_forward
from minidl.kernels.reference.layout import add, batches, enter, gather, leave, reshape
from minidl.kernels.reference.linear import linear_backward, linear_forward
from minidl.kernels.reference.loss import margin_loss, mse_loss, softmax_cross_entropy, squared_error
from minidl.kernels.reference.matrix import col2im, im2col
from minidl.kernels.reference.norm import batchnorm_backward, batchnorm_forward
from minidl.kernels.reference.pooling import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
)
from minidl.kernels.reference.row_norm import (
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
)
from minidl.kernels.reference.update import adam_update, blend, rmsprop_update, sgd_update, sum_of_squares

name = "reference"
fuses = False

_blocks = unfused.Blocks(sys.modules[__name__])
conv_block_forward, conv_block_backward = _blocks.conv_block_forward, _blocks.conv_block_backward
norm_block_forward, norm_block_backward = _blocks.norm_block_forward, _blocks.norm_block_backward
linear_block_forward, linear_block_backward = _blocks.linear_block_forward, _blocks.linear_block_backward
