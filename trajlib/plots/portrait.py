"""The figure of one training run: loss, curvature, copies, growth and embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .panels import label_panels
from .styling import COLOURS, INK

if TYPE_CHECKING:
    from ..companion.portrait import Portrait

__all__ = ["draw_portrait"]


def draw_portrait(found: Portrait) -> Figure:
    """Loss, sharpness over its limit, distances of copies, growth of tangent vectors, and the run in two coordinates.

    Parameters
    ----------
    found : Portrait

    Returns
    -------
    Figure
    """
    fig, axes = plt.subplots(3, 2, figsize=(7.0, 7.4))
    (loss, sharp), (copies, growth), (plane, table) = axes
    loss.plot(found.times, found.loss, "-", lw=1.2, color=COLOURS["blue"])
    sharp.plot(found.moments, found.ratio, ".-", ms=3, lw=0.8, color=COLOURS["blue"])
    sharp.axhline(1, color=INK, ls="--", lw=0.8)
    copies.plot(found.times, found.distance.T, "-", lw=0.8, color=COLOURS["blue"])
    for j, rates in enumerate(found.growth):
        growth.stairs(
            rates, np.append(0, found.blocks), baseline=None, lw=1.2, color=f"C{j}", ls=("-", "--", ":", "-.")[j % 4]
        )
    growth.axhline(0, color=INK, lw=0.8, ls="-")
    plane.plot(*found.embedded.T, "-", lw=0.8, color=INK)
    plane.scatter(*found.embedded.T, c=found.moments, s=10, cmap="viridis", zorder=3)
    numbers = np.arange(1, len(found.exponents) + 1)
    table.errorbar(numbers, found.exponents, yerr=2 * found.standard_error, fmt="o", ms=4, color=COLOURS["blue"])
    table.axhline(0, color=INK, lw=0.8, ls="-")
    table.set(xticks=numbers, xlabel="exponent")
    for ax, values in ((loss, found.loss), (copies, found.distance)):
        if np.nanmin(np.where(np.isfinite(values) & (values > 0), values, np.nan)) > 0:
            ax.set_yscale("log")
    titles = (
        "loss",
        "sharpness / limit",
        "distance of copies",
        "growth per step",
        "two coordinates",
        "exponents, ± 2 errors",
    )
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set_title(title, loc="left")
    for ax in (loss, sharp, copies, growth):
        ax.set_xlabel("step")
    label_panels(axes)
    return fig
