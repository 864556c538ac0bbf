"""Losses: one number that the training makes small, and its gradient; all are means over the rows of a batch.

    SoftmaxCrossEntropyLoss   -1/N sum_n sum_k t[n,k] log softmax(logits)[n,k]     dlogits = (softmax(logits) - t) / N
    SigmoidCrossEntropyLoss   -1/(N K) sum t log sigmoid(x) + (1 - t) log sigmoid(-x)   dx = (sigmoid(x) - t) / (N K)
    MSELoss                   1/(2N) sum (x - t)^2                                 dx = (x - t) / N
    L1Loss, HuberLoss         1/(N F) sum |x - t|, and quadratic near 0
    MarginLoss                1/N sum_n sum_k t max(0, 0.9 - x)^2 + 0.5 (1 - t) max(0, x - 0.1)^2
    MultiLoss                 sum_i weights[i] losses[i](output i, target i), for several outputs

`forward` and `backward` take and give numpy arrays; `run` works on the backend's arrays, inside a training step.
Weights w of the rows make of each mean sum_n w[n] l[n] / sum_n w[n]; a row of weight 0 counts nothing, and where their
sum is 0 so are loss and gradient.
"""

from minidl.losses.base import Loss
from minidl.losses.margin import MarginLoss
from minidl.losses.multi import MultiLoss
from minidl.losses.regression import HuberLoss, L1Loss, MSELoss
from minidl.losses.sigmoid import SigmoidCrossEntropyLoss
from minidl.losses.softmax import SoftmaxCrossEntropyLoss

__all__ = [
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "MarginLoss",
    "MultiLoss",
    "SigmoidCrossEntropyLoss",
    "SoftmaxCrossEntropyLoss",
]
