"""The text by its lines, the HTML by what a parser reads out of it."""

from __future__ import annotations

import copy
import pickle
from html.parser import HTMLParser

import minidl
from minidl.support.table import Table, table

HEAD = ("name", "note", "count")
ROWS = [("a<b & c", "", "1"), ("second", "", "23"), ("total", "", "24")]
TEXT = """\
two rows
name     count
--------------
a<b & c      1
second      23
--------------
total       24"""


class Cells(HTMLParser):
    """Rows of (tag, alignment, text)."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append((tag, dict(attrs)["style"].rpartition(":")[2], ""))

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            tag, side, text = self.rows[-1][-1]
            self.rows[-1][-1] = (tag, side, text + data)


def test_a_table_is_its_text():
    text = table(HEAD, ROWS, foot=1, caption="two rows")
    assert text == TEXT
    assert isinstance(text, str)
    assert str(text) == f"{text}" == TEXT


def test_html_has_the_same_cells_escaped():
    page = table(HEAD, ROWS, foot=1, caption="1 < 2")._repr_html_()
    assert "<caption" in page
    assert "1 &lt; 2" in page
    cells = Cells(page)
    assert cells.rows == [
        [("th", "left", "name"), ("th", "right", "count")],
        [("td", "left", "a<b & c"), ("td", "right", "1")],
        [("td", "left", "second"), ("td", "right", "23")],
        [("th", "left", "total"), ("th", "right", "24")],
    ]
    assert [tag for tag in cells.tags if tag in ("thead", "tbody", "tfoot")] == ["thead", "tbody", "tfoot"]
    assert "tfoot" not in Cells(table(HEAD, ROWS)._repr_html_()).tags


def test_copies_and_pickles_keep_both_forms():
    text = table(HEAD, ROWS, foot=1)
    for other in (copy.copy(text), copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert type(other) is Table
        assert other == text
        assert other._repr_html_() == text._repr_html_()


def test_the_summary_of_a_model_is_a_table_in_notebooks():
    model = minidl.Model(minidl.Linear(3, 2))
    cells = Cells(model.summary((3,))._repr_html_()).rows
    assert [text for _, _, text in cells[0]] == ["", "layer", "output", "parameters", "multiply-adds"]
    assert [text for _, _, text in cells[-1]] == ["", "total", "2", "8", "6"]
