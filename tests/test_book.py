"""The book: every public name is in its reference, solutions are right, chapters are whole, includes exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from test_rooms import PACKAGE, ROOT

import minidl
from minidl import functional

DOCS = ROOT / "docs"
BOOK = DOCS / "book"
COURSE, OPERATIONS = BOOK / "course", BOOK / "operations"
CHAPTERS = sorted(COURSE.glob("[0-9][0-9]_*.md"))
FAMILIES = sorted(page for page in OPERATIONS.glob("*.md") if page.name != "index.md")
FORM = (
    *("Formula", "By hand", "The naive loops", "Checks", "With vectors", "How fast", "Traps", "Exercises"),
    *("literalinclude} ../../../minidl/kernels/reference/", "literalinclude} ../../../minidl/_ext/"),
    *("gradcheck", "witness", "<details><summary>Solutions</summary>"),
)
"""What every page of operations has."""

OTHERWISE = {"convolution.md": {"By hand"}, "optimisers.md": {"gradcheck"}}
"""Convolution's numbers stand within its derivation; an update has no gradient."""

INTERNAL = {"minidl.compiled.choice", "minidl.compiled.prediction", "minidl.kernels.contract", "minidl.onnx.writers"}
"""Modules whose `__all__` is for the other files of their room."""

pages = pytest.mark.parametrize("page", [*CHAPTERS, *FAMILIES], ids=lambda page: page.stem)


def documented() -> list[str]:
    """Modules that the reference documents whole, by its pages."""
    text = "".join(page.read_text("utf-8") for page in sorted((BOOK / "reference").glob("*.md")))
    return re.findall(r"(?m)^\.\. public:: (\S+)", text)


def public_modules() -> set[str]:
    """Every module with an `__all__` that is the face of its room."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if re.search(r"(?m)^ *__all__ =", path.read_text("utf-8")):
            parts = ("minidl", *path.relative_to(PACKAGE).with_suffix("").parts)
            found.add(".".join(parts).removesuffix(".__init__"))
    # A file of a room offers through the room what is in its own `__all__`.
    return {name for name in found if name.rpartition(".")[0] not in {"minidl.layers", "minidl.sklearn"}} - INTERNAL


def extension(name: str):
    """A module of docs/extensions that needs no Sphinx to be imported."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_module_is_in_the_reference():
    assert len(documented()) == len(set(documented()))
    assert public_modules() <= set(documented())


def names_of(module: str) -> list[str]:
    found = importlib.import_module(module)
    own = (name for name, value in vars(found).items() if getattr(value, "__module__", None) == module)
    return list(getattr(found, "__all__", None) or (name for name in own if name[0] != "_"))


@pytest.mark.parametrize("module", documented())
def test_no_public_name_is_undocumented(module):
    """A docstring of its own, or, of a constant, a text below it in the file that defines it."""
    if module == "minidl.sklearn":
        pytest.importorskip("sklearn")
    found = importlib.import_module(module)
    assert inspect.getdoc(found)
    assert names_of(module)
    source = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    for name in names_of(module):
        value = getattr(found, name)
        if callable(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), name
        elif not name.startswith("__"):
            assert re.search(rf'(?ms)^{name}\b[^=\n]*= .*?^"""', source), name


def test_every_module_that_minidl_names_is_in_the_reference():
    modules = {f"minidl.{name}" for name in minidl.__all__ if inspect.ismodule(getattr(minidl, name))}
    assert modules <= set(documented())


def cells(page: Path) -> list[str]:
    """The code of a page, without the options of cells."""
    found = re.findall(r"(?ms)^```\{code-cell\} python\n(.*?)^```$", page.read_text("utf-8"))
    return [re.sub(r"\A(?::.*\n)+\n?", "", cell) for cell in found]


@pages
def test_cells_are_python_and_pages_are_executed(page):
    text = page.read_text("utf-8")
    assert text.startswith("---\nfile_format: mystnb\n")
    assert len(cells(page)) >= 4
    for cell in cells(page):
        ast.parse(cell)


def test_there_are_ten_chapters():
    assert [chapter.name[:2] for chapter in CHAPTERS] == [f"{i:02}" for i in range(1, 11)]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda page: page.stem)
def test_every_chapter_ends_with_three_questions(chapter):
    last = re.split(r"(?m)^## ", chapter.read_text("utf-8"))[-1]
    assert last.startswith("Three questions\n")
    assert re.findall(r"(?m)^(\d)\. ", last) == ["1", "2", "3"]


def test_the_teacher_has_three_answers_for_each_chapter():
    text = (COURSE / "teacher.md").read_text("utf-8")
    answers = re.split(r"(?m)^### Chapter (\d+)\n", text)[1:]
    assert answers[::2] == [str(i) for i in range(1, 11)]
    for answer in answers[1::2]:
        assert re.findall(r"(?m)^(\d)\. ", answer) == ["1", "2", "3"]
    for chapter in CHAPTERS:
        assert f"({chapter.name})" in text


def slides():
    """The module that makes the chapters' pictures again, larger."""
    spec = importlib.util.spec_from_file_location("slides", BOOK / "slides.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_teacher_has_the_pictures_of_each_chapter():
    text = (COURSE / "teacher.md").read_text("utf-8")
    assert re.findall(r"(?m)^slides\.show\((\d+)\)$", text) == [str(i) for i in range(1, 11)]


def test_slides_are_the_figures_of_a_chapter_in_the_size_of_a_projector(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(BOOK))
    monkeypatch.setattr(sys, "argv", ["slides.py", str(tmp_path), "3"])
    slides().main()
    heads = {path.name: path.read_bytes()[:24] for path in tmp_path.iterdir()}
    assert sorted(heads) == [f"03_step_{i}.png" for i in range(1, 6)]
    for head in heads.values():
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        assert width <= 1920
        assert height <= 1080
        assert width >= 1918 or height >= 1078  # a part of a pixel is left away
    with pytest.raises(ValueError, match="no chapter 11"):
        slides().pictures(11)


@pytest.mark.parametrize("page", FAMILIES, ids=lambda page: page.stem)
def test_pages_of_operations_have_one_form(page):
    text = page.read_text("utf-8")
    assert [part for part in FORM if part not in text] == sorted(OTHERWISE.get(page.name, set()))
    assert (BOOK / "solutions" / f"{page.stem}.py").exists()
    assert "(" + page.name + ")" in (OPERATIONS / "index.md").read_text("utf-8")


@pages
def test_includes_and_their_borders_exist(page):
    for path, options in re.findall(r"```\{literalinclude\} (\S+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        included = (page.parent / path).resolve()
        if included.is_relative_to(ROOT / "minidl"):
            included = PACKAGE / included.relative_to(ROOT / "minidl")
        source = included.read_text("utf-8")
        for option, value in re.findall(r"(?m)^:(pyobject|start-at|end-before): (.*)$", options):
            assert (f"def {value}(" if option == "pyobject" else value) in source, (path, value)


def test_every_page_is_in_the_contents():
    """What docs/index.md and the other lists link to is all that there is."""
    listed = {(DOCS / "index.md")}
    for index in [DOCS / "index.md", *DOCS.rglob("*/index.md")]:
        text = index.read_text("utf-8")
        listed |= {(index.parent / link).resolve() for link in re.findall(r"\]\(([\w./-]+\.md)\)", text)}
    assert {page for page in DOCS.rglob("*.md") if "zh" not in page.relative_to(DOCS).parts} <= listed


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def solution(name: str):
    """A module of docs/book/solutions."""
    spec = importlib.util.spec_from_file_location(f"solutions_{name}", BOOK / "solutions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_solutions_of_convolution(rng):
    s = solution("convolution")
    assert s.output_size(9, 3, stride=2, padding=1, dilation=2) == 4
    x, w = rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(4, 3, 3, 2))
    np.testing.assert_allclose(s.by_product(x, w), functional.conv2d_forward(x, w), rtol=1e-12)
    dy = rng.normal(size=(4, 4))
    dx = functional.conv2d_backward(dy[None, None], x[:1, :1, :6, :5], w[:1, :1])[0]
    np.testing.assert_allclose(s.input_gradient(dy, w[0, 0]), dx[0, 0], rtol=1e-12)
    column, row = rng.normal(size=3), rng.normal(size=2)
    expected = functional.conv2d_forward(x[:1, :1], np.outer(column, row)[None, None])[0, 0]
    np.testing.assert_allclose(s.separable(x[0, 0], column, row), expected, rtol=1e-12)


def test_solutions_of_transposed(rng):
    x, w = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    for stride in (1, 2, 3):
        expected = functional.conv_transpose2d_forward(x[None, None], w[None, None], stride=stride)[0, 0]
        np.testing.assert_allclose(solution("transposed").transposed(x, w, stride), expected, rtol=1e-12, atol=1e-15)


def test_solutions_of_pooling(rng):
    s = solution("pooling")
    x = rng.integers(0, 4, (7, 6)).astype(float)  # with many ties
    y, argmax = functional.maxpool2d_forward(x[None, None], 3, 2)
    assert (s.max_pool(x, 3, 2) == y[0, 0]).all()
    dy = rng.normal(size=y.shape)
    dx = functional.maxpool2d_backward(dy, argmax, (1, 1, 7, 6), 3, 2)
    np.testing.assert_allclose(s.max_pool_gradient(dy[0, 0], x, 3, 2), dx[0, 0], rtol=1e-12)


def test_solutions_of_linear(rng):
    x, w1, b1, w2, b2 = (rng.normal(size=shape) for shape in ((5, 4), (3, 4), (3,), (2, 3), (2,)))
    w, b = solution("linear").merged(w1, b1, w2, b2)
    expected = functional.linear_forward(functional.linear_forward(x, w1, b1), w2, b2)
    np.testing.assert_allclose(functional.linear_forward(x, w, b), expected, rtol=1e-12)


def test_solutions_of_products(rng):
    s = solution("products")
    q, k, v = (rng.normal(size=shape) for shape in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    scores = functional.matmul_forward(q, k.transpose(0, 2, 1).copy()) / 2
    expected = functional.matmul_forward(functional.softmax_forward(scores, 2), v)
    for i in range(2):
        np.testing.assert_allclose(s.attention(q[i], k[i], v[i]), expected[i], rtol=1e-12)
    x, dy = rng.normal(size=(2, 3, 5))
    y = functional.softmax_forward(x, log=True)
    np.testing.assert_allclose(s.log_softmax_gradient(dy, x), functional.softmax_backward(dy, y, log=True), rtol=1e-12)


def test_solutions_of_activations(rng):
    s = solution("activations")
    x = np.array([[-1000.0, -3, 0, 3, 1000]])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(s.sigmoid(x), functional.sigmoid_forward(x), rtol=1e-12, atol=1e-300)
    z, dy = rng.normal(size=(2, 3, 4))
    expected = functional.elementwise_backward(dy, z, "silu")
    np.testing.assert_allclose(s.silu_gradient(dy, z), expected, rtol=1e-12)


def test_solutions_of_normalisation(rng):
    s = solution("normalisation")
    x, dy, gamma, beta = (rng.normal(size=shape) for shape in ((4, 6), (4, 6), (6,), (6,)))
    y, mean, inv_std = functional.layernorm_forward(x, gamma, beta)
    ours, xhat = s.layer_norm(x, gamma, beta)
    np.testing.assert_allclose(ours, y, rtol=1e-12)
    expected = functional.layernorm_backward(dy, x, gamma, mean, inv_std)
    for a, b in zip(s.layer_norm_gradient(dy, x, xhat, gamma), expected):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    images, w = rng.normal(size=(2, 3, 5, 5)), rng.normal(size=(6, 3, 3, 3))
    m, v = rng.normal(size=6), rng.uniform(1, 2, 6)
    plain = functional.conv2d_forward(images, w)
    after, *_ = functional.batchnorm_forward(plain, gamma, beta, m.copy(), v.copy(), train=False)
    np.testing.assert_allclose(
        functional.conv2d_forward(images, *s.folded(w, gamma, beta, m, v)), after, rtol=1e-10, atol=1e-12
    )


def test_solutions_of_losses(rng):
    s = solution("losses")
    scores, labels = rng.normal(size=(5, 4)), rng.integers(0, 4, 5)
    loss, gradient, _ = functional.softmax_cross_entropy(scores, labels)
    ours = s.cross_entropy(scores, labels)
    assert ours[0] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(ours[1], gradient, rtol=1e-12)
    assert s.cross_entropy(np.array([[1000.0, 0.0]]), np.array([0]))[0] == 0


def test_solutions_of_dropout(rng):
    s = solution("dropout")
    x = np.ones((200, 200))
    y, factors = s.dropout(x, 0.25, rng)
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert (s.dropout_gradient(x, factors) == y).all()


def test_solutions_of_optimisers(rng):
    p, g = rng.normal(size=(2, 5))
    ours, m, v = p.copy(), np.zeros(5), np.zeros(5)
    adam = solution("optimisers").Adam(ours, 0.1)
    for step in range(1, 6):
        adam.step(g * step)
        functional.adam_update(p, g * step, m, v, step, 0.1, 0.9, 0.999, 1e-8, 0.0)
        np.testing.assert_allclose(ours, p, rtol=1e-12)


def test_solutions_of_capsules(rng):
    s = solution("capsules")
    x, dv = rng.normal(size=(2, 3))
    np.testing.assert_allclose(s.squash(x), functional.squash_forward(x[None], 3)[0, 0], rtol=1e-12)
    expected = functional.squash_backward(dv[None, None], x[None], 3)[0]
    np.testing.assert_allclose(s.squash_gradient(dv, x), expected, rtol=1e-12)
    assert (s.squash_gradient(dv, np.zeros(3)) == 0).all()


def test_solutions_of_arithmetic(rng):
    a, b, dy = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 1, 4)), rng.normal(size=(2, 3, 4))
    ours = solution("arithmetic").product_gradient(dy, a, b)
    for x, y in zip(ours, functional.arithmetic_backward(dy, a, b, "*")):
        np.testing.assert_allclose(x, y, rtol=1e-12)


X = np.array([[1, 2, 0, -1], [0, 3, 1, 2], [-2, 1, 1, 0], [4, 0, -1, 1]], float)[None, None]


def test_stored_numbers_of_pytorch_are_those_of_the_pages():
    stored = json.loads((OPERATIONS / "pytorch.json").read_text("utf-8"))
    assert re.match(r"PyTorch \d+\.\d+.*tools/pytorch_numbers\.py$", stored["origin"])
    used = {name for page in FAMILIES for name in re.findall(r'witness\.compare\("(\w+)"', page.read_text("utf-8"))}
    activations = (OPERATIONS / "activations.md").read_text("utf-8")
    loops = re.findall(r"for name in \(([^)]*)\):\n    print\(name\)\n    witness", activations)
    used |= set(re.findall(r'"(\w+)"', "".join(loops))) | {"sgd", "rmsprop", "adam"}
    assert used <= set(stored)
    w = np.array([[[[2.0, 1], [-1, 0.5]]]])
    y = functional.conv2d_forward(X, w, np.array([0.5]))
    np.testing.assert_allclose(y, stored["convolution"]["y"], rtol=1e-12)
    dx, dw, db = functional.conv2d_backward(np.arange(1.0, 10).reshape(1, 1, 3, 3), X, w)
    for name, found in (("dx", dx), ("dw", dw), ("db", db)):
        np.testing.assert_allclose(found, stored["convolution"][name], rtol=1e-12)


DOCSTRING = [
    "Takes `Conv2D`, `x_` and *stars*: a_b.",
    "",
    "    y = a * b",
    "",
    "Returns |x|.",
    "- an item",
    "  and more",
]


def test_docstrings_become_restructured_text():
    text = "\n".join(extension("docstrings").converted(DOCSTRING))
    assert r"\ :py:obj:`Conv2D <minidl.Conv2D>`\ " in text
    assert r"\ ``x_``\ " in text
    assert r"\*stars\*: a\_b." in text
    assert "::\n\n        y = a * b\n" in text
    assert "Returns \\|x\\|.\n\n- an item\n  and more" in text


def test_links_that_leave_the_docs_are_led():
    lead = extension("outside").lead
    readme = {ROOT / "README.md": "/book/project/readme.md"}
    text = "[a](../README.md#speed) [b](data.md) [c](../Makefile) `[d](x.md)` [e](../minidl/)"
    found = lead(text, DOCS, DOCS, readme)
    assert found == "[a](/book/project/readme.md#speed) [b](/data.md) {download}`c </../Makefile>` `[d](x.md)` e"


def test_contents_follow_the_lists():
    trees = extension("contents").trees
    text = "- [a](a.md): x\n\n## B\n\n- [b](b/index.md)\n| [c](c.md) | x |\n- [out](../out.md)\n"
    tree = "```{toctree}\n:hidden:\n"
    assert trees("index", text) == f"{tree}\na\n```\n\n{tree}:caption: B\n\nb/index\nc\n```\n"
    assert ":caption:" not in trees("book/course/index", text)


def test_the_check_of_the_built_book_sees_faults(tmp_path):
    import check_book

    (tmp_path / "book" / "reference").mkdir(parents=True)
    (tmp_path / "b.html").write_text('<p id="there">', "utf-8")
    page = (
        '<a href="b.html#there"></a><a href="b.html#gone"></a><a href="c.html"></a><a href="https://example.org"></a>'
    )
    (tmp_path / "a.html").write_text(page + '<script src="https://example.org/x.js"></script>', "utf-8")
    assert list(check_book.broken(tmp_path)) == [
        "a.html: b.html#gone has no such anchor",
        "a.html: c.html is not there",
        "a.html: loads https://example.org/x.js",
    ]
    lacking = set(check_book.missing(tmp_path))
    assert {"minidl.Conv2D has no entry", "minidl.data.load_mnist has no entry"} <= lacking
    entries = "".join(f'<dt id="{line.split()[0]}">' for line in lacking)
    (tmp_path / "book" / "reference" / "all.html").write_text(entries, "utf-8")
    assert list(check_book.missing(tmp_path)) == []


CATALOGUES = DOCS / "zh" / "locale" / "zh_CN" / "LC_MESSAGES"
TRANSLATED = [COURSE / "index.md", *CHAPTERS, COURSE / "teacher.md", DOCS / "live.md"]


def messages(page: Path) -> dict[str, str]:
    """What the Chinese catalogue of a page has, by the English text."""
    text = (CATALOGUES / page.relative_to(DOCS)).with_suffix(".po").read_text("utf-8")
    pairs = re.findall(r'(?m)^msgid (".+")\nmsgstr (".+")$', text)
    return {json.loads(english): json.loads(chinese) for english, chinese in pairs}


def paragraphs(page: Path) -> list[str]:
    """Paragraphs, headings and items of a page in one line each, without code, tables and links."""
    text = re.sub(r"(?ms)\A---.*?^---$|^```.*?^```$|^    .*?$|^\|.*?$", "", page.read_text("utf-8"))
    parts = re.split(r"\n\s*\n|\n(?=[-*] |\d+\. )", text)
    return [" ".join(re.sub(r"^\s*(#+|[-*]) ", "", part).split()) for part in parts if part.strip()]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.stem)
def test_the_chinese_catalogues_are_those_of_the_pages(page):
    """Each paragraph is there in Chinese, and nothing is left of what the page no longer says."""
    table = messages(page)
    plain = " ".join(page.read_text("utf-8").replace("|", " ").split())
    for english, chinese in table.items():
        assert re.search(r"[\u4e00-\u9fff]", chinese)
        assert re.findall(r"\]\([^\s)]+\)", english) == re.findall(r"\]\([^\s)]+\)", chinese)
        if "](" not in english:
            assert english.removeprefix("1. ") in plain, english
    for part in paragraphs(page):
        words = re.sub(r"^\d+\. ", "", part)
        assert "](" in words or any(words in english for english in table), words
