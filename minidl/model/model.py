"""A network as users hold it: images in, scores out, with prediction in batches, a summary, and weights on disk."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from minidl import kernels, safetensors
from minidl.kernels import checks
from minidl.layers.base import Layer, Shape
from minidl.layers.container import Sequential
from minidl.layers.node import Node
from minidl.layers.parameter import Flag, Parameter
from minidl.layers.walk import label, trace
from minidl.model import images as given
from minidl.model import scores as judged
from minidl.model import weights
from minidl.model.endings import endings
from minidl.model.images import as_images
from minidl.model.made import check_made
from minidl.support.several import Rows, Several, each, listed
from minidl.version import __version__

if TYPE_CHECKING:
    from minidl.data.augment.views import Views
    from minidl.layers.plan import Plan

UINT8 = np.dtype(np.uint8)
File = str | os.PathLike[str] | BinaryIO
"""A path, "~" being the home folder, or a binary file object."""


class Model(Sequential):
    """Layers one after the other, from a batch of images to a batch of scores.

    layers: in the order of the forward pass. dtype: of parameters and computation, "float32" or "float64"; the layers
    are converted in place. mean, std: numbers, or one number a channel, on the scale from 0 to 1: uint8 input is taken
    as (x / 255 - mean) / std (defaults 0 and 1); they are saved with the weights. Float input is used as it is,
    converted to the model's dtype. Input is (N, C, H, W) or (N, F), any N, also 0. class_names: in the order of the
    scores, two for a network with one score; kept in the model's file. multi_label: whether each class is there or not
    by itself, for `predict_proba` and `predict_classes`.
    Raises TypeError or ValueError that names what is wrong; warns of a mean or std above 1.

    `predict` and its kin only read the model: they may run in several threads, and beside a `Trainer.fit` in another.
    `forward` and `backward`, loading, changing layers or dtype, and the choice of a backend are for one thread at a
    time.
    """

    def __init__(
        self,
        *layers: Layer,
        dtype: Any = "float32",
        mean: Any = None,
        std: Any = None,
        class_names: Iterable[str] | None = None,
        multi_label: bool = False,
        name: str | None = None,
    ) -> None:
        check_made(layers)
        super().__init__(*layers, name=name)
        self._shape: Shape | None = None  # of an image, the last one that was new
        self._looked: Shape | None = None  # of an image of floats whose range `predict` has looked at; of each input's
        self._one: given.Single | None = None  # what the last single image was
        self._warned: tuple[str, ...] = ()
        self.rescale(*given.statistics(self.who, 0.0 if mean is None else mean, 1.0 if std is None else std))
        for what, array, value in (("mean", self.mean, mean), ("std", self.std, std)):
            doubt = given.scale_doubt(what, array, value)
            if doubt:
                self.warn_once(doubt, 3)
        self.class_names = class_names
        self.multi_label = multi_label
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
        if found.get("class_names") is not None:
            found["class_names"] = list(self.class_names or ())
        return found

    # ---- input -------------------------------------------------------------------------------------------------------

    mean = given.Statistic()
    std = given.Statistic()
    multi_label = Flag()

    def rescale(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Take another mean and std, both as `images.statistics` gives them."""
        vars(self).update(mean=mean, std=std)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes, in the order of the scores."""
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str] | None) -> None:
        self._class_names = judged.class_names(self.who, names)

    @property
    def dtype(self) -> np.dtype:
        """dtype of parameters, input and output. Assigned, `astype`."""
        return self._dtype

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        self.astype(dtype)

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

    def range_doubt(self, images: np.ndarray) -> str:
        """What is doubtful about the values of `images` for this model, and the remedy; "" if nothing is.

        A model that begins with a layer which `scales`, an `Affine` for instance, takes any.
        """
        if self.layers and self.layers[0].scales:
            return ""
        return given.range_doubt(images, bool((self.mean != 0).any() or (self.std != 1).any()))

    def warn_of_range(self, images: np.ndarray, what: str = "input") -> None:
        """Warn (UserWarning) of floats in [0, 255], and of floats in [0, 1] where mean or std is set; each once.

        what: how the images are called. A few of them are looked at.
        """
        doubt = self.range_doubt(images)
        if doubt:
            self.warn_once(f"{what}: {doubt}", 4)

    def warn_once(self, text: str, level: int) -> None:
        """A UserWarning, `level` frames up, unless there was one with the same remedy, after the last ":"."""
        kind = text.rpartition(":")[2]  # the remedy
        if kind not in self._warned:
            self._warned = (*self._warned, kind)
            warnings.warn(f"{self.who}: {text}", UserWarning, stacklevel=level)

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
        return backend.gather(images, np.arange(len(images), dtype=np.intp), *self.scaling(images), infer, moves)

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
        y = self.run(self._enter_several(x) if self.merges else self._enter(as_images(self.who, "input", x)), train)
        return each(kernels.current().leave, y)

    def _enter_several(self, x: Any, infer: bool = False) -> Several:
        """The images of each input as the backend's arrays."""
        return Several(self._enter(images, infer) for images in self._several(x).arrays)

    def _several(self, x: Any) -> Rows:
        """The images of each input, checked, of one number."""
        if isinstance(x, Rows):
            return x
        arrays = listed(self.who, "input", x, self._inputs(), "one for each input")
        images = [as_images(self.who, f"input {i}", array) for i, array in enumerate(arrays)]
        if len(set(map(len, images))) > 1:
            raise ValueError(
                f"{self.who}: all inputs must have the same number of images, got {list(map(len, images))}"
            )
        return Rows(images)

    def run_backward(self, dy: Any, ready: Callable[[list[Parameter]], None] | None = None) -> None:
        """`backward` on the backend's array, for the trainer: all parameters' gradients, no input gradient.

        ready: may be told of gradients that are there while others are still computed, see `Plan.backward`.
        """
        self.need_dx = False
        try:
            if ready is None or self._ran is None or type(self)._backward is not Sequential._backward:
                self._backward(dy)
            else:
                self._ran.backward(dy, False, ready)
        finally:
            self.need_dx = True

    def predict(self, x: Any, batch_size: int = 256, views: Views | None = None) -> Any:
        """Scores (N, K) for any number of images, computed `batch_size` at a time; nothing is remembered or forgotten.

        A model with several outputs gives a list of arrays, one with several inputs takes one.

        x: as in `forward`; it may be memory-mapped and of any size, only one batch of it is converted at a time. Or one
        image, (C, H, W), (H, W, C) or (H, W), whose scores (K,) come back. Rows (N, F) go before (H, W).
        views: mirrored and shifted views of each image (`minidl.data.Views`), whose scores are averaged; ValueError for
        images that have none.

        It may run in one thread while `Trainer.fit` runs in another: its scores are then those of the weights as it
        finds them, which may change meanwhile, and the training ends in the same bits. The first floats of a shape that
        are pixels from 0 to 255, or from 0 to 1 where mean or std is set, give a UserWarning.
        """
        if type(x) is np.ndarray and x.dtype is self._dtype and x.shape[1:] == self._looked:
            return self._scores(x, batch_size, views)
        if self.merges:
            several = self._several(x)
            scores = self._scores(several, batch_size, views)
            shapes = tuple(None if array.dtype == UINT8 else array.shape[1:] for array in several.arrays)
            if shapes != self._looked:
                for array in several.arrays:
                    self.warn_of_range(array)
                self._looked = shapes
            return scores
        known = self._known_layout(x)
        if known:
            try:
                return self._scores(given.as_batch(x, known), batch_size, views)[0]
            except ValueError:  # a layer inside may be another one now
                self._one = None
        array = as_images(self.who, "input", x, single=True)
        layout = given.layout(self.who, array.shape, self._accepts)
        images = given.as_batch(array, layout)
        scores = self._scores(images, batch_size, views)
        if images.dtype != UINT8:
            self.warn_of_range(images)
            self._looked = images.shape[1:]
        if layout == "NCHW":
            return scores
        if isinstance(scores, list):
            return [output[0] for output in scores]
        self._one = given.Single(array, layout, self.layers)
        return scores[0]

    def _known_layout(self, x: Any) -> str:
        """The layout of an image that is like the last single one; "" for all others."""
        one = self._one
        return one.layout if one is not None and type(x) is np.ndarray and one.is_like(x, self.layers) else ""

    def __call__(self, *x: Any, **options: Any) -> Any:
        """`predict` of images; called on nodes, the model is a layer of a larger network (see `Layer`)."""
        return super().__call__(*x) if x and isinstance(x[0], Node) else self.predict(*x, **options)

    def predict_proba(self, x: Any, batch_size: int = 256, views: Views | None = None) -> Any:
        """Probabilities in the shape of `predict`'s scores.

        softmax(scores), or sigmoid(scores) where there is one score or `multi_label` is set; the scores themselves
        behind a `Sigmoid` or `Softmax`, exp(scores) behind a `LogSoftmax`. Each output counts for itself, and a
        `Flatten` or `Reshape` at the end changes nothing. One score gives the probability of the second of two classes.
        """
        scores = self.predict(x, batch_size, views)
        ends = self.endings()
        if isinstance(scores, list):
            return [self._probabilities(output, end) for output, end in zip(scores, ends, strict=True)]
        return self._probabilities(scores, ends[0])

    def predict_classes(self, x: Any, batch_size: int = 256, views: Views | None = None) -> np.ndarray:
        """The most probable class of each image, (N,), by name if the model has `class_names`, else by number.

        Of two equal ones the first. With `multi_label` bools (N, K): whether a class is more probable than not. One
        image gives one answer. Scores that are NaN, as those of an image with a NaN, belong to no class: a UserWarning
        names the first such row; its answer is numpy's, the first NaN's class, or no. Raises ValueError if there are
        more or fewer names than classes.
        """
        probabilities = self.predict_proba(x, batch_size, views)
        if isinstance(probabilities, list):
            raise ValueError(f"{self.who}: predict_classes is for a model with one output, got {len(probabilities)}")
        self.check_names(probabilities.shape[-1])
        doubt = judged.nan_doubt(probabilities)
        if doubt:
            warnings.warn(f"{self.who}: {doubt}", UserWarning, stacklevel=2)
        return judged.decide(probabilities, self.class_names, self.multi_label)

    def endings(self) -> list[str]:
        """What gives the scores of each output: "Sigmoid", "Softmax", "LogSoftmax", or "" for all other layers."""
        return endings(self)

    def ends_with_sigmoid(self) -> bool:
        """Whether the last layer of each output is a `Sigmoid`, so that the scores are probabilities themselves."""
        return all(end == "Sigmoid" for end in self.endings())

    def check_names(self, outputs: int) -> None:
        """Raise ValueError where `class_names` are more or fewer than so many scores have classes."""
        judged.check_names(self.who, self.class_names, outputs, self.multi_label)

    def _probabilities(self, scores: np.ndarray, end: str) -> np.ndarray:
        if end in ("Sigmoid", "Softmax"):
            return scores
        if end == "LogSoftmax":
            return np.exp(scores)
        return judged.sigmoid(scores) if self.multi_label or scores.shape[-1] == 1 else judged.softmax(scores)

    def _accepts(self, shape: Shape) -> bool:
        try:
            return bool(self.output_shape(shape))
        except (TypeError, ValueError, IndexError):
            return False

    def _scores(self, images: Any, batch_size: int, views: Views | None) -> Any:
        if type(batch_size) is not int or not 0 < batch_size < 2**31:
            batch_size = checks.integer(self.who, "batch_size", batch_size, 1)
        sizes = kernels.current().batches(len(images), batch_size, self._dtype) if len(images) > 1 else ()
        if len(sizes) < 2:
            return self._predict(images, views)
        ends = np.cumsum(sizes)
        found = [self._predict(images[end - size : end], views) for size, end in zip(sizes, ends)]
        if isinstance(found[0], list):
            return [np.concatenate(output) for output in zip(*found)]
        return np.concatenate(found)

    def _compiled(self, images: Any) -> Any:
        """The scores by a compiled prediction, None where there is none, or none that is faster."""
        plan = self._plan()
        if not plan.compiles or not len(images):
            return None
        from minidl.compiled.predictions import prediction_of

        dtype = self._dtype
        given = images.arrays if isinstance(images, Rows) else [images]
        entering = [
            a if a.dtype is dtype or a.dtype == UINT8 else checks.float_array(self.who, "input", a, dtype)
            for a in given
        ]
        found = prediction_of(plan, entering, dtype, self._scaled, self)
        if found is None:
            return None
        self.saw(entering)
        scores = found.run(entering)
        return scores if self.outputs > 1 else scores[0]

    def saw(self, images: Sequence[np.ndarray]) -> None:
        """Remember the shape of an image of these, one array an input, that went by without `run`."""
        if not self.merges:
            self._shape = images[0].shape[1:]

    def compiled_by(self) -> Plan | None:
        """The plan, where a training step of it may be compiled; None for classes with passes of their own."""
        own = type(self)
        if own._forward is not Sequential._forward or own._backward is not Sequential._backward:
            return None
        plan = self._plan(learning=True)
        return plan if plan.compiles else None

    def _scaled(self, images: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """`scaling` of pixels, None for floats, which are taken as they are."""
        return self.scaling(images) if images.dtype == UINT8 else (None, None)

    def _predict(self, images: Any, views: Views | None) -> Any:
        if views is None:
            scores = self._compiled(images)
            if scores is not None:
                return scores
        leave = kernels.current().leave
        if views is None:
            entered = self._enter_several(images, True) if isinstance(images, Rows) else self._enter(images, True)
            return each(leave, self.infer(entered))
        if self.merges or self.outputs > 1:
            raise ValueError(f"{self.who}: views are for a model with one input and one output")
        moved = views.moves(images.shape)
        return np.sum([share * leave(self.infer(self._enter(images, True, moves))) for share, moves in moved], axis=0)

    def activations(self, x: Any, train: bool = False) -> list[tuple[str, np.ndarray]]:
        """Every layer's output for one batch, as ("0 Conv2D", array) in the order of computation, never fused.

        Layers inside others come one by one ("3.body.0 Conv2D"), a `Residual` itself after its parts with its sum.
        """
        images = self._several(x) if self.merges else as_images(self.who, "input", x)
        self.output_shape(images.shape[1:])
        backend = kernels.current()
        found: list[tuple[str, np.ndarray]] = []

        def visit(place: str, layer: Layer, y: Any) -> None:
            outputs = y if isinstance(y, Several) else [y]
            found.extend((label(place, layer), backend.leave(output)) for output in outputs)

        entered = self._enter_several(images) if isinstance(images, Rows) else self._enter(images)
        trace(self.twin(), entered, train, visit)
        return found

    def summary(self, input_shape: Shape | None = None, images: int | None = None, train: bool = False) -> str:
        """A table of the layers: an image's output shape, parameters, multiply-adds an image, what the backend merges.

        "sees 7 / 2": an element sees 7 x 7 pixels of the input, its neighbour those 2 pixels further (receptive field).

        input_shape: of one image, (C, H, W) or (F,); None for that of the last input, or else a table without shapes.
        images: with a shape, a column tells how each layer is computed for so many images at once, channels or images
        in lanes and the form of convolutions; in a training step if `train`, else in a prediction. Only backends with
        a choice have that column.
        """
        from minidl.layers.summary import summary

        shape = self._shape if input_shape is None else input_shape
        if images is None or shape is None or not getattr(kernels.current(), "compiles", False):
            return summary(self, shape)
        from minidl.compiled.report import ways
        from minidl.layers.input_shapes import input_shapes

        images = checks.integer(self.who, "images", images, 1)
        found = ways(self._plan(), input_shapes("summary", self, shape), self._dtype, images, train)
        return summary(self, shape, (f"{images} image{'s' * (images > 1)}", found))

    def compile_info(self) -> str:
        """What the compiled predictions of this model hold, one for each shape of images that `predict` has seen.

        A line for each operation: its layers, the output's shape, and how it is computed; and the memory of each
        prediction, packed weights and what one image takes. Which numbers of images are predicted so, and which by the
        layers themselves, see `docs/kernels/channels.md`. They are made by `predict` and given back by `release`.
        """
        compiled = self._plan().compiled
        if not compiled:
            return "no compiled prediction: predict has not run on a backend that compiles, or there is no convolution"
        from minidl.compiled.report import report

        return "\n\n".join(report(key, found) for key, found in list(compiled.items()))

    # ---- weights -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by name."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state(self, tensors: Mapping[str, np.ndarray], skip: str | Iterable[str] = ()) -> None:
        """Set all parameters and buffers, as `state` names them; nothing changes unless everything fits.

        skip: patterns of names, such as "4.*", that stay as they are (another head). Raises ValueError that tells the
        first missing, extra and misshapen tensors and counts the others, TypeError for a dtype that does not convert to
        the model's without loss (float16 and float32 do to float64, float64 to float32 does not).
        """
        arrays = self._arrays()
        for name in weights.match(self.who, arrays, tensors, self.dtype, skip):
            arrays[name][...] = tensors[name]

    def save(self, path: File) -> None:
        """Write weights, buffers, architecture, mean, std and classes as safetensors; `minidl.load_model` reads it.

        path: a file's name, what was there is replaced at once when the new file is complete; or a binary file object.
        """
        safetensors.save(path, self._arrays(), self.metadata())

    def load(self, path: File, skip: str | Iterable[str] = ()) -> Model:
        """Take parameters and buffers, and mean and std where it has them, from a safetensors file; returns self.

        path: a file's name or a binary file object, of `save` or of `Trainer.save` (whose weights alone are taken).
        skip: as in `load_state`, for a network whose head is another one. Names of classes come from the file where the
        model has none and nothing is skipped. Everything is checked first: on any error the model is as it was. Raises
        OSError if the file cannot be read, else as `safetensors.load` and `load_state`.
        """
        tensors, metadata = safetensors.load(path)
        self.take(tensors, metadata, skip)
        return self

    def take(
        self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str], skip: str | Iterable[str] = ()
    ) -> None:
        """`load` for the content of a file."""
        skip = [skip] if isinstance(skip, str) else list(skip)
        mean, std = self.statistics(metadata)
        names = self.class_names
        if names is None and not skip and "class_names" in metadata:
            names = judged.class_names(self.who, weights.of_json(self.who, "class_names", metadata["class_names"]))
        self.load_state(weights.of_model(tensors, metadata), skip)
        self.rescale(mean, std)
        self.class_names = names

    def metadata(self) -> dict[str, str]:
        """What a weights file says beside the tensors."""
        from minidl.layers.architecture import describe

        names = {} if self.class_names is None else {"class_names": json.dumps(self.class_names)}
        return {
            "producer": f"minidl {__version__}",
            "mean": json.dumps(self.mean.tolist()),
            "std": json.dumps(self.std.tolist()),
            **names,
            **describe(self),
        }

    def statistics(self, metadata: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Checked mean and std from a file's metadata; the model's own where they are not there."""
        found = [
            weights.of_json(self.who, "mean or std", metadata[name]) if name in metadata else own
            for name, own in (("mean", self.mean), ("std", self.std))
        ]
        return given.statistics(self.who, *found)

    def _arrays(self) -> dict[str, np.ndarray]:
        parameters = {name: parameter.data for name, parameter in self.named_parameters().items()}
        return parameters | self.buffers()
