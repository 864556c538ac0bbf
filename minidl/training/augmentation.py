"""How a training changes its images at random: functions of one's own, and transforms in the making of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:  # naming numpy's generator would import it
    from minidl.data.augment.pipeline import Plan, Transform

    Function = Callable[[np.ndarray, np.random.Generator], Any]
    Augment = Function | Sequence[Transform | Function]


class Augmentation(NamedTuple):
    """Functions that come first, and the transforms after them.

    seed: of both. plans: the checked transforms by the shape of an image; a stream may have several.
    """

    functions: tuple[Function, ...]
    transforms: tuple[Any, ...]
    seed: int
    plans: dict[tuple[int, ...], Plan | None]

    def moves(self, shape: tuple[int, ...], epoch: int, index: np.ndarray) -> np.ndarray | None:
        """How images of this shape (C, H, W) are moved, for the backend's `gather`; index (N,) are their numbers.

        Raises ValueError where the transforms do not fit the images.
        """
        if shape not in self.plans:
            from minidl.data.augment.pipeline import plan

            self.plans[shape] = plan(self.transforms, shape, self.seed)
        chosen = self.plans[shape]
        return None if chosen is None else chosen.moves(epoch, index)

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
            images = np.require(found, dtype, ["C_CONTIGUOUS", "ALIGNED"])
        return images

    def describe(self) -> str:
        """In words, by which the same one is known again."""
        # Only a dataclass's text is known to say everything and nothing else.
        texts = [repr(each) if is_dataclass(each) else type(each).__name__ for each in self.transforms]
        return ", ".join([*map(_name, self.functions), *texts])


def augmentation(augment: Augment, shape: tuple[int, ...] | None) -> Augmentation | None:
    """Checked for images of this shape, where it is known; None if there is nothing to do. The seed follows later.

    Raises TypeError or ValueError for anything but functions and, after them, transforms that fit the images.
    """
    given: Any = (augment,) if _is_function(augment) else augment
    functions: list[Function] = []
    transforms = given
    if isinstance(given, (tuple, list)):
        functions = [each for each in given if _is_function(each)]
        transforms = tuple(each for each in given if not _is_function(each))
        if functions != list(given[: len(functions)]):
            raise ValueError(
                f"Trainer: augment must have its functions first, the transforms act on what they give, got {given!r}"
            )
    found = Augmentation(tuple(functions), transforms, 0, {})
    if transforms != ():
        from minidl.data.augment.pipeline import plan

        plan(transforms, (1, 2**15, 2**15) if shape is None else shape, 0)
    return found if functions or len(transforms) else None


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type) and not hasattr(value, "write")


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
