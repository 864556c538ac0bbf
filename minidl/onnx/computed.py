"""Operators of constants, on numpy arrays: shapes that files work out, weights that they unpack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.onnx.read import Operator
from minidl.onnx.refused import Refused
from minidl.onnx.tensors import DTYPES, GROWTH

Array = np.ndarray
Function = Callable[..., Any]


class Budget:
    """Bytes that computed constants may still take. Raises `Refused` beyond them, before anything is allocated."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, shape: Sequence[int], itemsize: int = 8) -> None:
        """Room for an array of this shape."""
        if any(size < 0 for size in shape):
            raise Refused("", f"sizes must be at least 0, got {tuple(shape)}")
        size = math.prod(map(int, shape)) * itemsize
        if size > self.left:
            raise Refused("", f"computed constants take more than {GROWTH} times the bytes of the file")
        self.left -= size


def _each(function: Callable[..., Any]) -> Function:
    """An elementwise operator; numpy's broadcasting is ONNX's."""

    def computed(operator: Operator, budget: Budget, *arrays: Array) -> Any:
        budget.take(np.broadcast_shapes(*(array.shape for array in arrays)))
        return function(*arrays)

    return computed


def _divided(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    if not np.all(b):
        raise ValueError("a division by 0")
    return (np.sign(a) * np.sign(b) * (abs(a) // abs(b))).astype(a.dtype)


def _of_all(function: Callable[..., Any]) -> Callable[..., Any]:
    def computed(first: Array, *others: Array) -> Array:
        for other in others:
            first = function(first, other)
        return first

    return computed


def _cast(operator: Operator, budget: Budget, x: Array, *like: Array) -> Array:
    if like:
        dtype = like[0].dtype
    else:
        code = operator.get("to")
        operator.get("saturate")
        operator.get("round_mode")
        if code not in DTYPES:
            raise Refused("to", f"data type number {code} is not supported")
        dtype = np.dtype(np.float32) if code == 16 else DTYPES[code][1].newbyteorder("=")
    budget.take(x.shape, dtype.itemsize)
    return x.astype(dtype)


def _constant(operator: Operator, budget: Budget) -> Array:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        value = operator.get(name)
        if value is not None:
            if isinstance(value, np.ndarray):
                return value
            return np.array(value, np.float32 if "float" in name else np.int64)
    raise Refused(", ".join(sorted(operator.attributes)), "the constant must be numbers")


def _constant_of_shape(operator: Operator, budget: Budget, shape: Array) -> Array:
    value = operator.get("value")
    value = np.zeros(1, np.float32) if value is None else value
    sizes = [int(size) for size in shape.ravel()]
    budget.take(sizes, value.dtype.itemsize)
    return np.full(sizes, value.ravel()[0], value.dtype)


def _dequantized(operator: Operator, budget: Budget, x: Array, scale: Array, zero: Array | None = None) -> Array:
    axis, blocks = operator.get("axis", 1), operator.get("block_size", 0)
    operator.get("output_dtype")
    if blocks:
        raise Refused("block_size", "scales of blocks are not supported")
    budget.take(x.shape, 4)
    around = [1] * x.ndim
    if scale.size > 1:
        around[axis] = scale.size
    parts = [
        part if part.size == 1 and not x.ndim else part.reshape(around) for part in (scale, zero) if part is not None
    ]
    values = x.astype(np.float32)
    if zero is not None:
        values -= parts[1].astype(np.float32)
    values *= parts[0].astype(np.float32)
    return values


def _shaped(operator: Operator, budget: Budget, x: Array, shape: Array | None = None) -> Array:
    sizes = list(operator.get("shape", ())) if shape is None else [int(size) for size in shape.ravel()]
    if not operator.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _axes(operator: Operator, given: Array | None, ndim: int) -> tuple[int, ...] | None:
    axes = operator.get("axes") if given is None else tuple(int(axis) for axis in given.ravel())
    if axes is None:
        return None
    if any(not -ndim <= axis < ndim for axis in axes):
        raise ValueError(f"axes {axes} of {ndim} dimensions")
    return tuple(axis % ndim for axis in axes)


def _squeezed(operator: Operator, budget: Budget, x: Array, axes: Array | None = None) -> Array:
    return np.squeeze(x, _axes(operator, axes, x.ndim))


def _unsqueezed(operator: Operator, budget: Budget, x: Array, axes: Array | None = None) -> Array:
    count = len(operator.get("axes", ())) if axes is None else axes.size
    return np.expand_dims(x, _axes(operator, axes, x.ndim + count) or ())


def _flattened(operator: Operator, budget: Budget, x: Array) -> Array:
    axis = operator.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _transposed(operator: Operator, budget: Budget, x: Array) -> Array:
    return x.transpose(operator.get("perm"))


def _gathered(operator: Operator, budget: Budget, x: Array, indices: Array) -> Array:
    axis = operator.get("axis", 0) % max(x.ndim, 1)
    budget.take((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return np.take(x, indices, axis)


def _joined(operator: Operator, budget: Budget, *arrays: Array) -> Array:
    budget.take((sum(array.size for array in arrays),))
    return np.concatenate(arrays, operator.get("axis", 0))


def _expanded(operator: Operator, budget: Budget, x: Array, shape: Array) -> Array:
    sizes = np.broadcast_shapes(x.shape, tuple(int(size) for size in shape.ravel()))
    budget.take(sizes, x.dtype.itemsize)
    return np.ascontiguousarray(np.broadcast_to(x, sizes))


def _range(operator: Operator, budget: Budget, start: Array, limit: Array, step: Array) -> Array:
    first, last, by = start.item(), limit.item(), step.item()
    count = max(math.ceil((last - first) / by), 0)
    budget.take((count,))
    return (first + np.arange(count) * by).astype(start.dtype)


def parts(operator: Operator, shape: Sequence[int], *given: Array | None) -> dict[int, slice]:
    """The slices by axis of a Slice of an array with this shape; given: starts, ends, axes, steps, where inputs."""
    if given:
        rows = [None if each is None else [int(number) for number in each.ravel()] for each in (*given, None, None)[:4]]
        starts, ends, axes, steps = rows
    else:
        starts, ends, axes, steps = (*map(operator.get, ("starts", "ends", "axes")), None)
    starts, ends = starts or [], ends or []
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps must be as many")
    found = {}
    for start, end, axis, step in zip(starts, ends, axes, steps):
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"axis {axis} of {len(shape)} dimensions")
        found[axis % len(shape)] = slice(start, end, step)
    return found


def bounds(part: slice, size: int) -> slice:
    """What a slice takes of so many places, in numpy's words.

    ONNX clamps the start of a negative step to the first place, where numpy takes nothing (operator Slice).
    """
    start, end, step = part.start, part.stop, part.step
    if step == 0:
        raise ValueError("a step must not be 0")
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    if step > 0 or not size:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    return slice(min(max(start, 0), size - 1), None if end < 0 else min(end, size - 1), step)


def _sliced(operator: Operator, budget: Budget, x: Array, *given: Array | None) -> Array:
    cuts = [slice(None)] * x.ndim
    for axis, part in parts(operator, x.shape, *given).items():
        cuts[axis] = bounds(part, x.shape[axis])
    return x[tuple(cuts)]


def _where(operator: Operator, budget: Budget, condition: Array, x: Array, y: Array) -> Array:
    budget.take(np.broadcast_shapes(condition.shape, x.shape, y.shape))
    return np.where(condition, x, y)


def _shape(operator: Operator, budget: Budget, x: Array) -> Array:
    return np.array(x.shape[operator.get("start", 0) : operator.get("end")], np.int64)


def _size(operator: Operator, budget: Budget, x: Array) -> Array:
    return np.array(x.size, np.int64)


def _reduced(function: Callable[..., Any]) -> Function:
    def computed(operator: Operator, budget: Budget, x: Array, axes: Array | None = None) -> Array:
        which = _axes(operator, axes, x.ndim)
        if operator.get("noop_with_empty_axes", 0) and not which:
            return x
        if function is np.mean and not x.size:
            raise ValueError("the mean of no numbers")
        if which:
            budget.take([1 if axis in which else size for axis, size in enumerate(x.shape)])
        result: Array = function(x, axis=which or None, keepdims=bool(operator.get("keepdims", 1)))
        return np.asarray(result, x.dtype)

    return computed


def _clipped(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _clip(operator: Operator, budget: Budget, x: Array, *limits: Array | None) -> Array:
    given = limits or tuple(None if v is None else np.asarray(v, x.dtype) for v in map(operator.get, ("min", "max")))
    budget.take(np.broadcast_shapes(x.shape, *(limit.shape for limit in given if limit is not None)))
    return _clipped(x, *given)


TABLE: dict[str, Function] = {
    "Abs": _each(np.abs),
    "Add": _each(np.add),
    "And": _each(np.logical_and),
    "Cast": _cast,
    "CastLike": _cast,
    "Ceil": _each(np.ceil),
    "Clip": _clip,
    "Concat": _joined,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantized,
    "Div": _each(_divided),
    "Equal": _each(np.equal),
    "Exp": _each(np.exp),
    "Expand": _expanded,
    "Flatten": _flattened,
    "Floor": _each(np.floor),
    "Gather": _gathered,
    "Greater": _each(np.greater),
    "GreaterOrEqual": _each(np.greater_equal),
    "Identity": lambda operator, budget, x: x,
    "Less": _each(np.less),
    "LessOrEqual": _each(np.less_equal),
    "Log": _each(np.log),
    "Max": _each(_of_all(np.maximum)),
    "Min": _each(_of_all(np.minimum)),
    "Mul": _each(np.multiply),
    "Neg": _each(np.negative),
    "Not": _each(np.logical_not),
    "Or": _each(np.logical_or),
    "Pow": _each(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Range": _range,
    "Reciprocal": _each(np.reciprocal),
    "ReduceMax": _reduced(np.max),
    "ReduceMean": _reduced(np.mean),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _shaped,
    "Round": _each(np.round),
    "Shape": _shape,
    "Size": _size,
    "Slice": _sliced,
    "Sqrt": _each(np.sqrt),
    "Squeeze": _squeezed,
    "Sub": _each(np.subtract),
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
    "Where": _where,
}
"""Operators of constants."""
