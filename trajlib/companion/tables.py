"""The one table of the book, and the sentence that numbers of a run stand in.

A table has a rule above, below the head and at the end; its cells are strings, numbers one below the other at their decimal points. On a
screen that has no room for it, each row becomes a short list of its own, so that nothing scrolls sideways.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

__all__ = ["Sentence", "Table"]

NUMBER = re.compile(r"(?P<whole>[<≥≤]?[+\-−]?\d[\d,]*)(?![\d-])")
"""What a cell of numbers begins with: all before the decimal point."""
ROOM = 40
"""Letters in a line, on a phone."""


class Sentence(str):
    """Numbers of a run, in words: shown as a paragraph of the text."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<p class="tl-said">{_text(self)}</p>'


class Table:
    """A small table that a notebook shows.

    Parameters
    ----------
    head : sequence of str
        Names of the columns, with their units. The first column names the rows.
    rows : iterable of sequences
        Cells; what is no string is written as one. Text between backticks is code.
    caption : str, optional
        What the table shows.

    Raises
    ------
    ValueError
        If a row has not as many cells as the head.

    Examples
    --------
    >>> Table(("rate", "loss"), [("0.1", "12.5"), ("1", "3")])
    rate  loss
    0.1   12.5
    1      3
    """

    def __init__(self, head: Sequence[str], rows: Iterable[Sequence[object]], caption: str = ""):
        self.head, self.caption = list(head), caption
        self.rows = [[str(cell) for cell in row] for row in rows]
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"a row must have {len(self.head)} cells, as the head has, got {len(row)}: {row}")
        self._pads = [_pads([row[k] for row in self.rows]) for k in range(len(self.head))]

    def __repr__(self) -> str:
        padded = [[" " * len(pads[i]) + row[k] for k, pads in enumerate(self._pads)] for i, row in enumerate(self.rows)]
        widths = [max(map(len, column)) for column in zip(self.head, *padded, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (self.head, *padded)]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        stacked = self._width() > ROOM

        def role(name: str) -> str:
            # a list has lost what the elements of a table say by themselves
            return f' role="{name}"' if stacked else ""

        def label(name: str, cell: str = "-") -> str:
            return f' data-label="{html.escape(name)}"' if stacked and name and cell else ""

        head = "".join(f'<th scope="col"{role("columnheader")}>{_text(name)}</th>' for name in self.head)
        rows = []
        for i, (first, *cells) in enumerate(self.rows):
            of = [
                f'<th scope="row"{role("rowheader")}{label(self.head[0])}{_pad(self._pads[0][i])}>{_text(first)}</th>'
            ]
            for k, cell in enumerate(cells, start=1):
                of.append(f"<td{role('cell')}{label(self.head[k], cell)}{_pad(self._pads[k][i])}>{_text(cell)}</td>")
            rows.append(f"<tr{role('row')}>{''.join(of)}</tr>")
        caption = f"<caption>{_text(self.caption)}</caption>" if self.caption else ""
        return (
            f'<table class="tl-table{" tl-stack" if stacked else ""}"{role("table")}>{caption}'
            f"<thead{role('rowgroup')}><tr{role('row')}>{head}</tr></thead>"
            f"<tbody{role('rowgroup')}>{''.join(rows)}</tbody></table>"
        )

    def _width(self) -> int:
        """Letters that the table needs beside each other; the head, and the names of the rows, can break between words."""

        def word(text: str) -> int:
            return max(map(len, text.split()), default=0)

        columns = zip(self.head, *self.rows, strict=True)
        return sum(
            2 + max(word(head), *(len(cell) if k else min(len(cell), max(12, word(cell))) for cell in cells), 0)
            for k, (head, *cells) in enumerate(columns)
        )


def _pads(column: list[str]) -> list[str]:
    """What has to stand before each cell, unseen, for the decimal points to be in line; nothing in a column that is not one of numbers."""
    found = [NUMBER.match(cell) for cell in column]
    if any(cell not in ("", "–") and not number for cell, number in zip(column, found, strict=True)):
        return [""] * len(column)
    widest = max((number["whole"] for number in found if number), key=len, default="")
    return [widest[: len(widest) - len(number["whole"])] if number else "" for number in found]


def _pad(text: str) -> str:
    return f' data-pad="{html.escape(text).replace("-", "−")}"' if text else ""


def _text(text: str) -> str:
    """As HTML, with minus signs, and code between backticks."""
    signed = re.sub(r"(?<![\w.)\]])-(?=\d)", "−", html.escape(text, quote=False))
    if NUMBER.match(text):  # a line may break before what is in brackets, not within
        signed = re.sub(r" (\([^()]*\))$", r" <span>\1</span>", signed)
        signed = re.sub(r"(?<=\d) (?=[^\d\s(<±]+$)", "\N{NO-BREAK SPACE}", signed)  # nor before a unit
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", signed)
