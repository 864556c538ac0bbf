"""Where faults can be put into a C source, and the source with some of them, each behind a switch.

The parser knows as much C as minidl's kernels use: functions at the top, statements, declarations, expressions. Outside
of functions, in macros, in what must be constant (enumerations, static tables, sizes of arrays, labels) nothing is
changed. What it takes for changeable and is not, a compiler refuses: see `building.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mutating.mutant import COMPARISONS, EXTREMES, Mutant

TOKEN = re.compile(
    r"""(?P<space>\s+|/\*.*?\*/|//[^\n]*)
      | (?P<directive>^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
OPERATORS = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "&&": "||", "||": "&&"}
OPERATORS |= {"&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<"}
ASSIGNMENTS = {"+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=", "&=": "|=", "|=": "&=", "<<=": ">>=", ">>=": "<<="}
ASSIGNMENTS |= {"^=": "&=", "%=": "/="}
OPEN, CLOSED = "([{", ")]}"
TYPES = {"void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "size_t", "ptrdiff_t", "T"}
TYPES |= {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {
    "const",
    "volatile",
    "restrict",
    "struct",
}
TYPEDEF = re.compile(r"typedef\b(?:[^;{]|\{[^}]*\})*?\b(\w+)\s*(?:__attribute__\s*\(\([^;]*)?;")
POINTED = re.compile(r"typedef[^;{]*\(\s*\*\s*(\w+)\)")
CONSTANT = ("static", "enum", "typedef", "union", "goto", "__asm__", "_Static_assert")
"""Words at the start of statements that are left as they are."""


@dataclass(frozen=True)
class Token:
    """A piece of the source, from `start` to `end`."""

    kind: str
    text: str
    start: int
    end: int


@dataclass
class Place:
    """A full expression or a whole statement, and the changes within it: (mutant, start, end, new text)."""

    start: int
    end: int
    statement: bool
    changes: list[tuple[Mutant, int, int, str]] = field(default_factory=list)


class UnknownError(Exception):
    """The parser does not understand a function; it is left as it is."""


def type_names(sources: Iterable[str]) -> set[str]:
    """C's own types and those that these sources define."""
    return TYPES.union(*(TYPEDEF.findall(text) + POINTED.findall(text) for text in sources))


class Source:
    """One file: `mutants()` are all faults it can get, `with_mutants` is its text with some of them."""

    def __init__(self, path: str, text: str, types: set[str]) -> None:
        self.path, self.text, self.types = path, text, types
        self.tokens: list[Token] = []
        self.directives: list[int] = []
        for found in TOKEN.finditer(text):
            kind = found.lastgroup or ""
            if kind == "directive":
                self.directives.append(found.start())
            elif kind != "space":
                self.tokens.append(Token(kind, found[0], found.start(), found.end()))
        self.match = self._matches()
        self.places: list[Place] = []
        self.cast_ends: set[int] = set()
        self._functions()

    def mutants(self) -> list[Mutant]:
        """Every fault that this file can get."""
        return [change[0] for place in self.places for change in place.changes]

    # ---- parsing -----------------------------------------------------------------------------------------------------

    def _matches(self) -> dict[int, int]:
        match, stack = {}, []
        for i, token in enumerate(self.tokens):
            if token.text in OPEN:
                stack.append(i)
            elif token.text in CLOSED:
                match[stack.pop()] = i
        return match

    def _functions(self) -> None:
        i = 0
        while i < len(self.tokens):
            if self.tokens[i].text == "{":
                if self.tokens[i - 1].text == ")":
                    before = len(self.places)
                    try:
                        self._block(i)
                    except UnknownError:
                        del self.places[before:]
                i = self.match[i]
            i += 1

    def _block(self, i: int) -> int:
        end = self.match[i]
        i += 1
        while i < end:
            i = self._statement(i, False)
        return end + 1

    def _statement(self, i: int, conditional: bool) -> int:
        """Of the statement that starts at token i; the number of the token behind it."""
        text = self.tokens[i].text
        if text == "{":
            return self._block(i)
        if text in ("if", "while", "switch", "for"):
            end = self.match[i + 1]
            self._header(i + 2, end)
            i = self._statement(end + 1, text != "switch")
            if text == "if" and self.tokens[i].text == "else":
                i = self._statement(i + 1, True)
            return i
        if text == "do":
            i = self._statement(i + 1, False)
            self._expression(i + 2, self.match[i + 1])
            return self.match[i + 1] + 2
        if text in ("case", "default"):
            while self.tokens[i].text != ":":
                i += 1
            return self._statement(i + 1, False)
        if text == "UNROLL":
            return self._statement(i + 1, False)
        if text == "UNROLL_BY":
            return self._statement(self.match[i + 1] + 1, False)
        end = self._until(i, len(self.tokens), ";}")
        if self.tokens[end].text == "}":  # a macro that is no statement, at the end of a block
            return end
        if text in CONSTANT or self._interrupted(i, end):
            return end + 1
        if text in self.types:
            self._declaration(i, end)
            return end + 1
        if text == "return":
            self._expression(i + 1, end)
        elif text not in ("break", "continue", ";"):
            self._expression(i, end)
        leaves = text in ("return", "break", "continue")
        idle = text in (";", "__builtin_prefetch", "__builtin_unreachable") or self._between(i, i + 3) == "(void)"
        if not idle and (conditional or not leaves):
            self._drop(i, end)
        return end + 1

    def _header(self, i: int, end: int) -> None:
        while i < end:
            stop = self._until(i, end, ";")
            if self.tokens[i].text in self.types:
                self._declaration(i, stop)
            else:
                self._expression(i, stop)
            i = stop + 1

    def _declaration(self, i: int, end: int) -> None:
        """Only what stands behind "=" is an expression; sizes of arrays stay."""
        while i < end:
            stop = self._until(i, end, ",")
            equals = self._until(i, stop, "=")
            if equals < stop:
                self._expression(equals + 1, stop)
            i = stop + 1

    def _list(self, i: int, end: int) -> None:
        """The elements of an initialiser, with or without names."""
        while i < end:
            stop = self._until(i, end, ",")
            equals = self._until(i, stop, "=") if self.tokens[i].text in ".[" else stop
            self._expression(equals + 1 if equals < stop else i, stop)
            i = stop + 1

    def _expression(self, i: int, end: int) -> None:
        comma = self._until(i, end, ",")
        if comma < end:
            self._expression(i, comma)
            self._expression(comma + 1, end)
            return
        for k in self._flat(i, end):
            text = self.tokens[k].text
            if text == "=" or text in ASSIGNMENTS:
                self._inside(i, k)
                self._expression(k + 1, end)
                if text != "=":
                    place = self._place(i, end)
                    self._change(place, k, "operator", ASSIGNMENTS[text])
                return
        if i < end and self.tokens[i].text == "{":
            self._list(i + 1, self.match[i])
        elif i < end:
            self._inside(i, end)
            self._operands(self._place(i, end), i, end)

    def _inside(self, i: int, end: int) -> None:
        """What stands in brackets within these tokens."""
        for k in self._flat(i, end):
            if self.tokens[k].text in OPEN:
                close = self.match[k]
                if self.tokens[k].text == "{":
                    self._list(k + 1, close)
                elif self._is_type(k + 1, close):
                    self.cast_ends.add(close)
                else:
                    self._expression(k + 1, close)

    def _operands(self, place: Place, i: int, end: int) -> None:
        """Changes of operators, numbers and names that belong to this expression itself."""
        before = -1
        for k in self._flat(i, end):
            token, text = self.tokens[k], self.tokens[k].text
            last = self.match.get(before, before)
            binary = before >= 0 and last not in self.cast_ends and self._ends_operand(last)
            if text in COMPARISONS:
                for after in COMPARISONS[text]:
                    self._change(place, k, "comparison", after)
            elif text in OPERATORS and binary:
                self._change(place, k, "operator", OPERATORS[text])
            elif token.kind == "number":
                after = {"0": "1", "1": "0"}.get(text, f"({text} + 1)")
                self._change(place, k, "constant", after)
            elif text in EXTREMES:
                self._change(place, k, "extreme", EXTREMES[text])
            before = k

    def _ends_operand(self, k: int) -> bool:
        token = self.tokens[k]
        return token.text in CLOSED or (token.kind in ("number", "name", "string") and token.text != "sizeof")

    def _is_type(self, i: int, end: int) -> bool:
        return all(token.text == "*" or token.text in self.types for token in self.tokens[i:end])

    def _drop(self, i: int, end: int) -> None:
        place = Place(self.tokens[i].start, self.tokens[end].end, True)
        text = " ".join(self.text[place.start : place.end].split())
        self.places.append(place)
        place.changes.append((self._mutant(i, "dropped", text, ""), place.start, place.end, ""))

    def _place(self, i: int, end: int) -> Place:
        place = Place(self.tokens[i].start, self.tokens[end - 1].end, False)
        self.places.append(place)
        return place

    def _change(self, place: Place, k: int, kind: str, after: str) -> None:
        token = self.tokens[k]
        place.changes.append((self._mutant(k, kind, token.text, after), token.start, token.end, after))

    def _mutant(self, k: int, kind: str, before: str, after: str) -> Mutant:
        start = self.tokens[k].start
        first = self.text.rfind("\n", 0, start) + 1
        line = self.text[first:].split("\n", 1)[0]
        column = start - first - (len(line) - len(line.lstrip()))
        return Mutant(self.path, self.text.count("\n", 0, start) + 1, column, kind, before, after, line.strip())

    def _flat(self, i: int, end: int) -> Iterator[int]:
        """Numbers of the tokens that stand in no bracket of their own; of brackets the opening ones."""
        while i < end:
            yield i
            i = self.match.get(i, i) + 1

    def _until(self, i: int, end: int, signs: str) -> int:
        return next((k for k in self._flat(i, end) if self.tokens[k].text in signs), end)

    def _between(self, i: int, end: int) -> str:
        return "".join(token.text for token in self.tokens[i:end])

    def _interrupted(self, i: int, end: int) -> bool:
        """Whether a line of the preprocessor stands in between."""
        if end >= len(self.tokens):
            raise UnknownError
        return any(self.tokens[i].start < at < self.tokens[end].end for at in self.directives)

    # ---- writing -----------------------------------------------------------------------------------------------------

    def with_mutants(self, numbers: dict[Mutant, int]) -> tuple[str, list[tuple[int, int, list[Mutant]]]]:
        """The text where `minidl_mutant(k)` switches mutant k, and (first line, last line, mutants) of each change."""
        chosen = []
        for place in self.places:
            changes = [change for change in place.changes if change[0] in numbers]
            if changes:
                chosen.append(Place(place.start, place.end, place.statement, changes))
        chosen.sort(key=lambda place: (place.start, -place.end, not place.statement))
        writer = _Writer(self.text, chosen, numbers)
        writer.write(0, len(self.text), 0)
        return "".join(writer.pieces), writer.lines


class _Writer:
    """Writes a text with nested places."""

    def __init__(self, text: str, places: list[Place], numbers: dict[Mutant, int]) -> None:
        self.text, self.places, self.numbers = text, places, numbers
        self.pieces: list[str] = []
        self.line = 1
        self.lines: list[tuple[int, int, list[Mutant]]] = []

    def put(self, piece: str) -> None:
        self.pieces.append(piece)
        self.line += piece.count("\n")

    def write(self, start: int, end: int, n: int) -> int:
        """Text from start to end, whose first place is the n-th; the number of the place behind it."""
        while n < len(self.places) and self.places[n].start < end:
            place = self.places[n]
            self.put(self.text[start : place.start])
            start, n = place.end, self.replace(place, n)
        self.put(self.text[start:end])
        return n

    def replace(self, place: Place, n: int) -> int:
        first = self.line
        self.put("{" if place.statement else "(")
        for mutant, start, end, after in place.changes:
            number, own = self.numbers[mutant], self.line + 1
            alternative = self.text[place.start : start] + after + self.text[end : place.end]
            if place.statement:
                self.put(f"if (minidl_mutant({number})) {{\n{alternative}\n}} else ")
            else:
                self.put(f"minidl_mutant({number}) ? (\n{alternative}\n) : ")
            self.lines.append((own, self.line - 1, [mutant]))
        self.put("" if place.statement else "(")
        n = self.write(place.start, place.end, n + 1)
        self.put("}" if place.statement else "))")
        self.lines.append((first, self.line, [change[0] for change in place.changes]))
        return n
