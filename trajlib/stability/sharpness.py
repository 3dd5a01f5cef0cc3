"""Sharpness: the largest curvature of the loss, which decides whether gradient descent is stable."""

from __future__ import annotations

import numpy as np

__all__ = ["sharpness"]


def sharpness(gd, w: np.ndarray) -> np.ndarray:
    """Largest eigenvalue of the Hessian, (...): the sharpness. Gradient descent on a quadratic is stable while it stays below 2 / lr.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, DiagonalNetwork, or any map with a ``hessian``
        The map whose loss it is.
    w : ndarray (..., p), float64
        Weights.

    Returns
    -------
    ndarray (...)
        nan where the Hessian is not finite.

    References
    ----------
    J. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar, ICLR (2021).

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
    >>> sharpness(gd, gd.network.init(2, seed=0)).shape
    (2,)
    """
    if not hasattr(gd, "hessian"):
        raise TypeError(f"the first argument must be a map such as GradientDescent, got {type(gd).__name__}")
    hessian = gd.hessian(w)
    finite = np.isfinite(hessian).all(axis=(-2, -1))
    largest = np.full(finite.shape, np.nan)
    largest[finite] = np.linalg.eigvalsh(hessian[finite])[..., -1]
    return largest[()]
