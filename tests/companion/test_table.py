"""The small table of the chapters."""

from trajlib.companion.shown import Table


def test_a_table_shows_its_rows_escaped_and_as_text():
    table = Table(("step", "d < 1"), [("1,000", "0.97"), ("4,000", "0.95")])
    assert "<th>d &lt; 1</th>" in table._repr_html_()
    assert table._repr_html_().count("<tr>") == 3
    assert repr(table).splitlines() == ["step  d < 1", "1,000  0.97", "4,000  0.95"]
