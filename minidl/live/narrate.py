"""The naive loop that computes one number, line by line, with the values that its variables had.

The function is one of `minidl.kernels.reference`. It runs as it stands there, with one difference: its loops over the
pinned variables make a single turn, the wanted one. So the values beside the lines are those of the loop itself.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LOOP = re.compile(r"\s*for (\w+) in range\(")
FEW = 9
"""Arrays of at most so many numbers are told by their numbers, others by their shape."""


def narrate(function: Callable[..., Any], arguments: Mapping[str, Any], pins: Mapping[str, int]) -> dict[str, Any]:
    """{"file", "first", "lines": [{"text", "note"}]} of a function that is called with these arguments.

    pins: variables of its loops (`for oh in range(OH):`) by name, and the one value that each is to take. note: what
    a line has set, None where it was not reached or has set nothing.
    """
    source, first = inspect.getsourcelines(function)
    texts = textwrap.dedent("".join(source)).splitlines()
    targets = {first + i: _target(text) for i, text in enumerate(texts)}
    notes: dict[int, str] = {}

    def chosen(*bounds: int) -> range:
        line = sys._getframe(1).f_lineno - first
        found = LOOP.match(texts[line]) if 0 <= line < len(texts) else None
        if found is None or found[1] not in pins:
            return range(*bounds)
        value = pins[found[1]]
        return range(value, value + 1)

    last: list[int] = []

    def trace(frame: types.FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is not function.__code__:
            return None
        if event in ("line", "return"):
            if last and targets.get(last[0]):
                note = _told(targets[last[0]], frame)
                if note:
                    notes[last[0]] = note
            last[:] = [frame.f_lineno]
        return trace

    assert isinstance(function, types.FunctionType)
    pinned = types.FunctionType(
        function.__code__, {**function.__globals__, "range": chosen}, function.__name__, function.__defaults__
    )
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        pinned(**arguments)
    finally:
        sys.settrace(before)
    lines = [{"text": text, "note": notes.get(first + i)} for i, text in enumerate(texts)]
    file = inspect.getsourcefile(function) or ""
    return {"file": "/".join(file.replace("\\", "/").split("/")[-4:]), "first": first, "lines": lines}


def _target(text: str) -> list[str]:
    """What a line sets, as expressions: ["oh"] of a loop, ["y[n, o]"] of an assignment, ["a", "b"] of a pair."""
    text = text.strip()
    if text.startswith("for "):
        text += " pass"
    elif text.startswith(("if ", "elif ", "else", "def ", "return", "with ")) or not text:
        return []
    try:
        node = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return []
    if isinstance(node, ast.Assign):
        found: list[ast.expr] = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.For)):
        found = [node.target]
    else:
        return []
    return [
        ast.unparse(each) for target in found for each in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]


def _told(targets: list[str], frame: types.FrameType) -> str:
    told = []
    for target in targets:
        if target == "_":
            continue
        try:
            value = eval(target, frame.f_globals, frame.f_locals)  # an expression of minidl's own source
        except (NameError, IndexError, TypeError, ValueError):
            continue
        told.append(f"{target} = {_value(value)}")
    return ", ".join(told)


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size > FEW or value.ndim == 0:
            return f"{value.item():.5g}" if value.size == 1 else f"array {' x '.join(map(str, value.shape))}"
        return " ".join(f"{each:.4g}" for each in value.ravel().tolist()) if value.ndim == 1 else _rows(value)
    if isinstance(value, slice):
        start, stop, step = value.start, value.stop, value.step or 1
        return f"{start}:{stop}" + (f":{step}" if step != 1 else "")
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.5g}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _rows(value: np.ndarray) -> str:
    rows = value.reshape(-1, value.shape[-1])
    return "; ".join(" ".join(f"{each:.4g}" for each in row) for row in rows.tolist())
