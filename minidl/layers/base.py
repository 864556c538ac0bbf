"""What every layer is: parameters, forward, backward, and the two ends where arrays enter and leave the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minidl import kernels
from minidl.kernels import checks
from minidl.layers.node import Call as Use
from minidl.layers.node import Node
from minidl.layers.parameter import Parameter
from minidl.layers.setting import changed, settle
from minidl.layers.tree import Tree, shallow
from minidl.support.held import held, swapped
from minidl.support.several import Several, Shape, each, joined, side_by_side

__all__ = ["Layer"]

LayerT = TypeVar("LayerT", bound="Layer")
SIZES = {2: "(N, F)", 3: "(N, I, D)", 4: "(N, C, H, W)"}
"""Names of the sizes of inputs, by their number."""
Reach = tuple[tuple[float, float], tuple[float, float]]
"""(height, width) of what is seen, and of the way to what a neighbour sees."""
Call = Callable[..., Any]
"""(name, layer, *inputs) -> output, see `Layer.flow`."""


class Layer(Tree):
    """Base of all layers. A subclass writes `_forward`, `_backward` and, where the shape changes, `_check`.

    A subclass of one's own may write `compute` and `gradient` instead, on numpy arrays, for every backend:

        class Swish(minidl.Layer):
            def compute(self, x):
                return x / (1 + np.exp(-x))

            def gradient(self, dy, x, y):
                s = 1 / (1 + np.exp(-x))
                return dy * (s + y * (1 - s))

    `_check` refuses input shapes and is asked only when the shape differs from the last one, so that a training step
    repeats no checks. `_forward` and `_backward` work on the backend's arrays, which have no arithmetic of their own:
    they remember and delegate to `self.kernels`; its `leave(x)` gives a numpy array, `enter(a)` takes one back. Where
    nothing is to be remembered, outside of training, `_forward` runs on a copy of the layer, so that a prediction in
    another thread leaves a training step alone. Users call `forward` and `backward`, on numpy arrays.

    name: how the layer calls itself in messages and tables; None for the name of its class.
    The constructor's arguments stay readable as attributes of the same names. What is assigned to them later is checked
    as the constructor does, and parameters keep their shapes; in a class of one's own, and in one that is made of
    other layers, they are not to be changed.
    A layer of several inputs (`merges`) gets them as one `Several`, and one of several outputs (`outputs`) gives one;
    their shapes are written as one, (N, shape, shape, ...), see `several`. `_backward` of several outputs gets
    None in dy, in the place of zeros, for an output that nobody reads.
    Layers in the attributes, and in lists, tuples and dicts there, belong to this one: their parameters are found,
    named by their places ("conv.weight", "blocks.0.weight"), trained, saved, frozen. `_forward` calls their `run`,
    `_backward` their `_backward`.
    """

    _remembered: tuple[str, ...] = ("_computed",)
    """Attributes that `_forward` leaves for `_backward`; None before the first forward and after `release`."""
    _ranks: tuple[int, ...] = (2, 4)
    """Dimensions that an input may have."""
    _buffers: tuple[str, ...] = ()
    """Attributes with arrays that are saved but not trained."""
    merges = False
    """Whether it takes several arrays, as one `Several`."""
    outputs = 1
    """How many arrays it gives; more than one as one `Several`."""
    scales = False
    """Whether it brings its input to a scale of its own, so that a model may begin with it for raw numbers."""
    run_number = 0
    """Which `Plan.forward` has last run it: what it remembers belongs to that one."""
    statistics_frozen = False
    """Whether running statistics stay as they are and are used in training, see `freeze`."""
    _holds = False
    """Whether there were layers inside at the last look: looking at each `release` takes as long as a small layer."""
    _holding: tuple[str, ...] = ()
    """Attributes with layers inside, at the last look of `infer`."""
    _unshown = ("name",)
    _pure = True
    """Whether the class has an `_infer` that computes what its `_forward` does."""
    _computed: tuple[np.ndarray, np.ndarray] | None = None
    """Input and output of `compute`."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # A class that says how it computes, but not how without remembering, is asked for the former.
        said = next(kind for kind in cls.__mro__ if vars(kind).keys() & {"_infer", "_forward", "run", "infer"})
        cls._pure = "_infer" in vars(said)
        if cls.__module__.startswith("minidl.layers."):
            settle(cls)

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else type(self).__name__
        self.kernels: Any = None
        self.need_dx = True
        """False for a model's first layer: its `_backward` may then return None instead of an input gradient."""
        self._path = ""
        self._x_shape: Shape | None = None
        self._x_dtype: np.dtype | None = None
        self._y_shape: Shape = ()
        self._inferred: tuple[Shape, Any] = (), None  # shape of an image and dtype that the last prediction has checked
        for attribute in self._remembered:
            setattr(self, attribute, None)

    # ---- to be written by each layer -------------------------------------------------------------------------------

    def compute(self, x: np.ndarray) -> np.ndarray:
        """The output for a batch x, which may be changed in place; in x's shape, or the one that `_check` says."""
        raise NotImplementedError(f"{type(self).__name__} must define compute, or _forward")

    def gradient(self, dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The input gradient for the output gradient dy, the input x and the output y of `compute`.

        A layer with parameters also sets their gradients: `self.weight.grad[...] = ...`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define gradient, or _backward")

    def _forward(self, x: Any, train: bool) -> Any:
        given = self.kernels.leave(x)
        self._computed = given.copy(), self._compute(given)
        return self.kernels.enter(self._computed[1])

    def _backward(self, dy: Any) -> Any:
        if self._computed is None:
            raise self._unready()
        x, y = self._computed
        dx = checks.float_array(self.who, "the gradient", self.gradient(self.kernels.leave(dy), x, y), x.dtype)
        checks.same_shape(self.who, "the gradient", dx.shape, x.shape, "the input's")
        return self.kernels.enter(dx)

    def _infer(self, x: Any) -> Any:
        """`_forward` outside of training, with nothing remembered, here and in the layers inside."""
        return self.kernels.enter(self._compute(self.kernels.leave(x)))

    def _compute(self, x: np.ndarray) -> np.ndarray:
        shape = tuple(self._check(x.shape))
        y = checks.float_array(self.who, "the result of compute", self.compute(x), x.dtype)
        checks.same_shape(self.who, "the result of compute", y.shape, shape, "by _check, which says another one")
        return y

    def _check(self, x_shape: Shape) -> Shape:
        """Output shape, batch included, for an input shape, batch included; ValueError if the layer cannot take it."""
        return x_shape

    def _inputs(self) -> int:
        """How many arrays it takes."""
        return 1

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications with addition that one image of this input shape costs in the forward pass."""
        return 0

    def reach(self, shape: Shape) -> Reach:
        """Height and width of what one element of the output sees of the input, and how far apart neighbours' are.

        shape: of one image of the input. ((1, 1), (1, 1)) for what works element by element, which is the default;
        statistics over an image do not count.
        """
        return (1, 1), (1, 1)

    def kinks(self) -> list[np.ndarray]:
        """On which side of each kink of the function the last forward was computed; other arrays mean another piece.

        Of a smooth layer with smooth layers inside: nothing.
        """
        return [array for child in self.children() for array in child.kinks()]

    # ---- how an input goes through ----------------------------------------------------------------------------------

    joins = ""
    """The word for what a layer with layers inside does with their outputs itself, "sum" for instance."""

    def flow(self, call: Call, *x: Any) -> Any:
        """The way of x through the layers inside: `call(name, layer, *inputs)` for each in order, its result goes on.

        What the layer does itself is `call("", self, *inputs)`; that is all for a layer that nobody looks into. A call
        of a layer with several outputs gives them as a `Several`, and so does the whole.
        """
        return call("", self, *x)

    def join(self, train: bool, *inputs: Any) -> Any:
        """What `flow` calls the layer's own doing, on the backend's arrays."""
        return self.run(side_by_side(self.merges, inputs), train)

    def joiner(self) -> Layer:
        """A layer that computes `join`, and back."""
        return self

    def blocks(self) -> list[tuple[str, list[str]]]:
        """What the current backend runs as one operation: its kind, and the places of the merged layers inside."""
        return []

    def join_shape(self, *shapes: Shape) -> Shape:
        """Output shape of `join` for these input shapes, batches included; raises ValueError as `_check`."""
        return self._check(joined(shapes) if self.merges else shapes[0])

    def __call__(self, *inputs: Node) -> Any:
        """The layer's place in a network that is being built: nodes in, the node of its output back (see `Graph`).

        inputs: what `minidl.Input` or another layer has given. A list of nodes comes back where the layer has several
        outputs. Raises TypeError for what is no node, ValueError that names the node if the layer cannot take the
        shapes.
        """
        nodes = tuple(node for given in inputs for node in (given if isinstance(given, (list, tuple)) else [given]))
        for node in nodes:
            if not isinstance(node, Node):
                raise TypeError(
                    f"{self.who}: a layer is called on nodes, of minidl.Input or of other layers,"
                    f" got {type(node).__name__}; for arrays there is forward"
                )
        if len(nodes) != 1 and not (self.merges and nodes):
            wanted = "one node or more" if self.merges else "one node"
            raise TypeError(f"{self.who}: it takes {wanted}, got {len(nodes)}")
        use = Use(self, nodes)
        name = self.name if self.name != type(self).__name__ else f"{self.name} {use.number}"
        try:
            shapes = [(1, *node.shape) for node in nodes]
            self._ranked(shapes)
            shape = self._check(joined(shapes) if self.merges else shapes[0])[1:]
        except (TypeError, ValueError) as error:
            read = ", ".join(f"{node.name} {node.shape}" for node in nodes)
            raise type(error)(f"{error} (node {name}, which reads {read})") from None
        if self.outputs == 1:
            return Node(tuple(shape), name, use)
        return [Node(tuple(part), f"{name}[{i}]", use, i) for i, part in enumerate(shape)]

    # ---- shapes ------------------------------------------------------------------------------------------------------

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image's output for the shape of one image's input, (C, H, W) or (F,).

        Raises ValueError that names the layer if it cannot take the shape, TypeError for what is none.
        """
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"{self.who}: shape must be a tuple of sizes, got {checks.shown(shape):.80}")
        return self._check((1, *shape))[1:]

    # ---- parameters and buffers ------------------------------------------------------------------------------------

    def learns(self) -> bool:
        """Whether a parameter, here or in the layers inside, is not frozen."""
        return any(not parameter.frozen for parameter in self._each_parameter())

    def freeze(self: LayerT, frozen: bool = True, statistics: bool = False) -> LayerT:
        """Keep optimisers from changing the parameters, here and in the layers inside; False lets them; returns self.

        In a training step the gradients of frozen parameters stay as they are. statistics: whether batch normalisation
        also keeps its running statistics, and normalises by them in training; otherwise they go on.
        """
        for _, parameter in self._held(Parameter):
            parameter.frozen = bool(frozen)
        self.statistics_frozen = bool(frozen and statistics)
        for child in self.children():
            child.freeze(frozen, statistics)
        return self

    def buffers(self) -> dict[str, np.ndarray]:
        """Arrays that are saved but not trained (running statistics), by name relative to this layer.

        Raises ValueError where two have one name.
        """
        own = {attribute: getattr(self, attribute) for attribute in self._buffers}
        return self._gathered("buffer", own, lambda child: child.buffers())

    @property
    def dtype(self) -> np.dtype | None:
        """dtype of the parameters, here or in the layers inside; None without parameters. Assigned, `astype`."""
        for parameter in self._each_parameter():
            return parameter.values.dtype
        return None

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        self.astype(dtype)

    def astype(self: LayerT, dtype: Any) -> LayerT:
        """Convert parameters, gradients and buffers to float32 or float64, in place; returns self.

        Raises TypeError for other dtypes.
        """
        try:
            dtype = np.dtype("none" if dtype is None else dtype)  # for numpy, None is float64
        except (TypeError, ValueError):
            raise TypeError(f"{self.who}: dtype must be float32 or float64, got {checks.shown(dtype)}") from None
        if dtype not in checks.FLOATS:
            raise TypeError(f"{self.who}: dtype must be float32 or float64, got {dtype}")
        own = [parameter.values for _, parameter in self._held(Parameter)]
        if any(array.dtype != dtype for array in (*own, *(vars(self)[name] for name in self._buffers))):
            changed[0] = object()
        for _, parameter in self._held(Parameter):
            parameter.astype(dtype)
        for attribute in self._buffers:
            vars(self)[attribute] = getattr(self, attribute).astype(dtype)
        for attribute in self._remembered:
            setattr(self, attribute, None)
        self._x_shape = None
        for child in self.children():
            child.astype(dtype)
        return self

    # ---- forward and backward --------------------------------------------------------------------------------------

    def forward(self, x: Any, train: bool = False) -> np.ndarray:
        """Output for a batch.

        x: array (N, C, H, W) or (N, F), of capsules (N, I, D), float; it is converted to the layer's dtype (that of its
        parameters; without parameters x's own). train: whether this is a training step (dropout, batch statistics).
        Remembers what `backward` needs, x and the result among it, without a copy: change them in place only after
        `backward`. Raises ValueError or TypeError that names the layer for a wrong shape or dtype.
        """
        x = self._given("input", x, self.dtype)
        if x.shape != self._x_shape or x.dtype != self._x_dtype:
            self._place()
            self._admit(x)
        backend = kernels.current()
        return each(backend.leave, self.run(_entered(backend, x), train))

    def backward(self, dy: Any) -> np.ndarray:
        """Input gradient dx for the output gradient dy of the last forward; overwrites `grad` of every parameter.

        dy: float array of the last output's shape. May be called again for the same forward. Raises RuntimeError
        before the first forward and after `release`, ValueError or TypeError for a wrong dy.
        """
        if self._x_shape is None:
            raise self._unready()
        dy = self._given("dy", dy, self._x_dtype, self.outputs > 1)
        checks.same_shape(self.who, "dy", dy.shape, self._y_shape, "the last output's")
        need_dx, self.need_dx = self.need_dx, True
        try:
            dx = self._backward(_entered(self.kernels, dy))
        finally:
            self.need_dx = need_dx
        return each(self.kernels.leave, Several(dx) if self.merges else dx)

    def _given(self, name: str, x: Any, dtype: Any, several: bool | None = None) -> Any:
        """Checked floats of the user: one array, or several, of one N and dtype."""
        if not (self.merges if several is None else several):
            return checks.float_array(self.who, name, x, dtype)
        if not isinstance(x, (list, tuple)) or not x:
            raise TypeError(f"{self.who}: {name} must be a list of arrays, got {type(x).__name__}")
        arrays: list[Any] = []
        for i, array in enumerate(x):
            arrays.append(checks.float_array(self.who, f"{name} {i}", array, dtype))
            dtype = arrays[0].dtype if dtype is None else dtype
        _one_size(self.who, arrays)
        return Several(arrays)

    def run(self, x: Any, train: bool) -> Any:
        """`forward` between layers: the backend's array in, the backend's array out."""
        if x.shape != self._x_shape or x.dtype != self._x_dtype:
            self._admit(x)
        self.kernels = kernels.current()
        y = self._forward(x, train)
        if type(y) is tuple:
            y = Several(y)
        self._y_shape = y.shape
        return y

    def infer(self, x: Any) -> Any:
        """`run` outside of training that leaves alone what an earlier one remembers, here and in the layers inside."""
        shape, dtype = self._inferred
        if x.shape[1:] != shape or x.dtype != dtype:
            found = vars(self).copy()
            names = found.keys() - set(self._hidden)
            self._holding = tuple(name for name in names if held({name: found[name]}, Layer))
            self._accept(x)
            self._inferred = tuple(x.shape[1:]), x.dtype
        copy = shallow(self)
        for name in self._holding:
            vars(copy)[name] = _read(vars(self)[name])
        copy._x_shape, copy._x_dtype = x.shape, x.dtype
        return copy.run(x, False)

    def inference(self) -> Callable[[Any], Any]:
        """How the layer is best run with nothing remembered, by one who has set `kernels` and checked all shapes."""
        return self._infer if self._pure else self.infer

    def twin(self: LayerT) -> LayerT:
        """A layer with the same parameters, buffers and generators that remembers a forward of its own.

        What one of the two learns, the other one knows; steps of both may interleave.
        """
        other = self._copy(lambda layer: layer.twin())
        vars(other).update(dict.fromkeys(self._remembered))
        return other

    def release(self) -> None:
        """Forget what the last forward remembered (memory of batch size); `backward` then needs a new forward."""
        for attribute in self._remembered:
            setattr(self, attribute, None)
        if self._holds:
            for child in self.children():
                child.release()

    def _admit(self, x: Any) -> None:
        """Take an input of new shape or dtype."""
        self._holds = bool(self.children())
        self._accept(x)
        self._x_shape, self._x_dtype = tuple(x.shape), x.dtype

    def _accept(self, x: Any) -> None:
        """Refuse an input of wrong shape or dtype."""
        self._typed(x.dtype)
        if isinstance(x, Several) != self.merges:
            raise TypeError(f"{self.who}: it takes {'several arrays' if self.merges else 'one array'}")
        if self.merges:
            _one_size(self.who, x)
        self._check(x.shape)
        self._ranked([array.shape for array in x] if self.merges else [x.shape])

    def _typed(self, dtype: Any) -> None:
        """Refuse an input of another dtype than the parameters', here and in the layers inside."""
        for _, parameter in self._held(Parameter):
            own = parameter.values.dtype
            if own != dtype:
                raise TypeError(f"{self.who}: input must have the parameters' dtype {own}, got {dtype}")
        for child in self.children():
            child._typed(dtype)

    def _ranked(self, shapes: list[Shape]) -> None:
        for shape in shapes:
            if len(shape) not in self._ranks:
                first, *others = (f"{rank} {SIZES[rank]}" for rank in sorted(self._ranks, reverse=True))
                rule = " or ".join([first.replace(" ", " dimensions ", 1), *others])
                raise ValueError(f"{self.who}: input must have {rule}, got shape {tuple(shape)}")

    def _unready(self) -> RuntimeError:
        return RuntimeError(f"{self.who}: call forward before backward (nothing is remembered)")

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments by name, in its order, with today's values; what cannot be told is left out.

        That is a generator, and first weights (`init`) drawn by a function. name is None where it is that of the class.
        """
        found = super().settings()
        if found.get("name") == type(self).__name__:
            found["name"] = None
        if found.get("init", "") is None:
            del found["init"]
        return {key: value for key, value in found.items() if not isinstance(value, Parameter)}

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave out the backend and the remembered batch."""
        return {**vars(self), "kernels": None, "_x_shape": None, **dict.fromkeys(self._remembered)}


def _entered(backend: Any, x: Any) -> Any:
    return Several(map(backend.enter, x)) if isinstance(x, Several) else backend.enter(x)


def _one_size(who: str, arrays: Any) -> None:
    sizes = [len(array) if isinstance(array, np.ndarray) else array.shape[0] for array in arrays]
    if len(set(sizes)) > 1:
        raise ValueError(f"{who}: all inputs must have the same number of images, got {sizes}")


def _read(layer: Any) -> Any:
    """The layer, or those in a list, as one around them sees them in a prediction, in which `run` remembers nothing."""
    if not isinstance(layer, Layer):
        inner = {id(part): _read(part) for _, part in held({"": layer}, Layer)}
        return swapped(layer, inner)
    other = shallow(layer)
    vars(other)["run"] = lambda x, train=False: layer.twin().run(x, True) if train else layer.infer(x)
    return other
