"""The tables of the chapters, and sentences that carry numbers."""

import pytest
from bs4 import BeautifulSoup

from trajlib.companion.shown import Sentence, Table


def parsed(table):
    return BeautifulSoup(table._repr_html_(), "html.parser")


def test_a_table_shows_its_rows_escaped_and_as_text():
    table = Table(("step", "d < 1"), [("1,000", "0.97"), ("400", "`a<b`")], caption="Steps & more.")
    page = parsed(table)
    assert [th.text for th in page.thead.find_all("th")] == ["step", "d < 1"]
    assert [[cell.text for cell in row.find_all(["th", "td"])] for row in page.tbody.find_all("tr")] == [
        ["1,000", "0.97"],
        ["400", "a<b"],
    ]
    assert page.caption.text == "Steps & more." and page.tbody.code.text == "a<b"
    assert repr(table).splitlines() == ["step   d < 1", "1,000  0.97", "  400  `a<b`"]


def test_decimal_points_are_in_line():
    page = parsed(Table(("", "n"), [("a", "-12.5"), ("b", "3.25 (3 to 4)"), ("c", "–"), ("d", "")]))
    cells = page.tbody.find_all("td")
    assert [cell.get("data-pad", "") for cell in cells] == ["", "−1", "", ""] and cells[0].text == "−12.5"
    assert cells[1].span.text == "(3 to 4)"
    assert parsed(Table(("", "t"), [("a", "1.5 ms")])).td.text == "1.5\N{NO-BREAK SPACE}ms"
    words = parsed(Table(("", "n"), [("a", "100"), ("b", "none")]))
    assert not words.find_all(attrs={"data-pad": True})


def test_a_table_too_wide_for_a_phone_says_the_columns_beside_the_values():
    narrow, wide = (parsed(Table(["step", *("abcdef" * 2 for _ in range(n))], [["1"] * (n + 1)])) for n in (1, 6))
    assert narrow.table["class"] == ["tl-table"] and not narrow.find_all(attrs={"data-label": True})
    assert wide.table["class"] == ["tl-table", "tl-stack"]
    assert [cell["data-label"] for cell in wide.tbody.find_all(["th", "td"])] == ["step", *["abcdef" * 2] * 6]
    assert {element["role"] for element in wide.find_all(attrs={"role": True})} == {
        "table", "rowgroup", "row", "columnheader", "rowheader", "cell"
    }  # fmt: skip


def test_a_row_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must have 2 cells, as the head has, got 1"):
        Table(("a", "b"), [("1",)])


def test_a_sentence_is_a_paragraph():
    assert Sentence("-1 < `x`")._repr_html_() == '<p class="tl-said">−1 &lt; <code>x</code></p>'
    assert repr(Sentence("two words")) == "two words"
