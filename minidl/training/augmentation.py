"""How a training changes its images at random: functions of one's own, and transforms in the making of a batch."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl.model.images import range_doubt

if TYPE_CHECKING:  # naming numpy's generator would import it
    from minidl.data.augment.pipeline import Changes, Plan, Transform

    Function = Callable[[np.ndarray, np.random.Generator], Any]
    Augment = Function | Sequence[Transform | Function]


class Augmentation(NamedTuple):
    """Functions that come first, and the transforms after them.

    seed: of both. plans: the checked transforms by the shape of an image; a stream may have several. told: of which
    transforms a doubt was told. coordinates: pairs of columns (x, y) of the targets that move with the images, or None.
    """

    functions: tuple[Function, ...]
    transforms: tuple[Any, ...]
    seed: int
    plans: dict[tuple[int, ...], Plan | None]
    told: set[str]
    coordinates: Any = None

    def changes(self, shape: tuple[int, ...], epoch: int, index: np.ndarray) -> Changes | None:
        """How images of this shape (C, H, W) are changed, for the backend's `gather`; index (N,) are their numbers.

        Raises ValueError where the transforms do not fit the images.
        """
        chosen = self.plan(shape)
        return None if chosen is None else chosen.changes(epoch, index)

    def plan(self, shape: tuple[int, ...]) -> Plan | None:
        """The transforms for images of this shape. Raises ValueError where they do not fit."""
        if shape not in self.plans:
            from minidl.data.augment.pipeline import plan

            self.plans[shape] = plan(self.transforms, shape, self.seed)
        return self.plans[shape]

    def check_range(self, images: np.ndarray) -> None:
        """Raise ValueError for values of float images that a change of colours would clip.

        Warn (UserWarning), once, of boxes of colour among floats that seem to reach up to 255.
        """
        chosen = self.plan(images.shape[1:])
        if chosen is None:
            return
        chosen.check_range(images)
        filling = [type(each).__name__ for each in self.transforms if getattr(each, "color", "mean") != "mean"]
        if filling and filling[0] not in self.told and range_doubt(images, False):
            self.told.add(filling[0])
            warnings.warn(
                f"Trainer: augment: {filling[0]} fills boxes of float images with colours from 0 to 1, which are black"
                " where white is 255: give uint8, or divide by 255",
                UserWarning,
                stacklevel=5,
            )

    def check_targets(self, columns: int | None) -> None:
        """Raise ValueError where `coordinates` do not fit targets of so many numbers, or of classes: None."""
        from minidl.data.augment.points import check_coordinates

        check_coordinates(self.coordinates, self.transforms, columns)

    def targets(self, changes: Changes | None, target: np.ndarray, size: tuple[int, ...]) -> np.ndarray | None:
        """Targets (N, K) of images of this size (H, W) after their changes; None where they stay."""
        if changes is None or not self.coordinates:
            return None
        from minidl.data.augment.points import moved_targets

        return moved_targets(changes.moves, target, self.coordinates, (size[0], size[1]))

    def apply(self, images: np.ndarray, epoch: int, step: int) -> np.ndarray:
        """The functions one after the other on a copy of a batch; each batch of each epoch has a generator of its own.

        Raises TypeError or ValueError for a function that gives no array of the shape and kind it got.
        """
        rng = np.random.default_rng((self.seed, epoch, step))
        images = images.copy()
        for function in self.functions:
            shape, dtype = images.shape, images.dtype
            found = np.asarray(function(images, rng))
            who = f"Trainer: augment: {_name(function)}"
            if found.shape != shape:
                raise ValueError(f"{who} must return images of the shape it got, {shape}, got {found.shape}")
            if found.dtype != dtype and not found.dtype.kind == dtype.kind == "f":
                hint = "; clip and round, then .astype(np.uint8)" if dtype == np.uint8 else ""
                raise TypeError(f"{who} must return images of the dtype it got, {dtype}, got {found.dtype}{hint}")
            images = np.array(found, dtype, order="C")  # a copy: the function may use its array again
        self.check_range(images)
        return images

    def describe(self) -> str:
        """In words, by which the same one is known again."""
        # Only a dataclass's text is known to say everything and nothing else.
        texts = [repr(each) if is_dataclass(each) else type(each).__name__ for each in self.transforms]
        texts += [f"coordinates={list(self.coordinates)}"] if self.coordinates else []
        return ", ".join([*map(_name, self.functions), *texts])


def augmentation(
    augment: Augment, images: np.ndarray | None, columns: int | None = None, coordinates: Any = None
) -> Augmentation | None:
    """Checked for these images, where they are known; None if there is nothing to do. The seed follows later.

    columns: how many numbers an image's targets are; None where they are classes. coordinates: as `fit` takes them.
    Raises TypeError or ValueError for anything but functions and, after them, transforms that fit images and targets.
    """
    if isinstance(augment, np.ndarray):
        raise TypeError(f"Trainer: augment must be functions and transforms, got an array of shape {augment.shape}")
    given: Any = (augment,) if is_function(augment) else augment
    functions: list[Function] = []
    transforms = given
    if isinstance(given, (tuple, list)):
        functions = [each for each in given if is_function(each)]
        transforms = tuple(each for each in given if not is_function(each))
        if functions != list(given[: len(functions)]):
            raise ValueError(
                f"Trainer: augment must have its functions first, the transforms act on what they give, got {given!r}"
            )
    for function in functions:
        _check_arguments(function)
    found = Augmentation(tuple(functions), transforms, 0, {}, set())
    if transforms != () or coordinates is not None:
        from minidl.data.augment.pipeline import plan
        from minidl.data.augment.points import check_coordinates

        chosen = plan(transforms, None if images is None else images.shape[1:], 0)
        if images is not None or coordinates is not None:
            given = check_coordinates(coordinates, found.transforms, 2**31 if images is None else columns)
            found = found._replace(coordinates=given)
        if chosen is not None and images is not None and not functions:
            # The pages of a file are not all read for this.
            found.check_range(images[:: len(images) // 256 + 1] if isinstance(images, np.memmap) else images)
    return found if functions or len(transforms) else None


def is_function(value: Any) -> bool:
    """Whether it is to be called, and neither a class nor a transform."""
    return callable(value) and not (isinstance(value, type) or hasattr(value, "write") or hasattr(value, "paint"))


def _check_arguments(function: Function) -> None:
    """Refuse a function that cannot be called with images and a generator."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C may not tell
        return
    try:
        signature.bind(None, None)
    except TypeError:
        raise TypeError(
            f"Trainer: augment: {_name(function)} must take two arguments, images and a numpy Generator,"
            f" got {_name(function)}{signature}"
        ) from None


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
