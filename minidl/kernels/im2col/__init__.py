"""The `im2col` backend: compiled window kernels on NCHW arrays, numpy's matrix product, and vectorised numpy.

`minidl.kernels.contract` states each operation; the files of this folder mirror those of `reference`.
"""

import sys as _sys

from minidl.kernels.im2col.activation import (
    elu_backward,
    elu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from minidl.kernels.im2col.capsule import (
    capsule_length_backward,
    capsule_length_forward,
    capsule_mask,
    capsules_backward,
    capsules_forward,
    squash_backward,
    squash_forward,
)
from minidl.kernels.im2col.conv import conv2d_backward, conv2d_forward
from minidl.kernels.im2col.dropout import dropout_backward, dropout_forward
from minidl.kernels.im2col.gelu import gelu_backward, gelu_forward
from minidl.kernels.im2col.layout import add, batches, enter, gather, leave, reshape
from minidl.kernels.im2col.linear import linear_backward, linear_forward
from minidl.kernels.im2col.loss import margin_loss, mse_loss, softmax_cross_entropy, squared_error
from minidl.kernels.im2col.matrix import col2im, im2col
from minidl.kernels.im2col.norm import batchnorm_backward, batchnorm_forward
from minidl.kernels.im2col.pooling import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
)
from minidl.kernels.im2col.row_norm import (
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
)
from minidl.kernels.im2col.update import adam_update, blend, rmsprop_update, sgd_update, sum_of_squares
from minidl.kernels.unfused import Blocks as _Blocks

name = "im2col"
fuses = False

_blocks = _Blocks(_sys.modules[__name__])
conv_block_forward, conv_block_backward = _blocks.conv_block_forward, _blocks.conv_block_backward
norm_block_forward, norm_block_backward = _blocks.norm_block_forward, _blocks.norm_block_backward
linear_block_forward, linear_block_backward = _blocks.linear_block_forward, _blocks.linear_block_backward
