"""A network as a list of lines, "Conv2D(1, 8, 3, padding=1)": to layers and back, with the shape behind each.

The lines are read as Python's syntax and never run: names of minidl's layers, numbers, texts, tuples and layers inside
of layers are all that may stand there.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from minidl import layers
from minidl.layers import initializers
from minidl.layers.base import Layer
from minidl.model import Model

LINES, LENGTH = 200, 1000
"""Of a list, and of a line."""
WEIGHTS = 20_000_000
"""Numbers that all layers may have together."""
TOGETHER = f"what all layers together may have here, {WEIGHTS:,} numbers"
VALUES = 4_000_000
"""Numbers that one image may become behind a layer."""
ONE = "one layer, such as Relu() or Linear(784, 10)"
EXPECTED = {
    r"\bbool\b": "True or False",
    r"\bint\b": "a whole number",
    r"\b(float|Any)\b": "a number",
    r"\b(tuple|Shape)\b": "a tuple of such",
    r"\b(str|Initializer)\b": "a text in quotation marks",
}
"""In words, what an argument whose annotation has these types may be."""
ENTERING, LEAVING = ("in_channels", "in_features", "channels"), ("out_channels", "out_features")
"""Arguments that say how many channels or features come into a layer, and out of it."""
Row = dict[str, Any]


def read_layer(line: str) -> Layer:
    """The layer that a line makes. Raises ValueError or TypeError in one line: the library's own where a layer refuses
    its arguments."""
    if len(line) > LENGTH:
        raise ValueError(f"a line may have {LENGTH} characters, got {len(line)}")
    try:
        found = _value(ast.parse(line.strip().replace("\0", "?"), mode="eval").body)
    except SyntaxError as error:  # Python's reason helps, as "'(' was never closed", or says nothing
        why = "" if error.msg == "invalid syntax" else f": {_short(error.msg)}"
        raise ValueError(f"a line must be {ONE}, got {line.strip()!r:.60}{why}") from None
    except (RecursionError, MemoryError):
        raise ValueError("the brackets and signs of this line are nested too deeply") from None
    if not isinstance(found, Layer):
        raise ValueError(f"a line must be {ONE}, got {line.strip()!r:.60}")
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, type(None))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Call):
        kind = _kind(node.func)
        named = {word.arg: _argument(kind, word.arg, word.value) for word in node.keywords if word.arg is not None}
        if len(named) < len(node.keywords):
            raise ValueError("arguments with ** are not read here")
        return _made(kind, [_argument(kind, _by_place(kind, at), item) for at, item in enumerate(node.args)], named)
    if isinstance(node, ast.Name):
        _kind(node)
        raise ValueError(f"write the parentheses: {node.id}()")
    raise ValueError(f"numbers, texts, tuples and layers may stand here, not {ast.unparse(node)!r:.60}")


def _argument(kind: type[Layer], name: str, node: ast.expr) -> Any:
    """The value of an argument; of a word that is no value is told what is expected instead."""
    inner = list(ast.walk(node))
    if any(isinstance(each, ast.Call) for each in inner) or not any(isinstance(each, ast.Name) for each in inner):
        return _value(node)
    parameter = inspect.signature(kind).parameters.get(name)
    if parameter is None:
        return None  # `_made` tells of an argument too many or foreign
    words = [word for pattern, word in EXPECTED.items() if re.search(pattern, str(parameter.annotation))]
    if not words:  # a layer
        return _value(node)
    rule = " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    raise ValueError(f"{kind.__name__}: {name} must be {rule}, got {ast.unparse(node):.60}")


def _by_place(kind: type[Layer], at: int) -> str:
    """The name of the argument at this place, "" where there is none."""
    each = [one for one in inspect.signature(kind).parameters.values() if one.kind is not one.KEYWORD_ONLY]
    many = each and each[-1].kind is inspect.Parameter.VAR_POSITIONAL
    return each[-1 if many else at].name if many or at < len(each) else ""


def _made(kind: type[Layer], given: list[Any], named: dict[str, Any]) -> Layer:
    """The layer; arguments that it lacks or does not know are told as a user writes them."""
    signature = inspect.signature(kind)
    try:
        signature.bind(*given, **named)
    except TypeError:
        known = [name for name, each in signature.parameters.items() if each.kind is not each.VAR_KEYWORD]
        needed = [
            name
            for name, each in list(signature.parameters.items())[len(given) :]
            if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD and name not in named
        ]
        written = f"it is written {kind.__name__}({', '.join(map(str, _plain(signature)))})"
        foreign = [name for name in named if name not in known]
        if foreign:
            raise ValueError(f"{kind.__name__} has no argument {foreign[0]!r:.40}; {written}") from None
        if needed:
            raise ValueError(f"{kind.__name__} lacks {' and '.join(needed)}; {written}") from None
        raise ValueError(f"{kind.__name__}: too many arguments, or one twice; {written}") from None
    return kind(*given, **named)


def _plain(signature: inspect.Signature) -> list[inspect.Parameter]:
    """Its parameters without types, and without those that hold functions or generators."""
    return [
        each.replace(annotation=each.empty)
        for each in signature.parameters.values()
        if each.name not in ("name", "rng")
    ]


def _kind(node: ast.expr) -> type[Layer]:
    name = node.id if isinstance(node, ast.Name) else ast.unparse(node).removeprefix("minidl.")
    kind = getattr(layers, name, None) if name.isidentifier() and not name.startswith("_") else None
    if kind is None or not _is_layer(kind):
        known = {each.lower(): each for each in dir(layers) if each[0] != "_" and _is_layer(getattr(layers, each))}
        near = difflib.get_close_matches(name.rpartition(".")[2].lower(), known, 4, 0.5)
        hint = f"; there is {', '.join(known[each] for each in near)}" if near else ""
        raise ValueError(f"minidl has no layer {name!r:.40}{hint}")
    found: type[Layer] = kind
    return found


def _is_layer(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Layer) and kind is not Layer


def check(lines: Sequence[str], shape: tuple[int, ...], classes: int) -> tuple[list[Row], Model | None]:
    """One row a line, {"text", "shape", "weights", "error"}, and the model if there is no error.

    shape: of an image. classes: how many scores must come out. Behind a line with an error no shapes are known. Empty
    lines have neither shape nor error. Raises ValueError for what is no list of lines.
    """
    if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines) or len(lines) > LINES:
        raise ValueError(f"layers must be a list of at most {LINES} texts")
    rows: list[Row] = [{"text": line, "shape": None, "weights": None, "error": None} for line in lines]
    made: list[Layer] = []
    now: tuple[int, ...] | None = tuple(shape)
    last, number = None, -1
    with initializers.limit(WEIGHTS, TOGETHER), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows:
            if not row["text"].strip():
                continue
            last, number = row, number + 1  # also of a layer behind one that is none
            try:
                layer = read_layer(row["text"])
                layer._locate(str(number))
                if now is not None:
                    now = _behind(layer, now)
                    row["shape"] = list(now)
                row["weights"] = sum(parameter.data.size for parameter in layer._each_parameter())
                made.append(layer)
            except Exception as error:  # whatever a constructor makes of arguments that nobody has checked
                row["error"] = _short(str(error) or type(error).__name__) + _instead(row["text"], made, now)
                now = None
    if last is None:
        raise ValueError("a network must have at least one layer")
    if now is not None and now != (classes,):
        last["error"] = f"the last layer must give {classes} scores, one a class, and gives {sizes(now)}"
        line = _rewritten(last["text"], LEAVING, classes) if len(now) == 1 else None
        behind = f"Linear({math.prod(now)}, {classes})"
        ways = [f"write {line}", f"{'add Flatten() and' if now[1:] else 'add'} {behind} behind it"]
        last["error"] += f": {ways[line is None]}"
    if any(row["error"] for row in rows):
        return rows, None
    try:
        return rows, Model(*made)
    except (TypeError, ValueError) as error:
        last["error"] = _short(str(error))
        return rows, None


def _behind(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape behind a layer, after a look at its size."""
    if layer.merges or layer.outputs > 1:
        raise ValueError(f"{layer.name}: a layer of several inputs or outputs stands in a Graph, not in a list")
    layer._ranked([(1, *shape)])
    after = layer.output_shape(shape)
    if math.prod(after) > VALUES:
        raise ValueError(f"{layer.name}: one image becomes {math.prod(after):,} numbers, this page takes {VALUES:,}")
    return tuple(after)


def _instead(text: str, before: list[Layer], shape: tuple[int, ...] | None) -> str:
    """What to write in place of a line whose number of channels or features is not that of what comes in, else ""."""
    if shape is None:
        return ""
    try:
        line = _rewritten(text, ENTERING, shape[0])
        if line is None:
            return ""
        with initializers.limit(WEIGHTS, TOGETHER):  # beside the layers there are, not with them
            _behind(read_layer(line), shape)
    except Exception:  # it is not this number alone
        return ""
    count = f"{shape[0]} {'channel' if shape[1:] else 'feature'}{'s' * (shape[0] > 1)}"
    return f"; {f'{before[-1].who} gives' if before else 'the image has'} {count}: write {line}"


def _rewritten(text: str, names: Sequence[str], number: int) -> str | None:
    """The line of a layer with this number as its argument of one of these names; None where it has no such argument,
    or where that is the number already."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        parameters = list(inspect.signature(_kind(call.func)).parameters)
        name = next(each for each in names if each in parameters)
    except (SyntaxError, AssertionError, ValueError, StopIteration):
        return None
    before, at = ast.unparse(call), parameters.index(name)
    named = [word for word in call.keywords if word.arg == name]
    if at < len(call.args):
        call.args[at] = ast.Constant(number)
    elif named:
        named[0].value = ast.Constant(number)
    else:
        call.keywords.append(ast.keyword(name, ast.Constant(number)))
    after = ast.unparse(call)
    return None if after == before else after


def sizes(shape: Sequence[int]) -> str:
    """As the page writes them: 3 x 32 x 32."""
    return " x ".join(map(str, shape))


def _short(text: str) -> str:
    """In one line."""
    return " ".join(text.split())[:400]
