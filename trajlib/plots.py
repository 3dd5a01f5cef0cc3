"""The figure style and the panels that recur. The only module that imports matplotlib.

Colours are Okabe and Ito's, in an order that also differs in lightness, with line styles that differ: a figure can be read in grey. The
background is white, on a light page and on a dark one.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes

__all__ = ["COLOURS", "INK", "PALE", "divergence_panel", "label_panels", "style"]

COLOURS = {
    "blue": "#0072b2",
    "orange": "#e69f00",
    "green": "#009e73",
    "vermilion": "#d55e00",
    "sky": "#56b4e9",
    "purple": "#cc79a7",
}
INK = "#1b1f24"
PALE = "#9aa4ae"


def style() -> None:
    """Set the book's figure style for all figures that follow."""
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "figure.figsize": (7.6, 3.4),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "font.size": 10.5,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.labelcolor": INK,
            "axes.edgecolor": "#5b6570",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=list(COLOURS.values()))
            + cycler(linestyle=["-", "--", "-.", ":", "-", "--"]),
            "axes.formatter.use_mathtext": True,
            "figure.labelsize": 10.5,
            "figure.labelweight": "normal",
            "xtick.color": INK,
            "ytick.color": INK,
            "lines.linewidth": 1.6,
            "legend.frameon": False,
            "legend.fontsize": 9.5,
            "image.cmap": "cividis",
            "grid.color": "#e3e7eb",
        }
    )


def label_panels(axes) -> None:
    """Letters a, b, c ... before the titles of the panels."""
    for letter, ax in zip("abcdefghijklmnop", np.ravel(axes), strict=False):
        ax.set_title(f"({letter}) {ax.get_title(loc='left')}", loc="left")


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
