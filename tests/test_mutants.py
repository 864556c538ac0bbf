"""The tool that puts faults into sources (`tools/mutants.py`): each is behind its switch, nothing else has changed."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

pytest.importorskip("mutating", reason="the tools are not there")
from mutating import building, c_source, python_source
from mutating.mutant import Mutant

IN_C = """\
/* a * b */
enum { SIZE = 4 };
#define TWICE(x) ((x) * 2)
typedef long size;
static const int table[] = {1, 2};
size smaller(size a, size b) { return a < b ? a : b; }
size larger(size a, size b) { return a > b ? a : b; }
size work(const size *x, size n) {
    size sum[SIZE] = {0, 0, 5}, *last = sum + 3;
    for (size i = 0; i < n; i++) {
        if (x[i] == 7 && i) continue;
        sum[i & 1] += TWICE(x[i]) - (size)-x[i];
    }
    *last = smaller(sum[0], sum[1]);
    switch (n) {
    case 2: return *last * table[1];
    default: break;
    }
    return *last + sum[2];
}
"""
IN_PYTHON = '''\
"""A text with 1 + 1."""
from __future__ import annotations
LIMIT = 3
def work(x: list[int], start: int = 0) -> int:
    """1 + 1"""
    total = start
    for i, value in enumerate(x):
        if value == 7 and i:
            continue
        total += 2 * min(value, LIMIT) - 1
    if not total > 0:
        raise ValueError("more than 0 + 0")
    return max(total, 5)
'''


def numbered(mutants: list[Mutant]) -> dict[Mutant, int]:
    return {mutant: number for number, mutant in enumerate(mutants, 1)}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """The C function with a switch for each of its mutants, and these."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("c")
    source = c_source.Source("a.c", IN_C, c_source.type_names([IN_C]))
    numbers = numbered(source.mutants())
    text = source.with_mutants(numbers)[0]
    (folder / "a.c").write_text(building.SWITCHES.format(count=len(numbers) + 1) + text)
    library = folder / "a.so"
    command = ["gcc", "-shared", "-fPIC", "-w", "-include", building.HERE / "switch.h", folder / "a.c", "-o", library]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library)), numbers


def run(library: ctypes.CDLL, number: int, values: list[int]) -> int:
    ctypes.c_int.in_dll(library, "minidl_mutant_now").value = number
    return library.work((ctypes.c_long * (len(values) + 2))(*values, 100, 100), ctypes.c_long(len(values)))


def one(numbers: dict[Mutant, int], text: str, before: str, after: str) -> int:
    found = [n for m, n in numbers.items() if (m.before, m.after) == (before, after) and text in m.text]
    assert len(found) == 1, [m for m in numbers if text in m.text]
    return found[0]


def test_c_without_a_mutant(kernel):
    library, _ = kernel
    assert run(library, 0, [1, 2, 3]) == 6 + 5
    assert run(library, 0, [7, 7, 2]) == 0 + 5
    assert run(library, 0, [3, 2]) == 12


@pytest.mark.parametrize(
    ("text", "before", "after", "result"),
    [
        ("*last = smaller", "smaller", "larger", 12 + 5),
        ("*last = smaller", "*last = smaller(sum[0], sum[1]);", "", 0 + 5),
        ("*last = smaller", "1", "0", 12 + 5),
        ("for (size i", "0", "1", 6 + 5),
        ("for (size i", "<", "<=", 12 + 5),
        ("for (size i", "<", ">=", 0 + 5),
        ("sum[SIZE]", "5", "(5 + 1)", 6 + 6),
        ("sum[i & 1]", "-", "+", 2 + 5),
        ("sum[i & 1]", "&", "|", 5),
        ("return *last + sum[2]", "+", "-", 6 - 5),
    ],
)
def test_c_with_a_mutant(kernel, text, before, after, result):
    library, numbers = kernel
    assert run(library, one(numbers, text, before, after), [1, 2, 3]) == result


def test_c_with_mutants_of_branches(kernel):
    library, numbers = kernel
    assert run(library, one(numbers, "x[i] == 7", "&&", "||"), [7, 7, 2]) == 0 + 5
    assert run(library, one(numbers, "x[i] == 7", "continue;", ""), [7, 7, 2]) == 21 + 5
    assert run(library, one(numbers, "x[i] == 7", "==", "!="), [7, 7, 2]) == 21 + 5


def test_what_stays_in_c(kernel):
    _, numbers = kernel
    assert not [m for m in numbers if m.text.startswith(("/*", "enum", "#define", "static const", "default"))]
    assert not [m for m in numbers if m.text.startswith("case") and m.before == "2"]
    assert len([m for m in numbers if m.before == "-" and "(size)-x[i]" in m.text]) == 1


def test_a_mutant_that_does_not_compile_is_found(tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    text = "int *next(int *p) { return p - -1; }\nint two(int a) { return a - 1; }\n"
    source = c_source.Source("minidl/_ext/isa/a.c", text, c_source.type_names([text]))
    numbers = numbered(source.mutants())
    pointers = "int far(int *p, int *q) { return q - p; }\n"
    refused = c_source.Source("minidl/_ext/isa/b.c", pointers, c_source.type_names([pointers]))
    numbers |= dict.fromkeys(refused.mutants(), 9)
    files = {"minidl/_ext/isa/a.c": source, "minidl/_ext/isa/b.c": refused}
    assert building.compile_kernels(files, numbers, tmp_path, lambda text: None) == set(refused.mutants())


@pytest.fixture
def module(monkeypatch):
    """The Python function with a switch for each of its mutants, these, and the switch."""
    source = python_source.Source("a.py", IN_PYTHON)
    numbers = numbered(source.mutants())
    switch = types.SimpleNamespace(now=0, minidl_mutant=lambda number: number == switch.now)
    monkeypatch.setitem(sys.modules, "mutant_switch", switch)
    names: dict = {}
    exec(compile(source.with_mutants(numbers), "a.py", "exec"), names)
    return names["work"], numbers, switch


def test_python_without_a_mutant(module):
    work, _, _ = module
    assert work([1, 7, 9]) == 1 + 5
    assert work([1]) == 5
    with pytest.raises(ValueError, match="more than 0"):
        work([0])


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ("== (number 1)", "!=", 6),
        ("continue", "", 11),
        ("and", "or", 5),
        ("min", "max", 5 + 17),
        ("2", "2 + 1", 2 + 8),
        ("*", "+", 2 + 4),
        ("max", "min", 5),
        ("total += 2 * min(value, LIMIT) - 1", "", None),
        ("raise ValueError('more than 0 + 0')", "", 6),
    ],
)
def test_python_with_a_mutant(module, before, after, result):
    work, numbers, switch = module
    switch.now = next(n for m, n in numbers.items() if (m.before, m.after) == (before, after))
    if result is None:
        with pytest.raises(ValueError, match="more than 0"):
            work([1, 7, 9])
    else:
        assert work([1, 7, 9]) == result


def test_what_stays_in_python(module):
    _, numbers, _ = module
    assert not [m for m in numbers if '"' in m.text and m.kind != "dropped"]
    assert not [m for m in numbers if m.text.startswith(("LIMIT", "def"))]


def test_the_sources_of_the_package_have_mutants_everywhere():
    files = building.sources()
    barren = {path for path, source in files.items() if not source.mutants() and path.endswith(".h")}
    assert barren <= {
        f"minidl/_ext/{name}.h"
        for name in ("core/compiler", "core/kernels", "core/pool", "core/program", "isa/detect", "isa/table")
    } | {"minidl/_ext/core/buffers.h", "minidl/_ext/core/setting.h"}
    assert {Path(path).parts[1] for path in files} >= {"_ext", "kernels", "layers", "training"}
    assert sum(len(source.mutants()) for source in files.values()) > 20_000
