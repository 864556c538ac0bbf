"""The native backend: one image per vector lane, compiled for several instruction sets, threaded.

The operations are bound in `minidl/_ext/`; how they work is told in docs/kernels.md. Environment: MINIDL_ISA ("avx512",
"avx2", "baseline") forces an instruction set, MINIDL_NUM_THREADS the number of threads.
"""

from __future__ import annotations

import os

from minidl._ext.activation import (
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
from minidl._ext.capsules import (
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
from minidl._ext.convolution import conv2d_backward, conv2d_forward, conv_block_backward, conv_block_forward
from minidl._ext.lanearray import (
    batches,
    config,
    get_num_threads,
    isa,
    isas,
    set_num_threads,
    use_isa,
    use_winograd,
)
from minidl._ext.layout import add, enter, gather, leave, reshape
from minidl._ext.linear import linear_backward, linear_block_backward, linear_block_forward, linear_forward
from minidl._ext.loss import mse_loss, softmax_cross_entropy
from minidl._ext.norm import (
    batchnorm_backward,
    batchnorm_forward,
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
    norm_block_backward,
    norm_block_forward,
)
from minidl._ext.pooling import (
    avgpool2d_backward,
    avgpool2d_forward,
    global_avgpool_backward,
    global_avgpool_forward,
    maxpool2d_backward,
    maxpool2d_forward,
)
from minidl._ext.update import adam_update, blend, rmsprop_update, sgd_update, sum_of_squares
from minidl.kernels.im2col import col2im, im2col

name = "native"
fuses = True


def _usable_processors() -> int:
    """Processors that this process may run on: its affinity mask, and the quota of its control group."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count


def _configure() -> None:
    wanted = os.environ.get("MINIDL_NUM_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted) > 0):
        raise ValueError(f"MINIDL_NUM_THREADS must be a positive integer, got {wanted!r}")
    set_num_threads(int(wanted) if wanted else _usable_processors())
    if os.environ.get("MINIDL_ISA"):
        use_isa(os.environ["MINIDL_ISA"])


_configure()
