"""Sharpness: the largest curvature of the loss, which decides whether gradient descent is stable."""

from __future__ import annotations

import numpy as np

from .. import _validate
from .._curvature import METHODS, Curvature, eigenvalues

__all__ = ["sharpness"]


def sharpness(
    gd,
    w: np.ndarray,
    k: int = 1,
    *,
    preconditioned: bool = False,
    t: int | None = None,
    smallest: bool = False,
    tolerance: float = 1e-9,
    iterations: int = 1000,
    seed: int = 0,
    method: str = "auto",
) -> np.ndarray:
    """Largest eigenvalue of the Hessian, (...): the sharpness. Gradient descent on a quadratic is stable while it stays below 2 / lr.

    Parameters
    ----------
    gd : GradientDescent, Adam, SoftmaxMap, DiagonalNetwork, or any map with ``hvp(w, V)`` or ``hessian(w)``
        The map whose loss it is. ``hvp`` takes weights (..., p) and vectors (..., 1, p). What limits a rule is
        ``gd.rule.stability_limit(lr)``.
    w : ndarray (..., p), float64
        Weights, or states with memory.
    k : int
        How many eigenvalues, from 1 to p.
    preconditioned : bool
        Of P\\ :sup:`-1/2` H P\\ :sup:`-1/2` in place of H, P being what Adam and RMSProp divide the gradient by.
    t : int, optional
        Steps that the states have done, >= 1: Adam's P depends on it.
    smallest : bool
        The k smallest ones.

    Other Parameters
    ----------------
    tolerance : float
        Of Lanczos: norm of H x - value x for unit vectors x, as a fraction of the largest modulus.
    iterations : int
        Blocks of k products with the Hessian at most.
    seed : int
        Of the vectors that Lanczos starts from.
    method : {"auto", "dense", "lanczos"}
        ``auto`` takes the whole matrix up to 300 parameters or 25 k, and where the map has no ``hvp``; else block Lanczos with full
        reorthogonalisation, which keeps about 120 vectors for each state, fewer where that is beyond 1 GB.

    Returns
    -------
    ndarray (...) for k = 1, else (..., k), largest first
        nan where the Hessian is not finite, and, with a RuntimeWarning that tells the residual, where Lanczos has not converged.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or the rule has no preconditioner.

    References
    ----------
    J. Cohen, S. Kaur, Y. Li, J. Z. Kolter, A. Talwalkar, ICLR (2021); preconditioned: J. Cohen et al., arXiv 2207.14484. Lanczos: K. Wu,
    H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000) 602, in blocks.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
    >>> w = gd.network.init(2, seed=0)
    >>> sharpness(gd, w).shape, sharpness(gd, w, k=3).shape
    ((2,), (2, 3))
    """
    curvature = Curvature(gd, w, preconditioned, t)
    k = _validate.count("k", k, 1, curvature.p)
    values = eigenvalues(
        curvature, k,
        smallest=_validate.flag("smallest", smallest),
        tolerance=_validate.positive("tolerance", tolerance),
        iterations=_validate.count("iterations", iterations, 1),
        seed=_validate.count("seed", seed),
        method=_validate.choice("method", method, METHODS),
    )  # fmt: skip
    return values.reshape(*curvature.lead, k)[..., 0][()] if k == 1 else values.reshape(*curvature.lead, k)
