"""One loss for each output of a network with several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl import kernels
from minidl.kernels import checks
from minidl.losses.base import Loss
from minidl.support.several import Rows, Several, listed, parted


class MultiLoss(Loss):
    """sum_i weights[i] losses[i](output i, target i), for a model with several outputs.

    losses: one for each output, in the order of `Graph`'s. weights: how much each counts, at least 0; None for 1 each.
    Targets are a list of arrays, one for each output. The accuracy is that of the first output whose loss counts right
    answers. Sample weights go to each loss. Raises TypeError or ValueError that names the loss for other arguments,
    and for losses with weights of classes, whose means over batches cannot be joined.
    """

    def __init__(self, losses: Sequence[Loss], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not isinstance(losses, (list, tuple)) or not losses or not all(isinstance(each, Loss) for each in losses):
            raise TypeError(f"{self.who}: losses must be a list of losses, one for each output, got {losses!r:.80}")
        for i, loss in enumerate(losses):
            if any(getattr(loss, name, None) is not None for name in ("class_weight", "factors")):
                raise ValueError(f"{self.who}: losses must be without weights of classes, got {loss!r:.80} at {i}")
        self.losses = list(losses)
        self.weights = (1.0,) * len(losses) if weights is None else self._constants("weights", weights, "loss")
        assert self.weights is not None
        if len(self.weights) != len(losses):
            raise ValueError(f"{self.who}: weights must be one for each of {len(losses)} losses, got {weights!r}")

    def _each(self, what: str, values: Any) -> list[Any]:
        return listed(self.who, what, values, len(self.losses), "one for each loss")

    def prepare(self, target: Any, shape: tuple[Any, ...], dtype: Any) -> Any:
        """The targets of each loss, checked, for outputs of these shapes (N, shape, shape, ...)."""
        shapes = self._shapes(shape)
        found = self._each("target", target)
        return Rows(loss.prepare(t, s, dtype) for loss, t, s in zip(self.losses, found, shapes))

    def _shapes(self, shape: tuple[Any, ...]) -> list[Any]:
        if len(shape) < 2 or not isinstance(shape[1], tuple):
            raise ValueError(f"{self.who}: it is for a model with {len(self.losses)} outputs, got one of shape {shape}")
        if len(shape) - 1 != len(self.losses):
            raise ValueError(f"{self.who}: it is for {len(self.losses)} outputs, got {len(shape) - 1}")
        return parted(shape)

    def observe(self, target: Any, shape: tuple[Any, ...]) -> None:
        """Tell each loss its targets."""
        for loss, t, s in zip(self.losses, self._each("target", target), self._shapes(shape)):
            loss.observe(t, s)

    def ready(self) -> None:
        """Raise RuntimeError where a loss is not."""
        for loss in self.losses:
            loss.ready()

    def observed(self) -> dict[str, Any]:
        """What the losses have learnt, by their numbers."""
        return {str(i): found for i, loss in enumerate(self.losses) if (found := loss.observed())}

    def load_observed(self, values: Mapping[str, Any]) -> None:
        """Give each loss its own back."""
        for i, loss in enumerate(self.losses):
            loss.load_observed(values.get(str(i), {}))

    def run(self, logits: Any, target: Any, weight: Any = None) -> float:
        """The weighted sum for the backend's arrays of the outputs; sets `dlogits`, a `Several`."""
        total, gradients, right = 0.0, [], None
        assert self.weights is not None
        for loss, share, x, t in zip(self.losses, self.weights, logits, target.arrays):
            value = loss.run(x, t) if weight is None else loss.run(x, t, weight)
            total += share * value
            gradients.append(self._scaled(loss.dlogits, share))
            right = loss.correct if right is None else right
        self.dlogits, self.correct = Several(gradients), right
        return total

    def _scaled(self, gradient: Any, share: float) -> Any:
        if share == 1:
            return gradient
        backend = kernels.current()
        values = backend.leave(gradient)
        return backend.enter(values * values.dtype.type(share))

    def forward(self, logits: Any, target: Any, weight: Any = None) -> float:
        """The loss of a list of predictions and a list of their targets. weight: (N,) of the rows, at least 0."""
        arrays = [checks.float_array(self.who, f"logits {i}", x) for i, x in enumerate(self._each("logits", logits))]
        prepared = self.prepare(target, Rows(arrays).shape, arrays[0].dtype)
        self._kernels = kernels.current()
        return self.run(Several(map(self._kernels.enter, arrays)), prepared, weight)

    def backward(self) -> Any:
        """The gradients of the last `forward`, one for each of its predictions."""
        if self._kernels is None:
            raise RuntimeError(f"{self.who}: call forward before backward")
        return [self._kernels.leave(gradient) for gradient in self.dlogits]
