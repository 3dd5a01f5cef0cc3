"""What recurs inside figures: panels, their letters, places of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .styling import COLOURS, INK, PALE

if TYPE_CHECKING:
    from ..series.expansion import ExpansionFit

__all__ = ["divergence_panel", "expansion_panel", "label_panels", "spread"]


def label_panels(axes) -> None:
    """Letters a, b, c ... before the titles of the panels."""
    for letter, ax in zip("abcdefghijklmnop", np.ravel(axes), strict=False):
        ax.set_title(f"({letter}) {ax.get_title(loc='left')}", loc="left")


def spread(places: Sequence[float], least: float) -> np.ndarray:
    """Places of labels, moved apart until neighbours keep a least distance, about where they were.

    Examples
    --------
    >>> spread([0.5, 0.0, 0.52], 0.1).round(2).tolist()
    [0.46, 0.0, 0.56]
    """
    given = np.asarray(places, dtype=float)
    order = np.argsort(given, kind="stable")
    groups: list[tuple[float, int]] = []  # centre and number of labels that stand in one column
    for place in given[order]:
        groups.append((float(place), 1))
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < least * (groups[-1][1] + groups[-2][1]) / 2:
            (a, m), (b, n) = groups[-2:]
            groups[-2:] = [((a * m + b * n) / (m + n), m + n)]
    found = np.empty(len(given))
    found[order] = np.concatenate([c + least * (np.arange(n) - (n - 1) / 2) for c, n in groups]) if groups else []
    return found


def divergence_panel(ax: Axes, times: np.ndarray, distance: np.ndarray, loss: np.ndarray | None = None) -> Axes | None:
    """Distances of the copies of one initial condition (grey), their mean (black), and the loss on an axis of its own.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    times : ndarray (r,)
        Steps.
    distance : ndarray (m, r)
        Distance of each copy.
    loss : ndarray (r,), optional
        Loss of the reference, drawn dashed against the right-hand axis.

    Returns
    -------
    Axes or None
        The axis of the loss.
    """
    ax.plot(times, distance.T, color=PALE, lw=0.7, ls="-", alpha=0.8)
    ax.plot(times, distance.mean(axis=0), color=INK, lw=2.0, ls="-")
    if loss is None:
        return None
    right = ax.twinx()
    right.spines["right"].set_visible(True)
    right.plot(times, loss, color=COLOURS["vermilion"], ls="--", lw=1.4)
    right.tick_params(axis="y", colors=COLOURS["vermilion"])
    right.set_ylim(0, None)
    return right


def expansion_panel(fit: ExpansionFit, ax: Axes | None = None) -> Figure:
    """Histogram of the exponents of the fits that pass the filter, in a figure of its own if no ``ax`` is given.

    Parameters
    ----------
    fit : ExpansionFit
        Of a number of initial conditions.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Figure
    """
    ax = plt.subplots()[1] if ax is None else ax
    ax.hist(fit.rate[fit.kept], bins=30, color=COLOURS["sky"], edgecolor="white")
    ax.set(xlabel=r"$\Lambda$ (per step)", ylabel="networks", title=f"{fit.kept.sum()} of {fit.kept.size} kept")
    return ax.figure.figure  # that of a subfigure is the whole one; get_figure(root=True) is not in Matplotlib 3.9
