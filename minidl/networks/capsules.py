"""The network with two ends: class capsules whose lengths are the scores, and a decoder that draws the input again.

The decoder sees one capsule, that of the true class in training and the longest one otherwise, and is trained to draw
what the network saw; what it needs for that, the capsule must tell (Sabour, Frosst, Hinton 2017, arXiv 1710.09829,
section 4.1). `Trainer` fits a `CapsuleNetwork` with a `CapsuleLoss` like any other model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.base import Layer, Shape
from minidl.layers.capsule import CapsuleLength
from minidl.layers.container import Sequential
from minidl.losses import MarginLoss
from minidl.model import Model, as_images


class Reconstruction(CapsuleLength):
    """The end of a `CapsuleNetwork`: capsules (N, J, E) to their lengths (N, J), with the decoder at its side.

    decoder: a layer from (N, J*E), zero but for one capsule, to (N, pixels). `_backward` takes the gradient of the
    lengths, and that of the last drawing if a loss has set it with `set_drawing_gradient`.
    """

    predicts_as = CapsuleLength
    """How it is compiled in a prediction, which has no decoder."""
    _remembered = ("_v", "_y", "_labels", "_ddrawing")
    _labels: Any
    _ddrawing: Any

    def __init__(self, decoder: Layer, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.decoder = decoder

    def _check(self, x_shape: Shape) -> Shape:
        y_shape = super()._check(x_shape)
        out = self.decoder.output_shape((x_shape[1] * x_shape[2],))
        if len(out) != 1:
            raise ValueError(f"{self.who}: the decoder must give rows (N, F), got {(x_shape[0], *out)}")
        return y_shape

    def _infer(self, x: Any) -> Any:
        return super()._infer(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._labels = self._ddrawing = None
        return super()._forward(x, train)

    def _backward(self, dy: Any) -> Any:
        dv = super()._backward(dy)
        if self._ddrawing is None:  # scores alone do not depend on the decoder
            for parameter in self.decoder.named_parameters().values():
                parameter.grad[...] = 0
            return dv
        self.decoder.need_dx = True
        dmasked = self.kernels.reshape(self.decoder._backward(self._ddrawing), self._v.shape[1:])
        return self.kernels.add(dv, self.kernels.capsule_mask(dmasked, self._labels))

    def decode(self, labels: np.ndarray, train: bool) -> Any:
        """The decoder's drawing (N, pixels) of the last forward's capsules of these classes, a backend's array."""
        if self._v is None:
            raise self._unready()
        self._labels, self._ddrawing = labels, None
        masked = self.kernels.capsule_mask(self._v, labels)
        return self.decoder.run(self.kernels.reshape(masked, (masked.shape[1] * masked.shape[2],)), train)

    def set_drawing_gradient(self, dy: Any) -> None:
        """Let the next `_backward` go through the decoder, too, from dy, the gradient of the last drawing."""
        self._ddrawing = dy

    def longest(self) -> np.ndarray:
        """Class of the longest capsule of each image of the last forward."""
        return self.kernels.leave(self._y).argmax(axis=1)

    def release(self) -> None:
        """Forget what the last forward remembered, in the decoder, too."""
        super().release()
        self.decoder.release()

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the decoder."""
        self.output_shape(shape)
        return self.decoder.multiply_adds((shape[0] * shape[1],))


class CapsuleNetwork(Model):
    """A `Model` whose scores are the lengths of class capsules, with a decoder for reconstruction.

    layers: from images to capsules (N, J, E), the last one usually `Capsules`. decoder: layers from (N, J*E) to the
    input's values, (N, C*H*W); the network puts them into a `Reconstruction` behind its layers. Input is taken as by
    `Model`; the decoder draws it on the scale on which it enters the network, so a decoder that ends in `Sigmoid` wants
    mean and std at their defaults and float images in [0, 1]. dtype, class_names: as in `Model`. Probabilities are the
    lengths themselves, each of its class being there. Raises as `Model`.
    """

    _remembered = ("_images",)
    _images: Any

    def __init__(
        self,
        *layers: Layer,
        decoder: Sequential,
        dtype: Any = "float32",
        class_names: Any = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(decoder, Layer):
            raise TypeError(f"{name or type(self).__name__}: decoder must be a layer, got {decoder!r}")
        self._train = False
        super().__init__(*layers, Reconstruction(decoder), dtype=dtype, class_names=class_names, name=name)

    def settings(self) -> dict[str, Any]:
        """As `Model.settings`; the decoder apart from the layers."""
        found = super().settings()
        return found | {"layers": tuple(self.layers[:-1]), "decoder": self.head.decoder} if "layers" in found else found

    @property
    def head(self) -> Reconstruction:
        """The last layer."""
        head = self.layers[-1]
        if not isinstance(head, Reconstruction):
            raise TypeError(f"{self.who}: the last layer must stay its Reconstruction, got {head!r}")
        return head

    def _check(self, x_shape: Shape) -> Shape:
        y_shape = super()._check(x_shape)
        pixels, drawn = int(np.prod(x_shape[1:])), self._drawn(x_shape)
        if pixels != drawn:
            raise ValueError(f"{self.who}: the decoder must give the input's {pixels} values, got {drawn}")
        return y_shape

    def _drawn(self, x_shape: Shape) -> int:
        for layer in self.layers[:-1]:
            x_shape = layer._check(x_shape)
        return self.head.decoder.output_shape((x_shape[1] * x_shape[2],))[0]

    def _infer(self, x: Any) -> Any:
        return super()._infer(x)

    def _forward(self, x: Any, train: bool) -> Any:
        self._images, self._train = x, train
        return super()._forward(x, train)

    def release(self) -> None:
        """Forget what the last forward remembered; `backward` then needs a new forward."""
        super().release()
        self._images = None

    def _probabilities(self, scores: np.ndarray, end: str) -> np.ndarray:
        return scores

    # ---- for users ---------------------------------------------------------------------------------------------------

    def capsules(self, x: Any) -> np.ndarray:
        """The class capsules (N, J, E) of one batch x, as `forward` takes it."""
        head = self._seen(x)
        return head.kernels.leave(head._v)

    def reconstruct(self, x: Any, labels: Any = None) -> np.ndarray:
        """What the decoder draws of one batch x, in x's shape.

        labels: (N,) integers, of the capsules that the decoder sees; None for the longest ones.
        """
        head = self._seen(x)
        if labels is None:
            chosen = head.longest()
        else:
            checks.same_shape(self.who, "labels", np.shape(labels), (len(x),), "one an image")
            chosen = checks.class_targets(self.who, labels, len(x), head._y.shape[1], self.dtype)
        return head.kernels.leave(head.decode(chosen, False)).reshape(np.shape(x))

    def decode(self, capsules: Any) -> np.ndarray:
        """What the decoder draws, (N, pixels), of class capsules (N, J, E), as they are: nothing is masked."""
        v = checks.float_array(self.who, "capsules", capsules, self.dtype)
        return self.head.decoder.twin().forward(v.reshape(len(v), -1))

    def _seen(self, x: Any) -> Reconstruction:
        """The head of a twin that has seen x, with its capsules and lengths; what the network remembers stays."""
        twin = self.twin()
        twin.run(twin._enter(as_images(self.who, "input", x)), False)
        return twin.head


class CapsuleLoss(MarginLoss):
    """Margin loss of a `CapsuleNetwork`'s lengths plus `reconstruction` times the squared error of its drawings.

    network: whose last forward the lengths are of. reconstruction: factor of the sum of squared differences of an
    image, mean over the batch. In training the decoder sees the capsule of the label, in evaluation the longest one.
    `run` gives the gradient of the lengths as `dlogits` and that of the drawings to the network's head; the backward
    pass of the network takes both. present, absent, weight: as in `MarginLoss`. Targets: class labels, or rows, whose
    first largest entry is the label.
    """

    def __init__(
        self,
        network: CapsuleNetwork,
        reconstruction: float = 0.0005,
        present: float = 0.9,
        absent: float = 0.1,
        weight: float = 0.5,
    ) -> None:
        super().__init__(present, absent, weight)
        if not isinstance(network, CapsuleNetwork):
            raise TypeError(f"{self.who}: network must be a minidl.CapsuleNetwork, got {network!r}")
        self.network = network
        self.reconstruction = checks.real(
            self.who, "reconstruction", reconstruction, "at least 0", lambda value: value >= 0
        )

    def run(self, logits: Any, target: np.ndarray, weight: Any = None) -> float:
        """The loss of the network's last forward, whose lengths `logits` are; sets `dlogits` and `correct`.

        weight: (N,) of the images.
        """
        weight = self._weights(weight, logits)
        loss = super().run(logits, target, weight)
        network, head, backend = self.network, self.network.head, kernels.current()
        if head._y is not logits:
            raise RuntimeError(f"{self.who}: the lengths must be those of the network's last forward")
        train = network._train
        labels = (target if target.ndim == 1 else target.argmax(axis=1)) if train else head.longest()
        drawn = head.decode(labels, train)
        images = backend.reshape(network._images, drawn.shape[1:])
        error, ddrawing = backend.squared_error(drawn, images, self.reconstruction, weight)
        if train:
            head.set_drawing_gradient(ddrawing)
        return loss + error
