"""The narrow version of a figure: the same panels below each other, at a width at which a phone shows their text large enough to read.

It is no second drawing: a copy of the figure, laid out anew. What was left out because a neighbour had it (tick labels, a label for a
whole row) comes back where the neighbour is no longer there, legends that would cover a panel move below it, and long titles are broken.
"""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

__all__ = ["narrow", "narrowed"]

WIDTH = 4.2
"""Inches. At 110 dots per inch that is 462 pixels, of which a phone shows two thirds: 9.5 points are nine or ten pixels there."""
SMALLEST = 9.5
"""Points: no text is smaller."""
_HINTS: WeakKeyDictionary[Figure, dict[str, Any]] = WeakKeyDictionary()


def narrow(figure: Figure, *, columns: int | None = None, legend: str | None = None, heights: float = 1.0) -> None:
    """Say how the narrow version of a figure is to be, where the general arrangement is poor.

    Parameters
    ----------
    figure : Figure
        A figure of the book.
    columns : int, optional
        Panels side by side. By default one, and two where there are more than four panels.
    legend : {"inside", "below"}, optional
        Where the legends of panels go. By default below those that they would cover.
    heights : float
        Heights of the panels over those in the wide version.
    """
    if legend not in (None, "inside", "below"):
        raise ValueError(f"legend must be 'inside' or 'below', got {legend!r}")
    _HINTS[figure] = {"columns": columns, "legend": legend, "heights": heights}


@dataclass
class _Panel:
    """One place of the grid, with all axes that share it, and where it was and is."""

    axes: list[Axes]
    was: tuple[int, int, int]  # row, column, columns that it spans
    size: tuple[float, float]  # inches
    row: int = 0
    column: int = 0
    whole: bool = False
    legends: list[Legend] = field(default_factory=list)

    @property
    def main(self) -> Axes:
        return self.axes[0]


def narrowed(figure: Figure, width: float = WIDTH) -> Figure:
    """A copy of a figure, laid out anew in a narrow column; it is not among the figures of pyplot.

    Parameters
    ----------
    figure : Figure
        With any number of panels on one grid. Figures with subfigures or several grids only become narrower.
    width : float
        Inches.

    Returns
    -------
    Figure
    """
    hints = _HINTS.get(figure, {"columns": None, "legend": None, "heights": 1.0})
    figure.draw_without_rendering()
    copy = _copied(figure)
    panels, across = _panels(copy)
    scale = hints["heights"] * min(1.0, width / copy.get_figwidth() if not panels else 1.0)
    copy.set_size_inches(width, copy.get_figheight() * scale)
    text: Any
    legend: Any
    for text in copy.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST))
    if not panels:
        return copy
    columns = hints["columns"] or (1 if len(panels) <= 4 else min(2, across))
    _place(panels, columns, across)
    _relabel(panels, columns)
    wanted = _heights(panels, columns, width, hints["heights"])
    for legend in copy.findobj(Legend):
        legend.set_in_layout(False)  # until it is known where it goes
    _arrange(copy, panels, columns, wanted, {})
    copy.draw_without_rendering()
    _shorten(copy, panels, columns, wanted)
    moved: dict[int, list[tuple[Axes, Legend]]] = {}
    for panel in panels:
        for ax in panel.axes:
            legend = ax.get_legend()
            if legend and (_is_large(ax, legend) if hints["legend"] is None else hints["legend"] == "below"):
                moved.setdefault(panel.row, []).append((ax, legend))
    for legend in list(copy.legends):
        _rebuilt(
            copy,
            legend,
            copy,
            width,
            loc=f"outside {'upper' if 'upper' in str(legend._outside_loc) else 'lower'} center",
        )
    _arrange(copy, panels, columns, wanted, moved)
    _fit(copy, wanted)
    _thin(copy, panels)
    return copy


def _copied(figure: Figure) -> Figure:
    """A copy that pyplot does not know of."""
    manager, figure.canvas.manager = figure.canvas.manager, None
    try:
        with np.errstate(over="ignore"):
            copy = pickle.loads(pickle.dumps(figure))
            for artist in copy.findobj(lambda artist: isinstance(artist, ScalarMappable)):
                data = artist.get_array()
                if data is not None and data.dtype == np.float16:  # too small for numpy's fill value of a masked array
                    artist.set_array(data.astype(np.float64))
        return copy
    finally:
        figure.canvas.manager = manager


def _panels(figure: Figure) -> tuple[list[_Panel], int]:
    """The panels in reading order, and how many are side by side; none where the figure has no one grid."""
    placed: dict[Any, list[Axes]] = {}
    for ax in figure.axes:
        if spec := ax.get_subplotspec():
            placed.setdefault(spec, []).append(ax)
    if figure.subfigs or len({id(spec.get_gridspec()) for spec in placed}) != 1:
        return [], 1
    panels = []
    for spec, axes in sorted(placed.items(), key=lambda item: item[0].num1):
        if not any(ax.axison or ax.has_data() or ax.texts for ax in axes):
            for ax in axes:
                ax.remove()
            continue
        box = axes[0].get_position()
        size = (box.width * figure.get_figwidth(), box.height * figure.get_figheight())
        panels.append(_Panel(axes, (spec.rowspan.start, spec.colspan.start, len(spec.colspan)), size))
    return panels, next(iter(placed)).get_gridspec().ncols


def _place(panels: list[_Panel], columns: int, across: int) -> None:
    """Rows and columns, in reading order; what went across all columns does so again."""
    row = column = 0
    for panel in panels:
        panel.whole = columns == 1 or panel.was[2] == across > 1
        if panel.whole and column:
            row, column = row + 1, 0
        panel.row, panel.column = row, column
        column += columns if panel.whole else 1
        if column >= columns:
            row, column = row + 1, 0


def _relabel(panels: list[_Panel], columns: int) -> None:
    """Tick labels and axis labels stand where no neighbour has them any more, and only there."""
    at = {(p.row, c): p for p in panels for c in (range(columns) if p.whole else [p.column])}
    for panel in panels:
        ax, others = panel.main, [p.main for p in panels if p is not panel]
        if sharing := [other for other in others if ax.get_shared_x_axes().joined(ax, other)]:
            below = at.get((panel.row + 1, panel.column))
            last = below is None or below.main not in sharing
            if last and not ax.get_xlabel():
                ax.set_xlabel(next((other.get_xlabel() for other in sharing[::-1] if other.get_xlabel()), ""))
            for one in panel.axes:
                one.tick_params(axis="x", labelbottom=last)
        sharing = [other for other in others if ax.get_shared_y_axes().joined(ax, other)]
        left = at.get((panel.row, panel.column - 1)) if panel.column else None
        if sharing:
            ax.tick_params(axis="y", labelleft=left is None or left.main not in sharing)
        if sharing and left is None and not ax.get_ylabel():
            ax.set_ylabel(next((other.get_ylabel() for other in sharing if other.get_ylabel()), ""))
    for panel in panels:  # after all labels have been handed on
        ax, below = panel.main, at.get((panel.row + 1, panel.column))
        if below and ax.get_shared_x_axes().joined(ax, below.main) and ax.get_xlabel() == below.main.get_xlabel():
            ax.set_xlabel("")
    twins = [(panel, ax) for panel in panels for ax in panel.axes[1:]]
    told = [ax for _, ax in twins if ax.get_ylabel()]
    if told and len({ax.get_ylabel() for ax in told}) == 1 and len(told) < len(twins):
        words, colour = told[0].get_ylabel(), told[0].yaxis.label.get_color()
        for panel, ax in twins:
            last = panel.whole or (panel.row, panel.column + 1) not in at
            ax.set_ylabel(words if last else "", color=colour)


def _heights(panels: list[_Panel], columns: int, width: float, scale: float) -> list[float]:
    """Inches of each row: those of the wide version, where the panels are not much higher than wide then."""
    found = [0.0] * (1 + max(panel.row for panel in panels))
    for panel in panels:
        wide, height = panel.size
        now = 0.8 * width / (1 if panel.whole else columns)
        if panel.main.get_aspect() != "auto":
            height *= now / wide
        elif not panel.whole:
            height = min(height, 1.1 * now)
        found[panel.row] = max(found[panel.row], scale * height)
    return found


def _arrange(figure: Figure, panels: list[_Panel], columns: int, wanted: list[float], moved: dict) -> None:
    """Put the panels on their grid; a row of panels whose legends moved is followed by one that holds them."""
    rows: list[tuple[int, float]] = []  # row of panels or -1, inches
    places: dict[int, int] = {}
    legends: list[tuple[int, list]] = []
    for row, height in enumerate(wanted):
        places[row] = len(rows)
        rows.append((row, height))
        for pair in moved.get(row, []):
            legends.append((len(rows), pair))
            rows.append((-1, 0.3))
    grid = figure.add_gridspec(len(rows), columns, height_ratios=[height for _, height in rows])
    for panel in panels:
        spec = grid[places[panel.row], :] if panel.whole else grid[places[panel.row], panel.column]
        for ax in panel.axes:
            ax.set_subplotspec(spec)
    for place, (ax, legend) in legends:
        holder = figure.add_subplot(grid[place, :], label="legend")
        holder.set_axis_off()
        box = _rebuilt(ax, legend, holder, figure.get_figwidth(), loc="center", borderaxespad=0).get_window_extent()
        rows[place] = (-1, box.height / figure.dpi)
    if legends:
        grid.set_height_ratios([height for _, height in rows])
    wanted[:] = [height for _, height in rows]
    figure.set_figheight(sum(wanted) + 0.5 * len(wanted))


def _fit(figure: Figure, wanted: list[float]) -> None:
    """Make the figure as high as its rows need: what labels and titles take is known once it has been laid out."""
    figure.draw_without_rendering()
    inner: dict[int, float] = {}
    for ax in figure.axes:
        if spec := ax.get_subplotspec():
            inner[spec.rowspan.start] = ax.get_position(original=True).height * figure.get_figheight()
    figure.set_figheight(figure.get_figheight() + sum(wanted) - sum(inner.values()))
    figure.draw_without_rendering()


def _is_large(ax: Axes, legend: Legend) -> bool:
    """Whether a legend stands outside of its panel, covers much of it, or lies on what is drawn."""
    box, panel = legend.get_window_extent(), ax.get_window_extent()
    inside = panel.x0 <= (box.x0 + box.x1) / 2 <= panel.x1 and panel.y0 <= (box.y0 + box.y1) / 2 <= panel.y1
    if not inside or box.width > 0.97 * panel.width or box.width * box.height > 0.3 * panel.width * panel.height:
        return True
    curves = (
        line for line in ax.lines if line.get_transform().contains_branch_seperately(ax.transData) == (True, True)
    )
    dots = (group for group in ax.collections if isinstance(group, PathCollection))
    return any(
        line.get_path().transformed(line.get_transform()).intersects_bbox(box, filled=False) for line in curves
    ) or any(
        box.contains(*place)
        for group in dots
        for place in group.get_offset_transform().transform(np.ma.filled(group.get_offsets(), np.nan))
    )


def _rebuilt(owner: Any, legend: Legend, holder: Any, width: float, **where) -> Legend:
    """The same legend in another place, with as many columns as there is room for."""
    labels = [text.get_text() for text in legend.get_texts()]
    handles: Any
    handles, names = owner.get_legend_handles_labels() if isinstance(owner, Axes) else ([], [])
    if names != labels:
        handles = legend.legend_handles
    title = legend.get_title().get_text() or None
    look = {"prop": legend.prop, "markerscale": legend.markerscale, "columnspacing": 1.2, "handletextpad": 0.5}
    legend.remove()
    new: Any = legend
    for ncols in range(min(len(labels), 5), 0, -1):
        new = holder.legend(handles, labels, title=title, ncols=ncols, **look, **where)
        if ncols == 1 or new.get_window_extent().width <= 0.96 * width * holder.figure.dpi:
            break
        new.remove()
    return new


def _texts(figure: Any, panels: list[_Panel], columns: int) -> Iterator[tuple[Any, float, bool]]:
    """Titles and labels, the pixels that each has, and whether it runs upwards."""
    whole, high = figure.bbox.width, figure.bbox.height
    ax: Any
    for panel in panels:
        for ax in panel.axes:
            box = ax.get_window_extent()
            end = whole if panel.whole or panel.column == columns - 1 else whole * (panel.column + 1) / columns
            for text in (ax._left_title, ax.title):
                yield text, end - box.x0, False
            yield ax.xaxis.label, min(end, 2 * (end - box.x0) - box.width) - 2, False
            yield ax.yaxis.label, box.height + 0.35 * figure.dpi, True
    for text, room, up in (
        (figure._supxlabel, whole, False),
        (figure._supylabel, high, True),
        (figure._suptitle, whole, False),
    ):
        if text:
            yield text, room, up


def _shorten(figure: Figure, panels: list[_Panel], columns: int, wanted: list[float]) -> None:
    """Break titles and labels that are longer than there is room, and names of rows where they leave little to the panel, which grows."""
    for text, room, up in _texts(figure, panels, columns):
        box = text.get_window_extent()
        length = box.height if up else box.width
        if text.get_text() and length > room:
            text.set_text(broken(text.get_text(), room / length))
    for panel in panels:
        ax, leaves = panel.main, panel.main.get_window_extent().width
        fixed = isinstance(ax.yaxis.get_major_locator(), FixedLocator)
        names = [label.get_text() for label in ax.get_yticklabels()] if fixed else []
        if leaves < 0.6 * figure.bbox.width / columns and any(len(name) > 12 for name in names):
            names = [_in_two(name) if len(name) > 12 and "\n" not in name else name for name in names]
            ax.set_yticks(ax.get_yticks(), names)
        if fixed and any("\n" in name for name in names) and len(names) > 1:
            ticks, size = ax.get_yticks(), max(label.get_fontsize() for label in ax.get_yticklabels())
            share = np.abs(np.diff(ticks)).min() / abs(np.subtract(*ax.get_ylim()))  # of the height, for each name
            lines = 1 + max(name.count("\n") for name in names)
            wanted[panel.row] = max(wanted[panel.row], 1.25 * lines * size / 72 / share)  # type: ignore[operator]  # points, never the name of a size


def _in_two(name: str) -> str:
    """A name in two lines, the first of them as short as that takes."""
    tried = (broken(name, share) for share in np.linspace(0.45, 0.95, 11))
    return next((text for text in tried if text.count("\n") < 2), name)


def broken(text: str, share: float) -> str:
    """A text in lines of at most a share of its length, not broken inside a formula.

    Examples
    --------
    >>> broken("which multiplier has left $a + b$", 0.6)
    'which multiplier\\nhas left $a + b$'
    >>> broken("power law, δ = 2, α = 1", 0.7)
    'power law,\\nδ = 2, α = 1'
    """
    most, lines = share * len(text), [""]
    for word in re.findall(r"(?:\$[^$]*\$| [=×<>] |[^ $])+", text):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _thin(figure: Figure, panels: list[_Panel]) -> None:
    """Leave out every second tick label where numbers run into each other; names are turned."""
    changed = False
    for ax in {ax for panel in panels for ax in panel.axes if isinstance(ax.xaxis.get_major_locator(), FixedLocator)}:
        ticks, labels = ax.get_xticks(), [label.get_text() for label in ax.get_xticklabels()]
        boxes = [
            label.get_window_extent() for label in ax.get_xticklabels() if label.get_text() and label.get_visible()
        ]
        if len(boxes) < 2 or min(b.x0 - a.x1 for a, b in itertools.pairwise(boxes)) >= 2:
            continue
        changed = True
        if all(re.fullmatch(r"[\d.,%$^{}\\a-z+−-]*", label) for label in labels) and len(labels) > 2:
            step = int(
                np.ceil(max(box.width + 4 for box in boxes) * (len(boxes) - 1) / max(1.0, boxes[-1].x0 - boxes[0].x0))
            )
            ax.set_xticks(ticks, [label if k % max(step, 2) == 0 else "" for k, label in enumerate(labels)])
        else:
            if any("\n" in label for label in labels):
                ax.set_xticks(ticks, [label.replace("\n", ", ") for label in labels], rotation=90)
                continue
            ax.tick_params(axis="x", rotation=35)
            for label in ax.get_xticklabels():
                label.set_horizontalalignment("right")
    if changed:
        figure.draw_without_rendering()
