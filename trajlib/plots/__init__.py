"""The figure style, the panels that recur, the figures that the labs draw anew, and the narrow version of each for a phone.

The only package that imports matplotlib.
"""

from __future__ import annotations

from matplotlib.figure import Figure as Figure

from .labs import (
    distances,
    embedded_copies,
    final_losses,
    fitted_distances,
    losses_and_norms,
    network_and_map,
    outcome_exponents,
    theory_and_networks,
)
from .narrowing import narrow
from .panels import divergence_panel, expansion_panel, label_panels, spread
from .portrait import draw_portrait
from .styling import COLOURS, INK, PALE, png, style

__all__ = [
    "COLOURS",
    "INK",
    "PALE",
    "distances",
    "divergence_panel",
    "draw_portrait",
    "embedded_copies",
    "expansion_panel",
    "final_losses",
    "fitted_distances",
    "label_panels",
    "losses_and_norms",
    "narrow",
    "network_and_map",
    "outcome_exponents",
    "png",
    "spread",
    "style",
    "theory_and_networks",
]
