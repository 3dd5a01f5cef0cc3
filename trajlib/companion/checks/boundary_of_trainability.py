"""What the chapter on the boundary of trainability checks the paper's claims by: one entry a condition, unless said otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...boundary import UncertaintyExponent
from ..conditions import Check, at_least, at_most, between

__all__ = ["AGREE", "ABOVE", "dimensions", "fractal", "is_fractal", "over_decades", "range_of_dimensions"]

ABOVE = 0.05
"""A dimension is above 1 by so much, and two standard errors, for a boundary to be called fractal."""
AGREE = 0.15
"""By how much two estimates of a dimension may differ."""
Found = Sequence[UncertaintyExponent | None]


def dimensions(found: Found) -> tuple[np.ndarray, np.ndarray]:
    """Dimensions and standard errors of some exponents, nan where there is none."""
    pairs = [(np.nan, np.nan) if one is None else (one.dimension, one.standard_error) for one in found]
    value, error = np.array(pairs, dtype=float).reshape(-1, 2).T
    return value, error


def is_fractal(dimension: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Whether a boundary in a plane is fractal, as far as the estimate can say."""
    with np.errstate(invalid="ignore"):
        return dimension - 2 * error > 1.0 + ABOVE


def fractal(found: Found, boxes: np.ndarray) -> Check:
    """Exponents by pairs, and dimensions by boxes (medians over a zoom, nan where not resolved)."""
    value, error = dimensions(found)
    boxes, n = np.asarray(boxes, dtype=float), len(value)
    with np.errstate(invalid="ignore"):
        by_boxes = boxes > 1.0 + ABOVE
    apart = np.abs(value - boxes)
    most = float(np.nanmax(apart)) if np.isfinite(apart).any() else np.nan
    by_pairs = is_fractal(value, error)
    return Check(
        f"dimensions by pairs {_listed(value)}, by boxes {_listed(boxes)}; fractal by pairs in {by_pairs.sum()} of {n}, by boxes in "
        f"{by_boxes.sum()} of {n}; the two differ by {most:.2f} at most, where both are resolved",
        {
            "most are fractal by pairs of points (two in three)": at_least(by_pairs.mean(), 2 / 3),
            "all are fractal by pairs of points": at_least(by_pairs.mean(), 1.0),
            "all are fractal by boxes": at_least(by_boxes.mean(), 1.0),
            f"the two estimates agree to {AGREE}": at_most(most, AGREE),
        },
    )


def over_decades(found: Found, views: Sequence[tuple[np.ndarray, np.ndarray]], decades: float = 10.0) -> Check:
    """How far a fractal boundary reaches, in decades, by pairs or by views: 0 where neither is resolved, or the boundary is not fractal.

    Parameters: exponents by pairs; of each condition the depths of some views and the dimensions by boxes there. A condition reaches over
    the scaling range of the pairs, or from the widest view to the narrowest where all of them are fractal.
    """
    by_pairs = [0.0 if one is None or not one.resolved else np.log10(one.largest / one.smallest) for one in found]
    reach = np.where(is_fractal(*dimensions(found)), by_pairs, 0.0)
    with np.errstate(invalid="ignore"):
        down = [np.log10(f.max() / f.min()) if (d > 1.0 + ABOVE).all() else 0.0 for f, d in views]
    most = np.maximum(reach, down)
    return Check(
        f"decades over which it is fractal, by pairs of points {', '.join(f'{r:.1f}' for r in reach)}; "
        f"by boxes in views {', '.join(f'{r:.1f}' for r in down)}",
        {
            f"it is fractal over {decades:g} decades in at least one condition": at_least(most.max(), decades - 1e-9),
            "and in all": at_least(most.min(), decades - 1e-9),
        },
    )


def range_of_dimensions(found: Found, low: float = 1.17, high: float = 1.98) -> Check:
    """Whether the dimensions lie where the paper has its medians, and reach as far."""
    value, error = dimensions(found)
    known = np.isfinite(value)
    value, error = value[known], error[known]
    if not len(value):
        return Check("no dimension is resolved", {"the smallest": at_least(np.nan, low)})
    first, last = value.argmin(), value.argmax()
    return Check(
        f"from {value[first]:.2f} ± {error[first]:.2f} to {value[last]:.2f} ± {error[last]:.2f}, of {len(value)} that are resolved",
        {
            "none is far below the paper's smallest": at_least(value[first], low - 0.1, 2 * error[first]),
            "none is above its largest": at_most(value[last], high + 0.02, 2 * error[last]),
            "the smallest is near the paper's": between(value[first], low - 0.1, low + 0.1, 2 * error[first]),
            "and the largest": between(value[last], high - 0.1, high + 0.02, 2 * error[last]),
        },
    )


def _listed(values: np.ndarray) -> str:
    return ", ".join("not resolved" if np.isnan(v) else f"{v:.2f}" for v in values)
