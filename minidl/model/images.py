"""What users give as images: one array, in a layout that a model can take, and of values as it expects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.kernels import checks
from minidl.support.ragged import first_difference

FEW = 16
"""So many images of a batch are looked at for their range."""
PIXEL = 32
"""Floats that reach more than this, and no more than 255, are taken for pixels that nobody has scaled."""

Accepts = Callable[[tuple[int, ...]], bool]
"""Whether a model can take an image of this shape."""


def as_images(who: str, name: str, x: Any, single: bool = False) -> np.ndarray:
    """`x` as an array (N, C, H, W) or (N, F) of uint8 or float in any memory order and byte order, without a copy.

    single: whether 3 dimensions are let pass, too. Raises TypeError or ValueError that names `who` for other dtypes and
    ranks, and for lists of arrays that are no one array.
    """
    try:
        images = np.asarray(x)
    except ValueError:  # numpy's word is "inhomogeneous"
        raise ValueError(f"{who}: {name} must be one array, got {_ragged(x)}") from None
    if images.dtype != np.uint8 and images.dtype.newbyteorder("=") not in (np.float16, np.float32, np.float64):
        ragged = images.dtype == object and images.ndim == 1 and len(images)
        given = _ragged(images.tolist()) if ragged else f"dtype {images.dtype}"
        raise TypeError(f"{who}: {name} must be an array of uint8, float32 or float64, got {given}")
    if images.ndim not in ((2, 3, 4) if single else (2, 4)):
        hint = "; one image: x[None], images without channels: x[:, None]" if images.ndim == 3 else ""
        hint = "; batches: np.concatenate(x)" if images.ndim == 5 else hint
        raise ValueError(f"{who}: {name} must have shape (N, C, H, W) or (N, F), got {images.shape}{hint}")
    return images


def _ragged(x: Any) -> str:
    """What a list of arrays of different shapes is."""
    if not isinstance(x, (list, tuple)):
        return "rows of different length"
    arrays = any(hasattr(each, "shape") for each in x)
    return f"{f'a list of {len(x)} arrays' if arrays else 'rows of different length'}, {first_difference(x)}"


def layout(who: str, shape: tuple[int, ...], accepts: Accepts) -> str:
    """What an array of this shape is: "NCHW" for a batch, also (N, F), else one image, "CHW", "HWC" or "HW".

    accepts: what the model can take says which one it is. Raises ValueError where that says nothing.
    """
    if len(shape) == 2 and not accepts(shape[1:]) and accepts((1, *shape)):
        return "HW"
    if len(shape) != 3:
        return "NCHW"
    fits = {"CHW": accepts(shape), "HWC": accepts((shape[2], *shape[:2]))}
    if all(fits.values()):  # then the usual numbers of channels decide
        fits = dict(zip(fits, (shape[0] in (1, 3), shape[2] in (1, 3))))
        if all(fits.values()) or not any(fits.values()):
            raise ValueError(
                f"{who}: an image of shape {shape} may be (C, H, W) or (H, W, C): give x[None],"
                " or x.transpose(2, 0, 1)[None]"
            )
    if not any(fits.values()):
        hint = "; images without channels: x[:, None]" if accepts((1, *shape[1:])) else ""
        rule = "(N, C, H, W), (N, F), or that of one image (C, H, W), (H, W, C) or (H, W) that the model can take"
        raise ValueError(f"{who}: input must have shape {rule}, got {shape}{hint}")
    return "CHW" if fits["CHW"] else "HWC"


class Single:
    """How one image was laid out, and the layers that took it so."""

    def __init__(self, image: np.ndarray, layout: str, layers: list[Any]) -> None:
        self.layout = layout
        self._shape, self._dtype, self._layers = image.shape, image.dtype, list(layers)

    def is_like(self, image: np.ndarray, layers: list[Any]) -> bool:
        """Whether another image is laid out so, too: it has the same shape and dtype, and is for the same layers."""
        return image.shape == self._shape and image.dtype == self._dtype and layers == self._layers


def as_batch(images: np.ndarray, layout: str) -> np.ndarray:
    """(N, C, H, W) or (N, F) of an array that is laid out so."""
    if layout == "HW":
        return images[None, None]
    if layout == "HWC":
        return images.transpose(2, 0, 1)[None]
    return images[None] if layout == "CHW" else images


def range_doubt(images: np.ndarray, scaled: bool) -> str:
    """What is doubtful about the values of float images, and the remedy; "" if nothing is.

    scaled: whether the model has a mean or std of its own. A few images are looked at.
    """
    if images.dtype == np.uint8 or not images.size:
        return ""
    some = images[:: max(1, len(images) // FEW)][:FEW]
    low, high = float(some.min()), float(some.max())
    if low >= 0 and PIXEL < high <= 255:
        remedy = "give uint8, which the model scales, or divide by 255"
        return f"floats from {low:g} to {high:g} are taken as they are; if they are pixels: {remedy}"
    if scaled and low >= 0 and low < high <= 1:
        remedy = "give (x - mean) / std, or pixels as uint8"
        return f"floats from {low:g} to {high:g} are taken as they are, mean and std are for uint8: {remedy}"
    return ""


class Statistic:
    """A model's mean or std: numbers that are checked when they are assigned; read, it is a plain attribute."""

    if TYPE_CHECKING:

        def __get__(self, model: Any, owner: type | None = None) -> np.ndarray: ...

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, model: Any, value: Any) -> None:
        given = {"mean": model.mean, "std": model.std, self._name: value}
        vars(model).update(zip(("mean", "std"), statistics(model.who, **given)))
        doubt = scale_doubt(self._name, vars(model)[self._name], value)
        if doubt:
            model.warn_once(doubt, 3)


def scale_doubt(name: str, array: np.ndarray, value: Any) -> str:
    """What is doubtful about a mean or std; "" if nothing is."""
    text = f"{name} {value} must be on the scale from 0 to 1, so it seems to be 255 times too large"
    return text if array.max() > 1 else ""


def statistics(who: str, mean: Any, std: Any) -> tuple[np.ndarray, np.ndarray]:
    """mean and std as float64 arrays, checked."""
    checked = []
    for name, value in (("mean", mean), ("std", std)):
        try:
            array = np.array(value, dtype=np.float64)
        except OverflowError:  # an int beyond all floats
            array = np.array(np.inf)
        except (RecursionError, TypeError, ValueError):
            given = checks.shown(value)
            raise TypeError(f"{who}: {name} must be a number, or one number a channel, got {given}") from None
        if array.ndim > 1 or not array.size or not np.isfinite(array).all() or (name == "std" and (array <= 0).any()):
            rule, given = "positive and finite" if name == "std" else "finite", checks.shown(value)
            raise ValueError(f"{who}: {name} must be a number, or one number a channel, {rule}, got {given}")
        checked.append(array)
    means, stds = checked
    with np.errstate(over="ignore"):
        largest = max(np.abs(means).max(), 1) / stds.min()
    if largest > np.finfo(np.float32).max:
        given = f"{checks.shown(mean)} and {checks.shown(std)}"
        raise ValueError(f"{who}: mean / std and 1 / std must fit into float32, got mean and std {given}")
    return means, stds
