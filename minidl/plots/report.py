"""All pictures of a trained model in one folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.plots import arrays, figures
from minidl.plots.canvas import class_names
from minidl.plots.confusion import confusion_figure
from minidl.plots.curves import curves_figure
from minidl.plots.filters import filters_figure
from minidl.plots.judged import Judged, judge
from minidl.plots.overview import overview_figure
from minidl.plots.patches import patches_figure, strongest_patches
from minidl.plots.prediction import prediction_figure
from minidl.support.table import Table, table

if TYPE_CHECKING:
    from minidl.data import Views

KEYS = ("curves", "filters", "feature_maps", "confusion", "mistakes", "overview", "prediction", "histograms")
"""The pictures, in the order in which they are written."""


class LeftOutError(Exception):
    """A picture has no meaning for this model or these data; the text says why."""


class Pictures(list[Path]):
    """The paths of the pictures that were written, a list; `print` and notebooks show a table of all pictures.

    left_out: why each of the others was not drawn, by name.
    """

    def __init__(self, paths: Sequence[Path] = (), left_out: Mapping[str, str] | None = None) -> None:
        super().__init__(paths)
        self.left_out: dict[str, str] = dict(left_out or {})

    def table(self) -> Table:
        """One row a picture: its file, or why there is none."""
        rows = [(path.stem, str(path)) for path in self]
        return table(
            ("picture", "file"), [*rows, *((key, f"left out: {why}") for key, why in self.left_out.items())], (0, 1)
        )

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def save_report(
    model: Any,
    history: Mapping[str, Sequence[float]],
    data: tuple[np.ndarray, np.ndarray],
    folder: str | Path,
    names: Sequence[str] | None = None,
    samples: int = 6,
    views: Views | None = None,
    loss: Any = None,
) -> Pictures:
    """Write all pictures of a trained model as PNG into `folder` (made if needed); returns their paths, a list.

    Comes after a training, so it never fails: what cannot be drawn is left out, `left_out` of the returned list says
    why, and a UserWarning names what is missing by an error and not by its nature.

    model: a `minidl.Model` just after training (the gradients of its last step are drawn). history: of the training.
    data: images (N, C, H, W) or rows (N, F), and targets as the loss took them, to judge it on. names: of the classes
    or outputs. samples: number of images, of different classes where there are so many, whose first feature maps are
    shown. views: as in `Model.predict`, for all that is judged. loss: what was trained with; it labels the curves.

    Any model: curves, filters (of a first convolution with the pieces of images that excite them), feature_maps,
    histograms. Classes: confusion, mistakes, overview. Numbers: prediction.
    """
    result = Pictures()
    folder = Path(folder).expanduser()
    errors: list[str] = []

    def attempt(key: str, make: Callable[[], Any]) -> Any:
        """What `make` returns; None, with the reason noted, where it fails."""
        try:
            return make()
        except LeftOutError as reason:
            result.left_out[key] = str(reason)
        except Exception as error:
            result.left_out[key] = f"{type(error).__name__}: {error}"
            errors.append(f"{key} ({result.left_out[key]})")
        return None

    def judged() -> Judged:
        outputs = model.predict(data[0]) if views is None else model.predict(data[0], views=views)
        return judge(outputs, data[1], history, loss)

    attempt("folder", lambda: folder.mkdir(parents=True, exist_ok=True))
    known = attempt("judgement", judged)
    if names is not None and known is not None:
        count = known.scores.shape[1] if known.scores.ndim == 2 else 1
        names = attempt("names", lambda: class_names("save_report", names, count, longest=10**6))
    pictures = _Parts(model, history, data, known, names, samples, loss)
    for key in KEYS:

        def save(key: str = key) -> Path:
            path = folder / f"{key}.png"
            getattr(pictures, key)().savefig(path)
            return path

        path = attempt(key, save)
        if path is not None:
            result.append(path)
    if errors:
        warnings.warn(f"save_report: left out {'; '.join(errors)}", UserWarning, stacklevel=2)
    return result


class _Parts:
    """A method a picture, each of which draws it or raises."""

    def __init__(
        self,
        model: Any,
        history: Mapping[str, Sequence[float]],
        data: tuple[np.ndarray, np.ndarray],
        known: Judged | None,
        names: Sequence[str] | None,
        samples: int,
        loss: Any,
    ) -> None:
        self.model, self.history, self.data, self.known = model, history, data, known
        self.names, self.samples, self.loss = names, samples, loss

    def curves(self) -> Any:
        return curves_figure(self.history, loss=self.loss)

    def filters(self) -> Any:
        images = np.asarray(self.data[0])
        weight = next((p.data for p in self.model.parameters() if p.data.ndim > 1), None)
        if weight is None:
            raise LeftOutError("the model has no weights")
        if weight.ndim == 2 and weight.shape[1] == np.prod(images.shape[1:]):
            # A linear layer right behind the images: each row of its weights is a template.
            side = images.shape[1:] if images.ndim == 4 else arrays.square(weight.shape[1])
            if side is not None:
                return filters_figure(weight.reshape(-1, *side), "weights of the first layer")
        if weight.ndim != 4:
            raise LeftOutError("the first weights are not those of a convolution")
        try:
            found = strongest_patches(self.model, images)
        except ValueError:
            return filters_figure(weight, "filters of the first convolution")
        return patches_figure(found, weight, "filters of the first layer, and what excites them most")

    def feature_maps(self) -> Any:
        x = np.asarray(self.data[0])
        if x.ndim != 4:
            raise LeftOutError(f"the inputs {x.shape} are no images")
        first = np.arange(min(len(x), self.samples))
        labels = [f"image {i}" for i in first]
        if self.known is not None and self.known.kind == "classes":
            # One sample of each of the first classes.
            classes, first = np.unique(self.known.truth, return_index=True)
            first = first[: self.samples]
            labels = [str(k) if self.names is None else self.names[k] for k in classes[: self.samples]]
        try:
            name, maps = arrays.named_maps(self.model, x[first])
        except ValueError as reason:
            raise LeftOutError(str(reason)) from reason
        return figures.feature_maps_figure(x[first], maps, labels, f"feature maps of layer {name}")

    def confusion(self) -> Any:
        scores, truth = self._classes()
        counts = arrays.confusion_counts(truth, scores.argmax(axis=1), scores.shape[1])
        return confusion_figure(counts, self.names)

    def mistakes(self) -> Any:
        scores, truth = self._classes()
        every = arrays.worst_mistakes(scores, truth, len(truth))
        return figures.mistakes_figure(self._images(), every[:20], self.names, len(every))

    def overview(self) -> Any:
        scores, truth = self._classes()
        return overview_figure(self.history, self._images(), scores, truth, self.names, loss=self.loss)

    def prediction(self) -> Any:
        known = self._known()
        if known.kind != "numbers":
            raise LeftOutError(f"the targets are {known.kind}, not numbers")
        return prediction_figure(known.truth, known.scores, self.names)

    def histograms(self) -> Any:
        return figures.histograms_figure(self.model.parameters())

    def _known(self) -> Judged:
        if self.known is None:
            raise LeftOutError("the outputs could not be judged")
        return self.known

    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        known = self._known()
        if known.kind != "classes":
            raise LeftOutError(f"the targets are {known.kind}, not classes")
        return known.scores, known.truth

    def _images(self) -> np.ndarray:
        try:
            arrays.pictures(np.asarray(self.data[0])[:1])
        except ValueError as reason:
            raise LeftOutError(str(reason)) from reason
        return self.data[0]
