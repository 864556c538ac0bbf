"""Optimisers: how parameters follow their gradients.

g = scale * grad + weight_decay * p is the gradient with L2 cost; scale is below 1 only where `clip_norm` clips.

    SGD       v = momentum * v + g                                   p = p - lr * v          (plain: p = p - lr * g)
    RMSProp   s = decay * s + (1 - decay) * g^2                      p = p - lr * g / (sqrt(s) + eps)
    Adam      m = beta1 * m + (1 - beta1) * g
              s = beta2 * s + (1 - beta2) * g^2                      p = p - lr * m^ / (sqrt(s^) + eps)
              m^ = m / (1 - beta1^t), s^ = s / (1 - beta2^t)         t counts steps from 1
    AdamW     as Adam with g = scale * grad                          first p = (1 - lr * weight_decay) * p
    Muon      v = v + (1 - momentum) * (grad - v)                    p = p - lr * u, orthogonal, of v; see `Muon`
    Lookahead any of these; after every k-th step                    slow = slow + alpha * (p - slow), p = slow

The arithmetic is the backend's (sgd_update, rmsprop_update, adam_update, blend, sum_of_squares).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minidl.optim.base import Optimizer
from minidl.optim.sgd import SGD
from minidl.support import lazy

if TYPE_CHECKING:
    from minidl.optim.adam import Adam, AdamW
    from minidl.optim.lookahead import Lookahead
    from minidl.optim.muon import Muon
    from minidl.optim.rmsprop import RMSProp

__getattr__ = lazy.importer(
    __name__,
    {"adam": ("Adam", "AdamW"), "lookahead": ("Lookahead",), "muon": ("Muon",), "rmsprop": ("RMSProp",)},
)

__all__ = ["SGD", "Adam", "AdamW", "Lookahead", "Muon", "Optimizer", "RMSProp"]
