"""Cycles of training: their period, up to a slow drift along flat directions, and their multipliers.

A cycle of period n is a fixed point of n steps together, and it is stable where the eigenvalues of their Jacobian, its multipliers, lie
inside the unit circle. A real multiplier that leaves it through -1 doubles the period; through 1, the cycle ends (a fold) or gives way; a
complex pair starts a motion on a torus (Neimark-Sacker).
"""

from __future__ import annotations

import numpy as np

from .. import _validate
from ..models.perceptron import Perceptron
from ..series.phases import detect_period
from .transverse import transverse

__all__ = ["cycle_multipliers", "cycle_period"]


def cycle_period(path: np.ndarray, *, max_period: int = 16, tolerance: float = 0.03) -> np.ndarray:
    """Periods of paths of the weights that drift slowly: of the component along the last step, as a part of its range.

    Parameters
    ----------
    path : ndarray (..., steps, p), float64
        Weights at consecutive steps, at least 2 ``max_period``.
    max_period : int
        Longest period to try, in steps.
    tolerance : float
        How far the component may come back from where it was, as a part of its range over the path.

    Returns
    -------
    ndarray (...), int
        1 where the weights move one way only or stand still, 0 where there is no period.

    Raises
    ------
    TypeError, ValueError
        If the path is not float64 or too short, or an option is out of range.

    Examples
    --------
    >>> t = np.arange(64.0)
    >>> cycle_period(np.stack([(-1) ** t + 1e-4 * t, 1e-3 * t], axis=1)), cycle_period(np.stack([t, -t], axis=1))
    (array(2), array(1))
    """
    path = _validate.float64("path", path)
    if path.ndim < 2 or path.shape[-2] < 2:
        raise ValueError(f"path must have shape (..., steps, p), of two steps at least, got {path.shape}")
    _validate.finite("path", path)
    along = np.einsum("...tp,...p->...t", path - path[..., -1:, :], path[..., -1, :] - path[..., -2, :])
    size = np.ptp(along, axis=-1)[..., None]
    scaled = np.divide(along, size, out=np.zeros_like(along), where=size > 0)
    one_way = (np.diff(along, axis=-1) >= 0).all(axis=-1)
    return np.where(one_way, 1, detect_period(scaled, max_period=max_period, tolerance=tolerance))


def cycle_multipliers(gd, orbit: np.ndarray) -> np.ndarray:
    """Multipliers of cycles of a Perceptron's training, in the directions transverse to the softmax's symmetry.

    Parameters
    ----------
    gd : GradientDescent
        The map.
    orbit : ndarray (..., period, p), float64
        The states of one turn, in order.

    Returns
    -------
    ndarray (..., p - k), complex
        Eigenvalues of the product of the Jacobians, the largest modulus first; nan where that leaves the range of float64.

    Raises
    ------
    TypeError, ValueError
        If the network is no Perceptron, or the orbit has another shape or type, or is not finite.
    """
    if not isinstance(getattr(gd, "network", None), Perceptron):
        raise TypeError(f"gd must be the training of a Perceptron, got {_validate.shown(gd)}")
    orbit = _validate.finite("orbit", _validate.float64("orbit", orbit))
    with np.errstate(over="ignore", invalid="ignore"):
        steps = transverse(gd.network, gd.jacobian(orbit))
        product = steps[..., 0, :, :]
        for t in range(1, steps.shape[-3]):
            product = steps[..., t, :, :] @ product
    known = np.isfinite(product).all(axis=(-2, -1), keepdims=True)
    values = np.where(known[..., 0], np.linalg.eigvals(np.where(known, product, 0.0)), np.nan).astype(complex)
    return np.take_along_axis(values, np.argsort(-np.abs(values), axis=-1, kind="stable"), axis=-1)
