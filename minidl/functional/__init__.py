"""Every operation as a function of plain NCHW arrays, on the backend in use (`minidl.kernels.use`).

Arrays may be anything that numpy makes a float32 or float64 array of: lists, views, Fortran order, foreign byte order,
read-only, memory-mapped. All arrays of one call have one dtype, which is the result's; integers are refused, for
nothing is converted in silence. Bad input is a ValueError or TypeError that names the operation, the value and the
rule. Results are new arrays of the caller's own. Gradients are called d + the name of what they belong to.
"""

from minidl.functional.activation import (
    dropout_backward,
    dropout_forward,
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
from minidl.functional.capsule import (
    capsule_length_backward,
    capsule_length_forward,
    capsule_mask,
    capsules_backward,
    capsules_forward,
    margin_loss,
    squared_error,
    squash_backward,
    squash_forward,
)
from minidl.functional.conv import col2im, conv2d_backward, conv2d_forward, im2col
from minidl.functional.linear import linear_backward, linear_forward
from minidl.functional.loss import mse_loss, softmax_cross_entropy
from minidl.functional.norm import batchnorm_backward, batchnorm_forward
from minidl.functional.pooling import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
)
from minidl.functional.row_norm import (
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
)
from minidl.functional.sandwich import (
    affine_relu_backward,
    affine_relu_forward,
    conv_batchnorm_relu_backward,
    conv_batchnorm_relu_forward,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)
from minidl.functional.update import adam_update, blend, rmsprop_update, sgd_update, sum_of_squares

__all__ = [
    "adam_update",
    "affine_relu_backward",
    "affine_relu_forward",
    "avgpool2d_backward",
    "avgpool2d_forward",
    "batchnorm_backward",
    "batchnorm_forward",
    "blend",
    "capsule_length_backward",
    "capsule_length_forward",
    "capsule_mask",
    "capsules_backward",
    "capsules_forward",
    "col2im",
    "conv2d_backward",
    "conv2d_forward",
    "conv_batchnorm_relu_backward",
    "conv_batchnorm_relu_forward",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "global_avgpool_backward",
    "global_avgpool_forward",
    "groupnorm_backward",
    "groupnorm_forward",
    "im2col",
    "layernorm_backward",
    "layernorm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "margin_loss",
    "maxpool2d_backward",
    "maxpool2d_forward",
    "mse_loss",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "sgd_update",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_cross_entropy",
    "squared_error",
    "squash_backward",
    "squash_forward",
    "sum_of_squares",
    "tanh_backward",
    "tanh_forward",
]
