"""Live labs for a running kernel: a panel for each chapter, and the panel itself for networks of your own. Needs ipywidgets, 7 or 8."""

from .labs import collapse_lab, divergence_lab, dmft_lab, embedding_lab, expansion_lab, exponent_lab
from .panel import Panel

__all__ = [
    "Panel",
    "collapse_lab",
    "divergence_lab",
    "dmft_lab",
    "embedding_lab",
    "expansion_lab",
    "exponent_lab",
]
