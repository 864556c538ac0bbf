"""Where faults can be put into a Python module, and the module with some of them, each behind a switch.

Only bodies of functions are changed: what runs when a module is imported runs before a switch is set. Texts,
annotations, defaults, decorators, and what errors say stay as they are.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from mutating.mutant import COMPARISONS, EXTREMES, Mutant, constant_after

OPERATORS: dict[type[ast.operator], tuple[str, str, ast.operator]] = {
    ast.Add: ("+", "-", ast.Sub()),
    ast.Sub: ("-", "+", ast.Add()),
    ast.Mult: ("*", "+", ast.Add()),
    ast.Div: ("/", "*", ast.Mult()),
    ast.FloorDiv: ("//", "*", ast.Mult()),
    ast.Mod: ("%", "//", ast.FloorDiv()),
    ast.Pow: ("**", "*", ast.Mult()),
}
COMPARED: dict[str, ast.cmpop] = {
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
    "==": ast.Eq(),
    "!=": ast.NotEq(),
    "is": ast.Is(),
    "is not": ast.IsNot(),
    "in": ast.In(),
    "not in": ast.NotIn(),
}
OTHERS = {"is": ("is not",), "is not": ("is",), "in": ("not in",), "not in": ("in",)}
SIGNS = {type(sign): text for text, sign in COMPARED.items()}
SWITCH = "minidl_mutant"


class Source:
    """One module: `mutants()` are all faults it can get, `with_mutants` is its text with some of them."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.lines = path, text.splitlines()
        self.tree = ast.parse(text)
        self.changes: dict[ast.AST, list[tuple[Mutant, ast.AST | None]]] = {}
        for node in _in_functions(self.tree):
            self._changes_of(node)

    def mutants(self) -> list[Mutant]:
        """Every fault that this module can get."""
        return [mutant for changes in self.changes.values() for mutant, _ in changes]

    def _add(self, node: ast.AST, kind: str, before: str, after: str, changed: ast.AST | None) -> None:
        line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        text = self.lines[line - 1]
        place = column - (len(text) - len(text.lstrip()))
        mutant = Mutant(self.path, line, place, kind, before, after, text.strip())
        self.changes.setdefault(node, []).append((mutant, changed))

    def _changes_of(self, node: ast.AST) -> None:
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            before, after, operator = OPERATORS[type(node.op)]
            self._add(node, "operator", before, after, ast.BinOp(node.left, operator, node.right))
        elif isinstance(node, ast.BoolOp):
            conjunction = isinstance(node.op, ast.And)
            before, after = ("and", "or") if conjunction else ("or", "and")
            operator = ast.Or() if conjunction else ast.And()
            self._add(node, "operator", before, after, ast.BoolOp(operator, node.values))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            self._add(node, "operator", "not" if isinstance(node.op, ast.Not) else "-", "", node.operand)
        elif isinstance(node, ast.Compare):
            for i, operator in enumerate(node.ops):
                before = SIGNS[type(operator)]
                for after in COMPARISONS.get(before) or OTHERS[before]:
                    signs = [*node.ops[:i], COMPARED[after], *node.ops[i + 1 :]]
                    changed = ast.Compare(node.left, signs, node.comparators)
                    self._add(node, "comparison", f"{before} (number {i + 1})", after, changed)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            value = node.value
            after = str(not value) if isinstance(value, bool) else constant_after(value)
            changed = ast.parse(after, mode="eval").body
            self._add(node, "constant", repr(value), after, changed)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in EXTREMES:
                func = copy.copy(node.func)
                setattr(func, "id" if isinstance(func, ast.Name) else "attr", EXTREMES[name])
                self._add(node, "extreme", name, EXTREMES[name], ast.Call(func, node.args, node.keywords))
        elif _can_go(node):
            self._add(node, "dropped", ast.unparse(node).partition("\n")[0], "", None)

    def with_mutants(self, numbers: dict[Mutant, int]) -> str:
        """The text where `minidl_mutant(k)` switches mutant k."""
        tree = _Switches(self.changes, numbers).visit(_copy(self.tree))
        body, at = tree.body, 0
        while at < len(body) and (_is_text(body[at]) or getattr(body[at], "module", "") == "__future__"):
            at += 1
        body.insert(at, ast.parse(f"from mutant_switch import {SWITCH}").body[0])
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _copy(tree: ast.Module) -> ast.Module:
    """A deep copy; each node's `origin` is the node that it is a copy of."""
    made = copy.deepcopy(tree)
    for old, new in zip(ast.walk(tree), ast.walk(made)):
        new.origin = old  # type: ignore[attr-defined]
    return made


def _in_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of functions' bodies that may be changed."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                yield from _changeable(statement)
        else:
            yield from _in_functions(node)


def _changeable(node: ast.AST) -> Iterator[ast.AST]:
    if _is_text(node):
        return
    yield node
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "decorator_list", "args" if isinstance(node, ast.FunctionDef) else "", "pattern"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changeable(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _can_go(node: ast.AST) -> bool:
    """Whether the statement can be dropped: the names that others need must still be there."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Break | ast.Continue | ast.Delete)


class _Switches(ast.NodeTransformer):
    def __init__(self, changes: dict[ast.AST, list[tuple[Mutant, ast.AST | None]]], numbers: dict[Mutant, int]) -> None:
        self.changes, self.numbers = changes, numbers

    def visit(self, node: ast.AST) -> ast.AST:
        """The node with what is changed in it, behind as many switches as it has mutants."""
        chosen = [each for each in self.changes.get(node.origin, ()) if each[0] in self.numbers]  # type: ignore[attr-defined]
        result = self.generic_visit(node)
        for mutant, changed in chosen:
            call = f"{SWITCH}({self.numbers[mutant]})"
            if changed is None:
                question = ast.parse(f"if not {call}: pass").body[0]
                assert isinstance(question, ast.If)
                assert isinstance(result, ast.stmt)
                question.body = [result]
                result = question
            else:
                test = ast.parse(call, mode="eval").body
                assert isinstance(changed, ast.expr)
                assert isinstance(result, ast.expr)
                result = ast.IfExp(test, changed, result)
        return result
