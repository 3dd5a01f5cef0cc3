"""Colours, and the style of all figures.

Colours are Okabe and Ito's, in an order that also differs in lightness, with line styles that differ: a figure can be read in grey. The
background is white, on a light page and on a dark one.
"""

from __future__ import annotations

import base64
import io
import os
import struct
import sys
from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

from .narrowing import narrowed

__all__ = ["COLOURS", "DPI", "INK", "PALE", "png", "style"]

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
DPI = 110
"""Dots per inch at which a figure is shown."""
SHARPNESS = 2
"""Pixels of a picture for each of them."""


def style() -> None:
    """Set the book's figure style for all figures that follow."""
    plt.rcParams.update(
        {
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
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
    if (shell := _shell()) is not None:
        plt.draw_if_interactive()  # loads the backend, which sets a formatter of its own when it is loaded
        shell.display_formatter.formatters["image/png"].for_type(Figure, in_notebook)


def _shell():
    """The shell of the notebook that this runs in, if it does."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, to be shown at 110 dots per inch; the figure is closed."""
    picture = _saved(figure)
    plt.close(figure)
    return picture


def _saved(figure: Figure, sharpness: float = SHARPNESS, **how) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=sharpness * DPI, **how)
    return buffer.getvalue()


def in_notebook(figure: Figure) -> tuple[str, dict[str, Any]]:
    """What a notebook keeps of a figure: the picture, the size at which it is shown, and the narrow version for the book.

    With TRAJLIB_PICTURES=off in the environment nothing is drawn, for runs of a chapter whose pictures nobody looks at.
    """
    if os.environ.get("TRAJLIB_PICTURES") == "off":
        return "", {}
    wide = _saved(figure, bbox_inches="tight")
    width, height = (round(side / SHARPNESS) for side in struct.unpack(">II", wide[16:24]))
    shown: dict[str, Any] = {"width": width, "height": height}
    try:
        slim = _saved(narrowed(figure), 1.5, bbox_inches="tight")  # a phone shows it at three quarters of its size
        shown["narrow"] = base64.b64encode(slim).decode()
    except Exception:  # what a reader draws must be seen in any case; figures of the book are tested
        pass
    return base64.b64encode(wide).decode(), shown
