"""Panels for notebooks: controls, a computation off the main thread, its figure."""

from .panel import Panel

__all__ = ["Panel", "collapse_lab", "divergence_lab", "dmft_lab", "embedding_lab", "expansion_lab", "exponent_lab"]


def __getattr__(name: str):
    """The panels of the chapters, which are made of this and live with the book's other needs."""
    if name not in (*__all__, "labs"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ..companion import labs

    return labs if name == "labs" else getattr(labs, name)
