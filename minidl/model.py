"""A network as users hold it: images in, scores out, with prediction in batches, a summary, and weights on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import kernels, safetensors
from minidl.kernels import checks
from minidl.layers.base import Layer, Shape
from minidl.layers.container import Sequential
from minidl.layers.walk import label, trace
from minidl.version import __version__

if TYPE_CHECKING:
    from minidl.data.augment.views import Views

UINT8 = np.dtype(np.uint8)


class Model(Sequential):
    """Layers one after the other, from a batch of images to a batch of scores.

    layers: in the order of the forward pass. dtype: of parameters and computation, "float32" or "float64"; the layers
    are converted in place. mean, std: numbers, or one number a channel, on the scale from 0 to 1: uint8 input is taken
    as (x / 255 - mean) / std (defaults 0 and 1); they are saved with the weights. Float input is used as it is,
    converted to the model's dtype. Input is (N, C, H, W) or (N, F), any N, also 0.
    Raises TypeError or ValueError that names what is wrong.
    """

    def __init__(
        self,
        *layers: Layer,
        dtype: Any = "float32",
        mean: Any = None,
        std: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(*layers, name=name)
        self._shape: Shape | None = None  # of an image, the last one that was new
        self.mean, self.std = _statistics(self.who, 0.0 if mean is None else mean, 1.0 if std is None else std)
        self.astype(dtype)

    def settings(self) -> dict[str, Any]:
        """As `Layer.settings`; dtype by its name, mean and std as numbers, None for 0 and 1."""
        found = super().settings()
        if "dtype" in found:
            found["dtype"] = self.dtype.name
        for name, default in (("mean", 0.0), ("std", 1.0)):
            if name in found:
                value = getattr(self, name)
                found[name] = None if value.ndim == 0 and value == default else value.tolist()
        return found

    # ---- input -------------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype:
        """dtype of parameters, input and output."""
        return self._dtype

    def astype(self, dtype: Any) -> Model:
        """Convert parameters, gradients and buffers to float32 or float64, in place; returns self. Else TypeError."""
        super().astype(dtype)
        self._dtype = np.dtype(dtype)
        return self

    def scaling(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """scale, shift of the model's dtype: images * scale + shift, channel by channel, is the model's input.

        uint8: scale = 1 / (255 std), shift = -mean / std; float: 1 and 0. Raises ValueError if mean or std does not
        have one number, or one a channel of `images`.
        """
        channels = images.shape[1]
        scale, shift = np.ones(1), np.zeros(1)
        if images.dtype == UINT8:
            scale, shift = 1 / (255 * self.std), -self.mean / self.std
            for name, value in (("mean", self.mean), ("std", self.std)):
                if value.size not in (1, channels):
                    raise ValueError(
                        f"{self.who}: {name} must have 1 number or {channels}, one a channel of the input"
                        f" {images.shape}, got {value.size}"
                    )
        size = channels if images.ndim == 4 else max(scale.size, shift.size)
        return np.full(size, scale, self.dtype), np.full(size, shift, self.dtype)

    def _enter(self, images: np.ndarray, infer: bool = False, moves: np.ndarray | None = None) -> Any:
        """All of `images` (see `as_images`) as the backend's array, scaled where they are uint8.

        infer: whether no backward pass will follow. moves: as the backend's `gather` takes them.
        """
        backend = kernels.current()
        if moves is None and images.dtype is self._dtype and images.flags.carray:
            return backend.enter(images, infer)
        if images.dtype == UINT8:
            images = np.require(images, requirements=["C_CONTIGUOUS", "ALIGNED"])
        else:
            images = checks.float_array(self.who, "input", images, self._dtype)
            if moves is None:
                return backend.enter(images, infer)
        return backend.gather(images, np.arange(len(images)), *self.scaling(images), infer, moves)

    def _accept(self, x: Any) -> None:
        self._place()  # messages name the layers by their place in the model that runs
        super()._accept(x)
        self._shape = tuple(x.shape[1:])

    # ---- forward and backward ----------------------------------------------------------------------------------------

    def forward(self, x: Any, train: bool = False) -> np.ndarray:
        """Scores for one batch x (N, C, H, W) or (N, F), uint8 or float; remembers what `backward` needs.

        train: whether this is a training step (dropout, batch statistics). Raises TypeError or ValueError that names
        the layer for an input that it cannot take.
        """
        return kernels.current().leave(self.run(self._enter(as_images(self.who, "input", x)), train))

    def run_backward(self, dy: Any) -> None:
        """`backward` on the backend's array, for the trainer: all parameters' gradients, no input gradient."""
        self.need_dx = False
        try:
            self._backward(dy)
        finally:
            self.need_dx = True

    def predict(self, x: Any, batch_size: int = 256, views: Views | None = None) -> np.ndarray:
        """Scores for any number of images, computed `batch_size` at a time; nothing is remembered or forgotten.

        It may run in one thread while `Trainer.fit` runs in another: its scores are then those of the weights as it
        finds them, which may change meanwhile, and the training ends in the same bits.

        x: as in `forward`; it may be memory-mapped and of any size, only one batch of it is converted at a time.
        views: mirrored and shifted views of each image (`minidl.data.Views`), whose scores are averaged; ValueError for
        images that have none.
        """
        ready = type(x) is np.ndarray and x.dtype is self._dtype and x.ndim in (2, 4)
        images = x if ready else as_images(self.who, "input", x)
        batch_size = checks.integer(self.who, "batch_size", batch_size, 1)
        sizes = kernels.current().batches(len(images), batch_size, self._dtype)
        if len(sizes) < 2:
            return self._predict(images, views)
        parts = np.split(images, np.cumsum(sizes[:-1]))
        return np.concatenate([self._predict(part, views) for part in parts])

    def _predict(self, images: np.ndarray, views: Views | None) -> np.ndarray:
        leave = kernels.current().leave
        if views is None:
            return leave(self.infer(self._enter(images, True)))
        each = views.moves(images.shape)
        return np.sum([share * leave(self.infer(self._enter(images, True, moves))) for share, moves in each], axis=0)

    def activations(self, x: Any, train: bool = False) -> list[tuple[str, np.ndarray]]:
        """Every layer's output for one batch, as ("0 Conv2D", array) in the order of computation, never fused.

        Layers inside others come one by one ("3.body.0 Conv2D"), a `Residual` itself after its parts with its sum.
        """
        images = as_images(self.who, "input", x)
        self.output_shape(images.shape[1:])
        backend = kernels.current()
        found: list[tuple[str, np.ndarray]] = []

        def visit(place: str, layer: Layer, y: Any) -> None:
            found.append((label(place, layer), backend.leave(y)))

        trace(self.twin(), self._enter(images), train, visit)
        return found

    def summary(self, input_shape: Shape | None = None) -> str:
        """A table of the layers: an image's output shape, parameters, multiply-adds an image, what the backend merges.

        input_shape: of one image, (C, H, W) or (F,); None for that of the last input, or else a table without shapes.
        """
        from minidl.layers.summary import summary

        return summary(self, self._shape if input_shape is None else input_shape)

    # ---- weights -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Set all parameters and buffers, as `state` names them; nothing changes unless everything fits.

        Raises ValueError that lists every missing, extra and misshapen tensor, TypeError for a dtype that does not
        convert to the model's without loss (float16 and float32 do to float64, float64 to float32 does not).
        """
        arrays = self._arrays()
        faults = [f"missing {name} {array.shape}" for name, array in arrays.items() if name not in tensors]
        faults += [f"extra {name} {tensor.shape}" for name, tensor in tensors.items() if name not in arrays]
        common = [name for name in arrays if name in tensors]
        faults += [
            f"{name} must have shape {arrays[name].shape}, got {tensors[name].shape}"
            for name in common
            if arrays[name].shape != tensors[name].shape
        ]
        if faults:
            raise ValueError(f"{self.who}: the weights do not fit: {'; '.join(faults)}")
        for name in common:
            dtype = tensors[name].dtype
            if dtype.kind != "f" or not np.can_cast(dtype, self.dtype, "safe"):
                raise TypeError(f"{self.who}: tensor {name} has dtype {dtype}, which does not fit into {self.dtype}")
        for name in common:
            arrays[name][...] = tensors[name]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, buffers, mean and std to a safetensors file, by an atomic replacement of what was there."""
        safetensors.save(path, self._arrays(), self.metadata())

    def load(self, path: str | os.PathLike[str]) -> Model:
        """Take parameters and buffers, and mean and std where it has them, from a safetensors file; returns self.

        Everything is checked first: on any error the model is as it was. Raises OSError if the file cannot be read,
        else as `safetensors.load` and `load_state`.
        """
        tensors, metadata = safetensors.load(path)
        mean, std = self.statistics(metadata)
        self.load_state(tensors)
        self.mean, self.std = mean, std
        return self

    def metadata(self) -> dict[str, str]:
        """What a weights file says beside the tensors."""
        return {
            "producer": f"minidl {__version__}",
            "mean": json.dumps(self.mean.tolist()),
            "std": json.dumps(self.std.tolist()),
        }

    def statistics(self, metadata: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Checked mean and std from a file's metadata; the model's own where they are not there."""
        try:
            mean = json.loads(metadata["mean"]) if "mean" in metadata else self.mean
            std = json.loads(metadata["std"]) if "std" in metadata else self.std
        except ValueError as error:
            raise ValueError(f"{self.who}: the file's mean or std is not JSON: {error}") from error
        return _statistics(self.who, mean, std)

    def _arrays(self) -> dict[str, np.ndarray]:
        parameters = {name: parameter.data for name, parameter in self.named_parameters().items()}
        return parameters | self.buffers()


def as_images(who: str, name: str, x: Any) -> np.ndarray:
    """`x` as an array (N, C, H, W) or (N, F) of uint8 or float in any memory order and byte order, without a copy.

    Raises TypeError or ValueError that names `who` for other dtypes and ranks.
    """
    images = np.asarray(x)
    if images.dtype != np.uint8 and images.dtype.newbyteorder("=") not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{who}: {name} must be an array of uint8, float32 or float64, got dtype {images.dtype}")
    if images.ndim not in (2, 4):
        hint = "; one image: x[None], images without channels: x[:, None]" if images.ndim == 3 else ""
        raise ValueError(f"{who}: {name} must have shape (N, C, H, W) or (N, F), got {images.shape}{hint}")
    return images


def _statistics(who: str, mean: Any, std: Any) -> tuple[np.ndarray, np.ndarray]:
    checked = []
    for name, value in (("mean", mean), ("std", std)):
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{who}: {name} must be a number, or one number a channel, got {value!r}") from None
        if array.ndim > 1 or not array.size or not np.isfinite(array).all() or (name == "std" and (array <= 0).any()):
            rule = "positive and finite" if name == "std" else "finite"
            raise ValueError(f"{who}: {name} must be a number, or one number a channel, {rule}, got {value!r}")
        checked.append(array)
    return checked[0], checked[1]
